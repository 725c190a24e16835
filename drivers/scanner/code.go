package scanner

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"unique"
)

// Symbology is the kind of a bar code.
type Symbology string

// The symbologies that the identifiers of ISO/IEC 15424 are told apart into.
const (
	Unknown    Symbology = ""
	QR         Symbology = "qr"
	DataMatrix Symbology = "datamatrix"
	PDF417     Symbology = "pdf417"
	Aztec      Symbology = "aztec"
	HanXin     Symbology = "hanxin"
	Code39     Symbology = "code39"
	Code128    Symbology = "code128"
	EAN        Symbology = "ean"
	ITF        Symbology = "itf"
)

// aimLetters are the code characters of ISO/IEC 15424 and ISO/IEC 20830 (Han Xin).
var aimLetters = map[byte]Symbology{
	'Q': QR, 'd': DataMatrix, 'L': PDF417, 'z': Aztec, 'h': HanXin,
	'A': Code39, 'C': Code128, 'E': EAN, 'I': ITF,
}

// Code is what an engine read. It prints as kind and length, never as text. Two
// of them are equal with == if kind and text are. Its zero value is "no code".
//
// The text lies behind a handle: package fmt cannot call the methods of a value in
// an unexported field and would print what such a value holds.
type Code struct {
	text unique.Handle[string]
	kind Symbology
}

// IsZero reports whether there is no code.
func (c Code) IsZero() bool { return c == Code{} }

// Reveal gives the text. For routing and for the payment message only.
func (c Code) Reveal() string {
	if c.IsZero() {
		return ""
	}
	return c.text.Value()
}

// Symbology is the kind, Unknown if the engine sends no identifier or one that is
// not known here.
func (c Code) Symbology() Symbology { return c.kind }

// Len is the number of bytes of the text.
func (c Code) Len() uint16 { return uint16(len(c.Reveal())) }

func (c Code) masked() string {
	if c.IsZero() {
		return "[no code]"
	}
	kind := c.kind
	if kind == Unknown {
		kind = "code"
	}
	return fmt.Sprintf("[%s, %d characters]", string(kind), c.Len())
}

func (c Code) String() string               { return c.masked() }
func (c Code) GoString() string             { return c.masked() }
func (c Code) Format(s fmt.State, _ rune)   { fmt.Fprint(s, c.masked()) }
func (c Code) MarshalJSON() ([]byte, error) { return json.Marshal(c.masked()) }
func (c Code) LogValue() slog.Value         { return slog.StringValue(c.masked()) }
