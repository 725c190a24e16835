package transaction

import (
	"context"
	"errors"
	"fmt"
	"time"

	"posagent/agent/emv"
	"posagent/agent/emv/contact"
	"posagent/agent/emv/contactless"
	"posagent/agent/operator"
	"posagent/agent/payment"
)

// presented is a card that has come to the point where the host must decide.
type presented struct {
	entry   payment.EntryMode
	chip    emv.Outcome
	cvm     string               // the journal's word
	session *contact.Session     // of a card in the slot
	tap     *contactless.Outcome // of a card that was tapped, and is away
}

// present waits for a card and brings it to the point where the host must decide.
func (r *Runner) present(ctx context.Context, s Settings, sale Sale) (*presented, *Outcome) {
	ended := func(name string, err error) (*presented, *Outcome) {
		out := r.refuse(name, err)
		return nil, &out
	}
	if name, err := r.awaitClear(ctx); name != "" {
		return ended(name, err)
	}
	sequence := uint32(1)
	if last, err := r.Journal.Last(); err == nil {
		sequence = uint32(last.Seq%99_999_999) + 1 // 9F41 has eight digits
	}
	tx := emv.Transaction{Type: emv.Purchase, Amount: sale.Amount, Sequence: sequence, ForceOnline: true}
	field := r.beginTap(s, tx)
	prompt, shown, pause, until := "insert_card", "", time.Duration(0), time.Now().Add(insertTimeout)
	for range maxPresentations {
		if prompt != shown {
			r.ask(prompt, field != nil)
			shown = prompt
		}
		card, name, err := r.awaitCard(ctx, until, field != nil, pause)
		switch {
		case name != "":
			return ended(name, err)
		case errors.Is(err, ErrTwoCards):
			prompt, pause = "one_card", fieldPause
		case errors.Is(err, ErrForeignCard):
			prompt, pause = "other_card", fieldPause
		case err != nil:
			r.Log.Warn("contactless reader given up for this sale", "err", err)
			field, prompt, shown = nil, "insert_card", ""
		case card == nil:
			return r.inserted(ctx, s, tx)
		default:
			out := field.Tap(ctx, card)
			switch {
			case ctx.Err() != nil:
				r.fieldOff()
				return ended("cancelled", ctx.Err())
			case out.Start == contactless.StartB:
				r.fieldOff()
				prompt, pause = again(out)
				shown = ""
			case out.Kind == contactless.TryAnotherInterface:
				r.fieldOff()
				r.inField = card
				field, prompt, until = nil, "use_chip", time.Now().Add(insertTimeout)
			default:
				return r.tapped(ctx, card, out)
			}
		}
	}
	return ended("cancelled", fmt.Errorf("no card that pays after %d presentations", maxPresentations))
}

// ask shows what the cardholder is to do with his card.
func (r *Runner) ask(prompt string, tapping bool) {
	var notes []string
	if tapping && prompt == "insert_card" {
		notes = append(notes, operator.Text(r.Desk.Lang(), "or_tap"))
	}
	r.say(prompt, operator.Calm, notes...)
}

// inserted runs the contact kernel with the card in the slot.
func (r *Runner) inserted(ctx context.Context, s Settings, tx emv.Transaction) (*presented, *Outcome) {
	ended := func(name string, err error) (*presented, *Outcome) {
		r.giveBack()
		out := r.refuse(name, err)
		return nil, &out
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
	session, chip, err := s.Kernel.Start(cardCtx, r.Card, tx, dialogue{r})
	if err != nil {
		return ended("card_error", err)
	}
	if chip.Kind != emv.Online {
		r.noteFault(chip.Cause)
		return ended(nameOfChip(chip), chipError(chip))
	}
	return &presented{entry: payment.Chip, chip: chip, cvm: cvmName(chip), session: session}, nil
}

// giveBack takes power from the card, so that it may be pulled.
func (r *Runner) giveBack() {
	if err := r.Card.Deactivate(); err != nil {
		r.Log.Warn("card not deactivated", "err", err) // Activate begins anew
	}
}

// awaitCard waits for a card until a time. It returns a card that was tapped, or
// nil for one in the slot; name is not empty when the wait ended the sale; err
// without a name is the field's.
func (r *Runner) awaitCard(ctx context.Context, until time.Time, tapping bool, pause time.Duration) (card FieldCard, name string, err error) {
	waitCtx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	var field error
	cancelled, err := r.Desk.UntilCancel(waitCtx, func(ctx context.Context) (slot error) {
		if !tapping {
			return r.Card.Wait(ctx, true)
		}
		card, slot, field = r.await(ctx, pause)
		return slot
	})
	if card != nil && (cancelled || err != nil) {
		r.fieldOff()
		card = nil
	}
	switch {
	case cancelled:
		return nil, "cancelled", nil
	case err == nil:
		return card, "", field
	case ctx.Err() != nil:
		return nil, "cancelled", ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return nil, "cancelled", fmt.Errorf("no card within %v", insertTimeout)
	}
	return nil, "part_missing", fmt.Errorf("wait for card: %w", err)
}

// awaitClear makes sure that no card of the last customer is presented again.
func (r *Runner) awaitClear(ctx context.Context) (string, error) {
	if r.cardUsed {
		if name, err := r.awaitRemoval(ctx); name != "" {
			return name, err
		}
	}
	return r.awaitClearField(ctx)
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
// receipt is printed. Whatever it does, the caller has an outcome. A card that was
// tapped is away, and the host's answer is the outcome.
func (r *Runner) complete(ctx context.Context, card *presented, result emv.OnlineResult) emv.Outcome {
	if card.session == nil {
		return card.tap.Complete(result).Sale
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), completeTimeout)
	defer cancel()
	chip, err := card.session.Complete(ctx, result)
	if err != nil {
		r.Log.Warn("card did not complete", "err", err)
	}
	r.giveBack()
	return chip
}
