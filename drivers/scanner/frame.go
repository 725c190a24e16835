package scanner

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"
	"unique"
)

// Errors of a frame.
var (
	// ErrFraming is a frame that is not as the Framing says.
	ErrFraming = errors.New("scanner: frame is damaged")
	// ErrTooLong is a code longer than Framing.MaxLen.
	ErrTooLong = errors.New("scanner: code is too long")
)

// Lengths of codes in characters; the package comment names the sources.
const (
	MaxPayer          uint16 = 512
	MaxQRAlphanumeric uint16 = 4296
	MaxQRNumeric      uint16 = 7089
)

// Suffix ends a frame.
type Suffix uint8

// The suffixes. NoSuffix frames end when the line is quiet for Gap.
const (
	CR Suffix = iota
	LF
	CRLF
	NoSuffix
)

func (s Suffix) bytes() string {
	return [...]string{CR: "\r", LF: "\n", CRLF: "\r\n", NoSuffix: ""}[s]
}

// Check is what the engine sends between text and suffix, as upper-case
// hexadecimal digits, computed over identifier and text.
type Check uint8

// The checks. CRC16 is polynomial 0x1021 from 0xFFFF, four digits. CRC32 is that
// of IEEE 802.3, eight digits.
const (
	NoCheck Check = iota
	CRC16
	CRC32
)

// digits is the number of characters of a check.
func (c Check) digits() int { return [...]int{NoCheck: 0, CRC16: 4, CRC32: 8}[c] }

