package boardsim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/spi"
	periph "periph.io/x/conn/v3/uart"

	"posagent/drivers/board"
	"posagent/drivers/bussim"
	"posagent/drivers/display/displaysim"
	"posagent/drivers/icc/iccsim"
	"posagent/drivers/pinpad/pinpadsim"
	"posagent/drivers/uart"
	"posagent/nfc/iso14443/iso14443sim"
	"posagent/nfc/pn532/pn532sim"
	"posagent/printer/thermal/thermalsim"
)

// Opts says what the terminal is made of; the zero value is a terminal whose
// PIN pad holds no keys.
type Opts struct {
	// Secure holds the PIN pad's keys; nil is a pad that was never given any.
	Secure pinpadsim.Secure
	// Serial is the PIN pad's serial number, empty for its simulator's own.
	Serial string
	// Paced makes bytes on the serial lines take their time. Pseudo-terminals
	// are never paced.
	Paced bool
	// Printer describes the printer; its width and receive buffer also go into
	// the profile.
	Printer thermalsim.Opts
	// Slot describes the bare slot of New.
	Slot iccsim.Opts
}

// DefaultOpts is the zero value.
var DefaultOpts = Opts{}

// Slot is where cards go in, whatever is behind it.
type Slot interface {
	Insert(iccsim.Card)
	Remove()
}

// Board is one simulated terminal.
type Board struct {
	// Slot, PINPad, Paper and Panel are what a person touches and sees. Panel is
	// nil on the pseudo-terminal form.
	Slot   Slot
	PINPad *pinpadsim.Device
	Paper  *thermalsim.Printer
	Panel  *displaysim.Panel

	// Contacts is the slot of New and Chip that of NewPTY, for their faults; the
	// other one is nil.
	Contacts *iccsim.Slot
	Chip     *iccsim.TDA8029

	// Air is the field of the contactless reader NFC; Tap and Untap are a card
	// held to it.
	Air *iso14443sim.Air
	NFC *pn532sim.Chip

	// Lines are the wires of New, for faults on them; all nil on the
	// pseudo-terminal form.
	Lines Lines

	profile *board.Profile
	buses   *buses
	serve   []served
	pty     io.Closer

	mu     sync.Mutex // guards tapped
	tapped *iso14443sim.PICC
}

// Lines are the buses between terminal and parts.
type Lines struct {
	ICC, PINPad, Printer, NFC *bussim.UART
	Panel                     *bussim.SPI
}

// served is a part and its wire.
type served struct {
	name string
	part interface {
		Serve(context.Context, io.ReadWriter) error
	}
	wire io.ReadWriter
}

// keyless is the secure module of a pad that was never given a key.
type keyless struct{}

type noKey struct{}

func (noKey) Error() string    { return "pad holds no keys" }
func (noKey) KeyFault() string { return "no-key" }

func (keyless) InstallWorking(context.Context, string, []byte, []byte) error { return noKey{} }
func (keyless) MAC(context.Context, string, []byte) (m [8]byte, err error)   { return m, noKey{} }
func (keyless) PINBlock(context.Context, []byte, string) (b [8]byte, err error) {
	return b, noKey{}
}
func (keyless) Slots() map[string][4]byte { return nil }
func (keyless) Wipe()                     {}

func newPad(opts *Opts) *pinpadsim.Device {
	secure := opts.Secure
	if secure == nil {
		secure = keyless{}
	}
	return pinpadsim.New(&pinpadsim.Opts{Secure: secure, Serial: opts.Serial})
}

// model is the profile that New builds, embedded in package board.
const model = "posagent-sim"

// New builds the model "posagent-sim" in this process; nil opts are the
// defaults.
func New(opts *Opts) *Board {
	if opts == nil {
		opts = &DefaultOpts
	}
	profile, err := board.Load(model)
	if err != nil {
		panic(err) // embedded, and read by a test of package board
	}
	if opts.Printer.WidthDots != 0 {
		profile.Parts.Printer.WidthDots = opts.Printer.WidthDots
	}
	profile.Parts.Printer.RXBuffer = opts.Printer.RXBuffer
	b := &Board{profile: profile, PINPad: newPad(opts), Paper: thermalsim.New(&opts.Printer)}
	b.antenna()
	slot := opts.Slot
	if slot.Name == "" {
		slot.Name = "ICC0_"
	}
	b.Contacts = iccsim.NewSlot(&slot)
	b.Slot = b.Contacts
	line := func(name string, echo bool) *bussim.UART {
		return bussim.NewUART(name, &bussim.UARTOpts{Paced: opts.Paced, Echo: echo, Detachable: true})
	}
	parts := &profile.Parts
	dc, reset := bussim.NewPin(parts.Display.DC), bussim.NewPin(parts.Display.Reset)
	b.Panel = displaysim.New(dc, reset, nil)
	b.Lines = Lines{
		ICC:     line(parts.ICC.Port, true),
		PINPad:  line(parts.PINPad.Port, false),
		Printer: line(parts.Printer.Port, false),
		NFC:     line(parts.NFC.Port, false),
		Panel:   bussim.NewSPI(parts.Display.SPI, b.Panel),
	}
	b.serve = []served{
		{"icc", b.Contacts, b.Lines.ICC.Wire()},
		{"pinpad", b.PINPad, b.Lines.PINPad.Wire()},
		{"printer", b.Paper, b.Lines.Printer.Wire()},
		{"nfc", b.NFC, b.Lines.NFC.Wire()},
	}
	b.buses = &buses{
		uarts: map[string]*bussim.UART{
			parts.ICC.Port: b.Lines.ICC, parts.PINPad.Port: b.Lines.PINPad, parts.Printer.Port: b.Lines.Printer,
			parts.NFC.Port: b.Lines.NFC,
		},
		spis: map[string]*bussim.SPI{parts.Display.SPI: b.Lines.Panel},
		pins: map[string]*bussim.Pin{
			parts.ICC.Pins.Reset: b.Contacts.Reset, parts.ICC.Pins.Power: b.Contacts.Power,
			parts.ICC.Pins.Present: b.Contacts.Present,
			parts.Display.DC:       dc, parts.Display.Reset: reset,
		},
		open: map[string]bool{},
	}
	return b
}

