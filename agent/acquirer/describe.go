package acquirer

import (
	"encoding/hex"
	"fmt"
	"strings"

	"golang.org/x/text/encoding/simplifiedchinese"

	"posagent/agent/payment"
)

// Describe writes a message as annotated hexadecimal, one line to a field:
// offset, field, bytes, name and value. Only what the profile marks as harmless
// is shown; a card number is masked, of everything else only the size is told.
func Describe(m *Message) string { return m.annotate(false) }

// annotate is Describe; reveal shows every byte, for the reference messages of
// the tests, which hold synthetic data only.
func (m *Message) annotate(reveal bool) string {
	packed, err := m.Pack()
	if err != nil {
		return fmt.Sprintf("%s %s, not packable: %v\n", m.p.name, m.MTI(), err)
	}
	var out strings.Builder
	line := func(at int, field, bytes, note string) {
		fmt.Fprintf(&out, "%04X %s %s ; %s\n", at, field, bytes, note)
	}
	ids := m.Fields()
	fmt.Fprintf(&out, "# %s %s, %d fields, %d bytes\n", m.p.name, m.MTI(), len(ids), len(packed))
	line(0, "MTI", spaced(packed[:mtiSize]), "message type "+m.MTI())
	end := mtiSize + bitmapSize
	line(mtiSize, "MAP", spaced(packed[mtiSize:end]), "bitmap "+strings.Trim(fmt.Sprint(ids), "[]"))
	for _, id := range ids {
		r, at := m.p.fields[id], end
		end += r.wireSize(len(m.values[id]))
		text, harmless := m.show(id)
		bytes := spaced(packed[at:end])
		if !reveal && !harmless {
			bytes = fmt.Sprintf("[%d bytes]", end-at)
		}
		line(at, fmt.Sprintf("F%02d", id), bytes, strings.TrimSpace(r.Name+" "+text))
	}
	return out.String()
}

// show gives what may be said about a field's value, and whether its bytes may
// be shown.
func (m *Message) show(id uint8) (text string, harmless bool) {
	switch m.p.fields[id].Show {
	case "plain":
		return printable(m.Bytes(id)), true
	case "pan":
		pan, err := payment.NewPAN(m.Text(id))
		if err != nil {
			return "(not a card number)", false
		}
		return pan.Masked(), false
	}
	return "(hidden)", false
}

func spaced(b []byte) string {
	var out strings.Builder
	for i := range b {
		if i > 0 {
			out.WriteByte(' ')
		}
		out.WriteString(strings.ToUpper(hex.EncodeToString(b[i : i+1])))
	}
	return out.String()
}

// printable decodes GBK and replaces what would move a cursor: the text comes
// from outside and ends on receipts and in traces.
func printable(b []byte) string {
	text, err := simplifiedchinese.GBK.NewDecoder().Bytes(b)
	if err != nil {
		text = b
	}
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7F && r < 0xA0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(text), "?"))
}

// describeFrame is Describe with addresses and header before it.
func (p *Profile) describeFrame(f Frame, m *Message) string {
	head := fmt.Sprintf("# TPDU %s HEAD %s\n", spaced(f.TPDU[:]), spaced(f.Head[:]))
	if m == nil {
		return head + fmt.Sprintf("# %d bytes that are no message of %s\n", len(f.Body), p.name)
	}
	return head + Describe(m)
}
