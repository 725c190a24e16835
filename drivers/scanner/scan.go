package scanner

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// maxBad bounds the damaged frames of one Scan.
	maxBad = 3
	// maxSeen bounds the codes remembered: several lie on one counter.
	maxSeen = 8
	// maxFrames bounds the frames of one look after the first good one.
	maxFrames = 4
	// release is how long the trigger pin is idle between two triggers; engines
	// debounce it for 10 ms.
	release = 20 * time.Millisecond
)

// Scan lights the engine and waits for a code. It ends with a Code, or with
// ErrTimeout (also when ctx has a deadline that passes), ErrTwoCodes, ErrFraming or
// ErrTooLong after three bad frames, ErrNoAnswer, ErrRefused, ErrGone, ErrHalted, or
// the cause of ctx. However it ends, the light is off unless the engine is gone or
// mute.
func (d *Dev) Scan(ctx context.Context) (Code, error) {
	if err := d.lock(ctx); err != nil {
		return Code{}, d.outcome(ctx, err)
	}
	defer d.unlock()
	by := time.Now().Add(d.opts.Timeout)
	d.forget(time.Now())
	err := d.prepare()
	var code Code
	if err == nil {
		code, err = d.watch(ctx, by)
	}
	// A code that was read is good, even if the light does not go off: the next
	// Scan and Halt try again.
	if off := d.off(d.lit); err == nil && code.IsZero() {
		err = off
	}
	d.frames.reset()
	if err != nil {
		return Code{}, d.outcome(ctx, err)
	}
	d.remember(code, time.Now())
	return code, nil
}

// outcome words the end of a Scan.
func (d *Dev) outcome(ctx context.Context, err error) error {
	select {
	case <-d.ended:
		return fmt.Errorf("scan: %w", ErrHalted)
	default:
	}
	switch {
	case errors.Is(err, ErrGone):
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("scan: %w: %w", ErrTimeout, ctx.Err())
	case ctx.Err() != nil:
		return fmt.Errorf("scan: %w", context.Cause(ctx))
	}
	return fmt.Errorf("scan: %w", err)
}

// prepare empties the line and brings the engine into the state of Opts.
func (d *Dev) prepare() error {
	if err := d.off(d.lit); err != nil {
		return err
	}
	if !d.setUp {
		for i := range d.opts.Commands.Setup {
			if err := d.quiet(); err != nil {
				return err
			}
			if err := d.command(fmt.Sprintf("setup command %d", i), &d.opts.Commands.Setup[i]); err != nil {
				return err
			}
		}
		d.setUp = true
	}
	if err := d.quiet(); err != nil {
		return err
	}
	if d.opts.Continuous && !d.looking {
		d.looking = true // also if the acknowledgement is lost
		if on := &d.opts.Commands.Continuous.On; !on.absent() {
			if err := d.command("continuous on", on); err != nil {
				d.setUp = false
				return err
			}
		}
	}
	return nil
}

// watch triggers and takes frames until one is good.
func (d *Dev) watch(ctx context.Context, by time.Time) (Code, error) {
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { d.interrupt(); close(interrupted) })
	defer func() {
		if !stop() {
			<-interrupted // or it would spoil the next Scan
		}
		select {
		case <-d.ended: // Halt resumes by itself
		default:
			d.resume()
		}
	}()
	var last error
	for bad := 0; bad < maxBad; {
		if err := d.on(); err != nil {
			return Code{}, err
		}
		code, err := d.look(ctx, by)
		if err == nil && !d.known(code) {
			return code, nil
		}
		switch {
		case err == nil:
		case errors.Is(err, errDark):
		case errors.Is(err, ErrTimeout) && last != nil:
			return Code{}, fmt.Errorf("%w; before that: %w", err, last)
		case errors.Is(err, ErrFraming), errors.Is(err, ErrTooLong):
			last = err
			bad++
		default:
			return Code{}, err
		}
		if err := d.off(d.lit); err != nil {
			return Code{}, err
		}
		if err := d.quiet(); err != nil {
			return Code{}, err
		}
	}
	return Code{}, last
}

