package pn532

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

const (
	// ackWait is from the end of a command to its ACK: the chip takes 1 ms, the
	// longest frame 24 ms at 115200.
	ackWait = 60 * time.Millisecond
	// quick bounds responses that need no card.
	quick = 60 * time.Millisecond
	// nackWait bounds a response that is sent again.
	nackWait = 60 * time.Millisecond
	// ackGap is the silence after a damaged ACK; the response may follow soon.
	ackGap = 3 * time.Millisecond
	// maxUnacked bounds a response without ACK: most likely the chip never had
	// the command.
	maxUnacked = time.Second
	// maxTries bounds the attempts at one command that may be repeated, at
	// setting the chip up, and at having one response sent again.
	maxTries = 3
	// maxForeign bounds frames that answer something else.
	maxForeign = 16
)

// errSyntax: the chip could not read a command.
var errSyntax = errors.New("chip reports a syntax error")

// request is one command.
type request struct {
	code byte
	data []byte
	// wait is from the ACK to the response.
	wait time.Duration
	// again says that a command whose fate is not known may be sent again.
	again bool
}

// recoverable errors end with another attempt.
func recoverable(err error) bool {
	return errors.Is(err, errSilent) || errors.Is(err, errNotFrame) || errors.Is(err, errSyntax)
}

// command sends one command to a chip that is set up and in step, and returns
// the parameters of its response, valid until the next call. When the chip had
// to be set up anew, a command that may not be repeated is not sent.
func (d *Dev) command(ctx context.Context, r request) ([]byte, error) {
	var err error
	for range maxTries {
		epoch := d.epoch
		if err = d.prepare(ctx); err != nil {
			break
		}
		if !r.again && d.epoch != epoch {
			return nil, fmt.Errorf("%w: it was reset", ErrChip)
		}
		var b []byte
		if b, err = d.exchange(ctx, r); err == nil {
			return b, nil
		}
		if !r.again || !recoverable(err) {
			break
		}
	}
	if ctx.Err() == nil && !errors.Is(err, ErrChip) {
		err = fmt.Errorf("%w: %w", ErrChip, err)
	}
	return nil, err
}

// prepare brings the chip in step, and sets it up when that does not help.
func (d *Dev) prepare(ctx context.Context) error {
	if d.state == dirty {
		err := d.synchronise(ctx)
		if err == nil || !recoverable(err) {
			return err
		}
		d.state = asleep
	}
	if d.state == asleep {
		return d.setUp(ctx)
	}
	return nil
}

// synchronise has the chip return a number that it was never given before: what
// came earlier answers something else, and nothing can come later.
func (d *Dev) synchronise(ctx context.Context) error {
	var err error
	for range maxTries {
		d.nonce++
		data := binary.BigEndian.AppendUint32([]byte{DiagnoseLine}, d.nonce)
		d.state = dirty
		var b []byte
		if b, err = d.exchange(ctx, request{code: CmdDiagnose, data: data, wait: quick}); err == nil && bytes.Equal(b, data) {
			d.state, d.spoiled = ready, false
			return nil
		}
		if err == nil {
			err = &FrameError{"diagnosis", "returns another number"}
		}
		if !recoverable(err) {
			return err
		}
		if err := d.bus.settle(ctx, gap); err != nil {
			return err
		}
	}
	return err
}

// exchange sends one command once. After an error the chip is out of step.
func (d *Dev) exchange(ctx context.Context, r request) ([]byte, error) {
	d.bus.discard()
	d.body = append(append(d.body[:0], ToChip, r.code), r.data...)
	before := d.state
	if before == ready {
		d.state = dirty // until the response is there
	}
	if err := d.bus.send(Frame{Kind: Data, Body: d.body}, d.spoiled); err != nil {
		return nil, err
	}
	b, clean, err := d.response(ctx, r)
	if clean && before == ready {
		d.state = ready
	}
	if err == nil || errors.Is(err, errSyntax) {
		return b, err
	}
	// Ends the command, if it is still under way; half a frame is ended too.
	d.spoiled = true
	if serr := d.bus.send(Frame{Kind: ACK}, true); serr != nil {
		return nil, errors.Join(err, serr)
	}
	return nil, err
}

// response waits for ACK and response. clean says that nothing else can come.
// Only a response that follows an ACK is asked for again when it was damaged:
// without one the chip may not have had the command, and would repeat the
// response to an earlier one.
func (d *Dev) response(ctx context.Context, r request) (b []byte, clean bool, err error) {
	acked, damaged, tries := false, false, 0
	by := time.Now().Add(ackWait)
	unacked := by.Add(min(r.wait, maxUnacked))
	for range maxForeign {
		f, err := d.bus.receive(ctx, by)
		switch {
		case err == nil && f.Kind == ACK:
			if !damaged {
				acked, by = true, time.Now().Add(r.wait)
			}
		case err == nil && f.Kind == Error:
			return nil, acked && !damaged, errSyntax
		case err == nil && tries > 0 && bytes.Equal(f.Body, d.last):
			// What was damaged may have been an error frame, which is not sent again.
			return nil, false, &FrameError{"response", "may be that to an earlier command"}
		case err == nil && f.Kind == Data && f.Body[0] == FromChip && f.Body[1] == r.code+1 && d.ours(r, f.Body[2:]):
			d.last = append(d.last[:0], f.Body...)
			return f.Body[2:], acked && !damaged, nil
		case err == nil:
			damaged = true // it answers something else
		case errors.Is(err, errSilent) && !acked && !damaged:
			damaged, by = true, unacked // perhaps the ACK alone was lost
		case errors.Is(err, errNotFrame) && !acked:
			damaged, by = true, unacked
			if err := d.bus.settle(ctx, ackGap); err != nil {
				return nil, false, err
			}
		case (errors.Is(err, errNotFrame) || errors.Is(err, errSilent) && tries > 0) && tries < maxTries:
			tries++
			damaged = true
			if err := d.bus.settle(ctx, gap); err != nil {
				return nil, false, err
			}
			if err := d.bus.send(Frame{Kind: NACK}, false); err != nil {
				return nil, false, err
			}
			by = time.Now().Add(nackWait)
		default:
			return nil, false, err
		}
	}
	return nil, false, &FrameError{"response", "does not come among others"}
}

// ours tells the response to a diagnosis of the line from those to earlier ones.
func (d *Dev) ours(r request, data []byte) bool {
	return r.code != CmdDiagnose || r.data[0] != DiagnoseLine || bytes.Equal(data, r.data)
}

// statusOf reads a response that is a status.
func statusOf(b []byte, err error) error {
	if err != nil {
		return err
	}
	if len(b) == 0 {
		return fmt.Errorf("%w: response without status", ErrChip)
	}
	if s := Status(b[0] & statusMask); s != 0 {
		return s
	}
	return nil
}
