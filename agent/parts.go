package agent

import (
	"context"
	"errors"
	"fmt"

	"posagent/agent/emv"
	"posagent/agent/operator"
	"posagent/agent/payment"
	"posagent/agent/transaction"
	"posagent/drivers/icc"
	"posagent/drivers/pinpad"
	"posagent/nfc"
)

// slot is the card reader as transactions see it.
type slot struct{ icc.Reader }

// Activate powers the card; which protocol it speaks stays with the reader.
func (s slot) Activate(ctx context.Context) error {
	_, err := s.Reader.Activate(ctx)
	return err
}

// field is the contactless reader as transactions see it.
type field struct{ nfc.Reader }

// Poll implements transaction.Field.
func (f field) Poll(ctx context.Context) (transaction.FieldCard, error) {
	card, err := f.Reader.Poll(ctx, nil)
	switch {
	case errors.Is(err, nfc.ErrCollision):
		return nil, fmt.Errorf("%w: %w", transaction.ErrTwoCards, err)
	case errors.Is(err, nfc.ErrUnsupported):
		return nil, fmt.Errorf("%w: %w", transaction.ErrForeignCard, err)
	case err != nil:
		return nil, err
	}
	return card, nil
}

// Off implements transaction.Field.
func (f field) Off() error { return f.Field(false) }

// pad is the PIN pad as transactions see it: the only one who ever holds a PIN.
// As the keeper of the keys it is keys.OnPad.
type pad struct{ dev *pinpad.Dev }

// EnterPIN implements transaction.PINPad.
func (p pad) EnterPIN(ctx context.Context, pan payment.PAN, dots func(int)) (emv.PINOutcome, error) {
	result, err := p.dev.EnterPIN(ctx, pinpad.PINRequest{PAN: pan.Reveal(), Format: pinpad.Format0}, dots)
	if err != nil {
		return emv.PINOutcome{Status: emv.PINPadError}, err
	}
	switch r := result.(type) {
	case pinpad.Entered:
		block, err := payment.NewPINBlock(r.Block[:])
		if err != nil {
			return emv.PINOutcome{Status: emv.PINPadError}, err
		}
		return emv.PINOutcome{Status: emv.PINEntered, Block: block}, nil
	case pinpad.Bypassed:
		return emv.PINOutcome{Status: emv.PINBypassed}, nil
	case pinpad.Cancelled:
		return emv.PINOutcome{}, emv.ErrCancelled
	case pinpad.TimedOut:
		return emv.PINOutcome{}, emv.ErrTimeout
	}
	return emv.PINOutcome{Status: emv.PINPadError}, fmt.Errorf("PIN pad gives %T", result)
}

// OfflinePIN implements transaction.PINPad.
func (p pad) OfflinePIN(ctx context.Context, key emv.PINKey, challenge [8]byte, dots func(int)) (emv.OfflinePINOutcome, error) {
	result, err := p.dev.OfflinePIN(ctx, pinpad.OfflineRequest{Modulus: key.Modulus, Exponent: key.Exponent, Challenge: challenge}, dots)
	switch {
	case errors.Is(err, pinpad.ErrParameter), errors.Is(err, pinpad.ErrRefused):
		// A card's key that the pad does not take is this method's failure, and the
		// card may have another. EMV 4.4 Book 3, 10.5.1: PIN pad not working.
		return emv.OfflinePINOutcome{Status: emv.PINPadError}, nil
	case err != nil:
		return emv.OfflinePINOutcome{Status: emv.PINPadError}, err
	}
	switch r := result.(type) {
	case pinpad.Enciphered:
		return emv.OfflinePINOutcome{Status: emv.PINEntered, Block: r.Block}, nil
	case pinpad.Bypassed:
		return emv.OfflinePINOutcome{Status: emv.PINBypassed}, nil
	case pinpad.Cancelled:
		return emv.OfflinePINOutcome{}, emv.ErrCancelled
	case pinpad.TimedOut:
		return emv.OfflinePINOutcome{}, emv.ErrTimeout
	}
	return emv.OfflinePINOutcome{Status: emv.PINPadError}, fmt.Errorf("PIN pad gives %T", result)
}

// pumpKeys hands key presses to the lane. What nobody takes in time is dropped:
// keys typed into a busy terminal must not act later.
func pumpKeys(ctx context.Context, from <-chan pinpad.Key, to chan<- operator.Key) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case k := <-from:
			select {
			case to <- operatorKey(k):
			default:
			}
		}
	}
}

// operatorKey gives the menu's name of a key: digits and names are the same in
// both words; the first function key is the one the menu knows.
func operatorKey(k pinpad.Key) operator.Key {
	if k == pinpad.F1 {
		return operator.KeyFunc
	}
	return operator.Key(k.String())
}
