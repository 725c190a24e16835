package transaction

import (
	"context"
	"errors"
	"fmt"

	"posagent/agent/emv"
	"posagent/agent/emv/contact"
	"posagent/agent/operator"
)

// present brings a card to the point where the host must decide.
func (r *Runner) present(ctx context.Context, s Settings, sale Sale) (*contact.Session, emv.Outcome, *Outcome) {
	ended := func(name string, err error) (*contact.Session, emv.Outcome, *Outcome) {
		r.giveBack()
		out := r.refuse(name, err)
		return nil, emv.Outcome{}, &out
	}
	if name, err := r.awaitCard(ctx); name != "" {
		out := r.refuse(name, err)
		return nil, emv.Outcome{}, &out
	}
	cardCtx, cancel := context.WithTimeout(ctx, cardTimeout)
	defer cancel()
	r.say("reading_card", operator.Busy)
	r.cardUsed = true
	if err := r.Card.Activate(cardCtx); err != nil {
		if ctx.Err() != nil {
			return ended("cancelled", ctx.Err())
		}
		return ended("card_error", fmt.Errorf("activate card: %w", err))
	}
	sequence := uint32(1)
	if last, err := r.Journal.Last(); err == nil {
		sequence = uint32(last.Seq%99_999_999) + 1 // 9F41 has eight digits
	}
	tx := emv.Transaction{Type: emv.Purchase, Amount: sale.Amount, Sequence: sequence, ForceOnline: true}
	session, chip, err := s.Kernel.Start(cardCtx, r.Card, tx, dialogue{r})
	if err != nil {
		return ended("card_error", err)
	}
	if chip.Kind != emv.Online {
		r.noteFault(chip.Cause)
		return ended(nameOfChip(chip), chipError(chip))
	}
	return session, chip, nil
}

// giveBack takes power from the card, so that it may be pulled.
func (r *Runner) giveBack() {
	if err := r.Card.Deactivate(); err != nil {
		r.Log.Warn("card not deactivated", "err", err) // Activate begins anew
	}
}

// awaitCard returns "" when a card is in the slot, else how the wait ended.
func (r *Runner) awaitCard(ctx context.Context) (string, error) {
	if r.cardUsed {
		if name, err := r.awaitRemoval(ctx); name != "" {
			return name, err
		}
	}
	waitCtx, cancel := context.WithTimeout(ctx, insertTimeout)
	defer cancel()
	r.say("insert_card", operator.Calm)
	cancelled, err := r.Desk.UntilCancel(waitCtx, func(ctx context.Context) error { return r.Card.Wait(ctx, true) })
	switch {
	case cancelled:
		return "cancelled", nil
	case err == nil:
		return "", nil
	case ctx.Err() != nil:
		return "cancelled", ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return "cancelled", fmt.Errorf("no card within %v", insertTimeout)
	}
	return "part_missing", fmt.Errorf("wait for card: %w", err)
}

// awaitRemoval makes sure that the card in the slot is not the last customer's.
func (r *Runner) awaitRemoval(ctx context.Context) (string, error) {
	present, err := r.Card.Present(ctx)
	if err == nil && present {
		r.say("remove_card", operator.Calm)
		waitCtx, cancel := context.WithTimeout(ctx, removeTimeout)
		defer cancel()
		var cancelled bool
		cancelled, err = r.Desk.UntilCancel(waitCtx, func(ctx context.Context) error { return r.Card.Wait(ctx, false) })
		if cancelled {
			return "cancelled", nil
		}
	}
	switch {
	case err == nil:
		r.cardUsed = false
		return "", nil
	case ctx.Err() != nil:
		return "cancelled", ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return "cancelled", fmt.Errorf("the last card was not removed within %v", removeTimeout)
	}
	return "part_missing", fmt.Errorf("look for the last card: %w", err)
}

// complete lets the card finish and gives it back: it may be pulled while the
// receipt is printed. Whatever it does, the caller has an outcome.
func (r *Runner) complete(ctx context.Context, card *contact.Session, result emv.OnlineResult) emv.Outcome {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), completeTimeout)
	defer cancel()
	chip, err := card.Complete(ctx, result)
	if err != nil {
		r.Log.Warn("card did not complete", "err", err)
	}
	r.giveBack()
	return chip
}
