package transaction_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"posagent/agent/acquirer/hostsim"
	"posagent/agent/emv"
	"posagent/agent/journal"
	"posagent/agent/operator"
	"posagent/agent/payment"
	"posagent/agent/transaction"
)

// on gives an action to the first n messages of a type.
func on(mti string, n int, a hostsim.Action) hostScript {
	return func(r hostsim.Request) hostsim.Action {
		if r.MTI != mti || n == 0 {
			return hostsim.Action{}
		}
		n--
		return a
	}
}

func play(mti string, kind hostsim.Kind) func(*world) {
	return func(w *world) { w.judge = on(mti, 1, hostsim.Action{Kind: kind}) }
}

// pullAtHost takes the card out when the host has moved the money.
func pullAtHost(w *world) { w.host.OnApplied(func(hostsim.Entry) { w.slot.remove() }) }

func pinOutcome(err error) func(*world) {
	return func(w *world) {
		w.pad.enter = func(context.Context) (emv.PINOutcome, error) {
			return emv.PINOutcome{Status: emv.PINPadError}, err
		}
	}
}

// TestSale runs one sale after another and compares the host's books with the
// journal after each.
func TestSale(t *testing.T) {
	for _, row := range []struct {
		name    string
		card    string
		set     func(*world)
		outcome string
		state   journal.State // empty: nothing was begun
		reason  payment.Reason
		code    payment.ResponseCode // of the sale
		undone  payment.ResponseCode // of the reversal
		cvm     string
		cid     string // the card's last cryptogram: 40 TC, 00 AAC, 80 none after the ARQC
	}{
		{name: "approved with PIN", card: "online-pin", outcome: "approved", state: journal.Approved, code: "00", cvm: journal.CVMOnlinePIN, cid: "40"},
		{name: "approved without CVM", card: "no-cvm", outcome: "approved", state: journal.Approved, code: "00", cvm: journal.CVMNone, cid: "40"},
		{name: "wrong PIN", card: "online-pin", set: func(w *world) {
			w.pad.enter = func(ctx context.Context) (emv.PINOutcome, error) {
				b, err := w.pad.keys.PINBlock(ctx, []byte("4321"), "6226090000000014")
				if err != nil {
					return emv.PINOutcome{}, err
				}
				block, err := payment.NewPINBlock(b[:])
				return emv.PINOutcome{Status: emv.PINEntered, Block: block}, err
			}
		}, outcome: "declined", state: journal.Declined, code: "55", cvm: journal.CVMOnlinePIN, cid: "00"},
		{name: "declined: the card is told", card: "no-cvm", set: func(w *world) {
			w.judge = on("0200", 1, hostsim.Action{Kind: hostsim.Decline, Code: "51"})
		}, outcome: "declined", state: journal.Declined, code: "51", cvm: journal.CVMNone, cid: "00"},
		{name: "unknown code is a decline", card: "no-cvm", set: func(w *world) {
			w.judge = on("0200", 1, hostsim.Action{Kind: hostsim.Decline, Code: "A7"})
		}, outcome: "declined", state: journal.Declined, code: "A7", cvm: journal.CVMNone, cid: "00"},
		{name: "answer dropped", card: "no-cvm", set: play("0200", hostsim.Drop),
			outcome: "no_answer", state: journal.Reversed, reason: payment.ReasonNoReply, undone: "00", cvm: journal.CVMNone, cid: "80"},
		{name: "request lost", card: "no-cvm", set: play("0200", hostsim.Lose),
			outcome: "no_answer", state: journal.Reversed, reason: payment.ReasonNoReply, undone: "25", cvm: journal.CVMNone, cid: "80"},
		{name: "host hangs up", card: "no-cvm", set: play("0200", hostsim.CloseAfter),
			outcome: "no_answer", state: journal.Reversed, reason: payment.ReasonNoReply, undone: "00", cvm: journal.CVMNone, cid: "80"},
		{name: "half an answer", card: "no-cvm", set: play("0200", hostsim.Cut),
			outcome: "no_answer", state: journal.Reversed, reason: payment.ReasonNoReply, undone: "00", cvm: journal.CVMNone, cid: "80"},
		{name: "rubbish", card: "no-cvm", set: play("0200", hostsim.Garbage),
			outcome: "no_answer", state: journal.Reversed, reason: payment.ReasonNoReply, undone: "00", cvm: journal.CVMNone, cid: "80"},
		{name: "answer to another sale", card: "no-cvm", set: play("0200", hostsim.ForgeSTAN),
			outcome: "no_answer", state: journal.Reversed, reason: payment.ReasonNoReply, undone: "00", cvm: journal.CVMNone, cid: "80"},
		{name: "answer twice", card: "no-cvm", set: play("0200", hostsim.Duplicate), outcome: "approved", state: journal.Approved, code: "00", cvm: journal.CVMNone, cid: "40"},
		{name: "wrong MAC", card: "no-cvm", set: play("0200", hostsim.WrongMAC),
			outcome: "no_answer", state: journal.Reversed, reason: payment.ReasonBadMAC, undone: "00", cvm: journal.CVMNone, cid: "80"},
		{name: "no MAC", card: "no-cvm", set: play("0200", hostsim.NoMAC),
			outcome: "no_answer", state: journal.Reversed, reason: payment.ReasonBadMAC, undone: "00", cvm: journal.CVMNone, cid: "80"},
		{name: "late answer meets the reversal", card: "no-cvm", set: play("0200", hostsim.Late),
			outcome: "no_answer", state: journal.Reversed, reason: payment.ReasonNoReply, undone: "00", cvm: journal.CVMNone, cid: "80"},
		{name: "host unreachable", card: "no-cvm", set: func(w *world) { w.onScreen["host"] = func() { w.pipes.down = true } },
			outcome: "not_sent", state: journal.NotSent, cvm: journal.CVMNone, cid: "80"},
		{name: "keys lost", card: "no-cvm", set: func(w *world) { w.onScreen["host"] = func() { w.keys.lost = true } },
			outcome: "not_sent", state: journal.NotSent, cvm: journal.CVMNone, cid: "80"},
		{name: "card refuses after approval", card: "gac2-decline", outcome: "card_refused", state: journal.Reversed, reason: payment.ReasonOther,
			code: "00", undone: "00", cvm: journal.CVMNone, cid: "00"},
		{name: "card pulled while the host works", card: "no-cvm", set: pullAtHost,
			outcome: "card_refused", state: journal.Reversed, reason: payment.ReasonOther, code: "00", undone: "00", cvm: journal.CVMNone, cid: "80"},
		{name: "card pulled, host declines", card: "no-cvm", set: func(w *world) {
			w.judge = on("0200", 1, hostsim.Action{Kind: hostsim.Decline, Code: "51"})
			w.onSend["0200"] = w.slot.remove
		}, outcome: "declined", state: journal.Declined, code: "51", cvm: journal.CVMNone, cid: "80"},
		{name: "receipt not printed", card: "no-cvm", set: func(w *world) { w.printErr = errors.New("no paper") },
			outcome: "approved", state: journal.Approved, code: "00", cvm: journal.CVMNone, cid: "40"},

		{name: "PIN verified by the card", card: "enciphered-pin", outcome: "approved", state: journal.Approved, code: "00", cvm: journal.CVMOfflinePIN, cid: "40"},
		{name: "PIN verified by the card at the second try", card: "enciphered-pin", set: func(w *world) { w.pad.offline = []string{"4321"} },
			outcome: "approved", state: journal.Approved, code: "00", cvm: journal.CVMOfflinePIN, cid: "40"},
		{name: "PIN for the card under its own key", card: "enciphered-pin-icc-key", outcome: "approved", state: journal.Approved, code: "00",
			cvm: journal.CVMOfflinePIN, cid: "40"},
		{name: "PIN for the card and signature", card: "enciphered-pin-signature", outcome: "approved", state: journal.Approved, code: "00",
			cvm: journal.CVMSignature, cid: "40"},
		{name: "PIN for the card always wrong", card: "enciphered-pin", set: func(w *world) { w.pad.offline = []string{"4321", "4321", "4321"} },
			outcome: "declined"},
		{name: "PIN for the card cancelled", card: "enciphered-pin", set: func(w *world) { w.pad.offline = []string{""} }, outcome: "cancelled"},

		{name: "card declines offline", card: "declines-offline", outcome: "declined"},
		{name: "card has expired", card: "expired", outcome: "declined"},
		{name: "PIN cancelled", card: "online-pin", set: pinOutcome(emv.ErrCancelled), outcome: "cancelled"},
		{name: "PIN timed out", card: "online-pin", set: pinOutcome(emv.ErrTimeout), outcome: "pin_failed"},
		{name: "PIN pad fails", card: "online-pin", set: pinOutcome(errors.New("no answer")), outcome: "pin_failed"},
		{name: "PIN never entered", card: "online-pin", set: func(w *world) {
			w.pad.enter = func(ctx context.Context) (emv.PINOutcome, error) {
				<-ctx.Done()
				return emv.PINOutcome{}, ctx.Err()
			}
		}, outcome: "pin_failed"},
		{name: "card pulled while it is read", card: "no-cvm", set: func(w *world) {
			w.slot.onAPDU = func(ins byte) {
				if ins == emv.InsGenerateAC {
					w.slot.remove()
				}
			}
		}, outcome: "card_early"},
		{name: "mute card", set: func(w *world) {
			w.onScreen["insert_card"] = func() {
				c := open(w.t, "no-cvm")
				w.slot.insert(c)
				w.slot.onAPDU = func(byte) {}
				c.SetFault("silent-after", 1)
			}
		}, outcome: "card_early"},
		{name: "no card", outcome: "cancelled"},
		{name: "cancel key", set: func(w *world) {
			w.onScreen["insert_card"] = func() { w.buttons <- operator.Key1; w.buttons <- operator.KeyCancel }
		}, outcome: "cancelled"},
		{name: "reader broken", set: func(w *world) { w.slot.broken = errors.New("no answer") }, outcome: "part_missing"},
		{name: "card gone before power", card: "", set: func(w *world) {
			w.onScreen["insert_card"] = func() { w.slot.insert(open(w.t, "no-cvm")) }
			w.onScreen["reading_card"] = w.slot.remove
		}, outcome: "card_error"},
		{name: "host down at sign-in", set: func(w *world) { w.pipes.down = true }, outcome: "sign_in_failed"},
		{name: "sign-in refused", set: func(w *world) { w.judge = on("0800", 1, hostsim.Action{Kind: hostsim.Decline, Code: "03"}) },
			outcome: "sign_in_failed"},
	} {
		t.Run(row.name, func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				if row.set != nil {
					row.set(w)
				}
				out := w.sell(t.Context(), "1", row.card)
				rec := out.Record
				if out.Name != row.outcome || rec.State != row.state {
					t.Fatalf("outcome %q, record %q, err %v\nscreens %v\nwant %q, %q", out.Name, rec.State, out.Err, w.screens, row.outcome, row.state)
				}
				if !w.saw(out.Name) {
					t.Errorf("screen %q was never shown: %v", out.Name, w.screens)
				}
				if w.slot.powered {
					t.Error("the card is left with power")
				}
				if row.state == "" {
					if w.count("0200") != 0 || len(w.printed) != 0 {
						t.Errorf("%d requests sent, %d receipts printed for a sale that was not begun", w.count("0200"), len(w.printed))
					}
					if _, err := w.journal.Last(); !errors.Is(err, journal.ErrNotFound) {
						t.Errorf("journal has a record: %v", err)
					}
					return
				}
				if rec.Reason != row.reason || rec.Code != row.code || rec.ReversalCode != row.undone || rec.CVM != row.cvm || rec.EMV.CID != row.cid {
					t.Errorf("reason %q code %q undone %q CVM %q CID %q\nwant %q %q %q %q %q", rec.Reason, rec.Code, rec.ReversalCode, rec.CVM, rec.EMV.CID,
						row.reason, row.code, row.undone, row.cvm, row.cid)
				}
				if now := w.last(); now.State != rec.State || now.ID != rec.ID {
					t.Errorf("the outcome says %s, the journal %s", rec.State, now.State)
				}
				if len(w.printed) != 1 || w.printed[0].State != rec.State {
					t.Errorf("printed %d times, want once with state %s", len(w.printed), rec.State)
				}
				if (rec.State == journal.Approved) != out.Approved() {
					t.Errorf("Approved() = %v", out.Approved())
				}
				// What comes next is an ordinary sale, whatever has gone wrong.
				w.judge, w.printErr, w.pipes.down, w.pad.enter, w.slot.onAPDU = nil, nil, false, nil, nil
				clear(w.onScreen)
				clear(w.onSend)
				w.host.OnApplied(nil)
				if next := w.sell(t.Context(), "2", "online-pin"); next.Name != "approved" {
					t.Errorf("the next sale ends %q, %v", next.Name, next.Err)
				}
			})
		})
	}
}

