package contact_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"posagent/agent/emv"
	"posagent/agent/emv/cardsim"
	"posagent/agent/emv/tlv"
	"posagent/agent/payment"
)

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
	return t.change(t.n, capdu, bytes.Clone(r)), nil
}

// TestBitFlips: one wrong bit anywhere in a certificate, a signed record or a signature is a failure of offline data
// authentication (or ends the transaction), and never an offline approval. EMV 4.4 Book 2, 5 and 6.
func TestBitFlips(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, card string
		at         []byte // beginning of the command whose answer is changed
		bit        emv.TVRBit
		step       int
		signed     bool // every bit of the answer's value is under a signature
	}{
		{"issuer certificate", "approves-offline", []byte{0x00, 0xB2, 4, 0x14}, emv.DDAFailed, 7, true},
		{"ICC certificate", "approves-offline", []byte{0x00, 0xB2, 5, 0x14}, emv.DDAFailed, 5, true},
		{"signed record", "approves-offline", []byte{0x00, 0xB2, 1, 0x14}, emv.DDAFailed, 1, false},
		{"keys record", "approves-offline", []byte{0x00, 0xB2, 3, 0x14}, emv.DDAFailed, 1, false},
		{"SDAD of DDA", "approves-offline", []byte{0x00, 0x88}, emv.DDAFailed, 3, true},
		{"SDAD of CDA", "cda-online", []byte{0x80, 0xAE}, emv.CDAFailed, 3, false},
		{"static signature", "sda-online", []byte{0x00, 0xB2, 5, 0x14}, emv.SDAFailed, 5, true},
		{"processing options", "approves-offline", []byte{0x80, 0xA8}, emv.DDAFailed, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			card := open(t, c.card)
			k := newKernel(t)
			size := 1
			flips := 0
			for i := 0; i < size; i += c.step {
				card.Reset()
				done := false
				tap := &tamper{card: cardsim.Direct(card), change: func(_ int, capdu, r []byte) []byte {
					if done || !bytes.HasPrefix(capdu, c.at) {
						return r
					}
					done = true
					size = (len(r) - 2) * 8
					r[i/8] ^= 0x80 >> (i % 8)
					return r
				}}
				_, out, err := k.Start(t.Context(), tap, emv.Transaction{Amount: 100}, &dialogue{})
				if err != nil || !done {
					t.Fatalf("bit %d: %v, changed %v", i, err, done)
				}
				flips++
				if out.Kind == emv.Approve {
					t.Fatalf("bit %d: approved with TVR %v", i, out.TVR)
				}
				if c.signed && i >= 8*8 && !out.TVR.Has(c.bit) {
					t.Fatalf("bit %d: %s %q %v, TVR %v", i, out.Kind, out.Reason, out.Cause, out.TVR)
				}
				if strings.HasSuffix(c.name, " record") && out.Kind != emv.Terminated && !out.TVR.Has(c.bit) {
					t.Fatalf("bit %d: %s %q, TVR %v", i, out.Kind, out.Reason, out.TVR)
				}
				if c.bit == emv.CDAFailed && out.Kind == emv.Online {
					t.Fatalf("bit %d: a wrong combined signature went to the host", i)
				}
			}
			if flips < 50 {
				t.Fatalf("only %d bits tried", flips)
			}
		})
	}
}

