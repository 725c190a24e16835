package thermal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"posagent/printer"
	"posagent/printer/escpos"
)

const (
	// helloZeros end the last bytes of a picture that a printer may be waiting for.
	helloZeros = 16
	// flushChunk is how many of escpos.FlushZeros are sent at once: no more than the
	// smallest buffer.
	flushChunk = MinRXBuffer
	// settleTime separates answers to a greeting from late answers to earlier bytes.
	settleTime = 20 * time.Millisecond
)

// The void line. It stands on paper below every incomplete copy, in both languages, so
// that nobody takes it for a receipt.
const (
	voidChinese = "*** 未完成 作废 ***"
	voidEnglish = "*** VOID - INCOMPLETE ***"
)

// voidSlip is what is printed below an incomplete copy.
func (d *Dev) voidSlip() *printer.Document {
	bold := printer.Style{Bold: true, Align: printer.Center}
	slip := &printer.Document{Kind: printer.Report, Width: int(d.opts.WidthDots)}
	return slip.Feed(24).Styled(voidChinese, bold).Styled(voidEnglish, bold).Feed(24).Cut()
}

// Void voids the incomplete copy on paper, if there is one, without printing its
// document again. Errors are those of Print.
func (d *Dev) Void(ctx context.Context) error {
	done, err := d.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	if d.open == nil {
		return nil
	}
	if _, err := d.prepare(ctx, nil); err != nil {
		return d.stopped(err, 0, 0)
	}
	return nil
}

// prepare makes the printer and the paper ready for a job and tells at which band to
// begin; that is the number of bands when the job is on paper already. A nil job only
// clears up.
func (d *Dev) prepare(ctx context.Context, job *escpos.Job) (from uint32, err error) {
	l := &d.link
	if err := l.hush(ctx); err != nil {
		return 0, d.wireStop(ctx, err)
	}
	status, err := l.ready(ctx)
	switch {
	case status == printer.Unknown:
		return 0, err
	case !status.CanPrint():
		return 0, &stop{status, err}
	}
	if err := d.settle(ctx); err != nil {
		return 0, err
	}
	same := job != nil && d.open != nil && d.open.id == job.ID
	switch at := d.open; {
	case job != nil && d.late != nil && *d.late == job.ID:
		d.late = nil
		if !same {
			return uint32(job.Len()), nil
		}
	case at == nil:
	case !l.lost && at.sent == at.bands:
		d.open = nil
		if same {
			return uint32(job.Len()), nil
		}
		if at.kind == printer.Payment {
			d.late = &at.id // its caller will ask for it again
		}
	case !l.lost && same && at.kind == printer.Report:
		return at.sent, nil
	}
	if l.lost {
		if err := d.synchronise(ctx); err != nil {
			return 0, err
		}
	}
	if d.open == nil {
		return 0, nil
	}
	return 0, d.void(ctx)
}

// settle lets the printer finish what it holds. Acknowledgements that stay out leave the
// link lost.
func (d *Dev) settle(ctx context.Context) error {
	l := &d.link
	for len(l.pending) > 0 && !l.lost {
		err := d.waitAck(ctx)
		var s *stop
		if errors.As(err, &s) && s.status == printer.Fault && l.lost {
			return nil // it lost its buffer; the copy will be voided
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// void prints the void slip. When that is interrupted too, the copy above it stays
// open and is voided again next time.
func (d *Dev) void(ctx context.Context) error {
	job, err := d.slip.Encode(d.voidSlip(), &d.encode)
	if err != nil {
		return fmt.Errorf("void slip: %w", err)
	}
	was := *d.open
	if err := d.run(ctx, job, 0); err != nil {
		// Payment and another identity: it can neither continue nor count as whole.
		d.open = &position{id: was.id, kind: printer.Payment, sent: was.sent, bands: was.bands + 1}
		return err
	}
	return nil
}

// synchronise makes sure that the printer waits for a command and owes no answer.
func (d *Dev) synchronise(ctx context.Context) error {
	l := &d.link
	hello := escpos.AppendAckRequest(make([]byte, helloZeros))
	ok, err := d.greet(ctx, hello, settleTime)
	if err != nil || ok {
		return err
	}
	// It swallowed the greeting: it is inside a picture. Fill that up. A picture whose
	// damaged head claims more than this needs the power switch.
	zeros := make([]byte, flushChunk)
	for range escpos.FlushZeros / flushChunk {
		if err := l.send(zeros, false); err != nil {
			return &stop{printer.NoAnswer, err}
		}
		// The rest of the picture is printed at the speed of paper.
		if err := l.quiet(ctx, settleTime); err != nil {
			return d.wireStop(ctx, err)
		}
	}
	hello = escpos.AppendAckRequest(escpos.AppendInit(nil))
	for range maxPatience {
		if ok, err = d.greet(ctx, hello, settleTime); err != nil || ok {
			return err
		}
	}
	status, err := l.status(ctx)
	switch {
	case status == printer.Unknown:
		return err
	case !status.CanPrint():
		return &stop{status, err}
	}
	return &stop{printer.Fault, errNoAck}
}

// greet sends bytes that end with a request for acknowledgement and reports whether the
// printer answered. Answers that it still owed are read away until the line has been
// quiet for a while.
func (d *Dev) greet(ctx context.Context, hello []byte, quiet time.Duration) (ok bool, err error) {
	l := &d.link
	l.pending, l.inflight = l.pending[:0], 0
	if err := l.send(hello, true); err != nil {
		return false, &stop{printer.NoAnswer, err}
	}
	by := time.Now().Add(l.timeout)
	for len(l.pending) > 0 {
		_, _, err := l.listen(ctx, by)
		if errors.Is(err, errTimeout) {
			return false, nil
		}
		if err != nil {
			return false, d.wireStop(ctx, err)
		}
	}
	if err := l.quiet(ctx, quiet); err != nil {
		return false, d.wireStop(ctx, err)
	}
	l.lost = false
	return true, nil
}
