package contact_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"posagent/agent/emv"
	"posagent/agent/emv/cardsim"
	"posagent/agent/emv/contact"
	"posagent/agent/emv/oda"
)

// pinPad is a cardholder with a PIN pad for offline PINs. pins are what is entered, one after another; "" is a bypass, "!"
// a broken pad, "x" a cancellation.
type pinPad struct {
	dialogue
	pins     []string
	requests []emv.OfflinePINRequest
}

func block(digits string) (b [8]byte) {
	b = [8]byte{0x20 | byte(len(digits)), 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}
	for i, c := range []byte(digits) {
		shift := 4 * (1 - uint(i)%2)
		b[1+i/2] = b[1+i/2]&^(0x0F<<shift) | (c-'0')<<shift
	}
	return b
}

func (p *pinPad) OfflinePIN(ctx context.Context, r emv.OfflinePINRequest) (emv.OfflinePINOutcome, error) {
	p.requests = append(p.requests, r)
	if len(p.pins) == 0 {
		return emv.OfflinePINOutcome{}, errors.New("no PIN was to be asked for")
	}
	pin := p.pins[0]
	p.pins = p.pins[1:]
	switch pin {
	case "":
		return emv.OfflinePINOutcome{Status: emv.PINBypassed}, nil
	case "!":
		return emv.OfflinePINOutcome{Status: emv.PINPadError}, nil
	case "x":
		return emv.OfflinePINOutcome{}, emv.ErrCancelled
	}
	b := block(pin)
	if r.Enciphered {
		data, err := oda.EncipherPIN(r.Key, b, r.Challenge, &stream{})
		return emv.OfflinePINOutcome{Status: emv.PINEntered, Block: data}, err
	}
	_, err := r.Verify(ctx, append([]byte{0x00, 0x20, 0x00, 0x80, 0x08}, b[:]...))
	return emv.OfflinePINOutcome{Status: emv.PINEntered}, err
}

// everything is a kernel of a terminal that supports every method.
func everything(tb testing.TB) contact.Kernel {
	k := newKernel(tb)
	k.Terminal.Capabilities = emv.Capabilities{0xE0, 0xF8, 0xC8}
	return k
}

// cardRow is one card and what comes of it.
type cardRow struct {
	card   string
	tx     emv.Transaction
	pins   []string
	kind   emv.Kind
	reason emv.Reason
	cvm    string
	tvr    string
	left   int // PIN entries that were not asked for
	kernel func(*contact.Kernel)
}

