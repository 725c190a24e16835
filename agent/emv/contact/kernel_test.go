package contact_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"posagent/agent/emv"
	"posagent/agent/emv/cardsim"
	"posagent/agent/emv/contact"
	"posagent/agent/payment"
)

// dialogue is a cardholder who takes the first application and enters a PIN.
type dialogue struct {
	choose func([]emv.Candidate) (int, error)
	pin    func() (emv.PINOutcome, error)
	asked  [][]emv.Candidate
	pins   int
}

func (d *dialogue) SelectApplication(_ context.Context, list []emv.Candidate) (int, error) {
	d.asked = append(d.asked, list)
	if d.choose != nil {
		return d.choose(list)
	}
	return 0, nil
}

func (d *dialogue) OnlinePIN(context.Context, payment.PAN) (emv.PINOutcome, error) {
	d.pins++
	if d.pin != nil {
		return d.pin()
	}
	block, err := payment.NewPINBlock([]byte{1, 2, 3, 4, 5, 6, 7, 8})
	return emv.PINOutcome{Status: emv.PINEntered, Block: block}, err
}

// stream is a random source without a secret: the same bytes in every run.
type stream struct {
	block [32]byte
	at    int
}

func (s *stream) Read(p []byte) (int, error) {
	for i := range p {
		if s.at%32 == 0 {
			s.block = sha256.Sum256(s.block[:])
		}
		p[i] = s.block[s.at%32]
		s.at++
	}
	return len(p), nil
}

var _ io.Reader = (*stream)(nil)

func newKernel(tb testing.TB) contact.Kernel {
	tb.Helper()
	capks, err := emv.NewCAPKs(cardsim.CAPKs()...)
	if err != nil {
		tb.Fatal(err)
	}
	return contact.Kernel{
		Terminal: emv.Terminal{
			Type: 0x22, Capabilities: emv.Capabilities{0xE0, 0x68, 0xC8}, Country: "156", Currency: payment.CNY,
			IFDSerial: "00000001", TerminalID: "12345678", MerchantID: "123456789012345", MCC: "5411",
		},
		Applications: cardsim.Applications(),
		CAPKs:        capks,
		Now:          func() time.Time { return time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC) },
		Rand:         &stream{},
	}
}

