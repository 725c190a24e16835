package icc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"periph.io/x/conn/v3/physic"
	periph "periph.io/x/conn/v3/uart"

	"posagent/drivers/uart"
)

const (
	// chipGap is the longest silence inside a frame.
	chipGap = 100 * time.Millisecond
	// chipQuick bounds the chip's own answers, chipPower those that read an
	// answer to reset: twice 20,160 etu (cold and warm) with room.
	chipQuick = 500 * time.Millisecond
	chipPower = 6 * time.Second
	// chipCard bounds a card command. The chip grants waiting time extensions
	// itself; when the first byte of a command frame is lost, nothing comes.
	chipCard = 30 * time.Second
	// chipPoll is the longest time between two presence questions when no
	// card event came.
	chipPoll = 500 * time.Millisecond
	// chipSlice is how long a read waits before the context is looked at.
	chipSlice = 50 * time.Millisecond
	// maxChipTries bounds the attempts to get one command into the chip.
	maxChipTries = 3
	// maxEvents bounds card events between a command and its answer.
	maxEvents = 16
)

// ChipOpts are the options of NewTDA8029.
type ChipOpts struct {
	// Baud is the speed of the chip's serial line: 38,400 after its reset.
	Baud physic.Frequency
	// PowerUp is the command that gives the card its voltage: CmdPowerUp5,
	// CmdPowerUp3 or CmdPowerUp18.
	PowerUp byte
	// ISO asks the chip for ISO/IEC 7816-3 behaviour instead of EMV and accepts
	// every card that it activates.
	ISO bool
}

// DefaultChipOpts fit a chip after reset and an EMV class A card.
var DefaultChipOpts = ChipOpts{Baud: 38_400 * physic.Hertz, PowerUp: CmdPowerUp5}

// TDA8029 is a card slot behind a TDA8029-class interface chip on a UART. The
// chip speaks T=0 and T=1 with the card; the line carries ALPAR frames.
type TDA8029 struct {
	name   string
	s      uart.Stream
	opts   ChipOpts
	atr    *ATR
	events uint32 // card events seen
	gone   bool   // the card left since Activate
	buf    []byte
}

var _ Reader = (*TDA8029)(nil)

// NewTDA8029 connects port at the chip's speed, 8N1. It sends nothing. nil opts
// means DefaultChipOpts.
func NewTDA8029(port periph.PortCloser, opts *ChipOpts) (*TDA8029, error) {
	if opts == nil {
		opts = &DefaultChipOpts
	}
	d := &TDA8029{name: fmt.Sprintf("TDA8029 on %s", port), opts: *opts}
	if d.opts.Baud == 0 {
		d.opts.Baud = DefaultChipOpts.Baud
	}
	switch d.opts.PowerUp {
	case 0:
		d.opts.PowerUp = DefaultChipOpts.PowerUp
	case CmdPowerUp5, CmdPowerUp3, CmdPowerUp18:
	default:
		return nil, fmt.Errorf("%s: power-up command %02X", d.name, d.opts.PowerUp)
	}
	s, err := uart.Connect(port, d.opts.Baud, periph.One, periph.NoParity, periph.NoFlow, 8)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.name, err)
	}
	d.s = s
	return d, nil
}

// String names the port.
func (d *TDA8029) String() string { return d.name }

// Mask asks for the name of the chip's firmware.
func (d *TDA8029) Mask(ctx context.Context) (string, error) {
	b, err := d.command(ctx, CmdMask, nil, chipQuick, true)
	if err != nil {
		return "", failed(d.name+": mask", err)
	}
	return string(b), nil
}

// Present asks the chip for its card switch.
func (d *TDA8029) Present(ctx context.Context) (bool, error) {
	b, err := d.command(ctx, CmdPresence, nil, chipQuick, true)
	if err != nil {
		return false, failed(d.name+": presence", err)
	}
	if len(b) != 1 || b[0] > 1 {
		return false, failed(d.name+": presence", fmt.Errorf("answer % X", b))
	}
	return b[0] == 1, nil
}

