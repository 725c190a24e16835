package contactless_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"posagent/agent/emv"
	"posagent/agent/emv/cardsim"
	"posagent/agent/emv/contactless"
	"posagent/agent/payment"
)

// counter is a random source that is not.
type counter struct{ n byte }

func (c *counter) Read(b []byte) (int, error) {
	for i := range b {
		c.n++
		b[i] = c.n
	}
	return len(b), nil
}

func amount(v payment.Amount) *payment.Amount { return &v }

func day() time.Time { return time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC) }

// config is a terminal with the three kernels: floor limit 100.00, CVM limit 300.00, transaction limit 1000.00.
func config(tb testing.TB) contactless.Config {
	tb.Helper()
	capks, err := emv.NewCAPKs(cardsim.ContactlessCAPKs()...)
	if err != nil {
		tb.Fatal(err)
	}
	app := cardsim.Applications()[0]
	one := func(aid string, kernel contactless.KernelID, partial bool) contactless.Combination {
		c := contactless.Combination{
			Application: app, Kernel: kernel, TTQ: contactless.TTQ{0x36, 0, 0x40, 0},
			TransactionLimit: amount(100000), FloorLimit: amount(10000), CVMLimit: amount(30000), ExtendedSelection: true,
			CVMCapability: 0x60, NoCVMCapability: 0x08, OnDeviceCVM: true, OnDeviceLimit: amount(500000), Torn: true,
		}
		c.Application.AID, err = emv.ParseAID(aid)
		if err != nil {
			tb.Fatal(err)
		}
		c.Application.Partial = partial
		return c
	}
	return contactless.Config{
		Terminal: emv.Terminal{
			Type: 0x22, Capabilities: emv.Capabilities{0xE0, 0x68, 0xC8}, Country: "156", Currency: payment.CNY,
			IFDSerial: "00000001", TerminalID: "12345678", MerchantID: "123456789012345", MCC: "5411",
		},
		Combinations: []contactless.Combination{
			one("A0000000041010", 2, true), one("A0000000031010", 3, true), one("A000000333010101", 7, true),
		},
		CAPKs: capks, Now: day, Ticks: day, Rand: &counter{},
	}
}

