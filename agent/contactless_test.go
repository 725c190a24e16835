package agent

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"posagent/agent/emv"
	"posagent/agent/emv/cardsim"
	"posagent/agent/emv/contactless"
	"posagent/agent/payment"
	"posagent/agent/transaction"
	"posagent/nfc/iso14443"
	"posagent/nfc/iso14443/iso14443sim"
	"posagent/ota/wire"
)

func TestContactlessNeedsTheFeature(t *testing.T) {
	c := sample(t)
	if w, err := newWork(c, "PA000001"); err != nil || w.settings.Contactless != nil {
		t.Fatalf("without the feature: %+v, %v", w.settings.Contactless, err)
	}
	c.Features = append(c.Features, wire.FeatureContactless)
	w, err := newWork(c, "PA000001")
	if err != nil {
		t.Fatal(err)
	}
	if got := len(w.settings.Contactless.Combinations); got == 0 {
		t.Fatal("no combinations")
	}
	for i := range c.AIDs {
		c.AIDs[i].AID = "A00000099901"
	}
	var field *wire.FieldError
	if _, err := newWork(c, "PA000001"); !errors.As(err, &field) || field.Path != "features" {
		t.Errorf("no AID for a contactless kernel: %v", err)
	}
}

// TestContactlessLimits: the limits of the configuration, to the last cent.
func TestContactlessLimits(t *testing.T) {
	c := sample(t)
	c.Features = append(c.Features, wire.FeatureContactless)
	c.Limits.MaxAmount, c.Limits.CVMRequired = 100_000, 30_000
	c.AIDs = append(c.AIDs, c.AIDs[0], c.AIDs[0])
	for i, aid := range []string{"A000000333010101", "A0000000031010", "A0000000041010"} {
		c.AIDs[i].AID, c.AIDs[i].FloorLimit = aid, 5_000
	}
	c.AIDs = c.AIDs[:3]
	w, err := newWork(c, "PA000001")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		kernel contactless.KernelID
		cvm    int64
	}{{contactless.Kernel7, 30_000}, {contactless.Kernel3, 30_000}, {contactless.Kernel2, 29_999}} {
		one := w.settings.Contactless.Combinations[i]
		if one.Kernel != want.kernel || int64(*one.CVMLimit) != want.cvm || *one.TransactionLimit != 100_001 || *one.FloorLimit != 0 || one.Application.FloorLimit != 0 {
			t.Errorf("combination %d: kernel %d, CVM limit %d, transaction limit %d, floor limit %d", i, one.Kernel, *one.CVMLimit, *one.TransactionLimit, *one.FloorLimit)
		}
	}
	reader, err := contactless.New(*w.settings.Contactless)
	if err != nil {
		t.Fatal(err)
	}
	for amount, want := range map[int64]contactless.Kind{100_000: contactless.Ready, 100_001: contactless.TryAnotherInterface} {
		out, err := reader.Begin(emv.Transaction{Type: emv.Purchase, Amount: payment.Amount(amount), Sequence: 1, ForceOnline: true})
		if err != nil || out.Kind != want {
			t.Errorf("sale of %d: %s, %v; want %s", amount, out.Kind, err, want)
		}
	}
}

// TestField: the reader's words in those of transactions, over the air.
func TestField(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		air := iso14443sim.NewAir(nil)
		reader, err := iso14443.New(air, nil)
		if err != nil {
			t.Fatal(err)
		}
		f := field{reader}
		uid := func(b ...byte) func(*iso14443sim.Opts) { return func(o *iso14443sim.Opts) { o.UID = b } }
		one, two := picc(t, "k3-online", uid(0x08, 1, 2, 3)), picc(t, "k7-online", uid(0x08, 0x91, 2, 3))
		plain := picc(t, "k3-online", func(o *iso14443sim.Opts) { o.Plain = true })
		air.Place(one)
		card, err := f.Poll(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := card.Transmit(t.Context(), []byte{0x00, 0xA4, 0x04, 0x00, 0x00}); err != nil || len(answer) < 2 {
			t.Errorf("answer % X, %v", answer, err)
		}
		if err := f.Off(); err != nil || air.On() {
			t.Errorf("off: %v, carrier %v", err, air.On())
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := card.Removed(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a card that lies there is removed: %v", err)
		}
		air.Place(two)
		if _, err := f.Poll(t.Context()); !errors.Is(err, transaction.ErrTwoCards) {
			t.Errorf("two cards: %v", err)
		}
		air.Remove(one)
		air.Remove(two)
		if err := card.Removed(t.Context()); err != nil || air.On() {
			t.Errorf("removed: %v, carrier %v", err, air.On())
		}
		air.Place(plain)
		if _, err := f.Poll(t.Context()); !errors.Is(err, transaction.ErrForeignCard) {
			t.Errorf("a card without APDUs: %v", err)
		}
		air.Remove(plain)
		late, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := f.Poll(late); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("no card: %v", err)
		}
	})
}

func picc(t *testing.T, name string, change func(*iso14443sim.Opts)) *iso14443sim.PICC {
	t.Helper()
	card, err := cardsim.OpenContactless(name)
	if err != nil {
		t.Fatal(err)
	}
	opts := iso14443sim.DefaultOpts
	change(&opts)
	return iso14443sim.NewPICC(card, &opts)
}