// TestCards runs the cards of every cardholder verification method with every outcome: Book 3, 10.5, 10.5.1 to 10.5.4. The
// PINs are verified by the cards themselves. What a card's about says is what its rows prove.
func TestCards(t *testing.T) {
	t.Parallel()
	const none = "0000000000"
	sale := emv.Transaction{Amount: 12345, Sequence: 7}
	ok, wrong := []string{"1234"}, []string{"9999", "9999", "9999", "9999"}
	approved, refused, card, host := emv.ReasonCardApproved, emv.ReasonTerminalDeclined, emv.ReasonCardDeclined, emv.ReasonNone
	noPad := func(k *contact.Kernel) { k.Terminal.Capabilities = emv.Capabilities{0xE0, 0x68, 0xC8} }
	plainOnly := func(k *contact.Kernel) { k.Terminal.Capabilities = emv.Capabilities{0xE0, 0xE8, 0xC8} }
	for _, c := range []cardRow{
		{"plain-pin", sale, ok, emv.Approve, approved, "010002", none, 0, nil},
		{"plain-pin", sale, []string{"9999", "1234"}, emv.Approve, approved, "010002", none, 0, nil},
		{"plain-pin", sale, wrong, emv.Decline, refused, "010001", "0000A00000", 1, nil},
		{"plain-pin", sale, []string{""}, emv.Decline, refused, "010001", "0000880000", 0, nil},
		{"plain-pin", sale, []string{"9999", ""}, emv.Decline, refused, "010001", "0000880000", 0, nil},
		{"plain-pin", sale, []string{"!"}, emv.Decline, refused, "010001", "0000900000", 0, nil},
		{"plain-pin", sale, []string{"x"}, emv.Terminated, emv.ReasonCancelled, "010001", none, 0, nil},
		{"plain-pin", sale, nil, emv.Decline, refused, "3F0001", "0000900000", 0, noPad},
		{"plain-pin-online", sale, ok, emv.Online, host, "010002", none, 0, nil},
		{"plain-pin-declines", sale, ok, emv.Decline, card, "010002", none, 0, nil},
		{"plain-pin-blocked", sale, ok, emv.Decline, refused, "010001", "0000A00000", 1, nil},
		{"plain-pin-last-try", sale, ok, emv.Approve, approved, "010002", none, 0, nil},
		{"plain-pin-last-try", sale, wrong, emv.Decline, refused, "010001", "0000A00000", 3, nil},
		{"plain-pin-hidden", sale, ok, emv.Approve, approved, "010002", none, 0, nil},
		{"plain-pin-hidden", sale, wrong, emv.Decline, refused, "010001", "0000A00000", 1, nil},
		{"plain-pin-signature", sale, ok, emv.Approve, approved, "030000", none, 0, nil},
		{"plain-pin-signature", sale, wrong, emv.Decline, refused, "030001", "0000A00000", 1, nil},
		{"plain-pin-signature-declines", sale, ok, emv.Decline, card, "030000", none, 0, nil},
		{"pin-or-signature", sale, ok, emv.Approve, approved, "410302", none, 0, nil},
		{"pin-or-signature", sale, []string{""}, emv.Approve, approved, "1E0000", "0000080000", 0, nil},
		{"pin-or-signature", sale, wrong, emv.Approve, approved, "1E0000", "0000200000", 1, nil},
		{"pin-or-signature", sale, nil, emv.Approve, approved, "1E0000", none, 0, noPad},
		{"enciphered-pin", sale, ok, emv.Approve, approved, "040002", none, 0, nil},
		{"enciphered-pin", sale, []string{"9999", "9999", "1234"}, emv.Approve, approved, "040002", none, 0, nil},
		{"enciphered-pin", sale, wrong, emv.Decline, refused, "040001", "0000A00000", 1, nil},
		{"enciphered-pin", sale, []string{""}, emv.Decline, refused, "040001", "0000880000", 0, nil},
		{"enciphered-pin", sale, nil, emv.Decline, refused, "3F0001", "0000800000", 0, plainOnly},
		{"enciphered-pin-icc-key", sale, ok, emv.Approve, approved, "040002", none, 0, nil},
		{"enciphered-pin-icc-key", sale, wrong, emv.Decline, refused, "040001", "8000A00000", 1, nil},
		{"enciphered-pin-declines", sale, ok, emv.Decline, card, "040002", none, 0, nil},
		{"enciphered-pin-signature", sale, ok, emv.Approve, approved, "050000", none, 0, nil},
		{"enciphered-pin-signature", sale, wrong, emv.Decline, refused, "050001", "0000A00000", 1, nil},
		{"enciphered-pin-signature-declines", sale, ok, emv.Decline, card, "050000", none, 0, nil},
		{"signature", sale, nil, emv.Approve, approved, "1E0000", none, 0, nil},
		{"signature-declines", sale, nil, emv.Decline, card, "1E0000", none, 0, nil},
		{"online-pin-declines", sale, nil, emv.Decline, card, "020000", "0000040000", 0, nil},
		{"no-cvm", sale, nil, emv.Online, host, "1F0002", none, 0, nil},
		{"approves-offline", sale, nil, emv.Approve, approved, "1F0002", none, 0, nil},
		{"declines-offline", sale, nil, emv.Decline, card, "1F0002", none, 0, nil},
		{"fail-cvm", sale, nil, emv.Decline, refused, "000001", "0000800000", 0, nil},
		{"fail-cvm-online", sale, nil, emv.Online, host, "000001", "0000800000", 0, nil},
		{"amount-rules", emv.Transaction{Amount: 9999}, nil, emv.Approve, approved, "1F0602", none, 0, nil},
		{"amount-rules", emv.Transaction{Amount: 10000}, nil, emv.Approve, approved, "1E0800", none, 0, nil},
		{"amount-rules", emv.Transaction{Amount: 19999}, nil, emv.Approve, approved, "1E0800", none, 0, nil},
		{"amount-rules", emv.Transaction{Amount: 20000}, nil, emv.Online, host, "020000", "0000040000", 0, nil},
		{"amount-rules", emv.Transaction{Amount: 100, Type: emv.Cash}, nil, emv.Online, host, "020400", "0000040000", 0, nil},
		{"amount-rules", emv.Transaction{Amount: 100, Other: 50, Type: emv.Cashback}, nil, emv.Online, host, "020500", "0000040000", 0, nil},
		{"limits", sale, nil, emv.Online, host, "1F0002", "0000004000", 0, nil},
		{"limits-reached", sale, nil, emv.Online, host, "1F0002", "0000006000", 0, nil},
		{"script-refused", sale, nil, emv.Online, host, "1F0002", none, 0, nil},
		{"card-blocked", sale, nil, emv.NotAccepted, emv.ReasonCardBlocked, "000000", none, 0, nil},
		{"application-blocked", sale, nil, emv.NotAccepted, emv.ReasonAppBlocked, "000000", none, 0, nil},
		{"torn", sale, nil, emv.TryAgain, emv.ReasonCardMute, "1F0002", none, 0, nil},
		{"hostile-select", sale, nil, emv.Approve, approved, "1F0002", none, 0, nil},
		{"hostile-directory", sale, nil, emv.Approve, approved, "1F0002", none, 0, nil},
		{"hostile-nesting", sale, nil, emv.Terminated, emv.ReasonCardData, "000000", none, 0, nil},
		{"hostile-length", sale, nil, emv.Terminated, emv.ReasonCardData, "000000", none, 0, nil},
		{"hostile-change", sale, nil, emv.Online, host, "1F0002", "0800000000", 0, nil},
		{"hostile-upgrade", sale, nil, emv.Terminated, emv.ReasonCryptogram, "1F0002", "0000004000", 0, nil},
		{"hostile-dynamic", sale, nil, emv.Online, host, "1F0002", "0800000000", 0, nil},
		{"sda-approves", sale, nil, emv.Approve, approved, "1F0002", "0200000000", 0, nil},
		{"no-oda", sale, nil, emv.Online, host, "1F0002", "8000000000", 0, nil},
		{"pdol", sale, nil, emv.Approve, approved, "1F0002", none, 0, nil},
	} {
		t.Run(c.card, func(t *testing.T) {
			t.Parallel()
			k := everything(t)
			if c.kernel != nil {
				c.kernel(&k)
			}
			pad := &pinPad{pins: slices.Clone(c.pins)}
			_, out, err := k.Start(t.Context(), cardsim.Direct(open(t, c.card)), c.tx, pad)
			if err != nil || out.Kind != c.kind || out.Reason != c.reason {
				t.Fatalf("%s %q %v %v, want %s %q; TVR %v, CVM %v", out.Kind, out.Reason, out.Cause, err, c.kind, c.reason, out.TVR, out.CVM)
			}
			if cvm, tvr := emv.HexBytes(out.CVM[:]).String(), emv.HexBytes(out.TVR[:]).String(); cvm != c.cvm || tvr != c.tvr {
				t.Fatalf("CVM %v, TVR %v, want %s %s", out.CVM, out.TVR, c.cvm, c.tvr)
			}
			if len(pad.pins) != c.left {
				t.Fatalf("%d PIN entries were not asked for, want %d", len(pad.pins), c.left)
			}
		})
	}
}

