package transaction

import (
	"context"
	"errors"
	"fmt"

	"posagent/agent/acquirer"
	"posagent/agent/emv"
	"posagent/agent/emv/contact"
	"posagent/agent/journal"
	"posagent/agent/operator"
	"posagent/agent/payment"
)

// Sale is a request to sell. Requester and RequestID together are the request's
// identity for ever: the same pair again gives the first answer and moves no
// money.
type Sale struct {
	Requester string // "operator", "control", "ecr:..."
	RequestID string
	Amount    payment.Amount
}

// Sale runs one sale and returns when its outcome is durable and shown.
func (r *Runner) Sale(ctx context.Context, s Settings, sale Sale) Outcome {
	r.amount = s.Currency.Symbol + sale.Amount.Format(s.Currency)
	defer func() { r.amount = "" }()
	if out, refused := r.before(ctx, s, sale); refused {
		return out
	}
	card, chip, out := r.present(ctx, s, sale)
	if out != nil {
		return *out
	}
	defer r.Card.Deactivate() //nolint:errcheck // the outcome stands; Activate begins anew
	rec, req, err := r.begin(ctx, s, sale, chip)
	if err != nil {
		return r.notKept(err)
	}
	r.say("host", operator.Busy)
	// What has been begun is ended: a request that may be at the host is waited
	// for, also when the terminal is told to stop. The link's timer bounds it.
	resp, hostErr := r.Host.Authorize(context.WithoutCancel(ctx), req)
	return r.conclude(ctx, s, rec, card, resp, hostErr)
}

// before refuses what must not be begun, and clears what is owed.
func (r *Runner) before(ctx context.Context, s Settings, sale Sale) (Outcome, bool) {
	first, err := r.Journal.ByRequest(sale.Requester, sale.RequestID)
	if err == nil {
		r.say("duplicate", operator.Bad)
		return Duplicate(first), true
	}
	if !errors.Is(err, journal.ErrNotFound) {
		return r.notKept(err), true
	}
	if sale.Amount <= 0 || sale.Amount > payment.MaxAmount || (s.Max > 0 && sale.Amount > s.Max) {
		return r.refuse("declined", fmt.Errorf("amount %d is not allowed", int64(sale.Amount)),
			operator.Text(r.Desk.Lang(), "amount_too_large", s.Max.Format(s.Currency))), true
	}
	open, err := r.ClearReversals(ctx, s)
	if err != nil {
		return r.notKept(err), true
	}
	if open > 0 {
		return r.refuse("reversal_open", nil), true
	}
	if err := r.EnsureSignedIn(ctx, s); err != nil {
		return r.refuse("sign_in_failed", err), true
	}
	return Outcome{}, false
}

// present brings a card to the point where the host must decide.
func (r *Runner) present(ctx context.Context, s Settings, sale Sale) (*contact.Session, emv.Outcome, *Outcome) {
	ended := func(name string, err error) (*contact.Session, emv.Outcome, *Outcome) {
		out := r.refuse(name, err)
		return nil, emv.Outcome{}, &out
	}
	if name, err := r.awaitCard(ctx); name != "" {
		return ended(name, err)
	}
	cardCtx, cancel := context.WithTimeout(ctx, cardTimeout)
	defer cancel()
	r.say("reading_card", operator.Busy)
	r.cardUsed = true
	if err := r.Card.Activate(cardCtx); err != nil {
		return ended("card_error", err)
	}
	sequence := uint32(1)
	if last, err := r.Journal.Last(); err == nil {
		sequence = uint32(last.Seq%99_999_999) + 1
	}
	tx := emv.Transaction{Type: emv.Purchase, Amount: sale.Amount, Sequence: sequence, ForceOnline: true}
	session, chip, err := s.Kernel.Start(cardCtx, r.Card, tx, dialogue{r})
	if err == nil && chip.Kind == emv.Online {
		return session, chip, nil
	}
	r.Card.Deactivate() //nolint:errcheck // the card is given back; Activate begins anew
	if err != nil {
		return ended("card_error", err)
	}
	out := r.refuse(nameOfChip(chip), errors.Join(fmt.Errorf("card: %s %s", chip.Kind, chip.Reason), chip.Cause))
	return nil, chip, &out
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
	case cancelled, errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return "cancelled", nil
	case err != nil:
		return "part_missing", err
	}
	return "", nil
}

// awaitRemoval makes sure that the card in the slot is not the last customer's.
func (r *Runner) awaitRemoval(ctx context.Context) (string, error) {
	present, err := r.Card.Present(ctx)
	if err != nil {
		return "part_missing", err
	}
	if present {
		r.say("remove_card", operator.Calm)
		waitCtx, cancel := context.WithTimeout(ctx, removeTimeout)
		defer cancel()
		cancelled, err := r.Desk.UntilCancel(waitCtx, func(ctx context.Context) error { return r.Card.Wait(ctx, false) })
		if cancelled || err != nil {
			return "cancelled", err
		}
	}
	r.cardUsed = false
	return "", nil
}

// begin makes the pending record durable and gives the request as it is sent.
func (r *Runner) begin(ctx context.Context, s Settings, sale Sale, chip emv.Outcome) (journal.Record, payment.Request, error) {
	req := payment.Request{
		Type: payment.Sale, Amount: sale.Amount, Currency: s.Currency, Time: r.Now(),
		TerminalID: s.TerminalID, MerchantID: s.MerchantID, Operator: s.Operator,
		Entry: payment.Chip, PAN: chip.PAN, Expiry: chip.Expiry, PANSequence: chip.PANSequence,
		Track2: chip.Track2, PINBlock: chip.PINBlock, ICC: chip.DE55,
	}
	rec, err := r.Journal.Begin(context.WithoutCancel(ctx), journal.Draft{
		Request: req, Requester: sale.Requester, RequestID: sale.RequestID, EMV: chipRecord(chip), CVM: cvmName(chip)})
	req.STAN, req.Batch = rec.STAN, rec.Batch
	return rec, req, err
}