func reader(tb testing.TB, c contactless.Config) *contactless.Reader {
	tb.Helper()
	r, err := contactless.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func open(tb testing.TB, name string) *cardsim.Contactless {
	tb.Helper()
	c, err := cardsim.OpenContactless(name)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// run is one tap of a sale.
func run(tb testing.TB, r *contactless.Reader, tx emv.Transaction, card emv.Card) contactless.Outcome {
	tb.Helper()
	out, err := r.Begin(tx)
	if err != nil {
		tb.Fatal(err)
	}
	if out.Kind == contactless.Ready {
		out = r.Tap(tb.Context(), card)
	}
	return out
}

// TestPersonalities runs every embedded card at amounts below and above the limits and pins outcome, CVM and TVR. Books
// C-2, C-3 and C-7, whole transactions.
func TestPersonalities(t *testing.T) {
	t.Parallel()
	const (
		small = 500   // below every limit
		mid   = 20000 // above the floor limit
		large = 50000 // above the CVM limit
	)
	seen := map[string]bool{}
	for _, c := range []struct {
		card   string
		amount payment.Amount
		kind   contactless.Kind
		cvm    contactless.CVM
		tvr    string
	}{
		{"k3-fdda", small, contactless.Approved, contactless.CVMNone, "0000000000"},
		{"k3-fdda", mid, contactless.Online, contactless.CVMNone, "0000000000"},
		{"k3-fdda", large, contactless.Declined, "", "0000000000"},
		{"k3-online", small, contactless.Online, contactless.CVMNone, "0000000000"},
		{"k3-online-pin", small, contactless.Online, contactless.CVMOnlinePIN, "0000000000"},
		{"k3-online-pin", large, contactless.Online, contactless.CVMOnlinePIN, "0000000000"},
		{"k3-cdcvm", small, contactless.Approved, contactless.CVMOnDevice, "0000000000"},
		{"k3-cdcvm-online", large, contactless.Online, contactless.CVMOnDevice, "0000000000"},
		{"k3-signature", large, contactless.Online, contactless.CVMSignature, "0000000000"},
		{"k3-declines", small, contactless.Declined, "", "0000000000"},
		{"k3-expired", small, contactless.Online, contactless.CVMNone, "0000000000"},
		{"k3-expired-declined", small, contactless.Declined, "", "0000000000"},
		{"k3-insert", small, contactless.TryAnotherInterface, "", "0000000000"},
		{"k3-see-phone", small, contactless.TryAgain, "", "0000000000"},
		{"k3-bad-fdda", small, contactless.Online, contactless.CVMNone, "0000000000"},
		{"k7-fdda", small, contactless.Approved, contactless.CVMNone, "0000000000"},
		{"k7-online", small, contactless.Online, contactless.CVMNone, "0000000000"},
		{"k7-online-pin", large, contactless.Online, contactless.CVMOnlinePIN, "0000000000"},
		{"k7-bad-fdda", small, contactless.Declined, "", "0000000000"},
		{"k2-cda", small, contactless.Approved, contactless.CVMNone, "0000000000"},
		{"k2-cda", mid, contactless.Online, contactless.CVMNone, "0000008000"},
		{"k2-cda-online", small, contactless.Online, contactless.CVMNone, "0000000000"},
		{"k2-online-pin", large, contactless.Online, contactless.CVMOnlinePIN, "0000048000"},
		{"k2-online-pin", small, contactless.Online, contactless.CVMNone, "0000000000"},
		{"k2-on-device", small, contactless.Approved, contactless.CVMNone, "0000000000"},
		{"k2-on-device", 200000, contactless.Online, contactless.CVMOnDevice, "0000008000"},
		{"k2-declines", small, contactless.Declined, "", "0000000000"},
		{"k2-expired", small, contactless.Online, contactless.CVMNone, "0040000000"},
		{"k2-relay", small, contactless.Approved, contactless.CVMNone, "0000000002"},
		{"k2-relay-attack", small, contactless.Approved, contactless.CVMNone, "0000000002"}, // no clock runs here
		{"k2-torn", small, contactless.TryAgain, "", "0000000000"},
		{"k2-bad-cda", small, contactless.Declined, "", "0400000000"},
		{"two-applications", small, contactless.Online, contactless.CVMNone, "0000000000"},
		{"second-chance", small, contactless.Online, contactless.CVMNone, "0000000000"},
		{"hostile-ppse", small, contactless.EndApplication, "", "0000000000"},
		{"hostile-huge", small, contactless.EndApplication, "", "0000000000"},
		{"hostile-pan", small, contactless.EndApplication, "", "0000000000"},
		{"hostile-upgrade", mid, contactless.Declined, "", "0000000000"},
	} {
		seen[c.card] = true
		t.Run(fmt.Sprintf("%s %d", c.card, c.amount), func(t *testing.T) {
			t.Parallel()
			out := run(t, reader(t, config(t)), emv.Transaction{Amount: c.amount}, cardsim.InField(open(t, c.card)))
			tvr := emv.HexBytes(out.Sale.TVR[:]).String()
			if out.Kind != c.kind || out.CVM != c.cvm || tvr != c.tvr {
				t.Fatalf("%s %q TVR %s (%s %v)", out.Kind, out.CVM, tvr, out.Sale.Reason, out.Sale.Cause)
			}
			if out.Kind == contactless.Online || out.Kind == contactless.Approved {
				if err := cardsim.TestIssuer().VerifyARQC(out.Sale.PAN, out.Sale.PANSequence, out.Record); err != nil {
					t.Fatalf("the issuer refuses the cryptogram: %v", err)
				}
			}
		})
	}
	for _, n := range cardsim.ContactlessNames() {
		if !seen[n] {
			t.Errorf("no row for %s", n)
		}
	}
}

// TestPreprocessing is Book B, 3.1.1: limits decide before any card is seen.
func TestPreprocessing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*contactless.Config)
		tx     emv.Transaction
		kind   contactless.Kind
	}{
		{"3.1.1.4 below the transaction limit", nil, emv.Transaction{Amount: 99999}, contactless.Ready},
		{"3.1.1.4 at the transaction limit of every kernel", func(c *contactless.Config) {
			c.Combinations = c.Combinations[1:]
		}, emv.Transaction{Amount: 100000}, contactless.TryAnotherInterface},
		{"3.1.1.3 zero amount allowed", nil, emv.Transaction{}, contactless.Ready},
		{"3.1.1.3 zero amount refused", func(c *contactless.Config) {
			for i := range c.Combinations {
				c.Combinations[i].RefuseZero = true
			}
		}, emv.Transaction{}, contactless.TryAnotherInterface},
		{"3.1.1.3 zero amount, offline only", func(c *contactless.Config) {
			c.Combinations = c.Combinations[1:]
			for i := range c.Combinations {
				c.Combinations[i].TTQ[0] |= 0x08
			}
		}, emv.Transaction{}, contactless.TryAnotherInterface},
		{"transaction type not configured", func(c *contactless.Config) {
			for i := range c.Combinations {
				c.Combinations[i].Types = []emv.TransactionType{emv.Purchase}
			}
		}, emv.Transaction{Type: emv.Refund, Amount: 5}, contactless.TryAnotherInterface},
		{"autorun takes its own transaction", func(c *contactless.Config) {
			c.Autorun = &emv.Transaction{Amount: 200}
		}, emv.Transaction{Amount: 900000}, contactless.Ready},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := config(t)
			if c.change != nil {
				c.change(&cfg)
			}
			out, err := reader(t, cfg).Begin(c.tx)
			if err != nil || out.Kind != c.kind {
				t.Fatalf("%s %v", out.Kind, err)
			}
			if out.Kind == contactless.TryAnotherInterface && out.Alternate != contactless.ContactInterface {
				t.Fatal("no alternate interface")
			}
		})
	}
}

