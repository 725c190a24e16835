package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"posagent/agent/payment"
)

var bg = context.Background()

// TestOutcomes takes a pending record along each arrow and looks at everything
// that must have moved in the same transaction.
func TestOutcomes(t *testing.T) {
	for _, row := range []struct {
		name   string
		res    Result
		state  State
		totals Totals
	}{
		{"approve", approval(), Approved, Totals{SaleCount: 1, SaleAmount: 1234}},
		{"decline", Result{Event: Decline, Response: payment.Response{Code: "51"}}, Declined, Totals{DeclinedCount: 1}},
		{"nothing sent", Result{Event: NothingSent}, NotSent, Totals{}},
		{"reverse", Result{Event: Reverse, Reason: payment.ReasonNoReply}, Reversing, Totals{}},
		{"reverse after approval", Result{Event: Reverse, Reason: payment.ReasonOther, Response: payment.Response{Code: "00", AuthCode: "A1B2C3"}}, Reversing, Totals{}},
	} {
		t.Run(row.name, func(t *testing.T) {
			j, _ := start(t, testPath(t), testOptions())
			rec := begin(t, j, "r")
			got := finish(t, j, rec.ID, row.res)
			if got.State != row.state || len(got.Changes) != 2 || !got.Entered(row.state).After(rec.Entered(Pending)) {
				t.Errorf("record = %+v", got)
			}
			tot, err := j.Totals(1)
			want := row.totals
			want.Batch, want.Currency = 1, payment.CNY
			if err != nil || tot != want {
				t.Errorf("totals = %+v, %v; want %+v", tot, err, want)
			}
			out, err := j.Outbox(bg, 10)
			if err != nil || len(out) != 1 || out[0].ID != rec.ID+"/"+string(row.state) || out[0].RecordID != rec.ID || out[0].Kind != string(row.state) {
				t.Errorf("outbox = %+v, %v", out, err)
			}
			revs, err := j.Reversals(bg)
			if err != nil || (len(revs) == 1) != (row.state == Reversing) {
				t.Fatalf("reversals = %d, %v", len(revs), err)
			}
			if _, err := j.Finish(bg, rec.ID, approval()); err == nil {
				t.Error("finished twice")
			} else if se := (*StateError)(nil); !errors.As(err, &se) || se.State != row.state {
				t.Errorf("second finish: %v", err)
			}
			sound(t, j)
		})
	}
}

