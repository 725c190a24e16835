package contactless

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
	"posagent/agent/payment"
)

// TestTransitions walks the table: every state is reachable, every state but the last has a way to the end, and no event
// of a state is ambiguous. Book B, 2.1.
func TestTransitions(t *testing.T) {
	t.Parallel()
	reach := map[state]bool{stateA: true}
	seen := map[string]bool{}
	ends := map[state]bool{}
	for range transitions {
		for _, tr := range transitions {
			if reach[tr.from] {
				reach[tr.to] = true
			}
		}
	}
	for _, tr := range transitions {
		key := fmt.Sprint(tr.from, tr.on)
		if seen[key] {
			t.Errorf("%s twice", key)
		}
		seen[key] = true
		ends[tr.from] = ends[tr.from] || tr.to == stateEnded
		if to, ok := next(tr.from, tr.on); !ok || to != tr.to {
			t.Errorf("%s leads to %s", key, to)
		}
	}
	for _, s := range []state{stateA, stateB, stateC, stateD, stateEnded} {
		if !reach[s] || s != stateEnded && !ends[s] {
			t.Errorf("%s: reachable %v, ends %v", s, reach[s], ends[s])
		}
	}
	if s, ok := next(stateEnded, evTapped); ok || s != stateEnded {
		t.Errorf("a card after the end leads to %s", s)
	}
}

// TestIndicators is Book B, 3.1.1: the qualifiers that a transaction sends to the card.
func TestIndicators(t *testing.T) {
	t.Parallel()
	limit := func(v payment.Amount) *payment.Amount { return &v }
	base := Combination{
		Kernel: Kernel3, TTQ: TTQ{0x36, 0xC0}, StatusCheck: true,
		FloorLimit: limit(10000), CVMLimit: limit(30000), TransactionLimit: limit(100000),
	}
	for _, c := range []struct {
		name    string
		tx      emv.Transaction
		ttq     byte
		allowed bool
	}{
		{"small: both bits cleared", emv.Transaction{Amount: 500}, 0x00, true},
		{"at the floor limit", emv.Transaction{Amount: 10000}, 0x00, true},
		{"above the floor limit", emv.Transaction{Amount: 10001}, 0x80, true},
		{"below the CVM limit", emv.Transaction{Amount: 29999}, 0x80, true},
		{"at the CVM limit", emv.Transaction{Amount: 30000}, 0xC0, true},
		{"below the transaction limit", emv.Transaction{Amount: 99999}, 0xC0, true},
		{"at the transaction limit", emv.Transaction{Amount: 100000}, 0xC0, false},
		{"zero", emv.Transaction{}, 0x80, true},
		{"status check", emv.Transaction{Amount: 100}, 0x80, true},
		{"refund", emv.Transaction{Type: emv.Refund, Amount: 50000}, 0x80, true},
		{"forced online", emv.Transaction{Amount: 5, ForceOnline: true}, 0x80, true},
	} {
		in := base.preprocess(c.tx, 100)
		if in.ttq[1] != c.ttq || in.notAllowed == c.allowed {
			t.Errorf("%s: TTQ %v, not allowed %v", c.name, in.ttq, in.notAllowed)
		}
	}
}

// TestCVMList is Book C-2, CVM selection, and EMV 4.4 Book 3, 10.5: methods and conditions.
func TestCVMList(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, list string
		tx         emv.Transaction
		caps       byte
		cvm        CVM
		results    string
		tvr        emv.TVRBit
	}{
		{"online PIN always", "0000000000000000 0200", emv.Transaction{Amount: 9}, 0x60, CVMOnlinePIN, "020000", emv.OnlinePINEntered},
		{"offline PIN is skipped", "0000000000000000 4100 1E03", emv.Transaction{Amount: 9}, 0x60, CVMSignature, "1E0300", 0},
		{"not supported, next", "0000000000000000 4203 1F03", emv.Transaction{Amount: 9}, 0x08, CVMNone, "1F0302", 0},
		{"under X", "00000010 00000000 1F06 0200", emv.Transaction{Amount: 9}, 0x68, CVMNone, "1F0602", 0},
		{"over X", "00000001 00000000 0207 1F00", emv.Transaction{Amount: 9}, 0x68, CVMOnlinePIN, "020700", emv.OnlinePINEntered},
		{"cash", "0000000000000000 0204 1F00", emv.Transaction{Type: emv.Cash, Amount: 9}, 0x68, CVMOnlinePIN, "020400", emv.OnlinePINEntered},
		{"cashback", "0000000000000000 0205 1F00", emv.Transaction{Amount: 9, Other: 3}, 0x68, CVMOnlinePIN, "020500", emv.OnlinePINEntered},
		{"fail", "0000000000000000 0000 1F00", emv.Transaction{Amount: 9}, 0x68, CVMNone, "000001", emv.CVMFailed},
		{"unrecognised", "0000000000000000 2F00", emv.Transaction{Amount: 9}, 0x68, CVMNone, "2F0001", emv.UnrecognisedCVM},
		{"none matches", "0000000000000000 0204", emv.Transaction{Amount: 9}, 0x68, CVMNone, "3F0001", emv.CVMFailed},
	} {
		r := testReader(t)
		r.tx = c.tx
		s := &r.s
		s.aip = emv.AIP{0x10}
		s.store.Set(0x8E, unhex(t, c.list), tlv.ICC)
		s.store.Set(0x9F33, []byte{0xE0, c.caps, 0xC8}, tlv.Terminal)
		s.store.Set(0x9F42, []byte{1, 0x56}, tlv.ICC)
		s.store.Set(0x5F2A, []byte{1, 0x56}, tlv.Terminal)
		s.combination = &r.config.Combinations[0]
		cvm := s.verifyCardholder(false)
		if cvm != c.cvm || emv.HexBytes(s.cvm[:]).String() != c.results || c.tvr != 0 && !s.tvr.Has(c.tvr) || c.tvr == 0 && s.tvr != (emv.TVR{}) {
			t.Errorf("%s: %q %v, TVR %v", c.name, cvm, s.cvm, s.tvr)
		}
	}
}

