package transaction

import (
	"context"
	"errors"
	"fmt"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
	"posagent/agent/journal"
	"posagent/agent/operator"
	"posagent/agent/payment"
)

// dialogue is what the kernel may ask the cardholder.
type dialogue struct{ r *Runner }

// SelectApplication implements emv.Dialogue.
func (d dialogue) SelectApplication(ctx context.Context, candidates []emv.Candidate) (int, error) {
	names := make([]string, len(candidates))
	for i, c := range candidates {
		names[i] = c.Label
		if c.Preferred != "" {
			names[i] = c.Preferred
		}
	}
	i, err := d.r.Desk.Choose(ctx, names)
	if err != nil {
		return 0, err
	}
	if i < 0 {
		return 0, emv.ErrCancelled
	}
	d.r.say("reading_card", operator.Busy)
	return i, nil
}

// OnlinePIN implements emv.Dialogue.
func (d dialogue) OnlinePIN(ctx context.Context, pan payment.PAN) (emv.PINOutcome, error) {
	// The cardholder is asked when the pad is ready, and not a moment before: a
	// digit pressed outside PIN entry would reach the menu.
	out, err := d.r.PIN.EnterPIN(ctx, pan, func(n int) { d.r.Desk.PIN(pan.Masked(), n) })
	d.r.say("reading_card", operator.Busy)
	return out, err
}

// errPlainPIN is a kernel that has been told of a PIN pad this terminal has not.
var errPlainPIN = errors.New("a plaintext PIN does not leave this terminal's PIN pad")

// OfflinePIN implements emv.OfflinePINPad for enciphered PINs. The digits never
// leave the pad: plaintext PINs are refused, and 9F33 does not claim them.
func (d dialogue) OfflinePIN(ctx context.Context, req emv.OfflinePINRequest) (emv.OfflinePINOutcome, error) {
	if !req.Enciphered {
		return emv.OfflinePINOutcome{Status: emv.PINPadError}, errPlainPIN
	}
	lang := d.r.Desk.Lang()
	var notes []string
	if req.Wrong {
		notes = append(notes, operator.Text(lang, "pin_wrong"))
	}
	if req.TriesKnown && req.TriesLeft == 1 {
		notes = append(notes, operator.Text(lang, "pin_last"))
	}
	masked := req.PAN.Masked()
	out, err := d.r.PIN.OfflinePIN(ctx, req.Key, req.Challenge, func(n int) { d.r.Desk.PIN(masked, n, notes...) })
	d.r.say("reading_card", operator.Busy)
	return out, err
}

// nameOfChip is the screen of a kernel outcome that ends the transaction before
// the host was asked.
func nameOfChip(o emv.Outcome) string {
	switch o.Reason {
	case emv.ReasonCancelled:
		return "cancelled"
	case emv.ReasonTimeout, emv.ReasonDialogue:
		return "pin_failed"
	case emv.ReasonCardMute:
		return "card_early"
	case emv.ReasonCardDeclined, emv.ReasonTerminalDeclined, emv.ReasonNoApplication, emv.ReasonCardBlocked, emv.ReasonServiceRefused:
		return "declined"
	}
	return "card_error"
}

// chipError says what a kernel outcome was, for a technician.
func chipError(o emv.Outcome) error {
	if o.Cause == nil {
		return fmt.Errorf("card: %s %s", o.Kind, o.Reason)
	}
	return fmt.Errorf("card: %s %s: %w", o.Kind, o.Reason, o.Cause)
}

// nameOf is the screen of a record that has ended.
func nameOf(rec journal.Record) string {
	switch rec.State {
	case journal.Approved:
		return "approved"
	case journal.Declined:
		return "declined"
	case journal.NotSent:
		return "not_sent"
	case journal.Pending:
		return "busy"
	}
	if rec.Reason == payment.ReasonOther {
		return "card_refused"
	}
	return "no_answer"
}

// cvmName is the journal's word for how the cardholder was verified.
func cvmName(o emv.Outcome) string {
	switch {
	case !o.PINBlock.IsZero():
		return journal.CVMOnlinePIN
	case o.Signature():
		return journal.CVMSignature
	case emv.CVMResult(o.CVM[2]) == emv.ResultFailed:
		return journal.CVMFailed
	case emv.CVM(o.CVM[0]).Method() == emv.CVMEncipheredPIN:
		return journal.CVMOfflinePIN
	}
	return journal.CVMNone
}

// chipRecord keeps of an outcome what receipt and report show.
func chipRecord(o emv.Outcome) *journal.EMV {
	if len(o.AID) == 0 {
		return nil
	}
	e := &journal.EMV{
		AID: o.AID.String(), Label: o.Label,
		Cryptogram: fmt.Sprintf("%X", o.Cryptogram.Value), CID: fmt.Sprintf("%02X", o.Cryptogram.Info), ATC: fmt.Sprintf("%04X", o.Cryptogram.ATC),
		TVR: fmt.Sprintf("%X", o.TVR[:]), TSI: fmt.Sprintf("%X", o.TSI[:]), CVMResults: fmt.Sprintf("%X", o.CVM[:]), ARC: string(o.ARC),
	}
	if un, ok := tlv.Find(o.DE55, 0x9F37); ok {
		e.UN = fmt.Sprintf("%X", un)
	}
	return e
}

// onlineResult takes the card's part out of the host's answer (field 55: 91, 71,
// 72). The response code is what the card is told (8A, EMV 4.4 Book 4, 12.2).
func onlineResult(resp payment.Response) emv.OnlineResult {
	result := emv.OnlineResult{ARC: emv.ARC(resp.Code)}
	if resp.Code.Approved() {
		result.ARC = "00" // a card knows fewer shades of yes than a host
	}
	if data, ok := tlv.Find(resp.ICC, 0x91); ok {
		result.IssuerAuthData = data
	}
	result.Scripts = scripts(resp.ICC)
	return result
}

// maxScripts bounds the objects of field 55 that are looked at.
const maxScripts = 32

// scripts gives the issuer script templates (71, 72) one after another, whole.
func scripts(icc []byte) []byte {
	var all []byte
	for range maxScripts {
		if len(icc) == 0 {
			break
		}
		o, rest, err := tlv.Next(icc)
		if err != nil {
			break
		}
		if o.Tag == 0x71 || o.Tag == 0x72 {
			all = append(all, icc[:len(icc)-len(rest)]...)
		}
		icc = rest
	}
	return all
}
