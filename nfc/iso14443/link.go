package iso14443

import (
	"context"
	"errors"
	"fmt"
	"time"

	"posagent/nfc"
)

// sends is how often a frame is sent before its failure counts: once and two
// repeats (Book D, 9.6.1.3 for activation, 10.3.5 for blocks).
const sends = 3

// link is the air between reader and card: it keeps guard times and checks.
type link struct {
	t    Transceiver
	mode Mode
	// on says that the carrier is.
	on bool
	// quiet is the time before which no frame may begin.
	quiet time.Time
	// dark is the time before which the carrier may not come back.
	dark time.Time
	// guard is the least time between a frame of the card and the next.
	guard time.Duration
	// block and out are kept between frames, so that none is allocated for one.
	block, out []byte
}

// pause waits for d, or less when ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// up turns the carrier on, not sooner than cards have lost their state.
func (l *link) up(ctx context.Context) error {
	if l.on {
		return nil
	}
	if l.dark.IsZero() {
		if err := l.down(); err != nil {
			return err
		}
	}
	if err := pause(ctx, time.Until(l.dark)); err != nil {
		return err
	}
	if err := l.t.Field(true); err != nil {
		return fmt.Errorf("turn field on: %w", err)
	}
	l.on = true
	l.rest()
	return nil
}

// down turns the carrier off.
func (l *link) down() error {
	if l.on || l.dark.IsZero() { // before the first use nobody knows
		l.dark = time.Now().Add(nfc.FieldOff)
	}
	l.on = false
	if err := l.t.Field(false); err != nil {
		return fmt.Errorf("turn field off: %w", err)
	}
	return nil
}

// reset takes all cards back to their first state.
func (l *link) reset(ctx context.Context) error {
	if err := l.down(); err != nil {
		return err
	}
	return l.up(ctx)
}

// rest keeps the carrier unmodulated, from now, for as long as a card needs
// before a request.
func (l *link) rest() { l.hush(nfc.PollGuard) }

// hush lets no frame begin for d from now.
func (l *link) hush(d time.Duration) {
	if t := time.Now().Add(d); t.After(l.quiet) {
		l.quiet = t
	}
}

// tune sets the mode, and the guard time that every card of the type accepts.
func (l *link) tune(m Mode) error {
	if m == l.mode {
		return nil
	}
	if err := l.t.Tune(m); err != nil {
		l.mode = Mode{}
		return fmt.Errorf("tune to type %v at %v/%v: %w", m.Type, m.Send, m.Receive, err)
	}
	l.mode, l.guard = m, carrier(fcGuard)
	return nil
}

// raw exchanges a frame as it is, in its time.
func (l *link) raw(ctx context.Context, f Frame, wait time.Duration) (Reply, error) {
	if err := pause(ctx, time.Until(l.quiet)); err != nil {
		return Reply{}, err
	}
	r, err := l.t.Exchange(ctx, f, wait)
	l.hush(l.guard)
	return r, err
}

// checked exchanges whole bytes with the check of the type. The answer holds
// until the next call.
func (l *link) checked(ctx context.Context, data []byte, wait time.Duration) ([]byte, error) {
	l.out = AppendCRC(append(l.out[:0], data...), l.mode.Type)
	r, err := l.raw(ctx, Frame{Data: l.out}, wait)
	if err != nil {
		return nil, err
	}
	if r.Collided || r.LastBits != 0 {
		return nil, fmt.Errorf("%w: not whole bytes", ErrGarbled)
	}
	in, ok := TrimCRC(r.Data, l.mode.Type)
	if !ok {
		return nil, fmt.Errorf("%w: wrong check", ErrGarbled)
	}
	return in, nil
}

// persist does an exchange of the activation, and again when it met silence.
func (l *link) persist(exchange func() error) error {
	var err error
	for range sends {
		if err = exchange(); !errors.Is(err, ErrTimeout) {
			return err
		}
		l.hush(retransmit)
	}
	return err
}

// halt sends HLTA, which no card answers.
func (l *link) halt(ctx context.Context) error {
	_, err := l.checked(ctx, []byte{hltA, 0}, carrier(fcHalt))
	if err == nil || onAir(err) {
		return nil
	}
	return fmt.Errorf("send HLTA: %w", err)
}

// heard asks for cards of a type and says whether anything answered, and with
// what: an answer with errors is one too.
func (l *link) heard(ctx context.Context, typ nfc.Type, halted bool) (bool, []byte, error) {
	if err := l.tune(Mode{Type: typ}); err != nil {
		return false, nil, err
	}
	var answer []byte
	var err error
	if typ == nfc.TypeB {
		param := byte(reqB)
		if halted {
			param = wupB
		}
		answer, err = l.checked(ctx, []byte{apf, allFamilies, param}, carrier(fcATQB))
	} else {
		cmd := byte(reqA)
		if halted {
			cmd = wupA
		}
		_, err = l.raw(ctx, Frame{Data: []byte{cmd}, LastBits: shortBits}, carrier(fcATQA))
	}
	switch {
	case err == nil:
		return true, answer, nil
	case errors.Is(err, ErrTimeout):
		return false, nil, nil
	case errors.Is(err, ErrGarbled):
		return true, nil, nil
	}
	return false, nil, fmt.Errorf("request type %v: %w", typ, err)
}

// onAir says that err came from the field, and not from ctx or the part.
func onAir(err error) bool {
	var format *FormatError
	return errors.Is(err, ErrTimeout) || errors.Is(err, ErrGarbled) || errors.Is(err, errBound) || errors.As(err, &format)
}
