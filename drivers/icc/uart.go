package icc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"
	periph "periph.io/x/conn/v3/uart"

	"posagent/drivers/uart"
)

// Limits of the contact sequence, in clock cycles or initial etu.
const (
	// resetLow: RST stays low 40,000 to 45,000 cycles (EMV Book 1, 6.1.3),
	// longer only while the line is not silent.
	resetLow = 42_000
	// atrStart: the answer begins within 42,000 cycles of RST high (6.1.3).
	atrStart = 42_000
	// atrGap: etu between two characters of the answer (8.1).
	atrGap = 10_080
	// atrTotal: etu for the whole answer (8.1).
	atrTotal = 20_160
	// maxCommand ends any command: longer than a card thinks, shorter than a
	// cardholder waits. It bounds what NULL bytes and waiting time extensions
	// add up to.
	maxCommand = 90 * time.Second
	// pollGap is how often the presence contact is read where the pin has no
	// edges. Card detection to first APDU has 40 ms.
	pollGap = 5 * time.Millisecond
	// edgeWait is the finite wait for an edge of the presence contact; the
	// level is read after each. Never 0 and never negative: the two ends of
	// periph disagree on what those mean.
	edgeWait = 50 * time.Millisecond
)

// Pins are the GPIO lines of a slot without an interface chip.
type Pins struct {
	// Reset drives RST: low holds the card in reset. Required.
	Reset gpio.PinOut
	// Power enables VCC. nil when the slot is always powered.
	Power gpio.PinOut
	// Clock enables CLK. nil when the clock runs with VCC.
	Clock gpio.PinOut
	// Present is the card switch. nil when there is none: then a card is
	// always taken to be there, an empty slot is a mute card, and waiting for a
	// removal ends only with its context.
	Present gpio.PinIn
}

// Opts are the options of NewUART.
type Opts struct {
	// Clock is the frequency on CLK, 1 to 5 MHz (EMV Book 1, 5.3.5). The line
	// starts at Clock/372 baud.
	Clock physic.Frequency
	// PresentLow, PowerLow: the pin is low when a card is there, when VCC is on.
	PresentLow, PowerLow bool
	// ISO accepts every card of ISO/IEC 7816-3 that the driver can serve, not
	// only what EMV allows: TB1 absent, CRC, waiting times beyond EMV's. It
	// also resynchronises T=1 instead of giving the card up. For SAMs and
	// transit cards.
	ISO bool
	// Slack is added to every time-out for the latency of the host's UART.
	Slack time.Duration
}

// DefaultOpts are the options that most slots need.
var DefaultOpts = Opts{
	Clock: 3_579_545 * physic.Hertz,
	Slack: 20 * time.Millisecond,
}

// UART is a contact slot on a bare half-duplex UART with GPIO lines.
type UART struct {
	name  string
	port  periph.Port
	pins  Pins
	opts  Opts
	edges bool
	line  line
	atr   *ATR
	t1    *t1
	t0    *t0
}

var _ Reader = (*UART)(nil)

// NewUART takes a port whose transmitter and receiver are both tied to the I/O
// contact, so that it hears what it sends. It sets the port to Clock/372 baud,
// even parity, two stop bits, and leaves the contacts without power. nil opts
// means DefaultOpts.
func NewUART(port periph.PortCloser, pins Pins, opts *Opts) (*UART, error) {
	if opts == nil {
		opts = &DefaultOpts
	}
	d := &UART{port: port, pins: pins, opts: *opts}
	if d.opts.Clock == 0 {
		d.opts.Clock = DefaultOpts.Clock
	}
	d.name = fmt.Sprintf("ICC on %s", port)
	if d.opts.Clock < physic.MegaHertz || d.opts.Clock > 5*physic.MegaHertz {
		return nil, fmt.Errorf("%s: clock %s, want 1 to 5 MHz", d.name, d.opts.Clock)
	}
	if pins.Reset == nil {
		return nil, fmt.Errorf("%s: pin Reset is required", d.name)
	}
	if pins.Present != nil {
		d.edges = pins.Present.In(gpio.PullNoChange, gpio.BothEdges) == nil
		if !d.edges {
			if err := pins.Present.In(gpio.PullNoChange, gpio.NoEdge); err != nil {
				return nil, fmt.Errorf("%s: set up pin Present: %w", d.name, err)
			}
		}
	}
	d.line = line{clock: d.opts.Clock, slack: d.opts.Slack, present: d.inserted, d: 1}
	if err := d.speed(1); err != nil {
		return nil, fmt.Errorf("%s: %w", d.name, err)
	}
	if err := d.Deactivate(); err != nil {
		return nil, err
	}
	return d, nil
}