// conclude turns the host's answer, or its absence, into the final record, and
// then tells everybody.
func (r *Runner) conclude(ctx context.Context, s Settings, rec journal.Record, card *contact.Session, resp payment.Response, hostErr error) Outcome {
	if hostErr != nil {
		return r.withoutAnswer(ctx, s, rec, card, hostErr)
	}
	r.noteSignIn(resp.Code, resp.SignAgain)
	r.say("completing", operator.Busy)
	chip := r.complete(ctx, card, onlineResult(resp))
	result := journal.Result{Event: journal.Decline, Response: resp, EMV: chipRecord(chip)}
	name := "declined"
	switch {
	case resp.Code.Approved() && chip.Kind == emv.Approve:
		result.Event, name = journal.Approve, "approved"
	case resp.Code.Approved():
		result.Event, result.Reason, name = journal.Reverse, payment.ReasonOther, "card_refused"
	}
	out, ok := r.keep(ctx, rec, result, name, nil)
	if !ok {
		return out
	}
	return r.tell(ctx, s, out)
}

// withoutAnswer ends a transaction the host has not answered. What may have
// reached the host is written down as a reversal before the card hears of it.
func (r *Runner) withoutAnswer(ctx context.Context, s Settings, rec journal.Record, card *contact.Session, hostErr error) Outcome {
	result, name := journal.Result{Event: journal.NothingSent}, "not_sent"
	if reason, doubt := acquirer.ReversalReason(hostErr); doubt || !errors.Is(hostErr, acquirer.ErrNotSent) {
		if reason == "" {
			reason = payment.ReasonNoReply
		}
		result, name = journal.Result{Event: journal.Reverse, Reason: reason}, "no_answer"
	}
	if errors.Is(hostErr, acquirer.ErrBadMAC) {
		r.SignOff()
	}
	out, ok := r.keep(ctx, rec, result, name, hostErr)
	r.complete(ctx, card, emv.OnlineResult{UnableToGoOnline: true})
	if !ok {
		return out
	}
	return r.tell(ctx, s, out)
}

// keep writes the final record. If that fails the record stays pending on disk,
// and the next start reverses it.
func (r *Runner) keep(ctx context.Context, rec journal.Record, result journal.Result, name string, cause error) (Outcome, bool) {
	final, err := r.Journal.Finish(context.WithoutCancel(ctx), rec.ID, result)
	if err != nil {
		out := r.notKept(err)
		out.Record = rec
		return out, false
	}
	r.Log.Info("transaction", "stan", final.STAN, "batch", final.Batch, "state", final.State, "code", final.Code, "rrn", final.RRN, "err", cause)
	return Outcome{Name: name, Record: final, Err: cause}, true
}

// tell shows the outcome, sends a reversal that is now owed, and prints.
func (r *Runner) tell(ctx context.Context, s Settings, out Outcome) Outcome {
	r.show(out)
	if out.Record.State == journal.Reversing {
		if _, err := r.ClearReversals(ctx, s); err != nil {
			r.Log.Error("reversal not recorded", "stan", out.Record.STAN, "err", err)
		}
		if now, err := r.Journal.Record(out.Record.ID); err == nil {
			out.Record = now
		}
		r.show(out)
	}
	r.print(ctx, out)
	return out
}

func (r *Runner) show(out Outcome) {
	rec, lang := out.Record, r.Desk.Lang()
	switch out.Name {
	case "approved":
		r.say("approved", operator.Good, rec.MaskedPAN, "STAN "+rec.STAN.String()+"  RRN "+string(rec.RRN))
	case "declined":
		r.say("declined", operator.Bad, operator.Decline(lang, rec.Code))
	default:
		r.say(out.Name, operator.Bad, "STAN "+rec.STAN.String())
	}
}

func (r *Runner) print(ctx context.Context, out Outcome) {
	if err := r.Print(ctx, out.Record); err != nil {
		r.Log.Warn("receipt not printed", "stan", out.Record.STAN, "err", err)
		if out.Approved() {
			r.say("print_failed", operator.Bad, "STAN "+out.Record.STAN.String())
			return
		}
	}
	r.show(out) // printing had the screen
}

// complete lets the card finish. Whatever it does, the caller has an outcome.
func (r *Runner) complete(ctx context.Context, card *contact.Session, result emv.OnlineResult) emv.Outcome {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), completeTimeout)
	defer cancel()
	chip, err := card.Complete(ctx, result)
	if err != nil {
		r.Log.Warn("card did not complete", "err", err)
	}
	return chip
}

// noteSignIn forgets the working keys when the host asks for a new sign-in, or
// says that it does not understand ours (99 and A0, UnionPay POS profile).
func (r *Runner) noteSignIn(code payment.ResponseCode, asked bool) {
	if asked || code == "99" || code == "A0" {
		r.SignOff()
	}
}

// notKept ends a transaction whose record could not be written or read.
func (r *Runner) notKept(err error) Outcome {
	r.say("record_failed", operator.Bad)
	r.Log.Error("record not kept", "err", err)
	return Outcome{Name: "record_failed", Err: err}
}
