package judge

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
)

// A Form is how bytes are to be read.
type Form string

// Forms that Decode knows.
const (
	FormTLV     Form = "tlv"
	FormTVR     Form = "tvr"
	FormTSI     Form = "tsi"
	FormCVMList Form = "cvmlist"
	FormCVM     Form = "cvmresults"
	FormAIP     Form = "aip"
	FormCTQ     Form = "ctq"
	FormTTQ     Form = "ttq"
	FormAUC     Form = "auc"
	FormDOL     Form = "dol"
	FormCID     Form = "cid"
	FormTermCap Form = "termcap"
	FormAddCap  Form = "addcap"
	FormAFL     Form = "afl"
)

// Forms lists them.
var Forms = []Form{FormTLV, FormTVR, FormTSI, FormCVMList, FormCVM, FormAIP, FormCTQ, FormTTQ, FormAUC, FormDOL, FormCID, FormTermCap, FormAddCap, FormAFL}

// ErrDecode is wrapped by the errors of Decode.
var ErrDecode = errors.New("cannot be read so")

// maxObjects bounds the tree of one decoding: 64 KiB of empty objects would be 32,768.
const maxObjects = 4096

// An Object is one data object with what is known of it.
type Object struct {
	Tag     string   `json:"tag"`
	Name    string   `json:"name"` // empty when the dictionary does not know it
	Format  string   `json:"format,omitempty"`
	Source  string   `json:"source,omitempty"` // ICC, terminal or issuer
	Length  uint32   `json:"length"`           // bytes
	Value   string   `json:"value,omitempty"`  // hexadecimal; templates have objects instead
	Words   []string `json:"words,omitempty"`
	Objects []Object `json:"objects,omitempty"`
}

// An Explanation is bytes read in one form.
type Explanation struct {
	Form    Form     `json:"form"`
	Name    string   `json:"name"`
	Hex     string   `json:"hex"` // masked where it holds secrets
	Words   []string `json:"words,omitempty"`
	Objects []Object `json:"objects,omitempty"`
}

// Decode reads b in a form. With reveal, secrets are shown. The error wraps ErrDecode.
func Decode(b []byte, form Form, reveal bool) (Explanation, error) {
	x := Explanation{Form: form, Hex: hexText(b)}
	if len(b) == 0 {
		return x, fmt.Errorf("%w: nothing to read", ErrDecode)
	}
	if form == FormTLV {
		objects, err := Objects(b, reveal)
		if err != nil {
			return x, err
		}
		x.Name, x.Objects = "data objects", objects
		if !reveal {
			x.Hex = emv.MaskResponse(b)
		}
		return x, nil
	}
	f, ok := forms[form]
	if !ok {
		return x, fmt.Errorf("%w: unknown form %q", ErrDecode, form)
	}
	x.Name = f.name
	words, err := f.read(b)
	if err != nil {
		return x, err
	}
	x.Words = words
	return x, nil
}

// Objects takes well-formed BER-TLV apart. The error wraps ErrDecode.
func Objects(b []byte, reveal bool) ([]Object, error) {
	if err := tlv.Check(b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDecode, err)
	}
	left := maxObjects
	return objects(b, reveal, &left)
}

// objects recurses at most tlv.MaxDepth deep, because tlv.Check has passed.
func objects(b []byte, reveal bool, left *int) ([]Object, error) {
	var out []Object
	for len(b) > 0 {
		o, rest, err := tlv.Next(b)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDecode, err)
		}
		b = rest
		if o.Tag == 0 {
			break
		}
		if *left--; *left < 0 {
			return nil, fmt.Errorf("%w: over %d data objects", ErrDecode, maxObjects)
		}
		one, err := object(o, reveal, left)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

func object(o tlv.Object, reveal bool, left *int) (Object, error) {
	x := Object{Tag: o.Tag.String(), Length: uint32(len(o.Value))}
	if e, ok := tlv.Lookup(o.Tag); ok {
		x.Name, x.Format, x.Source = e.Name, e.Format.String(), e.Source.String()
		if n := len(o.Value); n < int(e.Min) || e.Max > 0 && n > int(e.Max) {
			x.Words = append(x.Words, fmt.Sprintf("wrong length: the standard has %s", between(e.Min, e.Max)))
		}
	}
	switch {
	case o.Tag.Constructed():
		var err error
		x.Objects, err = objects(o.Value, reveal, left)
		return x, err
	case emv.Secret(o.Tag) && !reveal:
		x.Value = secretValue(o.Tag, o.Value)
		return x, nil
	}
	x.Value = hexText(o.Value)
	x.Words = append(x.Words, valueWords(o.Tag, o.Value)...)
	return x, nil
}

func between(least, most uint8) string {
	switch {
	case most == 0:
		return fmt.Sprintf("%d bytes or more", least)
	case least == most:
		return fmt.Sprintf("%d bytes", most)
	}
	return fmt.Sprintf("%d to %d bytes", least, most)
}

// Guess reads b in every form it fits, the likeliest first. It is empty when nothing fits.
func Guess(b []byte, reveal bool) []Explanation {
	var out []Explanation
	if wholeTLV(b) {
		if x, err := Decode(b, FormTLV, reveal); err == nil {
			return []Explanation{x} // a well-formed object with a known name is hardly an accident
		}
	}
	for _, f := range []Form{FormTVR, FormAIP, FormTSI, FormAUC, FormCTQ, FormCVM, FormTermCap, FormTTQ, FormCID, FormDOL, FormCVMList, FormAFL} {
		if f == FormDOL && !knownDOL(b) || f == FormAFL && len(b) == 4 {
			continue
		}
		if x, err := Decode(b, f, reveal); err == nil {
			out = append(out, x)
		}
	}
	if x, err := Decode(b, FormTLV, reveal); err == nil && len(out) == 0 {
		out = append(out, x)
	}
	return out
}

// wholeTLV reports well-formed TLV whose outermost objects all have names.
func wholeTLV(b []byte) bool {
	if tlv.Check(b) != nil {
		return false
	}
	known := false
	for len(b) > 0 {
		o, rest, err := tlv.Next(b)
		if err != nil {
			return false
		}
		if b = rest; o.Tag == 0 {
			break
		}
		if _, known = tlv.Lookup(o.Tag); !known {
			return false
		}
	}
	return known
}

// knownDOL reports a list whose tags all have names and whose lengths fit them.
func knownDOL(b []byte) bool {
	list, err := tlv.ParseDOL(b)
	return err == nil && len(list) > 0 && !slices.ContainsFunc(list, func(e tlv.DOLEntry) bool {
		_, ok := tlv.Lookup(e.Tag)
		return !ok
	})
}

// WriteText writes an explanation for people.
func (x Explanation) WriteText(out io.Writer) error {
	p := &page{out: out}
	p.line("%s (%s)", x.Name, x.Form)
	p.hex("", " ", x.Hex)
	for _, w := range x.Words {
		p.line("  - %s", w)
	}
	p.objects("", x.Objects)
	return p.err
}

// objects writes a tree.
func (p *page) objects(indent string, list []Object) {
	for _, o := range list {
		text := indent + o.Tag
		if o.Name != "" {
			text += " " + o.Name
		}
		about := fmt.Sprintf("%d bytes", o.Length)
		if o.Source != "" {
			about = strings.Join([]string{o.Format, about, "from " + o.Source}, ", ")
		}
		p.line("%s  (%s)", text, about)
		if o.Value != "" {
			p.hex(indent+"  ", "=", o.Value)
		}
		for _, w := range o.Words {
			p.line("%s    - %s", indent, w)
		}
		p.objects(indent+"  ", o.Objects)
	}
}
