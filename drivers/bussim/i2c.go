package bussim

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
)

// ErrNAK is wrapped by the error of an I²C transfer that no part acknowledged:
// nothing at the address, or a part that is not ready.
var ErrNAK = errors.New("not acknowledged")

// maxI2CTransfer is the most bytes of one message of Linux i2c-dev.
const maxI2CTransfer = 8192

// I2CDevice is a part at one address of a bus. Calls never overlap.
type I2CDevice interface {
	// Tx is one transaction: what was written and then, after a repeated start,
	// what is read; either may be empty. It returns ErrNAK to refuse, such as
	// when it is not ready; other errors reach the terminal as they are.
	Tx(w, r []byte) error
}

// I2C is a bus with parts at addresses.
type I2C struct {
	name string

	mu       sync.Mutex // held over whole transactions, as the bus is
	devs     map[uint16]I2CDevice
	closed   bool
	inW, inR injector
}

var _ i2c.BusCloser = (*I2C)(nil)

// NewI2C makes a bus with nothing on it.
func NewI2C(name string) *I2C {
	return &I2C{name: name, devs: map[uint16]I2CDevice{}}
}

// Attach puts dev at a 7-bit address; nil takes the part there off the bus.
func (b *I2C) Attach(addr uint16, dev I2CDevice) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if dev == nil {
		delete(b.devs, addr)
		return
	}
	b.devs[addr] = dev
}

// SetFaults sets the plan of the bus: only bit flips apply. nil ends them.
func (b *I2C) SetFaults(p *Plan) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inW.set(p, ToPart)
	b.inR.set(p, ToTerminal)
}

// Counts tells what happened to the bytes of both directions so far.
func (b *I2C) Counts() Counts {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.inW.counts
	c.add(b.inR.counts)
	return c
}

// String is the name of the bus.
func (b *I2C) String() string { return b.name }

// Tx is one transaction with the part at addr.
func (b *I2C) Tx(addr uint16, w, r []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return fmt.Errorf("i2c %s: %w", b.name, os.ErrClosed)
	case addr > 0x7F:
		return fmt.Errorf("i2c %s: address %#x; want 7 bits", b.name, addr)
	case len(w) > maxI2CTransfer || len(r) > maxI2CTransfer:
		return fmt.Errorf("i2c %s: %d bytes; a message has at most %d", b.name, max(len(w), len(r)), maxI2CTransfer)
	}
	dev := b.devs[addr]
	if dev == nil {
		return fmt.Errorf("i2c %s: address %#02x: %w", b.name, addr, ErrNAK)
	}
	sent := append([]byte(nil), w...)
	b.inW.flip(sent)
	for i := range r {
		r[i] = 0xFF // an idle SDA
	}
	if err := dev.Tx(sent, r); err != nil {
		return fmt.Errorf("i2c %s: address %#02x: %w", b.name, addr, err)
	}
	b.inR.flip(r)
	return nil
}

// SetSpeed is refused, as periph's Linux bus refuses it: the speed belongs to
// the device tree.
func (b *I2C) SetSpeed(physic.Frequency) error {
	return fmt.Errorf("i2c %s: set speed: %w", b.name, errors.ErrUnsupported)
}

// Close ends the bus for the terminal.
func (b *I2C) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return os.ErrClosed
	}
	b.closed = true
	return nil
}
