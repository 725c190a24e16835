package payment

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"unique"
)

// ErrPAN, ErrTrack2 and ErrPINBlock report data that cannot be what it is named
// for. They never carry the data.
var (
	ErrPAN      = errors.New("payment: not a card number")
	ErrTrack2   = errors.New("payment: not a track 2")
	ErrPINBlock = errors.New("payment: not a PIN block")
)

// PAN is a primary account number (ISO/IEC 7812-1), 12 to 19 digits. Its zero
// value means "no card number". It prints as first six and last four digits. Two
// of them are equal with == if their digits are.
//
// The digits lie behind a handle: package fmt cannot call the methods of a value
// in an unexported field and would print what such a value holds.
type PAN struct{ digits unique.Handle[string] }

// NewPAN takes 12 to 19 digits. The check digit is judged by Luhn, not here:
// issuers of test cards do not always keep it.
func NewPAN(digits string) (PAN, error) {
	if len(digits) < 12 || len(digits) > 19 || strings.Trim(digits, "0123456789") != "" {
		return PAN{}, fmt.Errorf("%w: %d characters", ErrPAN, len(digits))
	}
	return PAN{unique.Make(digits)}, nil
}

// IsZero reports whether there is no card number.
func (p PAN) IsZero() bool { return p == PAN{} }

// Reveal gives all digits. For packing, kernel, keys and sealing only.
func (p PAN) Reveal() string {
	if p.IsZero() {
		return ""
	}
	return p.digits.Value()
}

// Masked gives the first six and last four digits with stars between: the most
// that a merchant copy may show.
func (p PAN) Masked() string {
	digits := p.Reveal()
	if digits == "" {
		return ""
	}
	n := len(digits)
	return digits[:6] + strings.Repeat("*", n-10) + digits[n-4:]
}

// Tail gives stars and the last four digits: what a cardholder copy may show.
func (p PAN) Tail() string {
	digits := p.Reveal()
	if digits == "" {
		return ""
	}
	n := len(digits)
	return strings.Repeat("*", n-4) + digits[n-4:]
}

// Luhn reports whether the check digit is right (ISO/IEC 7812-1, annex B).
func (p PAN) Luhn() bool {
	digits := p.Reveal()
	if digits == "" {
		return false
	}
	sum, double := 0, false
	for i := len(digits) - 1; i >= 0; i-- {
		d := int(digits[i] - '0')
		if double {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum, double = sum+d, !double
	}
	return sum%10 == 0
}

func (p PAN) String() string               { return p.Masked() }
func (p PAN) GoString() string             { return p.Masked() }
func (p PAN) Format(s fmt.State, _ rune)   { fmt.Fprint(s, p.Masked()) }
func (p PAN) MarshalJSON() ([]byte, error) { return json.Marshal(p.Masked()) }
func (p PAN) LogValue() slog.Value         { return slog.StringValue(p.Masked()) }

// Track2 is track 2 equivalent data (ISO/IEC 7813; EMV tag 57): digits with one
// 'D' or '=' between number and expiry. Its zero value means "none".
type Track2 struct{ text unique.Handle[string] }

// NewTrack2 takes the text form with 'D' or '=' as separator, at most 37
// characters, and keeps it with 'D'.
func NewTrack2(text string) (Track2, error) {
	t := strings.ReplaceAll(text, "=", "D")
	number, rest, found := strings.Cut(t, "D")
	if !found || len(t) > 37 || len(rest) < 7 || strings.Trim(rest, "0123456789") != "" {
		return Track2{}, fmt.Errorf("%w: %d characters", ErrTrack2, len(text))
	}
	if _, err := NewPAN(number); err != nil {
		return Track2{}, fmt.Errorf("%w: card number", ErrTrack2)
	}
	return Track2{unique.Make(t)}, nil
}

// IsZero reports whether there is no track 2.
func (t Track2) IsZero() bool { return t == Track2{} }

// Reveal gives the whole text with 'D' as separator.
func (t Track2) Reveal() string {
	if t.IsZero() {
		return ""
	}
	return t.text.Value()
}

// PAN is the number before the separator.
func (t Track2) PAN() PAN {
	if t.IsZero() {
		return PAN{}
	}
	number, _, _ := strings.Cut(t.Reveal(), "D")
	return PAN{unique.Make(number)}
}

// Expiry is YYMM.
func (t Track2) Expiry() string {
	if _, rest, ok := strings.Cut(t.Reveal(), "D"); ok {
		return rest[:4]
	}
	return ""
}

// ServiceCode is the three digits after the expiry (ISO/IEC 7813).
func (t Track2) ServiceCode() string {
	if _, rest, ok := strings.Cut(t.Reveal(), "D"); ok {
		return rest[4:7]
	}
	return ""
}

func (t Track2) masked() string {
	if t.IsZero() {
		return ""
	}
	return t.PAN().Masked() + "D[track 2]"
}

func (t Track2) String() string               { return t.masked() }
func (t Track2) GoString() string             { return t.masked() }
func (t Track2) Format(s fmt.State, _ rune)   { fmt.Fprint(s, t.masked()) }
func (t Track2) MarshalJSON() ([]byte, error) { return json.Marshal(t.masked()) }
func (t Track2) LogValue() slog.Value         { return slog.StringValue(t.masked()) }

// PINBlock is an enciphered PIN block of eight bytes as a PIN pad gives it. It
// is enciphered and still never printed, logged or kept.
type PINBlock struct{ block unique.Handle[string] }

// NewPINBlock takes the eight enciphered bytes.
func NewPINBlock(b []byte) (PINBlock, error) {
	if len(b) != 8 {
		return PINBlock{}, fmt.Errorf("%w: %d bytes", ErrPINBlock, len(b))
	}
	return PINBlock{unique.Make(string(b))}, nil
}

// IsZero reports whether no PIN was entered.
func (p PINBlock) IsZero() bool { return p == PINBlock{} }

// Reveal gives the enciphered bytes, for field 52 only; nil if there are none.
func (p PINBlock) Reveal() []byte {
	if p.IsZero() {
		return nil
	}
	return []byte(p.block.Value())
}

func (p PINBlock) masked() string {
	if p.IsZero() {
		return ""
	}
	return "[PIN block]"
}

func (p PINBlock) String() string               { return p.masked() }
func (p PINBlock) GoString() string             { return p.masked() }
func (p PINBlock) Format(s fmt.State, _ rune)   { fmt.Fprint(s, p.masked()) }
func (p PINBlock) MarshalJSON() ([]byte, error) { return json.Marshal(p.masked()) }
func (p PINBlock) LogValue() slog.Value         { return slog.StringValue(p.masked()) }