// TestCardsAreAllProven: no embedded card is without a row here or in TestPersonalities.
func TestCardsAreAllProven(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("cards_test.go")
	if err != nil {
		t.Fatal(err)
	}
	more, err := os.ReadFile("kernel_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range cardsim.Names() {
		if row := []byte(`{"` + name + `", `); !bytes.Contains(text, row) && !bytes.Contains(more, row) {
			t.Errorf("nothing proves what %q is said to do", name)
		}
	}
}

// TestRegistersAfterEachStep: TVR, TSI and CVM results are right when a step ends, not only at the end. EMV 4.4 Book 3, 10
// and Annex C5, C6.
func TestRegistersAfterEachStep(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		card string
		pins []string
		want string
	}{
		{"limits-reached", nil, `application selection 0000000000 0000
read application data 0000000000 0000
offline data authentication 0000000000 8000
processing restrictions 0000000000 8000
cardholder verification 0000000000 C000
terminal risk management 0000006000 C800
terminal action analysis 0000006000 C800
first GENERATE AC 0000006000 E800
issuer authentication 0000006000 F800
issuer scripts before the final cryptogram 0000006000 F800
completion 0000006000 F800
`},
		{"plain-pin", []string{"9", "9", "9"}, `application selection 0000000000 0000
read application data 0000000000 0000
offline data authentication 0000000000 8000
processing restrictions 0000000000 8000
cardholder verification 0000A00000 C000
terminal risk management 0000A00000 C800
terminal action analysis 0000A00000 C800
first GENERATE AC 0000A00000 E800
`},
		{"hostile-dynamic", nil, `application selection 0000000000 0000
read application data 0000000000 0000
offline data authentication 0800000000 8000
processing restrictions 0800000000 8000
cardholder verification 0800000000 C000
terminal risk management 0800000000 C800
terminal action analysis 0800000000 C800
first GENERATE AC 0800000000 E800
completion, unable to go online 0800000000 E800
`},
	} {
		var text strings.Builder
		k := everything(t)
		k.Trace = func(e emv.Event) {
			if s, ok := e.(emv.StepEvent); ok {
				fmt.Fprintf(&text, "%s %X %X\n", s.Step, s.TVR[:], s.TSI[:])
			}
		}
		session, out, err := k.Start(t.Context(), cardsim.Direct(open(t, c.card)), emv.Transaction{Amount: 100}, &pinPad{pins: c.pins})
		if err != nil {
			t.Fatal(err)
		}
		if out.Kind == emv.Online {
			r := emv.OnlineResult{UnableToGoOnline: true}
			if c.card == "limits-reached" {
				r = host(t, out, "00")
			}
			if _, err := session.Complete(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		if text.String() != c.want {
			t.Errorf("%s:\n%swant\n%s", c.card, text.String(), c.want)
		}
	}
}
