package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"posagent/agent/control"
	"posagent/agent/journal"
	"posagent/agent/lifecycle"
	"posagent/agent/operator"
	"posagent/agent/payment"
	"posagent/agent/transaction"
	"posagent/drivers/board"
)

var errActivated = control.ErrActivated

// laneWait is how long a caller waits for a lane that looks after something else.
const laneWait = 3 * time.Second

var _ control.Terminal = (*Agent)(nil)

// inLane runs f on the lane and waits for its end. ErrBusy if the lane does not
// come free in time.
func (a *Agent) inLane(ctx context.Context, f func(context.Context)) error {
	done := make(chan struct{})
	timer := time.NewTimer(laneWait)
	defer timer.Stop()
	select {
	case a.jobs <- func(ctx context.Context) { defer close(done); f(ctx) }:
	case <-timer.C:
		return control.ErrBusy
	case <-a.stopped:
		return control.ErrNotReady
	case <-ctx.Done():
		return ctx.Err()
	}
	<-done // the lane ends what it began
	return nil
}

// Sale implements control.Terminal.
func (a *Agent) Sale(ctx context.Context, r control.SaleRequest) (control.SaleAnswer, error) {
	if r.Requester == "" {
		r.Requester = "control"
	}
	unprintable := func(c rune) bool { return c < ' ' } // as the journal has it
	if r.RequestID == "" || len(r.RequestID) > 64 || len(r.Requester) > 64 || strings.ContainsFunc(r.RequestID+r.Requester, unprintable) {
		return control.SaleAnswer{}, control.BadRequest("request_id wants 1 to 64 printable characters, requester at most 64")
	}
	current := a.conf.Current()
	if current == nil {
		return control.SaleAnswer{}, control.ErrNotReady
	}
	amount, err := payment.ParseDecimal(r.Amount, currencyOf(current))
	if err != nil || amount == 0 {
		return control.SaleAnswer{}, control.BadRequest(fmt.Sprintf("amount %q is not an amount", r.Amount))
	}
	// The first answer is given again also while the terminal is busy or not ready.
	if rec, err := a.journal.ByRequest(r.Requester, r.RequestID); err == nil {
		return again(transaction.Duplicate(rec), amount)
	}
	var out transaction.Outcome
	err = a.inLane(ctx, func(ctx context.Context) {
		out = a.sell(ctx, transaction.Sale{Requester: r.Requester, RequestID: r.RequestID, Amount: amount})
	})
	if err != nil {
		return control.SaleAnswer{}, err
	}
	return again(out, amount)
}

// again answers a sale of amount, unless its request id was that of another sale.
func again(out transaction.Outcome, amount payment.Amount) (control.SaleAnswer, error) {
	if out.Duplicate && out.Record.Amount != amount {
		return control.SaleAnswer{}, control.ErrOtherSale
	}
	return answer(out), nil
}

func answer(out transaction.Outcome) control.SaleAnswer {
	s := control.SaleAnswer{Outcome: out.Name, Text: operator.Text(operator.English, out.Name), Duplicate: out.Duplicate}
	if out.Record.ID != "" {
		s.Record = &out.Record
		if out.Record.State == journal.Declined {
			s.Text = operator.Decline(operator.English, out.Record.Code)
		}
	}
	if out.Err != nil {
		s.Detail = out.Err.Error()
	}
	return s
}

// Journal implements control.Terminal.
func (a *Agent) Journal() journal.Reader { return a.journal }

// Reprint implements control.Terminal.
func (a *Agent) Reprint(ctx context.Context, id string) error {
	var err error
	var rec journal.Record
	if id == "" {
		rec, err = a.journal.Last()
	} else {
		rec, err = control.Find(a.journal, id)
	}
	if err != nil {
		return err
	}
	var failed error
	if err := a.inLane(ctx, func(ctx context.Context) {
		failed = a.reprint(ctx, rec)
		a.drainKeys()
		a.refresh()
	}); err != nil {
		return err
	}
	return failed
}

