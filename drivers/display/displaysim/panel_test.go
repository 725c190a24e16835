package displaysim

import (
	"image"
	"image/color"
	"image/png"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"

	"posagent/drivers/bussim"
)

// bench drives a panel by hand, as a driver would.
type bench struct {
	t     *testing.T
	dc    *bussim.Pin
	rst   *bussim.Pin
	conn  spi.Conn
	panel *Panel
}

func newBench(t *testing.T, mode spi.Mode) *bench {
	b := &bench{t: t, dc: bussim.NewPin("DC"), rst: bussim.NewPin("RST")}
	b.panel = New(b.dc, b.rst, &Opts{Seed: 1})
	c, err := bussim.NewSPI("SPI", b.panel).Connect(physic.MegaHertz, mode, 8)
	if err != nil {
		t.Fatal(err)
	}
	b.conn = c
	return b
}

func (b *bench) cmd(c byte, params ...byte) {
	b.t.Helper()
	b.dc.Out(gpio.Low)
	if err := b.conn.Tx([]byte{c}, nil); err != nil {
		b.t.Fatal(err)
	}
	b.dc.Out(gpio.High)
	if len(params) > 0 {
		if err := b.conn.Tx(params, nil); err != nil {
			b.t.Fatal(err)
		}
	}
}

// reset is a pulse and the wait after it.
func (b *bench) reset() {
	b.rst.Out(gpio.High)
	b.rst.Out(gpio.Low)
	b.rst.Out(gpio.High)
	time.Sleep(deaf)
}

// fill paints the whole glass with one 16-bit colour.
func (b *bench) fill(hi, lo byte) {
	b.cmd(ramwr)
	line := make([]byte, 0, 4000)
	for range 2000 {
		line = append(line, hi, lo)
	}
	for sent := 0; sent < 2*rows*columns; sent += len(line) {
		n := min(len(line), 2*rows*columns-sent)
		b.conn.Tx(line[:n], nil)
	}
}

// single returns the colour of the glass if it has only one.
func single(m image.Image) (color.Color, bool) {
	first := m.At(0, 0)
	for y := range m.Bounds().Dy() {
		for x := range m.Bounds().Dx() {
			if m.At(x, y) != first {
				return nil, false
			}
		}
	}
	return first, true
}

var (
	black = color.RGBA{0, 0, 0, 0xFF}
	red   = color.RGBA{0xFF, 0, 0, 0xFF}
	blue  = color.RGBA{0, 0, 0xFF, 0xFF}
)

// Each row leaves out or misplaces one step; the glass shows what the bench
// would show.
func TestStartUpMistakes(t *testing.T) {
	for _, c := range []struct {
		name string
		mode spi.Mode
		run  func(b *bench)
		want color.Color // nil: noise or a wrong picture, more than one colour
	}{
		{"all steps", spi.Mode0, func(b *bench) {
			b.reset()
			b.cmd(colmod, 0x55)
			b.cmd(madctl, bitBGR)
			b.cmd(slpout)
			time.Sleep(deaf)
			b.fill(0xF8, 0x00)
			b.cmd(dispon)
		}, red},
		{"no BGR bit swaps red and blue", spi.Mode0, func(b *bench) {
			b.reset()
			b.cmd(colmod, 0x55)
			b.cmd(slpout)
			time.Sleep(deaf)
			b.fill(0xF8, 0x00)
			b.cmd(dispon)
		}, blue},
		{"no sleep out stays dark", spi.Mode0, func(b *bench) {
			b.reset()
			b.cmd(colmod, 0x55)
			b.cmd(madctl, bitBGR)
			b.fill(0xF8, 0x00)
			b.cmd(dispon)
		}, black},
		{"no display on stays dark", spi.Mode0, func(b *bench) {
			b.reset()
			b.cmd(colmod, 0x55)
			b.cmd(slpout)
			time.Sleep(deaf)
			b.fill(0xF8, 0x00)
		}, black},
		{"no wait after sleep out loses the next command", spi.Mode0, func(b *bench) {
			b.reset()
			b.cmd(slpout)
			b.cmd(dispon)
		}, black},
		{"no wait after reset loses sleep out", spi.Mode0, func(b *bench) {
			b.rst.Out(gpio.High)
			b.rst.Out(gpio.Low)
			b.rst.Out(gpio.High)
			b.cmd(slpout)
			time.Sleep(deaf)
			b.cmd(dispon)
		}, black},
		{"nothing written shows noise", spi.Mode0, func(b *bench) {
			b.reset()
			b.cmd(slpout)
			time.Sleep(deaf)
			b.cmd(dispon)
		}, nil},
		{"no pixel format shows 16 bits as 18", spi.Mode0, func(b *bench) {
			b.reset()
			b.cmd(madctl, bitBGR)
			b.cmd(slpout)
			time.Sleep(deaf)
			b.fill(0xF8, 0x00)
			b.cmd(dispon)
		}, nil},
		{"wrong SPI mode stays dark", spi.Mode1, func(b *bench) {
			b.reset()
			b.cmd(slpout)
			time.Sleep(deaf)
			b.cmd(dispon)
		}, black},
		{"held in reset stays dark", spi.Mode0, func(b *bench) {
			b.rst.Out(gpio.High)
			b.rst.Out(gpio.Low)
			time.Sleep(deaf)
			b.cmd(slpout)
			time.Sleep(deaf)
			b.cmd(dispon)
		}, black},
		{"sleep out too soon after sleep in", spi.Mode0, func(b *bench) {
			b.reset()
			b.cmd(slpout)
			time.Sleep(deaf)
			b.cmd(dispon)
			b.cmd(slpin)
			time.Sleep(sleepGap - time.Millisecond)
			b.cmd(slpout)
		}, black},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, c.mode)
				c.run(b)
				got, one := single(b.panel.Image())
				if one != (c.want != nil) || (one && got != c.want) {
					t.Errorf("glass is one colour %v (%v); want %v", one, got, c.want)
				}
			})
		})
	}
}

