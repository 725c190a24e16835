package contactless

import (
	"bytes"
	"context"
	"encoding/hex"
	"strings"
	"testing"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
	"posagent/agent/payment"
)

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func testReader(tb testing.TB) *Reader {
	tb.Helper()
	list := []Combination{
		{Kernel: Kernel2, NoCVMCapability: 0x08, CVMCapability: 0x60, Torn: true, ExtendedSelection: true},
		{Kernel: Kernel3, TTQ: TTQ{0x36}}, {Kernel: Kernel7, TTQ: TTQ{0x36}},
	}
	for i, rid := range []emv.AID{{0xA0, 0, 0, 0, 4}, {0xA0, 0, 0, 0, 3}, {0xA0, 0, 0, 3, 0x33}} {
		list[i].Application = emv.Application{AID: rid, Partial: true, FloorLimit: 10000}
	}
	r, err := New(Config{
		Terminal:     emv.Terminal{Type: 0x22, Country: "156", Currency: payment.CNY, Capabilities: emv.Capabilities{0xE0, 0x68, 0xC8}},
		Combinations: list,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func FuzzPPSE(f *testing.F) {
	f.Add(unhex(f, "6F 2C 84 0E 325041592E5359532E4444463031 A5 1A BF0C 17 61 15 4F 07 A0000000031010 87 01 01 9F2A 01 03 9F29 02 ABCD"))
	f.Add(unhex(f, "6F 10 84 0E 325041592E5359532E4444463031"))
	r := testReader(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		var room [maxEntries]dirEntry
		list, err := parsePPSE(in, room[:0])
		if err == nil && len(list) > maxEntries {
			t.Fatalf("%d entries", len(list))
		}
		r.candidates(list)
		for i, c := range r.list[:r.count] {
			if !emv.AID(c.name[:c.nameLen]).Valid() || i > 0 && r.list[i-1].priority > c.priority {
				t.Fatalf("candidate %d: %d bytes", i, c.nameLen)
			}
		}
	})
}

func FuzzFCI(f *testing.F) {
	f.Add(unhex(f, "6F 16 84 07 A0000000031010 A5 0B 50 03 544150 9F38 03 9F6604"))
	r := testReader(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		s := &r.s
		s.clean()
		name := unhex(t, "A0000000031010")
		if err := s.enterFCI(in, name); err == nil && !bytes.HasPrefix(s.value(0x84), name) {
			t.Fatalf("DF name % X", s.value(0x84))
		}
	})
}

func FuzzQuickAnswer(f *testing.F) {
	f.Add([]byte{0x40}, unhex(f, "0701010310000000"), []byte{0x80, 0x00})
	f.Add([]byte{}, unhex(f, "06010A03A0000000"), []byte{0x00, 0x80})
	f.Fuzz(func(t *testing.T, cid, iad, ctq []byte) {
		kind, err := cryptogramKind(cid, iad)
		if err == nil && kind != emv.AAC && kind != emv.TC && kind != emv.ARQC {
			t.Fatalf("type %02X", byte(kind))
		}
		r := testReader(t)
		s := &r.s
		s.combination, s.in = &r.config.Combinations[1], &r.indicators[1]
		s.in.ttq = TTQ{0x36, 0x40, 0, 0}
		s.store.Set(0x9F6C, ctq, tlv.ICC)
		s.cryptogram.Type = emv.TC
		q, has := s.qualifiers()
		if cvm, err := s.quickCVM(&kernel3Rules, q, has, emv.TC); err == nil && (cvm == CVMOnlinePIN || cvm == CVMOnDevice || cvm == CVMNone) {
			t.Fatalf("%s for a TC above the CVM limit, CTQ % X", cvm, ctq)
		}
	})
}

func FuzzAFL(f *testing.F) {
	f.Add(unhex(f, "10010401"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if checkAFL(in) != nil {
			return
		}
		for b := in; len(b) > 0; b = b[4:] {
			if b[0]>>3 == 0 || b[0]>>3 > 30 || b[1] == 0 || b[2] < b[1] || b[2] == 255 {
				t.Fatalf("% X", b[:4])
			}
		}
	})
}

// fuzzCard answers with what the fuzzer wrote: length and bytes, one after another.
type fuzzCard struct{ in []byte }

func (c *fuzzCard) Transmit(context.Context, []byte) ([]byte, error) {
	if len(c.in) == 0 {
		return nil, errLost
	}
	n := min(int(c.in[0]), len(c.in)-1)
	out := c.in[1 : 1+n]
	c.in = c.in[1+n:]
	return append(bytes.Clone(out), 0x90, 0x00), nil
}

// join makes a fuzzCard's script of answers.
func join(tb testing.TB, parts ...string) (out []byte) {
	for _, p := range parts {
		b := unhex(tb, p)
		out = append(append(out, byte(len(b))), b...)
	}
	return out
}

// scripts are whole cards of kernels 3 and 2, without a signature.
func scripts(tb testing.TB) (quick, two []byte) {
	open := func(rid, kernel string) []string {
		return []string{
			"6F 27 84 0E 325041592E5359532E4444463031 A5 15 BF0C 12 61 10 4F 07 A0000000" + rid + "1010 87 01 01 9F2A 01 " + kernel,
			"6F 16 84 07 A0000000" + rid + "1010 A5 0B 50 03 544150 9F38 03 9F6604",
		}
	}
	quick = join(tb, append(open("03", "03"),
		"77 33 82 02 2000 94 04 08010100 9F36 02 0001 9F26 08 1122334455667788 9F10 08 0701010320000000 57 0C 4761739001010010D3012201",
		"70 0A 5A 08 4761739001010010")...)
	two = join(tb, append(open("04", "02"),
		"77 0A 82 02 0080 94 04 08010100",
		"70 15 5A 08 5413330089000013 5F24 03 301231 8C 03 9F3704",
		"77 1F 9F27 01 80 9F36 02 0001 9F26 08 1122334455667788 9F10 08 0701010320000000")...)
	return quick, two
}

// TestScripts: the fuzzer begins with cards that go all the way.
func TestScripts(t *testing.T) {
	t.Parallel()
	quick, two := scripts(t)
	for _, script := range [][]byte{quick, two} {
		r := testReader(t)
		if _, err := r.Begin(emv.Transaction{Amount: 500}); err != nil {
			t.Fatal(err)
		}
		if out := r.Tap(t.Context(), &fuzzCard{script}); out.Kind != Online {
			t.Errorf("kernel %d: %s %v", out.Kernel, out.Kind, out.Sale.Cause)
		}
	}
}

// FuzzCard is a whole card made of random answers: it ends, and never approves.
func FuzzCard(f *testing.F) {
	quick, two := scripts(f)
	f.Add(quick)
	f.Add(two)
	r := testReader(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		if _, err := r.Begin(emv.Transaction{Amount: 500}); err != nil {
			t.Fatal(err)
		}
		out := r.Tap(context.Background(), &fuzzCard{in})
		if out.Kind == Approved || out.Kind == "" || out.Kind == SelectNext {
			t.Fatalf("%s", out.Kind)
		}
	})
}
