package magstripe

import (
	"context"
	"fmt"

	"periph.io/x/conn/v3/gpio"

	"posagent/drivers/magstripe/internal/wire"
)

// ShiftPins are the wires of a buffered swipe chip.
type ShiftPins struct {
	// Strobe is driven by the terminal: each rise brings the next bit.
	Strobe gpio.PinOut
	// Data is driven by the chip, low for a one. The terminal pulls it low during
	// a strobe to make the chip forget its buffer.
	Data gpio.PinIO
	// Ready is low while the chip holds a swipe.
	Ready gpio.PinIn
}

// ShiftOut is a chip that decodes F2F into a buffer of 712 cells per track and
// hands them out bit by bit at the pace of the terminal: nothing here depends on
// time. The bits have both directions and both polarities, as the hand and the
// wiring of the head have it. One goroutine at a time calls Swipe.
type ShiftOut struct {
	pins ShiftPins
	halt *halt
	find finder
	bits [wire.TrackBits]byte
}

var _ Reader = (*ShiftOut)(nil)

// NewShiftOut sets the pins up and makes the chip forget what it holds: a card
// swiped before the terminal was listening is nobody's. The chip has no knobs.
func NewShiftOut(pins ShiftPins) (*ShiftOut, error) {
	s := &ShiftOut{pins: pins, halt: newHalt()}
	if err := pins.Strobe.Out(gpio.Low); err != nil {
		return nil, fmt.Errorf("magstripe: set up %s: %w", pins.Strobe, err)
	}
	if err := pins.Ready.In(gpio.PullUp, gpio.BothEdges); err != nil {
		return nil, fmt.Errorf("magstripe: set up %s: %w", pins.Ready, err)
	}
	if err := s.forget(); err != nil {
		return nil, fmt.Errorf("magstripe: reset chip: %w", err)
	}
	return s, nil
}

// String is part and data pin.
func (s *ShiftOut) String() string { return "magstripe shift-out(" + s.pins.Data.Name() + ")" }

// Halt ends the use of the chip and leaves the strobe low.
func (s *ShiftOut) Halt() error {
	if !s.halt.end() {
		return nil
	}
	if err := s.pins.Strobe.Out(gpio.Low); err != nil {
		return err
	}
	return s.pins.Ready.Halt()
}

// Swipe waits for Ready and shifts the buffer out.
func (s *ShiftOut) Swipe(ctx context.Context) (Swipe, error) {
	if err := waitLevel(ctx, s.halt, s.pins.Ready, gpio.Low); err != nil {
		return Swipe{}, err
	}
	out, err := s.shift(ctx)
	clear(s.bits[:])
	if err != nil {
		if ferr := s.forget(); ferr != nil {
			return Swipe{}, linkError("reset chip", ferr)
		}
		return Swipe{}, err
	}
	out.settle()
	return out, nil
}

func (s *ShiftOut) shift(ctx context.Context) (out Swipe, err error) {
	var preamble uint16
	for range wire.PreambleBits {
		b, err := s.bit()
		if err != nil {
			return out, linkError("read preamble", err)
		}
		preamble = preamble<<1 | uint16(b)
	}
	if preamble != wire.Preamble {
		return out, linkError("read preamble", nil)
	}
	for n := Track1; n <= Track3; n++ {
		if err := s.halt.err(ctx); err != nil {
			return out, err
		}
		for i := range s.bits {
			if s.bits[i], err = s.bit(); err != nil {
				return out, linkError("read "+n.String(), err)
			}
		}
		t, err := s.judge(n)
		out.set(n, t, err)
	}
	if s.pins.Ready.Read() != gpio.High { // the chip counted fewer strobes
		return out, linkError("end of buffer", nil)
	}
	return out, nil
}

// judge looks for the track in the bits as they are and inverted. Parity tells
// the two apart: widths are odd, so an inverted character has even parity.
func (s *ShiftOut) judge(n Number) (Track, error) {
	s.find.reset(n)
	s.find.scan(s.bits[:], nil)
	if !s.find.found && s.find.err != ErrBlank && s.find.err != ErrConflict {
		for i := range s.bits {
			s.bits[i] ^= 1
		}
		s.find.scan(s.bits[:], nil)
	}
	return s.find.result()
}

// bit strobes one bit out.
func (s *ShiftOut) bit() (byte, error) {
	if err := s.pins.Strobe.Out(gpio.High); err != nil {
		return 0, err
	}
	l := s.pins.Data.Read()
	if err := s.pins.Strobe.Out(gpio.Low); err != nil {
		return 0, err
	}
	if l == gpio.Low {
		return 1, nil
	}
	return 0, nil
}

// forget resets the chip: a strobe while the terminal holds Data low.
func (s *ShiftOut) forget() error {
	if err := s.pins.Data.Out(gpio.Low); err != nil {
		return err
	}
	if err := s.pins.Strobe.Out(gpio.High); err != nil {
		return err
	}
	if err := s.pins.Strobe.Out(gpio.Low); err != nil {
		return err
	}
	return s.pins.Data.In(gpio.PullUp, gpio.NoEdge)
}
