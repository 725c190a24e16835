package transaction

import (
	"context"
	"errors"
	"fmt"
	"time"

	"posagent/agent/emv"
	"posagent/agent/operator"
)

// Field is the contactless reader. One goroutine at a time uses it and its cards.
type Field interface {
	// Poll waits until one card is active in the field, or ctx ends. ErrTwoCards and
	// ErrForeignCard are what the cardholder can mend; any other error is the
	// reader's. The field is off after an error. A card of an earlier Poll is lost.
	Poll(ctx context.Context) (FieldCard, error)
	// Off turns the field off; its card is lost.
	Off() error
}

// FieldCard is a card in the field.
type FieldCard interface {
	emv.Card
	// Removed waits until the card has left the field, and turns it off. The card
	// may be lost already.
	Removed(ctx context.Context) error
}

// Errors of Field.Poll that the cardholder can mend.
var (
	ErrTwoCards    = errors.New("more than one card in the field")
	ErrForeignCard = errors.New("card in the field carries no payments")
)

// Times and bounds of presenting a card.
const (
	// fieldGlance is how long a card of the last sale is looked for before anybody
	// is asked to take it away.
	fieldGlance = 300 * time.Millisecond
	// fieldPause lets a cardholder sort his cards before the field looks again.
	fieldPause = 500 * time.Millisecond
	// maxPresentations bounds the cards of one sale that come to nothing: as many as
	// pauses in insertTimeout, and more than Entry Point lets one be tapped.
	maxPresentations = 128
)

// await waits for the first of a card in the slot and one in the field; the loser
// is cancelled. tapped is nil when it was the slot. pause is how long the field
// stays off before it looks. slot and field are the errors of the two; a field
// that failed leaves the slot's wait unfinished.
func (r *Runner) await(ctx context.Context, pause time.Duration) (tapped FieldCard, slot, field error) {
	both, cancel := context.WithCancel(ctx)
	defer cancel()
	polled := make(chan struct{})
	go func() {
		defer close(polled)
		defer cancel()
		tapped, field = r.poll(both, pause)
	}()
	slot = r.Card.Wait(both, true)
	cancel()
	<-polled
	if slot == nil { // a card in the slot is meant, whatever lies on the reader
		if tapped != nil {
			r.fieldOff()
		}
		return nil, nil, nil
	}
	switch err := ctx.Err(); {
	case err != nil:
		slot = err // the wait is over, even if the field spoke at the same moment
	case tapped != nil || field != nil && !errors.Is(field, context.Canceled):
		slot = nil // the field was first, and has cancelled it
	}
	return tapped, slot, field
}

// poll waits for a card in the field, after a pause with the field off.
func (r *Runner) poll(ctx context.Context, pause time.Duration) (FieldCard, error) {
	if pause > 0 {
		timer := time.NewTimer(pause)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return r.Field.Poll(ctx)
}

// fieldOff ends what the field has with a card.
func (r *Runner) fieldOff() {
	if err := r.Field.Off(); err != nil {
		r.Log.Warn("field not turned off", "err", err) // Poll begins anew
	}
}

// awaitClearField makes sure that the card on the reader is not the last
// customer's. It returns "" or how the wait ended.
func (r *Runner) awaitClearField(ctx context.Context) (string, error) {
	if r.inField == nil {
		return "", nil
	}
	glance, cancel := context.WithTimeout(ctx, fieldGlance)
	err := r.inField.Removed(glance)
	cancel()
	cancelled := false
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		r.say("remove_card", operator.Calm)
		wait, cancel := context.WithTimeout(ctx, removeTimeout)
		defer cancel()
		cancelled, err = r.Desk.UntilCancel(wait, r.inField.Removed)
	}
	switch {
	case cancelled:
		return "cancelled", nil
	case ctx.Err() != nil:
		return "cancelled", ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return "cancelled", fmt.Errorf("the last card was not taken from the reader within %v", removeTimeout)
	case err != nil:
		r.Log.Warn("contactless reader", "err", err) // Poll will say so too, and the slot is left
	}
	r.inField = nil
	return "", nil
}
