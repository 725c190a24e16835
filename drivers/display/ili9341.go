package display

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"sync"
	"time"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/display"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"
)

// Rotation is how the panel is built into the terminal: which edge is up.
type Rotation uint8

// The four ways. Landscape is 320×240, Portrait 240×320.
const (
	Landscape Rotation = iota
	Portrait
	LandscapeFlipped
	PortraitFlipped
)

// madctl of each rotation, for the common glass whose columns count from the
// right.
var madctl = [...]byte{
	Landscape:        madMV | madBGR,
	Portrait:         madMX | madBGR,
	LandscapeFlipped: madMX | madMY | madMV | madBGR,
	PortraitFlipped:  madMY | madBGR,
}

// Opts are the knobs of a panel.
type Opts struct {
	// Speed is the SPI clock. The datasheet allows writing at 10 MHz (section
	// 18.3.4); most panels take 40.
	Speed physic.Frequency
	// Rotation is how the panel is mounted.
	Rotation Rotation
}

// DefaultOpts is a panel in landscape at the datasheet's clock.
var DefaultOpts = Opts{Speed: 10 * physic.MegaHertz, Rotation: Landscape}

// Dev is one panel.
type Dev struct {
	conn   spi.Conn
	dc     gpio.PinOut
	bounds image.Rectangle
	chunk  int // bytes per transfer, even

	mu      sync.Mutex // guards what follows and the bus traffic of the panel
	pix     []byte     // what the panel should show: big-endian RGB565, row by row
	known   bool       // the panel's memory equals pix
	awake   bool
	sleptAt time.Time // of the last reset or sleep in
}

var _ display.Drawer = (*Dev)(nil)

// New resets the panel behind port and configures it. It stays dark until the
// first Draw. dc is the data/command line; reset may be nil when it is not
// wired. nil opts are DefaultOpts.
func New(port spi.Port, dc, reset gpio.PinOut, opts *Opts) (*Dev, error) {
	if opts == nil {
		opts = &DefaultOpts
	}
	if int(opts.Rotation) >= len(madctl) {
		return nil, fmt.Errorf("ili9341 on %s: rotation %d: want 0 to %d", port, opts.Rotation, len(madctl)-1)
	}
	if dc == nil {
		return nil, fmt.Errorf("ili9341 on %s: no data/command line", port)
	}
	c, err := port.Connect(opts.Speed, spi.Mode0, 8)
	if err != nil {
		return nil, fmt.Errorf("connect ili9341 on %s: %w", port, err)
	}
	d := &Dev{conn: c, dc: dc, chunk: maxTransfer, bounds: image.Rect(0, 0, glassRows, glassColumns)}
	if madctl[opts.Rotation]&madMV == 0 {
		d.bounds = image.Rect(0, 0, glassColumns, glassRows)
	}
	if l, ok := c.(conn.Limits); ok && l.MaxTxSize() >= 2 {
		d.chunk = min(d.chunk, l.MaxTxSize()&^1)
	}
	d.pix = make([]byte, 2*d.bounds.Dx()*d.bounds.Dy())
	if err := d.reset(reset); err != nil {
		return nil, fmt.Errorf("reset %s: %w", d, err)
	}
	for _, s := range []struct {
		cmd  byte
		data []byte
	}{
		{cmdCOLMOD, []byte{colmod16}},
		{cmdMADCTL, []byte{madctl[opts.Rotation]}},
		{cmdINVOFF, nil},
	} {
		if err := d.command(s.cmd, s.data...); err != nil {
			return nil, fmt.Errorf("configure %s: %w", d, err)
		}
	}
	return d, nil
}

// reset brings the panel to its power-up state: asleep and off.
func (d *Dev) reset(pin gpio.PinOut) error {
	if pin == nil {
		if err := d.command(cmdSWRESET); err != nil {
			return err
		}
	} else {
		for _, l := range []gpio.Level{gpio.High, gpio.Low, gpio.High} {
			if err := pin.Out(l); err != nil {
				return err
			}
			time.Sleep(resetPulse)
		}
	}
	d.sleptAt = time.Now()
	time.Sleep(settle)
	return nil
}

// command sends one command and its parameters.
func (d *Dev) command(cmd byte, params ...byte) error {
	if err := d.dc.Out(gpio.Low); err != nil {
		return fmt.Errorf("command %#02x: data/command line: %w", cmd, err)
	}
	if err := d.conn.Tx([]byte{cmd}, nil); err != nil {
		return fmt.Errorf("command %#02x: %w", cmd, err)
	}
	if len(params) == 0 {
		return nil
	}
	return d.data(params)
}