// TestReversal follows a reversal to its end: the image carries what a 0400
// needs and nothing that it must not have, tries never drop it, and the sealed
// data goes with the end.
func TestReversal(t *testing.T) {
	path := testPath(t)
	j, stop := start(t, path, testOptions())
	rec := begin(t, j, "r")
	finish(t, j, rec.ID, Result{Event: Reverse, Reason: payment.ReasonOther, Response: payment.Response{Code: "00", AuthCode: "A1B2C3"}})
	for i := range 5 {
		if err := j.ReversalTried(bg, rec.ID, fmt.Sprintf("no route %d %s", i, strings.Repeat("x", 300))); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	j, _ = start(t, path, testOptions())
	revs, err := j.Reversals(bg)
	if err != nil || len(revs) != 1 {
		t.Fatalf("reversals = %d, %v", len(revs), err)
	}
	got, want := revs[0].Reversal, testDraft(t, "r").Request
	req := got.Request
	if req.PAN.Reveal() != testPAN || req.Expiry != "3012" || string(req.ICC) != string(want.ICC) || req.STAN != rec.STAN || req.Batch != rec.Batch ||
		req.Amount != want.Amount || req.Currency != want.Currency || !req.Time.Equal(want.Time) || req.TerminalID != want.TerminalID ||
		req.MerchantID != want.MerchantID || req.Entry != want.Entry || req.PANSequence != want.PANSequence || req.Operator != want.Operator {
		t.Errorf("image = %+v", req)
	}
	if !req.Track2.IsZero() || !req.PINBlock.IsZero() {
		t.Error("image has track 2 or PIN block")
	}
	if got.Reason != payment.ReasonOther || got.AuthCode != "A1B2C3" {
		t.Errorf("reason %s, auth code %s", got.Reason, got.AuthCode)
	}
	if r := revs[0].Record; r.ReversalTries != 5 || !strings.HasPrefix(r.LastTryNote, "no route 4") || len(r.LastTryNote) > maxNote {
		t.Errorf("tries = %d, note %q", r.ReversalTries, r.LastTryNote)
	}
	for _, code := range []payment.ResponseCode{"", "96", "51", "A0"} {
		if _, err := j.ReversalDone(bg, rec.ID, code); err == nil {
			t.Errorf("code %q ended the reversal", code)
		}
	}
	done, err := j.ReversalDone(bg, rec.ID, "25")
	if err != nil || done.State != Reversed || done.ReversalCode != "25" {
		t.Fatalf("done = %+v, %v", done, err)
	}
	if revs, err := j.Reversals(bg); err != nil || len(revs) != 0 {
		t.Errorf("reversals after the end = %d, %v", len(revs), err)
	}
	var se *StateError
	if _, err := j.ReversalDone(bg, rec.ID, "00"); !errors.As(err, &se) {
		t.Errorf("ended twice: %v", err)
	}
	if err := j.ReversalTried(bg, rec.ID, ""); !errors.As(err, &se) {
		t.Errorf("tried after the end: %v", err)
	}
	if rep := sound(t, j); rep.ByState[Reversed] != 1 {
		t.Errorf("report = %+v", rep)
	}
}

func TestReversalsAreOldestFirst(t *testing.T) {
	j, _ := start(t, testPath(t), testOptions())
	var want []string
	for i := range 5 {
		rec := begin(t, j, fmt.Sprint(i))
		want = append(want, rec.ID)
		finish(t, j, rec.ID, Result{Event: Reverse, Reason: payment.ReasonNoReply})
	}
	revs, err := j.Reversals(bg)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range revs {
		got = append(got, r.Record.ID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("order = %v, want %v", got, want)
	}
}

func TestRecover(t *testing.T) {
	path := testPath(t)
	j, stop := start(t, path, testOptions())
	sale := begin(t, j, "sale")
	inquiry := testDraft(t, "inquiry")
	inquiry.Request.Type, inquiry.Request.Amount = payment.BalanceInquiry, 0
	balance, err := j.Begin(bg, inquiry)
	if err != nil {
		t.Fatal(err)
	}
	approved := begin(t, j, "approved")
	finish(t, j, approved.ID, approval())
	stop()

	j, _ = start(t, path, testOptions())
	got, err := j.Recover(bg)
	if err != nil || len(got) != 2 {
		t.Fatalf("Recover = %d records, %v", len(got), err)
	}
	if got[0].ID != sale.ID || got[0].State != Reversing || got[0].Reason != payment.ReasonNoReply {
		t.Errorf("sale = %+v", got[0])
	}
	if got[1].ID != balance.ID || got[1].State != Declined {
		t.Errorf("balance inquiry = %+v", got[1])
	}
	if again, err := j.Recover(bg); err != nil || len(again) != 0 {
		t.Errorf("second Recover = %d records, %v", len(again), err)
	}
	if rec, _ := j.Record(approved.ID); rec.State != Approved {
		t.Errorf("an approved record became %s", rec.State)
	}
	next := begin(t, j, "next")
	if next.STAN == sale.STAN || next.STAN == balance.STAN || next.STAN == approved.STAN {
		t.Errorf("STAN %s was given again", next.STAN)
	}
	sound(t, j)
}

// TestVoid counts a void beside the sale it undoes.
func TestVoid(t *testing.T) {
	j, _ := start(t, testPath(t), testOptions())
	sale := finish(t, j, begin(t, j, "sale").ID, approval())
	d := testDraft(t, "void")
	ref := sale.Reference()
	d.Request.Type, d.Request.Original = payment.Void, &ref
	void, err := j.Begin(bg, d)
	if err != nil {
		t.Fatal(err)
	}
	ref.STAN = 999 // the caller's value is not the record's
	void = finish(t, j, void.ID, approval())
	if o := void.Original; o == nil || o.STAN != sale.STAN || o.RRN != sale.RRN || o.Date != "0314" {
		t.Errorf("original = %+v", o)
	}
	tot, err := j.Totals(1)
	if err != nil || tot.SaleCount != 1 || tot.VoidCount != 1 || tot.VoidAmount != 1234 || tot.Net() != 0 {
		t.Errorf("totals = %+v, %v", tot, err)
	}
	sound(t, j)
}

func TestDuplicateRequest(t *testing.T) {
	j, _ := start(t, testPath(t), testOptions())
	rec := finish(t, j, begin(t, j, "r").ID, approval())
	var dup *DuplicateError
	if _, err := j.Begin(bg, testDraft(t, "r")); !errors.As(err, &dup) || dup.Record.ID != rec.ID || dup.Record.State != Approved {
		t.Errorf("second Begin: %v", err)
	}
	other := testDraft(t, "r")
	other.Requester = "ecr:1"
	if next, err := j.Begin(bg, other); err != nil || next.STAN != rec.STAN+1 {
		t.Errorf("same id of another requester: %+v, %v", next, err)
	}
	sound(t, j)
}

func TestBeginRefuses(t *testing.T) {
	j, _ := start(t, testPath(t), testOptions())
	for _, row := range []struct {
		name   string
		change func(*Draft)
		want   string
	}{
		{"no requester", func(d *Draft) { d.Requester = "" }, "requester"},
		{"requester with a separator", func(d *Draft) { d.Requester = "a\x00b" }, "requester"},
		{"long request id", func(d *Draft) { d.RequestID = strings.Repeat("x", 65) }, "request id"},
		{"STAN given", func(d *Draft) { d.Request.STAN = 9 }, "stan"},
		{"negative amount", func(d *Draft) { d.Request.Amount = -1 }, "amount"},
		{"unknown currency", func(d *Draft) { d.Request.Currency = payment.Currency{Numeric: "999"} }, "currency"},
		{"refund", func(d *Draft) { d.Request.Type = payment.Refund }, "type"},
		{"no time", func(d *Draft) { d.Request.Time = time.Time{} }, "time"},
		{"no card", func(d *Draft) { d.Request.PAN = payment.PAN{} }, "card number"},
		{"no entry mode", func(d *Draft) { d.Request.Entry = "" }, "entry mode"},
		{"terminal id", func(d *Draft) { d.Request.TerminalID = "1" }, "terminal id"},
		{"merchant id", func(d *Draft) { d.Request.MerchantID = "1" }, "merchant id"},
		{"chip data", func(d *Draft) { d.Request.ICC = make([]byte, maxICC+1) }, "chip data"},
		{"label", func(d *Draft) { d.EMV.Label = strings.Repeat("x", 257) }, "label"},
		{"card number in a field", func(d *Draft) { d.EMV.Label = "card " + testPAN }, "card number"},
		{"card number as operator", func(d *Draft) { d.Request.Operator = testPAN }, "card number"},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := testDraft(t, row.name)
			row.change(&d)
			_, err := j.Begin(bg, d)
			if err == nil {
				t.Fatal("begun")
			}
			if !strings.Contains(err.Error(), row.want) {
				t.Errorf("error = %v, want it to name %q", err, row.want)
			}
			if strings.Contains(err.Error(), testPAN) {
				t.Errorf("error shows the card number: %v", err)
			}
		})
	}
	if rec := begin(t, j, "good"); rec.STAN != 1 {
		t.Errorf("refused drafts used up trace numbers: first is %s", rec.STAN)
	}
	if rep := sound(t, j); rep.Records != 1 {
		t.Errorf("refused drafts left %d records", rep.Records-1)
	}
	hk := testDraft(t, "hk")
	hk.Request.Currency = payment.HKD
	var field *FieldError
	if _, err := j.Begin(bg, hk); !errors.As(err, &field) || field.Field != "currency" {
		t.Errorf("second currency in a batch: %v", err)
	}
}

