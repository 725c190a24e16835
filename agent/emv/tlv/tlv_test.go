package tlv_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"posagent/agent/emv/tlv"
)

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

const fci = "6F 2A 84 08 A000000333010101 A5 1E 50 05 4445424954 87 01 01 9F38 06 9F3704 9F0206 BF0C 08 9F4D 02 0B0A 42 00 00"

func TestNext(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, in string
		tag      tlv.Tag
		value    string
		rest     string
		err      error
	}{
		{"one byte tag", "5A 02 6226 95", 0x5A, "6226", "95", nil},
		{"two byte tag", "9F26 01 AA", 0x9F26, "AA", "", nil},
		{"two byte tag below 31", "9F02 01 AA", 0x9F02, "AA", "", nil},
		{"three byte tag", "DF8101 00", 0xDF8101, "", "", nil},
		{"four byte tag", "DF818101 00", 0xDF818101, "", "", nil},
		{"five byte tag", "DF81818101 00", 0, "", "", tlv.ErrTag},
		{"tag with a leading zero septet", "9F80 01 00", 0, "", "", tlv.ErrTag},
		{"tag cut", "9F", 0, "", "", tlv.ErrTruncated},
		{"no length", "5A", 0, "", "", tlv.ErrTruncated},
		{"length 81", "5A 81 01 07", 0x5A, "07", "", nil},
		{"length 82", "5A 82 0001 07", 0x5A, "07", "", nil},
		{"length 83", "5A 83 000001 07", 0x5A, "07", "", nil},
		{"length 84", "5A 84 00000001 07", 0, "", "", tlv.ErrLength},
		{"indefinite length", "70 80 5A 00 00 00", 0, "", "", tlv.ErrLength},
		{"length cut", "5A 82 00", 0, "", "", tlv.ErrTruncated},
		{"value cut", "5A 02 07", 0, "", "", tlv.ErrTruncated},
		{"lies by 16 MiB", "5A 83 FFFFFF 07", 0, "", "", tlv.ErrTruncated},
		{"padding before", "00 00 5A 01 07", 0x5A, "07", "", nil},
		{"padding only", "00 00", 0, "", "", nil},
		{"empty", "", 0, "", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, rest, err := tlv.Next(unhex(t, c.in))
			if !errors.Is(err, c.err) {
				t.Fatalf("%s: error %v, want %v", c.in, err, c.err)
			}
			if o.Tag != c.tag || hex.EncodeToString(o.Value) != strings.ToLower(c.value) || hex.EncodeToString(rest) != c.rest {
				t.Fatalf("%s: %v %x rest %x, want %v %s rest %s", c.in, o.Tag, o.Value, rest, c.tag, c.value, c.rest)
			}
		})
	}
}

