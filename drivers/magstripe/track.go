package magstripe

import (
	"bytes"
	"strings"
	"unique"
)

// Number names a track.
type Number uint8

// The tracks of a card.
const (
	Track1 Number = 1 + iota
	Track2
	Track3
)

// Tracks is how many tracks a card has.
const Tracks = 3

// String is "track 1" and so on.
func (n Number) String() string {
	if n < Track1 || n > Track3 {
		return "no track"
	}
	return "track " + string('0'+byte(n))
}

// coding is how characters lie on a track.
type coding struct {
	bits       uint8 // per character with its parity bit
	start, end byte  // sentinels, as codes
	separator  byte  // field separator, as text
	base       byte  // text of code 0
	maxLen     uint8 // characters with sentinels and LRC
}

// ISO/IEC 7811-2 and -6: six data bits on track 1 (text is code + 0x20), four on
// tracks 2 and 3 (code + 0x30); lengths of ISO/IEC 7813 and ISO/IEC 4909.
var codings = [Tracks]coding{
	{bits: 7, start: '%' - 0x20, end: '?' - 0x20, separator: '^', base: 0x20, maxLen: 79},
	{bits: 5, start: ';' - 0x30, end: '?' - 0x30, separator: '=', base: 0x30, maxLen: 40},
	{bits: 5, start: ';' - 0x30, end: '?' - 0x30, separator: '=', base: 0x30, maxLen: 107},
}

const maxChars = 107 // the longest track

// Card number lengths: ISO/IEC 7812-1 allows 19; issuers in payment do not go
// below 12.
const (
	minPAN = 12
	maxPAN = 19
)

// minRest is the least that follows the card number on track 3: amounts, cycle,
// retry count and PIN control fields have fixed lengths (ISO 4909, 5).
const minRest = 16

// Cardholder name of track 1: 2 to 26 characters (ISO/IEC 7813, 4.1).
const (
	minName = 2
	maxName = 26
)

// accept judges the characters of a frame, sentinels and LRC among them, as
// codes without parity. It is the one door through which a Track is made.
func accept(n Number, codes []byte) (Track, error) {
	c := &codings[n-1]
	if len(codes) > int(c.maxLen) || len(codes) < 3 || codes[0] != c.start || codes[len(codes)-2] != c.end {
		return Track{}, ErrSentinel
	}
	var lrc byte
	for _, b := range codes {
		lrc ^= b
	}
	if lrc != 0 {
		return Track{}, ErrLRC
	}
	var buf [maxChars]byte
	defer clear(buf[:])
	text := buf[:len(codes)-3]
	for i := range text {
		text[i] = codes[i+1] + c.base
	}
	f, ok := split(n, text)
	if !ok {
		return Track{}, ErrFormat
	}
	if !luhn(f.pan) {
		return Track{}, ErrLuhn
	}
	return Track{number: n, text: unique.Make(string(text))}, nil
}

// fields are the parts of a track's text.
type fields struct{ format, pan, name, expiry, service, rest []byte }

// split takes the text of a track apart: ISO/IEC 7813, 4 (tracks 1 and 2), ISO
// 4909, 5 (track 3).
func split(n Number, text []byte) (f fields, ok bool) {
	sep := codings[n-1].separator
	switch n {
	case Track1:
		if len(text) == 0 || text[0] != 'B' { // the format of payment cards
			return f, false
		}
		f.format, text = text[:1], text[1:]
	case Track3:
		if len(text) < 2 || !digits(text[:2]) {
			return f, false
		}
		f.format, text = text[:2], text[2:]
	}
	f.pan, text, ok = bytes.Cut(text, []byte{sep})
	if !ok || len(f.pan) < minPAN || len(f.pan) > maxPAN || !digits(f.pan) {
		return f, false
	}
	if n == Track3 {
		f.rest = text
		return f, len(text) >= minRest && allowed(n, text)
	}
	if n == Track1 {
		f.name, text, ok = bytes.Cut(text, []byte{sep})
		if !ok || len(f.name) < minName || len(f.name) > maxName || !allowed(n, f.name) {
			return f, false
		}
	}
	// Expiry and service code may each be replaced by one separator.
	if f.expiry, text, ok = field(text, 4, sep); !ok {
		return f, false
	}
	if f.expiry != nil && (f.expiry[2] > '1' || string(f.expiry[2:]) > "12" || string(f.expiry[2:]) == "00") {
		return f, false
	}
	if f.service, text, ok = field(text, 3, sep); !ok {
		return f, false
	}
	f.rest = text
	return f, allowed(n, text)
}

// field takes n digits, or one separator that stands for them.
func field(text []byte, n int, sep byte) (value, rest []byte, ok bool) {
	if len(text) > 0 && text[0] == sep {
		return nil, text[1:], true
	}
	if len(text) < n || !digits(text[:n]) {
		return nil, nil, false
	}
	return text[:n], text[n:], true
}

func digits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// allowed tells whether b holds only characters that the standards let stand in
// the free part of a track.
func allowed(n Number, b []byte) bool {
	for _, c := range b {
		digit := c >= '0' && c <= '9'
		switch {
		case digit, n == Track3 && c == '=', n == Track2 && c == '=':
		case n == Track1 && c >= ' ' && c <= '_' && !strings.ContainsRune("%?!\"&'*+,:;<=>@_", rune(c)):
		default:
			return false
		}
	}
	return true
}

// luhn checks the last digit (ISO/IEC 7812-1, annex B).
func luhn(pan []byte) bool {
	var sum uint32
	double := false
	for i := len(pan) - 1; i >= 0; i-- {
		d := uint32(pan[i] - '0')
		if double {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum, double = sum+d, !double
	}
	return sum%10 == 0
}

func (t Track) fields() fields {
	if t.IsZero() {
		return fields{}
	}
	f, _ := split(t.number, []byte(t.Reveal()))
	return f
}

// PAN is the card number.
func (t Track) PAN() PAN {
	if t.IsZero() {
		return PAN{}
	}
	return PAN{unique.Make(string(t.fields().pan))}
}

// FormatCode is the format code: "B" on track 1, two digits on track 3, "" on
// track 2.
func (t Track) FormatCode() string { return string(t.fields().format) }

// Name is the cardholder's name of track 1.
func (t Track) Name() Secret { return newSecret(string(t.fields().name)) }

// Discretionary is what follows the service code, on track 3 what follows the
// card number.
func (t Track) Discretionary() Secret { return newSecret(string(t.fields().rest)) }

// Expiry is the expiry date; ok is false if the track has none, as track 3 here.
func (t Track) Expiry() (e Expiry, ok bool) {
	b := t.fields().expiry
	if b == nil {
		return Expiry{}, false
	}
	two := func(b []byte) uint8 { return (b[0]-'0')*10 + b[1] - '0' }
	return Expiry{Year: century(two(b)), Month: two(b[2:])}, true
}

// ServiceCode is the service code; ok is false if the track has none.
func (t Track) ServiceCode() (c ServiceCode, ok bool) {
	b := t.fields().service
	if b == nil {
		return ServiceCode{}, false
	}
	return ServiceCode{b[0] - '0', b[1] - '0', b[2] - '0'}, true
}