func (c Check) sum(b []byte) uint32 {
	if c == CRC32 {
		return crc32.ChecksumIEEE(b)
	}
	crc := uint16(0xFFFF)
	for _, x := range b {
		crc ^= uint16(x) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return uint32(crc)
}

// Charset is what a text may be made of.
type Charset uint8

// The character sets. Printable is ASCII from space to tilde, which holds every
// payer's code. Text is UTF-8 without control characters. Binary is anything.
const (
	Printable Charset = iota
	Digits
	Text
	Binary
)

// holds tells whether the text is in the set.
func (c Charset) holds(text []byte) bool {
	switch c {
	case Binary:
		return true
	case Text:
		return utf8.Valid(text) && bytes.IndexFunc(text, unicode.IsControl) < 0
	}
	low, high := byte(' '), byte('~')
	if c == Digits {
		low, high = '0', '9'
	}
	for _, b := range text {
		if b < low || b > high {
			return false
		}
	}
	return true
}

// Framing is how the engine packs a code: Prefix, identifier, text, check, Suffix.
// The zero value is printable text up to 512 characters ended by CR.
type Framing struct {
	// Prefix comes before every code; nil for none.
	Prefix []byte
	// AIM says that the identifier of ISO/IEC 15424 comes next.
	AIM bool
	// Check comes after the text.
	Check Check
	// Suffix comes last.
	Suffix Suffix
	// Gap is the longest silence inside a frame; 0 for 50 ms. Silence ends a frame
	// without suffix and refuses one that waits for its suffix.
	Gap time.Duration
	// MaxLen bounds the text in bytes; 0 for MaxPayer, at most MaxQRNumeric.
	MaxLen uint16
	// Charset is what the text may be made of.
	Charset Charset
}

const (
	defaultGap = 50 * time.Millisecond
	maxPrefix  = 32 // longer than any engine can be set to
	aimLen     = 3
)

// fill sets what was left open and refuses what cannot work.
func (f Framing) fill() (Framing, error) {
	if f.Gap == 0 {
		f.Gap = defaultGap
	}
	if f.MaxLen == 0 {
		f.MaxLen = MaxPayer
	}
	f.Prefix = bytes.Clone(f.Prefix)
	switch {
	case f.Gap < 0 || f.Gap > time.Second:
		return f, fmt.Errorf("framing gap %s: want up to 1s", f.Gap)
	case f.MaxLen > MaxQRNumeric:
		return f, fmt.Errorf("framing length %d: want up to %d", f.MaxLen, MaxQRNumeric)
	case len(f.Prefix) > maxPrefix:
		return f, fmt.Errorf("framing prefix of %d bytes: want up to %d", len(f.Prefix), maxPrefix)
	case f.Suffix > NoSuffix || f.Check > CRC32 || f.Charset > Binary:
		return f, errors.New("framing: no such suffix, check or character set")
	}
	return f, nil
}

// AppendFrame packs a text as the engine does. aim is the three characters of the
// identifier and left out unless Framing.AIM.
func (f *Framing) AppendFrame(dst []byte, aim, text string) []byte {
	dst = append(dst, f.Prefix...)
	start := len(dst)
	if f.AIM {
		dst = append(dst, aim...)
	}
	dst = append(dst, text...)
	if n := f.Check.digits(); n > 0 {
		dst = fmt.Appendf(dst, "%0*X", n, f.Check.sum(dst[start:]))
	}
	return append(dst, f.Suffix.bytes()...)
}

// Parse unpacks one frame with its suffix. The error is ErrFraming or ErrTooLong
// and never holds the text.
func (f *Framing) Parse(frame []byte) (Code, error) {
	body, ok := bytes.CutSuffix(frame, []byte(f.Suffix.bytes()))
	if !ok {
		return Code{}, fmt.Errorf("%w: no suffix", ErrFraming)
	}
	if body, ok = bytes.CutPrefix(body, f.Prefix); !ok {
		return Code{}, fmt.Errorf("%w: no prefix", ErrFraming)
	}
	if n := f.Check.digits(); n > 0 {
		if len(body) < n {
			return Code{}, fmt.Errorf("%w: no check", ErrFraming)
		}
		check := string(body[len(body)-n:])
		body = body[:len(body)-n]
		sum, err := strconv.ParseUint(check, 16, 32)
		if err != nil || uint32(sum) != f.Check.sum(body) {
			return Code{}, fmt.Errorf("%w: check is wrong", ErrFraming)
		}
	}
	kind := Unknown
	if f.AIM {
		if len(body) < aimLen || body[0] != ']' || body[2] <= ' ' || body[2] > '~' {
			return Code{}, fmt.Errorf("%w: no identifier", ErrFraming)
		}
		kind = aimLetters[body[1]]
		body = body[aimLen:]
	}
	limit := f.MaxLen
	if limit == 0 {
		limit = MaxPayer
	}
	switch {
	case len(body) == 0:
		return Code{}, fmt.Errorf("%w: empty", ErrFraming)
	case len(body) > int(limit):
		return Code{}, fmt.Errorf("%w: over %d characters", ErrTooLong, limit)
	case !f.Charset.holds(body):
		return Code{}, fmt.Errorf("%w: character outside the set", ErrFraming)
	}
	return Code{unique.Make(string(body)), kind}, nil
}

// framer cuts the bytes of a line into frames. Framing is filled.
type framer struct {
	*Framing
	buf  []byte
	last byte // of a frame whose end no longer fits into buf
	over bool
}

func newFramer(f *Framing) *framer {
	n := len(f.Prefix) + aimLen + int(f.MaxLen) + f.Check.digits() + len(f.Suffix.bytes())
	return &framer{Framing: f, buf: make([]byte, 0, n)}
}

// feed takes one byte and tells whether it ended a frame.
func (x *framer) feed(b byte) bool {
	before := x.last
	if x.last = b; len(x.buf) == cap(x.buf) {
		x.over = true
	} else {
		x.buf = append(x.buf, b)
	}
	switch x.Suffix {
	case CR:
		return b == '\r'
	case LF:
		return b == '\n'
	case CRLF:
		return b == '\n' && before == '\r'
	}
	return false
}

// open tells whether a frame has begun and not ended.
func (x *framer) open() bool { return len(x.buf) > 0 }

// end gives the frame, ended by its suffix or by silence, and makes room for the
// next one.
func (x *framer) end() (Code, error) {
	defer x.reset()
	if x.over {
		return Code{}, fmt.Errorf("%w: over %d characters", ErrTooLong, x.MaxLen)
	}
	return x.Parse(x.buf)
}

func (x *framer) reset() {
	clear(x.buf)
	x.buf, x.last, x.over = x.buf[:0], 0, false
}
