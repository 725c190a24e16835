package bussim

import (
	"fmt"
	"io"
	"os"
	"time"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/physic"
	periph "periph.io/x/conn/v3/uart"

	"posagent/drivers/uart"
)

// side is the state of one end. The line's mu guards it.
type side struct {
	closed          bool
	readBy, writeBy time.Time
}

func passed(by, now time.Time) bool { return !by.IsZero() && !now.Before(by) }

// read is Read of either end: me reads l, which other fills.
func (u *UART) read(p []byte, me *side, l *lane, ended func() bool) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for {
		now := time.Now()
		switch {
		case me.closed:
			return 0, os.ErrClosed
		case len(p) == 0:
			return 0, nil
		case passed(me.readBy, now):
			return 0, os.ErrDeadlineExceeded
		}
		next := l.settle(now, &u.opts)
		if n := l.take(p); n > 0 {
			u.changed() // room for a sender that was held up
			return n, nil
		}
		if ended() && len(l.flight) == 0 {
			return 0, io.EOF
		}
		u.wait(earliest(next, me.readBy))
	}
}

// write is Write of either end; put sends one byte. lost tells that nobody will
// ever read again, deaf that nobody listens just now.
func (u *UART) write(p []byte, me *side, l *lane, lost, deaf func() bool, put func(b byte, now time.Time)) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := 0
	for {
		now := time.Now()
		switch {
		case me.closed:
			return n, os.ErrClosed
		case lost():
			return n, io.ErrClosedPipe
		case deaf():
			return len(p), nil
		case n < len(p) && passed(me.writeBy, now):
			return n, os.ErrDeadlineExceeded
		}
		next := l.settle(now, &u.opts)
		before := n
		for n < len(p) && len(l.flight) < fifoSize {
			put(p[n], now)
			n++
			next = l.settle(now, &u.opts)
		}
		if n > before {
			u.changed()
		}
		if n == len(p) {
			return n, nil
		}
		u.wait(earliest(next, me.writeBy))
	}
}

// Port is the terminal's end: a uart.PortCloser whose Connect returns a
// uart.Stream. It is always the same one, until it was closed on a Detachable
// line: then the next call opens the line again, with the input that was not
// read thrown away.
func (u *UART) Port() periph.PortCloser {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.term.closed && u.opts.Detachable {
		u.term = &terminal{u: u}
		u.toTerm.flight, u.toTerm.fifo = nil, nil
		u.settings = uart.Settings{}
	}
	return u.term
}

// terminal is the terminal's end.
type terminal struct {
	u *UART
	side
	limit physic.Frequency
}

var (
	_ periph.PortCloser = (*terminal)(nil)
	_ uart.Stream       = (*terminal)(nil)
	_ uart.Drainer      = (*terminal)(nil)
	_ uart.Discarder    = (*terminal)(nil)
)

func (t *terminal) String() string      { return t.u.name }
func (t *terminal) Halt() error         { return nil }
func (t *terminal) Duplex() conn.Duplex { return conn.Half }
func (t *terminal) partGone() bool      { return t.u.wire.closed }
func (t *terminal) never() bool         { return false }
func (t *terminal) locked(f func()) error {
	t.u.mu.Lock()
	defer t.u.mu.Unlock()
	f()
	t.u.changed()
	return nil
}

func (t *terminal) LimitSpeed(f physic.Frequency) error {
	if f < physic.Hertz {
		return fmt.Errorf("limit %s to %s: no such speed", t, f)
	}
	return t.locked(func() { t.limit = f })
}

func (t *terminal) Connect(f physic.Frequency, stop periph.Stop, parity periph.Parity, flow periph.Flow, bits int) (conn.Conn, error) {
	t.u.mu.Lock()
	defer t.u.mu.Unlock()
	if t.closed {
		return nil, fmt.Errorf("connect %s: %w", t, os.ErrClosed)
	}
	s, err := uart.Parse(f, t.limit, stop, parity, flow, bits)
	if err != nil {
		return nil, fmt.Errorf("connect %s: %w", t, err)
	}
	t.u.settings = s
	t.u.changed()
	return t, nil
}

func (t *terminal) Read(p []byte) (int, error) {
	return t.u.read(p, &t.side, &t.u.toTerm, t.partGone)
}

func (t *terminal) Write(p []byte) (int, error) {
	u := t.u
	return u.write(p, &t.side, &u.toPart, t.partGone, t.never, func(b byte, now time.Time) {
		at := u.toPart.put(b, now, u.charTime(0), u.mismatched())
		if !u.opts.Echo {
			return
		}
		// The transmitter hears what it drives, before any fault on the way.
		if u.toTerm.settle(now, &u.opts); uint32(len(u.toTerm.flight)+len(u.toTerm.fifo)) >= u.opts.FIFO {
			u.toTerm.inj.counts.Overruns++
			return
		}
		u.toTerm.flight = append(u.toTerm.flight, char{b, at})
	})
}

func (t *terminal) Tx(w, r []byte) error {
	if len(w) > 0 {
		if _, err := t.Write(w); err != nil {
			return fmt.Errorf("tx %s: write: %w", t, err)
		}
	}
	if len(r) > 0 {
		if _, err := io.ReadFull(t, r); err != nil {
			return fmt.Errorf("tx %s: read: %w", t, err)
		}
	}
	return nil
}

