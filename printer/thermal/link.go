package thermal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"posagent/drivers/uart"
	"posagent/printer"
	"posagent/printer/escpos"
)

const (
	// maxNoise is how many bytes that nobody asked for one call forgives.
	maxNoise = 64
	// askTries is how often an unanswered DLE EOT is sent.
	askTries = 2
	// hushTime is how long input must be quiet to count as read.
	hushTime = time.Millisecond
	// maxHush bounds the bytes read while waiting for quiet: what a kernel holds.
	maxHush = 4096
)

var (
	errTimeout = errors.New("no answer in time")
	errBabble  = errors.New("too many bytes that nobody asked for")
)

// link is the wire with its unanswered acknowledgement requests.
type link struct {
	stream  uart.Stream
	halted  *atomic.Bool
	window  uint32        // bytes that may be unacknowledged
	timeout time.Duration // for one answer
	perByte time.Duration // on the wire

	in  [64]byte // bytes read
	got []byte   // of in, not yet looked at

	pending  []uint32 // sizes of what awaits an acknowledgement, oldest first
	inflight uint32   // their sum
	acked    uint32   // acknowledgements of this document
	paperEnd bool     // the last one said that the paper has ended
	noise    uint32   // bytes nobody asked for, in this call
	strays   uint32   // acknowledgements among them
	asking   bool     // a DLE EOT is unanswered
	auto     uint8    // bytes of an automatic status still to come
	lost     bool     // acknowledgements and bands may no longer agree
}

// send writes bytes; acks tells that they end with a request for acknowledgement.
func (l *link) send(data []byte, acks bool) error {
	limit := l.timeout + time.Duration(len(data))*l.perByte
	if err := l.stream.SetWriteDeadline(time.Now().Add(limit)); err != nil {
		return fmt.Errorf("send to printer: %w", err)
	}
	if _, err := l.stream.Write(data); err != nil {
		l.lost = true
		return fmt.Errorf("send to printer: %w", err)
	}
	if acks {
		l.pending = append(l.pending, uint32(len(data)))
		l.inflight += uint32(len(data))
	}
	return nil
}

// room reports whether n more bytes may be on their way.
func (l *link) room(n int) bool {
	return len(l.pending) == 0 || l.inflight+uint32(n) <= l.window
}

// next reads one byte, by the deadline at the latest.
func (l *link) next(ctx context.Context, by time.Time) (byte, error) {
	if len(l.got) == 0 {
		if err := l.stream.SetReadDeadline(by); err != nil {
			return 0, fmt.Errorf("listen to printer: %w", err)
		}
		// The deadline may just have replaced the one that ends this call.
		if err := l.over(ctx); err != nil {
			return 0, err
		}
		n, err := l.stream.Read(l.in[:])
		if n == 0 {
			if over := l.over(ctx); over != nil {
				return 0, over
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return 0, errTimeout
			}
			return 0, fmt.Errorf("listen to printer: %w", err)
		}
		l.got = l.in[:n]
	}
	b := l.got[0]
	l.got = l.got[1:]
	return b, nil
}

// over is the reason why nothing must be done any more, or nil.
func (l *link) over(ctx context.Context) error {
	if l.halted.Load() {
		return printer.ErrHalted
	}
	return ctx.Err()
}

// event is what listen has heard.
type event uint8

const (
	eventAck event = iota + 1
	eventRealTime
	eventOther
)

// listen reads one byte and keeps the books of acknowledgements.
func (l *link) listen(ctx context.Context, by time.Time) (event, byte, error) {
	b, err := l.next(ctx, by)
	if err != nil {
		return 0, 0, err
	}
	if l.auto > 0 {
		l.auto--
		return eventOther, b, nil
	}
	switch escpos.Classify(b) {
	case escpos.ReplyRealTime:
		if l.asking {
			l.asking = false
			return eventRealTime, b, nil
		}
	case escpos.ReplyAck:
		if len(l.pending) > 0 {
			l.inflight -= l.pending[0]
			l.pending = l.pending[1:]
			l.acked++
			l.paperEnd = b&0x0C != 0
			return eventAck, b, nil
		}
		l.strays++
		l.lost = true
	case escpos.ReplyAuto:
		l.auto = 3
		return eventOther, b, nil
	case escpos.ReplyFlow:
		return eventOther, b, nil
	}
	if l.noise++; l.noise > maxNoise {
		l.lost = true
		return 0, 0, errBabble
	}
	return eventOther, b, nil
}

// hush reads what has arrived before anything was asked, until the line is quiet. It is
// not held against the printer: it may be old.
func (l *link) hush(ctx context.Context) error {
	for range maxHush {
		_, _, err := l.listen(ctx, time.Now().Add(hushTime))
		l.noise, l.strays = 0, 0
		if errors.Is(err, errTimeout) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return errBabble
}

// quiet listens until nothing has come for a while.
func (l *link) quiet(ctx context.Context, d time.Duration) error {
	for end := time.Now().Add(l.timeout + d); time.Now().Before(end); {
		_, _, err := l.listen(ctx, time.Now().Add(d))
		if errors.Is(err, errTimeout) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return errBabble
}

// ask sends DLE EOT n and waits for the answer.
func (l *link) ask(ctx context.Context, n byte, tries int) (byte, error) {
	var err error
	for range tries {
		if err = l.send(escpos.AppendStatusRequest(nil, n), false); err != nil {
			return 0, err
		}
		l.asking = true
		by := time.Now().Add(l.timeout)
		for {
			var e event
			var b byte
			if e, b, err = l.listen(ctx, by); err != nil {
				break
			}
			if e == eventRealTime {
				return b, nil
			}
		}
		if !errors.Is(err, errTimeout) {
			break
		}
	}
	l.asking = false
	return 0, err
}

// ready asks the one question that tells whether the printer prints at all, and all
// of them only when it does not. The result is that of status.
func (l *link) ready(ctx context.Context) (printer.Status, error) {
	b, err := l.ask(ctx, escpos.AskPrinter, askTries)
	if err != nil {
		return l.verdict(ctx, err)
	}
	var s escpos.State
	if s.Learn(escpos.AskPrinter, b); !s.Offline {
		return printer.Ready, nil
	}
	return l.status(ctx)
}

// status asks everything. The error says more about a printer that cannot print; with
// printer.Unknown it is the reason why the call has ended.
func (l *link) status(ctx context.Context) (printer.Status, error) {
	var s escpos.State
	for n := escpos.AskPrinter; n <= escpos.AskPaper; n++ {
		tries := 1
		if n == escpos.AskPrinter {
			tries = askTries
		}
		b, err := l.ask(ctx, n, tries)
		switch {
		case err == nil:
			s.Learn(n, b)
		case errors.Is(err, errTimeout) && n > escpos.AskPrinter:
			// Some printers know only a part of the four.
		default:
			return l.verdict(ctx, err)
		}
	}
	return s.Status(), nil
}

// verdict names what a question without an answer means.
func (l *link) verdict(ctx context.Context, err error) (printer.Status, error) {
	if over := l.over(ctx); over != nil {
		return printer.Unknown, over
	}
	if errors.Is(err, errBabble) {
		return printer.Babbling, err
	}
	return printer.NoAnswer, err
}