// errDark tells that it is time to trigger again.
var errDark = errors.New("scanner: trigger again")

// look takes the frames of one trigger.
func (d *Dev) look(ctx context.Context, by time.Time) (Code, error) {
	limit, dark := by, ErrTimeout
	if r := d.opts.Retrigger; r > 0 && !d.opts.Continuous {
		if t := time.Now().Add(r); t.Before(by) {
			limit, dark = t, errDark
		}
	}
	first, ok, err := d.frame(ctx, limit, by)
	if err == nil && !ok {
		err = dark
	}
	if err != nil {
		return Code{}, err
	}
	end := time.Now().Add(d.opts.Framing.Gap)
	for range maxFrames {
		next, ok, err := d.frame(ctx, end, end)
		switch {
		case errors.Is(err, ErrFraming), errors.Is(err, ErrTooLong):
			continue // damage after a good code does not make it worse
		case err != nil:
			return Code{}, err
		case !ok:
			return first, nil
		case next.text != first.text:
			return Code{}, ErrTwoCodes
		}
	}
	return first, nil
}

// frame takes one frame that begins by start and ends by end. ok is false if none
// begins.
func (d *Dev) frame(ctx context.Context, start, end time.Time) (code Code, ok bool, err error) {
	for {
		if ctx.Err() != nil {
			return Code{}, false, context.Cause(ctx)
		}
		until := start
		if d.frames.open() {
			until = time.Now().Add(d.opts.Framing.Gap)
			if !until.Before(end.Add(maxQuiet)) {
				return Code{}, false, fmt.Errorf("%w: no end", ErrFraming)
			}
		}
		b, heard, err := d.readByte(until)
		switch {
		case err != nil:
			return Code{}, false, err
		case heard && !d.frames.feed(b):
			continue
		case heard:
		case d.interrupted():
			return Code{}, false, ErrHalted
		case !d.frames.open():
			return Code{}, false, nil
		}
		code, err := d.frames.end()
		return code, err == nil, err
	}
}

func (d *Dev) interrupted() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stop
}

// on triggers.
func (d *Dev) on() error {
	switch {
	case d.opts.Continuous:
		return nil
	case d.opts.Trigger != nil:
		d.lit = true
		if err := d.opts.Trigger.Out(d.opts.TriggerActive); err != nil {
			return fmt.Errorf("trigger %s: %w", d.opts.Trigger, err)
		}
		return nil
	}
	d.lit = true // also if the acknowledgement is lost
	return d.command("trigger on", &d.opts.Commands.Trigger.On)
}

// off ends a trigger, if one is on.
func (d *Dev) off(lit bool) error {
	if !lit {
		return nil
	}
	if p := d.opts.Trigger; p != nil {
		if err := p.Out(!d.opts.TriggerActive); err != nil {
			return fmt.Errorf("trigger %s: %w", p, err)
		}
		time.Sleep(release)
	} else if err := d.command("trigger off", &d.opts.Commands.Trigger.Off); err != nil {
		return err
	}
	d.lit = false
	return nil
}

// forget drops what is older than the window.
func (d *Dev) forget(now time.Time) {
	kept := d.seen[:0]
	for _, s := range d.seen {
		if now.Sub(s.at) < d.opts.Window {
			kept = append(kept, s)
		}
	}
	clear(d.seen[len(kept):])
	d.seen = kept
}

// known tells whether a code was delivered within the window. Text alone counts:
// a lost identifier does not make a code new.
func (d *Dev) known(c Code) bool {
	d.forget(time.Now())
	for _, s := range d.seen {
		if s.code.text == c.text {
			return true
		}
	}
	return false
}

func (d *Dev) remember(c Code, now time.Time) {
	if d.opts.Window < 0 {
		return
	}
	if len(d.seen) == maxSeen {
		d.seen = append(d.seen[:0], d.seen[1:]...)
	}
	d.seen = append(d.seen, sighting{c, now})
}