func TestPrintFailureLeavesTheSale(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.printErr = errors.New("no paper")
		out := w.sell(t.Context(), "1", "no-cvm")
		if out.Name != "approved" || w.screens[len(w.screens)-1] != "print_failed" || w.count("0400") != 0 {
			t.Errorf("outcome %q, screens %v, %d reversals", out.Name, w.screens, w.count("0400"))
		}
	})
}

// TestOpenReversalBlocks: nothing is sold before the host has taken the reversal,
// however often that takes, and then it goes out first.
func TestOpenReversalBlocks(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.judge = func(r hostsim.Request) hostsim.Action {
			switch r.MTI {
			case "0200", "0400":
				return hostsim.Action{Kind: hostsim.Drop}
			}
			return hostsim.Action{}
		}
		out := w.sell(t.Context(), "1", "no-cvm")
		if out.Name != "no_answer" || out.Record.State != journal.Reversing || out.Record.ReversalTries != 1 {
			t.Fatalf("outcome %q, %s after %d tries", out.Name, out.Record.State, out.Record.ReversalTries)
		}
		// The host has undone the money, but its word did not come through.
		for try := range 3 {
			out := w.sell(t.Context(), "2", "no-cvm")
			if out.Name != "reversal_open" || out.Err == nil || out.Record.ID != "" || w.count("0200") != 1 {
				t.Fatalf("sale beside an open reversal: %q, %v, %d requests", out.Name, out.Err, w.count("0200"))
			}
			if rec := w.last(); rec.ReversalTries != uint32(try+2) || rec.LastTryNote == "" {
				t.Errorf("tries %d, note %q", rec.ReversalTries, rec.LastTryNote)
			}
		}
		// A host that refuses the reversal has not taken it either.
		w.judge = on("0400", 1, hostsim.Action{Kind: hostsim.Decline, Code: "96"})
		if out := w.sell(t.Context(), "2", "no-cvm"); out.Name != "reversal_open" || !strings.Contains(out.Err.Error(), "96") {
			t.Errorf("refused reversal: %q, %v", out.Name, out.Err)
		}
		w.sent = nil
		if out := w.sell(t.Context(), "2", "no-cvm"); out.Name != "approved" {
			t.Fatalf("after the reversal: %q, %v", out.Name, out.Err)
		}
		if !slices.Equal(w.sent, []string{"0400", "0200"}) {
			t.Errorf("sent %v, want the reversal before the sale", w.sent)
		}
	})
}