// TestTypes: refund, cash, cashback and balance inquiry, Book A, 5.1 and Book C-3, 2.7.
func TestTypes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, card string
		ctq        emv.HexBytes
		tx         emv.Transaction
		kind       contactless.Kind
	}{
		{"refund", "k3-fdda", nil, emv.Transaction{Type: emv.Refund, Amount: 500}, contactless.Online},
		{"refund with an AAC", "k3-declines", nil, emv.Transaction{Type: emv.Refund, Amount: 500}, contactless.Online},
		{"refund, kernel 2", "k2-cda", nil, emv.Transaction{Type: emv.Refund, Amount: 500}, contactless.Online},
		{"cash", "k3-online", nil, emv.Transaction{Type: emv.Cash, Amount: 500}, contactless.Online},
		{"cash wants contact", "k3-online", emv.HexBytes{0x04, 0}, emv.Transaction{Type: emv.Cash, Amount: 500}, contactless.TryAnotherInterface},
		{"cashback wants contact", "k3-online", emv.HexBytes{0x02, 0}, emv.Transaction{Type: emv.Cashback, Amount: 500, Other: 100}, contactless.TryAnotherInterface},
		{"cash, kernel 2", "k2-cda-online", nil, emv.Transaction{Type: emv.Cash, Amount: 500}, contactless.Online},
		{"balance inquiry", "k7-fdda", nil, emv.Transaction{Type: emv.Inquiry}, contactless.Online},
		{"forced online", "k7-fdda", nil, emv.Transaction{Amount: 5, ForceOnline: true}, contactless.Online},
		{"status check", "k7-fdda", nil, emv.Transaction{Amount: 100}, contactless.Online},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, err := cardsim.LoadContactless(c.card)
			if err != nil {
				t.Fatal(err)
			}
			if c.ctq != nil {
				p.Applications[0].CTQ = c.ctq
			}
			card, err := cardsim.NewContactless(p)
			if err != nil {
				t.Fatal(err)
			}
			cfg := config(t)
			for i := range cfg.Combinations {
				cfg.Combinations[i].StatusCheck = true
			}
			out := run(t, reader(t, cfg), c.tx, cardsim.InField(card))
			if out.Kind != c.kind {
				t.Fatalf("%s (%s %v)", out.Kind, out.Sale.Reason, out.Sale.Cause)
			}
		})
	}
}

