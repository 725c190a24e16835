package transaction_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"posagent/agent/acquirer/hostsim"
	"posagent/agent/emv"
	"posagent/agent/journal"
	"posagent/agent/payment"
	"posagent/agent/transaction"
)

// TestRecordIsDurableBeforeTheFirstByte: when the first byte of a 0200 is about
// to leave, the file on disk, read by somebody else, holds the pending record
// (host.md 7.4, I1). The same for a reversal and its open record.
func TestRecordIsDurableBeforeTheFirstByte(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		onDisk := func() journal.Record {
			content, err := os.ReadFile(w.path)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(filepath.Dir(w.path), "copy.db")
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			j, err := journal.OpenReadOnly(path, w.options)
			if err != nil {
				t.Fatal(err)
			}
			defer j.Close()
			rec, err := j.Last()
			if err != nil {
				t.Fatal(err)
			}
			return rec
		}
		var seen []journal.State
		look := func() { seen = append(seen, onDisk().State) }
		w.onSend["0200"], w.onSend["0400"] = look, look
		w.judge = on("0200", 1, hostsim.Action{Kind: hostsim.Drop})
		w.onScreen["approved"] = func() { seen = append(seen, onDisk().State) }
		w.sell(t.Context(), "1", "no-cvm")
		w.sell(t.Context(), "2", "no-cvm")
		// The result is shown twice: before and after the printing.
		want := []journal.State{journal.Pending, journal.Reversing, journal.Pending, journal.Approved, journal.Approved}
		if !slices.Equal(seen, want) {
			t.Errorf("on disk at 0200, 0400, 0200, approved: %v, want %v", seen, want)
		}
	})
}

// TestLateAnswerNeverEndsAReversal (host.md 7.4, I6).
func TestLateAnswerNeverEndsAReversal(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.judge = func(r hostsim.Request) hostsim.Action {
			switch r.MTI {
			case "0200":
				return hostsim.Action{Kind: hostsim.Late} // comes just before the next answer
			case "0400":
				return hostsim.Action{Kind: hostsim.Decline, Code: "96"} // the reversal is not taken
			}
			return hostsim.Action{}
		}
		out := w.sell(t.Context(), "1", "no-cvm")
		if !slices.Contains(w.foreign, "message type 0210") {
			t.Fatalf("no late answer came: %v", w.foreign)
		}
		if out.Record.State != journal.Reversing || out.Record.Code != "" {
			t.Errorf("record is %s with code %q", out.Record.State, out.Record.Code)
		}
		w.judge = nil
		if open, err := w.runner.ClearReversals(t.Context(), w.set); open != 0 || err != nil {
			t.Errorf("%d open, %v", open, err)
		}
	})
}

