package board

import (
	"context"
	"fmt"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"
	periph "periph.io/x/conn/v3/uart"

	"posagent/drivers/display"
	"posagent/drivers/icc"
	"posagent/drivers/pinpad"
	"posagent/nfc/pn532"
	"posagent/printer/thermal"
)

// Open opens the parts of a profile on buses; nil is Machine. A part that fails
// is noted in Missing and the next one is opened. The error is that of an
// invalid profile, or of ctx when it ends meanwhile; then nothing stays open.
func Open(ctx context.Context, profile *Profile, buses Buses) (*Parts, error) {
	if err := profile.Validate(); err != nil {
		return nil, fmt.Errorf("open board: %w", err)
	}
	if buses == nil {
		buses = Machine()
	}
	o := &opener{buses: buses, parts: &Parts{Model: profile.Model, Missing: map[Part]error{}}}
	for _, step := range []struct {
		part Part
		open func() error
	}{
		{Display, func() error { return o.display(profile.Parts.Display) }},
		{Printer, func() error { return o.printer(profile.Parts.Printer) }},
		{PINPad, func() error { return o.pinpad(profile.Parts.PINPad) }},
		{ICC, func() error { return o.icc(profile.Parts.ICC) }},
		{NFC, func() error { return o.nfc(profile.Parts.NFC) }},
	} {
		if err := ctx.Err(); err != nil {
			_ = o.parts.Halt()
			return nil, fmt.Errorf("open board: %w", err)
		}
		if err := step.open(); err != nil {
			o.parts.miss(step.part, err)
		}
	}
	return o.parts, nil
}

type opener struct {
	buses Buses
	parts *Parts
}

// uart opens a port and gives it to use; the port is closed again when that
// fails.
func (o *opener) uart(name string, use func(periph.PortCloser) error) error {
	port, err := o.buses.UART(name)
	if err != nil {
		return fmt.Errorf("port: %w", err)
	}
	if err := use(port); err != nil {
		_ = port.Close()
		return err
	}
	return nil
}

// pin finds an optional pin; no name is no pin.
func (o *opener) pin(field, name string) (gpio.PinIO, error) {
	if name == "" {
		return nil, nil
	}
	p, err := o.buses.Pin(name)
	if err != nil {
		return nil, fmt.Errorf("pin %s: %w", field, err)
	}
	return p, nil
}

func hertz(n uint32) physic.Frequency { return physic.Frequency(n) * physic.Hertz }

func (o *opener) icc(d *ICCPart) error {
	if d == nil {
		return ErrNotFitted
	}
	return o.uart(d.Port, func(port periph.PortCloser) error {
		open := o.bareSlot
		if d.Driver == "tda8029" {
			open = o.tda8029
		}
		reader, err := open(port, d)
		if err != nil {
			return err
		}
		o.parts.ICC = reader
		o.parts.atHalt(ICC, reader.Halt, port.Close)
		return nil
	})
}

func (o *opener) tda8029(port periph.PortCloser, d *ICCPart) (icc.Reader, error) {
	opts := icc.DefaultChipOpts
	if d.Baud != 0 {
		opts.Baud = hertz(d.Baud)
	}
	r, err := icc.NewTDA8029(port, &opts)
	if err != nil { // not a nil *TDA8029 in a Reader
		return nil, err
	}
	return r, nil
}

func (o *opener) bareSlot(port periph.PortCloser, d *ICCPart) (icc.Reader, error) {
	opts := icc.DefaultOpts
	opts.PresentLow, opts.PowerLow = d.PresentLow, d.PowerLow
	if d.ClockHz != 0 {
		opts.Clock = hertz(d.ClockHz)
	}
	var pins icc.Pins
	for _, w := range []struct {
		field, name string
		set         func(gpio.PinIO)
	}{
		{"reset", d.Pins.Reset, func(p gpio.PinIO) { pins.Reset = p }},
		{"power", d.Pins.Power, func(p gpio.PinIO) { pins.Power = p }},
		{"clock", d.Pins.Clock, func(p gpio.PinIO) { pins.Clock = p }},
		{"present", d.Pins.Present, func(p gpio.PinIO) { pins.Present = p }},
	} {
		p, err := o.pin(w.field, w.name)
		if err != nil {
			return nil, err
		}
		if p != nil {
			w.set(p)
		}
	}
	r, err := icc.NewUART(port, pins, &opts)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (o *opener) nfc(d *NFCPart) error {
	if d == nil {
		return ErrNotFitted
	}
	return o.uart(d.Port, func(port periph.PortCloser) error {
		dev, err := pn532.New(port, &pn532.Opts{MaxBaud: d.Baud, MaxRate: pn532.DefaultOpts.MaxRate})
		if err != nil {
			return err
		}
		o.parts.NFC = dev
		o.parts.atHalt(NFC, dev.Halt, port.Close)
		return nil
	})
}

func (o *opener) pinpad(d *PINPadPart) error {
	if d == nil {
		return ErrNotFitted
	}
	return o.uart(d.Port, func(port periph.PortCloser) error {
		opts := pinpad.DefaultOpts
		if d.Baud != 0 {
			opts.Speed = hertz(d.Baud)
		}
		dev, err := pinpad.New(port, &opts)
		if err != nil {
			return err
		}
		o.parts.PINPad = dev
		o.parts.atHalt(PINPad, dev.Halt, port.Close)
		return nil
	})
}

func (o *opener) printer(d *PrinterPart) error {
	if d == nil {
		return ErrNotFitted
	}
	return o.uart(d.Port, func(port periph.PortCloser) error {
		dev, err := thermal.New(port, &thermal.Opts{ // zero values are the driver's defaults
			Baud:      hertz(d.Baud),
			WidthDots: d.WidthDots,
			RXBuffer:  d.RXBuffer,
			TearFeed:  d.TearFeedDots,
			Cutter:    d.Cutter,
		})
		if err != nil {
			return err
		}
		o.parts.Printer = dev
		o.parts.atHalt(Printer, dev.Halt, port.Close)
		return nil
	})
}

func (o *opener) display(d *DisplayPart) error {
	if d == nil {
		return ErrNotFitted
	}
	dc, err := o.pin("dc", d.DC)
	if err != nil {
		return err
	}
	var reset gpio.PinOut
	if p, err := o.pin("reset", d.Reset); err != nil {
		return err
	} else if p != nil {
		reset = p
	}
	port, err := o.buses.SPI(d.SPI)
	if err != nil {
		return fmt.Errorf("port: %w", err)
	}
	opts := display.DefaultOpts
	opts.Rotation = rotations[d.Rotation]
	if d.SpeedHz != 0 {
		opts.Speed = hertz(d.SpeedHz)
	}
	dev, err := display.New(port, dc, reset, &opts)
	if err != nil {
		_ = port.Close()
		return err
	}
	o.parts.Display = dev
	o.parts.atHalt(Display, dev.Halt, port.Close)
	return nil
}