// TestCandidates is Book B, 3.3.2 and 3.3.3: priority, Select Next, extended selection, kernel identifiers.
func TestCandidates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, card string
		change     func(*cardsim.ContactlessPersonality)
		kernel     contactless.KernelID
		kind       contactless.Kind
	}{
		{"priority", "two-applications", nil, 7, contactless.Online},
		{"priority 0 is the last", "two-applications", func(p *cardsim.ContactlessPersonality) { p.Applications[1].Priority = 0 }, 3, contactless.Online},
		{"equal priority keeps the directory's order", "two-applications", func(p *cardsim.ContactlessPersonality) { p.Applications[0].Priority = 1 }, 3, contactless.Online},
		{"Select Next", "second-chance", nil, 3, contactless.Online},
		{"kernel identifier given", "k3-online", func(p *cardsim.ContactlessPersonality) { p.Applications[0].KernelID = emv.HexBytes{3} }, 3, contactless.Online},
		{"kernel identifier of another kernel", "k3-online", func(p *cardsim.ContactlessPersonality) { p.Applications[0].KernelID = emv.HexBytes{2} }, 0, contactless.EndApplication},
		{"any kernel", "k3-online", func(p *cardsim.ContactlessPersonality) { p.Applications[0].KernelID = emv.HexBytes{0} }, 3, contactless.Online},
		{"domestic kernel", "k3-online", func(p *cardsim.ContactlessPersonality) { p.Applications[0].KernelID = emv.HexBytes{0x81, 1, 86} }, 0, contactless.EndApplication},
		{"extended selection", "k3-online", func(p *cardsim.ContactlessPersonality) { p.Applications[0].Extended = emv.HexBytes{0xAB, 0xCD} }, 3, contactless.Online},
		{"partial name", "k3-online", func(p *cardsim.ContactlessPersonality) {
			p.Applications[0].AID = append(p.Applications[0].AID, 0x07)
		}, 3, contactless.Online},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, err := cardsim.LoadContactless(c.card)
			if err != nil {
				t.Fatal(err)
			}
			if c.change != nil {
				c.change(&p)
			}
			card, err := cardsim.NewContactless(p)
			if err != nil {
				t.Fatal(err)
			}
			out := run(t, reader(t, config(t)), emv.Transaction{Amount: 500}, cardsim.InField(card))
			if out.Kind != c.kind || out.Kernel != c.kernel {
				t.Fatalf("kernel %d: %s (%s %v)", out.Kernel, out.Kind, out.Sale.Reason, out.Sale.Cause)
			}
			if len(p.Applications[0].Extended) > 0 && len(out.Sale.AID) != 9 {
				t.Fatalf("selected %v", out.Sale.AID)
			}
		})
	}
}