// TestReversalIsTheSameEveryTime: what a repeated 0400 says must not differ.
func TestReversalIsTheSameEveryTime(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.judge = func(r hostsim.Request) hostsim.Action {
			if r.MTI == "0200" || r.MTI == "0400" && w.asked[0].STAN != 0 && len(w.asked) < 5 {
				return hostsim.Action{Kind: hostsim.Lose}
			}
			return hostsim.Action{}
		}
		w.sell(t.Context(), "1", "no-cvm")
		w.restart()
		for range 3 {
			if _, err := w.runner.ClearReversals(t.Context(), w.set); err != nil {
				t.Fatal(err)
			}
		}
		var first *hostsim.Request
		for _, r := range w.asked {
			if !r.Reversal {
				continue
			}
			if first == nil {
				first = &r
			} else if r.STAN != first.STAN || r.Batch != first.Batch || r.Amount != first.Amount || r.PAN != first.PAN || r.EntryMode != first.EntryMode {
				t.Errorf("reversal says %+v, the first said %+v", r, *first)
			}
		}
		if first == nil || w.count("0400") < 2 || w.last().State != journal.Reversed {
			t.Errorf("%d reversals, record %s", w.count("0400"), w.last().State)
		}
	})
}

// TestOneReversalDoesNotHoldUpAnother: a host that refuses one for ever still
// gets the next.
func TestOneReversalDoesNotHoldUpAnother(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		out := w.sell(t.Context(), "1", "no-cvm") // signs in and sets the batch
		var stans []payment.STAN
		for _, id := range []string{"a", "b"} {
			pan, err := payment.NewPAN("6226090000000022")
			if err != nil {
				t.Fatal(err)
			}
			rec, err := w.journal.Begin(t.Context(), journal.Draft{Requester: "test", RequestID: id, Request: payment.Request{
				Type: payment.Sale, Amount: 100, Currency: payment.CNY, Time: time.Now(), TerminalID: tid, MerchantID: mid, Operator: "01",
				Entry: payment.Chip, PAN: pan}})
			if err != nil {
				t.Fatal(err)
			}
			stans = append(stans, rec.STAN)
		}
		if err := w.runner.Recover(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.judge = func(r hostsim.Request) hostsim.Action {
			if r.STAN == stans[0] {
				return hostsim.Action{Kind: hostsim.Decline, Code: "64"}
			}
			return hostsim.Action{}
		}
		if open, err := w.runner.ClearReversals(t.Context(), w.set); open != 1 || err != nil {
			t.Errorf("%d open, %v; want 1", open, err)
		}
		if rec, err := w.journal.BySTAN(out.Record.Batch, stans[1]); err != nil || rec.State != journal.Reversed {
			t.Errorf("second reversal is %s, %v", rec.State, err)
		}
		// Silence ends the round: the next would wait for the same host.
		w.judge, w.sent = on("0400", 9, hostsim.Action{Kind: hostsim.Lose}), nil
		if open, err := w.runner.ClearReversals(t.Context(), w.set); open != 1 || err != nil || len(w.sent) != 1 {
			t.Errorf("%d open, %v, sent %v", open, err, w.sent)
		}
	})
}

