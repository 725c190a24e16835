package transaction_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"posagent/agent/acquirer/hostsim"
	"posagent/agent/emv"
	"posagent/agent/emv/cardsim"
	"posagent/agent/emv/contactless"
	"posagent/agent/journal"
	"posagent/agent/operator"
	"posagent/agent/payment"
	"posagent/agent/transaction"
)

// tapSettings are kernels that always ask the host, with a CVM from limit on.
func tapSettings(t *testing.T, terminal emv.Terminal, limit payment.Amount) *contactless.Config {
	t.Helper()
	capks, err := emv.NewCAPKs(cardsim.ContactlessCAPKs()...)
	if err != nil {
		t.Fatal(err)
	}
	c := &contactless.Config{Terminal: terminal, CAPKs: capks}
	most, none := payment.Amount(50_001), payment.Amount(0)
	for _, k := range []struct {
		aid    string
		kernel contactless.KernelID
	}{{"A0000000041010", 2}, {"A0000000031010", 3}, {"A000000333010101", 7}} {
		app := cardsim.Applications()[0]
		if app.AID, err = emv.ParseAID(k.aid); err != nil {
			t.Fatal(err)
		}
		c.Combinations = append(c.Combinations, contactless.Combination{
			Application: app, Kernel: k.kernel, TTQ: contactless.TTQ{0x36, 0, 0x40, 0}, TransactionLimit: &most, FloorLimit: &none, CVMLimit: &limit,
			CVMCapability: 0x60, NoCVMCapability: 0x08, OnDeviceCVM: true, Torn: true})
	}
	return c
}

// inTapWorld is inWorld with a contactless reader; sales are of 12.34.
func inTapWorld(t *testing.T, cvmLimit payment.Amount, f func(*testing.T, *world)) {
	t.Helper()
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.field = newField()
		w.runner.Field = w.field
		w.set.Contactless = tapSettings(t, w.set.Kernel.Terminal, cvmLimit)
		w.set.Contactless.Now = w.set.Kernel.Now
		f(t, w)
	})
}

