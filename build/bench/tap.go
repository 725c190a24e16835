package main

import (
	"context"
	"fmt"
	"time"

	"posagent/agent/emv"
	"posagent/agent/emv/cardsim"
	"posagent/agent/emv/contactless"
	"posagent/agent/payment"
)

// Bars of a whole contactless transaction without card, host and person.
const (
	tapTime   = 150 * time.Microsecond
	tapAllocs = 60
)

// measureTap takes the processor time of whole contactless transactions from the
// Entry Point to a verified signature, approved offline, beside the bare RSA of
// what the card sends.
func measureTap(ctx context.Context, b *bench) ([]Line, error) {
	var lines []Line
	for _, m := range []struct{ card, what string }{
		{"k3-fdda", "contactless transaction, kernel 3 with fDDA"},
		{"k7-fdda", "contactless transaction, kernel 7 with fDDA"},
		{"k2-cda", "contactless transaction, kernel 2 with CDA"},
	} {
		some, err := measureOneTap(ctx, b, m.card, m.what)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.card, err)
		}
		lines = append(lines, some...)
	}
	return lines, nil
}

func measureOneTap(ctx context.Context, b *bench, name, what string) ([]Line, error) {
	card, err := cardsim.OpenContactless(name)
	if err != nil {
		return nil, err
	}
	rand := &counting{}
	reader, err := newReader(rand)
	if err != nil {
		return nil, err
	}
	recorded := &tape{card: cardsim.InField(card)}
	tap := func(card emv.Card) error {
		*rand = counting{} // a recorded card has signed these numbers
		if _, err := reader.Begin(emv.Transaction{Amount: 500}); err != nil {
			return err
		}
		if out := reader.Tap(ctx, card); out.Kind != contactless.Approved {
			return fmt.Errorf("the kernel says %s, want approved: %v", out.Kind, out.Sale.Cause)
		}
		return nil
	}
	if err := tap(recorded); err != nil {
		return nil, fmt.Errorf("record the card: %w", err)
	}
	play := func() error { return tap(&tape{answers: recorded.answers}) }
	bare, err := bareRSA(b, recorded.answers)
	if err != nil {
		return nil, err
	}
	ns, ratio, err := b.race(ctx, [2]runner{play, bare})
	if err != nil {
		return nil, err
	}
	n, err := allocs(play)
	if err != nil {
		return nil, err
	}
	return []Line{
		Line{Name: what, Ours: Value{ns[ours], Nanoseconds}}.
			beside("the bare RSA in it: 3 public operations, ours keeps the first", ns[floor], ratio).atMost(float64(tapTime)),
		Line{Name: "  allocations of it", Ours: Value{n, Allocs}}.atMost(tapAllocs),
	}, nil
}

// newReader accepts the laboratory's contactless cards and approves small sales.
func newReader(rand *counting) (*contactless.Reader, error) {
	capks, err := emv.NewCAPKs(cardsim.ContactlessCAPKs()...)
	if err != nil {
		return nil, err
	}
	limit := func(a payment.Amount) *payment.Amount { return &a }
	var list []contactless.Combination
	for _, one := range []struct {
		aid    string
		kernel contactless.KernelID
	}{{"A0000000041010", 2}, {"A0000000031010", 3}, {"A000000333010101", 7}} {
		c := contactless.Combination{Application: cardsim.Applications()[0], Kernel: one.kernel, TTQ: contactless.TTQ{0x36, 0, 0x40, 0},
			TransactionLimit: limit(100000), FloorLimit: limit(10000), CVMLimit: limit(30000), CVMCapability: 0x60, NoCVMCapability: 0x08}
		if c.Application.AID, err = emv.ParseAID(one.aid); err != nil {
			return nil, err
		}
		c.Application.Partial = true
		list = append(list, c)
	}
	day := func() time.Time { return time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC) }
	return contactless.New(contactless.Config{
		Terminal: emv.Terminal{Type: 0x22, Capabilities: emv.Capabilities{0xE0, 0x68, 0xC8}, Country: "156", Currency: payment.CNY,
			IFDSerial: "00000001", TerminalID: "12345678", MerchantID: "123456789012345", MCC: "5411"},
		Combinations: list, CAPKs: capks, Now: day, Ticks: day, Rand: rand,
	})
}
