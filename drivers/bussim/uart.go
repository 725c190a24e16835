package bussim

import (
	"sync"
	"time"

	"posagent/drivers/uart"
)

// UARTOpts describes a serial line. The zero value is a full-duplex line on
// which bytes take no time.
type UARTOpts struct {
	// Echo makes the line a single wire: the terminal also hears what it sends.
	Echo bool
	// Paced makes every character take its time at the speed of its sender.
	Paced bool
	// FIFO is how many bytes a receiver holds unread, 0 for 4096.
	FIFO uint32
	// Overrun loses bytes that meet a full FIFO. Without it the sender is held
	// up, as by flow control.
	Overrun bool
	// Detachable lets the terminal's end be closed and opened again: the part
	// sees silence instead of EOF and keeps its state, and what it sends
	// meanwhile is lost.
	Detachable bool
	// Faults is the plan of the line, nil for a perfect one.
	Faults *Plan
}

// DefaultUARTOpts is a perfect line on which bytes take no time.
var DefaultUARTOpts = UARTOpts{}

// fifoSize is the default of UARTOpts.FIFO and the size of the transmit queue
// of either end: what the Linux tty layer holds.
const fifoSize = 4096

// UART is a serial line with a terminal's end and a part's end.
type UART struct {
	name string
	opts UARTOpts
	wire *Wire

	mu       sync.Mutex // guards all below and the fields of both ends
	wake     chan struct{}
	term     *terminal
	toPart   lane
	toTerm   lane
	settings uart.Settings // of the terminal; zero before Connect
	partBaud uint32        // what the part says it listens at; 0 follows the terminal
}

// NewUART makes a line; nil opts are the defaults.
func NewUART(name string, opts *UARTOpts) *UART {
	if opts == nil {
		opts = &DefaultUARTOpts
	}
	u := &UART{name: name, opts: *opts, wake: make(chan struct{})}
	if u.opts.FIFO == 0 {
		u.opts.FIFO = fifoSize
	}
	u.term = &terminal{u: u}
	u.wire = &Wire{u: u}
	u.toPart.busy, u.toTerm.busy = new(time.Time), new(time.Time)
	if u.opts.Echo {
		u.toTerm.busy = u.toPart.busy // one wire, one talker at a time
	}
	u.toPart.inj.set(opts.Faults, ToPart)
	u.toTerm.inj.set(opts.Faults, ToTerminal)
	return u
}

// String is the name of the line.
func (u *UART) String() string { return u.name }

// Wire is the part's end, always the same one.
func (u *UART) Wire() *Wire { return u.wire }

// SetFaults replaces the plan of the line from its next byte on; nil ends all
// faults. Counts go on.
func (u *UART) SetFaults(p *Plan) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.toPart.inj.set(p, ToPart)
	u.toTerm.inj.set(p, ToTerminal)
}

// Counts tells what happened to the bytes of both directions so far.
func (u *UART) Counts() Counts {
	u.mu.Lock()
	defer u.mu.Unlock()
	c := u.toPart.inj.counts
	c.add(u.toTerm.inj.counts)
	return c
}

// changed wakes everybody who waits on the line. The caller holds mu.
func (u *UART) changed() {
	close(u.wake)
	u.wake = make(chan struct{})
}

// wait gives up mu until something changes or the time comes; the zero time
// never comes.
func (u *UART) wait(until time.Time) {
	wake := u.wake
	u.mu.Unlock()
	defer u.mu.Lock()
	if until.IsZero() {
		<-wake
		return
	}
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-wake:
	case <-t.C:
	}
}

// earliest is the first of two times of which either may be zero (never).
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// char is a byte on its way.
type char struct {
	b  byte
	at time.Time // when its last stop bit has passed
}

// lane is one direction of the line: what is on its way, and what the receiver
// holds unread. The line's mu guards it.
type lane struct {
	flight []char
	fifo   []byte
	busy   *time.Time // until when the wire is taken; shared by both lanes of a single wire
	inj    injector
}

// settle moves what has arrived into the FIFO and returns when the next byte
// will arrive; zero when none is on its way or the receiver holds up the line.
func (l *lane) settle(now time.Time, o *UARTOpts) time.Time {
	for len(l.flight) > 0 {
		c := l.flight[0]
		if c.at.After(now) {
			return c.at
		}
		if uint32(len(l.fifo)) >= o.FIFO {
			if !o.Overrun {
				return time.Time{}
			}
			l.inj.counts.Overruns++
		} else {
			l.fifo = append(l.fifo, c.b)
		}
		l.flight = l.flight[1:]
	}
	return time.Time{}
}

// put sends one byte that takes charTime, through the faults, and returns when
// it has passed.
func (l *lane) put(b byte, now time.Time, charTime time.Duration, garble bool) time.Time {
	out, n, late := l.inj.next(b)
	if garble {
		// At least one bit is always wrong, and not always the same.
		out ^= 0x80 | byte(l.inj.n*29)
		l.inj.counts.Garbled++
	}
	if l.busy.Before(now) {
		*l.busy = now
	}
	*l.busy = l.busy.Add(late + charTime)
	for k := range n {
		if k > 0 {
			*l.busy = l.busy.Add(charTime)
		}
		l.flight = append(l.flight, char{out, *l.busy})
	}
	return *l.busy
}

// take reads from the FIFO.
func (l *lane) take(p []byte) int {
	n := copy(p, l.fifo)
	l.fifo = l.fifo[n:]
	if len(l.fifo) == 0 {
		l.fifo = nil
	}
	return n
}

// speedTolerance is how far two rates may be apart before characters break, in
// per cent: half a bit over ten bits, less the jitter of a 16-fold sampler.
const speedTolerance = 3

// mismatched tells whether both ends named a speed and the speeds differ.
func (u *UART) mismatched() bool {
	a, b := int64(u.settings.Baud), int64(u.partBaud)
	if a == 0 || b == 0 {
		return false
	}
	return max(a-b, b-a)*100 > speedTolerance*min(a, b)
}

// charTime of a sender whose own speed is baud, 0 for the terminal's.
func (u *UART) charTime(baud uint32) time.Duration {
	if !u.opts.Paced {
		return 0
	}
	s := u.settings
	if s.Bits == 0 {
		s.Bits, s.Stop, s.Parity = 8, 1, 'N'
	}
	if baud != 0 {
		s.Baud = baud
	}
	return s.CharTime(1)
}