func TestWalkAndFind(t *testing.T) {
	t.Parallel()
	in := unhex(t, fci)
	var got []string
	err := tlv.Walk(in, func(depth int, o tlv.Object) error {
		got = append(got, strings.Repeat(">", depth)+o.Tag.String())
		return nil
	})
	want := "6F >84 >A5 >>50 >>87 >>9F38 >>BF0C >>>9F4D >>>42"
	if err != nil || strings.Join(got, " ") != want {
		t.Fatalf("walk %v %v, want %s", got, err, want)
	}
	if v, ok := tlv.Find(in, 0x9F4D); !ok || !bytes.Equal(v, []byte{0x0B, 0x0A}) {
		t.Fatalf("find 9F4D: %x %v", v, ok)
	}
	if _, ok := tlv.Find(in, 0x5A); ok {
		t.Fatal("5A found where there is none")
	}
	if _, err := tlv.Template(in, 0x70); !errors.Is(err, tlv.ErrTag) {
		t.Fatalf("template 70 of a 6F: %v", err)
	}
	if _, err := tlv.Template(append(in, 0x5A), 0x6F); !errors.Is(err, tlv.ErrLength) {
		t.Fatalf("bytes after the template: %v", err)
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	nested := []byte{}
	for range tlv.MaxDepth {
		nested = tlv.Append(nil, 0x70, nested)
	}
	if err := tlv.Check(nested); err != nil {
		t.Fatalf("%d templates: %v", tlv.MaxDepth, err)
	}
	for range 200 {
		nested = tlv.Append(nil, 0x70, nested)
	}
	if err := tlv.Check(nested); !errors.Is(err, tlv.ErrDepth) {
		t.Fatalf("a bomb of templates: %v", err)
	}
	if err := tlv.Check(make([]byte, tlv.MaxTotal+1)); !errors.Is(err, tlv.ErrTooLarge) {
		t.Fatalf("oversized input: %v", err)
	}
}

func TestDuplicate(t *testing.T) {
	t.Parallel()
	if d, ok := tlv.Duplicate(unhex(t, "70 0A 5A 01 07 70 03 5A 01 08 00 00")); !ok || d != 0x5A {
		t.Fatalf("duplicate 5A: %v %v", d, ok)
	}
	if d, ok := tlv.Duplicate(unhex(t, fci)); ok {
		t.Fatalf("duplicate %v in a sound FCI", d)
	}
}

func TestAppend(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		n    int
		head string
	}{
		{"empty", 0, "9f1000"}, {"127", 127, "9f107f"}, {"128", 128, "9f108180"}, {"255", 255, "9f1081ff"},
		{"256", 256, "9f10820100"}, {"64 KiB", 65536, "9f1083010000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := tlv.Append(nil, 0x9F10, make([]byte, c.n))
			if head := hex.EncodeToString(got[:len(got)-c.n]); head != c.head {
				t.Fatalf("header %s, want %s", head, c.head)
			}
			if o, rest, err := tlv.Next(got); err != nil || len(rest) != 0 || len(o.Value) != c.n {
				t.Fatalf("read back %v %d %v", o.Tag, len(o.Value), err)
			}
		})
	}
}

// EMV 4.4 Book 3, 5.4: rules for using a data object list.
func TestFillDOL(t *testing.T) {
	t.Parallel()
	values := map[tlv.Tag]string{
		0x9F02: "000000012345", 0x9C: "00", 0x5A: "6226090000000004", 0x95: "0102030405", 0x5F2A: "0156", 0x50: "4445", 0x70: "11",
	}
	for _, c := range []struct {
		name, dol, want string
		err             error
	}{
		{"exact", "9F02 06 9C 01", "00000001234500", nil},
		{"numeric is padded on the left", "5F2A 04", "00000156", nil},
		{"numeric is cut on the left", "9F02 02", "2345", nil},
		{"compressed numeric is padded with F", "5A 0A", "6226090000000004ffff", nil},
		{"compressed numeric is cut on the right", "5A 03", "622609", nil},
		{"binary is padded on the right", "95 06", "010203040500", nil},
		{"binary is cut on the right", "95 02", "0102", nil},
		{"text is padded on the right", "50 04", "44450000", nil},
		{"absent is zeros", "9F4C 03 5F34 01", "00000000", nil},
		{"absent compressed numeric is zeros", "9F20 02", "0000", nil},
		{"constructed is zeros", "70 02", "0000", nil},
		{"zero length", "95 00", "", nil},
		{"empty", "", "", nil},
		{"tag without length", "9F02", "", tlv.ErrDOL},
		{"cut tag", "9F", "", tlv.ErrDOL},
		{"asks for too much", "95 FC 95 01", "", tlv.ErrDOL},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := tlv.FillDOL(nil, unhex(t, c.dol), func(tag tlv.Tag) ([]byte, bool) {
				v, ok := values[tag]
				return unhex(t, v), ok
			})
			if !errors.Is(err, c.err) || hex.EncodeToString(got) != c.want {
				t.Fatalf("%s: %x %v, want %s %v", c.dol, got, err, c.want, c.err)
			}
			if _, err := tlv.ParseDOL(unhex(t, c.dol)); !errors.Is(err, c.err) {
				t.Fatalf("ParseDOL: %v, want %v", err, c.err)
			}
		})
	}
	if n, ok := tlv.DOLHas(unhex(t, "9F0206 9F3704"), 0x9F37); !ok || n != 4 {
		t.Fatalf("DOLHas 9F37: %d %v", n, ok)
	}
}

