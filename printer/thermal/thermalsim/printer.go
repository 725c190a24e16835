package thermalsim

import (
	"bytes"
	"image/png"
	"sync"
	"time"

	"posagent/printer"
	"posagent/printer/escpos"
)

// MaxRoll is the longest roll, in dot lines (25 m), and so the most memory that
// paper takes.
const MaxRoll = 200_000

// Opts describe the printer. Zero values mean the defaults in brackets.
type Opts struct {
	WidthDots uint16 // printable width [printer.Width58mm]
	RXBuffer  uint32 // receive buffer in bytes [1024]
	Speed     uint16 // millimetres per second; zero prints in no time
	PaperDots uint32 // dot lines on the first roll [MaxRoll]
	NearEnd   uint32 // dot lines left from which the paper is low
	// LosesBuffer empties the receive buffer whenever the printer goes offline, as
	// some cheap ones do.
	LosesBuffer bool
}

// Counts are what a printer has seen so far.
type Counts struct {
	Received uint64 // bytes
	Overruns uint64 // bytes lost because the buffer was full
	Unknown  uint64 // commands that are not executed
	Lines    uint64 // dot lines moved
}

// Printer is one simulated printer. Its methods may be called from any goroutine.
type Printer struct {
	opts Opts
	line time.Duration // for one dot line

	wake  chan struct{} // tells the mechanism that something changed
	nudge chan struct{} // tells the sender to look at babble

	mu      sync.Mutex // guards everything below
	serving bool
	rx      []byte
	parser  escpos.Parser
	scan    escpos.RealTime
	replies chan byte
	counts  Counts
	state   escpos.State
	off     bool
	silent  bool
	babble  bool
	left    uint32 // dot lines on the roll
	onPaper func()
	mangle  func(n uint64, b byte) (byte, bool)
	reply   func(n uint64, b byte) (byte, bool)
	replied uint64

	head  head
	paper printer.Bitmap
	cuts  []int
}

// New returns a printer that is ready, with paper.
func New(o *Opts) *Printer {
	p := &Printer{wake: make(chan struct{}, 1), nudge: make(chan struct{}, 1), replies: make(chan byte, replyQueue)}
	if o != nil {
		p.opts = *o
	}
	if p.opts.WidthDots == 0 {
		p.opts.WidthDots = printer.Width58mm
	}
	if p.opts.RXBuffer == 0 {
		p.opts.RXBuffer = 1024
	}
	if p.opts.PaperDots == 0 {
		p.opts.PaperDots = MaxRoll
	}
	if p.opts.Speed > 0 {
		p.line = time.Second / (8 * time.Duration(p.opts.Speed))
	}
	p.paper.Reset(int(p.opts.WidthDots), 0)
	p.head.reset()
	p.left = min(p.opts.PaperDots, MaxRoll)
	p.sense()
	return p
}

// String says what it is.
func (p *Printer) String() string { return "simulated thermal printer" }

// sense sets the paper sensors and the offline bit. The caller holds mu.
func (p *Printer) sense() {
	s := &p.state
	s.PaperEnd = p.left == 0
	s.NearEnd = p.left <= p.opts.NearEnd
	s.Error = s.Cutter || s.Fatal || s.Hot
	was := s.Offline
	s.Offline = s.Cover || s.PaperEnd || s.Error
	if s.Offline && !was && p.opts.LosesBuffer {
		p.forget()
	}
}

// forget empties the buffer and drops the command that was being executed. The
// caller holds mu.
func (p *Printer) forget() {
	p.rx, p.parser = p.rx[:0], escpos.Parser{}
	p.head.reset()
}

// change runs f under the lock, reads the sensors again and wakes the mechanism.
func (p *Printer) change(f func()) {
	p.mu.Lock()
	f()
	p.sense()
	p.mu.Unlock()
	kick(p.wake)
}

// kick wakes whoever waits on c, now or later.
func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Load puts in a roll of the given number of dot lines (8 are 1 mm). Zero takes
// the paper out.
func (p *Printer) Load(dots uint32) { p.change(func() { p.left = min(dots, MaxRoll) }) }

// SetCover opens or closes the cover.
func (p *Printer) SetCover(open bool) { p.change(func() { p.state.Cover = open }) }

// SetHot makes the print head too hot, or cools it down.
func (p *Printer) SetHot(hot bool) { p.change(func() { p.state.Hot = hot }) }

// SetFault makes or mends an error that only a technician can mend.
func (p *Printer) SetFault(broken bool) { p.change(func() { p.state.Fatal = broken }) }

// SetSilent cuts or restores the wire back to the terminal.
func (p *Printer) SetSilent(on bool) { p.change(func() { p.silent = on }) }

// SetBabble makes the printer send nonsense without end.
func (p *Printer) SetBabble(on bool) {
	p.change(func() { p.babble = on })
	kick(p.nudge)
}

// OnPaper sets a function that is called after paper has moved, on the printer's
// goroutine and without its lock.
func (p *Printer) OnPaper(f func()) { p.change(func() { p.onPaper = f }) }

// MangleIn sets a fault on the wire to the printer: f gets the number of the byte
// since switch-on and the byte, and returns what arrives, or false when it is lost.
// It must not call the printer.
func (p *Printer) MangleIn(f func(n uint64, b byte) (byte, bool)) {
	p.change(func() { p.mangle = f })
}

// MangleOut is MangleIn for the bytes that the printer sends.
func (p *Printer) MangleOut(f func(n uint64, b byte) (byte, bool)) {
	p.change(func() { p.reply = f })
}

// SetPower switches the printer off or on. Without power nothing is received or said;
// buffer and modes are forgotten, the paper stays.
func (p *Printer) SetPower(on bool) {
	p.change(func() {
		p.off = !on
		p.forget()
		p.scan = escpos.RealTime{}
		p.state.Hot = false
	})
}

// Counts returns what the printer has seen so far.
func (p *Printer) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts
}

// PaperLeft is the number of dot lines left on the roll.
func (p *Printer) PaperLeft() uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.left
}

// Sheet is a piece of paper.
type Sheet struct {
	// Image is what is on it.
	Image *printer.Bitmap
	// Cuts are the dot lines at which the printer itself has cut.
	Cuts []int
}

// PNG is the paper as a picture of one bit per dot; nil when there is none.
func (s Sheet) PNG() []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, s.Image); err != nil {
		return nil // only an empty picture cannot be encoded
	}
	return b.Bytes()
}

// Text is the text read from the dots.
func (s Sheet) Text() string { return ReadText(s.Image) }

// Paper is what has come out since the last Tear, as a copy.
func (p *Printer) Paper() *printer.Bitmap {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.paper
	b.Pix = bytes.Clone(b.Pix)
	return &b
}

// Tear takes the paper that has come out.
func (p *Printer) Tear() Sheet {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.paper
	s := Sheet{Image: &b, Cuts: p.cuts}
	p.paper, p.cuts = printer.Bitmap{Width: int(p.opts.WidthDots)}, nil
	return s
}
