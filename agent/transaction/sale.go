package transaction

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"posagent/agent/acquirer"
	"posagent/agent/emv"
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
	card, out := r.present(ctx, s, sale)
	if out != nil {
		return *out
	}
	if err := ctx.Err(); err != nil { // the last moment at which stopping costs nothing
		r.letGo(card)
		return r.refuse("cancelled", err)
	}
	rec, req, err := r.begin(ctx, s, sale, card)
	if err != nil {
		r.letGo(card)
		return r.notBegun(err)
	}
	r.sayWithCard("host", card)
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
	if out, refused := r.impossible(s, sale); refused {
		return out, true
	}
	open, why, err := r.clear(ctx, s)
	if err == nil && open == 0 {
		why = r.EnsureSignedIn(ctx, s)
	}
	switch {
	case ctx.Err() != nil: // whatever else went wrong, this is the cause
		return r.refuse("cancelled", ctx.Err()), true
	case err != nil:
		return r.notKept(err), true
	case open > 0:
		return r.refuse("reversal_open", why), true
	case why != nil:
		return r.refuse("sign_in_failed", why), true
	}
	return Outcome{}, false
}

// maxRequest bounds requester and request id in bytes, as the journal does.
const maxRequest = 64

// impossible refuses a sale that could not be kept, before anybody is bothered.
func (r *Runner) impossible(s Settings, sale Sale) (Outcome, bool) {
	limit := payment.MaxAmount
	if s.Max > 0 {
		limit = min(limit, s.Max)
	}
	switch {
	case sale.Amount <= 0:
		return r.refuse("declined", fmt.Errorf("amount %d is not allowed", int64(sale.Amount)),
			operator.Text(r.Desk.Lang(), "amount_zero")), true
	case sale.Amount > limit:
		return r.refuse("declined", fmt.Errorf("amount %d exceeds the limit of %d", int64(sale.Amount), int64(limit)),
			operator.Text(r.Desk.Lang(), "amount_too_large", limit.Format(s.Currency))), true
	}
	for _, name := range []string{sale.Requester, sale.RequestID} {
		if name == "" || len(name) > maxRequest || strings.ContainsFunc(name, func(c rune) bool { return c < ' ' }) {
			return r.refuse("declined", fmt.Errorf("requester or request id of %d bytes: want 1 to %d printable", len(name), maxRequest)), true
		}
	}
	return Outcome{}, false
}

// begin makes the pending record durable and gives the request as it is sent.
func (r *Runner) begin(ctx context.Context, s Settings, sale Sale, card *presented) (journal.Record, payment.Request, error) {
	chip := card.chip
	req := payment.Request{
		Type: payment.Sale, Amount: sale.Amount, Currency: s.Currency, Time: r.Now(),
		TerminalID: s.TerminalID, MerchantID: s.MerchantID, Operator: s.Operator,
		Entry: card.entry, PAN: chip.PAN, Expiry: chip.Expiry, PANSequence: chip.PANSequence,
		Track2: chip.Track2, PINBlock: chip.PINBlock, ICC: chip.DE55,
	}
	rec, err := r.Journal.Begin(context.WithoutCancel(ctx), journal.Draft{
		Request: req, Requester: sale.Requester, RequestID: sale.RequestID, EMV: chipRecord(chip), CVM: card.cvm})
	req.STAN, req.Batch = rec.STAN, rec.Batch
	return rec, req, err
}

// letGo gives a card back that nothing was begun with.
func (r *Runner) letGo(card *presented) {
	if card.session != nil {
		r.giveBack()
	}
}

// sayWithCard shows a screen on which a card in the slot must stay there.
func (r *Runner) sayWithCard(name string, card *presented) {
	var notes []string
	if card.session != nil {
		notes = append(notes, operator.Text(r.Desk.Lang(), "leave_card"))
	}
	r.say(name, operator.Busy, notes...)
}

// notBegun ends a transaction that the journal did not take: nothing was sent.
func (r *Runner) notBegun(err error) Outcome {
	var known *journal.DuplicateError
	if errors.As(err, &known) {
		r.say("duplicate", operator.Bad)
		return Duplicate(known.Record)
	}
	r.stray = true // a write that failed may be on the disk all the same
	return r.notKept(err)
}

// conclude turns the host's answer, or its absence, into the final record, and
// then tells everybody.
func (r *Runner) conclude(ctx context.Context, s Settings, rec journal.Record, card *presented, resp payment.Response, hostErr error) Outcome {
	if hostErr != nil {
		return r.withoutAnswer(ctx, s, rec, card, hostErr)
	}
	r.noteSignIn(resp.Code, resp.SignAgain)
	if card.session != nil {
		r.sayWithCard("completing", card)
	}
	chip := r.complete(ctx, card, onlineResult(resp))
	result := journal.Result{Event: journal.Decline, Response: resp, EMV: chipRecord(chip)}
	name, cause := "declined", error(nil)
	switch {
	case resp.Code.Approved() && chip.Kind == emv.Approve:
		result.Event, name = journal.Approve, "approved"
	case resp.Code.Approved():
		result.Event, result.Reason, name, cause = journal.Reverse, payment.ReasonOther, "card_refused", chipError(chip)
	}
	out, ok := r.keep(ctx, rec, result, name, cause)
	if !ok {
		return out
	}
	return r.tell(ctx, s, out)
}

// withoutAnswer ends a transaction the host has not answered. What may have
// reached the host is written down as a reversal before the card hears of it.
func (r *Runner) withoutAnswer(ctx context.Context, s Settings, rec journal.Record, card *presented, hostErr error) Outcome {
	result, name := journal.Result{Event: journal.NothingSent}, "not_sent"
	if reason, doubt := acquirer.ReversalReason(hostErr); doubt || !errors.Is(hostErr, acquirer.ErrNotSent) {
		if reason == "" {
			reason = payment.ReasonNoReply
		}
		result, name = journal.Result{Event: journal.Reverse, Reason: reason}, "no_answer"
	}
	r.noteFault(hostErr)
	out, ok := r.keep(ctx, rec, result, name, hostErr)
	r.complete(ctx, card, emv.OnlineResult{UnableToGoOnline: true})
	if !ok {
		return out
	}
	return r.tell(ctx, s, out)
}

// keep writes the final record. If that fails the record stays pending on disk,
// and becomes a reversal before the next sale or at the next start.
func (r *Runner) keep(ctx context.Context, rec journal.Record, result journal.Result, name string, cause error) (Outcome, bool) {
	ctx = context.WithoutCancel(ctx)
	final, err := r.Journal.Finish(ctx, rec.ID, result)
	var field *journal.FieldError
	if errors.As(err, &field) {
		// The host's names and remarks are ornament; a remark that cannot be kept
		// (it holds the card number, for one) must not keep the outcome away.
		r.Log.Warn("host's texts not kept", "stan", rec.STAN, "err", err)
		plain := result.Response
		result.Response = payment.Response{Code: plain.Code, RRN: plain.RRN, AuthCode: plain.AuthCode, HostTime: plain.HostTime}
		final, err = r.Journal.Finish(ctx, rec.ID, result)
	}
	if err != nil {
		r.stray = true
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
	// A terminal that is told to stop leaves the reversal to its next start.
	if out.Record.State == journal.Reversing && ctx.Err() == nil {
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

// notKept ends a transaction whose record could not be written or read.
func (r *Runner) notKept(err error) Outcome {
	r.say("record_failed", operator.Bad)
	r.Log.Error("record not kept", "err", err)
	return Outcome{Name: "record_failed", Err: err}
}
