package acquirer_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"testing"

	"github.com/moov-io/iso8583"
	"github.com/moov-io/iso8583/encoding"
	"github.com/moov-io/iso8583/field"
	"github.com/moov-io/iso8583/prefix"

	"posagent/agent/acquirer"
)

// stock is the profile's table with the library's own encoders and prefixers: the
// oracle where both can say the same, and the floor of the benchmarks.
func stock(t testing.TB) *iso8583.MessageSpec {
	t.Helper()
	var file struct {
		Fields map[string]struct {
			Format, Prefix, Align, Name string
			Length                      int
		}
	}
	if err := json.Unmarshal([]byte(profileText(t)), &file); err != nil {
		t.Fatal(err)
	}
	spec := &iso8583.MessageSpec{Name: "stock", Fields: map[int]field.Field{
		0: field.NewString(field.NewSpec(4, "message type", encoding.BCD, prefix.BCD.Fixed)),
		1: field.NewBitmap(field.NewSpec(8, "bitmap", encoding.Binary, prefix.Binary.Fixed)),
	}}
	for key, r := range file.Fields {
		id, err := strconv.Atoi(key)
		if err != nil {
			t.Fatal(err)
		}
		p := map[string]prefix.Prefixer{"": prefix.BCD.Fixed, "LL": prefix.BCD.LL, "LLL": prefix.BCD.LLL}[r.Prefix]
		switch {
		case r.Format == "b" || r.Format == "gbk":
			spec.Fields[id] = field.NewBinary(field.NewSpec(r.Length, r.Name, encoding.Binary, p))
		case r.Format == "an":
			spec.Fields[id] = field.NewString(field.NewSpec(r.Length, r.Name, encoding.ASCII, p))
		case r.Align == "left":
			spec.Fields[id] = field.NewString(field.NewSpec(r.Length, r.Name, encoding.LBCD, p))
		default:
			spec.Fields[id] = field.NewString(field.NewSpec(r.Length, r.Name, encoding.BCD, p))
		}
	}
	return spec
}

// sale22 is a 0200 of 22 fields; its track has no separator, which the library's
// own encoders could not write.
func sale22(t testing.TB) []set {
	fields := []set{
		{2, pan}, {3, "000000"}, {4, "000000001234"}, {11, "000079"}, {12, "140309"}, {13, "0520"}, {14, "2512"},
		{22, "051"}, {23, "001"}, {25, "00"}, {26, "12"}, {32, "48020000"}, {35, pan + "25122010000012345678"},
		{41, string(tid)}, {42, string(mid)}, {49, "156"}, {52, "\x5D\xEF\xCC\xDE\xA3\xE8\xCE\x0C"},
		{53, "2600000000000000"}, {55, string(make([]byte, 153))}, {60, "2200000700060"}, {63, "CUP"}, {64, "4A1FFF6F"},
	}
	if len(fields) != 22 {
		t.Fatalf("%d fields", len(fields))
	}
	return fields
}

