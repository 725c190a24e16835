package contact_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"posagent/agent/emv"
	"posagent/agent/emv/cardsim"
)

// padFunc is a PIN pad in a function.
type padFunc struct {
	dialogue
	do func(context.Context, emv.OfflinePINRequest) (emv.OfflinePINOutcome, error)
	n  int
}

func (p *padFunc) OfflinePIN(ctx context.Context, r emv.OfflinePINRequest) (emv.OfflinePINOutcome, error) {
	p.n++
	return p.do(ctx, r)
}

var verify1234 = []byte{0x00, 0x20, 0x00, 0x80, 0x08, 0x24, 0x12, 0x34, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}

// TestPINPad: what a PIN pad may do and what the kernel makes of one that misbehaves. EMV 4.4 Book 3, 10.5.1.
func TestPINPad(t *testing.T) {
	t.Parallel()
	entered := emv.OfflinePINOutcome{Status: emv.PINEntered}
	for _, c := range []struct {
		name, card string
		do         func(context.Context, emv.OfflinePINRequest) (emv.OfflinePINOutcome, error)
		kind       emv.Kind
		reason     emv.Reason
		left       uint8 // tries the card has left: proves what reached it
	}{
		{"verifies", "plain-pin", func(ctx context.Context, r emv.OfflinePINRequest) (emv.OfflinePINOutcome, error) {
			sw, err := r.Verify(ctx, verify1234)
			if sw != emv.SWOK {
				err = fmt.Errorf("VERIFY: %v", sw)
			}
			return entered, err
		}, emv.Approve, emv.ReasonCardApproved, 3},
		{"says entered and sends nothing", "plain-pin", func(context.Context, emv.OfflinePINRequest) (emv.OfflinePINOutcome, error) {
			return entered, nil
		}, emv.Terminated, emv.ReasonDialogue, 3},
		{"sends two", "plain-pin", func(ctx context.Context, r emv.OfflinePINRequest) (emv.OfflinePINOutcome, error) {
			wrong := bytes.Clone(verify1234)
			wrong[6] = 0x99
			if _, err := r.Verify(ctx, wrong); err != nil {
				return entered, err
			}
			_, err := r.Verify(ctx, verify1234)
			return entered, err
		}, emv.Terminated, emv.ReasonDialogue, 2},
		{"sends another command", "plain-pin", func(ctx context.Context, r emv.OfflinePINRequest) (emv.OfflinePINOutcome, error) {
			_, err := r.Verify(ctx, []byte{0x80, 0xAE, 0x40, 0x00, 0x08, 1, 2, 3, 4, 5, 6, 7, 8})
			return entered, err
		}, emv.Terminated, emv.ReasonDialogue, 3},
		{"sends an enciphered VERIFY", "plain-pin", func(ctx context.Context, r emv.OfflinePINRequest) (emv.OfflinePINOutcome, error) {
			c := bytes.Clone(verify1234)
			c[3] = 0x88
			_, err := r.Verify(ctx, c)
			return entered, err
		}, emv.Terminated, emv.ReasonDialogue, 3},
		{"verifies and says bypassed", "plain-pin", func(ctx context.Context, r emv.OfflinePINRequest) (emv.OfflinePINOutcome, error) {
			_, err := r.Verify(ctx, verify1234)
			return emv.OfflinePINOutcome{Status: emv.PINBypassed}, err
		}, emv.Terminated, emv.ReasonDialogue, 3},
		{"plaintext where an enciphered PIN is asked for", "enciphered-pin", func(ctx context.Context, r emv.OfflinePINRequest) (emv.OfflinePINOutcome, error) {
			_, err := r.Verify(ctx, verify1234)
			return entered, err
		}, emv.Terminated, emv.ReasonDialogue, 3},
		{"no block", "enciphered-pin", func(context.Context, emv.OfflinePINRequest) (emv.OfflinePINOutcome, error) {
			return entered, nil
		}, emv.Terminated, emv.ReasonDialogue, 3},
		{"a short block", "enciphered-pin", func(context.Context, emv.OfflinePINRequest) (emv.OfflinePINOutcome, error) {
			return emv.OfflinePINOutcome{Status: emv.PINEntered, Block: make([]byte, 127)}, nil
		}, emv.Terminated, emv.ReasonDialogue, 3},
		{"times out", "enciphered-pin", func(context.Context, emv.OfflinePINRequest) (emv.OfflinePINOutcome, error) {
			return emv.OfflinePINOutcome{}, emv.ErrTimeout
		}, emv.Terminated, emv.ReasonTimeout, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			card := open(t, c.card)
			_, out, err := everything(t).Start(t.Context(), cardsim.Direct(card), emv.Transaction{Amount: 100}, &padFunc{do: c.do})
			if err != nil || out.Kind != c.kind || out.Reason != c.reason || card.PINTries() != c.left {
				t.Fatalf("%s %q %v %v, %d tries left, want %s %q %d", out.Kind, out.Reason, out.Cause, err, card.PINTries(), c.kind, c.reason, c.left)
			}
		})
	}
	t.Run("keeps the way to the card", func(t *testing.T) {
		t.Parallel()
		card := open(t, "plain-pin")
		var kept func(context.Context, []byte) (emv.SW, error)
		pad := &padFunc{do: func(_ context.Context, r emv.OfflinePINRequest) (emv.OfflinePINOutcome, error) {
			kept = r.Verify
			return emv.OfflinePINOutcome{Status: emv.PINBypassed}, nil
		}}
		if _, _, err := everything(t).Start(t.Context(), cardsim.Direct(card), emv.Transaction{Amount: 100}, pad); err != nil {
			t.Fatal(err)
		}
		if sw, err := kept(t.Context(), verify1234); err == nil || sw != 0 {
			t.Fatalf("%v %v after the PIN entry", sw, err)
		}
	})
}

