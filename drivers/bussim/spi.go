package bussim

import (
	"errors"
	"fmt"
	"math/bits"
	"os"
	"sync"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"
)

// MaxSPITransfer is the largest transfer of a port in bytes: Linux spidev's
// default buffer (module parameter bufsiz).
const MaxSPITransfer = 4096

// SPISettings is how the terminal drives the clock.
type SPISettings struct {
	Speed physic.Frequency
	Mode  spi.Mode
	// Bits is the word length, 8.
	Bits uint8
}

// SPIDevice is a part on an SPI port, at the level of its chip select. Calls
// never overlap.
type SPIDevice interface {
	// Select is chip select becoming active.
	Select(SPISettings)
	// Transfer clocks len(w) bytes. r has the same length and holds 0xFF, an
	// idle MISO; the part overwrites what it drives. With a half-duplex port one
	// of them is what the terminal uses. Both are in wire order, first bit on the
	// wire is bit 7, whatever bit order the terminal chose.
	Transfer(w, r []byte)
	// Deselect is chip select becoming inactive.
	Deselect()
}

// SPI is a port with one chip select and one part behind it.
type SPI struct {
	name string

	mu       sync.Mutex // held over whole transfers, as the bus is
	dev      SPIDevice
	limit    physic.Frequency
	closed   bool
	selected bool
	inW, inR injector
}

var (
	_ spi.PortCloser = (*SPI)(nil)
	_ spi.Conn       = (*spiConn)(nil)
	_ conn.Limits    = (*spiConn)(nil)
)

// NewSPI makes a port with dev behind it; nil is a port with nothing soldered
// to it, on which all reads give 0xFF.
func NewSPI(name string, dev SPIDevice) *SPI {
	return &SPI{name: name, dev: dev}
}

// SetFaults sets the plan of the port: only bit flips apply. nil ends them.
func (s *SPI) SetFaults(p *Plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inW.set(p, ToPart)
	s.inR.set(p, ToTerminal)
}

// Counts tells what happened to the bytes of both directions so far.
func (s *SPI) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.inW.counts
	c.add(s.inR.counts)
	return c
}

// String is the name of the port.
func (s *SPI) String() string { return s.name }

// Close ends the port for the terminal.
func (s *SPI) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return os.ErrClosed
	}
	s.closed = true
	s.deselect()
	return nil
}

// Reopen gives the port back to a terminal that closed it, as opening the
// device file again does.
func (s *SPI) Reopen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = false
}

// LimitSpeed sets the highest clock of later Connect calls.
func (s *SPI) LimitSpeed(f physic.Frequency) error {
	if f < physic.Hertz {
		return fmt.Errorf("limit spi %s to %s: no such speed", s.name, f)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = f
	return nil
}

// Connect sets clock and mode.
func (s *SPI) Connect(f physic.Frequency, mode spi.Mode, bits int) (spi.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, fmt.Errorf("connect spi %s: %w", s.name, os.ErrClosed)
	case f < 0:
		return nil, fmt.Errorf("connect spi %s: speed %s", s.name, f)
	case bits != 8:
		return nil, fmt.Errorf("connect spi %s: %d bits per word; want 8", s.name, bits)
	case mode&^(spi.Mode3|spi.HalfDuplex|spi.NoCS|spi.LSBFirst) != 0:
		return nil, fmt.Errorf("connect spi %s: mode %s", s.name, mode)
	}
	if s.limit > 0 && (f == 0 || s.limit < f) {
		f = s.limit
	}
	return &spiConn{s: s, set: SPISettings{Speed: f, Mode: mode, Bits: 8}}, nil
}

func (s *SPI) selectIt(set SPISettings) {
	if !s.selected && set.Mode&spi.NoCS == 0 && s.dev != nil {
		s.dev.Select(set)
		s.selected = true
	}
}

func (s *SPI) deselect() {
	if s.selected {
		s.selected = false
		s.dev.Deselect()
	}
}

// spiConn is the port with a clock and a mode.
type spiConn struct {
	s   *SPI
	set SPISettings
}

func (c *spiConn) String() string { return c.s.name }
func (c *spiConn) MaxTxSize() int { return MaxSPITransfer }

func (c *spiConn) Duplex() conn.Duplex {
	if c.set.Mode&spi.HalfDuplex != 0 {
		return conn.Half
	}
	return conn.Full
}

// Tx is one chip-select frame.
func (c *spiConn) Tx(w, r []byte) error {
	return c.TxPackets([]spi.Packet{{W: w, R: r}})
}

// TxPackets is a row of transfers; chip select stays active after those with
// KeepCS. All are checked before the first is sent.
func (c *spiConn) TxPackets(ps []spi.Packet) error {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("spi %s: %w", s.name, os.ErrClosed)
	}
	for i := range ps {
		if err := c.check(&ps[i]); err != nil {
			return fmt.Errorf("spi %s: packet %d: %w", s.name, i, err)
		}
	}
	for _, p := range ps {
		s.selectIt(c.set)
		c.transfer(p)
		if !p.KeepCS {
			s.deselect()
		}
	}
	return nil
}

func (c *spiConn) check(p *spi.Packet) error {
	switch {
	case len(p.W) == 0 && len(p.R) == 0:
		return errors.New("neither data to write nor to read")
	case len(p.W) > MaxSPITransfer || len(p.R) > MaxSPITransfer:
		return fmt.Errorf("%d bytes; a transfer has at most %d", max(len(p.W), len(p.R)), MaxSPITransfer)
	case p.BitsPerWord != 0 && p.BitsPerWord != 8:
		return fmt.Errorf("%d bits per word; want 8", p.BitsPerWord)
	}
	if c.set.Mode&spi.HalfDuplex != 0 {
		if len(p.W) > 0 && len(p.R) > 0 {
			return errors.New("half duplex writes or reads, not both")
		}
		return nil
	}
	if len(p.W) > 0 && len(p.R) > 0 && len(p.W) != len(p.R) {
		return fmt.Errorf("writes %d bytes and reads %d; full duplex wants the same", len(p.W), len(p.R))
	}
	return nil
}

func (c *spiConn) transfer(p spi.Packet) {
	n := max(len(p.W), len(p.R))
	w, r := make([]byte, n), make([]byte, n)
	copy(w, p.W)
	for i := range r {
		r[i] = 0xFF
	}
	lsb := c.set.Mode&spi.LSBFirst != 0
	if lsb {
		reverse(w)
	}
	c.s.inW.flip(w)
	if c.s.dev != nil {
		c.s.dev.Transfer(w, r)
	}
	if len(p.R) > 0 {
		c.s.inR.flip(r)
		if lsb {
			reverse(r)
		}
		copy(p.R, r)
	}
}

func reverse(p []byte) {
	for i := range p {
		p[i] = bits.Reverse8(p[i])
	}
}
