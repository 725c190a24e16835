package displaysim

import (
	"image"
	"image/color"
	"math/rand/v2"
	"sync"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/spi"

	"posagent/drivers/bussim"
)

// The glass has 240 columns and 320 rows.
const (
	columns = 240
	rows    = 320
)

// Waiting times of the datasheet that a careless driver breaks.
const (
	deaf     = 5 * time.Millisecond
	sleepGap = 120 * time.Millisecond
)

// maxParams bounds what is kept of a command: none that is understood has
// more.
const maxParams = 4

// Mount is which way the glass is built in.
type Mount uint8

// The view is 320×240 or 240×320 pixels.
const (
	Landscape Mount = iota
	Portrait
)

// Opts describes the panel.
type Opts struct {
	Mount Mount
	// Seed makes the noise of the memory at power-up.
	Seed uint64
}

// DefaultOpts is a panel in landscape.
var DefaultOpts = Opts{}

// Panel is the simulated part; it is the bussim.SPIDevice behind a port.
type Panel struct {
	dc   *bussim.Pin
	opts Opts

	mu      sync.Mutex // guards what follows
	mem     [rows][columns]color.RGBA
	held    bool // reset line is low
	asleep  bool
	on      bool
	invert  bool
	madctl  byte
	colmod  byte
	cs, ce  uint16 // column window
	ps, pe  uint16 // page window
	x, y    uint16 // where the next pixel goes
	cmd     byte
	params  []byte
	pixel   []byte // bytes of an unfinished pixel
	wrote   bool
	deafTo  time.Time
	sleepOK time.Time // sleep out before that is lost
	mode    spi.Mode
	notify  bool
	onFrame func()
}

var _ bussim.SPIDevice = (*Panel)(nil)

// New makes a panel at power-up. reset may be nil when it is not wired.
func New(dc, reset *bussim.Pin, opts *Opts) *Panel {
	if opts == nil {
		opts = &DefaultOpts
	}
	p := &Panel{dc: dc, opts: *opts, params: make([]byte, 0, maxParams), asleep: true}
	rng := rand.New(rand.NewPCG(opts.Seed, 0x9341))
	for r := range p.mem {
		for c := range p.mem[r] {
			v := rng.Uint32()
			p.mem[r][c] = color.RGBA{byte(v), byte(v >> 8), byte(v >> 16), 0xFF}
		}
	}
	p.reset()
	p.deafTo, p.sleepOK = time.Time{}, time.Time{}
	if reset != nil {
		reset.Watch(func(l gpio.Level) {
			p.mu.Lock()
			p.held = l == gpio.Low
			p.reset()
			p.finish()
		})
	}
	return p
}

// OnFrame sets a function that is called after each change of what is seen: a
// window written to its end, the panel switched on or off. It runs on the
// goroutine that drove the bus, and may call Image.
func (p *Panel) OnFrame(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.onFrame = f
}

// Lit tells whether the panel shows its memory.
func (p *Panel) Lit() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.on && !p.asleep && !p.held
}

// Image is what a person sees now: black while the panel is off or asleep.
func (p *Panel) Image() image.Image {
	p.mu.Lock()
	defer p.mu.Unlock()
	size := image.Rect(0, 0, rows, columns)
	if p.opts.Mount == Portrait {
		size = image.Rect(0, 0, columns, rows)
	}
	m := image.NewRGBA(size)
	lit := p.on && !p.asleep && !p.held
	for y := range size.Dy() {
		for x := range size.Dx() {
			c := color.RGBA{A: 0xFF}
			if lit {
				c = p.seen(x, y)
			}
			m.SetRGBA(x, y, c)
		}
	}
	return m
}

// seen is the memory cell behind a point of the view. Columns count from the
// right of the upright glass; landscape is that glass turned a quarter left.
func (p *Panel) seen(x, y int) color.RGBA {
	c := color.RGBA{}
	if p.opts.Mount == Portrait {
		c = p.mem[y][columns-1-x]
	} else {
		c = p.mem[x][y]
	}
	if p.invert {
		c.R, c.G, c.B = ^c.R, ^c.G, ^c.B
	}
	return c
}

// reset is the state after power-up and after either kind of reset; memory
// stays. Called with mu held.
func (p *Panel) reset() {
	now := time.Now()
	p.deafTo = now.Add(deaf)
	if !p.asleep {
		p.sleepOK = now.Add(sleepGap)
	}
	p.notify = p.notify || p.on
	p.asleep, p.on, p.invert = true, false, false
	p.madctl, p.colmod = 0, 0x66
	p.cs, p.ce, p.ps, p.pe = 0, columns-1, 0, rows-1
	p.cmd, p.params, p.pixel, p.wrote = 0, p.params[:0], p.pixel[:0], false
}

// finish releases mu and reports a new frame if there is one.
func (p *Panel) finish() {
	f, tell := p.onFrame, p.notify
	p.notify = false
	p.mu.Unlock()
	if tell && f != nil {
		f()
	}
}

// Select is chip select becoming active. The panel samples on the rising edge
// with the clock idle low (mode 0) or idle high (mode 3).
func (p *Panel) Select(s bussim.SPISettings) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = s.Mode & spi.Mode3
}

// Deselect is chip select becoming inactive: a memory write goes on later.
func (p *Panel) Deselect() {}

// Transfer takes bytes; the D/C line says what they are.
func (p *Panel) Transfer(w, _ []byte) {
	isData := p.dc.Level() == gpio.High
	p.mu.Lock()
	defer p.finish()
	if p.held || (p.mode != spi.Mode0 && p.mode != spi.Mode3) {
		return
	}
	for _, b := range w {
		if isData {
			p.data(b)
		} else {
			p.command(b)
		}
	}
}