// TestHostile: cards that break the rules end with a clean outcome and never with an approval.
func TestHostile(t *testing.T) {
	t.Parallel()
	fault := func(f cardsim.Fault, n uint32) func(*cardsim.Personality) {
		return func(p *cardsim.Personality) { p.Faults = map[cardsim.Fault]uint32{f: n} }
	}
	for _, c := range []struct {
		name   string
		make   func(*cardsim.Personality)
		kind   emv.Kind
		reason emv.Reason
	}{
		{"record lies about its length", fault(cardsim.FaultLyingLength, 1), emv.Terminated, emv.ReasonCardData},
		{"card number changes between records", fault(cardsim.FaultChangedPAN, 1), emv.Terminated, emv.ReasonCardData},
		{"TC although an AAC was asked for", func(p *cardsim.Personality) {
			p.Faults = map[cardsim.Fault]uint32{cardsim.FaultUpgrade: 1}
			p.Applications[0].IACDenial = emv.ActionCode{0, 0x40}
			p.Applications[0].Expiry = emv.Date{Time: time.Date(2020, 1, 31, 0, 0, 0, 0, time.UTC)}
		}, emv.Terminated, emv.ReasonCryptogram},
		{"another RID", func(p *cardsim.Personality) {
			p.Applications[0].AID = emv.AID{0xA0, 0, 0, 0, 1, 1}
			p.Applications[0].ODA = "none"
		}, emv.NotAccepted, emv.ReasonNoApplication},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, err := cardsim.Load("approves-offline")
			if err != nil {
				t.Fatal(err)
			}
			c.make(&p)
			card, err := cardsim.New(p)
			if err != nil {
				t.Fatal(err)
			}
			_, out, err := newKernel(t).Start(t.Context(), cardsim.Direct(card), emv.Transaction{Amount: 100}, &dialogue{})
			if err != nil || out.Kind != c.kind || out.Reason != c.reason {
				t.Fatalf("%s %q %v %v, want %s %q", out.Kind, out.Reason, out.Cause, err, c.kind, c.reason)
			}
		})
	}
}

// TestRemoved: a card that falls silent at any command ends the transaction there, before and after the host.
func TestRemoved(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"online-pin", "cda-online", "approves-offline"} {
		completed := false
		for n := uint32(1); !completed && n < 40; n++ {
			card := open(t, name)
			card.SetFault(cardsim.FaultSilentAfter, n)
			session, out, err := newKernel(t).Start(t.Context(), cardsim.Direct(card), emv.Transaction{Amount: 100}, &dialogue{})
			if err != nil {
				t.Fatal(err)
			}
			want := emv.TryAgain
			if out.Kind == emv.Online {
				want = emv.Terminated
				if out, err = session.Complete(t.Context(), host(t, out, "00")); err != nil {
					t.Fatal(err)
				}
			}
			if completed = out.Kind == emv.Approve; completed {
				continue
			}
			if out.Kind != want || out.Reason != emv.ReasonCardMute {
				t.Fatalf("%s silent at %d: %s %q %v", name, n, out.Kind, out.Reason, out.Cause)
			}
		}
		if !completed {
			t.Fatalf("%s never ended", name)
		}
	}
}

// scripted answers with a function.
type scripted func(capdu []byte) []byte

func (f scripted) Transmit(ctx context.Context, capdu []byte) ([]byte, error) {
	return f(capdu), ctx.Err()
}

// TestBounds: what a card could do for ever ends after a known number of commands.
func TestBounds(t *testing.T) {
	t.Parallel()
	count := 0
	fciOf := func(name []byte) []byte {
		return append(tlv.Append(nil, 0x6F, tlv.Append(tlv.Append(nil, 0x84, name), 0xA5, []byte{0x50, 1, 'A'})), 0x90, 0x00)
	}
	for _, c := range []struct {
		name string
		card scripted
		max  int
		kind emv.Kind
	}{
		{"a new application at every SELECT NEXT", func(capdu []byte) []byte {
			if cmd, _ := emv.ParseCommand(capdu); bytes.HasPrefix(cmd.Data, []byte("1PAY")) {
				return []byte{0x6A, 0x82}
			}
			return fciOf([]byte{0xA0, 0, 0, 3, 0x33, 1, 1, byte(count >> 8), byte(count)})
		}, 1 + 33 + 1 + 40, emv.NotAccepted},
		{"its own name whatever is selected", func([]byte) []byte { return fciOf([]byte{0xA0, 0, 0, 3, 0x34, 1, 1}) }, 10, emv.NotAccepted},
		{"a directory without an end", func(capdu []byte) []byte {
			if capdu[1] == 0xB2 {
				return []byte{0x70, 0x00, 0x90, 0x00}
			}
			if cmd, _ := emv.ParseCommand(capdu); bytes.HasPrefix(cmd.Data, []byte("1PAY")) {
				return append(tlv.Append(nil, 0x6F, append(tlv.Append(nil, 0x84, cmd.Data), 0xA5, 3, 0x88, 1, 1)), 0x90, 0x00)
			}
			return []byte{0x6A, 0x82}
		}, 1 + 255 + 2, emv.NotAccepted},
		{"9000 and nothing else", func([]byte) []byte { return []byte{0x90, 0x00} }, 10, emv.NotAccepted},
		{"one byte", func([]byte) []byte { return []byte{0x90} }, 1, emv.TryAgain},
		{"300 bytes", func([]byte) []byte { return make([]byte, 300) }, 1, emv.TryAgain},
		{"blocked card", func([]byte) []byte { return []byte{0x6A, 0x81} }, 1, emv.NotAccepted},
	} {
		t.Run(c.name, func(t *testing.T) {
			count = 0
			card := scripted(func(capdu []byte) []byte { count++; return c.card(capdu) })
			_, out, err := newKernel(t).Start(t.Context(), card, emv.Transaction{Amount: 100}, &dialogue{})
			if err != nil || out.Kind != c.kind || count > c.max {
				t.Fatalf("%s %q %v after %d commands, at most %d: %v", out.Kind, out.Reason, out.Cause, count, c.max, err)
			}
		})
	}
}