// Wait listens for the chip's card events and asks from time to time, in case
// one was lost.
func (d *TDA8029) Wait(ctx context.Context, present bool) error {
	for {
		in, err := d.Present(ctx)
		if err != nil {
			return err
		}
		if in == present {
			if !present {
				return d.Deactivate()
			}
			return nil
		}
		seen := d.events
		for by := time.Now().Add(chipPoll); d.events == seen && time.Now().Before(by); {
			if _, err := d.next(ctx, by); err != nil && !recoverable(err) {
				return fmt.Errorf("%s: wait for card: %w", d.name, err)
			}
		}
	}
}

// recoverable errors of a frame end with the next one.
func recoverable(err error) bool {
	var fe *FrameError
	return errors.Is(err, errTimeout) || errors.As(err, &fe)
}

// Activate powers the card through the chip. An answer that EMV rejects is
// given a second power-up, which the chip makes a warm reset.
func (d *TDA8029) Activate(ctx context.Context) (*ATR, error) {
	if err := d.Deactivate(); err != nil {
		return nil, err
	}
	d.gone = false
	a, err := d.powerUp(ctx, false)
	var ae *ATRError
	if errors.As(err, &ae) {
		a, err = d.powerUp(ctx, true)
	}
	if err != nil {
		return nil, errors.Join(failed(d.name+": activate", err), d.Deactivate())
	}
	d.atr = a
	return a, nil
}