// TestPINAnswers: every answer of a card to the commands of offline PIN. EMV 4.4 Book 3, 6.5.12.5 and 10.5.1; Book 2, 7.2.
func TestPINAnswers(t *testing.T) {
	t.Parallel()
	const limit, failed = "0000A00000", "0000800000"
	for _, c := range []struct {
		name, card string
		ins        byte
		answer     []byte // instead of the card's; nil: the card is mute
		kind       emv.Kind
		reason     emv.Reason
		tvr        string
		entries    int
	}{
		{"VERIFY 6983", "plain-pin", 0x20, []byte{0x69, 0x83}, emv.Decline, emv.ReasonTerminalDeclined, limit, 1},
		{"VERIFY 6984", "plain-pin", 0x20, []byte{0x69, 0x84}, emv.Decline, emv.ReasonTerminalDeclined, limit, 1},
		{"VERIFY 63C0", "enciphered-pin", 0x20, []byte{0x63, 0xC0}, emv.Decline, emv.ReasonTerminalDeclined, limit, 1},
		{"VERIFY 6700", "plain-pin", 0x20, []byte{0x67, 0x00}, emv.Terminated, emv.ReasonCardStatus, "0000000000", 1},
		{"VERIFY 6300", "plain-pin", 0x20, []byte{0x63, 0x00}, emv.Terminated, emv.ReasonCardStatus, "0000000000", 1},
		{"VERIFY never counts down", "plain-pin", 0x20, []byte{0x63, 0xCF}, emv.Terminated, emv.ReasonCardTooMuch, "0000000000", 16},
		{"VERIFY mute, plaintext", "plain-pin", 0x20, nil, emv.TryAgain, emv.ReasonCardMute, "0000000000", 1},
		{"VERIFY mute, enciphered", "enciphered-pin", 0x20, nil, emv.TryAgain, emv.ReasonCardMute, "0000000000", 1},
		{"GET CHALLENGE 6D00", "enciphered-pin", 0x84, []byte{0x6D, 0x00}, emv.Decline, emv.ReasonTerminalDeclined, failed, 0},
		{"GET CHALLENGE of seven bytes", "enciphered-pin", 0x84, []byte{1, 2, 3, 4, 5, 6, 7, 0x90, 0x00}, emv.Decline, emv.ReasonTerminalDeclined, failed, 0},
		{"GET CHALLENGE of nine bytes", "enciphered-pin", 0x84, []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 0x90, 0x00}, emv.Decline, emv.ReasonTerminalDeclined, failed, 0},
		{"GET CHALLENGE mute", "enciphered-pin", 0x84, nil, emv.TryAgain, emv.ReasonCardMute, "0000000000", 0},
		{"try counter of two bytes is not known", "plain-pin", 0xCA, []byte{0x9F, 0x17, 2, 0, 0, 0x90, 0x00}, emv.Approve, emv.ReasonCardApproved, "0000000000", 1},
		{"try counter refused is not known", "plain-pin", 0xCA, []byte{0x6A, 0x81}, emv.Approve, emv.ReasonCardApproved, "0000000000", 1},
		{"try counter 0", "plain-pin", 0xCA, []byte{0x9F, 0x17, 1, 0, 0x90, 0x00}, emv.Decline, emv.ReasonTerminalDeclined, limit, 0},
		{"try counter mute", "plain-pin", 0xCA, nil, emv.TryAgain, emv.ReasonCardMute, "0000000000", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			pad := &pinPad{}
			for range 20 {
				pad.pins = append(pad.pins, "1234")
			}
			real := cardsim.Direct(open(t, c.card))
			card := cardFunc(func(ctx context.Context, capdu []byte) ([]byte, error) {
				switch {
				case capdu[1] != c.ins:
					return real.Transmit(ctx, capdu)
				case c.answer == nil:
					return nil, cardsim.ErrMute
				}
				return bytes.Clone(c.answer), nil
			})
			_, out, err := everything(t).Start(t.Context(), card, emv.Transaction{Amount: 100}, pad)
			if tvr := emv.HexBytes(out.TVR[:]).String(); err != nil || out.Kind != c.kind || out.Reason != c.reason || tvr != c.tvr || len(pad.requests) != c.entries {
				t.Fatalf("%s %q %v %v, TVR %v, %d entries", out.Kind, out.Reason, out.Cause, err, out.TVR, len(pad.requests))
			}
		})
	}
}

