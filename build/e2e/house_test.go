package e2e

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"posagent/agent/journal"
	"posagent/cmd/lab/house"
)

// open starts a house and ends it with the test.
func open(t *testing.T, o house.Options) (*house.House, context.Context) {
	t.Helper()
	o.Dir = t.TempDir()
	o.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	h, err := house.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	running, end := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- h.Run(running) }()
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

func TestChipSale(t *testing.T) {
	h, ctx := open(t, house.Options{})
	if err := h.Press("1", "1", "2", "3", "4", "enter"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Screen(ctx, "insert_card"); err != nil {
		t.Fatal(err)
	}
	if err := h.Insert("online-pin"); err != nil {
		t.Fatal(err)
	}
	if name, err := h.Screen(ctx, "pin", "approved", "declined", "card_error"); err != nil || name != "pin" {
		t.Fatal(name, err)
	}
	if err := h.Press("1", "2", "3", "4", "enter"); err != nil {
		t.Fatal(err)
	}
	if name, err := h.Screen(ctx, "approved", "declined", "card_error", "card_refused", "no_answer", "not_sent", "print_failed"); err != nil || name != "approved" {
		t.Fatal(name, err)
	}
	rec, err := h.Agent.Journal().Last()
	if err != nil || rec.State != journal.Approved {
		t.Fatalf("journal has %+v, %v", rec, err)
	}
	t.Log(h.Board.Paper.Tear().Text())
}
