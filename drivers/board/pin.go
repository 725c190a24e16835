package board

import (
	"sync"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/pin"
)

// edgeSlice is how long one wait on the hardware lasts at most. Between two
// slices a Halt from another goroutine is noticed.
const edgeSlice = 500 * time.Millisecond

// edgeLook is the time-out that stands for "only look": the host's pin wants it
// positive to return a queued edge.
const edgeLook = time.Millisecond

// line is a pin of the machine with the defects of periph's Linux GPIO repaired:
// it remembers what it was set to, so that nobody has to ask an output.
type line struct {
	gpio.PinIO

	mu    sync.Mutex // guards what follows
	mode  pin.Func   // gpio.IN, gpio.OUT or pin.FuncNone before either
	level gpio.Level // of an output
	setup uint64     // counts In, Out and Halt, which end a wait
}

var _ pin.PinFunc = (*line)(nil)

// repair wraps a pin; an alias is resolved first.
func repair(p gpio.PinIO) gpio.PinIO {
	if a, ok := p.(gpio.RealPin); ok {
		p = a.Real()
	}
	return &line{PinIO: p}
}

// String is the pin's name; the host's pin would print itself as JSON.
func (l *line) String() string { return l.Name() }

// set notes a new mode and returns the count of set-ups.
func (l *line) set(mode pin.Func, level gpio.Level) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mode, l.level = mode, level
	l.setup++
}

func (l *line) state() (pin.Func, gpio.Level, uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mode, l.level, l.setup
}

// In makes the pin an input.
func (l *line) In(pull gpio.Pull, edge gpio.Edge) error {
	if err := l.PinIO.In(pull, edge); err != nil {
		return err
	}
	l.set(gpio.IN, gpio.Low)
	return nil
}

// Out makes the pin an output.
func (l *line) Out(level gpio.Level) error {
	if err := l.PinIO.Out(level); err != nil {
		return err
	}
	l.set(gpio.OUT, level)
	return nil
}

// Read is the level: of an output what was last set, of an input what the
// hardware says. A pin that was never set up becomes an input first.
func (l *line) Read() gpio.Level {
	mode, level, _ := l.state()
	switch mode {
	case gpio.OUT:
		return level
	case pin.FuncNone:
		if l.In(gpio.PullNoChange, gpio.NoEdge) != nil {
			return gpio.Low
		}
	}
	return l.PinIO.Read()
}

// Func tells mode and level without touching an output.
func (l *line) Func() pin.Func {
	mode, level, _ := l.state()
	switch {
	case mode == gpio.IN && l.PinIO.Read() == gpio.High:
		return gpio.IN_HIGH
	case mode == gpio.IN:
		return gpio.IN_LOW
	case mode == gpio.OUT && level == gpio.High:
		return gpio.OUT_HIGH
	case mode == gpio.OUT:
		return gpio.OUT_LOW
	}
	return pin.FuncNone
}

// Function is the text of Func.
func (l *line) Function() string { return string(l.Func()) }

// SupportedFuncs are input and output.
func (l *line) SupportedFuncs() []pin.Func { return []pin.Func{gpio.IN, gpio.OUT} }

// SetFunc switches between input and output.
func (l *line) SetFunc(f pin.Func) error {
	switch f {
	case gpio.OUT, gpio.OUT_LOW:
		return l.Out(gpio.Low)
	case gpio.OUT_HIGH:
		return l.Out(gpio.High)
	}
	return l.In(gpio.PullNoChange, gpio.NoEdge)
}

// WaitForEdge waits for an edge that In asked for: for ever when timeout is
// negative, not at all when it is zero. In, Out and Halt end the wait with
// false.
func (l *line) WaitForEdge(timeout time.Duration) bool {
	mode, _, setup := l.state()
	if mode != gpio.IN {
		return false
	}
	by := time.Now().Add(timeout)
	for {
		wait := edgeSlice
		if timeout >= 0 {
			wait = max(min(wait, time.Until(by)), edgeLook)
		}
		began := time.Now()
		if l.PinIO.WaitForEdge(wait) {
			return true
		}
		if _, _, now := l.state(); now != setup {
			return false
		}
		if timeout >= 0 && !time.Now().Before(by) {
			return false
		}
		// A pin that gives up at once, such as one without edge detection, must
		// not turn this into a busy loop.
		if time.Since(began) < wait/2 {
			time.Sleep(edgeLook)
		}
	}
}

// Halt ends a WaitForEdge; an output keeps its level.
func (l *line) Halt() error {
	l.mu.Lock()
	l.setup++
	l.mu.Unlock()
	return l.PinIO.Halt()
}
