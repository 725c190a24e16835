package thermal

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"periph.io/x/conn/v3/physic"
	periph "periph.io/x/conn/v3/uart"

	"posagent/drivers/uart"
	"posagent/printer"
	"posagent/printer/escpos"
)

// Opts describe the printer and its line. Zero values mean those of DefaultOpts.
type Opts struct {
	// Baud is the speed of the line.
	Baud physic.Frequency
	// WidthDots is the printable width in dots, a multiple of 8.
	WidthDots uint16
	// RXBuffer is the printer's receive buffer in bytes, at least MinRXBuffer. Half
	// of it is used.
	RXBuffer uint32
	// AckTimeout is how long the printer may take for a band before it is asked why.
	AckTimeout time.Duration
	// HotTimeout is how long a hot print head may take to cool down.
	HotTimeout time.Duration
	// TearFeed is the distance from the print head to the tear bar, in dot lines.
	TearFeed uint16
	// Cutter says that the printer cuts by itself.
	Cutter bool
}

// DefaultOpts are a common 58 mm printer with a small buffer.
var DefaultOpts = Opts{
	Baud:       115200 * physic.Hertz,
	WidthDots:  printer.Width58mm,
	RXBuffer:   1024,
	AckTimeout: time.Second,
	HotTimeout: 20 * time.Second,
	TearFeed:   80, // 10 mm
}

// MinRXBuffer is the smallest buffer that holds two bands of one line each.
const MinRXBuffer = 2 * escpos.MinBandBytes

// Dev is a thermal printer.
type Dev struct {
	name   string
	opts   Opts
	encode escpos.Opts
	turn   chan struct{} // holds one token; whoever has it owns the fields below
	halted atomic.Bool

	link link
	doc  escpos.Encoder // for documents
	slip escpos.Encoder // for void slips
	open *position      // an incomplete copy on paper
	late *[32]byte      // a document that came out whole after Print had given up
}

// New connects the port, 8 data bits without parity. It sends nothing: the printer may
// be off.
func New(port periph.PortCloser, o *Opts) (*Dev, error) {
	opts := withDefaults(o)
	if opts.RXBuffer < MinRXBuffer {
		return nil, fmt.Errorf("thermal printer: RXBuffer of %d bytes, want at least %d", opts.RXBuffer, MinRXBuffer)
	}
	if w := int(opts.WidthDots); w < printer.MinWidth || w > printer.MaxWidth || w%8 != 0 {
		return nil, fmt.Errorf("thermal printer: WidthDots %d, want %d to %d in steps of 8", w, printer.MinWidth, printer.MaxWidth)
	}
	stream, err := uart.Connect(port, opts.Baud, periph.One, periph.NoParity, periph.NoFlow, 8)
	if err != nil {
		return nil, fmt.Errorf("connect thermal printer: %w", err)
	}
	window := opts.RXBuffer / 2
	d := &Dev{
		name: port.String(),
		opts: opts,
		encode: escpos.Opts{
			BandBytes: uint16(min(max(window/2, escpos.MinBandBytes), maxBandBytes)),
			TearFeed:  opts.TearFeed,
			Cutter:    opts.Cutter,
		},
		turn: make(chan struct{}, 1),
	}
	d.link = link{stream: stream, halted: &d.halted, window: window, timeout: opts.AckTimeout, perByte: 10 * opts.Baud.Period(), lost: true}
	d.turn <- struct{}{}
	return d, nil
}

// maxBandBytes is a band of 24 lines of the widest paper with its commands.
const maxBandBytes = escpos.MaxBandLines*printer.MaxWidth/8 + 16

func withDefaults(o *Opts) Opts {
	opts := DefaultOpts
	if o == nil {
		return opts
	}
	opts.Cutter = o.Cutter
	set(&opts.Baud, o.Baud)
	set(&opts.WidthDots, o.WidthDots)
	set(&opts.RXBuffer, o.RXBuffer)
	set(&opts.AckTimeout, o.AckTimeout)
	set(&opts.HotTimeout, o.HotTimeout)
	set(&opts.TearFeed, o.TearFeed)
	return opts
}

func set[T comparable](to *T, from T) {
	var zero T
	if from != zero {
		*to = from
	}
}

// String names the part and its port.
func (d *Dev) String() string { return "thermal printer on " + d.name }

// Halt stops what is being printed after the bytes already sent and makes every later
// call return printer.ErrHalted. It does not close the port, and may be called twice.
func (d *Dev) Halt() error {
	d.halted.Store(true)
	return d.link.stream.SetReadDeadline(time.Unix(1, 0))
}

// Status asks the printer how it is, within five times AckTimeout. A printer that does
// not answer, or that sends nonsense, has a Status too; an error means that ctx has ended
// or the device was halted.
func (d *Dev) Status(ctx context.Context) (printer.Status, error) {
	done, err := d.begin(ctx)
	if err != nil {
		return printer.Unknown, err
	}
	defer done()
	l := &d.link
	var s printer.Status
	if err = l.hush(ctx); err == nil {
		s, err = l.status(ctx)
	}
	if err == nil {
		err = l.quiet(ctx, endTime) // a printer that babbles gives good answers too
	}
	if err != nil {
		s, err = l.verdict(ctx, err)
	}
	if s == printer.Unknown {
		return s, err
	}
	return s, nil
}

// begin waits for the device and lets ctx interrupt what follows.
func (d *Dev) begin(ctx context.Context) (done func(), err error) {
	if d.halted.Load() {
		return nil, printer.ErrHalted
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-d.turn:
	}
	if err := ctx.Err(); err != nil {
		d.turn <- struct{}{}
		return nil, err
	}
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		d.link.stream.SetReadDeadline(time.Unix(1, 0))
		close(woken)
	})
	d.link.noise, d.link.strays = 0, 0
	return func() {
		if !stop() {
			<-woken
		}
		d.turn <- struct{}{}
	}, nil
}