// Screen gives the screen of the moment.
func (a *Agent) Screen() operator.Screen {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.screen
}

// Status implements control.Terminal.
func (a *Agent) Status() control.Status {
	a.mu.Lock()
	f, screen := a.facts, a.screen
	a.mu.Unlock()
	s := control.Status{Serial: a.o.Serial, Version: a.o.Version, Model: a.o.Parts.Model, State: string(a.life.State()),
		Ready: f.ready && f.open == 0, Why: f.why, Screen: screen.Name, SignedIn: f.signedIn, OpenReversals: f.open, Started: a.started}
	if f.ready && f.open > 0 {
		s.Why = operator.Text(operator.English, "reversal_open")
	}
	if c := f.config; c != nil {
		s.TerminalID, s.MerchantID, s.Merchant, s.Config = c.TerminalID, c.Merchant.ID, c.Merchant.NameEN, c.Revision
	}
	if l := a.link.Load(); l != nil {
		s.FleetOnline = l.Online()
	}
	if batch, err := a.journal.Batch(); err == nil {
		s.Batch = batch
		if t, err := a.journal.Totals(batch); err == nil {
			s.Totals = t
		}
	}
	if entries, err := a.journal.Outbox(context.Background(), 100); err == nil {
		s.Unreported = len(entries)
	}
	s.Parts = a.fitted()
	return s
}

func (a *Agent) fitted() []control.Part {
	var parts []control.Part
	for _, p := range []board.Part{board.ICC, board.PINPad, board.Printer, board.Display} {
		missing := a.missing(p)
		part := control.Part{Name: string(p), OK: missing == nil}
		if missing != nil {
			part.Detail = missing.Error()
		}
		parts = append(parts, part)
	}
	return parts
}

// SelfTest implements control.Terminal: it asks every part that can answer, on
// the lane, because a question between the commands of a sale would spoil the
// card's session. A part that the model does not have is no failure and is left out.
func (a *Agent) SelfTest(ctx context.Context) (parts []control.Part, err error) {
	err = a.inLane(ctx, func(ctx context.Context) { parts = a.selfTest(ctx) })
	return parts, err
}

func (a *Agent) selfTest(ctx context.Context) []control.Part {
	parts := slices.DeleteFunc(a.fitted(), func(p control.Part) bool {
		return errors.Is(a.o.Parts.Missing[board.Part(p.Name)], board.ErrNotFitted)
	})
	check := func(name string, err error, detail string) {
		p := control.Part{Name: name, OK: err == nil, Detail: detail}
		if err != nil {
			p.Detail = err.Error()
		}
		parts = append(parts, p)
	}
	if dev := a.o.Parts.PINPad; dev != nil {
		info, err := dev.Info(ctx)
		if err == nil && info.Tampered {
			err = errors.New("tampered: its keys are gone")
		}
		check("pinpad answers", err, info.Model+" "+info.Serial)
	}
	if dev := a.o.Parts.Printer; dev != nil {
		st, err := dev.Status(ctx)
		if err == nil && !st.CanPrint() {
			err = errors.New(st.String())
		}
		check("printer ready", err, st.String())
	}
	if dev := a.o.Parts.ICC; dev != nil {
		present, err := dev.Present(ctx)
		check("card reader answers", err, fmt.Sprintf("card present: %v", present))
	}
	report, err := a.journal.Verify(ctx)
	if err == nil && len(report.Problems) > 0 {
		err = errors.New(report.Problems[0])
	}
	check("journal", err, fmt.Sprintf("%d records", report.Records))
	_, ok := a.life.Identity()
	err = nil
	if !ok {
		err = lifecycle.ErrNotActivated
	}
	check("activated", err, string(a.life.State()))
	st := a.Status()
	check("host signed in", unless(st.SignedIn, "not signed in"), "")
	check("fleet connected", unless(st.FleetOnline, "not connected"), "")
	return parts
}

func unless(ok bool, why string) error {
	if ok {
		return nil
	}
	return errors.New(why)
}