func open(tb testing.TB, name string) *cardsim.Card {
	tb.Helper()
	c, err := cardsim.Open(name)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// host answers an online request as the issuer would.
func host(tb testing.TB, out emv.Outcome, arc emv.ARC) emv.OnlineResult {
	tb.Helper()
	issuer := cardsim.TestIssuer()
	if err := issuer.VerifyARQC(out.PAN, out.PANSequence, out.DE55); err != nil {
		tb.Fatalf("the host refuses the ARQC: %v", err)
	}
	auth, err := issuer.ARPC(out.PAN, out.PANSequence, out.DE55, arc)
	if err != nil {
		tb.Fatal(err)
	}
	return emv.OnlineResult{ARC: arc, IssuerAuthData: auth}
}

// TestPersonalities runs every embedded card through the kernel and pins outcome, TVR and TSI before and after the host.
func TestPersonalities(t *testing.T) {
	t.Parallel()
	type want struct {
		kind     emv.Kind
		reason   emv.Reason
		tvr, tsi string
	}
	for _, c := range []struct {
		card       string
		amount     payment.Amount
		start, end want
		cvm        string
		pin        bool
	}{
		{"online-pin", 12345, want{emv.Online, "", "0000040000", "E800"}, want{emv.Approve, emv.ReasonCardApproved, "0000040000", "F800"}, "420300", true},
		{"no-cvm", 12345, want{emv.Online, "", "0000000000", "E800"}, want{emv.Approve, emv.ReasonCardApproved, "0000000000", "E800"}, "1F0002", false},
		{"dda-online", 12345, want{emv.Online, "", "0000000000", "E800"}, want{emv.Approve, emv.ReasonCardApproved, "0000000000", "F800"}, "1F0002", false},
		{"cda-online", 12345, want{emv.Online, "", "0000000000", "E800"}, want{emv.Approve, emv.ReasonCardApproved, "0000000000", "F800"}, "1F0002", false},
		{"sda-online", 12345, want{emv.Online, "", "0200000000", "E800"}, want{emv.Approve, emv.ReasonCardApproved, "0200000000", "E800"}, "1F0002", false},
		{"declines-offline", 12345, want{emv.Decline, emv.ReasonCardDeclined, "0000000000", "E800"}, want{}, "1F0002", false},
		{"approves-offline", 12345, want{emv.Approve, emv.ReasonCardApproved, "0000000000", "E800"}, want{}, "1F0002", false},
		{"approves-offline", 50000, want{emv.Online, "", "0000008000", "E800"}, want{emv.Approve, emv.ReasonCardApproved, "0000008000", "F800"}, "1F0002", false},
		{"bad-dda", 12345, want{emv.Online, "", "0800000000", "E800"}, want{emv.Approve, emv.ReasonCardApproved, "0800000000", "F800"}, "1F0002", false},
		{"expired", 12345, want{emv.Decline, emv.ReasonTerminalDeclined, "0040000000", "E800"}, want{}, "1F0002", false},
		{"gac2-decline", 12345, want{emv.Online, "", "0000000000", "E800"}, want{emv.Decline, emv.ReasonCardDeclined, "0000000000", "F800"}, "1F0002", false},
	} {
		t.Run(c.card, func(t *testing.T) {
			t.Parallel()
			check := func(when string, out emv.Outcome, w want) {
				t.Helper()
				tvr, tsi := emv.HexBytes(out.TVR[:]).String(), emv.HexBytes(out.TSI[:]).String()
				if out.Kind != w.kind || out.Reason != w.reason || tvr != w.tvr || tsi != w.tsi {
					t.Fatalf("%s: %s %q %v\nTVR %v\nTSI %v\nwant %+v", when, out.Kind, out.Reason, out.Cause, out.TVR, out.TSI, w)
				}
				if got := emv.HexBytes(out.CVM[:]).String(); got != c.cvm {
					t.Fatalf("%s: CVM results %v, want %s", when, out.CVM, c.cvm)
				}
			}
			card, d := open(t, c.card), &dialogue{}
			session, out, err := newKernel(t).Start(t.Context(), cardsim.Direct(card), emv.Transaction{Amount: c.amount, Sequence: 7}, d)
			if err != nil {
				t.Fatal(err)
			}
			check("start", out, c.start)
			if (d.pins == 1) != c.pin || out.PINBlock.IsZero() == c.pin {
				t.Fatalf("%d PIN entries, block %v", d.pins, out.PINBlock)
			}
			a := card.Personality().Applications[0]
			if out.PAN.Reveal() != a.PAN || out.Track2.PAN().Reveal() != a.PAN || out.PANSequence != "001" ||
				out.Label != a.Label || out.Expiry != a.Expiry.Time.Format("0601") || out.AID.String() != a.AID.String() {
				t.Fatalf("card data: %v %v %q %q %q %v", out.PAN, out.Track2, out.PANSequence, out.Label, out.Expiry, out.AID)
			}
			if out.Kind != emv.Online {
				if _, err := session.Complete(t.Context(), emv.OnlineResult{ARC: "00"}); !errors.Is(err, contact.ErrState) {
					t.Fatalf("completion of an ended session: %v", err)
				}
				return
			}
			out, err = session.Complete(t.Context(), host(t, out, "00"))
			if err != nil {
				t.Fatal(err)
			}
			check("complete", out, c.end)
			if _, err := session.Complete(t.Context(), emv.OnlineResult{ARC: "00"}); !errors.Is(err, contact.ErrState) {
				t.Fatalf("second completion: %v", err)
			}
		})
	}
}

// TestCompletion varies what comes back from the host. EMV 4.4 Book 3, 10.9 to 10.11.
func TestCompletion(t *testing.T) {
	t.Parallel()
	script71 := []byte{0x71, 0x0F, 0x9F, 0x18, 0x04, 1, 2, 3, 4, 0x86, 0x06, 0x84, 0x16, 0, 0, 0x01, 0xAA}
	script72 := []byte{0x72, 0x0F, 0x9F, 0x18, 0x04, 5, 6, 7, 8, 0x86, 0x06, 0x84, 0x99, 0, 0, 0x01, 0xAA}
	bad71 := []byte{0x71, 0x03, 0x86, 0x09, 0x84}
	for _, c := range []struct {
		name    string
		card    string
		change  func(*emv.OnlineResult)
		kind    emv.Kind
		reason  emv.Reason
		tvr     string
		arc     emv.ARC
		results string
		scripts uint32
	}{
		{"host declines", "dda-online", func(r *emv.OnlineResult) { r.ARC = "05" }, emv.Decline, emv.ReasonHostDeclined, "0000000000", "05", "", 0},
		{"host wants a call", "dda-online", func(r *emv.OnlineResult) { r.ARC = "01" }, emv.Decline, emv.ReasonReferral, "0000000000", "01", "", 0},
		{"script refused", "script-refused", func(r *emv.OnlineResult) { r.Scripts = script71 }, emv.Approve, emv.ReasonCardApproved, "0000000020", "00", "1101020304", 0},
		{"no issuer authentication data", "dda-online", func(r *emv.OnlineResult) { r.IssuerAuthData = nil }, emv.Decline, emv.ReasonCardDeclined, "0000000000", "00", "", 0},
		{"wrong ARPC", "dda-online", func(r *emv.OnlineResult) { r.IssuerAuthData[0] ^= 1 }, emv.Decline, emv.ReasonCardDeclined, "0000000040", "00", "", 0},
		{"short issuer authentication data", "dda-online", func(r *emv.OnlineResult) { r.IssuerAuthData = []byte{1} }, emv.Decline, emv.ReasonCardDeclined, "0000000040", "00", "", 0},
		{"wrong ARPC in the second cryptogram", "no-cvm", func(r *emv.OnlineResult) { r.IssuerAuthData[0] ^= 1 }, emv.Decline, emv.ReasonCardDeclined, "0000000000", "00", "", 0},
		{"unable to go online", "dda-online", func(r *emv.OnlineResult) { *r = emv.OnlineResult{UnableToGoOnline: true} }, emv.Approve, emv.ReasonUnableOnline, "0000000000", "Y3", "", 0},
		{"unable to go online, action code", "bad-dda", func(r *emv.OnlineResult) { *r = emv.OnlineResult{UnableToGoOnline: true} }, emv.Decline, emv.ReasonUnableOnline, "0800000000", "Z3", "", 0},
		{"unable to go online, lower limit", "limits", func(r *emv.OnlineResult) { *r = emv.OnlineResult{UnableToGoOnline: true} }, emv.Approve, emv.ReasonUnableOnline, "0000004000", "Y3", "", 0},
		{"unable to go online, upper limit", "limits-reached", func(r *emv.OnlineResult) { *r = emv.OnlineResult{UnableToGoOnline: true} }, emv.Decline, emv.ReasonUnableOnline, "0000006000", "Z3", "", 0},
		{"script before", "dda-online", func(r *emv.OnlineResult) { r.Scripts = script71 }, emv.Approve, emv.ReasonCardApproved, "0000000000", "00", "2001020304", 1},
		{"script after fails at its first command", "dda-online", func(r *emv.OnlineResult) { r.Scripts = script72 }, emv.Approve, emv.ReasonCardApproved, "0000000010", "00", "1105060708", 0},
		{"both scripts", "cda-online", func(r *emv.OnlineResult) { r.Scripts = append(script71[:len(script71):len(script71)], script72...) }, emv.Approve, emv.ReasonCardApproved, "0000000010", "00", "20010203041105060708", 1},
		{"malformed script", "dda-online", func(r *emv.OnlineResult) { r.Scripts = bad71 }, emv.Approve, emv.ReasonCardApproved, "0000000020", "00", "1000000000", 0},
		{"no script at all", "dda-online", func(r *emv.OnlineResult) { r.Scripts = []byte{0x5A, 0xFF} }, emv.Approve, emv.ReasonCardApproved, "0000000000", "00", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			card := open(t, c.card)
			session, out, err := newKernel(t).Start(t.Context(), cardsim.Direct(card), emv.Transaction{Amount: 100}, &dialogue{})
			if err != nil || out.Kind != emv.Online {
				t.Fatalf("%+v %v", out, err)
			}
			r := host(t, out, "00")
			c.change(&r)
			out, err = session.Complete(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			tvr, results := emv.HexBytes(out.TVR[:]).String(), emv.HexBytes(out.ScriptResults).String()
			if out.Kind != c.kind || out.Reason != c.reason || tvr != c.tvr || out.ARC != c.arc || results != c.results {
				t.Fatalf("%s %q TVR %v ARC %s scripts %s %v", out.Kind, out.Reason, out.TVR, out.ARC, results, out.Cause)
			}
			if card.Scripts() != c.scripts {
				t.Fatalf("the card ran %d script commands, want %d", card.Scripts(), c.scripts)
			}
		})
	}
	t.Run("response code of three characters", func(t *testing.T) {
		t.Parallel()
		session, _, err := newKernel(t).Start(t.Context(), cardsim.Direct(open(t, "dda-online")), emv.Transaction{Amount: 1}, &dialogue{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := session.Complete(t.Context(), emv.OnlineResult{ARC: "000"}); !errors.Is(err, emv.ErrTransaction) {
			t.Fatalf("error %v", err)
		}
		if out, err := session.Complete(t.Context(), emv.OnlineResult{UnableToGoOnline: true}); err != nil || out.Kind != emv.Approve {
			t.Fatalf("the session can still be completed: %v %v", out.Kind, err)
		}
	})
}

// TestConfiguration: an error names the field and nothing is sent.
func TestConfiguration(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*contact.Kernel, *emv.Transaction)
		want   string
	}{
		{"no applications", func(k *contact.Kernel, _ *emv.Transaction) { k.Applications = nil }, "0 applications"},
		{"short AID", func(k *contact.Kernel, _ *emv.Transaction) { k.Applications[0].AID = emv.AID{1} }, "applications[0].aid"},
		{"percentages", func(k *contact.Kernel, _ *emv.Transaction) { k.Applications[1].TargetPercent = 100 }, "applications[1].target_percent"},
		{"threshold", func(k *contact.Kernel, _ *emv.Transaction) { k.Applications[1].Threshold = 1 << 40 }, "applications[1].threshold"},
		{"terminal type", func(k *contact.Kernel, _ *emv.Transaction) { k.Terminal.Type = 0x29 }, "terminal type 29"},
		{"country", func(k *contact.Kernel, _ *emv.Transaction) { k.Terminal.Country = "CN" }, `country "CN"`},
		{"negative amount", func(_ *contact.Kernel, x *emv.Transaction) { x.Amount = -1 }, "amount"},
		{"other amount", func(_ *contact.Kernel, x *emv.Transaction) { x.Other = 2 }, "other amount"},
		{"type", func(_ *contact.Kernel, x *emv.Transaction) { x.Type = 0x0A }, "type 0A"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			k, tx := newKernel(t), emv.Transaction{Amount: 1}
			c.change(&k, &tx)
			card := open(t, "no-cvm")
			_, _, err := k.Start(t.Context(), failing{t}, tx, &dialogue{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %q (card %s)", err, c.want, card.Personality().Name)
			}
		})
	}
}

// failing is a card that must not be asked.
type failing struct{ t *testing.T }

func (f failing) Transmit(context.Context, []byte) ([]byte, error) {
	f.t.Error("a command was sent")
	return nil, cardsim.ErrMute
}
