package contact_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"posagent/agent/emv"
	"posagent/agent/emv/cardsim"
	"posagent/agent/emv/contact"
)

// twoApps is a card with two applications of the first scheme; the second is the better one.
func twoApps(tb testing.TB, pse bool) *cardsim.Card {
	tb.Helper()
	p, err := cardsim.Load("approves-offline")
	if err != nil {
		tb.Fatal(err)
	}
	second := p.Applications[0]
	second.AID = emv.AID{0xA0, 0, 0, 3, 0x33, 1, 1, 2}
	second.Label = "TEST CREDIT"
	p.Applications[0].Priority = 2
	p.PSE, p.Applications = pse, append(p.Applications, second)
	c, err := cardsim.New(p)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// TestSelection: EMV 4.4 Book 1, 12.3 and 12.4.
func TestSelection(t *testing.T) {
	t.Parallel()
	refuse := func(name string) func(int, []byte, []byte) []byte { // GPO is refused while name is selected
		var selected []byte
		return func(_ int, capdu, r []byte) []byte {
			cmd, _ := emv.ParseCommand(capdu)
			if cmd.INS == emv.InsSelect {
				selected = bytes.Clone(cmd.Data)
			}
			if cmd.INS == emv.InsGPO && emv.HexBytes(selected).String() == name {
				return []byte{0x69, 0x85}
			}
			return r
		}
	}
	for _, c := range []struct {
		name   string
		pse    bool
		change func(*contact.Kernel)
		tap    func(int, []byte, []byte) []byte
		choose func([]emv.Candidate) (int, error)
		offers string // candidate lists offered to the cardholder
		aid    string
		kind   emv.Kind
		reason emv.Reason
	}{
		{name: "12.3.2 directory, in priority order", pse: true, offers: "TEST CREDIT,TEST DEBIT", aid: "A000000333010102", kind: emv.Approve, reason: emv.ReasonCardApproved},
		{name: "12.3.3 list of AIDs with SELECT NEXT", offers: "TEST CREDIT,TEST DEBIT", aid: "A000000333010102", kind: emv.Approve, reason: emv.ReasonCardApproved},
		{name: "12.4 the cardholder's choice", pse: true, choose: func([]emv.Candidate) (int, error) { return 1, nil },
			offers: "TEST CREDIT,TEST DEBIT", aid: "A000000333010101", kind: emv.Approve, reason: emv.ReasonCardApproved},
		{name: "12.3.1 whole name only", change: func(k *contact.Kernel) { k.Applications[0].Partial = false }, kind: emv.NotAccepted, reason: emv.ReasonNoApplication},
		{name: "12.3.1 whole name in the terminal's list", change: func(k *contact.Kernel) {
			k.Applications[0].AID, k.Applications[0].Partial = emv.AID{0xA0, 0, 0, 3, 0x33, 1, 1, 1}, false
		}, aid: "A000000333010101", kind: emv.Approve, reason: emv.ReasonCardApproved},
		{name: "12.4 refused application is struck", pse: true, tap: refuse("A000000333010102"),
			offers: "TEST CREDIT,TEST DEBIT|TEST DEBIT", aid: "A000000333010101", kind: emv.Approve, reason: emv.ReasonCardApproved},
		{name: "12.4 cancelled", pse: true, choose: func([]emv.Candidate) (int, error) { return 0, emv.ErrCancelled },
			offers: "TEST CREDIT,TEST DEBIT", kind: emv.Terminated, reason: emv.ReasonCancelled},
		{name: "a choice out of range", pse: true, choose: func([]emv.Candidate) (int, error) { return 2, nil },
			offers: "TEST CREDIT,TEST DEBIT", kind: emv.Terminated, reason: emv.ReasonDialogue},
		{name: "12.3.2 broken directory falls back", pse: true, tap: func(n int, _, r []byte) []byte {
			if n == 2 {
				return []byte{0x70, 0x05, 0x61, 0x90, 0x00}
			}
			return r
		}, offers: "TEST CREDIT,TEST DEBIT", aid: "A000000333010102", kind: emv.Approve, reason: emv.ReasonCardApproved},
		{name: "12.3.2 card blocked", pse: true, tap: func(int, []byte, []byte) []byte { return []byte{0x6A, 0x81} }, kind: emv.NotAccepted, reason: emv.ReasonCardBlocked},
		{name: "12.3.3 blocked application", tap: func(_ int, capdu, r []byte) []byte {
			if capdu[1] == emv.InsSelect && bytes.Contains(r, []byte("CREDIT")) {
				copy(r[len(r)-2:], []byte{0x62, 0x83})
			}
			return r
		}, aid: "A000000333010101", kind: emv.Approve, reason: emv.ReasonCardApproved},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			k := newKernel(t)
			k.Applications = slices.Clone(k.Applications)
			if c.change != nil {
				c.change(&k)
			}
			card := cardsim.Direct(twoApps(t, c.pse))
			if c.tap != nil {
				card = &tamper{card: card, change: c.tap}
			}
			d := &dialogue{choose: c.choose}
			_, out, err := k.Start(t.Context(), card, emv.Transaction{Amount: 100}, d)
			if err != nil || out.Kind != c.kind || out.Reason != c.reason || out.AID.String() != c.aid {
				t.Fatalf("%s %q %v AID %v: %v", out.Kind, out.Reason, out.Cause, out.AID, err)
			}
			var offers []string
			for _, list := range d.asked {
				var labels []string
				for _, x := range list {
					labels = append(labels, x.Label)
				}
				offers = append(offers, strings.Join(labels, ","))
			}
			if got := strings.Join(offers, "|"); got != c.offers {
				t.Fatalf("offered %q, want %q", got, c.offers)
			}
		})
	}
}