// TestOutcomeParameters is Book A, 6.2: what goes with an outcome.
func TestOutcomeParameters(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	r := reader(t, cfg)
	phone := run(t, r, emv.Transaction{Amount: 500}, cardsim.InField(open(t, "k3-see-phone")))
	if phone.Start != contactless.StartB || phone.OnOutcome.Message != contactless.MessageSeePhone || phone.FieldOff != 13 {
		t.Fatalf("see phone: %+v", phone)
	}
	signed := run(t, r, emv.Transaction{Amount: 50000}, cardsim.InField(open(t, "k3-signature")))
	if done := signed.Complete(emv.OnlineResult{ARC: "00"}); done.Kind != contactless.Approved ||
		done.OnOutcome.Message != contactless.MessageApprovedSign || !done.Sale.Signature() || done.Sale.Kind != emv.Approve {
		t.Fatalf("signature: %s %+v", done.Kind, done.OnOutcome)
	}
	if no := signed.Complete(emv.OnlineResult{ARC: "05"}); no.Kind != contactless.Declined || no.Sale.Kind != emv.Decline {
		t.Fatalf("host declined: %s", no.Kind)
	}
	if no := signed.Complete(emv.OnlineResult{ARC: "00", UnableToGoOnline: true}); no.Kind != contactless.Declined {
		t.Fatalf("no host: %s", no.Kind)
	}
	pin := run(t, r, emv.Transaction{Amount: 50000}, cardsim.InField(open(t, "k3-online-pin")))
	if !pin.Sale.CVM.OnlinePIN() {
		t.Fatalf("CVM results %v", pin.Sale.CVM)
	}
	tap := run(t, r, emv.Transaction{Amount: 500}, cardsim.InField(open(t, "k7-fdda")))
	if tap.Balance == nil || *tap.Balance != 12345 || tap.OnOutcome.Language != "zhen" {
		t.Fatalf("balance %v, language %q", tap.Balance, tap.OnOutcome.Language)
	}
	if again := r.Tap(t.Context(), cardsim.InField(open(t, "k7-fdda"))); again.Sale.Reason != emv.ReasonWrongState || !again.Sale.PAN.IsZero() {
		t.Fatalf("a tap after the end: %s %s", again.Kind, again.Sale.Reason)
	}
}

// TestAfterTheCard: the cardholder is told to take the card before signatures are verified, and the issuer's key is
// recovered once.
func TestAfterTheCard(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"k3-fdda", "k2-cda"} {
		var order []string
		cfg := config(t)
		revoked := 0
		cfg.Revoked = func(emv.RID, uint8, [3]byte) bool { revoked++; return revoked > 2 }
		cfg.UI = func(u contactless.UIRequest) { order = append(order, fmt.Sprintf("ui %02X", byte(u.Message))) }
		cfg.Trace = func(e emv.Event) {
			switch e := e.(type) {
			case emv.APDUEvent:
				order = append(order, "apdu")
			case emv.StepEvent:
				order = append(order, e.Step)
			}
		}
		r := reader(t, cfg)
		card := open(t, name)
		for range 2 {
			card.Reset()
			if out := run(t, r, emv.Transaction{Amount: 500}, cardsim.InField(card)); out.Kind != contactless.Approved {
				t.Fatalf("%s: %s %v", name, out.Kind, out.Sale.Cause)
			}
		}
		n := len(order)
		if order[n-1] != "offline data authentication" || order[n-2] != "ui 17" || order[n-3] != "card read" || order[n-4] == "card read" {
			t.Fatalf("%s: %v", name, order)
		}
		card.Reset()
		if out := run(t, r, emv.Transaction{Amount: 500}, cardsim.InField(card)); out.Kind == contactless.Approved || revoked != 3 {
			t.Fatalf("%s: a revoked certificate from the cache: %s, judged %d times", name, out.Kind, revoked)
		}
	}
}

var _ emv.Card = (*tamper)(nil)

// tamper stands between kernel and card and changes answers.
type tamper struct {
	card   emv.Card
	change func(n int, capdu, rapdu []byte) []byte
	n      int
}

func (t *tamper) Transmit(ctx context.Context, capdu []byte) ([]byte, error) {
	r, err := t.card.Transmit(ctx, capdu)
	if err != nil {
		return nil, err
	}
	t.n++
	return t.change(t.n, capdu, append([]byte(nil), r...)), nil
}