func TestDuplicateRequest(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		first := w.sell(t.Context(), "1", "no-cvm")
		again := w.sell(t.Context(), "1", "online-pin")
		if again.Name != "approved" || !again.Duplicate || again.Record.ID != first.Record.ID || !w.saw("duplicate") {
			t.Errorf("again: %q, duplicate %v, record %s, want %s", again.Name, again.Duplicate, again.Record.ID, first.Record.ID)
		}
		if n := len(w.host.Ledger()); n != 1 || w.pad.calls != 0 {
			t.Errorf("%d entries at the host, %d PINs", n, w.pad.calls)
		}
		// The same id while the first is still running: no answer may be read from it.
		w.onScreen["host"] = func() {
			rec := w.last()
			if out := transaction.Duplicate(rec); out.Name != "busy" || out.Approved() {
				t.Errorf("a sale that is running is told as %q", out.Name)
			}
		}
		w.sell(t.Context(), "2", "no-cvm")
	})
}

// TestSignIn: when working keys are taken anew.
func TestSignIn(t *testing.T) {
	for _, row := range []struct {
		name string
		set  func(*world)
		want int // sign-ins until the end of the second sale
	}{
		{"once", func(*world) {}, 1},
		{"host does not know our MAC", func(w *world) { w.judge = on("0200", 1, hostsim.Action{Kind: hostsim.Decline, Code: "A0"}) }, 2},
		{"host does not know our PIN key", func(w *world) { w.judge = on("0200", 1, hostsim.Action{Kind: hostsim.Decline, Code: "99"}) }, 2},
		{"host has another batch", func(w *world) { w.judge = on("0200", 1, hostsim.Action{Kind: hostsim.Decline, Code: "77"}) }, 2},
		{"host asks in the header", func(w *world) { w.runner.Host = &asking{Host: w.runner.Host} }, 2},
		{"answer with a wrong MAC", play("0200", hostsim.WrongMAC), 2},
		{"pad has lost its keys", func(w *world) { w.onScreen["host"] = func() { w.keys.lost = true; delete(w.onScreen, "host") } }, 2},
		{"pad has no key for the PIN", func(w *world) {
			w.pad.enter = func(context.Context) (emv.PINOutcome, error) {
				w.pad.enter = nil
				return emv.PINOutcome{Status: emv.PINPadError}, lostKey{}
			}
		}, 2},
		{"keys are old", func(w *world) { w.set.SignInAfter = time.Nanosecond }, 2},
		{"keys are young", func(w *world) { w.set.SignInAfter = time.Hour }, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			inWorld(t, nil, func(t *testing.T, w *world) {
				row.set(w)
				w.sell(t.Context(), "1", "online-pin")
				time.Sleep(time.Millisecond) // of the bubble: keys age
				if out := w.sell(t.Context(), "2", "online-pin"); out.Name != "approved" || !w.runner.SignedIn() {
					t.Errorf("second sale ends %q, %v", out.Name, out.Err)
				}
				if n := w.count("0800"); n != row.want {
					t.Errorf("%d sign-ins, want %d", n, row.want)
				}
			})
		})
	}
}

