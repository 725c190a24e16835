package transaction

import (
	"context"
	"errors"
	"fmt"
	"time"

	"posagent/agent/emv"
	"posagent/agent/emv/contactless"
	"posagent/agent/journal"
	"posagent/agent/operator"
	"posagent/agent/payment"
)

// beginTap prepares the contactless reader for a sale; nil when cards can only be
// inserted: no reader, none wanted, or an amount beyond its limits.
func (r *Runner) beginTap(s Settings, tx emv.Transaction) *contactless.Reader {
	if r.Field == nil || s.Contactless == nil {
		return nil
	}
	if r.tapConfig != s.Contactless {
		config := *s.Contactless
		config.UI = r.tapUI
		reader, err := contactless.New(config)
		if err != nil { // whoever made the settings has tried it
			r.Log.Error("contactless kernels not made", "err", err)
			return nil
		}
		if r.tapReader != nil {
			r.tapReader.Forget()
		}
		r.tapConfig, r.tapReader = s.Contactless, reader
	}
	out, err := r.tapReader.Begin(tx)
	if err != nil {
		r.Log.Error("contactless transaction not begun", "err", err)
		return nil
	}
	if out.Kind != contactless.Ready {
		return nil
	}
	return r.tapReader
}

// tapUI shows what the kernel wants shown while the card is in the field.
func (r *Runner) tapUI(u contactless.UIRequest) {
	if u.Message == contactless.MessageRemoveCard {
		r.say("card_read", operator.Busy)
	}
}

// again is the screen that asks for another presentation, and how long the field
// stays off before it. EMV Contactless Book A, 9.2.
func again(out contactless.Outcome) (screen string, pause time.Duration) {
	pause = time.Duration(out.FieldOff) * 100 * time.Millisecond
	if out.OnRestart.Message == contactless.MessageSeePhone {
		return "see_phone", pause
	}
	return "tap_again", pause
}

// tapped ends a tap that has a final outcome: for the host, with a PIN where one
// is due, or for nobody. An approval of the card alone is not one of this
// terminal, whose kernels are told to ask the host.
func (r *Runner) tapped(ctx context.Context, card FieldCard, out contactless.Outcome) (*presented, *Outcome) {
	r.fieldOff()
	r.inField = card
	if out.Kind != contactless.Online {
		refused := r.refuse(nameOfChip(out.Sale), chipError(out.Sale))
		return nil, &refused
	}
	if out.CVM == contactless.CVMOnlinePIN {
		if refused := r.tapPIN(ctx, &out); refused != nil {
			return nil, refused
		}
	}
	return &presented{entry: payment.Contactless, chip: out.Sale, cvm: tapCVM(out.CVM), tap: &out}, nil
}

// tapPIN takes the online PIN of a card that is away already.
func (r *Runner) tapPIN(ctx context.Context, out *contactless.Outcome) *Outcome {
	pinCtx, cancel := context.WithTimeout(ctx, cardTimeout)
	defer cancel()
	pan := out.Sale.PAN
	pin, err := r.PIN.EnterPIN(pinCtx, pan, func(n int) { r.Desk.PIN(pan.Masked(), n) })
	name := "pin_failed"
	switch {
	case ctx.Err() != nil:
		name, err = "cancelled", ctx.Err()
	case errors.Is(err, emv.ErrCancelled):
		name = "cancelled"
	case err == nil && pin.Status == emv.PINEntered && !pin.Block.IsZero():
		out.Sale.PINBlock = pin.Block
		return nil
	case err == nil:
		err = fmt.Errorf("PIN entry ended %q", pin.Status)
	}
	r.noteFault(err)
	refused := r.refuse(name, err)
	return &refused
}

// tapCVM is the journal's word for a contactless cardholder verification.
func tapCVM(c contactless.CVM) string {
	switch c {
	case contactless.CVMOnlinePIN:
		return journal.CVMOnlinePIN
	case contactless.CVMSignature:
		return journal.CVMSignature
	case contactless.CVMOnDevice:
		return journal.CVMDevice
	}
	return journal.CVMNone
}
