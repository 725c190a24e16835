package pn532

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	periph "periph.io/x/conn/v3/uart"

	"posagent/nfc"
	"posagent/nfc/iso14443"
)

// Opts configures a Dev. A zero MaxBaud or MaxWait means that of DefaultOpts.
type Opts struct {
	// MaxBaud is the highest speed of the line; the highest of BaudRates within
	// it is used. The chip begins at ResetBaud.
	MaxBaud uint32
	// MaxWait bounds one APDU part: from its acknowledgement to the response.
	MaxWait time.Duration
	// MaxRate bounds the rate that is agreed with a card; the zero value is
	// Rate106, that of the activation.
	MaxRate iso14443.Rate
}

// DefaultOpts is the fastest line of a Linux terminal.
var DefaultOpts = Opts{MaxBaud: 921_600, MaxWait: 20 * time.Second, MaxRate: iso14443.Rate424}

// ErrChip: the chip does not answer, or not in its own language. It wraps the
// detail.
var ErrChip = errors.New("NFC chip failed")

// Firmware is what the chip says of itself: UM0701-02, 7.2.2.
type Firmware struct {
	IC, Version, Revision uint8
	// Support has bit 0 for type A, bit 1 for type B.
	Support uint8
}

// state of the link to the chip.
type state uint8

const (
	// asleep: nothing is known of the chip; it is woken and set up before use.
	asleep state = iota
	// dirty: an exchange went wrong, and answers to it may still come.
	dirty
	ready
)

// Dev is a PN532. It is an nfc.Reader; one goroutine owns it and its cards.
type Dev struct {
	bus   bus
	opts  Opts
	state state
	// spoiled: the chip may hold half a frame.
	spoiled bool
	nonce   uint32
	// epoch counts set-ups: a chip that was set up anew holds no card.
	epoch uint32
	// field is what the chip was last told; dark is from when it may be on.
	field bool
	dark  time.Time
	card  *Card
	body  []byte
	last  []byte // the response that was taken last
}

var _ nfc.Reader = (*Dev)(nil)

// New connects port at ResetBaud, 8N1, and sends nothing: the chip is set up at
// its first use. nil opts means DefaultOpts.
func New(port periph.PortCloser, opts *Opts) (*Dev, error) {
	if opts == nil {
		opts = &DefaultOpts
	}
	o := *opts
	if o.MaxBaud == 0 {
		o.MaxBaud = DefaultOpts.MaxBaud
	}
	if o.MaxWait == 0 {
		o.MaxWait = DefaultOpts.MaxWait
	}
	if o.MaxBaud < ResetBaud {
		return nil, fmt.Errorf("PN532 on %s: %d baud, want %d at least", port, o.MaxBaud, ResetBaud)
	}
	h, err := newHSU(port)
	if err != nil {
		return nil, fmt.Errorf("PN532 on %s: %w", port, err)
	}
	return &Dev{bus: h, opts: o}, nil
}

// String names the port.
func (d *Dev) String() string { return fmt.Sprintf("PN532 on %s", d.bus) }

// Firmware asks the chip who it is.
func (d *Dev) Firmware(ctx context.Context) (Firmware, error) {
	b, err := d.command(ctx, request{code: CmdGetFirmwareVersion, wait: quick, again: true})
	if err == nil && len(b) != 4 {
		err = fmt.Errorf("%w: firmware of %d bytes", ErrChip, len(b))
	}
	if err != nil {
		return Firmware{}, fmt.Errorf("%s: firmware: %w", d, err)
	}
	return Firmware{b[0], b[1], b[2], b[3]}, nil
}

// Field implements nfc.Reader.
func (d *Dev) Field(on bool) error {
	d.drop()
	if err := d.carrier(context.Background(), on); err != nil {
		return fmt.Errorf("%s: turn field %s: %w", d, map[bool]string{true: "on", false: "off"}[on], err)
	}
	return nil
}