// cardFunc is a card in a function.
type cardFunc func(ctx context.Context, capdu []byte) ([]byte, error)

func (f cardFunc) Transmit(ctx context.Context, capdu []byte) ([]byte, error) { return f(ctx, capdu) }

// TestPINTries: the pad is told how many entries are left and that one was wrong. EMV 4.4 Book 4, 6.3.4.1.
func TestPINTries(t *testing.T) {
	t.Parallel()
	type told struct {
		known bool
		left  uint8
		wrong bool
	}
	for name, want := range map[string][]told{
		"plain-pin":          {{true, 3, false}, {true, 2, true}, {true, 1, true}},
		"enciphered-pin":     {{true, 3, false}, {true, 2, true}, {true, 1, true}},
		"plain-pin-hidden":   {{false, 0, false}, {true, 2, true}, {true, 1, true}},
		"plain-pin-last-try": {{true, 1, false}},
	} {
		pad := &pinPad{pins: []string{"0000", "0000", "0000", "0000"}}
		card := open(t, name)
		if _, _, err := everything(t).Start(t.Context(), cardsim.Direct(card), emv.Transaction{Amount: 100}, pad); err != nil {
			t.Fatal(err)
		}
		var got []told
		for _, r := range pad.requests {
			got = append(got, told{r.TriesKnown, r.TriesLeft, r.Wrong})
		}
		if fmt.Sprint(got) != fmt.Sprint(want) || card.PINTries() != 0 {
			t.Errorf("%s: %v, want %v; %d left", name, got, want, card.PINTries())
		}
	}
}

// TestPINBypassHolds: what was bypassed once is not asked for again. EMV 4.4 Book 4, 6.3.4.3.
func TestPINBypassHolds(t *testing.T) {
	t.Parallel()
	p, err := cardsim.Load("plain-pin")
	if err != nil {
		t.Fatal(err)
	}
	p.Applications[0].CVMList = emv.HexBytes{0, 0, 0, 0, 0, 0, 0, 0, 0x41, 0, 0x42, 0, 0x1E, 0}
	card, err := cardsim.New(p)
	if err != nil {
		t.Fatal(err)
	}
	pad := &pinPad{pins: []string{""}}
	_, out, err := everything(t).Start(t.Context(), cardsim.Direct(card), emv.Transaction{Amount: 100}, pad)
	if err != nil || pad.dialogue.pins != 0 || !out.Signature() || emv.HexBytes(out.TVR[:]).String() != "0000080000" {
		t.Fatalf("%v, %d online PIN entries, CVM %v, TVR %v", err, pad.dialogue.pins, out.CVM, out.TVR)
	}
}

// TestPINKeyDamaged: a certificate of the PIN encipherment key that does not verify fails the method before a PIN is asked
// for. EMV 4.4 Book 2, 7.1.
func TestPINKeyDamaged(t *testing.T) {
	t.Parallel()
	damaged := open(t, "enciphered-pin")
	for i := 6; i < 180; i += 7 {
		damaged.Reset()
		pad := &pinPad{pins: []string{"1234"}}
		card := &tamper{card: cardsim.Direct(damaged), change: func(_ int, capdu, r []byte) []byte {
			if capdu[1] == 0xB2 && capdu[3] == 4<<3|4 {
				r[i] ^= 0x10
			}
			return r
		}}
		_, out, err := everything(t).Start(t.Context(), card, emv.Transaction{Amount: 100}, pad)
		if err != nil || out.Kind == emv.Approve || len(pad.requests) != 0 {
			t.Fatalf("byte %d: %s %q %v, %d entries", i, out.Kind, out.Reason, err, len(pad.requests))
		}
	}
}

// TestPINIsNotTraced: no event holds a PIN, a PIN block or an enciphered one.
func TestPINIsNotTraced(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"plain-pin", "enciphered-pin"} {
		var text strings.Builder
		k := everything(t)
		k.Trace = func(e emv.Event) { fmt.Fprintf(&text, "%+v\n", e) }
		sent := ""
		card := &tamper{card: cardsim.Direct(open(t, name)), change: func(_ int, capdu, r []byte) []byte {
			if capdu[1] == 0x20 {
				sent = emv.HexBytes(capdu[5:]).String()
			}
			return r
		}}
		_, out, err := k.Start(t.Context(), card, emv.Transaction{Amount: 100}, &pinPad{pins: []string{"1234"}})
		if err != nil || out.Kind != emv.Approve || !out.CVM.OfflinePIN() {
			t.Fatalf("%s: %v %v", name, out.Kind, err)
		}
		if sent == "" || strings.Contains(text.String(), sent[:16]) || strings.Contains(text.String(), "241234") {
			t.Fatalf("%s: the trace holds the PIN block, or nothing was sent", name)
		}
		if !strings.Contains(text.String(), "002000") {
			t.Fatalf("%s: VERIFY is not in the trace", name)
		}
	}
}