func (t *terminal) SetReadDeadline(by time.Time) error  { return t.locked(func() { t.readBy = by }) }
func (t *terminal) SetWriteDeadline(by time.Time) error { return t.locked(func() { t.writeBy = by }) }

func (t *terminal) Outq() (uint32, error) {
	t.u.mu.Lock()
	defer t.u.mu.Unlock()
	if t.closed {
		return 0, os.ErrClosed
	}
	t.u.toPart.settle(time.Now(), &t.u.opts)
	return uint32(len(t.u.toPart.flight)), nil
}

func (t *terminal) Drain() error {
	t.u.mu.Lock()
	defer t.u.mu.Unlock()
	for {
		now := time.Now()
		next := t.u.toPart.settle(now, &t.u.opts)
		switch {
		case t.closed:
			return os.ErrClosed
		case t.u.wire.closed:
			return io.ErrClosedPipe
		case len(t.u.toPart.flight) == 0:
			return nil
		case passed(t.writeBy, now):
			return os.ErrDeadlineExceeded
		}
		t.u.wait(earliest(next, t.writeBy))
	}
}

func (t *terminal) Discard(input, output bool) error {
	return t.locked(func() {
		now := time.Now()
		if input {
			t.u.toTerm.settle(now, &t.u.opts)
			t.u.toTerm.fifo = nil
		}
		if output {
			t.u.toPart.settle(now, &t.u.opts)
			t.u.toPart.flight = nil
			*t.u.toPart.busy = now
		}
	})
}

func (t *terminal) Close() error {
	t.u.mu.Lock()
	defer t.u.mu.Unlock()
	if t.closed {
		return os.ErrClosed
	}
	t.closed = true
	t.u.changed()
	return nil
}

// Wire is the part's end of a UART. Read and Write follow the contract of
// uart.Stream.
type Wire struct {
	u *UART
	side
}

var _ io.ReadWriteCloser = (*Wire)(nil)

// String is the name of the line.
func (w *Wire) String() string { return w.u.name }

func (w *Wire) terminalGone() bool { return w.u.term.closed && !w.u.opts.Detachable }
func (w *Wire) nobody() bool       { return w.u.term.closed && w.u.opts.Detachable }

// Read reads what the terminal sent.
func (w *Wire) Read(p []byte) (int, error) {
	return w.u.read(p, &w.side, &w.u.toPart, w.terminalGone)
}

// Write sends to the terminal.
func (w *Wire) Write(p []byte) (int, error) {
	u := w.u
	return u.write(p, &w.side, &u.toTerm, w.terminalGone, w.nobody, func(b byte, now time.Time) {
		u.toTerm.put(b, now, u.charTime(u.partBaud), u.mismatched())
	})
}

func (w *Wire) set(f func()) error {
	w.u.mu.Lock()
	defer w.u.mu.Unlock()
	if w.closed {
		return os.ErrClosed
	}
	f()
	w.u.changed()
	return nil
}

// SetReadDeadline bounds Read, now and later; the zero time lifts it.
func (w *Wire) SetReadDeadline(by time.Time) error { return w.set(func() { w.readBy = by }) }

// SetWriteDeadline bounds Write, now and later; the zero time lifts it.
func (w *Wire) SetWriteDeadline(by time.Time) error { return w.set(func() { w.writeBy = by }) }

// Settings is what the terminal connected with; ok is false before that. A part
// may refuse a frame it does not speak.
func (w *Wire) Settings() (s uart.Settings, ok bool) {
	w.u.mu.Lock()
	defer w.u.mu.Unlock()
	return w.u.settings, w.u.settings.Baud != 0
}

// Baud is the speed of the line: what the part stated, or else what the
// terminal connected with, 0 before either.
func (w *Wire) Baud() uint32 {
	w.u.mu.Lock()
	defer w.u.mu.Unlock()
	if w.u.partBaud != 0 {
		return w.u.partBaud
	}
	return w.u.settings.Baud
}

// SetBaud states the speed at which the part talks and listens. From then on
// bytes are garbled both ways while the terminal is more than 3 % away from it.
// 0 makes the part follow the terminal again.
func (w *Wire) SetBaud(baud uint32) {
	_ = w.set(func() { w.u.partBaud = baud })
}

// Drain waits until the last byte written has reached the terminal's FIFO: a
// part that answers and then changes its speed calls it in between.
func (w *Wire) Drain() error {
	u := w.u
	u.mu.Lock()
	defer u.mu.Unlock()
	for {
		now := time.Now()
		next := u.toTerm.settle(now, &u.opts)
		switch {
		case w.closed:
			return os.ErrClosed
		case len(u.toTerm.flight) == 0, w.nobody():
			return nil
		case w.terminalGone():
			return io.ErrClosedPipe
		case passed(w.writeBy, now):
			return os.ErrDeadlineExceeded
		}
		u.wait(earliest(next, w.writeBy))
	}
}

// Close takes the part off the line: the terminal reads what is on its way and
// then EOF.
func (w *Wire) Close() error {
	return w.set(func() { w.closed = true })
}
