package iso14443

import (
	"context"
	"errors"
	"fmt"

	"posagent/nfc"
)

// Opts configures a Reader.
type Opts struct {
	// MaxRate bounds the rate that is agreed with a card, within what the
	// Transceiver can do.
	MaxRate Rate
	// Resolve is the way of ISO/IEC 14443-3 in place of that of Book D: cards
	// are asked with REQA and REQB, collisions of type A are settled bit by bit,
	// and one card is activated while others are in the field. After Deselect
	// the next Poll finds the next card.
	Resolve bool
}

// DefaultOpts is a payment terminal: one card only, as fast as both can.
var DefaultOpts = Opts{MaxRate: Rate424}

// Reader is an nfc.Reader over a Transceiver. One goroutine owns it and its
// cards.
type Reader struct {
	link   link
	limits Limits
	opts   Opts
	// card is the one in session, or nil.
	card *Card
}

var _ nfc.Reader = (*Reader)(nil)

// minFrame is the smallest frame size of the standard.
const minFrame = 16

// New returns a Reader and does not touch t yet. A nil opts means DefaultOpts.
// The error says what t cannot do.
func New(t Transceiver, opts *Opts) (*Reader, error) {
	if opts == nil {
		opts = &DefaultOpts
	}
	limits := t.Limits()
	if limits.MaxFrame < minFrame {
		return nil, fmt.Errorf("%v: frames of %d bytes, want %d at least", t, limits.MaxFrame, minFrame)
	}
	return &Reader{link: link{t: t}, limits: limits, opts: *opts}, nil
}

// String names the part under it.
func (r *Reader) String() string { return r.link.t.String() }

// Field implements nfc.Reader.
func (r *Reader) Field(on bool) error {
	r.drop()
	if on {
		return r.link.up(context.Background())
	}
	return r.link.down()
}

// Halt implements nfc.Reader.
func (r *Reader) Halt() error {
	err := r.Field(false)
	return errors.Join(err, r.link.t.Halt())
}

// drop ends the session of the last card.
func (r *Reader) drop() {
	if r.card != nil {
		r.card.dead = true
	}
	r.card = nil
}

// Poll implements nfc.Reader, with the loop of Book D, 9.2: an activation that
// fails on air resets the field and polling goes on.
func (r *Reader) Poll(ctx context.Context, opts *nfc.PollOpts) (nfc.Card, error) {
	if opts == nil {
		opts = &nfc.PollOpts{}
	}
	fresh := r.card != nil
	r.drop()
	card, err := r.poll(ctx, opts.Cycles, fresh)
	if err != nil {
		if onAir(err) {
			err = fmt.Errorf("%w: %w", nfc.ErrTransmission, err)
		}
		return nil, errors.Join(fmt.Errorf("poll: %w", err), r.link.down())
	}
	r.card = card
	return card, nil
}

func (r *Reader) poll(ctx context.Context, cycles uint32, fresh bool) (*Card, error) {
	limit := min(r.limits.MaxRate, r.opts.MaxRate)
	last := nfc.ErrNoCard
	for n := uint32(0); cycles == 0 || n < cycles; n++ {
		if fresh {
			if err := r.link.down(); err != nil {
				return nil, err
			}
		}
		if err := r.link.up(ctx); err != nil {
			return nil, err
		}
		card, err := r.cycle(ctx, limit)
		if err == nil {
			return card, nil
		}
		fresh = onAir(err)
		if !fresh && !errors.Is(err, nfc.ErrNoCard) {
			return nil, err
		}
		if fresh {
			last = err
		}
		if rate := (errRate{}); errors.As(err, &rate) {
			limit = Rate106
		}
	}
	return nil, last
}

// cycle asks once for cards of both types and activates the one it finds. A
// card of each, or two of one type, are nfc.ErrCollision (Book D, 9.3).
func (r *Reader) cycle(ctx context.Context, limit Rate) (*Card, error) {
	l := &r.link
	wake := !r.opts.Resolve
	l.rest()
	a, _, err := l.heard(ctx, nfc.TypeA, wake)
	if err != nil {
		return nil, err
	}
	if a && r.opts.Resolve {
		return r.activateA(ctx, limit)
	}
	if a {
		if err := l.halt(ctx); err != nil {
			return nil, err
		}
	}
	l.rest()
	b, atqb, err := l.heard(ctx, nfc.TypeB, wake)
	switch {
	case err != nil:
		return nil, err
	case a && b:
		return nil, fmt.Errorf("type A and type B: %w", nfc.ErrCollision)
	case !a && !b:
		return nil, nfc.ErrNoCard
	case b && r.opts.Resolve && atqb != nil:
		return r.activateB(ctx, limit, atqb)
	}
	// Book D, 9.3: the type that answered is asked again, after the other one if
	// that has not been asked since. Two answers of type B together are garbled;
	// one that is so once only met noise.
	twice := atqb == nil
	if b {
		l.rest()
		if a, _, err = l.heard(ctx, nfc.TypeA, wake); err != nil {
			return nil, err
		}
		if a {
			return nil, fmt.Errorf("type B and type A: %w", nfc.ErrCollision)
		}
	}
	l.rest()
	typ := nfc.TypeA
	if b {
		typ = nfc.TypeB
	}
	again, atqb, err := l.heard(ctx, typ, wake)
	switch {
	case err != nil:
		return nil, err
	case !again:
		return nil, fmt.Errorf("request type %v again: %w", typ, ErrTimeout)
	case a:
		return r.activateA(ctx, limit)
	case atqb == nil && twice:
		return nil, fmt.Errorf("garbled ATQB: %w", nfc.ErrCollision)
	case atqb == nil:
		return nil, fmt.Errorf("ATQB: %w", ErrGarbled)
	}
	return r.activateB(ctx, limit, atqb)
}
