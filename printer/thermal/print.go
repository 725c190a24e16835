package thermal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"posagent/printer"
	"posagent/printer/escpos"
)

// maxPatience is how often a printer may say that it is ready without acknowledging
// what it was sent.
const maxPatience = 3

const (
	// endTime is how long the line must be quiet after the last acknowledgement. It
	// is longer than the pauses of a printer that babbles.
	endTime = 5 * time.Millisecond
	// maxStrays is how many invented acknowledgements do no harm: each lets one more
	// band on its way, and the window is half of the buffer.
	maxStrays = 2
)

var errNoAck = errors.New("it says it can print but acknowledges nothing")

// Print puts a document on paper and returns when the last band is there. If it does
// not come that far the error is a *printer.Interrupted; call Print again with the same
// document when the printer is ready, and see the package comment for what then happens.
// A document that cannot be laid out gives a *printer.InvalidError, and nothing is
// printed.
func (d *Dev) Print(ctx context.Context, doc *printer.Document) error {
	if doc.Width == 0 {
		sized := *doc
		sized.Width = int(d.opts.WidthDots)
		doc = &sized
	}
	if doc.Width > int(d.opts.WidthDots) {
		return &printer.InvalidError{Element: -1, Field: "Width", Reason: fmt.Sprintf("%d dots on paper of %d", doc.Width, d.opts.WidthDots)}
	}
	done, err := d.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	job, err := d.doc.Encode(doc, &d.encode)
	if err != nil {
		return err
	}
	bands := uint32(job.Len())
	from, err := d.prepare(ctx, job)
	if err != nil {
		return d.stopped(err, from, bands)
	}
	if from == bands {
		return nil
	}
	if err := d.run(ctx, job, from); err != nil {
		return d.stopped(err, from+d.link.acked, bands)
	}
	return nil
}

// stop carries the Status of an interruption up to Print.
type stop struct {
	status printer.Status
	err    error
}

func (s *stop) Error() string { return s.status.String() }

// stopped makes the error that the caller sees.
func (d *Dev) stopped(err error, band, bands uint32) error {
	out := &printer.Interrupted{Status: printer.Unknown, Band: band, Bands: bands, Err: err}
	var s *stop
	if errors.As(err, &s) {
		out.Status, out.Err = s.status, s.err
	}
	return out
}

// position is an incomplete copy on paper.
type position struct {
	id    [32]byte
	kind  printer.Kind
	sent  uint32 // bands sent
	bands uint32
}

// run sends the bands of a job from number from on, and remembers the place when it
// does not reach the end.
func (d *Dev) run(ctx context.Context, job *escpos.Job, from uint32) error {
	l := &d.link
	l.acked, l.paperEnd = 0, false
	at := &position{id: job.ID, kind: job.Kind, sent: from, bands: uint32(job.Len())}
	for from+l.acked < at.bands {
		for at.sent < at.bands && l.room(len(job.Band(int(at.sent)))) {
			d.open = at
			at.sent++
			if err := l.send(job.Band(int(at.sent-1)), true); err != nil {
				return &stop{printer.NoAnswer, err}
			}
		}
		if err := d.waitAck(ctx); err != nil {
			return err
		}
	}
	if err := d.believe(ctx); err != nil {
		return err
	}
	d.open = nil
	return nil
}

// believe checks, after the last acknowledgement, that the printer itself and not noise
// has given it: where anything was heard that nobody asked for, one more request must be
// answered and the line must then be quiet.
func (d *Dev) believe(ctx context.Context) error {
	l := &d.link
	if err := l.quiet(ctx, endTime); err != nil {
		return d.wireStop(ctx, err)
	}
	if l.noise == 0 {
		return nil
	}
	answered, err := d.greet(ctx, escpos.AppendAckRequest(nil), l.timeout/2)
	switch {
	case err != nil:
		return err
	case !answered:
		l.lost = true
		return &stop{printer.Fault, errNoAck}
	case l.strays > maxStrays:
		l.lost = true
		return &stop{printer.Babbling, errBabble}
	}
	return nil
}

// waitAck waits for one acknowledgement, however long the printer has a good reason
// not to give it.
func (d *Dev) waitAck(ctx context.Context) error {
	l := &d.link
	patience := maxPatience
	var hotSince time.Time
	for before := l.acked; l.acked == before; {
		by := time.Now().Add(l.timeout)
		var err error
		for l.acked == before && err == nil && !l.paperEnd {
			_, _, err = l.listen(ctx, by)
		}
		switch {
		case l.acked > before:
			return nil
		case err != nil && !errors.Is(err, errTimeout):
			return d.wireStop(ctx, err)
		}
		l.paperEnd = false
		status, err := l.status(ctx)
		switch {
		case l.acked > before:
			return nil
		case status == printer.Unknown:
			return err
		case status == printer.HeadHot:
			if hotSince.IsZero() {
				hotSince = time.Now()
			}
			if time.Since(hotSince) >= d.opts.HotTimeout {
				return &stop{status, nil}
			}
		case !status.CanPrint():
			return &stop{status, err}
		default:
			if patience--; patience == 0 {
				l.lost = true
				return &stop{printer.Fault, errNoAck}
			}
		}
	}
	return nil
}

// wireStop names what a failed read means.
func (d *Dev) wireStop(ctx context.Context, err error) error {
	switch {
	case d.link.over(ctx) != nil:
		return d.link.over(ctx)
	case errors.Is(err, errBabble):
		return &stop{printer.Babbling, err}
	}
	d.link.lost = true
	return &stop{printer.NoAnswer, err}
}
