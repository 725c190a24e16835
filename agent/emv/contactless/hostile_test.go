package contactless_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"posagent/agent/emv"
	"posagent/agent/emv/cardsim"
	"posagent/agent/emv/contactless"
	"posagent/agent/emv/tlv"
)

// TestBitFlips: one wrong bit in a certificate, a signed record, a signed answer or a signature never approves offline.
// Book C-3, fDDA; Book C-2, CDA; EMV 4.4 Book 2, 5 and 6.
func TestBitFlips(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, card string
		at         []byte // beginning of the command whose answer is changed
		from       int    // first byte under a signature
		step       int
	}{
		{"issuer certificate", "k3-fdda", []byte{0x00, 0xB2, 3, 0x14}, 6, 11},
		{"ICC certificate", "k3-fdda", []byte{0x00, 0xB2, 4, 0x14}, 6, 11},
		{"signed record", "k3-fdda", []byte{0x00, 0xB2, 1, 0x14}, 0, 3},
		{"keys", "k7-fdda", []byte{0x00, 0xB2, 2, 0x14}, 0, 3},
		{"fDDA of kernel 7", "k7-fdda", []byte{0x80, 0xA8}, 114, 3},
		{"issuer certificate, kernel 2", "k2-cda", []byte{0x00, 0xB2, 3, 0x14}, 6, 13},
		{"signed record, kernel 2", "k2-cda", []byte{0x00, 0xB2, 1, 0x14}, 0, 3},
		{"profile, kernel 2", "k2-cda", []byte{0x80, 0xA8}, 0, 1},
		{"CDA", "k2-cda", []byte{0x80, 0xAE}, 0, 3},
		{"relay resistance", "k2-relay", []byte{0x80, 0xEA}, 2, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, card := reader(t, config(t)), open(t, c.card)
			size, tried := (c.from+1)*8, 0
			for i := c.from * 8; i < size; i += c.step {
				card.Reset()
				done := false
				tap := &tamper{card: cardsim.InField(card), change: func(_ int, capdu, b []byte) []byte {
					if !done && bytes.HasPrefix(capdu, c.at) {
						done, size = true, (len(b)-2)*8
						b[i/8] ^= 0x80 >> (i % 8)
					}
					return b
				}}
				out := run(t, r, emv.Transaction{Amount: 500}, tap)
				if !done {
					t.Fatal("nothing changed")
				}
				if tried++; out.Kind == contactless.Approved {
					t.Fatalf("bit %d of byte %d: approved", i%8, i/8)
				}
			}
			if tried < 50 {
				t.Fatalf("only %d bits tried", tried)
			}
		})
	}
}

// TestChangedAmount: a signature over another amount, currency or number is no approval. fDDA version 01, hash input.
func TestChangedAmount(t *testing.T) {
	t.Parallel()
	for name, offset := range map[string]int{"amount": 7 + 4 + 5, "currency": 7 + 4 + 6 + 6 + 2 + 5 + 1, "number": 7 + 4 + 6 + 6 + 2 + 5 + 2 + 3 + 1 + 3} {
		tap := &lying{card: cardsim.InField(open(t, "k3-fdda")), offset: offset}
		out := run(t, reader(t, config(t)), emv.Transaction{Amount: 500}, tap)
		if out.Kind != contactless.Declined || !tap.done {
			t.Errorf("%s: %s, changed %v", name, out.Kind, tap.done)
		}
	}
}

// lying changes what the card hears.
type lying struct {
	card   emv.Card
	offset int
	done   bool
}

func (l *lying) Transmit(ctx context.Context, capdu []byte) ([]byte, error) {
	c := bytes.Clone(capdu)
	if c[1] == emv.InsGPO {
		c[l.offset] ^= 1
		l.done = true
	}
	return l.card.Transmit(ctx, c)
}