// TestConfirmation: a single application that wants confirmation is offered. EMV 4.4 Book 1, 12.4.
func TestConfirmation(t *testing.T) {
	t.Parallel()
	p, err := cardsim.Load("approves-offline")
	if err != nil {
		t.Fatal(err)
	}
	p.Applications[0].Priority = 0x81
	card, err := cardsim.New(p)
	if err != nil {
		t.Fatal(err)
	}
	d := &dialogue{}
	_, out, err := newKernel(t).Start(t.Context(), cardsim.Direct(card), emv.Transaction{Amount: 100}, d)
	if err != nil || out.Kind != emv.Approve || len(d.asked) != 1 || !d.asked[0][0].Confirm || d.asked[0][0].Priority != 1 {
		t.Fatalf("%s %+v %v", out.Kind, d.asked, err)
	}
}

// TestTrace: a trace tells every step and exchange and never a secret.
func TestTrace(t *testing.T) {
	t.Parallel()
	p, err := cardsim.Load("online-pin")
	if err != nil {
		t.Fatal(err)
	}
	p.Applications[0].PAN = "6226097318460046"
	// A PDOL and a CDOL that make the terminal send the card number itself back to the card.
	p.Applications[0].CDOL1 = emv.HexBytes{0x9F, 2, 6, 0x9F, 3, 6, 0x9F, 0x1A, 2, 0x95, 5, 0x5F, 0x2A, 2, 0x9A, 3, 0x9C, 1, 0x9F, 0x37, 4, 0x5A, 10, 0x57, 19}
	p.Applications[0].PDOL = emv.HexBytes{0x9F, 0x1A, 2}
	card, err := cardsim.New(p)
	if err != nil {
		t.Fatal(err)
	}
	k := newKernel(t)
	var text strings.Builder
	kinds := map[string]int{}
	k.Trace = func(e emv.Event) {
		fmt.Fprintf(&text, "%+v\n", e)
		kinds[fmt.Sprintf("%T", e)]++
	}
	session, out, err := k.Start(t.Context(), cardsim.Direct(card), emv.Transaction{Amount: 100}, &dialogue{})
	if err != nil || out.Kind != emv.Online {
		t.Fatalf("%s %q %v %v", out.Kind, out.Reason, out.Cause, err)
	}
	if out, err = session.Complete(t.Context(), host(t, out, "00")); err != nil || out.Kind != emv.Approve {
		t.Fatalf("%s %q %v %v", out.Kind, out.Reason, out.Cause, err)
	}
	fmt.Fprintf(&text, "%+v %#v %v\n", out, session, k)
	for _, secret := range []string{p.Applications[0].PAN, p.Applications[0].PAN[6:12], p.Applications[0].Holder,
		fmt.Sprintf("%X", p.Applications[0].Holder), strings.ToLower(fmt.Sprintf("%X", p.Applications[0].Holder))} {
		if strings.Contains(strings.ReplaceAll(text.String(), " ", ""), secret) {
			t.Errorf("the trace holds %q", secret)
		}
	}
	if kinds["emv.APDUEvent"] < 12 || kinds["emv.StepEvent"] != 11 || kinds["emv.CandidatesEvent"] != 1 {
		t.Fatalf("events %v", kinds)
	}
	if !strings.Contains(text.String(), "**") {
		t.Fatal("nothing was masked")
	}
}

