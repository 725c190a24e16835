package scannersim

import (
	"sync"
	"time"

	"periph.io/x/conn/v3/gpio"

	"posagent/drivers/bussim"
	"posagent/drivers/scanner"
)

// Opts are what an engine is built of.
type Opts struct {
	Framing  scanner.Framing
	Commands scanner.Commands
	// Trigger is the trigger input; nil if there is none.
	Trigger       *bussim.Pin
	TriggerActive gpio.Level
	// Continuous is the state after power-up.
	Continuous bool
	// ReadTime is from light and code to a read; zero for 60 ms.
	ReadTime time.Duration
	// Again is how often a code is read again in continuous reading; zero for 500 ms.
	Again time.Duration
	// LightTime puts the light of a trigger out by itself; zero for never.
	LightTime time.Duration
}

// Symbol is a code as it can be shown.
type Symbol struct {
	Text string
	// Kind is scanner.QR if it is empty.
	Kind scanner.Symbology
}

// Faults are what is wrong with the engine. Each count is used up.
type Faults struct {
	Cut    uint32 // so many of the next frames end in the middle
	Twice  uint32 // so many of the next frames are sent twice
	NoAck  uint32 // so many of the next acknowledgements are not sent
	Refuse uint32 // so many of the next commands are refused
	Noise  []byte // sent before the next frame
	Mute   bool   // the engine neither hears nor speaks
}

// Counts are what the engine did.
type Counts struct{ Triggers, Reads, Beeps uint32 }

// Device is one engine.
type Device struct {
	opts Opts
	wake chan struct{} // holds one: something changed outside Serve

	mu         sync.Mutex // guards all below
	faults     Faults
	counts     Counts
	shown      []shown
	heard      []byte
	disabled   map[scanner.Symbology]bool
	continuous bool
	triggered  bool
	pinActive  bool
	read       bool // this trigger has read
	lamp       bool
	litAt      time.Time
	nextRead   time.Time // in continuous reading
}

// shown is a time in which codes are before the window.
type shown struct {
	from, until time.Time
	symbols     []Symbol
}

// forever is longer than any test and any shop day.
const forever = 1000 * time.Hour

// New makes an engine that is powered and sees nothing.
func New(opts *Opts) *Device {
	d := &Device{opts: *opts, wake: make(chan struct{}, 1)}
	for t, def := range map[*time.Duration]time.Duration{
		&d.opts.ReadTime: 60 * time.Millisecond, &d.opts.Again: 500 * time.Millisecond,
	} {
		if *t == 0 {
			*t = def
		}
	}
	d.restart()
	return d
}

func (d *Device) restart() {
	d.heard, d.disabled = nil, map[scanner.Symbology]bool{}
	d.continuous, d.triggered, d.lamp, d.read = d.opts.Continuous, false, false, false
	d.litAt = time.Now()
}

func (d *Device) locked(f func()) {
	d.mu.Lock()
	f()
	d.mu.Unlock()
	d.kick()
}

func (d *Device) kick() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// PowerCycle forgets what commands have set.
func (d *Device) PowerCycle() { d.locked(d.restart) }

// Show holds one QR code before the engine until Hide or the next Show.
func (d *Device) Show(code string) { d.Present(0, forever, Symbol{Text: code}) }

// Hide takes everything away.
func (d *Device) Hide() { d.locked(func() { d.shown = nil }) }

// Present holds codes before the engine after a time and for a time, several of
// them at once. It replaces what was to be shown from then on.
func (d *Device) Present(after, during time.Duration, symbols ...Symbol) {
	from := time.Now().Add(after)
	d.locked(func() {
		for i := range d.shown {
			if d.shown[i].until.After(from) {
				d.shown[i].until = from
			}
		}
		d.shown = append(d.shown, shown{from, from.Add(during), symbols})
	})
}

// SetFaults replaces the faults.
func (d *Device) SetFaults(f Faults) { d.locked(func() { d.faults = f }) }

// Light tells whether the reading light is on.
func (d *Device) Light() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.light()
}

func (d *Device) light() bool { return d.triggered || d.continuous }

// Lamp tells whether the lamp for the customer is on.
func (d *Device) Lamp() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lamp
}

// Counts tells what was done so far.
func (d *Device) Counts() Counts {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts
}

// trigger begins or ends a trigger.
func (d *Device) trigger(on bool, now time.Time) {
	if d.triggered = on; on {
		d.counts.Triggers++
		d.read, d.litAt = false, now
	}
}

// step does what is due and returns what is to be sent and when to come again.
func (d *Device) step(now time.Time, input []byte) (out []byte, next time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	next = now.Add(forever)
	if d.faults.Mute {
		return nil, next
	}
	if p := d.opts.Trigger; p != nil {
		if active := p.Level() == d.opts.TriggerActive; active != d.pinActive {
			d.pinActive = active
			d.trigger(active, now)
		}
	}
	out = d.hear(input, now)
	if l := d.opts.LightTime; l > 0 && d.triggered {
		if end := d.litAt.Add(l); now.Before(end) {
			next = end
		} else {
			d.trigger(false, now)
		}
	}
	if !d.light() || d.read && !d.continuous {
		return out, next
	}
	for _, s := range d.shown {
		if !now.Before(s.until) {
			continue
		}
		at := later(later(s.from, d.litAt).Add(d.opts.ReadTime), d.nextRead)
		switch {
		case !at.Before(s.until):
		case now.Before(at):
			next = earlier(next, at)
		default:
			out = append(out, d.see(s, now)...)
			if d.continuous {
				next = earlier(next, d.nextRead)
			}
		}
	}
	return out, next
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// aim are identifiers of ISO/IEC 15424, each with a usual modifier.
var aim = map[scanner.Symbology]string{
	scanner.QR: "]Q1", scanner.DataMatrix: "]d1", scanner.PDF417: "]L0", scanner.Aztec: "]z0", scanner.HanXin: "]h0",
	scanner.Code39: "]A0", scanner.Code128: "]C0", scanner.EAN: "]E0", scanner.ITF: "]I0",
}

// see reads all that is shown.
func (d *Device) see(s shown, now time.Time) (out []byte) {
	for _, sym := range s.symbols {
		kind := sym.Kind
		if kind == scanner.Unknown {
			kind = scanner.QR
		}
		if d.disabled[kind] {
			continue
		}
		frame := d.opts.Framing.AppendFrame(nil, aim[kind], sym.Text)
		if used(&d.faults.Cut) {
			frame = frame[:len(frame)/2]
		}
		out = append(out, d.faults.Noise...)
		d.faults.Noise = nil
		if out = append(out, frame...); used(&d.faults.Twice) {
			out = append(out, frame...)
		}
		d.read = true
		d.counts.Reads++
	}
	if d.read && d.opts.Trigger == nil {
		d.triggered = false
	}
	if d.continuous {
		d.nextRead = now.Add(d.opts.Again)
	}
	return out
}

// used takes one from a count.
func used(n *uint32) bool {
	if *n == 0 {
		return false
	}
	*n--
	return true
}
