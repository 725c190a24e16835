package display_test

import (
	"errors"
	"image"
	"image/color"
	"image/draw"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"

	"posagent/drivers/bussim"
	"posagent/drivers/display"
	"posagent/drivers/display/displaysim"
)

// rig is a panel on its wires.
type rig struct {
	dc, rst *bussim.Pin
	port    *bussim.SPI
	panel   *displaysim.Panel
}

func newRig(opts *displaysim.Opts) *rig {
	r := &rig{dc: bussim.NewPin("DC"), rst: bussim.NewPin("RST")}
	r.panel = displaysim.New(r.dc, r.rst, opts)
	r.port = bussim.NewSPI("SPI0.0", r.panel)
	return r
}

func (r *rig) open(t *testing.T, opts *display.Opts) *display.Dev {
	t.Helper()
	d, err := display.New(r.port, r.dc, r.rst, opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// testCard has another colour at every corner and a gradient inside, so that no
// mirroring, turning or swapping of colours goes unseen.
func testCard(b image.Rectangle) *image.RGBA {
	m := image.NewRGBA(b)
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			m.SetRGBA(x, y, color.RGBA{byte(x), byte(y), byte(x ^ y), 0xFF})
		}
	}
	box := func(x, y int, c color.RGBA) {
		draw.Draw(m, image.Rect(x, y, x+16, y+16), image.NewUniform(c), image.Point{}, draw.Src)
	}
	box(b.Min.X, b.Min.Y, color.RGBA{0xFF, 0, 0, 0xFF})
	box(b.Max.X-16, b.Min.Y, color.RGBA{0, 0xFF, 0, 0xFF})
	box(b.Min.X, b.Max.Y-16, color.RGBA{0, 0, 0xFF, 0xFF})
	box(b.Max.X-16, b.Max.Y-16, color.RGBA{0xFF, 0xFF, 0xFF, 0xFF})
	return m
}

// differs returns the first pixel at which the glass does not show want in 16
// bit colour.
func differs(glass, want image.Image) (image.Point, bool) {
	if glass.Bounds() != want.Bounds() {
		return glass.Bounds().Max, true
	}
	for y := range glass.Bounds().Dy() {
		for x := range glass.Bounds().Dx() {
			if display.Model.Convert(glass.At(x, y)) != display.Model.Convert(want.At(x, y)) {
				return image.Pt(x, y), true
			}
		}
	}
	return image.Point{}, false
}

func TestDrawShowsThePicture(t *testing.T) {
	for _, c := range []struct {
		name  string
		rot   display.Rotation
		mount displaysim.Mount
		size  image.Rectangle
	}{
		{"landscape", display.Landscape, displaysim.Landscape, image.Rect(0, 0, 320, 240)},
		{"portrait", display.Portrait, displaysim.Portrait, image.Rect(0, 0, 240, 320)},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(&displaysim.Opts{Mount: c.mount})
				frames := 0
				r.panel.OnFrame(func() { frames++; r.panel.Image() })
				start := time.Now()
				d := r.open(t, &display.Opts{Speed: 10 * physic.MegaHertz, Rotation: c.rot})
				if took := time.Since(start); took > 10*time.Millisecond {
					t.Errorf("New took %v; want it not to wait for the panel", took)
				}
				if d.Bounds() != c.size || r.panel.Lit() {
					t.Errorf("bounds %v, lit %v; want %v and dark", d.Bounds(), r.panel.Lit(), c.size)
				}
				card := testCard(d.Bounds())
				if err := d.Draw(d.Bounds(), card, image.Point{}); err != nil {
					t.Fatal(err)
				}
				if p, bad := differs(r.panel.Image(), card); bad {
					t.Errorf("glass differs at %v", p)
				}
				if !r.panel.Lit() || frames == 0 {
					t.Errorf("lit %v, %d frames", r.panel.Lit(), frames)
				}
			})
		})
	}
}

func TestFlippedIsUpsideDown(t *testing.T) {
	for _, c := range []struct {
		rot   display.Rotation
		mount displaysim.Mount
	}{{display.LandscapeFlipped, displaysim.Landscape}, {display.PortraitFlipped, displaysim.Portrait}} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(&displaysim.Opts{Mount: c.mount})
			d := r.open(t, &display.Opts{Speed: physic.MegaHertz, Rotation: c.rot})
			card := testCard(d.Bounds())
			if err := d.Draw(d.Bounds(), card, image.Point{}); err != nil {
				t.Fatal(err)
			}
			turned := image.NewRGBA(card.Bounds())
			for y := range card.Bounds().Dy() {
				for x := range card.Bounds().Dx() {
					turned.Set(card.Bounds().Dx()-1-x, card.Bounds().Dy()-1-y, card.At(x, y))
				}
			}
			if p, bad := differs(r.panel.Image(), turned); bad {
				t.Errorf("rotation %d: glass differs at %v", c.rot, p)
			}
		})
	}
}

func TestPartialUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(nil)
		d := r.open(t, nil)
		card := testCard(d.Bounds())
		d.Draw(d.Bounds(), card, image.Point{})
		before := r.port.Counts().Bytes
		if err := d.Draw(d.Bounds(), card, image.Point{}); err != nil || r.port.Counts().Bytes != before {
			t.Errorf("an equal picture sent %d bytes, %v", r.port.Counts().Bytes-before, err)
		}
		// A 10×4 stamp, half of it beyond the right edge, taken from inside src.
		stamp := testCard(image.Rect(0, 0, 50, 50))
		at, sp := image.Rect(315, 100, 325, 104), image.Pt(20, 20)
		if err := d.Draw(at, stamp, sp); err != nil {
			t.Fatal(err)
		}
		draw.Draw(card, at, stamp, sp, draw.Src)
		if p, bad := differs(r.panel.Image(), card); bad {
			t.Errorf("glass differs at %v", p)
		}
		// Per byte both directions are counted: window 11 bytes + 5×4 pixels.
		if sent := (r.port.Counts().Bytes - before); sent > 2*(11+2*5*4) {
			t.Errorf("a 5×4 change sent %d bytes", sent)
		}
		for _, src := range []image.Image{image.NewUniform(color.Black), image.NewGray(d.Bounds()), image.NewNRGBA(d.Bounds())} {
			if err := d.Draw(d.Bounds(), src, image.Point{}); err != nil {
				t.Fatal(err)
			}
			if c := r.panel.Image().At(10, 10); c != (color.RGBA{A: 0xFF}) {
				t.Errorf("%T: glass shows %v; want black", src, c)
			}
		}
		// A source smaller than the rectangle changes only what it covers.
		dot := image.NewRGBA(image.Rect(0, 0, 1, 1))
		dot.Set(0, 0, color.White)
		d.Draw(d.Bounds(), dot, image.Point{})
		m := r.panel.Image()
		if m.At(0, 0) != (color.RGBA{0xFF, 0xFF, 0xFF, 0xFF}) || m.At(1, 0) != (color.RGBA{A: 0xFF}) {
			t.Errorf("glass shows %v %v; want one white dot", m.At(0, 0), m.At(1, 0))
		}
	})
}

func TestHaltAndWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(nil)
		d := r.open(t, nil)
		if err := d.Halt(); err != nil {
			t.Errorf("halt before the first picture: %v", err)
		}
		card := testCard(d.Bounds())
		d.Draw(d.Bounds(), card, image.Point{})
		for range 2 {
			if err := d.Halt(); err != nil || r.panel.Lit() {
				t.Errorf("halt: %v, lit %v; want dark", err, r.panel.Lit())
			}
		}
		if err := d.Draw(d.Bounds(), card, image.Point{}); err != nil || !r.panel.Lit() {
			t.Errorf("draw after halt: %v, lit %v", err, r.panel.Lit())
		}
		if p, bad := differs(r.panel.Image(), card); bad {
			t.Errorf("glass differs at %v after waking", p)
		}
	})
}

// A daemon that starts again meets a panel that is awake.
func TestSecondStart(t *testing.T) {
	for _, wired := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(nil)
			var reset gpio.PinOut
			if wired {
				reset = r.rst
			}
			for range 2 {
				d, err := display.New(r.port, r.dc, reset, nil)
				if err != nil {
					t.Fatal(err)
				}
				card := testCard(d.Bounds())
				if err := d.Draw(d.Bounds(), card, image.Point{}); err != nil {
					t.Fatal(err)
				}
				if p, bad := differs(r.panel.Image(), card); bad {
					t.Errorf("reset wired %v: glass differs at %v", wired, p)
				}
			}
		})
	}
}

func TestBusFailureRepaints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(nil)
		d := r.open(t, nil)
		card := testCard(d.Bounds())
		d.Draw(d.Bounds(), card, image.Point{})
		r.port.Close()
		d.Draw(d.Bounds(), image.Black, image.Point{})
		if err := d.Draw(d.Bounds(), image.White, image.Point{}); err == nil {
			t.Fatal("draw on a closed port gave no error")
		}
		r.port.Reopen()
		before := r.port.Counts().Bytes
		if err := d.Draw(image.Rect(0, 0, 1, 1), image.White, image.Point{}); err != nil {
			t.Fatal(err)
		}
		if sent := r.port.Counts().Bytes - before; sent < 2*320*240 {
			t.Errorf("after a failure %d bytes were sent; want the whole panel", sent)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	r := newRig(nil)
	if _, err := display.New(r.port, nil, nil, nil); err == nil {
		t.Error("a panel without D/C line was accepted")
	}
	if _, err := display.New(r.port, r.dc, nil, &display.Opts{Rotation: 4}); err == nil {
		t.Error("rotation 4 was accepted")
	}
	r.port.Close()
	if _, err := display.New(r.port, r.dc, nil, nil); err == nil {
		t.Error("a closed port was accepted")
	}
}

// brokenPin fails as a GPIO that another process holds.
type brokenPin struct{ gpio.PinIO }

var errBroken = errors.New("line busy")

func (brokenPin) Out(gpio.Level) error { return errBroken }

func TestBrokenLinesAreNamed(t *testing.T) {
	r := newRig(nil)
	if _, err := display.New(r.port, brokenPin{r.dc}, nil, nil); !errors.Is(err, errBroken) {
		t.Errorf("broken D/C: %v", err)
	}
	if _, err := display.New(r.port, r.dc, brokenPin{r.rst}, nil); !errors.Is(err, errBroken) {
		t.Errorf("broken reset: %v", err)
	}
}

func BenchmarkDrawFull(b *testing.B) {
	r := newRig(nil)
	d, err := display.New(r.port, r.dc, r.rst, nil)
	if err != nil {
		b.Fatal(err)
	}
	pics := [2]image.Image{testCard(d.Bounds()), image.White}
	b.ReportAllocs()
	for i := range b.N {
		if err := d.Draw(d.Bounds(), pics[i&1], image.Point{}); err != nil {
			b.Fatal(err)
		}
	}
}
