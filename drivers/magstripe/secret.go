package magstripe

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"unique"
)

// Track is the text of one track that passed every check, without sentinels and
// LRC. Its zero value means "none". It prints as the masked card number; two of
// them are equal with == if their texts are.
//
// The text lies behind a handle: package fmt cannot call the methods of a value
// in an unexported field and would print what such a value holds.
type Track struct {
	number Number
	text   unique.Handle[string]
}

// IsZero reports whether there is no track.
func (t Track) IsZero() bool { return t == Track{} }

// Number tells which track it is.
func (t Track) Number() Number { return t.number }

// Reveal gives the whole text, "" if there is none. Field separators are '^' on
// track 1 and '=' on tracks 2 and 3.
func (t Track) Reveal() string {
	if t.IsZero() {
		return ""
	}
	return t.text.Value()
}

func (t Track) masked() string {
	if t.IsZero() {
		return ""
	}
	return t.PAN().Masked() + "[" + t.number.String() + "]"
}

func (t Track) String() string               { return t.masked() }
func (t Track) GoString() string             { return t.masked() }
func (t Track) Format(s fmt.State, _ rune)   { fmt.Fprint(s, t.masked()) }
func (t Track) MarshalJSON() ([]byte, error) { return json.Marshal(t.masked()) }
func (t Track) LogValue() slog.Value         { return slog.StringValue(t.masked()) }

// PAN is a card number of 12 to 19 digits. Its zero value means "none". It
// prints as first six and last four digits.
type PAN struct{ digits unique.Handle[string] }

// IsZero reports whether there is no card number.
func (p PAN) IsZero() bool { return p == PAN{} }

// Reveal gives all digits, "" if there are none.
func (p PAN) Reveal() string {
	if p.IsZero() {
		return ""
	}
	return p.digits.Value()
}

// Masked gives the first six and last four digits with stars between.
func (p PAN) Masked() string {
	d := p.Reveal()
	if len(d) < minPAN {
		return ""
	}
	return d[:6] + strings.Repeat("*", len(d)-10) + d[len(d)-4:]
}

func (p PAN) String() string               { return p.Masked() }
func (p PAN) GoString() string             { return p.Masked() }
func (p PAN) Format(s fmt.State, _ rune)   { fmt.Fprint(s, p.Masked()) }
func (p PAN) MarshalJSON() ([]byte, error) { return json.Marshal(p.Masked()) }
func (p PAN) LogValue() slog.Value         { return slog.StringValue(p.Masked()) }

// Secret is text of a track that is never printed: the cardholder's name, the
// issuer's discretionary data (which hold the card verification value).
type Secret struct{ text unique.Handle[string] }

func newSecret(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{unique.Make(s)}
}

// IsZero reports whether there is no text.
func (s Secret) IsZero() bool { return s == Secret{} }

// Reveal gives the text.
func (s Secret) Reveal() string {
	if s.IsZero() {
		return ""
	}
	return s.text.Value()
}

func (s Secret) masked() string {
	if s.IsZero() {
		return ""
	}
	return "[masked]"
}

func (s Secret) String() string               { return s.masked() }
func (s Secret) GoString() string             { return s.masked() }
func (s Secret) Format(f fmt.State, _ rune)   { fmt.Fprint(f, s.masked()) }
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.masked()) }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(s.masked()) }