// TestJudgeRelay is Book C-2, S3R1.
func TestJudgeRelay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name           string
		took           time.Duration
		low, high, est uint16
		want           relayVerdict
	}{
		{"fine", 4 * time.Millisecond, 0, 60, 0x18, relayFine},
		{"at the limit", 15200 * time.Microsecond, 0, 60, 0x18, relayFine},
		{"over the limit", 15300 * time.Microsecond, 0, 60, 0x18, relayTooSlow},
		{"too fast", 4 * time.Millisecond, 30, 60, 0x18, relayTooFast},
		{"estimates differ", 4 * time.Millisecond, 0, 60, 0x40, relayDoubtful},
		{"far above the minimum", 50 * time.Millisecond, 0, 1000, 0x18, relayDoubtful},
	} {
		if got := defaultRelay.judgeRelay(c.took, c.low, c.high, c.est); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// TestKernelIdentifiers is Book B, 3.3.2.5.
func TestKernelIdentifiers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		aid, id string
		want    KernelID
		ok      bool
	}{
		{"A0000000031010", "", 3, true}, {"A0000000041010", "", 2, true}, {"A000000333010101", "", 7, true},
		{"A000000025", "", 4, true}, {"A000000999", "", 0, true}, {"A0000000031010", "02", 2, true},
		{"A0000000031010", "00", 0, true}, {"A0000000031010", "810156", 0, false}, {"A0000000031010", "43", 0, false},
	} {
		e := dirEntry{name: unhex(t, c.aid), kernel: unhex(t, c.id)}
		if got, ok := e.requestedKernel(); got != c.want || ok != c.ok {
			t.Errorf("%s %q: %d %v", c.aid, c.id, got, ok)
		}
	}
}

// TestConfiguration: what cannot work is refused by name.
func TestConfiguration(t *testing.T) {
	t.Parallel()
	bad := payment.Amount(-1)
	for field, change := range map[string]func(*Config){
		"combinations[0].application.aid":   func(c *Config) { c.Combinations[0].Application.AID = nil },
		"combinations[1].kernel":            func(c *Config) { c.Combinations[1].Kernel = 5 },
		"combinations[1].ttq":               func(c *Config) { c.Combinations[1].TTQ = TTQ{} },
		"combinations[2].cvm_limit":         func(c *Config) { c.Combinations[2].CVMLimit = &bad },
		"combinations[2].transaction_limit": func(c *Config) { c.Combinations[2].TransactionLimit = &bad },
		"0 combinations":                    func(c *Config) { c.Combinations = nil },
	} {
		c := testReader(t).config
		change(&c)
		if _, err := New(c); !errors.Is(err, ErrConfiguration) || !strings.HasSuffix(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	r := testReader(t)
	if _, err := r.Begin(emv.Transaction{Amount: -1}); !errors.Is(err, emv.ErrTransaction) {
		t.Errorf("begin: %v", err)
	}
	var q TTQ
	if err := q.UnmarshalText([]byte("36004000")); err != nil || q.String() != "36004000" || q.UnmarshalText([]byte("3600")) == nil {
		t.Errorf("TTQ %v %v", q, err)
	}
}

// TestDecided2 is Book C-2, S910: what a cryptogram of kernel 2 comes to.
func TestDecided2(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		got, want emv.CryptogramType
		kind      Kind
		pcii      string
		terminal  emv.TerminalType
	}{
		{"TC", emv.TC, emv.TC, Approved, "", 0x22},
		{"ARQC", emv.ARQC, emv.TC, Online, "", 0x22},
		{"ARQC without a host", emv.ARQC, emv.TC, Declined, "", 0x23},
		{"AAC", emv.AAC, emv.ARQC, Declined, "000000", 0x22},
		{"AAC, see phone", emv.AAC, emv.ARQC, TryAgain, "000001", 0x22},
		{"AAC, on-device CVM asked for", emv.AAC, emv.ARQC, TryAgain, "000300", 0x22},
	} {
		r := testReader(t)
		r.config.Terminal.Type = c.terminal
		if c.pcii != "" {
			r.s.store.Set(0xDF4B, unhex(t, c.pcii), tlv.ICC)
		}
		var e *end
		if err := r.s.decided2(c.got, request{kind: c.want}); !errors.As(err, &e) || e.kind != c.kind || e.phone != (c.kind == TryAgain) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