// TestRemoved: a card pulled at any command is asked for again, and the next whole tap decides. Book B, 3.1 and 3.5.
func TestRemoved(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"k3-fdda", "k7-online", "k2-cda", "k2-relay", "k2-torn"} {
		complete := false
		for n := uint32(1); n < 20 && !complete; n++ {
			r, card := reader(t, config(t)), open(t, name)
			card.SetFault(cardsim.FaultTornAt, 0)
			card.SetFault(cardsim.FaultSilentAfter, n)
			out := run(t, r, emv.Transaction{Amount: 500}, cardsim.InField(card))
			if complete = out.Kind == contactless.Approved || out.Kind == contactless.Online; complete {
				continue
			}
			if out.Kind != contactless.TryAgain || out.Start != contactless.StartB || out.Sale.Reason != emv.ReasonCardMute ||
				out.OnRestart.Message != contactless.MessagePresentAgain {
				t.Fatalf("%s pulled at %d: %s %q %v", name, n, out.Kind, out.Sale.Reason, out.Sale.Cause)
			}
			card.SetFault(cardsim.FaultSilentAfter, 0)
			card.Reset()
			if out = r.Tap(t.Context(), cardsim.InField(card)); out.Kind != contactless.Approved && out.Kind != contactless.Online {
				t.Fatalf("%s back after %d: %s %v", name, n, out.Kind, out.Sale.Cause)
			}
		}
		if !complete {
			t.Fatalf("%s never ended", name)
		}
	}
}

// TestWorn: a cardholder who never holds still is sent to another interface after a bounded number of taps.
func TestWorn(t *testing.T) {
	t.Parallel()
	r, card := reader(t, config(t)), open(t, "k3-online")
	card.SetFault(cardsim.FaultSilentAfter, 2)
	out, err := r.Begin(emv.Transaction{Amount: 500})
	taps := 0
	for ; err == nil && (out.Kind == contactless.Ready || out.Start == contactless.StartB) && taps < 100; taps++ {
		card.Reset()
		out = r.Tap(t.Context(), cardsim.InField(card))
	}
	if out.Kind != contactless.TryAnotherInterface || taps != 9 {
		t.Fatalf("%s after %d taps, %v", out.Kind, taps, err)
	}
}