// TestCancelledContext: told to stop, a terminal stops where that costs nothing,
// and ends what it has begun where it does.
func TestCancelledContext(t *testing.T) {
	for _, row := range []struct {
		name    string
		card    string
		when    func(*world, context.CancelFunc)
		outcome string
		state   journal.State
		later   journal.State // after the next start, if it differs
	}{
		{"before", "no-cvm", func(_ *world, stop context.CancelFunc) { stop() }, "cancelled", "", ""},
		{"at sign-in", "no-cvm", func(w *world, stop context.CancelFunc) { w.onSend["0800"] = stop }, "cancelled", "", ""},
		{"waiting for the card", "", func(w *world, stop context.CancelFunc) { w.onScreen["insert_card"] = stop }, "cancelled", "", ""},
		{"card in the slot", "no-cvm", func(w *world, stop context.CancelFunc) { w.onScreen["reading_card"] = stop }, "cancelled", "", ""},
		{"at the PIN", "online-pin", func(w *world, stop context.CancelFunc) {
			w.pad.enter = func(ctx context.Context) (emv.PINOutcome, error) {
				stop()
				<-ctx.Done()
				return emv.PINOutcome{}, ctx.Err()
			}
		}, "cancelled", "", ""},
		{"at the first cryptogram", "no-cvm", func(w *world, stop context.CancelFunc) {
			w.slot.onAPDU = func(ins byte) {
				if ins == emv.InsGenerateAC {
					stop()
				}
			}
		}, "cancelled", "", ""},
		{"after begin", "no-cvm", func(w *world, stop context.CancelFunc) { w.onScreen["host"] = stop }, "approved", journal.Approved, ""},
		{"with the first byte", "no-cvm", func(w *world, stop context.CancelFunc) { w.onSend["0200"] = stop }, "approved", journal.Approved, ""},
		{"while the host works", "no-cvm", func(w *world, stop context.CancelFunc) { w.host.OnApplied(func(hostsim.Entry) { stop() }) },
			"approved", journal.Approved, ""},
		{"at the second cryptogram", "no-cvm", func(w *world, stop context.CancelFunc) { w.onScreen["completing"] = stop }, "approved", journal.Approved, ""},
		{"host declines", "no-cvm", func(w *world, stop context.CancelFunc) {
			w.judge = on("0200", 1, hostsim.Action{Kind: hostsim.Decline, Code: "51"})
			w.onScreen["host"] = stop
		}, "declined", journal.Declined, ""},
		{"host silent", "no-cvm", func(w *world, stop context.CancelFunc) {
			w.judge = on("0200", 1, hostsim.Action{Kind: hostsim.Drop})
			w.onScreen["host"] = stop
		}, "no_answer", journal.Reversing, journal.Reversed},
		{"in the reversal", "no-cvm", func(w *world, stop context.CancelFunc) {
			w.judge = on("0200", 1, hostsim.Action{Kind: hostsim.Drop})
			w.onSend["0400"] = stop
		}, "no_answer", journal.Reversing, journal.Reversed},
	} {
		t.Run(row.name, func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				row.when(w, stop)
				out := w.sell(ctx, "1", row.card)
				if out.Name != row.outcome || out.Record.State != row.state {
					t.Fatalf("%q, %q, %v; want %q, %q", out.Name, out.Record.State, out.Err, row.outcome, row.state)
				}
				if row.state == "" && w.count("0200") > 0 {
					t.Error("a cancelled sale was sent")
				}
				if row.state == "" && !errors.Is(out.Err, context.Canceled) {
					t.Errorf("the cause is not told: %v", out.Err)
				}
				if row.later == "" {
					return
				}
				clear(w.onSend)
				clear(w.onScreen)
				w.restart()
				if open, err := w.runner.ClearReversals(t.Context(), w.set); open != 0 || err != nil || w.last().State != row.later {
					t.Errorf("after the next start: %d open, %v, %s", open, err, w.last().State)
				}
			})
		})
	}
}

// TestNothingIsSentWithoutARecord: a journal that takes no record means a sale
// that the host never hears of.
func TestNothingIsSentWithoutARecord(t *testing.T) {
	for _, row := range []struct {
		name string
		set  func(*world)
		want error
	}{
		{"disk full", func(w *world) { w.options.MinFree = 1 << 60; w.restart() }, journal.ErrFull},
		{"journal gone", func(w *world) { w.slot.onAPDU = func(byte) { w.endJournal() } }, journal.ErrClosed},
	} {
		t.Run(row.name, func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				row.set(w)
				out := w.sell(t.Context(), "1", "no-cvm")
				if out.Name != "record_failed" || !errors.Is(out.Err, row.want) || !w.saw("record_failed") {
					t.Errorf("%q, %v; want record_failed, %v", out.Name, out.Err, row.want)
				}
				if slices.Contains(w.sent, "0200") || len(w.host.Ledger()) != 0 || len(w.printed) != 0 || w.slot.powered {
					t.Errorf("sent %v, ledger %v, printed %d, card powered %v", w.sent, w.host.Ledger(), len(w.printed), w.slot.powered)
				}
				w.options.MinFree, w.slot.onAPDU = 0, nil
				w.restart()
			})
		})
	}
}

