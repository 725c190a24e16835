package telemetry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"posagent/agent/journal"
	"posagent/agent/payment"
	"posagent/ota/wire"
)

const number = "6226090000000022"

// open runs a journal until the test ends.
func open(t *testing.T) *journal.Journal {
	t.Helper()
	j, err := journal.Open(filepath.Join(t.TempDir(), "journal.db"), journal.Options{Key: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, j.Close()); err != nil {
			t.Errorf("journal ended with %v", err)
		}
	})
	return j
}

func begin(t *testing.T, j *journal.Journal, id string) journal.Record {
	t.Helper()
	pan, err := payment.NewPAN(number)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := j.Begin(t.Context(), journal.Draft{Requester: "test", RequestID: id, Request: payment.Request{Type: payment.Sale, Amount: 1234,
		Currency: payment.CNY, Time: time.Now(), TerminalID: "10000001", MerchantID: "898100000000001", Operator: "01", Entry: payment.Chip, PAN: pan}})
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

var approval = payment.Response{Code: "00", RRN: "123456789012", AuthCode: "654321"}

// TestEveryStateIsAValidEvent drives a record through each way of the journal's
// table and sends what comes out through the wire.
func TestEveryStateIsAValidEvent(t *testing.T) {
	for _, row := range []struct {
		name   string
		result journal.Result
		then   payment.ResponseCode // ends the reversal
		want   []journal.State
	}{
		{"approved", journal.Result{Event: journal.Approve, Response: approval}, "", []journal.State{journal.Approved}},
		{"declined", journal.Result{Event: journal.Decline, Response: payment.Response{Code: "51"}}, "", []journal.State{journal.Declined}},
		{"not sent", journal.Result{Event: journal.NothingSent}, "", []journal.State{journal.NotSent}},
		{"reversing", journal.Result{Event: journal.Reverse, Reason: payment.ReasonNoReply}, "", []journal.State{journal.Reversing}},
		{"reversed", journal.Result{Event: journal.Reverse, Reason: payment.ReasonOther, Response: approval}, "00",
			[]journal.State{journal.Reversing, journal.Reversed}},
		{"host writes what it likes", journal.Result{Event: journal.Approve, Response: payment.Response{Code: "00", RRN: "12 4", AuthCode: "汉 *"}}, "",
			[]journal.State{journal.Approved}},
	} {
		t.Run(row.name, func(t *testing.T) {
			j := open(t)
			var logged bytes.Buffer
			o := New(j, slog.New(slog.NewTextHandler(&logged, nil)))
			rec, err := j.Finish(t.Context(), begin(t, j, "1").ID, row.result)
			if err != nil {
				t.Fatal(err)
			}
			if row.then != "" {
				if rec, err = j.ReversalDone(t.Context(), rec.ID, row.then); err != nil {
					t.Fatal(err)
				}
			}
			events, err := o.Next(t.Context(), 32)
			if err != nil || len(events) != len(row.want) {
				t.Fatalf("%d events, %v, want %v\n%s", len(events), err, row.want, &logged)
			}
			for i, e := range events {
				body, err := wire.Encode(e)
				if err != nil {
					t.Errorf("not valid on the wire: %v", err)
				}
				var back wire.Event
				if err := wire.Decode(body, &back); err != nil {
					t.Errorf("does not come back: %v", err)
				}
				tr := back.Transaction
				if tr.State != string(row.want[i]) || back.RecordID != rec.ID || tr.Amount != 1234 || tr.STAN != rec.STAN.String() || tr.Currency != "156" ||
					!back.LocalTime.Equal(rec.Entered(row.want[i])) {
					t.Errorf("event %d is %+v %+v", i, back, tr)
				}
				if tr.MaskedPAN != "622609******0022" || strings.Contains(string(body), number) {
					t.Errorf("card number is told as %q in %s", tr.MaskedPAN, body)
				}
				if row.result.Response.RRN == approval.RRN && (tr.RRN != "123456789012" || tr.AuthCode != "654321") {
					t.Errorf("host's references are lost: %+v", tr)
				}
				if err := o.Acked(t.Context(), &wire.Ack{IDs: []string{back.ID}}); err != nil {
					t.Error(err)
				}
			}
			if left, err := o.Next(t.Context(), 32); err != nil || len(left) != 0 {
				t.Errorf("after the acknowledgements %d are left, %v", len(left), err)
			}
		})
	}
}

func TestIDsAreStableAndMapBack(t *testing.T) {
	j := open(t)
	o := New(j, slog.New(slog.DiscardHandler))
	if _, err := j.Finish(t.Context(), begin(t, j, "1").ID, journal.Result{Event: journal.Approve, Response: approval}); err != nil {
		t.Fatal(err)
	}
	first, err := o.Next(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	second, err := o.Next(t.Context(), 1)
	if err != nil || first[0].ID != second[0].ID || strings.Contains(first[0].ID, "/") {
		t.Errorf("ids %q and %q, %v", first[0].ID, second[0].ID, err)
	}
	if got := entryID(eventID("0abc/reversing")); got != "0abc/reversing" {
		t.Errorf("the id comes back as %q", got)
	}
	if err := o.Acked(t.Context(), &wire.Ack{IDs: []string{"unknown:approved"}}); err != nil {
		t.Errorf("an acknowledgement of something else: %v", err)
	}
	if left, _ := o.Next(t.Context(), 1); len(left) != 1 {
		t.Error("an acknowledgement of something else took ours off")
	}
}

func TestRefusedForGoodIsLoggedAndLeaves(t *testing.T) {
	j := open(t)
	var logged bytes.Buffer
	o := New(j, slog.New(slog.NewTextHandler(&logged, nil)))
	rec, err := j.Finish(t.Context(), begin(t, j, "1").ID, journal.Result{Event: journal.Approve, Response: approval})
	if err != nil {
		t.Fatal(err)
	}
	events, err := o.Next(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	ack := &wire.Ack{Refused: []wire.RefusedEvent{{ID: events[0].ID, Path: "transaction.amount", Reason: "too much"}}}
	if err := o.Acked(t.Context(), ack); err != nil {
		t.Fatal(err)
	}
	if left, err := o.Next(t.Context(), 1); err != nil || len(left) != 0 {
		t.Errorf("%d left, %v", len(left), err)
	}
	for _, want := range []string{"level=ERROR", events[0].ID, "transaction.amount", "too much"} {
		if !strings.Contains(logged.String(), want) {
			t.Errorf("the log lacks %q: %s", want, &logged)
		}
	}
	if kept, err := j.Record(rec.ID); err != nil || kept.State != journal.Approved {
		t.Errorf("the record is %s, %v", kept.State, err)
	}
}

// fake is a journal with damage in it.
type fake struct {
	entries []journal.OutboxEntry
	records map[string]journal.Record
	errs    map[string]error
	acked   []string
}

func (f *fake) Outbox(_ context.Context, max int) ([]journal.OutboxEntry, error) {
	return f.entries[:min(max, len(f.entries))], nil
}
func (f *fake) Acked(_ context.Context, ids ...string) error {
	f.acked = append(f.acked, ids...)
	return nil
}
func (f *fake) OutboxSignal() <-chan struct{}            { return nil }
func (f *fake) Record(id string) (journal.Record, error) { return f.records[id], f.errs[id] }

// TestBadEntriesDoNotHoldUpTheRest: behind forty entries that tell nothing waits
// one that does.
func TestBadEntriesDoNotHoldUpTheRest(t *testing.T) {
	good := journal.Record{ID: "good", Type: payment.Sale, Amount: 1, Currency: payment.CNY, STAN: 1, Batch: 1, Time: time.Now(),
		TerminalID: "10000001", MerchantID: "898100000000001"}
	broken := good
	broken.TerminalID = "short"
	for _, row := range []struct {
		name   string
		record journal.Record
		err    error
		leaves bool
		fails  bool
	}{
		{"record is gone", journal.Record{}, journal.ErrNotFound, true, false},
		{"record is damaged", journal.Record{}, &journal.CorruptError{Path: "journal.db", What: "record 1", Err: errors.New("checksum")}, false, false},
		{"record is no event", broken, nil, true, false},
		{"journal is closed", journal.Record{}, journal.ErrClosed, false, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := &fake{records: map[string]journal.Record{"good": good, "bad": row.record}, errs: map[string]error{"bad": row.err}}
			for i := range 40 {
				f.entries = append(f.entries, journal.OutboxEntry{ID: fmt.Sprintf("bad%d/approved", i), Kind: "approved", RecordID: "bad"})
			}
			f.entries = append(f.entries, journal.OutboxEntry{ID: "good/approved", Kind: "approved", RecordID: "good"})
			var logged bytes.Buffer
			o := New(f, slog.New(slog.NewTextHandler(&logged, nil)))
			for range 2 {
				events, err := o.Next(t.Context(), 32)
				if row.fails {
					if !errors.Is(err, journal.ErrClosed) || len(f.acked) != 0 {
						t.Fatalf("Next = %v, acknowledged %v", err, f.acked)
					}
					return
				}
				if err != nil || len(events) != 1 || events[0].ID != "good:approved" {
					t.Fatalf("Next = %v, %v", events, err)
				}
			}
			if (len(f.acked) > 0) != row.leaves {
				t.Errorf("took off %d entries", len(f.acked))
			}
			for _, id := range f.acked {
				if id == "good/approved" {
					t.Error("took off the good one")
				}
			}
			if n := strings.Count(logged.String(), "level=ERROR"); n != 40 {
				t.Errorf("%d lines in the log, want one for each bad entry", n)
			}
		})
	}
}
