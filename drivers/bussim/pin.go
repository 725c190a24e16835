package bussim

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/pin"
)

// edgeQueue is how many edges Linux keeps per requested line when nobody waits
// (16, the default event buffer of GPIO uAPI v2); later ones are lost.
const edgeQueue = 16

// Pin is one wire between a terminal and its parts. The terminal sees a
// gpio.PinIO; parts Drive, Release, read the Level and Watch it.
//
// The terminal's output wins over a driving part; a driving part wins over the
// pull. A pin that nobody drives and nothing pulls is Low.
type Pin struct {
	name string

	mu       sync.Mutex // guards what follows
	wake     chan struct{}
	out      bool       // the terminal drives
	outLevel gpio.Level // what it drives
	pull     gpio.Pull
	edge     gpio.Edge
	driven   bool // a part drives
	partLvl  gpio.Level
	level    gpio.Level
	edges    int    // waiting for WaitForEdge
	setup    uint64 // counts In, Out and Halt, which end a WaitForEdge

	watchers    []*watcher
	pending     []gpio.Level // changes not yet told to the watchers
	dispatching bool
}

type watcher struct{ f func(gpio.Level) }

var (
	_ gpio.PinIO  = (*Pin)(nil)
	_ pin.PinFunc = (*Pin)(nil)
)

// NewPin makes a pin that nobody drives.
func NewPin(name string) *Pin { return &Pin{name: name, wake: make(chan struct{})} }

// update recomputes the level of the wire, queues an edge and tells watchers.
// It is called with mu held and returns with mu released.
func (p *Pin) update() {
	l := p.pull == gpio.PullUp
	if p.driven {
		l = bool(p.partLvl)
	}
	if p.out {
		l = bool(p.outLevel)
	}
	if gpio.Level(l) == p.level {
		p.mu.Unlock()
		return
	}
	p.level = gpio.Level(l)
	rising := p.edge&gpio.RisingEdge != 0 && l
	falling := p.edge&gpio.FallingEdge != 0 && !l
	if !p.out && (rising || falling) && p.edges < edgeQueue {
		p.edges++
		p.changed()
	}
	p.pending = append(p.pending, p.level)
	p.dispatch()
}

// dispatch runs the watchers in order, outside the lock; a change made by a
// watcher, or meanwhile by somebody else, is told after it by whoever is
// already dispatching. Called with mu held, returns with mu released.
func (p *Pin) dispatch() {
	if p.dispatching {
		p.mu.Unlock()
		return
	}
	p.dispatching = true
	for len(p.pending) > 0 {
		l := p.pending[0]
		p.pending = p.pending[1:]
		ws := append([]*watcher(nil), p.watchers...)
		p.mu.Unlock()
		for _, w := range ws {
			w.f(l)
		}
		p.mu.Lock()
	}
	p.dispatching = false
	p.mu.Unlock()
}

func (p *Pin) changed() {
	close(p.wake)
	p.wake = make(chan struct{})
}

// Drive is the part pulling the wire to l.
func (p *Pin) Drive(l gpio.Level) {
	p.mu.Lock()
	p.driven, p.partLvl = true, l
	p.update()
}

// Release is the part letting go of the wire.
func (p *Pin) Release() {
	p.mu.Lock()
	p.driven = false
	p.update()
}

// Level is what anybody on the wire sees now.
func (p *Pin) Level() gpio.Level {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.level
}

// Driven tells whether the terminal drives the wire, and to which level.
func (p *Pin) Driven() (gpio.Level, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.outLevel, p.out
}

// Watch calls f after each change of the level, in order, on the goroutine that
// caused it (or on one that is already telling watchers). f must not block on
// that goroutine; it may drive pins. stop ends the calls.
func (p *Pin) Watch(f func(gpio.Level)) (stop func()) {
	w := &watcher{f}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watchers = append(p.watchers, w)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for i, o := range p.watchers {
			if o == w {
				p.watchers = append(p.watchers[:i:i], p.watchers[i+1:]...)
				return
			}
		}
	}
}

