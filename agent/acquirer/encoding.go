package acquirer

import (
	"fmt"

	"github.com/moov-io/iso8583/encoding"
	"github.com/moov-io/iso8583/prefix"
)

// wireError is a FieldError on its way through the library: rest is how many
// bytes were left when it was found, from which Unpack makes the offset.
type wireError struct {
	field  int
	rest   int // -1 when packing
	reason string
}

func (e *wireError) Error() string { return fmt.Sprintf("field %d: %s", e.field, e.reason) }

// digitEncoder packs two characters to a byte. It takes digits, and for a track
// (track true) also 'D'. An odd count gets a zero nibble: behind the characters
// when left, before them otherwise.
type digitEncoder struct {
	field int
	left  bool
	track bool
}

var _ encoding.Encoder = digitEncoder{}

const hexDigits = "0123456789ABCDEF"

func (e digitEncoder) nibble(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c == 'D' && e.track:
		return 0xD, true
	}
	return 0, false
}

// Encode implements encoding.Encoder.
func (e digitEncoder) Encode(src []byte) ([]byte, error) {
	dst := make([]byte, (len(src)+1)/2)
	at := 0 // in nibbles
	if len(src)%2 == 1 && !e.left {
		at = 1
	}
	for _, c := range src {
		n, ok := e.nibble(c)
		if !ok {
			return nil, &wireError{e.field, -1, "holds a character that is not a digit"}
		}
		if at%2 == 0 {
			n <<= 4
		}
		dst[at/2] |= n
		at++
	}
	return dst, nil
}

// Decode implements encoding.Encoder; length counts characters.
func (e digitEncoder) Decode(data []byte, length int) ([]byte, int, error) {
	read := (length + 1) / 2
	if length < 0 || len(data) < read {
		return nil, 0, &wireError{e.field, len(data), "is cut short"}
	}
	dst := make([]byte, 2*read)
	for i, b := range data[:read] {
		hi, lo := b>>4, b&0x0F
		if !e.digit(hi) || !e.digit(lo) {
			return nil, 0, &wireError{e.field, len(data) - i, "holds a nibble that is not a digit"}
		}
		dst[2*i], dst[2*i+1] = hexDigits[hi], hexDigits[lo]
	}
	if length%2 == 0 {
		return dst, read, nil
	}
	pad, text, at := dst[0], dst[1:], 0
	if e.left {
		pad, text, at = dst[length], dst[:length], read-1
	}
	if pad != '0' {
		return nil, 0, &wireError{e.field, len(data) - at, "is filled with something else than zero"}
	}
	return text, read, nil
}

func (e digitEncoder) digit(n byte) bool { return n <= 9 || e.track && n == 0xD }

// byteEncoder carries bytes as they are; text true refuses all but printable
// ASCII (20 to 7E).
type byteEncoder struct {
	field int
	text  bool
}

var _ encoding.Encoder = byteEncoder{}

func (e byteEncoder) check(b []byte, rest int) error {
	if !e.text {
		return nil
	}
	for i, c := range b {
		if c < 0x20 || c > 0x7E {
			if rest >= 0 {
				rest -= i
			}
			return &wireError{e.field, rest, "holds a byte that is not printable ASCII"}
		}
	}
	return nil
}

// Encode implements encoding.Encoder. The result aliases src.
func (e byteEncoder) Encode(src []byte) ([]byte, error) {
	return src, e.check(src, -1)
}

// Decode implements encoding.Encoder. The result aliases data.
func (e byteEncoder) Decode(data []byte, length int) ([]byte, int, error) {
	if length < 0 || len(data) < length {
		return nil, 0, &wireError{e.field, len(data), "is cut short"}
	}
	if err := e.check(data[:length], len(data)); err != nil {
		return nil, 0, err
	}
	return data[:length:length], length, nil
}

// fixedPrefixer stands before a field of fixed length: no bytes at all.
type fixedPrefixer struct{ field int }

var _ prefix.Prefixer = fixedPrefixer{}

// EncodeLength implements prefix.Prefixer.
func (p fixedPrefixer) EncodeLength(fixed, n int) ([]byte, error) {
	if n != fixed {
		return nil, &wireError{p.field, -1, fmt.Sprintf("has length %d, not %d", n, fixed)}
	}
	return nil, nil
}

// DecodeLength implements prefix.Prefixer.
func (p fixedPrefixer) DecodeLength(fixed int, _ []byte) (int, int, error) { return fixed, 0, nil }

// Inspect implements prefix.Prefixer.
func (p fixedPrefixer) Inspect() string { return "BCD.Fixed" }

// bcdPrefixer is a length in BCD: LL in one byte, LLL in two. What it counts is
// the field's characters, or, when halved, the bytes that pairs of them take: a
// field that some acquirers write and that can then hold an even count only.
type bcdPrefixer struct {
	field  int
	digits int // 2 or 3
	min    int
	halved bool
}

var _ prefix.Prefixer = bcdPrefixer{}

func (p bcdPrefixer) size() int { return (p.digits + 1) / 2 }

// EncodeLength implements prefix.Prefixer.
func (p bcdPrefixer) EncodeLength(max, n int) ([]byte, error) {
	if n > max || n < p.min {
		return nil, &wireError{p.field, -1, fmt.Sprintf("has length %d, not %d to %d", n, p.min, max)}
	}
	if p.halved {
		if n%2 == 1 {
			return nil, &wireError{p.field, -1, "has an odd count of digits"}
		}
		n /= 2
	}
	dst := make([]byte, 0, p.size())
	if p.digits > 2 {
		dst = append(dst, byte(n/100))
	}
	return append(dst, byte(n/10%10)<<4|byte(n%10)), nil
}

// DecodeLength implements prefix.Prefixer.
func (p bcdPrefixer) DecodeLength(max int, data []byte) (int, int, error) {
	if len(data) < p.size() {
		return 0, 0, &wireError{p.field, len(data), "length is cut short"}
	}
	n := 0
	for _, b := range data[:p.size()] {
		if b>>4 > 9 || b&0x0F > 9 {
			return 0, 0, &wireError{p.field, len(data), "length is not decimal"}
		}
		n = n*100 + int(b>>4)*10 + int(b&0x0F)
	}
	if p.halved {
		n *= 2
	}
	if n > max || n < p.min {
		return 0, 0, &wireError{p.field, len(data), fmt.Sprintf("states length %d, not %d to %d", n, p.min, max)}
	}
	return n, p.size(), nil
}

// Inspect implements prefix.Prefixer.
func (p bcdPrefixer) Inspect() string { return "BCD." + "LLL"[:p.digits] }