// TestOutcomeNotKept: the host has approved, the card has agreed, and the disk
// fails. The record stays pending; the next start undoes the sale.
func TestOutcomeNotKept(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.host.OnApplied(func(hostsim.Entry) { w.endJournal() })
		out := w.sell(t.Context(), "1", "no-cvm")
		if out.Name != "record_failed" || out.Approved() || len(w.printed) != 0 || w.saw("approved") {
			t.Fatalf("%q, printed %d, screens %v", out.Name, len(w.printed), w.screens)
		}
		if w.host.Ledger()[0].State != hostsim.Applied {
			t.Fatal("the host has not moved the money: the test proves nothing")
		}
		w.host.OnApplied(nil)
		w.sent = nil
		w.restart()
		if rec := w.last(); rec.State != journal.Reversing || rec.Reason != payment.ReasonNoReply {
			t.Fatalf("after the start the record is %s, %s", rec.State, rec.Reason)
		}
		if out := w.sell(t.Context(), "2", "no-cvm"); out.Name != "approved" {
			t.Errorf("next sale: %q, %v", out.Name, out.Err)
		}
		if !slices.Equal(w.sent, []string{"0800", "0400", "0200"}) {
			t.Errorf("sent %v, want sign-in, reversal, sale", w.sent)
		}
	})
}

// TestPowerCut: the process dies at one of the moments of host.md 7.3; what
// stands in the books after the next start is the same on both sides.
func TestPowerCut(t *testing.T) {
	type cut struct{}
	die := func() { panic(cut{}) }
	for _, row := range []struct {
		name  string
		at    func(*world)
		found journal.State // by the next start, before it does anything; "" nothing
		ends  journal.State
		undo  payment.ResponseCode
	}{
		{"before the record", func(w *world) { w.onScreen["reading_card"] = die }, "", "", ""},
		{"between record and first byte", func(w *world) { w.onSend["0200"] = die }, journal.Reversing, journal.Reversed, "25"},
		{"after the answer, before the card", func(w *world) { w.onScreen["completing"] = die }, journal.Reversing, journal.Reversed, "00"},
		{"after the result, before the receipt", func(w *world) { w.onScreen["approved"] = die }, journal.Approved, journal.Approved, ""},
		{"before the reversal", func(w *world) {
			w.judge = on("0200", 1, hostsim.Action{Kind: hostsim.Drop})
			w.onSend["0400"] = die
		}, journal.Reversing, journal.Reversed, "00"},
	} {
		t.Run(row.name, func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				row.at(w)
				func() {
					defer func() {
						if r := recover(); r != (cut{}) {
							t.Fatalf("ended with %v, want a power cut", r)
						}
					}()
					w.sell(t.Context(), "1", "no-cvm")
				}()
				clear(w.onScreen)
				clear(w.onSend)
				w.restart()
				rec, err := w.journal.Last()
				if rec.State != row.found || (err == nil) != (row.found != "") {
					t.Fatalf("the next start finds %q, %v; want %q", rec.State, err, row.found)
				}
				if open, err := w.runner.ClearReversals(t.Context(), w.set); open != 0 || err != nil {
					t.Errorf("%d open, %v", open, err)
				}
				if row.found == "" {
					return
				}
				if rec := w.last(); rec.State != row.ends || rec.ReversalCode != row.undo {
					t.Errorf("ends %s with %q, want %s with %q", rec.State, rec.ReversalCode, row.ends, row.undo)
				}
				again := w.runner.Sale(t.Context(), w.set, transaction.Sale{Requester: "test", RequestID: "1", Amount: 1234})
				if !again.Duplicate || again.Record.ID != rec.ID {
					t.Errorf("asked again: %q, %+v", again.Name, again.Record)
				}
			})
		})
	}
}
