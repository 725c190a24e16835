package pn532

import (
	"bytes"
	"errors"
	"testing"
)

func TestFrames(t *testing.T) {
	long := append([]byte{ToChip, CmdInDataExchange}, make([]byte, 254)...)
	for _, c := range []struct {
		name string
		in   []byte
		kind Kind
		body []byte
		n    int
		err  string // "" for none
	}{
		{"ACK", []byte{0, 0, 0xFF, 0, 0xFF, 0}, ACK, nil, 6, ""},
		{"NACK", []byte{0, 0, 0xFF, 0xFF, 0, 0}, NACK, nil, 6, ""},
		{"error", []byte{0, 0, 0xFF, 1, 0xFF, 0x7F, 0x81, 0}, Error, nil, 8, ""},
		{"firmware", []byte{0, 0, 0xFF, 2, 0xFE, 0xD4, 0x02, 0x2A, 0}, Data, []byte{0xD4, 2}, 9, ""},
		{"long preamble, more behind", append(make([]byte, 9), 0, 0xFF, 0, 0xFF, 0, 1), ACK, nil, 14, ""},
		{"one zero of preamble", []byte{0, 0xFF, 0, 0xFF, 0}, ACK, nil, 5, ""},
		{"extended", Frame{Data, long}.AppendTo(nil), Data, long, 3 + 5 + 256 + 2, ""},
		{"nothing", nil, 0, nil, 0, "frame is not complete"},
		{"half", []byte{0, 0, 0xFF, 2, 0xFE, 0xD4, 0x02, 0x2A}, 0, nil, 0, "frame is not complete"},
		{"no zero", []byte{0xFF, 0, 0xFF, 0}, 0, nil, 0, "frame: start code has FF"},
		{"noise", []byte{0, 0x41}, 0, nil, 0, "frame: start code has 41"},
		{"endless preamble", make([]byte, 40), 0, nil, 0, "frame: preamble is too long"},
		{"LCS", []byte{0, 0, 0xFF, 2, 0xFD, 0xD4, 0x02, 0x2A, 0}, 0, nil, 0, "frame: LCS FD does not fit length 02"},
		{"extended LCS", []byte{0, 0, 0xFF, 0xFF, 0xFF, 1, 0, 0}, 0, nil, 0, "frame: LCS 00 does not fit length 0100"},
		{"too long", []byte{0, 0, 0xFF, 0xFF, 0xFF, 2, 0, 0xFE}, 0, nil, 0, "frame: length is 512, want 265 at most"},
		{"DCS", []byte{0, 0, 0xFF, 2, 0xFE, 0xD4, 0x02, 0x2B, 0}, 0, nil, 0, "frame: DCS is 2B, want 2A"},
		{"postamble", []byte{0, 0, 0xFF, 2, 0xFE, 0xD4, 0x02, 0x2A, 1}, 0, nil, 0, "frame: postamble is 01"},
		{"TFI", []byte{0, 0, 0xFF, 2, 0xFE, 0xD0, 0x02, 0x2E, 0}, 0, nil, 0, "frame: TFI begins a body of 2 bytes wrongly"},
	} {
		f, n, err := Split(c.in)
		switch {
		case c.err != "":
			if err == nil || err.Error() != c.err {
				t.Errorf("%s: %v, want %s", c.name, err, c.err)
			}
		case err != nil || f.Kind != c.kind || n != c.n || !bytes.Equal(f.Body, c.body):
			t.Errorf("%s: %v % X, %d, %v", c.name, f.Kind, f.Body, n, err)
		}
	}
}

// Any single flip, loss or repetition in a frame is noticed; a repeated byte by
// what follows the frame, at the latest.
func TestSingleDamage(t *testing.T) {
	for _, body := range [][]byte{
		{FromChip, 0x41, 0, 0x90, 0}, {FromChip, 0x41, 0, 0, 0, 0, 0x6A, 0x82}, {FromChip, 0x41, 0, 0x5A, 0x90, 0},
		{FromChip, 0x41, 0, 0, 0, 0xEA}, // its check is 0
	} {
		good := Frame{Data, body}.AppendTo(nil)
		check := func(what string, at int, in []byte) {
			f, n, err := Split(in)
			if err == nil && n == len(in) && !bytes.Equal(f.Body, body) {
				t.Errorf("%s at %d of % X: taken as % X", what, at, good, f.Body)
			}
		}
		for at := range good {
			for bit := range 8 {
				in := bytes.Clone(good)
				in[at] ^= 1 << bit
				check("flip", at, in)
			}
			check("loss", at, append(bytes.Clone(good[:at]), good[at+1:]...))
			check("repetition", at, append(bytes.Clone(good[:at+1]), good[at:]...))
		}
	}
}

func FuzzSplit(f *testing.F) {
	for _, b := range []Frame{{Kind: ACK}, {Kind: NACK}, {Kind: Error}, {Data, []byte{FromChip, 3, 0x32, 1, 6, 7}}, {Data, append([]byte{ToChip, 0x40}, make([]byte, 260)...)}} {
		f.Add(b.AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		fr, n, err := Split(in)
		if err != nil {
			var fe *FrameError
			if !errors.Is(err, ErrShort) && !errors.As(err, &fe) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if n > len(in) || len(fr.Body) > MaxBody {
			t.Fatalf("took %d of %d, body %d", n, len(in), len(fr.Body))
		}
		again, _, err := Split(fr.AppendTo(nil))
		if err != nil || again.Kind != fr.Kind || !bytes.Equal(again.Body, fr.Body) {
			t.Fatalf("% X came back as % X, %v", fr.Body, again.Body, err)
		}
	})
}

func FuzzTargets(f *testing.F) {
	f.Add([]byte{1, 1, 0, 4, 0x20, 4, 1, 2, 3, 4, 5, 0x75, 0x33, 0x92, 3}, false)
	f.Add([]byte{1, 1, 0x50, 1, 2, 3, 4, 0, 0, 0, 0, 0x33, 0x81, 0x71, 1, 0}, true)
	f.Add([]byte{0}, true)
	f.Fuzz(func(t *testing.T, in []byte, b bool) {
		all, err := ParseTargets(in, b)
		if err != nil {
			var te *TargetError
			if !errors.As(err, &te) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		out := []byte{byte(len(all))}
		for _, x := range all {
			out = x.AppendTo(out, b)
		}
		if !bytes.Equal(out, in) {
			t.Fatalf("% X came back as % X", in, out)
		}
	})
}

func BenchmarkFrame(b *testing.B) {
	body := append([]byte{FromChip, 0x41}, make([]byte, 250)...)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = Frame{Data, body}.AppendTo(buf[:0])
		if _, _, err := Split(buf); err != nil {
			b.Fatal(err)
		}
	}
}