// String names the port.
func (d *UART) String() string { return d.name }

// speed sets the line to div/372 bits per clock.
func (d *UART) speed(div uint8) error {
	f := d.opts.Clock * physic.Frequency(div) / 372
	c, err := d.port.Connect(f, periph.Two, periph.Even, periph.NoFlow, 8)
	if err != nil {
		return fmt.Errorf("set %s: %w", f, err)
	}
	s, err := uart.AsStream(c)
	if err != nil {
		return err
	}
	d.line.s, d.line.d = s, div
	return nil
}

func (d *UART) inserted() bool {
	return d.pins.Present == nil || bool(d.pins.Present.Read()) != d.opts.PresentLow
}

// Present reads the card switch.
func (d *UART) Present(ctx context.Context) (bool, error) { return d.inserted(), ctx.Err() }

// Wait waits for the card switch. A removal takes the power away.
func (d *UART) Wait(ctx context.Context, present bool) error {
	for {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%s: wait for card: %w", d.name, err)
		}
		if d.inserted() == present {
			if !present {
				return d.Deactivate()
			}
			return nil
		}
		began := time.Now()
		if d.edges && d.pins.Present.WaitForEdge(edgeWait) {
			continue
		}
		// A pin that gives up at once must not turn this into a busy loop.
		if rest := pollGap - time.Since(began); rest > 0 {
			_ = pause(ctx, rest)
		}
	}
}

// Activate powers the card and resets it; an answer that EMV rejects is given
// a warm reset as its second chance (EMV Book 1, 8.4).
func (d *UART) Activate(ctx context.Context) (*ATR, error) {
	if err := d.Deactivate(); err != nil {
		return nil, err
	}
	if !d.inserted() {
		return nil, fmt.Errorf("%s: activate: %w", d.name, ErrNoCard)
	}
	a, err := d.activate(ctx)
	if err != nil {
		return nil, errors.Join(failed(d.name+": activate", err), d.Deactivate())
	}
	d.atr = a
	return a, nil
}

func (d *UART) activate(ctx context.Context) (*ATR, error) {
	if err := d.powerUp(); err != nil {
		return nil, err
	}
	a, err := d.reset(ctx, false)
	if wantsWarm(err) {
		a, err = d.reset(ctx, true)
	}
	if err != nil {
		return nil, err
	}
	return a, d.begin(ctx, a)
}

// wantsWarm: a rejected or damaged answer gets a warm reset, silence does not.
func wantsWarm(err error) bool {
	var ae *ATRError
	return errors.As(err, &ae) || errors.Is(err, errParity)
}

// powerUp is the activation of EMV Book 1, 6.1.2: RST low, VCC, then CLK.
func (d *UART) powerUp() error {
	if err := d.speed(1); err != nil {
		return err
	}
	if err := d.pins.Reset.Out(gpio.Low); err != nil {
		return fmt.Errorf("pin Reset: %w", err)
	}
	if err := d.power(true); err != nil {
		return err
	}
	if d.pins.Clock != nil {
		if err := d.pins.Clock.Out(gpio.High); err != nil {
			return fmt.Errorf("pin Clock: %w", err)
		}
	}
	return nil
}

func (d *UART) power(on bool) error {
	if d.pins.Power == nil {
		return nil
	}
	if err := d.pins.Power.Out(gpio.Level(on != d.opts.PowerLow)); err != nil {
		return fmt.Errorf("pin Power: %w", err)
	}
	return nil
}

