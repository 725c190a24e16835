package scanner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"
	periph "periph.io/x/conn/v3/uart"

	"posagent/drivers/uart"
)

// Errors a caller may branch on, besides those of frames and commands.
var (
	// ErrTimeout is the outcome of a Scan in whose time no code was shown.
	ErrTimeout = errors.New("scanner: no code in time")
	// ErrTwoCodes is the outcome of a Scan that saw two different codes.
	ErrTwoCodes = errors.New("scanner: two codes at once")
	// ErrGone is an engine that is no longer on the line.
	ErrGone = errors.New("scanner: engine is gone")
	// ErrHalted is a use after Halt.
	ErrHalted = errors.New("scanner: halted")
)

// Opts are the options of an engine. The zero value needs a trigger.
type Opts struct {
	// Speed of the line in baud; zero for 9600.
	Speed physic.Frequency
	// Framing of codes.
	Framing Framing
	// Commands of the host.
	Commands Commands
	// Trigger is the trigger input of the engine; nil if commands trigger.
	Trigger gpio.PinOut
	// TriggerActive is the level that triggers, Low by default.
	TriggerActive gpio.Level
	// Continuous leaves the engine reading from the first Scan until Halt. It
	// needs no trigger; without Commands.Continuous the engine must be set to it.
	Continuous bool
	// Timeout bounds one Scan; zero for 30 s.
	Timeout time.Duration
	// Retrigger triggers again so often while nothing is read, for engines whose
	// light goes off by itself; zero for never.
	Retrigger time.Duration
	// Window is how long after its delivery a code is not delivered again; zero
	// for 3 s, negative for never refusing one.
	Window time.Duration
}

// DefaultOpts are the values that a zero Opts stands for.
var DefaultOpts = Opts{
	Speed:   9600 * physic.Hertz,
	Framing: Framing{Gap: defaultGap, MaxLen: MaxPayer},
	Timeout: 30 * time.Second,
	Window:  3 * time.Second,
}

// Dev is one engine.
type Dev struct {
	port   periph.PortCloser
	stream uart.Stream
	opts   Opts

	busy chan struct{} // holds one: what follows is in use
	// guarded by busy
	frames  *framer
	unread  []byte // rest of what buf was filled with
	buf     [256]byte
	setUp   bool
	lit     bool // triggered, and not ended for certain
	looking bool // continuous reading is on
	seen    []sighting

	mu    sync.Mutex // guards stop and the read deadline
	stop  bool       // reading shall end at once
	ended chan struct{}
	once  sync.Once
	err   error // of Halt
}

// sighting is a code that was delivered.
type sighting struct {
	code Code
	at   time.Time
}

var _ conn.Resource = (*Dev)(nil)

// New sets the speed of the port, makes the trigger idle and talks to nobody yet.
// nil opts are DefaultOpts. The port is the device's from now on and closed by
// Halt.
func New(port periph.PortCloser, opts *Opts) (*Dev, error) {
	if opts == nil {
		opts = &DefaultOpts
	}
	o, err := opts.fill()
	if err != nil {
		return nil, fmt.Errorf("open scanner on %s: %w", port, err)
	}
	stream, err := uart.Connect(port, o.Speed, periph.One, periph.NoParity, periph.NoFlow, 8)
	if err != nil {
		return nil, fmt.Errorf("connect scanner on %s: %w", port, err)
	}
	d := &Dev{port: port, stream: stream, opts: o, busy: make(chan struct{}, 1), ended: make(chan struct{})}
	d.frames = newFramer(&d.opts.Framing)
	if o.Trigger != nil {
		if err := o.Trigger.Out(!o.TriggerActive); err != nil {
			return nil, fmt.Errorf("scanner trigger %s: %w", o.Trigger, err)
		}
	}
	return d, nil
}

func (o Opts) fill() (Opts, error) {
	var err error
	if o.Framing, err = o.Framing.fill(); err != nil {
		return o, err
	}
	if o.Speed == 0 {
		o.Speed = DefaultOpts.Speed
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultOpts.Timeout
	}
	if o.Window == 0 {
		o.Window = DefaultOpts.Window
	}
	c := &o.Commands
	if o.Timeout < 0 || o.Retrigger < 0 {
		return o, errors.New("scan time: want a positive duration")
	}
	if o.Trigger == nil && !o.Continuous && (c.Trigger.On.absent() || c.Trigger.Off.absent()) {
		return o, errors.New("no trigger: want a pin, or commands for on and off")
	}
	all := append([]Command{c.Trigger.On, c.Trigger.Off, c.Continuous.On, c.Continuous.Off, c.Beep, c.LED.On, c.LED.Off}, c.Setup...)
	for _, s := range c.Symbology {
		all = append(all, s.On, s.Off)
	}
	for _, c := range all {
		if len(c.Ack) > maxAnswer || len(c.Nack) > maxAnswer {
			return o, fmt.Errorf("command answer: want up to %d bytes", maxAnswer)
		}
	}
	return o, nil
}

// String names the device and its port.
func (d *Dev) String() string { return fmt.Sprintf("scanner{%s}", d.port) }

// Halt ends a Scan, puts the light out, forgets all codes and closes the port. The
// second call changes nothing and returns the same.
func (d *Dev) Halt() error {
	d.once.Do(func() {
		close(d.ended)
		d.interrupt()
		d.busy <- struct{}{} // Scan ends at once, a command soon
		d.resume()
		err := d.off(d.opts.Trigger == nil && d.lit)
		if d.opts.Trigger != nil {
			if pinErr := d.opts.Trigger.Out(!d.opts.TriggerActive); err == nil && pinErr != nil {
				err = fmt.Errorf("trigger %s: %w", d.opts.Trigger, pinErr)
			}
		}
		if d.looking && !d.opts.Commands.Continuous.Off.absent() {
			if off := d.command("continuous off", &d.opts.Commands.Continuous.Off); off != nil {
				err = errors.Join(err, off)
			}
		}
		d.seen = nil
		d.frames.reset()
		clear(d.buf[:])
		if c := d.port.Close(); c != nil {
			err = errors.Join(err, c)
		}
		if d.err = err; err != nil {
			d.err = fmt.Errorf("halt %s: %w", d, err)
		}
	})
	return d.err
}

// lock waits for the device to be free.
func (d *Dev) lock(ctx context.Context) error {
	select {
	case d.busy <- struct{}{}:
	case <-d.ended:
		return ErrHalted
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-d.ended:
		<-d.busy
		return ErrHalted
	default:
		return nil
	}
}

func (d *Dev) unlock() { <-d.busy }

// interrupt makes reading end at once until resume.
func (d *Dev) interrupt() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stop = true
	_ = d.stream.SetReadDeadline(time.Unix(1, 0))
}

func (d *Dev) resume() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stop = false
}

// readByte gives the next byte; ok is false when none came by then.
func (d *Dev) readByte(by time.Time) (b byte, ok bool, err error) {
	if len(d.unread) == 0 {
		n, err := d.read(by)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return 0, false, nil
		case err != nil:
			return 0, false, fmt.Errorf("read: %w: %w", ErrGone, err)
		}
		d.unread = d.buf[:n]
	}
	b = d.unread[0]
	d.unread[0] = 0
	d.unread = d.unread[1:]
	return b, true, nil
}

func (d *Dev) read(by time.Time) (int, error) {
	d.mu.Lock()
	if d.stop {
		by = time.Unix(1, 0)
	}
	err := d.stream.SetReadDeadline(by)
	d.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return d.stream.Read(d.buf[:])
}
