package house_test

import (
	"context"
	"testing"
	"time"

	"posagent/agent/emv/cardsim"
	"posagent/agent/journal"
	"posagent/agent/payment"
	"posagent/cmd/lab/house"
	"posagent/nfc/iso14443/iso14443sim"
)

// running opens a house that is ready to sell and ends it with the test.
func running(t *testing.T) (*house.House, context.Context) {
	t.Helper()
	h, err := house.Open(house.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	live, end := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- h.Run(live) }()
	t.Cleanup(func() {
		end()
		if err := <-done; err != nil {
			t.Errorf("house ended with %v", err)
		}
		cancel()
	})
	if err := h.Activate(ctx); err != nil {
		t.Fatal(err)
	}
	return h, ctx
}

// TestTap: two cards are none, one pays, and a card that is left on the reader does
// not pay for the next customer. Through driver, reader chip and air.
func TestTap(t *testing.T) {
	h, ctx := running(t)
	shows := func(want string, others ...string) {
		t.Helper()
		if name, err := h.Screen(ctx, append(others, want)...); err != nil || name != want {
			t.Fatalf("screen %q, %v; want %q", name, err, want)
		}
	}
	press := func(keys ...string) {
		t.Helper()
		if err := h.Press(keys...); err != nil {
			t.Fatal(err)
		}
	}
	ends := []string{"approved", "declined", "card_error", "cancelled", "no_answer"}

	card, err := cardsim.OpenContactless("k3-online")
	if err != nil {
		t.Fatal(err)
	}
	opts := iso14443sim.DefaultOpts
	opts.UID = []byte{0x08, 0x91, 0x22, 0x33}
	second := iso14443sim.NewPICC(card, &opts)
	h.Board.Air.Place(second)
	if err := h.Tap("k7-online"); err != nil {
		t.Fatal(err)
	}
	press("1", "8", "0", "0", "enter")
	shows("one_card", ends...)
	h.Board.Air.Remove(second)
	shows("approved")
	var rec journal.Record
	if err := house.Until(ctx, func() bool { rec, err = h.Agent.Journal().Last(); return err != nil || rec.Copies["cardholder"] == 1 }); err != nil {
		t.Fatal(err)
	}
	if err != nil || rec.State != journal.Approved || rec.Entry != payment.Contactless || rec.CVM != journal.CVMNone {
		t.Fatalf("journal has %+v, %v", rec, err)
	}

	press("cancel", "1", "9", "0", "0", "enter") // the card is still there
	shows("remove_card", "insert_card")
	h.Untap()
	shows("insert_card")
	press("cancel")
	shows("cancelled")
	if last, err := h.Agent.Journal().Last(); err != nil || last.ID != rec.ID {
		t.Errorf("last record %s, %v; want %s", last.ID, err, rec.ID)
	}
}
