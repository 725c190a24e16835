package icc

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"time"

	"periph.io/x/conn/v3/physic"

	"posagent/drivers/uart"
)

// presenceSlice is how long the line waits for a character before it looks at
// the presence contact and the context again: the bound on noticing a removal.
const presenceSlice = 20 * time.Millisecond

// ParityCounter is what a uart.Stream may offer beside its contract: the number
// of characters received with wrong parity so far, as Linux counts them in
// TIOCGICOUNT. T=0 has no other protection of its characters.
type ParityCounter interface {
	ParityErrors() (uint32, error)
}

// line is the I/O contact at character level: convention, echo, guard times
// and time-outs in etu. It is used by one goroutine.
type line struct {
	s       uart.Stream
	clock   physic.Frequency
	slack   time.Duration // added to every time-out for the host's own latency
	present func() bool
	inverse bool
	d       uint8  // current D
	n       uint8  // extra guard time towards the card, etu
	turn    uint32 // least silence before a send, etu
	buf     []byte // received and not yet taken
	heard   time.Time
	parity  uint32
	// until ends the current command whatever the card does.
	until time.Time
}

func (l *line) etu(n uint32) time.Duration { return etu(l.clock, l.d, n) }

// flip converts between the byte on a direct-convention UART and the one the
// card means in inverse convention: order and level of all bits are swapped,
// and even parity stays even (ISO/IEC 7816-3, 8.1).
func flip(b byte) byte { return ^bits.Reverse8(b) }

func (l *line) coded(b byte) byte {
	if l.inverse {
		return flip(b)
	}
	return b
}

// recv returns the next character, or errTimeout when none came within wait
// plus slack, or ErrRemoved, or the context's error.
func (l *line) recv(ctx context.Context, wait time.Duration) (byte, error) {
	if len(l.buf) == 0 {
		if err := l.fill(ctx, time.Now().Add(wait+l.slack)); err != nil {
			return 0, err
		}
	}
	b := l.buf[0]
	l.buf = l.buf[1:]
	return l.coded(b), nil
}

// fill waits until by for at least one character. The loop is bounded by the
// clock: every turn waits presenceSlice or ends.
func (l *line) fill(ctx context.Context, by time.Time) error {
	if !l.until.IsZero() && by.After(l.until) {
		by = l.until
	}
	var b [64]byte
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !l.present() {
			return ErrRemoved
		}
		now := time.Now()
		if !now.Before(by) {
			if !l.until.IsZero() && !now.Before(l.until) {
				return fmt.Errorf("%w: %v for one command", errBound, maxCommand)
			}
			return errTimeout
		}
		slice := by
		if s := now.Add(presenceSlice); s.Before(by) {
			slice = s
		}
		if err := l.s.SetReadDeadline(slice); err != nil {
			return fmt.Errorf("set read deadline: %w", err)
		}
		n, err := l.s.Read(b[:])
		if n > 0 {
			l.buf = append(l.buf[:0], b[:n]...)
			l.heard = time.Now()
			return nil
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("read port: %w", err)
		}
	}
}

// maxStray bounds the characters thrown away before a send: more than the
// longest block means that the line is not quiet at all.
const maxStray = 600

// settle waits for d of silence and throws away what still arrives. It returns
// how many characters that were.
func (l *line) settle(ctx context.Context, d time.Duration) (uint32, error) {
	stray := uint32(len(l.buf))
	l.buf = l.buf[:0]
	for stray <= maxStray {
		err := l.fill(ctx, time.Now().Add(d))
		if errors.Is(err, errTimeout) {
			return stray, nil
		}
		if err != nil {
			return stray, err
		}
		stray += uint32(len(l.buf))
		l.buf = l.buf[:0]
	}
	return stray, fmt.Errorf("%w: %d stray characters", errBound, stray)
}

// send writes b with the guard times in force and takes its echo back. It
// fails with errEcho when the line carried something else.
func (l *line) send(ctx context.Context, b []byte) error {
	if quiet := l.etu(l.turn) - time.Since(l.heard); quiet > 0 {
		if _, err := l.settle(ctx, quiet); err != nil {
			return err
		}
	}
	l.buf = l.buf[:0]
	step := len(b)
	if l.n > 0 {
		step = 1
	}
	out := make([]byte, 0, step)
	for len(b) > 0 {
		out = out[:0]
		for _, c := range b[:step] {
			out = append(out, l.coded(c))
		}
		if err := l.sendEcho(ctx, out); err != nil {
			return err
		}
		b = b[step:]
		if l.n > 0 && len(b) > 0 {
			if err := pause(ctx, l.etu(uint32(l.n))); err != nil {
				return err
			}
		}
	}
	return nil
}

// sendEcho writes raw characters and compares their echo.
func (l *line) sendEcho(ctx context.Context, out []byte) error {
	room := l.etu(12*uint32(len(out))) + l.slack
	if err := l.s.SetWriteDeadline(time.Now().Add(room)); err != nil {
		return fmt.Errorf("set write deadline: %w", err)
	}
	if _, err := l.s.Write(out); err != nil {
		return fmt.Errorf("write port: %w", err)
	}
	by := time.Now().Add(room)
	for i := 0; i < len(out); i++ {
		if len(l.buf) == 0 {
			err := l.fill(ctx, by)
			if errors.Is(err, errTimeout) {
				return fmt.Errorf("%w: %d of %d characters came back", errEcho, i, len(out))
			}
			if err != nil {
				return err
			}
		}
		if l.buf[0] != out[i] {
			return fmt.Errorf("%w: character %d is %02X, sent %02X", errEcho, i, l.buf[0], out[i])
		}
		l.buf = l.buf[1:]
	}
	return nil
}

// parityMark remembers the port's count of parity errors.
func (l *line) parityMark() {
	if c, ok := l.s.(ParityCounter); ok {
		l.parity, _ = c.ParityErrors()
	}
}

// parityClean says whether no parity error was counted since the mark.
func (l *line) parityClean() bool {
	c, ok := l.s.(ParityCounter)
	if !ok {
		return true
	}
	n, err := c.ParityErrors()
	return err != nil || n == l.parity
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
