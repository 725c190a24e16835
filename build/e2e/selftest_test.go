package e2e

import (
	"errors"
	"testing"

	"posagent/agent/control"
	"posagent/agent/journal"
	"posagent/cmd/lab/house"
)

// A self-test asks the card reader and the PIN pad, which a sale has for itself: it
// waits its turn or is refused, and the sale goes on as if nobody had asked.
func TestSelfTestDuringSale(t *testing.T) {
	h, ctx := open(t, house.Options{})
	if parts, err := h.Agent.SelfTest(ctx); err != nil || len(parts) == 0 {
		t.Fatalf("self-test of an idle terminal: %v, %v", parts, err)
	}
	if err := h.Press("1", "1", "2", "3", "4", "enter"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Screen(ctx, "insert_card"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Agent.SelfTest(ctx); !errors.Is(err, control.ErrBusy) {
		t.Errorf("self-test while a card is awaited: %v, want %v", err, control.ErrBusy)
	}
	if err := h.Insert("online-pin"); err != nil {
		t.Fatal(err)
	}
	if name, err := h.Screen(ctx, "pin", "card_error"); err != nil || name != "pin" {
		t.Fatal(name, err)
	}
	if err := h.Press("1", "2", "3", "4", "enter"); err != nil {
		t.Fatal(err)
	}
	if name, err := h.Screen(ctx, "approved", "declined", "card_error", "no_answer", "not_sent"); err != nil || name != "approved" {
		t.Fatal(name, err)
	}
	if rec, err := h.Agent.Journal().Last(); err != nil || rec.State != journal.Approved {
		t.Errorf("journal has %+v, %v", rec, err)
	}
}
