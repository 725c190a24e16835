package iso14443sim

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"posagent/nfc"
	"posagent/nfc/iso14443"
)

// AirOpts configures the reader chip on the Air.
type AirOpts struct {
	// Limits of the chip.
	Limits iso14443.Limits
}

// DefaultAirOpts is a chip that can do all that package iso14443 can use.
var DefaultAirOpts = AirOpts{Limits: iso14443.Limits{MaxRate: iso14443.Rate424, MaxFrame: 256}}

// Air is a field and an ideal reader chip: an iso14443.Transceiver.
type Air struct {
	opts AirOpts

	mu     sync.Mutex // guards what follows
	on     bool
	mode   iso14443.Mode
	cards  []*PICC
	plan   Plan
	n      uint32
	frames uint32
}

var _ iso14443.Transceiver = (*Air)(nil)

// NewAir returns an empty field. A nil o means DefaultAirOpts.
func NewAir(o *AirOpts) *Air {
	if o == nil {
		o = &DefaultAirOpts
	}
	return &Air{opts: *o}
}

// String implements iso14443.Transceiver.
func (a *Air) String() string { return "iso14443sim" }

// Limits implements iso14443.Transceiver.
func (a *Air) Limits() iso14443.Limits { return a.opts.Limits }

// Place puts a card into the field.
func (a *Air) Place(p *PICC) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.place(p, startTime)
}

func (a *Air) place(p *PICC, start time.Duration) {
	if slices.Contains(a.cards, p) {
		return
	}
	a.cards = append(a.cards, p)
	p.leave()
	if a.on {
		p.power(true, start)
	}
}

// Remove takes a card out of the field; one that is not there is left alone.
func (a *Air) Remove(p *PICC) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if i := slices.Index(a.cards, p); i >= 0 {
		a.cards = slices.Delete(a.cards, i, i+1)
		p.leave()
	}
}

func (a *Air) clear() {
	for _, p := range a.cards {
		p.leave()
	}
	a.cards = nil
}

// SetPlan sets the faults that follow; nil is none.
func (a *Air) SetPlan(p Plan) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.plan, a.n = p, 0
}

// Frames is how many frames the reader has sent.
func (a *Air) Frames() uint32 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.frames
}

// On says whether the carrier is.
func (a *Air) On() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.on
}

// Field implements iso14443.Transceiver.
func (a *Air) Field(on bool) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if on == a.on {
		return nil
	}
	a.on = on
	for _, p := range a.cards {
		p.power(on, startTime)
	}
	return nil
}

// Halt implements iso14443.Transceiver.
func (a *Air) Halt() error { return a.Field(false) }

// Tune implements iso14443.Transceiver.
func (a *Air) Tune(m iso14443.Mode) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if m.Type != nfc.TypeA && m.Type != nfc.TypeB || max(m.Send, m.Receive) > a.opts.Limits.MaxRate {
		return fmt.Errorf("tune: chip cannot do %+v", m)
	}
	a.mode = m
	return nil
}

// Exchange implements iso14443.Transceiver.
func (a *Air) Exchange(ctx context.Context, f iso14443.Frame, wait time.Duration) (iso14443.Reply, error) {
	fault, err := a.begin()
	if err != nil {
		return iso14443.Reply{}, err
	}
	begin := time.Now()
	if err := sleep(ctx, airTime(a.mode.Type, a.mode.Send, bitsOf(f.Data, f.LastBits))); err != nil {
		return iso14443.Reply{}, err
	}
	answers := a.hear(f, fault, begin, wait)
	if len(answers) == 0 || fault.Drop {
		if err := sleep(ctx, wait); err != nil {
			return iso14443.Reply{}, err
		}
		return iso14443.Reply{}, iso14443.ErrTimeout
	}
	longest := uint32(0)
	for _, s := range answers {
		longest = max(longest, bitsOf(s.data, s.lastBits)-uint32(s.align))
	}
	stop := answers[0].at.Add(airTime(a.mode.Type, a.mode.Receive, longest))
	if err := sleep(ctx, time.Until(stop)); err != nil {
		return iso14443.Reply{}, err
	}
	return a.received(answers, fault)
}