func TestDictionary(t *testing.T) {
	t.Parallel()
	e, ok := tlv.Lookup(0x9F26)
	if !ok || e.Name != "Application Cryptogram" || e.Source != tlv.ICC || e.Format != tlv.Binary || e.Max != 8 {
		t.Fatalf("9F26: %+v %v", e, ok)
	}
	if got := tlv.Tag(0xDFAA01).Name(); got != "DFAA01" {
		t.Fatalf("name of an unknown tag: %s", got)
	}
	if tlv.Tag(0x9F02).Format().String() != "n" || tlv.Tag(0x95).Source().String() != "terminal" {
		t.Fatal("format or source in words")
	}
}

func TestWalkAllocates(t *testing.T) {
	in := unhex(t, fci)
	n := 0
	if got := testing.AllocsPerRun(100, func() {
		_ = tlv.Walk(in, func(int, tlv.Object) error { n++; return nil })
		_, _ = tlv.Find(in, 0x42)
		_, _ = tlv.Duplicate(in)
	}); got != 0 {
		t.Fatalf("%v allocations in a walk, want 0", got)
	}
}

func BenchmarkWalk(b *testing.B) {
	in := unhex(b, fci)
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	n := 0
	for b.Loop() {
		_ = tlv.Walk(in, func(int, tlv.Object) error { n++; return nil })
	}
}

func BenchmarkFillDOL(b *testing.B) {
	dol := unhex(b, "9F0206 9F0306 9F1A02 9505 5F2A02 9A03 9C01 9F3704")
	dst := make([]byte, 0, 64)
	v := []byte{1, 2, 3, 4, 5, 6}
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = tlv.FillDOL(dst[:0], dol, func(tlv.Tag) ([]byte, bool) { return v, true })
	}
}

func FuzzWalk(f *testing.F) {
	for _, s := range []string{fci, "70 03 5A 01 07", "9F80", "70 80 00 00", "5A 83 FFFFFF", "00 00 00"} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		objects := 0
		err := tlv.Walk(in, func(depth int, o tlv.Object) error {
			if objects++; objects > len(in) || depth >= tlv.MaxDepth {
				t.Fatalf("%d objects at depth %d in %d bytes", objects, depth, len(in))
			}
			again, rest, err := tlv.Next(tlv.Append(nil, o.Tag, o.Value))
			if err != nil || len(rest) != 0 || again.Tag != o.Tag || !bytes.Equal(again.Value, o.Value) {
				t.Fatalf("%v does not survive encoding: %v %v", o.Tag, again.Tag, err)
			}
			_, _ = tlv.Find(in, o.Tag)
			return nil
		})
		if err == nil && tlv.Check(in) != nil {
			t.Fatal("Check and Walk disagree")
		}
		_, _ = tlv.Duplicate(in)
		_, _ = tlv.Template(in, 0x70)
	})
}

func FuzzDOL(f *testing.F) {
	f.Add(unhex(f, "9F0206 9F0306 9F1A02 9505 5F2A02 9A03 9C01 9F3704"), []byte{1, 2, 3})
	f.Add(unhex(f, "9F"), []byte{})
	f.Fuzz(func(t *testing.T, dol, value []byte) {
		list, perr := tlv.ParseDOL(dol)
		got, ferr := tlv.FillDOL(nil, dol, func(tlv.Tag) ([]byte, bool) { return value, true })
		if (perr == nil) != (ferr == nil) {
			t.Fatalf("ParseDOL %v, FillDOL %v", perr, ferr)
		}
		want := 0
		for _, e := range list {
			want += int(e.Length)
		}
		if ferr == nil && len(got) != want {
			t.Fatalf("%d bytes filled, %d asked for", len(got), want)
		}
	})
}
