package bussim_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"

	"posagent/drivers/bussim"
)

// shiftPart writes down its chip-select frames and answers each byte with the
// one before, as a shift register does.
type shiftPart struct {
	log  string
	last byte
	set  bussim.SPISettings
}

func (p *shiftPart) Select(s bussim.SPISettings) { p.log += "["; p.set = s }
func (p *shiftPart) Deselect()                   { p.log += "]" }
func (p *shiftPart) Transfer(w, r []byte) {
	p.log += fmt.Sprintf("%x,", w)
	for i, b := range w {
		r[i], p.last = p.last, b
	}
}

func connectSPI(t *testing.T, s *bussim.SPI, mode spi.Mode) spi.Conn {
	t.Helper()
	c, err := s.Connect(10*physic.MegaHertz, mode, 8)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSPIFrames(t *testing.T) {
	part := &shiftPart{}
	port := bussim.NewSPI("SPI0.0", part)
	port.LimitSpeed(physic.MegaHertz)
	c := connectSPI(t, port, spi.Mode3)
	r := make([]byte, 3)
	if err := c.Tx([]byte{1, 2, 3}, r); err != nil || !bytes.Equal(r, []byte{0, 1, 2}) {
		t.Errorf("read %x, %v; want 000102", r, err)
	}
	err := c.TxPackets([]spi.Packet{{W: []byte{4}, KeepCS: true}, {R: make([]byte, 2)}, {W: []byte{5}}})
	if err != nil {
		t.Fatal(err)
	}
	if want := "[010203,][04,0000,][05,]"; part.log != want {
		t.Errorf("frames %s; want %s", part.log, want)
	}
	if part.set.Speed != physic.MegaHertz || part.set.Mode != spi.Mode3 {
		t.Errorf("part saw %+v; want the limit of 1 MHz and mode 3", part.set)
	}
}

func TestSPIModes(t *testing.T) {
	part := &shiftPart{}
	port := bussim.NewSPI("SPI0.0", part)
	if err := connectSPI(t, port, spi.Mode0|spi.LSBFirst).Tx([]byte{0x01, 0x80}, nil); err != nil {
		t.Fatal(err)
	}
	if err := connectSPI(t, port, spi.Mode0|spi.NoCS).Tx([]byte{7}, nil); err != nil {
		t.Fatal(err)
	}
	half := connectSPI(t, port, spi.Mode0|spi.HalfDuplex)
	if half.Duplex() != conn.Half {
		t.Errorf("Duplex() = %v", half.Duplex())
	}
	if err := half.Tx([]byte{1}, []byte{1}); err == nil {
		t.Error("half duplex wrote and read at once")
	}
	if want := "[8001,]07,"; part.log != want {
		t.Errorf("frames %s; want %s", part.log, want)
	}
}

func TestSPIRefusals(t *testing.T) {
	part := &shiftPart{}
	port := bussim.NewSPI("SPI0.0", part)
	c := connectSPI(t, port, spi.Mode0)
	if n := c.(conn.Limits).MaxTxSize(); n != 4096 {
		t.Errorf("MaxTxSize() = %d", n)
	}
	for name, ps := range map[string][]spi.Packet{
		"too long":          {{W: make([]byte, 4097)}},
		"empty":             {{}},
		"different lengths": {{W: make([]byte, 2), R: make([]byte, 3)}},
		"9 bits":            {{W: make([]byte, 2), BitsPerWord: 9}},
		"second is wrong":   {{W: []byte{1}}, {}},
	} {
		if err := c.TxPackets(ps); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if part.log != "" {
		t.Errorf("refused transfers reached the part: %s", part.log)
	}
	if _, err := port.Connect(physic.MegaHertz, spi.Mode0, 9); err == nil {
		t.Error("9-bit connect accepted")
	}
	port.Close()
	if err := c.Tx([]byte{1}, nil); !errors.Is(err, os.ErrClosed) {
		t.Errorf("tx after close = %v; want os.ErrClosed", err)
	}
	port.Reopen()
	if err := c.Tx([]byte{1}, nil); err != nil {
		t.Errorf("tx after reopen: %v", err)
	}
}

func TestSPINothingThere(t *testing.T) {
	r := []byte{1, 2}
	if err := connectSPI(t, bussim.NewSPI("SPI0.1", nil), spi.Mode0).Tx(nil, r); err != nil || !bytes.Equal(r, []byte{0xFF, 0xFF}) {
		t.Errorf("read %x, %v; want ffff", r, err)
	}
}

func TestSPIFlips(t *testing.T) {
	part := &shiftPart{}
	port := bussim.NewSPI("SPI0.0", part)
	port.SetFaults(&bussim.Plan{Exact: []bussim.Fault{
		{Direction: bussim.ToPart, At: 1, Kind: bussim.Flip, Bit: 0},
		{Direction: bussim.ToTerminal, At: 2, Kind: bussim.Flip, Bit: 7},
	}})
	r := make([]byte, 3)
	if err := connectSPI(t, port, spi.Mode0).Tx([]byte{0x10, 0x20, 0x30}, r); err != nil {
		t.Fatal(err)
	}
	if part.log != "[102130,]" || !bytes.Equal(r, []byte{0x00, 0x10, 0xA1}) {
		t.Errorf("part saw %s, terminal read %x; want [102130,] and 0010a1", part.log, r)
	}
	if c := port.Counts(); c.Flips != 2 || c.Bytes != 6 {
		t.Errorf("counts %+v; want 2 flips in 6 bytes", c)
	}
}

// register is an I²C part with one register that is busy now and then.
type register struct {
	value byte
	busy  int
}

func (d *register) Tx(w, r []byte) error {
	if d.busy > 0 {
		d.busy--
		return bussim.ErrNAK
	}
	if len(w) > 0 {
		d.value = w[0]
	}
	if len(r) > 0 {
		r[0] = d.value
	}
	return nil
}

func TestI2C(t *testing.T) {
	bus := bussim.NewI2C("I2C1")
	dev := &register{}
	bus.Attach(0x24, dev)
	r := make([]byte, 2)
	if err := bus.Tx(0x24, []byte{0x5A}, r); err != nil || r[0] != 0x5A || r[1] != 0xFF {
		t.Errorf("read %x, %v; want 5aff", r, err)
	}
	dev.busy = 1
	if err := bus.Tx(0x24, nil, r); !errors.Is(err, bussim.ErrNAK) {
		t.Errorf("busy part: %v; want ErrNAK", err)
	}
	if err := bus.Tx(0x24, nil, r); err != nil {
		t.Errorf("part is ready again: %v", err)
	}
	if err := bus.Tx(0x25, nil, r); !errors.Is(err, bussim.ErrNAK) {
		t.Errorf("nobody there: %v; want ErrNAK", err)
	}
	if err := bus.Tx(0x124, nil, r); err == nil {
		t.Error("a 9-bit address was accepted")
	}
	if err := bus.SetSpeed(physic.MegaHertz); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("SetSpeed = %v", err)
	}
	w := []byte{0x0F}
	bus.SetFaults(&bussim.Plan{Direction: bussim.ToPart, Flip: 1, Max: 1})
	if err := bus.Tx(0x24, w, nil); err != nil || dev.value == 0x0F || w[0] != 0x0F {
		t.Errorf("part has %#x, caller's buffer %#x, %v; want a flipped copy", dev.value, w[0], err)
	}
	if c := bus.Counts(); c.Flips != 1 {
		t.Errorf("counts %+v; want 1 flip", c)
	}
	bus.Attach(0x24, nil)
	if err := bus.Tx(0x24, nil, r); !errors.Is(err, bussim.ErrNAK) {
		t.Errorf("part taken off: %v; want ErrNAK", err)
	}
	bus.Close()
	if err := bus.Tx(0x24, nil, r); !errors.Is(err, os.ErrClosed) {
		t.Errorf("tx after close = %v", err)
	}
}
