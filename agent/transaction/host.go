package transaction

import (
	"context"
	"errors"
	"fmt"

	"posagent/agent/acquirer"
	"posagent/agent/journal"
	"posagent/agent/operator"
	"posagent/agent/payment"
)

// Recover turns every transaction that a power cut left without an outcome into
// an open reversal. It is called once after the journal was opened, before the
// first sale.
func (r *Runner) Recover(ctx context.Context) error {
	records, err := r.Journal.Recover(ctx)
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	r.stray = false
	for _, rec := range records {
		r.Log.Warn("transaction without outcome will be reversed", "stan", rec.STAN, "batch", rec.Batch)
	}
	return nil
}

// EnsureSignedIn installs working keys if there are none, or if they are due.
func (r *Runner) EnsureSignedIn(ctx context.Context, s Settings) error {
	if !r.signedAt.IsZero() && (s.SignInAfter <= 0 || r.Now().Sub(r.signedAt) < s.SignInAfter) {
		return nil
	}
	stan, err := r.Journal.NextSTAN(ctx)
	if err != nil {
		return fmt.Errorf("take trace number: %w", err)
	}
	result, err := r.Host.SignIn(ctx, stan)
	if err != nil {
		r.SignOff()
		return fmt.Errorf("sign in: %w", err)
	}
	if err := r.Journal.SetBatch(context.WithoutCancel(ctx), result.Batch); err != nil {
		r.SignOff()
		return fmt.Errorf("keep batch number: %w", err)
	}
	r.signedAt = r.Now()
	return nil
}

// ClearReversals sends every open reversal once, oldest first, and returns how
// many are still open. Silence of the host ends the round: the next ones would
// meet the same silence. An answer that does not end a reversal does not keep the
// next one waiting. err is about the journal only: what is owed could not be read
// or written.
func (r *Runner) ClearReversals(ctx context.Context, s Settings) (open int, err error) {
	open, _, err = r.clear(ctx, s)
	return open, err
}

// clear is ClearReversals; why says what keeps the oldest open one open.
func (r *Runner) clear(ctx context.Context, s Settings) (open int, why, err error) {
	if r.stray {
		if err := r.Recover(ctx); err != nil {
			return 0, nil, err
		}
	}
	list, damaged := r.Journal.Reversals(ctx)
	if damaged != nil {
		damaged = fmt.Errorf("list reversals: %w", damaged)
	}
	if len(list) == 0 {
		return 0, nil, damaged
	}
	r.say("reversing", operator.Busy)
	if err := r.EnsureSignedIn(ctx, s); err != nil {
		return len(list), err, errors.Join(damaged, r.tried(ctx, list[0], err))
	}
	for i, item := range list {
		answered, failed := r.reverse(ctx, item)
		if failed == nil {
			continue
		}
		if why == nil {
			why = failed
		}
		err := r.tried(ctx, item, failed)
		if !answered || err != nil {
			return open + len(list) - i, why, errors.Join(damaged, err)
		}
		open++
	}
	return open, why, damaged
}

// reverse sends one reversal; nil means that it has ended and is kept so.
func (r *Runner) reverse(ctx context.Context, item journal.OpenReversal) (answered bool, failed error) {
	resp, err := r.Host.Reverse(ctx, item.Reversal)
	if err != nil {
		r.noteFault(err)
		return false, err
	}
	r.noteSignIn(resp.Code, resp.SignAgain)
	if !resp.Code.ReversalDone() {
		return true, fmt.Errorf("host answers the reversal with code %s", resp.Code)
	}
	rec, err := r.Journal.ReversalDone(context.WithoutCancel(ctx), item.Record.ID, resp.Code)
	if err != nil {
		return true, fmt.Errorf("keep end of reversal: %w", err)
	}
	r.Log.Info("reversed", "stan", rec.STAN, "reason", rec.Reason, "code", resp.Code, "tries", rec.ReversalTries)
	return true, nil
}

// tried writes down that a reversal is still owed and why.
func (r *Runner) tried(ctx context.Context, item journal.OpenReversal, why error) error {
	r.Log.Warn("reversal still open", "stan", item.Record.STAN, "tries", item.Record.ReversalTries+1, "err", why)
	if err := r.Journal.ReversalTried(context.WithoutCancel(ctx), item.Record.ID, why.Error()); err != nil {
		return fmt.Errorf("keep try of reversal: %w", err)
	}
	return nil
}

// noteSignIn forgets the working keys when the host asks for a new sign-in, or
// says that keys or batch are out of step (99, A0 and 77, UnionPay POS profile).
func (r *Runner) noteSignIn(code payment.ResponseCode, asked bool) {
	if asked || code == "99" || code == "A0" || code == "77" {
		r.SignOff()
	}
}

// noteFault forgets the working keys when an error says that they do not fit, or
// that their keeper has lost them: a PIN pad that was without power.
func (r *Runner) noteFault(err error) {
	var fault interface{ KeyFault() string }
	if errors.Is(err, acquirer.ErrBadMAC) || errors.As(err, &fault) {
		r.SignOff()
	}
}
