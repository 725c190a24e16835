package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of one message body.
const (
	MaxMessage = 64 << 10 // bytes
	MaxDepth   = 32       // nested objects and arrays
)

// Kinds of refusal, found with errors.Is in what Decode, Encode and Validate return.
var (
	ErrTooLarge  = errors.New("message too large")
	ErrTooDeep   = errors.New("nested too deep")
	ErrNotUTF8   = errors.New("not valid UTF-8")
	ErrSyntax    = errors.New("not valid JSON")
	ErrKey       = errors.New("key is not lower-case snake")
	ErrDuplicate = errors.New("duplicate key")
	ErrUnknown   = errors.New("unknown field")
	ErrType      = errors.New("wrong type")
	ErrMissing   = errors.New("missing")
	ErrInvalid   = errors.New("invalid value")
)

// FieldError names one field that is wrong. Path is dotted with indexes, as in "aids[3].tac_denial"; "" is the whole.
type FieldError struct {
	Path   string
	Kind   error  // one of the kinds above
	Detail string // what was wanted; never a secret
}

func (e *FieldError) Error() string {
	path := e.Path
	if path == "" {
		path = "message"
	}
	if e.Detail == "" {
		return path + ": " + e.Kind.Error()
	}
	return path + ": " + e.Kind.Error() + ": " + e.Detail
}

func (e *FieldError) Unwrap() error { return e.Kind }

// FieldErrors lists every FieldError inside err, in the order found. It is nil for an error of another origin.
func FieldErrors(err error) []*FieldError {
	switch e := err.(type) {
	case nil:
		return nil
	case *FieldError:
		return []*FieldError{e}
	case interface{ Unwrap() []error }:
		var list []*FieldError
		for _, one := range e.Unwrap() {
			list = append(list, FieldErrors(one)...)
		}
		return list
	default:
		return FieldErrors(errors.Unwrap(err))
	}
}

// Message is a body of this protocol. The set is closed: only types of this package are messages.
type Message interface {
	// Validate reports every field that is wrong, as a join of FieldErrors.
	Validate() error
	// strict says that a field this version does not know is refused.
	strict() bool
}

// Decode reads one body into m, a pointer to a message type, and validates it. See the package comment for what is
// refused. On error *m is not to be used.
func Decode(body []byte, m Message) error {
	if err := DecodeShape(body, m); err != nil {
		return err
	}
	return m.Validate()
}

// DecodeShape is Decode without Validate: for a document that a person wrote and that is still to be completed.
func DecodeShape(body []byte, m Message) error {
	if err := check(body, m); err != nil {
		return err
	}
	if err := json.Unmarshal(body, m); err != nil {
		return &FieldError{Kind: ErrSyntax, Detail: err.Error()}
	}
	return nil
}

// Encode validates m and returns its body.
func Encode(m Message) ([]byte, error) {
	if err := m.Validate(); err != nil {
		return nil, fmt.Errorf("encode %T: %w", m, err)
	}
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", m, err)
	}
	if len(body) > MaxMessage {
		return nil, fmt.Errorf("encode %T: %w", m, &FieldError{Kind: ErrTooLarge, Detail: fmt.Sprint(len(body), " bytes")})
	}
	return body, nil
}

// checker collects every wrong field of one message.
type checker struct{ errs []error }

func (c *checker) err() error { return errors.Join(c.errs...) }

func (c *checker) add(path string, kind error, format string, args ...any) {
	c.errs = append(c.errs, &FieldError{Path: path, Kind: kind, Detail: fmt.Sprintf(format, args...)})
}

func (c *checker) require(ok bool, path, format string, args ...any) {
	if !ok {
		c.add(path, ErrInvalid, format, args...)
	}
}

// text wants low..high characters, no control characters, no replacement character.
func (c *checker) text(path, s string, low, high int) {
	switch n := utf8.RuneCountInString(s); {
	case s == "" && low > 0:
		c.add(path, ErrMissing, "want %d to %d characters", low, high)
	case n < low || n > high:
		c.add(path, ErrInvalid, "want %d to %d characters, have %d", low, high, n)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }):
		c.add(path, ErrInvalid, "holds a control character or bad UTF-8")
	}
}

// ascii wants low..high printable ASCII characters without space, quote or slash tricks: letters, digits and -._:+.
func (c *checker) ascii(path, s string, low, high int) {
	switch {
	case s == "" && low > 0:
		c.add(path, ErrMissing, "want %d to %d characters", low, high)
	case len(s) < low || len(s) > high:
		c.add(path, ErrInvalid, "want %d to %d characters, have %d", low, high, len(s))
	case !only(s, func(b byte) bool { return alnum(b) || strings.IndexByte("-._:+", b) >= 0 }):
		c.add(path, ErrInvalid, "want letters, digits and -._:+ only")
	}
}

func (c *checker) digits(path, s string, low, high int) {
	switch {
	case s == "" && low > 0:
		c.add(path, ErrMissing, "want %s digits", span(low, high))
	case len(s) < low || len(s) > high || !only(s, digit):
		c.add(path, ErrInvalid, "want %s digits, have %s", span(low, high), quote(s))
	}
}

// hex wants low..high bytes as hex of either case.
func (c *checker) hex(path, s string, low, high int) {
	switch {
	case s == "" && low > 0:
		c.add(path, ErrMissing, "want %s bytes as hex", span(low, high))
	case len(s)%2 != 0 || len(s) < 2*low || len(s) > 2*high || !only(s, hexDigit):
		c.add(path, ErrInvalid, "want %s bytes as hex, have %d characters", span(low, high), len(s))
	}
}

// lowerHex wants low..high bytes as hex of lower case: names and digests are compared as text.
func (c *checker) lowerHex(path, s string, low, high int) {
	before := len(c.errs)
	c.hex(path, s, low, high)
	if len(c.errs) == before {
		c.require(isHex(s), path, "want lower-case hex")
	}
}

// amount wants 0..most minor units.
func (c *checker) amount(path string, v, most int64) {
	c.require(v >= 0 && v <= most, path, "want 0 to %d minor units, have %d", most, v)
}

func (c *checker) time(path string, t time.Time) {
	switch {
	case t.IsZero():
		c.add(path, ErrMissing, "want an RFC 3339 time")
	case t.Year() < 1970 || t.Year() > 2199:
		c.add(path, ErrInvalid, "want a year from 1970 to 2199")
	}
}

func (c *checker) serial(path, s string) {
	c.require(ValidSerial(s), path, "want a serial number, have %s", quote(s))
}

func oneOf[T ~string](c *checker, path string, v T, known ...T) {
	for _, k := range known {
		if v == k {
			return
		}
	}
	if v == "" {
		c.add(path, ErrMissing, "want one of %v", known)
		return
	}
	c.add(path, ErrInvalid, "want one of %v, have %s", known, quote(string(v)))
}

func span(low, high int) string {
	if low == high {
		return fmt.Sprint(low)
	}
	return fmt.Sprintf("%d to %d", low, high)
}

func only(s string, ok func(byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}

func digit(b byte) bool    { return b >= '0' && b <= '9' }
func hexDigit(b byte) bool { return digit(b) || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F' }
func alnum(b byte) bool    { return digit(b) || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' }
func isHex(s string) bool {
	return only(s, func(b byte) bool { return digit(b) || b >= 'a' && b <= 'f' })
}

// quote shows an outside string in an error, cut to 40 bytes.
func quote(s string) string {
	if len(s) > 40 {
		return fmt.Sprintf("%+q...", s[:40])
	}
	return fmt.Sprintf("%+q", s)
}