func TestWindowAndInversion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, spi.Mode0)
		frames := 0
		b.panel.OnFrame(func() { frames++ })
		b.reset()
		b.cmd(colmod, 0x55)
		b.cmd(madctl, bitBGR|bitMV)
		b.cmd(slpout)
		time.Sleep(deaf)
		b.cmd(caset, 0, 0, 1, 0x3F)
		b.cmd(paset, 0, 0, 0, 0xEF)
		b.fill(0, 0)
		b.cmd(dispon)
		b.cmd(caset, 0, 10, 0, 11)
		b.cmd(paset, 0, 20, 0, 20)
		b.cmd(caset, 0, 9, 0, 3)         // backwards: ignored
		b.cmd(paset, 1, 0, 1, 9)         // beyond 240 rows: ignored
		b.cmd(0xB1, 1, 2, 3, 4, 5, 6, 7) // not understood: swallowed
		frames = 0
		b.cmd(ramwr)
		b.conn.Tx([]byte{0xF8}, nil) // a pixel in two transfers
		b.conn.Tx([]byte{0x00, 0x00, 0x1F}, nil)
		if frames != 1 {
			t.Errorf("%d frames; want one when the window is full", frames)
		}
		m := b.panel.Image()
		if m.At(10, 20) != red || m.At(11, 20) != blue || m.At(12, 20) != black || m.At(10, 21) != black {
			t.Errorf("glass %v %v %v; want red, blue, black", m.At(10, 20), m.At(11, 20), m.At(12, 20))
		}
		b.cmd(invon)
		if c := b.panel.Image().At(0, 0); c != (color.RGBA{0xFF, 0xFF, 0xFF, 0xFF}) {
			t.Errorf("inverted black is %v", c)
		}
		if err := png.Encode(io.Discard, b.panel.Image()); err != nil {
			t.Error(err)
		}
	})
}

// Whatever comes over the bus, the panel stays a panel.
func FuzzBytes(f *testing.F) {
	f.Add([]byte{0, slpout, 0, dispon, 0, caset, 1, 0, 1, 0, 1, 1, 1, 0x3F, 0, ramwr, 1, 0xFF, 1, 0xFF})
	f.Add([]byte{0, madctl, 1, 0xE8, 0, colmod, 1, 0x66, 0, ramwr, 1, 1, 1, 2, 1, 3})
	f.Fuzz(func(t *testing.T, in []byte) {
		dc := bussim.NewPin("DC")
		p := New(dc, nil, nil)
		for i := 0; i+1 < len(in) && i < 4096; i += 2 {
			dc.Out(in[i]&1 != 0)
			p.Transfer(in[i+1:i+2], nil)
		}
		if p.cs > p.ce || p.ps > p.pe || int(p.ce) >= rows || int(p.pe) >= rows {
			t.Errorf("window %d-%d, %d-%d", p.cs, p.ce, p.ps, p.pe)
		}
		p.Image()
	})
}