// slow is a card that answers each command after some time, or when it is told to give up.
type slow struct {
	card emv.Card
	d    time.Duration
}

func (s slow) Transmit(ctx context.Context, capdu []byte) ([]byte, error) {
	select {
	case <-time.After(s.d):
		return s.card.Transmit(ctx, capdu)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// TestTime: the card's time is bounded, the cardholder's is not counted, and the caller's context ends it.
func TestTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		answer   time.Duration
		deadline time.Duration
		think    time.Duration
		kind     emv.Kind
		reason   emv.Reason
	}{
		{"quick card, slow cardholder", 100 * time.Millisecond, time.Hour, 5 * time.Minute, emv.Online, ""},
		{"slow card", 9 * time.Second, time.Hour, 0, emv.Terminated, emv.ReasonCardTooMuch},
		{"caller's deadline", time.Second, 3 * time.Second, 0, emv.Terminated, emv.ReasonTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), c.deadline)
				defer cancel()
				d := &dialogue{}
				d.pin = func() (emv.PINOutcome, error) {
					<-time.After(c.think) // virtual: the cardholder thinks
					block, err := payment.NewPINBlock(make([]byte, 8))
					return emv.PINOutcome{Status: emv.PINEntered, Block: block}, err
				}
				_, out, err := newKernel(t).Start(ctx, slow{cardsim.Direct(open(t, "online-pin")), c.answer}, emv.Transaction{Amount: 1}, d)
				if err != nil || out.Kind != c.kind || out.Reason != c.reason {
					t.Fatalf("%s %q %v %v", out.Kind, out.Reason, out.Cause, err)
				}
			})
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, out, err := newKernel(t).Start(ctx, cardsim.Direct(open(t, "no-cvm")), emv.Transaction{Amount: 1}, &dialogue{})
	if err != nil || out.Kind != emv.Terminated || out.Reason != emv.ReasonCancelled {
		t.Fatalf("cancelled: %s %q %v", out.Kind, out.Reason, err)
	}
}

// TestNoise changes random bytes of random answers: the kernel ends, and approves offline only what was not changed in
// a place that counts. A wrong approval would need a forged signature.
func TestNoise(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	names := cardsim.Names()
	cards := map[string]*cardsim.Card{}
	for _, n := range names {
		cards[n] = open(t, n)
	}
	k := newKernel(t)
	for i := range 600 {
		card := cards[names[r.IntN(len(names))]]
		card.Reset()
		tap := &tamper{card: cardsim.Direct(card), change: func(_ int, _, b []byte) []byte {
			for r.IntN(8) == 0 {
				b[r.IntN(len(b))] = byte(r.Uint32())
			}
			if r.IntN(40) == 0 {
				b = b[:r.IntN(len(b)+1)]
			}
			return b
		}}
		session, out, err := k.Start(t.Context(), tap, emv.Transaction{Amount: 100}, &dialogue{})
		if err != nil {
			t.Fatalf("run %d: %v", i, err)
		}
		if out.Kind == emv.Online {
			if out, err = session.Complete(t.Context(), emv.OnlineResult{ARC: "00", IssuerAuthData: make([]byte, 10)}); err != nil {
				t.Fatalf("run %d: %v", i, err)
			}
		}
		if tap.n > 400 || out.Kind == "" {
			t.Fatalf("run %d: %d commands, %+v", i, tap.n, fmt.Sprint(out.Kind))
		}
	}
}