func (d *TDA8029) powerUp(ctx context.Context, warm bool) (*ATR, error) {
	mode := byte(1)
	if d.opts.ISO {
		mode = 0
	}
	b, err := d.command(ctx, d.opts.PowerUp, []byte{mode}, chipPower, false)
	var ce ChipError
	if errors.As(err, &ce) {
		switch byte(ce) {
		case ChipNoCard:
			return nil, fmt.Errorf("%w: %w", ErrNoCard, ce)
		case ChipMute:
			return nil, fmt.Errorf("%w: %w", ErrMute, ce)
		case ChipBadTS:
			return nil, &ATRError{"TS", 0, "the chip knows neither 3B nor 3F in it"}
		}
	}
	if err != nil {
		return nil, err
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

// Transmit exchanges one APDU with the active card.
func (d *TDA8029) Transmit(ctx context.Context, capdu []byte) ([]byte, error) {
	if d.atr == nil {
		return nil, fmt.Errorf("%s: transmit: %w", d.name, ErrInactive)
	}
	if _, err := parseCommand(capdu); err != nil {
		return nil, err
	}
	b, err := d.command(ctx, CmdCard, capdu, chipCard, false)
	var ce ChipError
	switch {
	case errors.As(err, &ce) && (byte(ce) == ChipNoCard || byte(ce) == ChipDeactivated):
		err = fmt.Errorf("%w: %w", ErrRemoved, ce)
	case err == nil && len(b) < 2:
		err = fmt.Errorf("response APDU of %d bytes", len(b))
	}
	if err != nil {
		return nil, errors.Join(failed(d.name+": transmit", err), d.Deactivate())
	}
	return append([]byte(nil), b...), nil
}

// Deactivate tells the chip to run its deactivation sequence.
func (d *TDA8029) Deactivate() error {
	d.atr = nil
	// Taking the power away must not depend on the context of a sale.
	_, err := d.command(context.Background(), CmdPowerOff, nil, chipQuick, true)
	var ce ChipError
	if err != nil && !(errors.As(err, &ce) && byte(ce) == ChipNoCard) {
		return failed(d.name+": deactivate", err)
	}
	return nil
}

// Halt deactivates the card. The port is the caller's to close.
func (d *TDA8029) Halt() error { return d.Deactivate() }

// command sends one frame and returns the data of its answer, valid until the
// next call. A command that the chip says it did not understand is sent again;
// one whose answer was lost only when repeating it does no harm (again).
func (d *TDA8029) command(ctx context.Context, cmd byte, data []byte, wait time.Duration, again bool) ([]byte, error) {
	out := Frame{Cmd: cmd, Data: data}.AppendTo(nil)
	var err error
	for range maxChipTries {
		if err = d.purge(ctx); err != nil {
			return nil, err
		}
		if d.gone && cmd == CmdCard {
			return nil, ErrRemoved
		}
		if err = d.s.SetWriteDeadline(time.Now().Add(chipPower)); err != nil {
			return nil, fmt.Errorf("set write deadline: %w", err)
		}
		if _, err = d.s.Write(out); err != nil {
			return nil, fmt.Errorf("write port: %w", err)
		}
		var f Frame
		f, err = d.answer(ctx, cmd, time.Now().Add(wait))
		if err == nil && !f.NAK {
			return f.Data, nil
		}
		if err == nil {
			if len(f.Data) == 0 {
				err = &FrameError{"length", "a negative answer without error code"}
				continue
			}
			ce := ChipError(f.Data[len(f.Data)-1])
			if err = ce; byte(ce) != ChipSerialLRC && byte(ce) != ChipSerialTime {
				return nil, err
			}
			continue
		}
		if !again || !recoverable(err) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%d attempts: %w", maxChipTries, err)
}

// answer waits for the answer to cmd and takes note of card events before it.
func (d *TDA8029) answer(ctx context.Context, cmd byte, by time.Time) (Frame, error) {
	for range maxEvents {
		f, err := d.next(ctx, by)
		if err != nil {
			return f, err
		}
		if d.gone && cmd == CmdCard {
			return f, ErrRemoved
		}
		if f.Cmd == cmd {
			return f, nil
		}
	}
	return Frame{}, fmt.Errorf("%w: %d frames, none of them the answer", errBound, maxEvents)
}

// next reads one frame. The first byte may come until by, the others follow
// within chipGap. Card events are noted and returned like any frame.
func (d *TDA8029) next(ctx context.Context, by time.Time) (Frame, error) {
	var b []byte
	for need := 5; len(b) < need; {
		c, err := d.recv(ctx, by)
		if err != nil {
			return Frame{}, fmt.Errorf("receive frame after %d bytes: %w", len(b), err)
		}
		b = append(b, c)
		if need, err = FrameNeed(b); err != nil {
			d.drain(ctx)
			return Frame{}, err
		}
		by = time.Now().Add(chipGap)
	}
	f, err := ParseFrame(b)
	if err != nil {
		d.drain(ctx)
		return f, err
	}
	if f.Cmd == EventCard && !f.NAK && len(f.Data) == 1 {
		d.events++
		d.gone = d.gone || f.Data[0] == 0
	}
	return f, nil
}

// purge takes note of events that came since the last command and throws away
// the rest of what is there.
func (d *TDA8029) purge(ctx context.Context) error {
	for range maxEvents {
		if _, err := d.next(ctx, time.Now().Add(time.Millisecond)); errors.Is(err, errTimeout) {
			break
		} else if err != nil && !recoverable(err) {
			return err
		}
	}
	d.buf = d.buf[:0]
	return nil
}

// drain waits for silence after a broken frame.
func (d *TDA8029) drain(ctx context.Context) {
	for range 2 * MaxFrameData {
		if _, err := d.recv(ctx, time.Now().Add(chipGap)); err != nil {
			return
		}
	}
}

// recv returns the next byte, or errTimeout, or the context's error.
func (d *TDA8029) recv(ctx context.Context, by time.Time) (byte, error) {
	var b [64]byte
	for len(d.buf) == 0 {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		now := time.Now()
		if !now.Before(by) {
			return 0, errTimeout
		}
		slice := by
		if s := now.Add(chipSlice); s.Before(by) {
			slice = s
		}
		if err := d.s.SetReadDeadline(slice); err != nil {
			return 0, fmt.Errorf("set read deadline: %w", err)
		}
		n, err := d.s.Read(b[:])
		d.buf = append(d.buf[:0], b[:n]...)
		if n == 0 && err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, fmt.Errorf("read port: %w", err)
		}
	}
	c := d.buf[0]
	d.buf = d.buf[1:]
	return c, nil
}