func openTap(t *testing.T, name string) *cardsim.Contactless {
	t.Helper()
	c, err := cardsim.OpenContactless(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// tap is sell with a card that is held to the reader when a card is asked for, and
// taken away when it has been read.
func (w *world) tap(ctx context.Context, id, card string) transaction.Outcome {
	w.t.Helper()
	for screen, hook := range map[string]func(){
		"insert_card": func() { w.field.hold(openTap(w.t, card)) },
		"card_read":   func() { w.field.hold() },
		"remove_card": func() { w.field.hold(); w.slot.remove() },
	} {
		if w.onScreen[screen] == nil {
			w.onScreen[screen] = hook
		}
	}
	return w.sell(ctx, id, "")
}

const (
	below = 100_000 // CVM limits beside a sale of 12.34
	above = 1000
)

func TestTap(t *testing.T) {
	chip := func(name string) func(*world) { return func(w *world) { w.slot.insert(open(w.t, name)) } }
	for _, row := range []struct {
		name    string
		card    string
		limit   payment.Amount
		set     func(*world)
		outcome string
		state   journal.State // empty: nothing was begun
		code    payment.ResponseCode
		entry   string // field 22
		cvm     string
		screen  string // that was shown on the way
	}{
		{name: "kernel 3", card: "k3-online", outcome: "approved", state: journal.Approved, code: "00", entry: "072", cvm: journal.CVMNone, screen: "card_read"},
		{name: "kernel 7", card: "k7-online", outcome: "approved", state: journal.Approved, code: "00", entry: "072", cvm: journal.CVMNone},
		{name: "kernel 2", card: "k2-cda-online", outcome: "approved", state: journal.Approved, code: "00", entry: "072", cvm: journal.CVMNone},
		{name: "a card that could do it alone asks too", card: "k3-fdda", outcome: "approved", state: journal.Approved, code: "00", entry: "072", cvm: journal.CVMNone},
		{name: "kernel 2: nor does this one alone", card: "k2-cda", outcome: "approved", state: journal.Approved, code: "00", entry: "072", cvm: journal.CVMNone},
		{name: "kernel 3 above the limit", card: "k3-online-pin", limit: above, outcome: "approved", state: journal.Approved, code: "00", entry: "071",
			cvm: journal.CVMOnlinePIN, screen: "pin"},
		{name: "kernel 7 above the limit", card: "k7-online-pin", limit: above, outcome: "approved", state: journal.Approved, code: "00", entry: "071", cvm: journal.CVMOnlinePIN},
		{name: "kernel 2 above the limit", card: "k2-online-pin", limit: above, outcome: "approved", state: journal.Approved, code: "00", entry: "071", cvm: journal.CVMOnlinePIN},
		{name: "signature", card: "k3-signature", limit: above, outcome: "approved", state: journal.Approved, code: "00", entry: "072", cvm: journal.CVMSignature},
		{name: "telephone has verified", card: "k3-cdcvm-online", limit: above, outcome: "approved", state: journal.Approved, code: "00", entry: "072", cvm: journal.CVMDevice},
		{name: "nothing in common above the limit", card: "k3-online", limit: above, outcome: "declined"},
		{name: "declined by the host", card: "k3-online", set: func(w *world) {
			w.judge = on("0200", 1, hostsim.Action{Kind: hostsim.Decline, Code: "51"})
		}, outcome: "declined", state: journal.Declined, code: "51", entry: "072", cvm: journal.CVMNone},
		{name: "answer dropped", card: "k3-online", set: play("0200", hostsim.Drop), outcome: "no_answer", state: journal.Reversed, entry: "072", cvm: journal.CVMNone},
		{name: "PIN cancelled", card: "k3-online-pin", limit: above, set: pinOutcome(emv.ErrCancelled), outcome: "cancelled"},
		{name: "PIN timed out", card: "k3-online-pin", limit: above, set: pinOutcome(emv.ErrTimeout), outcome: "pin_failed"},
		{name: "PIN pad fails", card: "k3-online-pin", limit: above, set: pinOutcome(errors.New("no answer")), outcome: "pin_failed"},
		{name: "card declines", card: "k3-declines", outcome: "declined"},
		{name: "approval that nobody asked for", card: "hostile-upgrade", outcome: "card_error"},
		{name: "directory of nothing", card: "hostile-ppse", outcome: "declined"},
		{name: "answers of 64 KiB", card: "hostile-huge", outcome: "card_error"},
		{name: "wants to be inserted", card: "k3-insert", set: func(w *world) { w.onScreen["use_chip"] = func() { chip("no-cvm")(w) } },
			outcome: "approved", state: journal.Approved, code: "00", entry: "052", cvm: journal.CVMNone, screen: "use_chip"},
		{name: "wants to be inserted, and is not", card: "k3-insert", outcome: "cancelled", screen: "use_chip"},
		{name: "looks at the telephone", card: "k3-see-phone", set: func(w *world) {
			w.onScreen["see_phone"] = func() { w.field.hold(openTap(w.t, "k3-cdcvm-online")) }
		}, outcome: "approved", state: journal.Approved, code: "00", entry: "072", cvm: journal.CVMDevice, screen: "see_phone"},
		{name: "torn and tapped again", card: "k2-torn", outcome: "approved", state: journal.Approved, code: "00", entry: "072", cvm: journal.CVMNone, screen: "tap_again"},
		{name: "two cards, then one", set: func(w *world) {
			w.onScreen["insert_card"] = func() { w.field.hold(openTap(w.t, "k3-online"), openTap(w.t, "k7-online")) }
			w.onScreen["one_card"] = func() { w.field.hold(openTap(w.t, "k7-online")) }
		}, outcome: "approved", state: journal.Approved, code: "00", entry: "072", cvm: journal.CVMNone, screen: "one_card"},
		{name: "two cards for ever", set: func(w *world) {
			w.onScreen["insert_card"] = func() { w.field.hold(openTap(w.t, "k3-online"), openTap(w.t, "k7-online")) }
		}, outcome: "cancelled", screen: "one_card"},
		{name: "no payment card", set: func(w *world) {
			w.field.broken = transaction.ErrForeignCard
			w.onScreen["insert_card"], w.onScreen["other_card"] = func() {}, func() { chip("no-cvm")(w) }
		}, outcome: "approved", state: journal.Approved, code: "00", entry: "052", cvm: journal.CVMNone, screen: "other_card"},
		{name: "reader broken", set: func(w *world) {
			w.field.broken = errors.New("no answer")
			w.onScreen["insert_card"] = func() { chip("no-cvm")(w) }
		}, outcome: "approved", state: journal.Approved, code: "00", entry: "052", cvm: journal.CVMNone},
		{name: "inserted first", set: func(w *world) { w.onScreen["insert_card"] = func() { chip("no-cvm")(w) } },
			outcome: "approved", state: journal.Approved, code: "00", entry: "052", cvm: journal.CVMNone},
		{name: "both at once: the slot is meant", set: func(w *world) {
			w.onScreen["insert_card"] = func() { chip("no-cvm")(w); w.field.hold(openTap(w.t, "k3-online")) }
		}, outcome: "approved", state: journal.Approved, code: "00", entry: "052", cvm: journal.CVMNone},
		{name: "cancel key", set: func(w *world) { w.onScreen["insert_card"] = func() { w.buttons <- operator.KeyCancel } }, outcome: "cancelled"},
		{name: "no card", set: func(w *world) { w.onScreen["insert_card"] = func() {} }, outcome: "cancelled"},
	} {
		t.Run(row.name, func(t *testing.T) {
			limit := row.limit
			if limit == 0 {
				limit = below
			}
			inTapWorld(t, limit, func(t *testing.T, w *world) {
				if row.set != nil {
					row.set(w)
				}
				out := w.tap(t.Context(), "1", row.card)
				rec := out.Record
				if out.Name != row.outcome || rec.State != row.state {
					t.Fatalf("outcome %q, record %q, err %v\nscreens %v\nwant %q, %q", out.Name, rec.State, out.Err, w.screens, row.outcome, row.state)
				}
				if w.field.on || w.slot.powered {
					t.Error("field or card is left with power")
				}
				if row.screen != "" && !w.saw(row.screen) {
					t.Errorf("screen %q was never shown: %v", row.screen, w.screens)
				}
				switch {
				case row.state == "":
					if w.count("0200") != 0 || len(w.printed) != 0 {
						t.Errorf("%d requests sent, %d receipts printed for a sale that was not begun", w.count("0200"), len(w.printed))
					}
				default:
					entry := ""
					for _, r := range w.asked {
						if r.MTI == "0200" {
							entry = r.EntryMode
						}
					}
					mode := payment.Contactless
					if strings.HasPrefix(row.entry, "05") {
						mode = payment.Chip
					}
					if entry != row.entry || rec.Entry != mode || rec.CVM != row.cvm || rec.Code != row.code || rec.EMV == nil {
						t.Errorf("field 22 %q, entry %q, CVM %q, code %q, EMV %v\nwant %q, %q, %q, %q", entry, rec.Entry, rec.CVM, rec.Code, rec.EMV,
							row.entry, mode, row.cvm, row.code)
					}
				}
				// What comes next is an ordinary sale, whatever has gone wrong.
				w.judge, w.pad.enter, w.field.broken = nil, nil, nil
				clear(w.onScreen)
				w.set.Contactless = tapSettings(t, w.set.Kernel.Terminal, below)
				if next := w.tap(t.Context(), "2", "k7-online"); next.Name != "approved" {
					t.Errorf("the next sale ends %q, %v; screens %v", next.Name, next.Err, w.screens)
				}
			})
		})
	}
}

// TestCardLeftOnTheReader: the last customer's card does not pay for the next one.
func TestCardLeftOnTheReader(t *testing.T) {
	inTapWorld(t, below, func(t *testing.T, w *world) {
		w.onScreen["card_read"] = func() {} // nobody takes it away
		if out := w.tap(t.Context(), "1", "k3-online"); out.Name != "approved" {
			t.Fatalf("first sale %q, %v", out.Name, out.Err)
		}
		w.onScreen["remove_card"] = func() {}
		if out := w.tap(t.Context(), "2", "k7-online"); out.Name != "cancelled" || out.Err == nil || w.count("0200") != 1 {
			t.Errorf("beside a forgotten card: %q, %v, %d requests", out.Name, out.Err, w.count("0200"))
		}
		clear(w.onScreen)
		if out := w.tap(t.Context(), "3", "k7-online"); out.Name != "approved" || !w.saw("remove_card") {
			t.Errorf("after it was taken away: %q, %v", out.Name, out.Err)
		}
	})
}

// TestTapOnlyWhereAllowed: beyond the contactless limit, and without the setting,
// the reader stays off and nobody is told to tap.
func TestTapOnlyWhereAllowed(t *testing.T) {
	inTapWorld(t, below, func(t *testing.T, w *world) {
		orTap := operator.Text(operator.English, "or_tap")
		w.tap(t.Context(), "1", "k3-online")
		if w.field.polls == 0 || !slices.Contains(w.lines, orTap) {
			t.Fatalf("the field was asked %d times, lines %q", w.field.polls, w.lines)
		}
		polls := w.field.polls
		w.lines = nil
		w.onScreen["insert_card"] = func() { w.slot.insert(open(t, "no-cvm")) }
		out := w.runner.Sale(t.Context(), w.set, transaction.Sale{Requester: "test", RequestID: "2", Amount: 50_001})
		w.set.Contactless = nil
		out2 := w.sell(t.Context(), "3", "no-cvm")
		if !out.Approved() || !out2.Approved() || w.field.polls != polls || slices.Contains(w.lines, orTap) {
			t.Errorf("outcomes %q, %q; the field was asked %d times more; lines %q", out.Name, out2.Name, w.field.polls-polls, w.lines)
		}
	})
}

// TestStopWhileWaiting: a terminal that is told to stop lets go of slot and field.
func TestStopWhileWaiting(t *testing.T) {
	inTapWorld(t, below, func(t *testing.T, w *world) {
		ctx, cancel := context.WithCancel(t.Context())
		w.onScreen["insert_card"] = cancel
		if out := w.tap(ctx, "1", ""); out.Name != "cancelled" || !errors.Is(out.Err, context.Canceled) {
			t.Errorf("outcome %q, %v", out.Name, out.Err)
		}
	})
}