// TestTorn is torn transaction recovery, Book C-2, 5.6 and S9: the same sale gets the same cryptogram; another sale, an
// old entry and a forgetful card get a new one.
func TestTorn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		second    emv.Transaction
		wait      time.Duration
		forgetful bool
		off       bool
		recovered bool
		kind      contactless.Kind
	}{
		{"same sale", emv.Transaction{Amount: 500, Sequence: 9}, 0, false, false, true, contactless.Approved},
		{"another amount", emv.Transaction{Amount: 700, Sequence: 9}, 0, false, false, false, contactless.Approved},
		{"another sale of the same amount", emv.Transaction{Amount: 500, Sequence: 10}, 0, false, false, false, contactless.Approved},
		{"too late", emv.Transaction{Amount: 500, Sequence: 9}, time.Hour, false, false, false, contactless.Approved},
		{"the card has forgotten", emv.Transaction{Amount: 500, Sequence: 9}, 0, true, false, false, contactless.Approved},
		{"recovery off", emv.Transaction{Amount: 500, Sequence: 9}, 0, false, true, false, contactless.Approved},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg, now := config(t), day()
			cfg.Ticks = func() time.Time { return now }
			cfg.Combinations[0].Torn = !c.off
			r, card := reader(t, cfg), open(t, "k2-torn")
			first := run(t, r, emv.Transaction{Amount: 500, Sequence: 9}, cardsim.InField(card))
			if first.Kind != contactless.TryAgain {
				t.Fatalf("first tap: %s", first.Kind)
			}
			card.Reset()
			now = now.Add(c.wait)
			asked := false
			tap := &tamper{card: cardsim.InField(card), change: func(_ int, capdu, b []byte) []byte {
				if capdu[1] == 0xD0 {
					if asked = true; c.forgetful {
						return []byte{0x69, 0x85}
					}
				}
				return b
			}}
			out := run(t, r, c.second, tap)
			if out.Kind != c.kind || asked != (c.recovered || c.forgetful) {
				t.Fatalf("%s, asked %v, %v", out.Kind, asked, out.Sale.Cause)
			}
			if want := uint16(2); c.recovered != (out.Sale.Cryptogram.ATC == want) {
				t.Fatalf("cryptogram of counter %d", out.Sale.Cryptogram.ATC)
			}
			if err := cardsim.TestIssuer().VerifyARQC(out.Sale.PAN, out.Sale.PANSequence, out.Record); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestRelay is the relay resistance protocol with a clock that runs, Book C-2, S3R1.
func TestRelay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		card string
		took time.Duration
		min  uint16
		tvr  string
		kind contactless.Kind
		cmds int
	}{
		{"in time", "k2-relay", 4 * time.Millisecond, 0, "0000000002", contactless.Approved, 1},
		{"too slow three times", "k2-relay", 20 * time.Millisecond, 0, "0000000006", contactless.Online, 3},
		{"a card relayed from afar", "k2-relay-attack", 15 * time.Millisecond, 0, "0000000006", contactless.Online, 3},
		{"faster than it can", "k2-relay", time.Millisecond, 50, "0000000000", contactless.EndApplication, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, err := cardsim.LoadContactless(c.card)
			if err != nil {
				t.Fatal(err)
			}
			p.Applications[0].Relay.Min = c.min
			card, err := cardsim.NewContactless(p)
			if err != nil {
				t.Fatal(err)
			}
			cfg, now, n := config(t), day(), 0
			cfg.Ticks = func() time.Time { return now }
			tap := &tamper{card: cardsim.InField(card), change: func(_ int, capdu, b []byte) []byte {
				if capdu[1] == 0xEA {
					now = now.Add(c.took)
					n++
				}
				return b
			}}
			out := run(t, reader(t, cfg), emv.Transaction{Amount: 500}, tap)
			tvr := emv.HexBytes(out.Sale.TVR[:]).String()
			if c.kind == contactless.EndApplication {
				tvr = c.tvr
			}
			if out.Kind != c.kind || n != c.cmds || tvr != c.tvr {
				t.Fatalf("%s TVR %s after %d exchanges: %v", out.Kind, tvr, n, out.Sale.Cause)
			}
		})
	}
	card := open(t, "k2-relay")
	card.SetFault(cardsim.FaultWrongRelay, 1)
	if out := run(t, reader(t, config(t)), emv.Transaction{Amount: 500}, cardsim.InField(card)); out.Sale.Reason != emv.ReasonCDAFailed {
		t.Fatalf("other times signed: %s %s", out.Kind, out.Sale.Reason)
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
	fci := func(name []byte) []byte {
		prop := tlv.Append(nil, 0x9F38, []byte{0x9F, 0x66, 4})
		return append(tlv.Append(nil, 0x6F, tlv.Append(tlv.Append(nil, 0x84, name), 0xA5, prop)), 0x90, 0x00)
	}
	directory := func() []byte {
		var list []byte
		for i := byte(0); i < 13; i++ {
			list = tlv.Append(list, 0x61, tlv.Append(nil, 0x4F, []byte{0xA0, 0, 0, 0, 3, 0x10, 0x10, i}))
		}
		body := tlv.Append(nil, 0x84, []byte("2PAY.SYS.DDF01"))
		return append(tlv.Append(nil, 0x6F, tlv.Append(body, 0xA5, tlv.Append(nil, 0xBF0C, list))), 0x90, 0x00)
	}
	for _, c := range []struct {
		name string
		card scripted
		max  int
	}{
		{"9000 and nothing else", func([]byte) []byte { return []byte{0x90, 0x00} }, 1},
		{"64 KiB", func([]byte) []byte { return make([]byte, 64<<10) }, 1},
		{"every application refuses", func(c []byte) []byte {
			switch {
			case bytes.Contains(c, []byte("2PAY")):
				return directory()
			case c[1] == emv.InsSelect:
				return fci(c[5 : 5+c[4]])
			}
			return []byte{0x69, 0x85}
		}, 1 + 2*13},
		{"its own name whatever is selected", func(c []byte) []byte {
			if bytes.Contains(c, []byte("2PAY")) {
				return directory()
			}
			return fci([]byte{0xA0, 0, 0, 0, 3, 0x10, 0x11})
		}, 1 + 13},
		{"records for ever", func(c []byte) []byte {
			switch {
			case bytes.Contains(c, []byte("2PAY")):
				return directory()
			case c[1] == emv.InsSelect:
				return fci(c[5 : 5+c[4]])
			case c[1] == emv.InsGPO:
				b := tlv.Append(nil, 0x82, []byte{0x20, 0})
				b = tlv.Append(b, 0x94, []byte{0x08, 1, 0xFE, 0})
				b = tlv.Append(tlv.Append(b, 0x9F36, []byte{0, 1}), 0x9F26, make([]byte, 8))
				return append(tlv.Append(nil, 0x77, tlv.Append(b, 0x9F27, []byte{0x40})), 0x90, 0x00)
			}
			return []byte{0x70, 0x00, 0x90, 0x00}
		}, 3},
	} {
		count := 0
		out := run(t, reader(t, config(t)), emv.Transaction{Amount: 500}, scripted(func(b []byte) []byte { count++; return c.card(b) }))
		if out.Kind != contactless.EndApplication || count > c.max {
			t.Errorf("%s: %s %q after %d commands, at most %d", c.name, out.Kind, out.Sale.Reason, count, c.max)
		}
	}
}

