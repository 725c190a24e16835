package thermalsim

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"posagent/printer/escpos"
)

const (
	replyQueue   = 256                  // bytes on their way to the terminal; more are lost
	babblePause  = 2 * time.Millisecond // between two bursts of nonsense
	paperNotices = 16                   // dot lines between two calls of OnPaper
)

// ErrServing is returned by Serve while another Serve holds the printer.
var ErrServing = errors.New("printer is on another wire")

// Serve answers on the wire until it is closed or ctx ends, and then returns nil;
// any other error of the wire is returned. When ctx ends a blocked Read is released
// by a deadline if the wire has SetReadDeadline, else by closing it if it can be
// closed.
func (p *Printer) Serve(ctx context.Context, wire io.ReadWriter) error {
	p.mu.Lock()
	if p.serving {
		p.mu.Unlock()
		return ErrServing
	}
	p.serving = true
	p.mu.Unlock()

	ctx, cancel := context.WithCancel(ctx)
	released := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		release(wire, time.Unix(1, 0))
		close(released)
	})
	var group sync.WaitGroup
	group.Go(func() { p.mechanism(ctx) })
	group.Go(func() { p.send(ctx, wire) })
	err := p.receive(ctx, wire)
	cancel()
	if !stop() {
		<-released
	}
	group.Wait()
	release(wire, time.Time{})

	p.mu.Lock()
	p.serving = false
	p.mu.Unlock()
	return err
}

// release ends blocked calls on the wire, or with the zero time allows them again.
func release(wire io.ReadWriter, by time.Time) {
	r, okR := wire.(interface{ SetReadDeadline(time.Time) error })
	if w, ok := wire.(interface{ SetWriteDeadline(time.Time) error }); ok {
		w.SetWriteDeadline(by)
	}
	if okR && r.SetReadDeadline(by) == nil {
		return
	}
	if c, ok := wire.(io.Closer); ok && !by.IsZero() {
		c.Close()
	}
}

// receive takes bytes from the wire into the buffer.
func (p *Printer) receive(ctx context.Context, wire io.Reader) error {
	var chunk [256]byte
	for {
		n, err := wire.Read(chunk[:])
		p.take(chunk[:n])
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
		case errors.Is(err, io.EOF) || errors.Is(err, os.ErrClosed) || errors.Is(err, io.ErrClosedPipe):
			return nil
		default:
			return err
		}
	}
}

func (p *Printer) take(chunk []byte) {
	p.mu.Lock()
	for _, b := range chunk {
		p.counts.Received++
		if p.mangle != nil {
			var ok bool
			if b, ok = p.mangle(p.counts.Received-1, b); !ok {
				continue
			}
		}
		if p.off {
			continue
		}
		if n, ok := p.scan.Scan(b); ok {
			p.answer(p.state.Reply(n))
			if p.topLevel() {
				p.rx = p.rx[:len(p.rx)-2] // DLE EOT on its own never fills the buffer
				continue
			}
		}
		if uint32(len(p.rx)) >= p.opts.RXBuffer {
			p.counts.Overruns++
			continue
		}
		p.rx = append(p.rx, b)
	}
	p.mu.Unlock()
	kick(p.wake)
}

// topLevel reports whether the buffer ends with DLE EOT as a command of its own,
// rather than as part of a picture. The caller holds mu.
func (p *Printer) topLevel() bool {
	q, rest := p.parser, p.rx
	for {
		_, n := q.Next(rest)
		if n == 0 {
			return !q.Busy() && len(rest) == 2 && rest[0] == 0x10 && rest[1] == 0x04
		}
		rest = rest[n:]
	}
}

// answer queues a byte for the terminal. The caller holds mu.
func (p *Printer) answer(b byte) {
	if p.silent || p.off {
		return
	}
	if p.reply != nil {
		p.replied++
		var ok bool
		if b, ok = p.reply(p.replied-1, b); !ok {
			return
		}
	}
	select {
	case p.replies <- b:
	default:
	}
}

// send writes queued bytes, and nonsense while the printer babbles.
func (p *Printer) send(ctx context.Context, wire io.Writer) {
	noise := []byte{0xFF, 0x00, 0x5A, 0x12, 0x81, 0x0F}
	for {
		p.mu.Lock()
		on := p.babble && !p.off
		p.mu.Unlock()
		var tick <-chan time.Time
		if on {
			tick = time.After(babblePause)
		}
		var err error
		select {
		case <-ctx.Done():
			return
		case b := <-p.replies:
			_, err = wire.Write([]byte{b})
		case <-tick:
			_, err = wire.Write(noise)
		case <-p.nudge:
		}
		if err != nil {
			return // the receiver sees the end of the wire too
		}
	}
}

// mechanism executes the buffer and moves the paper.
func (p *Printer) mechanism(ctx context.Context) {
	var due time.Time
	told := uint64(0)
	for ctx.Err() == nil {
		p.mu.Lock()
		before := p.counts.Lines
		busy := p.step()
		moved := p.counts.Lines - before
		lines, notify := p.counts.Lines, p.onPaper
		p.mu.Unlock()
		if lines != told && (!busy || lines-told >= paperNotices) {
			told = lines
			if notify != nil {
				notify()
			}
		}
		if moved > 0 && p.line > 0 {
			now := time.Now()
			if due.Before(now) {
				due = now
			}
			due = due.Add(time.Duration(moved) * p.line)
			if !sleep(ctx, due.Sub(now)) {
				return
			}
		}
		if busy {
			continue
		}
		select {
		case <-ctx.Done():
		case <-p.wake:
		}
	}
}

// sleep waits and reports whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// step moves one dot line or executes one command. It is false when nothing can be
// done until something changes. The caller holds mu.
func (p *Printer) step() bool {
	if p.off || p.state.Offline {
		return false
	}
	if row, ok := p.head.next(); ok {
		p.move(row)
		return true
	}
	cmd, n := p.parser.Next(p.rx)
	if n == 0 {
		return false
	}
	switch cmd.Op {
	case escpos.OpAck:
		p.answer(p.state.Sensor())
	case escpos.OpCut:
		p.head.feed += uint32(cmd.N)
		p.head.cut = true
	case escpos.OpUnknown:
		p.counts.Unknown++
	default:
		p.head.execute(cmd, int(p.opts.WidthDots))
	}
	if p.head.cut && p.head.feed == 0 {
		p.head.cut = false
		p.cuts = append(p.cuts, p.paper.Height)
	}
	p.rx = append(p.rx[:0], p.rx[n:]...)
	return true
}

// move prints one dot line; nil is a white one. The caller holds mu.
func (p *Printer) move(row []byte) {
	b := &p.paper
	n := b.Stride()
	row = row[:min(len(row), n)]
	b.Pix = append(b.Pix, row...)
	b.Pix = append(b.Pix, make([]byte, n-len(row))...)
	b.Height++
	p.counts.Lines++
	p.left--
	if p.head.cut && p.head.feed == 0 {
		p.head.cut = false
		p.cuts = append(p.cuts, b.Height)
	}
	p.sense()
}
