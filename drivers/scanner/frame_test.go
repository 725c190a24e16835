package scanner

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name  string
		f     Framing
		frame string
		text  string
		kind  Symbology
		err   error
	}{
		{"plain", Framing{}, "123\r", "123", Unknown, nil},
		{"identifier", Framing{AIM: true}, "]Q1123\r", "123", QR, nil},
		{"unknown identifier", Framing{AIM: true}, "]?0123\r", "123", Unknown, nil},
		{"no identifier", Framing{AIM: true}, "123456\r", "", Unknown, ErrFraming},
		{"short identifier", Framing{AIM: true}, "]Q\r", "", Unknown, ErrFraming},
		{"prefix", Framing{Prefix: []byte("\x02")}, "\x02123\r", "123", Unknown, nil},
		{"no prefix", Framing{Prefix: []byte("\x02")}, "123\r", "", Unknown, ErrFraming},
		{"no suffix", Framing{Suffix: CRLF}, "123\r", "", Unknown, ErrFraming},
		{"empty", Framing{}, "\r", "", Unknown, ErrFraming},
		// CRC-16/IBM-3740 and CRC-32/ISO-HDLC of "123456789", the check values of
		// the catalogue of parametrised CRC algorithms.
		{"crc16", Framing{Check: CRC16}, "12345678929B1\r", "123456789", Unknown, nil},
		{"crc32", Framing{Check: CRC32}, "123456789CBF43926\r", "123456789", Unknown, nil},
		{"wrong check", Framing{Check: CRC16}, "12345678829B1\r", "", Unknown, ErrFraming},
		{"no check", Framing{Check: CRC32}, "123\r", "", Unknown, ErrFraming},
		{"too long", Framing{MaxLen: 2}, "123\r", "", Unknown, ErrTooLong},
		{"control character", Framing{}, "12\x003\r", "", Unknown, ErrFraming},
		{"chinese", Framing{Charset: Text}, "付款\r", "付款", Unknown, nil},
		{"bad utf-8", Framing{Charset: Text}, "\xff\r", "", Unknown, ErrFraming},
		{"binary", Framing{Charset: Binary}, "\xff\x00\r", "\xff\x00", Unknown, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, err := c.f.Parse([]byte(c.frame))
			if !errors.Is(err, c.err) || code.Reveal() != c.text || code.Symbology() != c.kind {
				t.Errorf("Parse(%q): %q %q, %v; want %q %q, %v", c.frame, code.Reveal(), code.Symbology(), err, c.text, c.kind, c.err)
			}
		})
	}
}

func TestCodeMasks(t *testing.T) {
	const secret = "281000000000000017"
	code, err := (&Framing{}).Parse([]byte(secret + "\r"))
	if err != nil {
		t.Fatal(err)
	}
	type inside struct{ code Code }
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("x", "code", code, "in", inside{code}, "p", &inside{code})
	for _, v := range []any{code, &code, inside{code}, &inside{code}, []Code{code}, map[Code]int{code: 1}, sighting{code: code}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&out, verb, v)
		}
	}
	js, _ := json.Marshal(code)
	out.Write(js)
	if s := out.String(); strings.Contains(s, secret[:8]) || strings.Contains(s, fmt.Sprintf("%x", secret[:8])) {
		t.Errorf("the code is told: %s", s)
	}
	if !strings.Contains(out.String(), "18 characters") {
		t.Error("the mask does not tell the length")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("]Q1123\r"), uint8(0), uint8(0), uint8(0), true)
	f.Add([]byte("123456789CBF43926\r\n"), uint8(2), uint8(2), uint8(1), false)
	f.Fuzz(func(t *testing.T, frame []byte, suffix, check, set uint8, aim bool) {
		x := Framing{Suffix: Suffix(suffix % 4), Check: Check(check % 3), Charset: Charset(set % 4), AIM: aim, MaxLen: 64}
		code, err := x.Parse(frame)
		if err != nil {
			if !code.IsZero() || !errors.Is(err, ErrFraming) && !errors.Is(err, ErrTooLong) {
				t.Fatalf("%v, %v", code, err)
			}
			return
		}
		if code.Len() == 0 || code.Len() > 64 || !x.Charset.holds([]byte(code.Reveal())) {
			t.Fatalf("text outside its bounds: %q", code.Reveal())
		}
		id := ""
		if aim {
			id = string(frame[:aimLen])
		}
		again := x.AppendFrame(nil, id, code.Reveal())
		if !bytes.EqualFold(again, frame) { // a check may come in lower case
			t.Fatalf("%q packs to %q", frame, again)
		}
	})
}

func FuzzFramer(f *testing.F) {
	f.Add([]byte("123\r]Q1\r\r\n"), uint8(0))
	f.Add([]byte(strings.Repeat("1", 40)+"\r\n12\r\n"), uint8(2))
	f.Fuzz(func(t *testing.T, stream []byte, suffix uint8) {
		o, err := Framing{Suffix: Suffix(suffix % 4), MaxLen: 16}.fill()
		if err != nil {
			t.Fatal(err)
		}
		x, start := newFramer(&o), 0
		room := cap(x.buf)
		for i, b := range stream {
			if !x.feed(b) {
				continue
			}
			code, err := x.end()
			want, wantErr := o.Parse(stream[start : i+1])
			if code != want || (err == nil) != (wantErr == nil) {
				t.Fatalf("frame %q: %q, %v; want %q, %v", stream[start:i+1], code.Reveal(), err, want.Reveal(), wantErr)
			}
			start = i + 1
		}
		if cap(x.buf) != room {
			t.Fatalf("the buffer grew to %d", cap(x.buf))
		}
	})
}

func BenchmarkFramer(b *testing.B) {
	o, _ := Framing{AIM: true, Check: CRC32}.fill()
	x := newFramer(&o)
	frame := o.AppendFrame(nil, "]Q1", strings.Repeat("A", 512))
	b.ReportAllocs()
	for b.Loop() {
		for _, c := range frame {
			x.feed(c)
		}
		x.reset()
	}
}