// Halt implements nfc.Reader: the field goes off and the chip sleeps. A chip that
// was never used is left as it is.
func (d *Dev) Halt() error {
	d.drop()
	if d.state == asleep && !d.field {
		return nil
	}
	ctx := context.Background()
	err := d.carrier(ctx, false)
	if err == nil {
		err = statusOf(d.command(ctx, request{code: CmdPowerDown, data: []byte{WakeHSU}, wait: quick, again: true}))
	}
	d.state = asleep
	if err != nil {
		return fmt.Errorf("%s: halt: %w", d, err)
	}
	return nil
}

// drop ends the session of the last card.
func (d *Dev) drop() {
	if d.card != nil {
		d.card.dead = true
	}
	d.card = nil
}

// carrier turns the field on or off; on not sooner than cards have forgotten.
func (d *Dev) carrier(ctx context.Context, on bool) error {
	if on {
		if err := pause(ctx, time.Until(d.dark)); err != nil {
			return err
		}
	}
	epoch := d.epoch
	var bit byte
	if on {
		bit = 1
	}
	_, err := d.command(ctx, request{code: CmdRFConfiguration, data: []byte{RFField, bit}, wait: quick, again: true})
	if err != nil {
		return err
	}
	if !on && (d.field || d.dark.IsZero() || d.epoch != epoch) {
		d.dark = time.Now().Add(nfc.FieldOff)
	}
	d.field = on
	return nil
}

// setUp wakes the chip and brings it from any state to the one that Poll needs.
func (d *Dev) setUp(ctx context.Context) error {
	var err error
	for range maxTries {
		if err = ctx.Err(); err != nil {
			return err
		}
		if err = d.trySetUp(ctx); err == nil {
			d.epoch++
			d.field, d.dark = false, time.Now().Add(nfc.FieldOff)
			return nil
		}
		if !recoverable(err) {
			break
		}
	}
	d.state = asleep
	return fmt.Errorf("set up: %w", err)
}

func (d *Dev) trySetUp(ctx context.Context) error {
	if err := d.bus.wake(ctx); err != nil {
		return err
	}
	if err := d.synchronise(ctx); err != nil {
		// The chip may be at the speed that it was raised to.
		baud := d.fastest()
		if !recoverable(err) || baud == ResetBaud {
			return err
		}
		if err := d.bus.speed(baud); err != nil {
			return err
		}
		if err := d.synchronise(ctx); err != nil {
			return err
		}
	}
	for _, r := range []request{
		{code: CmdSAMConfiguration, data: []byte{SAMNormal, 0, 0}},
		{code: CmdRFConfiguration, data: []byte{RFField, 0}},
		// No time-out of ATR_RES matters here; frames without one of their own
		// (RATS, PPS) get 51.2 ms (UM0701-02, 7.3.1, table 17).
		{code: CmdRFConfiguration, data: []byte{RFTimings, 0, 0x0B, 0x0A}},
		// One try of each request: Poll is the loop.
		{code: CmdRFConfiguration, data: []byte{RFRetries, 0, 1, 0}},
	} {
		r.wait = quick
		if _, err := d.exchange(ctx, r); err != nil {
			return err
		}
	}
	return d.raise(ctx)
}

// fastest is the highest speed of chip and line.
func (d *Dev) fastest() uint32 {
	best := uint32(ResetBaud)
	for _, b := range BaudRates {
		if b <= d.opts.MaxBaud {
			best = max(best, b)
		}
	}
	return best
}

// speedTime is what the chip takes to change.
const speedTime = time.Millisecond

// raise changes to the fastest speed: UM0701-02, 7.2.8. The chip changes after
// it was told that its response has arrived.
func (d *Dev) raise(ctx context.Context) error {
	baud := d.fastest()
	if baud == ResetBaud {
		return nil
	}
	code := slices.Index(BaudRates[:], baud)
	if _, err := d.exchange(ctx, request{code: CmdSetSerialBaudRate, data: []byte{byte(code)}, wait: quick}); err != nil {
		return err
	}
	if err := d.bus.send(Frame{Kind: ACK}, false); err != nil {
		return err
	}
	if err := d.bus.speed(baud); err != nil {
		return err
	}
	if err := pause(ctx, speedTime); err != nil {
		return err
	}
	return d.synchronise(ctx)
}