// begin counts a frame and does what its fault does before it.
func (a *Air) begin() (Fault, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.frames++
	var f Fault
	if a.plan != nil {
		f = a.plan(a.n)
	}
	a.n++
	if f.PullBefore {
		a.clear()
	}
	if f.Add != nil {
		a.place(f.Add, 0)
	}
	if !a.on {
		return f, fmt.Errorf("exchange: field is off")
	}
	if a.mode.Type == 0 {
		return f, fmt.Errorf("exchange: not tuned")
	}
	return f, nil
}

// hear gives the frame that ended now to all cards and returns the answers that
// begin together, first and in time.
func (a *Air) hear(f iso14443.Frame, fault Fault, begin time.Time, wait time.Duration) []signal {
	end := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	data := slices.Clone(f.Data)
	if fault.Damage {
		flip(data, a.n, 1)
	}
	var heard []signal
	for _, p := range a.cards {
		if p.pending != nil && p.pending.at.Before(end) {
			p.pending = nil // it answered while nobody listened
		}
		if !fault.Lose {
			p.hear(a.mode, data, f.LastBits, begin, end, max(1, fault.Stall))
		}
	}
	if fault.PullAfter {
		a.clear()
	}
	first := end.Add(wait)
	for _, p := range a.cards {
		if p.pending != nil && !p.pending.at.After(first) {
			first = p.pending.at
		}
	}
	for _, p := range a.cards {
		if p.pending != nil && !p.pending.at.After(first) {
			heard = append(heard, *p.pending)
			p.pending = nil
		}
	}
	return heard
}

// received is what the chip makes of answers that came together.
func (a *Air) received(answers []signal, fault Fault) (iso14443.Reply, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range answers {
		if s.typ != a.mode.Type || s.rate != a.mode.Receive || s.align != answers[0].align {
			return iso14443.Reply{}, iso14443.ErrGarbled
		}
	}
	if fault.Garble || a.mode.Type == nfc.TypeB && len(answers) > 1 {
		return iso14443.Reply{}, iso14443.ErrGarbled
	}
	r := merge(answers)
	if len(r.Data) > int(a.opts.Limits.MaxFrame) {
		return iso14443.Reply{}, fmt.Errorf("%w: longer than the chip's buffer", iso14443.ErrGarbled)
	}
	flip(r.Data, a.n, fault.Flip)
	if fault.Cut {
		r.Data = r.Data[:max(0, len(r.Data)-1)]
	}
	return r, nil
}

// signal is one answer of one card.
type signal struct {
	after    time.Duration // from the end of the reader's frame
	at       time.Time     // when it begins
	typ      nfc.Type
	rate     iso14443.Rate
	data     []byte
	lastBits uint8
	align    uint8
	deaf     time.Duration // after it, beyond the guard time of every frame
}

// merge lays answers of type A over each other. In Manchester code a 0 of one
// and a 1 of another show as a collision.
func merge(all []signal) iso14443.Reply {
	r := iso14443.Reply{Data: slices.Clone(all[0].data), LastBits: all[0].lastBits}
	for _, s := range all[1:] {
		n := min(bitsOf(r.Data, r.LastBits), bitsOf(s.data, s.lastBits))
		at := n
		for i := uint32(s.align); i < n; i++ {
			if (r.Data[i/8]^s.data[i/8])>>(i%8)&1 != 0 {
				at = i
				break
			}
		}
		differ := at < n || bitsOf(r.Data, r.LastBits) != bitsOf(s.data, s.lastBits)
		if differ && (!r.Collided || at < uint32(r.CollisionBit)) {
			r.Collided, r.CollisionBit = true, uint16(at)
		}
		if len(s.data) > len(r.Data) {
			r.Data, r.LastBits = append(r.Data, s.data[len(r.Data):]...), s.lastBits
		}
		for i := range s.data {
			r.Data[i] |= s.data[i]
		}
	}
	return r
}

func bitsOf(data []byte, last uint8) uint32 {
	n := uint32(len(data)) * 8
	if last != 0 && n != 0 {
		n -= 8 - uint32(last)
	}
	return n
}

// airTime is how long so many bits take, with parity and start and end of
// frame in type A, start and stop bits and delimiters in type B.
func airTime(t nfc.Type, r iso14443.Rate, bits uint32) time.Duration {
	etus := bits + bits/8 + 2
	if t == nfc.TypeB {
		etus = bits + bits/4 + 24
	}
	return fc(uint64(etus) * 128 >> r)
}

// fc is the duration of n cycles of the carrier, 13.56 MHz.
func fc(n uint64) time.Duration { return time.Duration(n * 25_000 / 339) }

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(max(0, d))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
