package judge

import (
	"context"
	"crypto/rand"
	"errors"

	"posagent/agent/emv"
	"posagent/agent/emv/oda"
	"posagent/agent/payment"
)

// A pinPlan is what the cardholder does at the PIN pad.
type pinPlan struct {
	digits string
	status emv.PINStatus
	cancel bool
}

// cardholder reads the plan.
func (r *reading) cardholder() {
	r.j.choose = r.number("choose", 1, 255)
	p := &r.j.pin
	switch text := r.s.value("pin", "1234"); {
	case text == "bypass":
		p.status = emv.PINBypassed
	case text == "cancel":
		p.cancel = true
	case text == "broken":
		p.status = emv.PINPadError
	case len(text) >= 4 && len(text) <= 12 && digits(text, len(text)):
		p.status, p.digits = emv.PINEntered, text
	default: // the value may be a PIN: it is not repeated
		r.fail("pin", "want 4 to 12 digits, bypass, cancel or broken")
	}
}

// cardholder is a person who follows the plan.
type cardholder struct{ j *job }

var errChoice = errors.New("the cardholder's choice is not on the list")

// SelectApplication implements emv.Dialogue.
func (c cardholder) SelectApplication(_ context.Context, candidates []emv.Candidate) (int, error) {
	if int(c.j.choose) > len(candidates) {
		if len(candidates) == 1 { // a confirmation
			return 0, nil
		}
		return 0, errChoice
	}
	return int(c.j.choose) - 1, nil
}

// OnlinePIN implements emv.Dialogue. The block is empty: there are no keys here and no host behind.
func (c cardholder) OnlinePIN(context.Context, payment.PAN) (emv.PINOutcome, error) {
	if c.j.pin.cancel {
		return emv.PINOutcome{}, emv.ErrCancelled
	}
	if c.j.pin.status != emv.PINEntered {
		return emv.PINOutcome{Status: c.j.pin.status}, nil
	}
	block, err := payment.NewPINBlock(make([]byte, 8))
	return emv.PINOutcome{Status: emv.PINEntered, Block: block}, err
}

var _ emv.OfflinePINPad = cardholder{}

// OfflinePIN implements emv.OfflinePINPad. After a wrong PIN the cardholder gives up: another try with the same digits
// would only lock the card.
func (c cardholder) OfflinePIN(ctx context.Context, q emv.OfflinePINRequest) (emv.OfflinePINOutcome, error) {
	switch p := c.j.pin; {
	case p.cancel:
		return emv.OfflinePINOutcome{}, emv.ErrCancelled
	case p.status != emv.PINEntered:
		return emv.OfflinePINOutcome{Status: p.status}, nil
	case q.Wrong:
		return emv.OfflinePINOutcome{Status: emv.PINBypassed}, nil
	}
	block := plainBlock(c.j.pin.digits)
	if q.Enciphered {
		data, err := oda.EncipherPIN(q.Key, block, q.Challenge, rand.Reader)
		return emv.OfflinePINOutcome{Status: emv.PINEntered, Block: data}, err
	}
	capdu, err := emv.Command{INS: emv.InsVerify, P2: emv.VerifyPlain, Data: block[:]}.AppendTo(nil)
	if err != nil {
		return emv.OfflinePINOutcome{}, err
	}
	_, err = q.Verify(ctx, capdu)
	return emv.OfflinePINOutcome{Status: emv.PINEntered}, err
}

// plainBlock is the plaintext PIN block: control 2, length, digits, filler F. EMV 4.4 Book 3, 6.5.12.
func plainBlock(digits string) (block [emv.PlainPINBlock]byte) {
	for i := range block {
		block[i] = 0xFF
	}
	block[0] = 0x20 | byte(len(digits))
	for i, d := range []byte(digits) {
		b := &block[1+i/2]
		if i%2 == 0 {
			*b = (d-'0')<<4 | *b&0x0F
		} else {
			*b = *b&0xF0 | (d - '0')
		}
	}
	return block
}
