package pinpadsim

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"posagent/drivers/pinpad"
	"posagent/drivers/pinpad/internal/wire"
)

// Opts are what a pad is built of.
type Opts struct {
	// Secure holds the keys; nil for a pad that was never given any.
	Secure Secure
	// Serial, Model and Firmware are what the pad says of itself, up to 32 bytes.
	Serial, Model, Firmware string
	// Rand pads PINs that are enciphered for a card; nil for crypto/rand.
	Rand io.Reader
}

// Faults are what is wrong with the pad's sending. Each count is used up.
type Faults struct {
	Drop   uint32        // so many of the next frames are not sent
	Garble uint32        // so many of the next frames have a bit wrong
	Late   time.Duration // every answer comes so much later
	Mute   bool          // the pad neither hears nor speaks
}

// Device is one pad.
type Device struct {
	opts Opts
	wake chan struct{} // holds one: Serve has something to write or to wait for

	mu       sync.Mutex // guards all below
	link     *wire.Link
	faults   Faults
	keyboard bool
	tampered bool
	started  bool // PowerCycle or New happened since the last Serve
	entry    *entry
	mac      []byte // gathered chunks; nil: no MAC begun
	late     []lateAnswer
	beeps    uint32
}

type lateAnswer struct {
	at   time.Time
	data []byte
}

// New makes a pad that is powered and has no session.
func New(opts *Opts) *Device {
	d := &Device{opts: *opts, wake: make(chan struct{}, 1)}
	if d.opts.Secure == nil {
		d.opts.Secure = blank{}
	}
	if d.opts.Rand == nil {
		d.opts.Rand = rand.Reader
	}
	for text, def := range map[*string]string{&d.opts.Serial: "PP000000", &d.opts.Model: "PINPAD-SIM", &d.opts.Firmware: "1.0"} {
		if *text == "" {
			*text = def
		}
		*text = (*text)[:min(len(*text), maxIdentity)]
	}
	d.restart()
	return d
}

// maxIdentity bounds each text of the identity, so that it fits one message.
const maxIdentity = 32

func (d *Device) restart() {
	d.link, d.keyboard, d.started = wire.NewPad(), true, true
	d.mac, d.late = nil, nil
	d.wipeEntry()
}

// String names the pad.
func (d *Device) String() string { return fmt.Sprintf("pinpadsim{%s}", d.opts.Serial) }

// Press is a finger on a key. In PIN entry the pad keeps it; otherwise it is sent
// if the keyboard is on and there is a session.
func (d *Device) Press(k pinpad.Key) {
	d.locked(func(now time.Time) {
		switch {
		case !k.Valid() || d.tampered:
		case d.entry != nil:
			d.pressInEntry(k, now)
		case d.keyboard:
			d.event(wire.CmdKey, []byte{byte(k)}, now)
		}
	})
}

// maxEvents bounds the key presses and dots that wait for a terminal, so that
// there is always room behind them for an answer and a PIN result.
const maxEvents = 16

func (d *Device) event(cmd wire.Cmd, data []byte, now time.Time) {
	if d.link.Backlog() < maxEvents {
		d.link.Post(cmd, data, now)
	}
}

// Tamper opens the case: the keys are wiped, a PIN entry ends, and from now on the
// pad only says who it is.
func (d *Device) Tamper() {
	d.locked(func(now time.Time) {
		d.tampered = true
		d.opts.Secure.Wipe()
		d.endEntry(now, wire.Aborted, byte(wire.Tampered))
		d.link.Post(wire.CmdTamper, nil, now)
	})
}

// PowerCycle takes the power away for a moment: session and PIN entry are
// forgotten, keys stay.
func (d *Device) PowerCycle() {
	d.locked(func(time.Time) {
		d.restart()
		d.started = false
		d.link.Announce()
	})
}

// SetFaults replaces what is wrong with the pad; the zero Faults repairs it.
func (d *Device) SetFaults(f Faults) { d.locked(func(time.Time) { d.faults = f }) }

// InPINEntry reports whether the pad waits for a PIN.
func (d *Device) InPINEntry() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.entry != nil
}

// Beeps is how often the pad has sounded.
func (d *Device) Beeps() uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.beeps
}