// BenchmarkContactDDA is a full contact transaction with DDA, host answer and second cryptogram, kernel only: the card's
// answers are a recording.
func BenchmarkContactDDA(b *testing.B) {
	card := open(b, "dda-online")
	var tape [][]byte
	rec := &tamper{card: cardsim.Direct(card), change: func(_ int, _, r []byte) []byte { tape = append(tape, r); return r }}
	k := newKernel(b)
	tx := emv.Transaction{Amount: 12345}
	session, out, err := k.Start(b.Context(), rec, tx, &dialogue{})
	if err != nil || out.Kind != emv.Online {
		b.Fatal(out, err)
	}
	answer := host(b, out, "00")
	if out, err = session.Complete(b.Context(), answer); err != nil || out.Kind != emv.Approve {
		b.Fatal(out, err)
	}
	b.ReportAllocs()
	for b.Loop() {
		k.Rand = &stream{}
		play := &playback{tape: tape}
		session, out, err := k.Start(context.Background(), play, tx, &dialogue{})
		if err != nil || out.Kind != emv.Online {
			b.Fatal(out, err)
		}
		if out, err = session.Complete(context.Background(), answer); err != nil || out.Kind != emv.Approve || out.TVR != (emv.TVR{}) {
			b.Fatal(out, err)
		}
	}
}

type playback struct {
	tape [][]byte
	n    int
}

func (p *playback) Transmit(context.Context, []byte) ([]byte, error) {
	p.n++
	return p.tape[p.n-1], nil
}

// FuzzCard runs whole transactions against a card that answers with whatever comes.
func FuzzCard(f *testing.F) {
	f.Add([]byte{0x02, 0x6A, 0x82})
	card := open(f, "cda-online")
	var seed []byte
	rec := &tamper{card: cardsim.Direct(card), change: func(_ int, _, r []byte) []byte {
		if len(r) < 256 {
			seed = append(append(seed, byte(len(r))), r...)
		}
		return r
	}}
	k := newKernel(f)
	if _, _, err := k.Start(f.Context(), rec, emv.Transaction{Amount: 100}, &dialogue{}); err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, in []byte) {
		n := 0
		tape := in
		answer := scripted(func([]byte) []byte {
			if n++; len(tape) == 0 {
				if n > 1000 {
					t.Fatal("the kernel does not end")
				}
				tape = in // again from the beginning: a card never tires
				if len(tape) == 0 {
					return nil
				}
			}
			size := min(int(tape[0]), len(tape)-1)
			r := tape[1 : 1+size]
			tape = tape[1+size:]
			return r
		})
		k := everything(t)
		pad := &pinPad{pins: []string{"1234", "1234", "1234", ""}}
		session, out, err := k.Start(t.Context(), answer, emv.Transaction{Amount: 100}, pad)
		if err != nil {
			t.Fatal(err)
		}
		if out.Kind == emv.Online {
			if out, err = session.Complete(t.Context(), emv.OnlineResult{ARC: "00", Scripts: in}); err != nil {
				t.Fatal(err)
			}
		}
		if out.Kind == "" || out.Kind == emv.Online {
			t.Fatalf("outcome %q", out.Kind)
		}
	})
}