// String, Name, Number and Function are periph's pin.Pin. A simulated pin has
// no number.
func (p *Pin) String() string { return p.name }

// Name is the name given to NewPin.
func (p *Pin) Name() string { return p.name }

// Number is -1.
func (p *Pin) Number() int { return -1 }

// Function is the text of Func.
func (p *Pin) Function() string { return string(p.Func()) }

// Func tells direction and level, such as "In/High".
func (p *Pin) Func() pin.Func {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.out && p.level == gpio.High:
		return gpio.OUT_HIGH
	case p.out:
		return gpio.OUT_LOW
	case p.level == gpio.High:
		return gpio.IN_HIGH
	}
	return gpio.IN_LOW
}

// SupportedFuncs are input and output.
func (p *Pin) SupportedFuncs() []pin.Func { return []pin.Func{gpio.IN, gpio.OUT} }

// SetFunc switches between input and output.
func (p *Pin) SetFunc(f pin.Func) error {
	switch f {
	case gpio.IN, gpio.IN_HIGH, gpio.IN_LOW:
		return p.In(gpio.PullNoChange, gpio.NoEdge)
	case gpio.OUT, gpio.OUT_LOW:
		return p.Out(gpio.Low)
	case gpio.OUT_HIGH:
		return p.Out(gpio.High)
	}
	return fmt.Errorf("pin %s cannot be %s", p.name, f)
}

// Halt ends a WaitForEdge and turns edge detection off. An output keeps its
// level, as on a real board.
func (p *Pin) Halt() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.edge, p.edges = gpio.NoEdge, 0
	p.setup++
	p.changed()
	return nil
}

// In makes the pin an input of the terminal and empties the edge queue.
func (p *Pin) In(pull gpio.Pull, edge gpio.Edge) error {
	p.mu.Lock()
	p.out, p.edge, p.edges = false, gpio.NoEdge, 0
	if pull != gpio.PullNoChange {
		p.pull = pull
	}
	p.setup++
	p.changed()
	p.update() // changes seen here are ours, not edges
	p.mu.Lock()
	p.edge = edge
	p.mu.Unlock()
	return nil
}

// Read is the level.
func (p *Pin) Read() gpio.Level { return p.Level() }

// WaitForEdge waits at most timeout for an edge that In asked for, or takes one
// that came before. It returns false when the time is over or the pin was set
// up anew. A time-out that is not positive only looks: see the package comment.
func (p *Pin) WaitForEdge(timeout time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := time.NewTimer(max(timeout, 0))
	defer t.Stop()
	setup := p.setup
	for {
		if p.edge == gpio.NoEdge || p.setup != setup {
			return false
		}
		if p.edges > 0 {
			p.edges--
			return true
		}
		if timeout <= 0 {
			return false
		}
		wake := p.wake
		p.mu.Unlock()
		over := false
		select {
		case <-wake:
		case <-t.C:
			over = true
		}
		p.mu.Lock()
		if over && p.edges == 0 {
			return false
		}
	}
}

// Pull is what In set last.
func (p *Pin) Pull() gpio.Pull {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pull
}

// DefaultPull is Float.
func (p *Pin) DefaultPull() gpio.Pull { return gpio.Float }

// Out makes the pin an output of the terminal at l.
func (p *Pin) Out(l gpio.Level) error {
	p.mu.Lock()
	if !p.out {
		p.setup++
		p.changed()
	}
	p.out, p.outLevel, p.edge, p.edges = true, l, gpio.NoEdge, 0
	p.update()
	return nil
}

// PWM is not on a plain GPIO.
func (p *Pin) PWM(gpio.Duty, physic.Frequency) error {
	return fmt.Errorf("pwm on pin %s: %w", p.name, errors.ErrUnsupported)
}