// lostKey is an error as a PIN pad gives it.
type lostKey struct{}

func (lostKey) Error() string    { return "no key in the slot" }
func (lostKey) KeyFault() string { return "no-key" }

// asking is a host that asks once for a new sign-in.
type asking struct {
	transaction.Host
	done bool
}

func (h *asking) Authorize(ctx context.Context, r payment.Request) (payment.Response, error) {
	resp, err := h.Host.Authorize(ctx, r)
	resp.SignAgain, h.done = !h.done, true
	return resp, err
}

// TestLastCardMustGo: the next customer never pays with a card that was left.
func TestLastCardMustGo(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.sell(t.Context(), "1", "no-cvm")
		w.onScreen["remove_card"] = func() {}
		if out := w.sell(t.Context(), "2", ""); out.Name != "cancelled" || out.Err == nil || !w.saw("remove_card") || w.count("0200") != 1 {
			t.Errorf("card left in the slot: %q, %v, screens %v", out.Name, out.Err, w.screens)
		}
		w.onScreen["remove_card"] = func() { w.buttons <- operator.KeyCancel }
		if out := w.sell(t.Context(), "2", ""); out.Name != "cancelled" || out.Err != nil {
			t.Errorf("cancelled at removal: %q, %v", out.Name, out.Err)
		}
		delete(w.onScreen, "remove_card")
		if out := w.sell(t.Context(), "2", "dda-online"); out.Name != "approved" || out.Record.MaskedPAN != "476173******0036" {
			t.Errorf("after removal: %q with card %s", out.Name, out.Record.MaskedPAN)
		}
	})
}

