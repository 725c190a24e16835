package transaction

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"posagent/agent/journal"
	"posagent/agent/operator"
	"posagent/agent/payment"
)

// undoing is a host that takes every reversal.
type undoing struct {
	Host
	taken []payment.STAN
}

func (h *undoing) Reverse(_ context.Context, r payment.Reversal) (payment.Response, error) {
	h.taken = append(h.taken, r.Request.STAN)
	return payment.Response{Code: "25"}, nil
}

// TestStrayRecordIsReversed: a record whose outcome could not be written while
// the process lives is undone before the next sale, without a restart.
func TestStrayRecordIsReversed(t *testing.T) {
	j, err := journal.Open(filepath.Join(t.TempDir(), "journal.db"), journal.Options{Key: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- j.Run(ctx) }()
	defer func() { cancel(); <-done; j.Close() }()
	pan, err := payment.NewPAN("6226090000000022")
	if err != nil {
		t.Fatal(err)
	}
	rec, err := j.Begin(ctx, journal.Draft{Requester: "test", RequestID: "1", Request: payment.Request{Type: payment.Sale, Amount: 1, Currency: payment.CNY,
		Time: time.Now(), TerminalID: "10000001", MerchantID: "898100000000001", Operator: "01", Entry: payment.Chip, PAN: pan}})
	if err != nil {
		t.Fatal(err)
	}
	host := &undoing{}
	r := &Runner{Journal: j, Host: host, Log: slog.New(slog.DiscardHandler), Now: time.Now, signedAt: time.Now(), Desk: &operator.Desk{
		Show: func(operator.Screen) {}, Lang: func() operator.Lang { return operator.English },
		Status: func() operator.Status { return operator.Status{} }, Amount: func() string { return "" }}}
	if open, err := r.ClearReversals(ctx, Settings{}); open != 0 || err != nil || len(host.taken) != 0 {
		t.Fatalf("%d open, %v: a sale that is running was taken for a stray one", open, err)
	}
	// What ends a transaction says that it could not write the end.
	if _, ok := r.keep(ctx, journal.Record{ID: "no such record"}, journal.Result{Event: journal.Approve}, "approved", nil); ok {
		t.Fatal("an outcome that was not written counts as kept")
	}
	if open, err := r.ClearReversals(ctx, Settings{}); open != 0 || err != nil || len(host.taken) != 1 || host.taken[0] != rec.STAN {
		t.Errorf("%d open, %v, reversed %v, want %s", open, err, host.taken, rec.STAN)
	}
	if rec, err = j.Record(rec.ID); err != nil || rec.State != journal.Reversed {
		t.Errorf("record is %s, %v", rec.State, err)
	}
}