// antenna makes the contactless reader and its field.
func (b *Board) antenna() {
	b.Air = iso14443sim.NewAir(nil)
	b.NFC = pn532sim.New(b.Air, nil)
}

// Tap holds a card to the contactless reader, in the way of
// iso14443sim.DefaultOpts, and takes away the one that was tapped before. Other
// cards, and several, are placed on Air.
func (b *Board) Tap(c iso14443sim.Card) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.untap()
	b.tapped = iso14443sim.NewPICC(c, nil)
	b.Air.Place(b.tapped)
}

// Untap takes the tapped card away; without one it does nothing.
func (b *Board) Untap() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.untap()
}

func (b *Board) untap() {
	if b.tapped != nil {
		b.Air.Remove(b.tapped)
		b.tapped = nil
	}
}

// Profile describes this terminal. The caller may change the copy, for example
// take a part out.
func (b *Board) Profile() *board.Profile {
	p := *b.profile
	return &p
}

// Buses are the simulated buses; nil, the machine's own, on the pseudo-terminal
// form.
func (b *Board) Buses() board.Buses {
	if b.buses == nil {
		return nil
	}
	return b.buses
}

// Run serves all parts until ctx ends and returns what failed in one of them.
func (b *Board) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(b.serve))
	var wg sync.WaitGroup
	for i, s := range b.serve {
		wg.Go(func() {
			if err := s.part.Serve(ctx, s.wire); err != nil {
				errs[i] = fmt.Errorf("simulated %s: %w", s.name, err)
				cancel()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Close takes the pseudo-terminals and their links away; the other form has
// nothing to close. End Run first.
func (b *Board) Close() error {
	if b.pty == nil {
		return nil
	}
	return b.pty.Close()
}

// buses opens the simulated buses by the names of the profile. Like the
// machine's, a port belongs to one opener at a time.
type buses struct {
	uarts map[string]*bussim.UART
	spis  map[string]*bussim.SPI
	pins  map[string]*bussim.Pin

	mu   sync.Mutex // guards open
	open map[string]bool
}

var _ board.Buses = (*buses)(nil)

func (b *buses) claim(name string) (release func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open[name] {
		return nil, fmt.Errorf("open %s: %w", name, uart.ErrBusy)
	}
	b.open[name] = true
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.open, name)
	}, nil
}

func (b *buses) UART(name string) (periph.PortCloser, error) {
	u := b.uarts[name]
	if u == nil {
		return nil, fmt.Errorf("no uart %q on this board", name)
	}
	release, err := b.claim(name)
	if err != nil {
		return nil, err
	}
	return &serialPort{PortCloser: u.Port(), release: sync.OnceFunc(release)}, nil
}

func (b *buses) SPI(name string) (spi.PortCloser, error) {
	s := b.spis[name]
	if s == nil {
		return nil, fmt.Errorf("no spi port %q on this board", name)
	}
	release, err := b.claim(name)
	if err != nil {
		return nil, err
	}
	s.Reopen()
	return &spiPort{PortCloser: s, release: sync.OnceFunc(release)}, nil
}

func (b *buses) Pin(name string) (gpio.PinIO, error) {
	p := b.pins[name]
	if p == nil {
		return nil, fmt.Errorf("no pin %q on this board", name)
	}
	return p, nil
}

// serialPort and spiPort give the name back when they are closed.
type serialPort struct {
	periph.PortCloser
	release func()
}

func (p *serialPort) Close() error { defer p.release(); return p.PortCloser.Close() }

type spiPort struct {
	spi.PortCloser
	release func()
}

func (p *spiPort) Close() error { defer p.release(); return p.PortCloser.Close() }