func TestImpossibleSales(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		for _, row := range []struct {
			name string
			sale transaction.Sale
		}{
			{"no amount", transaction.Sale{Requester: "test", RequestID: "1"}},
			{"negative", transaction.Sale{Requester: "test", RequestID: "1", Amount: -1}},
			{"over the limit", transaction.Sale{Requester: "test", RequestID: "1", Amount: 100_001}},
			{"no request id", transaction.Sale{Requester: "test", Amount: 1}},
			{"no requester", transaction.Sale{RequestID: "1", Amount: 1}},
			{"request id too long", transaction.Sale{Requester: "test", RequestID: strings.Repeat("x", 65), Amount: 1}},
			{"line break in the request id", transaction.Sale{Requester: "test", RequestID: "1\n2", Amount: 1}},
		} {
			out := w.runner.Sale(t.Context(), w.set, row.sale)
			if out.Name != "declined" || out.Err == nil || out.Record.ID != "" {
				t.Errorf("%s: %q, %v", row.name, out.Name, out.Err)
			}
		}
		w.set.Max = 0
		if out := w.runner.Sale(t.Context(), w.set, transaction.Sale{Requester: "test", RequestID: "1", Amount: payment.MaxAmount + 1}); out.Name != "declined" {
			t.Errorf("more than a message can say: %q, %v", out.Name, out.Err)
		}
		if len(w.sent) != 0 || w.saw("insert_card") {
			t.Errorf("sent %v, screens %v for impossible sales", w.sent, w.screens)
		}
	})
}

// TestHostTextCannotHoldUpTheOutcome: the journal refuses a record that holds the
// card number; the sale must be kept all the same.
func TestHostTextCannotHoldUpTheOutcome(t *testing.T) {
	tune := func(_ *world, c *hostsim.Config) { c.Text = "card 6226090000000022 thanks" }
	inWorld(t, tune, func(t *testing.T, w *world) {
		out := w.sell(t.Context(), "1", "no-cvm")
		if out.Name != "approved" || out.Record.State != journal.Approved || out.Record.HostText != "" || out.Record.RRN == "" {
			t.Errorf("%q, record %s, text %q, RRN %q", out.Name, out.Record.State, out.Record.HostText, out.Record.RRN)
		}
	})
}
