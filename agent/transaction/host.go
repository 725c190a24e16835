package transaction

import (
	"context"
	"errors"
	"fmt"

	"posagent/agent/acquirer"
	"posagent/agent/journal"
	"posagent/agent/operator"
)

// Recover turns every transaction that a power cut left without an outcome into
// an open reversal. It is called once after the journal was opened, before the
// first sale.
func (r *Runner) Recover(ctx context.Context) error {
	records, err := r.Journal.Recover(ctx)
	if err != nil {
		return fmt.Errorf("recover: %w", err)
	}
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
	if err := r.Journal.SetBatch(ctx, result.Batch); err != nil {
		r.SignOff()
		return fmt.Errorf("keep batch number: %w", err)
	}
	r.signedAt = r.Now()
	return nil
}

// ClearReversals sends every open reversal once, oldest first, and returns how
// many are still open. The first that the host does not take ends the round: the
// next ones would meet the same host.
func (r *Runner) ClearReversals(ctx context.Context, s Settings) (open int, err error) {
	list, err := r.Journal.Reversals(ctx)
	if err != nil {
		return 0, fmt.Errorf("list reversals: %w", err)
	}
	if len(list) == 0 {
		return 0, nil
	}
	r.say("reversing", operator.Busy)
	if err := r.EnsureSignedIn(ctx, s); err != nil {
		return len(list), r.tried(ctx, list[0], err)
	}
	for i, item := range list {
		done, err := r.reverse(ctx, item)
		if err != nil || !done {
			return len(list) - i, err
		}
	}
	return 0, nil
}

// reverse sends one reversal. An answer that does not end it leaves it open.
func (r *Runner) reverse(ctx context.Context, item journal.OpenReversal) (done bool, err error) {
	resp, err := r.Host.Reverse(ctx, item.Reversal)
	if err != nil {
		if errors.Is(err, acquirer.ErrBadMAC) {
			r.SignOff()
		}
		return false, r.tried(ctx, item, err)
	}
	r.noteSignIn(resp.Code, resp.SignAgain)
	if !resp.Code.ReversalDone() {
		return false, r.tried(ctx, item, fmt.Errorf("host answers the reversal with code %s", resp.Code))
	}
	rec, err := r.Journal.ReversalDone(context.WithoutCancel(ctx), item.Record.ID, resp.Code)
	if err != nil {
		return false, fmt.Errorf("keep end of reversal: %w", err)
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