func buildStock(t testing.TB, spec *iso8583.MessageSpec, mti string, fields []set) *iso8583.Message {
	m := iso8583.NewMessage(spec)
	m.MTI(mti)
	for _, f := range fields {
		if err := m.BinaryField(int(f.id), []byte(f.value)); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func TestStockAgrees(t *testing.T) {
	p, spec := profile(t), stock(t)
	fields := sale22(t)
	ours, err := build(t, p, "0200", fields...).Pack()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := buildStock(t, spec, "0200", fields).Pack()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(ours, theirs) {
		t.Errorf("ours   % X\nstock  % X", ours, theirs)
	}
	// What the library lets pass is refused here.
	loose := append(bytes.Clone(ours), 0xDE, 0xAD)
	if err := iso8583.NewMessage(spec).Unpack(loose); err != nil {
		t.Errorf("the library has become strict about trailing bytes: %v", err)
	}
	if _, err := p.Unpack(loose); err == nil {
		t.Error("trailing bytes pass")
	}
}

// FuzzMessage: no bytes make Unpack panic; what it accepts packs to the same
// bytes, and the library, where it accepts them too, reads the same values.
func FuzzMessage(f *testing.F) {
	for _, body := range references(f) {
		f.Add(body)
	}
	p, spec := profile(f), stock(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := p.Unpack(body)
		if err != nil {
			if _, ok := err.(*acquirer.FieldError); !ok {
				t.Fatalf("error %T: %v", err, err)
			}
			return
		}
		again, err := m.Pack()
		if err != nil || !bytes.Equal(again, body) {
			t.Fatalf("accepted % X, packs to % X, %v", body, again, err)
		}
		_ = acquirer.Describe(m)
		theirs := iso8583.NewMessage(spec)
		if theirs.Unpack(body) != nil {
			return // 'D' in a track
		}
		for _, id := range m.Fields() {
			value, err := theirs.GetBytes(int(id))
			if err != nil || string(value) != m.Text(id) {
				t.Fatalf("field %d: ours %q, stock %q, %v", id, m.Text(id), value, err)
			}
		}
	})
}

// FuzzField packs one value in one field with both codecs: where both accept it,
// the bytes are the same; what ours accepts comes back as it was.
func FuzzField(f *testing.F) {
	for _, s := range sale22(f) {
		f.Add(s.id, []byte(s.value))
	}
	f.Add(uint8(43), []byte("\xD6\xD0\xCE\xC4                                    "))
	f.Add(uint8(35), []byte("622609731846D2512"))
	p, spec := profile(f), stock(f)
	f.Fuzz(func(t *testing.T, id uint8, value []byte) {
		m := p.New("0200")
		if m.SetBytes(id, value) != nil {
			return
		}
		ours, err := m.Pack()
		if err != nil {
			return
		}
		back, err := p.Unpack(ours)
		if err != nil || back.Text(id) != string(value) {
			t.Fatalf("field %d: %q comes back as %q, %v", id, value, back.Text(id), err)
		}
		theirs, err := buildStock(t, spec, "0200", []set{{id, string(value)}}).Pack()
		if err == nil && !bytes.Equal(ours, theirs) {
			t.Fatalf("field %d = %q: ours % X, stock % X", id, value, ours, theirs)
		}
	})
}

// FuzzFrame: reading frame by frame from a stream and at once from memory agree.
func FuzzFrame(f *testing.F) {
	for _, body := range references(f) {
		wire, err := acquirer.Frame{Body: body}.AppendTo(nil, 2048)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	f.Add([]byte{0xFF, 0xFF, 0})
	f.Fuzz(func(t *testing.T, wire []byte) {
		whole, err := acquirer.ParseFrame(wire, 2048)
		read, readErr := acquirer.NewFrameReader(bytes.NewReader(wire), 2048).Next()
		if err == nil && (readErr != nil || fmt.Sprint(whole) != fmt.Sprint(read)) {
			t.Fatalf("parsed %+v; read %+v, %v", whole, read, readErr)
		}
		if readErr == nil {
			again, err := read.AppendTo(nil, 2048)
			if err != nil || !bytes.Equal(again, wire[:len(again)]) {
				t.Fatalf("read % X, writes % X, %v", wire, again, err)
			}
		}
	})
}

func BenchmarkPack(b *testing.B) {
	fields := sale22(b)
	b.Run("ours", func(b *testing.B) {
		p := profile(b)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := build(b, p, "0200", fields...).Pack(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("moov", func(b *testing.B) {
		spec := stock(b)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := buildStock(b, spec, "0200", fields).Pack(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkUnpack(b *testing.B) {
	body, err := build(b, profile(b), "0200", sale22(b)...).Pack()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("ours", func(b *testing.B) {
		p := profile(b)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := p.Unpack(body); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("moov", func(b *testing.B) {
		spec := stock(b)
		b.ReportAllocs()
		for b.Loop() {
			if err := iso8583.NewMessage(spec).Unpack(body); err != nil {
				b.Fatal(err)
			}
		}
	})
}