// locked changes the pad's state and lets Serve see to the rest.
func (d *Device) locked(change func(now time.Time)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(time.Now())
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// readSize is how many bytes are taken from the line at once.
const readSize = 512

// Serve is the pad at work on a line, until ctx ends or the line does; both give
// nil. A line whose reads no deadline ends keeps Serve from returning until a byte
// arrives; an *os.File is one after its Fd was asked for. One Serve at a time.
func (d *Device) Serve(ctx context.Context, line io.ReadWriter) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	deadliner, _ := line.(interface{ SetReadDeadline(time.Time) error })
	if deadliner != nil {
		// An earlier Serve may have left one. A line that refuses would hold its
		// reader for ever.
		switch err := deadliner.SetReadDeadline(time.Time{}); {
		case err == nil:
		case ended(err):
			return nil
		default:
			return fmt.Errorf("serve PIN pad: read deadline of the line: %w", err)
		}
	}
	input := make(chan []byte)
	failed := make(chan error, 1)
	go func() { failed <- read(ctx, line, input) }()
	err, readDone := d.loop(ctx, line, input, failed)
	cancel()
	if !readDone {
		if deadliner != nil {
			_ = deadliner.SetReadDeadline(time.Unix(1, 0)) // releases the reader
		}
		<-failed
	}
	if err == nil || ended(err) {
		return nil
	}
	return fmt.Errorf("serve PIN pad: %w", err)
}

// ended tells the ways in which a line ends from failures.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, os.ErrClosed)
}

func read(ctx context.Context, r io.Reader, to chan<- []byte) error {
	for {
		buf := make([]byte, readSize)
		n, err := r.Read(buf)
		if n > 0 {
			select {
			case to <- buf[:n]:
			case <-ctx.Done():
				return nil
			}
		}
		if err != nil {
			return err
		}
	}
}

// idleWait is how long the loop sleeps when nothing is due.
const idleWait = time.Hour

func (d *Device) loop(ctx context.Context, line io.Writer, input <-chan []byte, failed <-chan error) (err error, readDone bool) {
	d.mu.Lock()
	if d.started {
		d.started = false
		d.link.Announce()
	}
	d.mu.Unlock()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		frames, wait := d.due(ctx)
		for _, frame := range frames {
			if _, err := line.Write(frame); err != nil {
				return err, false
			}
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return nil, false
		case err := <-failed:
			return err, true
		case p := <-input:
			d.feed(p)
		case <-d.wake:
		case <-timer.C:
		}
	}
}

func (d *Device) feed(p []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.faults.Mute {
		d.link.Feed(p, time.Now())
	}
}

// due does everything that is due, gives the frames to write and says how long
// there is nothing to do.
func (d *Device) due(ctx context.Context) ([][]byte, time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	d.link.Tick(now)
	for f, ok := d.link.Next(); ok; f, ok = d.link.Next() {
		d.hear(ctx, f, now)
	}
	for _, ok := d.link.Lost(); ok; _, ok = d.link.Lost() {
		// The terminal is gone: what it did not hear is not kept for another.
	}
	for len(d.late) > 0 && !now.Before(d.late[0].at) {
		d.link.Post(wire.CmdAnswer, d.late[0].data, now)
		d.late = d.late[1:]
	}
	d.expireEntry(now)
	next := d.link.Deadline()
	if len(d.late) > 0 {
		next = wire.Earlier(next, d.late[0].at)
	}
	if d.entry != nil {
		next = wire.Earlier(next, d.entry.until)
	}
	wait := idleWait
	if !next.IsZero() {
		wait = max(0, next.Sub(now))
	}
	return d.spoil(d.link.Output()), wait
}

// spoil applies the faults to frames on their way out.
func (d *Device) spoil(frames [][]byte) [][]byte {
	kept := frames[:0]
	for _, frame := range frames {
		switch {
		case d.faults.Mute:
			continue
		case d.faults.Drop > 0:
			d.faults.Drop--
			continue
		case d.faults.Garble > 0:
			d.faults.Garble--
			frame[len(frame)/2] ^= 0x10
		}
		kept = append(kept, frame)
	}
	return kept
}