func (d *Dev) data(p []byte) error {
	if err := d.dc.Out(gpio.High); err != nil {
		return fmt.Errorf("data/command line: %w", err)
	}
	for len(p) > 0 {
		n := min(len(p), d.chunk)
		if err := d.conn.Tx(p[:n], nil); err != nil {
			return fmt.Errorf("%d data bytes: %w", n, err)
		}
		p = p[n:]
	}
	return nil
}

// String names part and port.
func (d *Dev) String() string { return fmt.Sprintf("ili9341(%s)", d.conn) }

// ColorModel is RGB565.
func (d *Dev) ColorModel() color.Model { return Model }

// Bounds is the panel's size in its rotation, from (0,0).
func (d *Dev) Bounds() image.Rectangle { return d.bounds }

// Draw shows src, aligned so that sp falls on r.Min, inside r. Only the
// rectangle around the pixels that changed is sent; a picture equal to the last
// one sends nothing. The first Draw, and the first after Halt, switches the
// panel on.
func (d *Dev) Draw(r image.Rectangle, src image.Image, sp image.Point) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	dirty := d.blend(r, src, sp)
	if !d.known {
		dirty = d.bounds
	}
	if dirty.Empty() && d.awake {
		return nil
	}
	if err := d.send(dirty); err != nil {
		d.known = false
		return fmt.Errorf("draw on %s: %w", d, err)
	}
	d.known = true
	return nil
}

// blend copies src into pix and returns the rectangle around the changes.
func (d *Dev) blend(r image.Rectangle, src image.Image, sp image.Point) image.Rectangle {
	shift := sp.Sub(r.Min)
	r = r.Intersect(d.bounds).Intersect(src.Bounds().Sub(shift))
	dirty := image.Rectangle{}
	at := reader(src)
	for y := r.Min.Y; y < r.Max.Y; y++ {
		first, last := r.Max.X, r.Min.X-1
		i := 2 * (y*d.bounds.Dx() + r.Min.X)
		for x := r.Min.X; x < r.Max.X; x, i = x+1, i+2 {
			c := at(x+shift.X, y+shift.Y)
			hi, lo := byte(c>>8), byte(c)
			if d.pix[i] == hi && d.pix[i+1] == lo {
				continue
			}
			d.pix[i], d.pix[i+1] = hi, lo
			first, last = min(first, x), x
		}
		if first <= last {
			dirty = dirty.Union(image.Rect(first, y, last+1, y+1))
		}
	}
	return dirty
}

// send wakes the panel if it sleeps, writes the rectangle and switches on.
func (d *Dev) send(r image.Rectangle) error {
	wasAwake := d.awake
	if !wasAwake {
		time.Sleep(time.Until(d.sleptAt.Add(sleepGap)))
		if err := d.command(cmdSLPOUT); err != nil {
			return err
		}
		time.Sleep(settle)
	}
	if !r.Empty() {
		if err := d.window(r); err != nil {
			return err
		}
	}
	if !wasAwake {
		if err := d.command(cmdDISPON); err != nil {
			return err
		}
		d.awake = true
	}
	return nil
}

// window sends the pixels of r.
func (d *Dev) window(r image.Rectangle) error {
	if err := d.command(cmdCASET, span(r.Min.X, r.Max.X)...); err != nil {
		return err
	}
	if err := d.command(cmdPASET, span(r.Min.Y, r.Max.Y)...); err != nil {
		return err
	}
	if err := d.command(cmdRAMWR); err != nil {
		return err
	}
	if r.Dx() == d.bounds.Dx() { // whole rows lie together
		w := 2 * d.bounds.Dx()
		return d.data(d.pix[r.Min.Y*w : r.Max.Y*w])
	}
	buf := make([]byte, 0, 2*r.Dx()*r.Dy())
	for y := r.Min.Y; y < r.Max.Y; y++ {
		i := 2 * (y*d.bounds.Dx() + r.Min.X)
		buf = append(buf, d.pix[i:i+2*r.Dx()]...)
	}
	return d.data(buf)
}

// span is a start and an inclusive end address, high byte first. Panel
// coordinates are below 320, so they fit.
func span(from, to int) []byte {
	to--
	return []byte{byte(from >> 8), byte(from), byte(to >> 8), byte(to)}
}

// Halt darkens the panel and puts it to sleep. A second Halt does nothing; the
// next Draw wakes the panel with its old picture and the changes.
func (d *Dev) Halt() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.awake {
		return nil
	}
	err := errors.Join(d.command(cmdDISPOFF), d.command(cmdSLPIN))
	if err != nil {
		return fmt.Errorf("halt %s: %w", d, err)
	}
	d.awake, d.sleptAt = false, time.Now()
	return nil
}
