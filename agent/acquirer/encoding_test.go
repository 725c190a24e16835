package acquirer_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"posagent/agent/acquirer"
)

// set is a field of a message under test.
type set struct {
	id    uint8
	value string
}

func build(t testing.TB, p *acquirer.Profile, mti string, fields ...set) *acquirer.Message {
	t.Helper()
	m := p.New(mti)
	for _, f := range fields {
		if err := m.Set(f.id, f.value); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func TestFieldBytes(t *testing.T) {
	p := profile(t)
	halved := profile(t, `"length": 29, "prefix": "LLL", "align": "left", "show": "plain"`,
		`"length": 30, "prefix": "LLL", "align": "left", "counts": "bytes"`)
	for _, row := range []struct {
		name  string
		p     *acquirer.Profile
		id    uint8
		value string
		want  string // after message type and bitmap
	}{
		{"even digits", p, 3, "000000", "\x00\x00\x00"},
		{"leading zeros stay", p, 11, "000079", "\x00\x00\x79"},
		{"odd, fixed, left", p, 22, "051", "\x05\x10"},
		{"odd, fixed, right", p, 23, "001", "\x00\x01"},
		{"odd, variable, left", p, 2, "6226097318460046123", "\x19\x62\x26\x09\x73\x18\x46\x00\x46\x12\x30"},
		{"length counts digits", p, 60, "0000000100", "\x00\x10\x00\x00\x00\x01\x00"},
		{"length counts bytes", halved, 61, "00000101", "\x00\x04\x00\x00\x01\x01"},
		{"track with separator", p, 35, "622609731846D2512", "\x17\x62\x26\x09\x73\x18\x46\xD2\x51\x20"},
		{"text", p, 39, "A0", "A0"},
		{"GBK", p, 43, "\xD6\xD0\xCE\xC4\xB5\xEA" + strings.Repeat(" ", 34), "\xD6\xD0\xCE\xC4\xB5\xEA" + strings.Repeat(" ", 34)},
		{"GBK, variable", p, 63, "CUP\xBD\xBB", "\x00\x05CUP\xBD\xBB"},
		{"bytes", p, 55, "\x00\xFF\x80", "\x00\x03\x00\xFF\x80"},
		{"no bytes", p, 62, "", "\x00\x00"},
	} {
		t.Run(row.name, func(t *testing.T) {
			b, err := build(t, row.p, "0200", set{row.id, row.value}).Pack()
			if err != nil {
				t.Fatal(err)
			}
			if got := string(b[10:]); got != row.want {
				t.Errorf("field %d of %q packs to % X, want % X", row.id, row.value, got, row.want)
			}
			m, err := row.p.Unpack(b)
			if err != nil || m.Text(row.id) != row.value || !m.Has(row.id) {
				t.Errorf("field %d comes back as %q, %v; want %q", row.id, m.Text(row.id), err, row.value)
			}
		})
	}
}

func TestPackRefuses(t *testing.T) {
	p := profile(t)
	for _, row := range []struct {
		name  string
		id    uint8
		value string
	}{
		{"a letter in an amount", 4, "00000000123A"},
		{"a short amount", 4, "1234"},
		{"a long amount", 4, "0000000001234"},
		{"a track separator in digits", 2, "622609731846D046"},
		{"'=' in a track", 35, "622609731846=2512"},
		{"a card number over 19 digits", 2, "62260973184600461234"},
		{"an empty card number", 2, ""},
		{"a long track", 35, strings.Repeat("1", 38)},
		{"chip data over 255 bytes", 55, strings.Repeat("\x00", 256)},
		{"a control character in text", 37, "12345678901\n"},
		{"GBK in printable text", 42, "\xD6\xD0\xCE\xC4\xB5\xEA123456789"},
		{"a short GBK name", 43, "\xD6\xD0"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var fe *acquirer.FieldError
			b, err := build(t, p, "0200", set{row.id, row.value}).Pack()
			if !errors.As(err, &fe) || fe.Field != int(row.id) || fe.Offset != -1 {
				t.Fatalf("Pack = %x, %v; want a FieldError for field %d", b, err, row.id)
			}
			if len(row.value) > 4 && strings.Contains(err.Error(), row.value) {
				t.Errorf("the error tells the data: %v", err)
			}
		})
	}
	for _, id := range []uint8{0, 1, 5, 65, 128, 255} {
		var fe *acquirer.FieldError
		if err := p.New("0200").Set(id, "1"); !errors.As(err, &fe) {
			t.Errorf("Set(%d) = %v, want a FieldError", id, err)
		}
	}
	var fe *acquirer.FieldError
	if _, err := p.New("02x0").Pack(); !errors.As(err, &fe) || fe.Field != 0 {
		t.Errorf("Pack of message type 02x0 = %v", err)
	}
}

func TestUnpackRefuses(t *testing.T) {
	p := profile(t)
	bitmap := func(ids ...int) string {
		b := make([]byte, 8)
		for _, id := range ids {
			b[(id-1)/8] |= 0x80 >> ((id - 1) % 8)
		}
		return "\x02\x10" + string(b)
	}
	for _, row := range []struct {
		name   string
		body   string
		field  int
		offset int
	}{
		{"empty", "", -1, 0},
		{"half a bitmap", bitmap()[:6], -1, 6},
		{"message type not decimal", "\x0A" + bitmap()[1:], 0, 0},
		{"second bitmap", bitmap(1), 1, 2},
		{"field not in the profile", bitmap(5) + "\x00\x00", 5, 2},
		{"amount nibble", bitmap(4) + "\x00\x00\x00\x00\x1F\x00", 4, 14},
		{"amount cut", bitmap(4) + "\x00\x00\x00", 4, 10},
		{"fill left", bitmap(22) + "\x05\x11", 22, 11},
		{"fill right", bitmap(23) + "\x10\x01", 23, 10},
		{"length not decimal", bitmap(2) + "\x1F\x62\x26", 2, 10},
		{"length over the limit", bitmap(2) + "\x20" + strings.Repeat("\x11", 10), 2, 10},
		{"length zero", bitmap(2) + "\x00", 2, 10},
		{"length cut", bitmap(55) + "\x00", 55, 10},
		{"length lies long", bitmap(55) + "\x00\x05\x01\x02", 55, 12},
		{"length lies short", bitmap(55) + "\x00\x01\x01\x02", -1, 13},
		{"length above any field", bitmap(62) + "\x99\x99", 62, 10},
		{"separator in digits", bitmap(2) + "\x12\x62\x26\x09\xD3\x18\x46", 2, 14},
		{"other letter in a track", bitmap(35) + "\x12\x62\x26\x09\xE3\x18\x46", 35, 14},
		{"track fill", bitmap(35) + "\x11\x62\x26\x09\x73\x18\x4F", 35, 16},
		{"control character", bitmap(39) + "0\x00", 39, 11},
		{"non-ASCII in text", bitmap(41) + "1000000\xD6", 41, 17},
	} {
		t.Run(row.name, func(t *testing.T) {
			var fe *acquirer.FieldError
			_, err := p.Unpack([]byte(row.body))
			if !errors.As(err, &fe) || fe.Field != row.field || fe.Offset != row.offset {
				t.Errorf("Unpack(% X) = %v; want field %d at byte %d", row.body, err, row.field, row.offset)
			}
		})
	}
}

func TestProfileRefuses(t *testing.T) {
	for _, row := range []struct{ name, old, new, place string }{
		{"unknown key", `"connection":`, `"conection":`, "conection"},
		{"something behind", `"reversal_fields": [2,`, `"reversal_fields": [2,`, ""},
		{"header too long", `"6000030000"`, `"600003000000"`, "header.tpdu"},
		{"header byte", `"requirement_byte": 3`, `"requirement_byte": 7`, "requirement_byte"},
		{"frame size", `"max_frame": 2048`, `"max_frame": 60000`, "max_frame"},
		{"timer", `"60s"`, `"60m"`, "timers.response"},
		{"connection", `"per_exchange"`, `"sometimes"`, "connection"},
		{"MAC algorithm", `"cup-ecb"`, `"crc"`, "mac.algorithm"},
		{"field number", `"2":  {`, `"02": {`, "fields"},
		{"field 65", `"2":  {`, `"65": {`, "fields"},
		{"format", `"format": "z", "length": 37`, `"format": "y", "length": 37`, "fields.35"},
		{"alignment missing", `"length": 3, "align": "left"`, `"length": 3`, "fields.22"},
		{"alignment of bytes", `"format": "b", "length": 8}`, `"format": "b", "length": 8, "align": "left"}`, "align"},
		{"length over prefix", `"length": 25, "prefix": "LL"`, `"length": 100, "prefix": "LL"`, "fields.44"},
		{"prefix", `"length": 25, "prefix": "LL"`, `"length": 25, "prefix": "LLLL"`, "fields.44"},
		{"MAC length", `"message authentication code", "format": "b", "length": 8`, `"message authentication code", "format": "b", "length": 16`, "fields.64"},
		{"transaction missing", `"echo":`, `"ping":`, "echo"},
		{"message type of an answer", `"mti": "0220"`, `"mti": "0230"`, "refund"},
		{"field list order", `[11, 41, 42, 60, 63]`, `[41, 11, 42, 60, 63]`, "sign_in"},
		{"field list unknown", `[11, 41, 42, 60, 63]`, `[11, 41, 42, 60, 61, 63, 65]`, "sign_in"},
		{"function code", `"22{batch}00060"`, `"2{batch}00060"`, "f60"},
		{"MAC switch", `"f60": "22{batch}00060", "mac": true`, `"f60": "22{batch}00060", "mac": false`, "sale"},
	} {
		t.Run(row.name, func(t *testing.T) {
			text := strings.Replace(profileText(t), row.old, row.new, 1)
			if row.name == "something behind" {
				text += "{}"
			} else if text == profileText(t) {
				t.Fatalf("%q is not in the profile", row.old)
			}
			_, err := acquirer.LoadProfile(strings.NewReader(text))
			if !errors.Is(err, acquirer.ErrProfile) || !strings.Contains(err.Error(), row.place) {
				t.Errorf("LoadProfile = %v; want ErrProfile that names %q", err, row.place)
			}
		})
	}
	if _, err := acquirer.Builtin("../doc"); !errors.Is(err, acquirer.ErrProfile) {
		t.Errorf("Builtin of a foreign path = %v", err)
	}
	if p, err := acquirer.Builtin("unionpay-pos"); err != nil || p.Name() != "unionpay-pos" {
		t.Errorf("Builtin = %v, %v", p, err)
	}
}

func TestFrames(t *testing.T) {
	p := profile(t)
	body := bytes.Repeat([]byte{0x11}, 20)
	good, err := acquirer.Frame{TPDU: [5]byte{0x60, 0, 3, 0, 9}, Body: body}.AppendTo(nil, p.MaxFrame())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		in   []byte
		want error
	}{
		{"whole", good, nil},
		{"nothing", nil, acquirer.ErrFrameTruncated},
		{"half a length", good[:1], acquirer.ErrFrameTruncated},
		{"cut", good[:len(good)-1], acquirer.ErrFrameTruncated},
		{"bytes behind", append(bytes.Clone(good), 0), acquirer.ErrFrameTrailing},
		{"length zero", []byte{0, 0}, acquirer.ErrFrameShort},
		{"length below a header", append([]byte{0, 20}, good[2:]...), acquirer.ErrFrameShort},
		{"length over the limit", append([]byte{0x08, 0x01}, make([]byte, 2049)...), acquirer.ErrFrameOversized},
		{"largest length", []byte{0xFF, 0xFF}, acquirer.ErrFrameOversized},
	} {
		t.Run(row.name, func(t *testing.T) {
			f, err := acquirer.ParseFrame(row.in, p.MaxFrame())
			if !errors.Is(err, row.want) || err == nil && !bytes.Equal(f.Body, body) {
				t.Errorf("ParseFrame = %+v, %v; want %v", f, err, row.want)
			}
		})
	}
	if _, err := (acquirer.Frame{Body: make([]byte, 2048)}).AppendTo(nil, p.MaxFrame()); !errors.Is(err, acquirer.ErrFrameOversized) {
		t.Errorf("AppendTo of 2048 bytes = %v", err)
	}
	f, err := acquirer.ParseFrame(good, p.MaxFrame())
	if back := f.Answer(nil).TPDU; err != nil || back != [5]byte{0x60, 0, 9, 0, 3} {
		t.Errorf("answer TPDU = % X", back)
	}
}

// TestFailureLeavesNoTrace: after messages of the same fields that failed, and
// beside others in other goroutines, a message is packed and read as ever.
func TestFailureLeavesNoTrace(t *testing.T) {
	p := profile(t)
	want, err := build(t, p, "0200", sale22(t)...).Pack()
	if err != nil {
		t.Fatal(err)
	}
	for worker := range 4 {
		t.Run(string(rune('a'+worker)), func(t *testing.T) {
			t.Parallel()
			for n := range len(want) {
				bad := build(t, p, "0200", sale22(t)...)
				if err := bad.Set(55, strings.Repeat("x", 256+n)); err != nil {
					t.Fatal(err)
				}
				if _, err := bad.Pack(); err == nil {
					t.Fatal("256 bytes of chip data pass")
				}
				if _, err := p.Unpack(want[:n]); err == nil {
					t.Fatalf("%d bytes pass", n)
				}
				m, err := p.Unpack(want)
				if err != nil {
					t.Fatal(err)
				}
				if again, err := m.Pack(); err != nil || !bytes.Equal(again, want) {
					t.Fatalf("packs to % X, %v", again, err)
				}
			}
		})
	}
}