func TestFinishRefuses(t *testing.T) {
	j, _ := start(t, testPath(t), testOptions())
	rec := begin(t, j, "r")
	for _, row := range []struct {
		name string
		res  Result
		want string
	}{
		{"no event", Result{}, "event"},
		{"event of a reversal", Result{Event: ReverseEnded}, "event"},
		{"reverse without reason", Result{Event: Reverse}, "reason"},
		{"long host text", Result{Event: Decline, Response: payment.Response{Text: strings.Repeat("x", 257)}}, "host text"},
		{"card number in the host's text", Result{Event: Decline, Response: payment.Response{Text: "for " + testPAN}}, "card number"},
	} {
		if _, err := j.Finish(bg, rec.ID, row.res); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: error = %v, want it to name %q", row.name, err, row.want)
		}
	}
	if _, err := j.Finish(bg, "nobody", approval()); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown id: %v", err)
	}
	d := testDraft(t, "inquiry")
	d.Request.Type = payment.BalanceInquiry
	inquiry, err := j.Begin(bg, d)
	if err != nil {
		t.Fatal(err)
	}
	var se *StateError
	if _, err := j.Finish(bg, inquiry.ID, Result{Event: Reverse, Reason: payment.ReasonNoReply}); !errors.As(err, &se) {
		t.Errorf("reversed a balance inquiry: %v", err)
	}
	for _, r := range []Record{rec, inquiry} {
		if got, err := j.Record(r.ID); err != nil || got.State != Pending {
			t.Errorf("after refusals %s is %s, %v", r.ID, got.State, err)
		}
	}
	sound(t, j)
}

// TestConcurrent has eight callers share the writer's commits.
func TestConcurrent(t *testing.T) {
	j, _ := start(t, testPath(t), Options{Key: testKey})
	const callers, each = 8, 20
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				rec, err := j.Begin(bg, testDraft(t, fmt.Sprintf("%d-%d", c, i)))
				if err != nil {
					t.Errorf("begin: %v", err)
					return
				}
				// One in four asks for what is refused, in the middle of others' work.
				if i%4 == 0 {
					if _, err := j.Begin(bg, testDraft(t, rec.RequestID)); err == nil {
						t.Error("duplicate begun")
					}
				}
				if _, err := j.Finish(bg, rec.ID, approval()); err != nil {
					t.Errorf("finish: %v", err)
				}
			}
		})
	}
	wg.Wait()
	tot, err := j.Totals(1)
	if err != nil || tot.SaleCount != callers*each || tot.SaleAmount != callers*each*1234 {
		t.Errorf("totals = %+v, %v", tot, err)
	}
	if rep := sound(t, j); rep.ByState[Approved] != callers*each || rep.Outbox != callers*each {
		t.Errorf("report = %+v", rep)
	}
}