// reset holds RST low, lets it go, and reads the answer.
func (d *UART) reset(ctx context.Context, warm bool) (*ATR, error) {
	l := &d.line
	l.inverse, l.n, l.turn, l.until = false, 0, turnT0, time.Time{}
	if err := d.pins.Reset.Out(gpio.Low); err != nil {
		return nil, fmt.Errorf("pin Reset: %w", err)
	}
	// What an aborted command left in the port is thrown away, and so is what
	// still arrives while RST is low: it would be taken for TS.
	if q, ok := l.s.(uart.Discarder); ok {
		if err := q.Discard(true, true); err != nil {
			return nil, fmt.Errorf("empty port: %w", err)
		}
	}
	if _, err := l.settle(ctx, cycles(d.opts.Clock, resetLow)); err != nil {
		return nil, err
	}
	l.parityMark()
	if err := d.pins.Reset.Out(gpio.High); err != nil {
		return nil, fmt.Errorf("pin Reset: %w", err)
	}
	b, err := d.readATR(ctx)
	if err != nil {
		return nil, err
	}
	if !l.parityClean() {
		return nil, errParity
	}
	a, err := ParseATR(b)
	if err != nil {
		return nil, err
	}
	a.Warm = warm
	if d.opts.ISO {
		return a, a.checkISO()
	}
	return a, a.CheckEMV(warm)
}

// readATR reads as many characters as T0 and the TDi announce.
func (d *UART) readATR(ctx context.Context) ([]byte, error) {
	l := &d.line
	ts, err := l.recv(ctx, cycles(d.opts.Clock, atrStart))
	if errors.Is(err, errTimeout) {
		return nil, ErrMute
	}
	if err != nil {
		return nil, err
	}
	by := time.Now().Add(l.etu(atrTotal))
	if ts == flip(tsInverse) { // 03: what a direct UART makes of 3F
		ts, l.inverse = tsInverse, true
	}
	b := append(make([]byte, 0, maxATR), ts)
	if ts != tsDirect && ts != tsInverse {
		_, err := l.settle(ctx, l.etu(atrGap))
		return nil, errors.Join(err, &ATRError{"TS", ts, "neither 3B nor 3F"})
	}
	for need := 2; len(b) < need; {
		wait := min(l.etu(atrGap), time.Until(by))
		c, err := l.recv(ctx, max(wait, 0))
		if err != nil {
			return nil, fmt.Errorf("answer to reset after %d characters: %w", len(b), err)
		}
		if b = append(b, c); len(b) > 1 {
			if need, err = atrNeed(b); err != nil {
				return nil, err
			}
		}
	}
	return b, nil
}

// begin puts the parameters of the answer in force.
func (d *UART) begin(ctx context.Context, a *ATR) error {
	p := a.Params()
	if p.D != d.line.d {
		if err := d.speed(p.D); err != nil {
			return err
		}
	}
	l := &d.line
	l.n = p.N
	d.t0, d.t1 = nil, nil
	if p.Protocol == T0 {
		l.turn = turnT0
		d.t0 = &t0{l: l, wwt: p.WWT}
		return nil
	}
	l.turn = turnT1
	d.t1 = newT1(l, p, d.opts.ISO)
	l.until = time.Now().Add(maxCommand)
	return d.t1.start(ctx)
}

// Transmit exchanges one APDU with the active card.
func (d *UART) Transmit(ctx context.Context, capdu []byte) ([]byte, error) {
	if d.atr == nil {
		return nil, fmt.Errorf("%s: transmit: %w", d.name, ErrInactive)
	}
	c, err := parseCommand(capdu)
	if err != nil {
		return nil, err
	}
	d.line.until = time.Now().Add(maxCommand)
	var r []byte
	if d.t1 != nil {
		r, err = d.t1.transmit(ctx, capdu)
	} else {
		r, err = d.t0.transmit(ctx, c)
	}
	switch {
	case err == nil:
		return r, nil
	case errors.Is(err, ErrResynched):
		return nil, failed(d.name+": transmit", err)
	}
	return nil, errors.Join(failed(d.name+": transmit", err), d.Deactivate())
}

// Deactivate: RST low, CLK off, VCC off (EMV Book 1, 6.1.5). I/O follows VCC,
// to which it is pulled up.
func (d *UART) Deactivate() error {
	d.atr, d.t0, d.t1 = nil, nil, nil
	var errs []error
	if err := d.pins.Reset.Out(gpio.Low); err != nil {
		errs = append(errs, fmt.Errorf("pin Reset: %w", err))
	}
	if d.pins.Clock != nil {
		if err := d.pins.Clock.Out(gpio.Low); err != nil {
			errs = append(errs, fmt.Errorf("pin Clock: %w", err))
		}
	}
	errs = append(errs, d.power(false))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%s: deactivate: %w", d.name, err)
	}
	return nil
}

// Halt deactivates the card. The port is the caller's to close.
func (d *UART) Halt() error { return d.Deactivate() }
