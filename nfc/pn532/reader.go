package pn532

import (
	"context"
	"errors"
	"fmt"
	"time"

	"posagent/nfc"
	"posagent/nfc/iso14443"
)

// listWait bounds InListPassiveTarget: two activations of three levels, with
// RATS at 51.2 ms.
const listWait = 400 * time.Millisecond

// errAir: an activation failed on air and is worth another cycle.
var errAir = errors.New("activation failed")

// errRate: it failed while the rate was changed.
var errRate = errors.New("rate was not changed")

// Poll implements nfc.Reader. Type B is asked for first, so that a card of type
// A, which most are, is known to be alone when it is found.
func (d *Dev) Poll(ctx context.Context, opts *nfc.PollOpts) (nfc.Card, error) {
	if opts == nil {
		opts = &nfc.PollOpts{}
	}
	fresh := d.card != nil
	d.drop()
	card, err := d.poll(ctx, opts.Cycles, fresh)
	if err != nil {
		if errors.Is(err, errAir) {
			err = fmt.Errorf("%w: %w", nfc.ErrTransmission, err)
		}
		return nil, errors.Join(fmt.Errorf("poll: %w", err), d.off(ctx))
	}
	d.card = card
	return card, nil
}

// off turns the field off, whatever has happened to ctx.
func (d *Dev) off(ctx context.Context) error {
	return d.carrier(context.WithoutCancel(ctx), false)
}

func (d *Dev) poll(ctx context.Context, cycles uint32, fresh bool) (*Card, error) {
	limit := d.opts.MaxRate
	last := nfc.ErrNoCard
	for n := uint32(0); cycles == 0 || n < cycles; n++ {
		if fresh {
			if err := d.off(ctx); err != nil {
				return nil, err
			}
		}
		card, err := d.cycle(ctx, limit)
		if err == nil {
			return card, nil
		}
		fresh = errors.Is(err, errAir)
		if !fresh && !errors.Is(err, nfc.ErrNoCard) {
			return nil, err
		}
		if fresh {
			last = err
		}
		if errors.Is(err, errRate) {
			limit = iso14443.Rate106
		}
	}
	return nil, last
}

// on turns the field on, when it is not, and gives cards their time to start.
func (d *Dev) on(ctx context.Context) error {
	if d.field {
		return nil
	}
	if err := d.carrier(ctx, true); err != nil {
		return err
	}
	return pause(ctx, nfc.PollGuard)
}

// cycle asks once for cards of both types and activates the one it finds.
func (d *Dev) cycle(ctx context.Context, limit iso14443.Rate) (*Card, error) {
	if err := d.on(ctx); err != nil {
		return nil, err
	}
	epoch := d.epoch
	b, err := d.list(ctx, nfc.TypeB)
	if err != nil {
		return nil, err
	}
	a, err := d.list(ctx, nfc.TypeA)
	switch {
	case err != nil:
		return nil, err
	case d.epoch != epoch:
		return nil, fmt.Errorf("chip was reset: %w", errAir)
	case len(a)+len(b) > 1:
		return nil, nfc.ErrCollision
	case len(a) == 1:
		return d.activateA(ctx, a[0], limit)
	case len(b) == 0:
		return nil, nfc.ErrNoCard
	}
	// The chip has forgotten it while it asked for type A.
	if err := d.off(ctx); err != nil {
		return nil, err
	}
	if err := d.on(ctx); err != nil {
		return nil, err
	}
	epoch = d.epoch
	if b, err = d.list(ctx, nfc.TypeB); err != nil {
		return nil, err
	}
	if len(b) != 1 || d.epoch != epoch {
		return nil, fmt.Errorf("type B again: %w", errAir)
	}
	return d.activateB(b[0])
}

// list has the chip activate cards of one type. Two are asked for in type A; in
// type B, where the chip does not tell collisions, one. It is not sent again: a
// card that was activated unheard answers no request until the field is reset.
func (d *Dev) list(ctx context.Context, typ nfc.Type) ([]Target, error) {
	data := []byte{maxTargets, Target106A}
	if typ == nfc.TypeB {
		data = []byte{1, Target106B, 0} // AFI: every application
	}
	if err := d.prepare(ctx); err != nil {
		return nil, fmt.Errorf("list type %v: %w: %w", typ, ErrChip, err)
	}
	b, err := d.command(ctx, request{code: CmdInListPassiveTarget, data: data, wait: listWait})
	if recoverable(err) {
		err = fmt.Errorf("%w: %w", errAir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("list type %v: %w", typ, err)
	}
	d.field = true // the chip turns it on by itself
	all, err := ParseTargets(b, typ == nfc.TypeB)
	if err != nil {
		return nil, fmt.Errorf("list type %v: %w: %w", typ, errAir, err)
	}
	return all, nil
}

func (d *Dev) activateA(ctx context.Context, t Target, limit iso14443.Rate) (*Card, error) {
	if t.SAK&sakISODEP == 0 {
		return nil, fmt.Errorf("SAK %02X of UID % X: %w", t.SAK, t.UID, nfc.ErrUnsupported)
	}
	ats, err := iso14443.ParseATS(t.ATS)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errAir, err)
	}
	if send, receive := ats.Rates.Choose(limit); send != iso14443.Rate106 || receive != iso14443.Rate106 {
		// BRit is the rate to the card (UM0701-02, 7.3.7).
		data := []byte{t.Number, byte(send), byte(receive)}
		if err := statusOf(d.command(ctx, request{code: CmdInPSL, data: data, wait: listWait})); err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			return nil, fmt.Errorf("%w: %w: %w", errAir, errRate, err)
		}
	}
	return &Card{dev: d, number: t.Number, uid: t.UID, typ: nfc.TypeA, wait: d.waitFor(ats.FWI), epoch: d.epoch}, nil
}

func (d *Dev) activateB(t Target) (*Card, error) {
	q, err := iso14443.ParseATQB(t.ATQB)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errAir, err)
	}
	const protocol4 = 1 // ISO/IEC 14443-3, 7.9.4
	if q.Protocol&protocol4 == 0 {
		return nil, fmt.Errorf("PUPI % X: %w", q.PUPI, nfc.ErrUnsupported)
	}
	return &Card{dev: d, number: t.Number, uid: q.PUPI[:], typ: nfc.TypeB, wait: d.waitFor(q.FWI), epoch: d.epoch}, nil
}

const (
	// frames is how often the chip waits for one block: once and two repeats,
	// and as long again for its own pauses.
	frames = 4
	// thinking is what extensions of the waiting time may add, which the chip
	// grants by itself.
	thinking = 3 * time.Second
)

// waitFor is how long the response to one part of an APDU may take.
func (d *Dev) waitFor(fwi uint8) time.Duration {
	return min(d.opts.MaxWait, frames*iso14443.FWT(fwi)+thinking)
}