// slow is a card that answers after some time, or when it is told to give up.
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

// TestTime: one tap has one deadline, and the caller's context ends it sooner.
func TestTime(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name             string
		answer, deadline time.Duration
		reason           emv.Reason
	}{
		{"slow card", 3 * time.Second, time.Hour, emv.ReasonCardTooMuch},
		{"caller's deadline", time.Second, 2 * time.Second, emv.ReasonTimeout},
		{"quick card", 10 * time.Millisecond, time.Hour, emv.ReasonNone},
	} {
		t.Run(c.name, func(t *testing.T) {
			card, cfg := open(t, "k3-online"), config(t)
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), c.deadline)
				defer cancel()
				r := reader(t, cfg)
				if _, err := r.Begin(emv.Transaction{Amount: 500}); err != nil {
					t.Fatal(err)
				}
				if out := r.Tap(ctx, slow{cardsim.InField(card), c.answer}); out.Sale.Reason != c.reason {
					t.Fatalf("%s %q %v", out.Kind, out.Sale.Reason, out.Sale.Cause)
				}
			})
		})
	}
}

// TestNoise changes random bytes of random answers: every tap ends, and a changed card is never approved where a change
// could matter, because a signature covers it.
func TestNoise(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(3, 4))
	names := cardsim.ContactlessNames()
	cards := map[string]*cardsim.Contactless{}
	for _, n := range names {
		cards[n] = open(t, n)
	}
	r := reader(t, config(t))
	for i := range 600 {
		card := cards[names[rnd.IntN(len(names))]]
		card.Reset()
		tap := &tamper{card: cardsim.InField(card), change: func(_ int, _, b []byte) []byte {
			for rnd.IntN(8) == 0 {
				b[rnd.IntN(len(b))] = byte(rnd.Uint32())
			}
			if rnd.IntN(40) == 0 {
				b = b[:rnd.IntN(len(b)+1)]
			}
			return b
		}}
		out := run(t, r, emv.Transaction{Amount: 500, Sequence: uint32(i)}, tap)
		if tap.n > 80 || out.Kind == "" || out.Kind == contactless.SelectNext || out.Kind == contactless.Ready {
			t.Fatalf("run %d: %d commands, %q", i, tap.n, out.Kind)
		}
	}
}
