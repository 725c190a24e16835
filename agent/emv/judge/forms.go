package judge

import (
	"fmt"
	"strings"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
)

// A form is a field that is no TLV: its name and how it is put in words.
type form struct {
	name string
	read func([]byte) ([]string, error)
}

var forms = map[Form]form{
	FormTVR:     {"Terminal Verification Results", fixed(5, func(b []byte) []string { return emv.TVR(b).Words() })},
	FormTSI:     {"Transaction Status Information", fixed(2, func(b []byte) []string { return emv.TSI(b).Words() })},
	FormAIP:     {"Application Interchange Profile", fixed(2, aipWords)},
	FormAUC:     {"Application Usage Control", fixed(2, func(b []byte) []string { return emv.AUC(b).Words() })},
	FormTermCap: {"Terminal Capabilities", fixed(3, func(b []byte) []string { return emv.Capabilities(b).Words() })},
	FormAddCap:  {"Additional Terminal Capabilities", fixed(5, func(b []byte) []string { return bitWords(b, additionalBits) })},
	FormCTQ:     {"Card Transaction Qualifiers", fixed(2, func(b []byte) []string { return bitWords(b, ctqBits) })},
	FormTTQ:     {"Terminal Transaction Qualifiers", fixed(4, func(b []byte) []string { return bitWords(b, ttqBits) })},
	FormCID:     {"Cryptogram Information Data", fixed(1, cidWords)},
	FormCVM:     {"CVM Results", readCVMResults},
	FormCVMList: {"CVM List", readCVMList},
	FormDOL:     {"Data Object List", readDOL},
	FormAFL:     {"Application File Locator", readAFL},
}

func fixed(n int, words func([]byte) []string) func([]byte) ([]string, error) {
	return func(b []byte) ([]string, error) {
		if len(b) != n {
			return nil, fmt.Errorf("%w: %d bytes; want %d", ErrDecode, len(b), n)
		}
		if list := words(b); len(list) > 0 {
			return list, nil
		}
		return []string{"no bit is set"}, nil
	}
}

// bitWords names the bits that are set; the key is byte number, from 1, and mask.
func bitWords(b []byte, names map[uint16]string) []string {
	var out []string
	for i, c := range b {
		for m := byte(0x80); m != 0; m >>= 1 {
			if c&m == 0 {
				continue
			}
			name, ok := names[uint16(i+1)<<8|uint16(m)]
			if !ok {
				name = fmt.Sprintf("byte %d mask %02X", i+1, m)
			}
			out = append(out, name)
		}
	}
	return out
}

// aipWords adds the contactless meaning of byte 2 to the AIP. EMV Contactless Book C-2, table A.5; Book C-3.
func aipWords(b []byte) []string {
	var out []string
	for _, w := range emv.AIP(b).Words() {
		switch w {
		case "byte 1 mask 02":
			w = "on-device cardholder verification is supported (contactless)"
		case "byte 2 mask 80":
			w = "EMV mode is supported (contactless, kernel 2)"
		case "byte 2 mask 01":
			w = "relay resistance is supported (contactless, kernel 2)"
		}
		out = append(out, w)
	}
	return out
}

// ctqBits are tag 9F6C. EMV Contactless Book C-3, Annex A.
var ctqBits = map[uint16]string{
	0x0180: "online PIN required",
	0x0140: "signature required",
	0x0120: "go online if offline data authentication fails and the reader can",
	0x0110: "switch interface if offline data authentication fails and the reader can",
	0x0108: "go online if the application has expired",
	0x0104: "switch interface for cash transactions",
	0x0102: "switch interface for cashback transactions",
	0x0101: "not valid for contactless ATM transactions",
	0x0280: "cardholder verification was performed on the device",
	0x0240: "issuer update is supported at the terminal",
}

// ttqBits are tag 9F66. EMV Contactless Book A, 5.7, table 5-4.
var ttqBits = map[uint16]string{
	0x0180: "magnetic stripe mode supported",
	0x0120: "EMV mode supported",
	0x0110: "EMV contact chip supported",
	0x0108: "offline-only reader",
	0x0104: "online PIN supported",
	0x0102: "signature supported",
	0x0101: "offline data authentication for online authorisations supported",
	0x0280: "online cryptogram required",
	0x0240: "CVM required",
	0x0220: "offline PIN over contact chip supported",
	0x0380: "issuer update processing supported",
	0x0340: "consumer device CVM supported",
}

// additionalBits are tag 9F40. EMV 4.4 Book 4, Annex A3.
var additionalBits = map[uint16]string{
	0x0180: "cash", 0x0140: "goods", 0x0120: "services", 0x0110: "cashback", 0x0108: "inquiry", 0x0104: "transfer",
	0x0102: "payment", 0x0101: "administrative", 0x0280: "cash deposit",
	0x0380: "numeric keys", 0x0340: "alphabetic and special keys", 0x0320: "command keys", 0x0310: "function keys",
	0x0480: "print for the attendant", 0x0440: "print for the cardholder", 0x0420: "display for the attendant",
	0x0410: "display for the cardholder", 0x0402: "code table 10", 0x0401: "code table 9",
	0x0580: "code table 8", 0x0540: "code table 7", 0x0520: "code table 6", 0x0510: "code table 5",
	0x0508: "code table 4", 0x0504: "code table 3", 0x0502: "code table 2", 0x0501: "code table 1",
}

// cidWords reads tag 9F27. EMV 4.4 Book 3, 6.5.5.4, table 14.
func cidWords(b []byte) []string {
	out := []string{emv.CryptogramType(b[0] & 0xC0).String()}
	if b[0]&0x08 != 0 {
		out = append(out, "advice required")
	}
	reasons := [...]string{"", "service not allowed", "PIN try limit exceeded", "issuer authentication failed"}
	if n := b[0] & 0x07; int(n) < len(reasons) && n > 0 {
		out = append(out, reasons[n])
	} else if n > 0 {
		out = append(out, fmt.Sprintf("reason code %d", n))
	}
	if b[0]&0x30 != 0 {
		out = append(out, fmt.Sprintf("payment system bits %02X", b[0]&0x30))
	}
	return out
}

func readCVMResults(b []byte) ([]string, error) {
	if len(b) != 3 {
		return nil, fmt.Errorf("%w: %d bytes; want 3", ErrDecode, len(b))
	}
	c := cvmOf(emv.CVMResults(b))
	out := []string{c.Method}
	if c.Condition != "" {
		out = append(out, c.Condition)
	}
	return append(out, c.Result), nil
}

// readCVMList reads tag 8E. EMV 4.4 Book 3, 10.5 and Annex C3.
func readCVMList(b []byte) ([]string, error) {
	if len(b) < 10 || len(b)%2 != 0 || len(b) > 252 {
		return nil, fmt.Errorf("%w: %d bytes; want an even number from 10 to 252", ErrDecode, len(b))
	}
	out := []string{fmt.Sprintf("X = %d, Y = %d in minor units of the application's currency", number(b[:4]), number(b[4:8]))}
	for r := b[8:]; len(r) > 0; r = r[2:] {
		c := emv.CVM(r[0])
		then := "or else cardholder verification fails"
		if c.ApplySucceeding() {
			then = "or else the next rule"
		}
		out = append(out, fmt.Sprintf("%02X%02X %v, %s; %s", r[0], r[1], c, cvmCondition(r[1]), then))
	}
	return out, nil
}

func number(b []byte) uint64 {
	n := uint64(0)
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n
}

// readDOL reads a data object list. EMV 4.4 Book 3, 5.4.
func readDOL(b []byte) ([]string, error) {
	list, err := tlv.ParseDOL(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDecode, err)
	}
	var out []string
	total := uint32(0)
	for _, e := range list {
		name := e.Tag.Name()
		if name == e.Tag.String() {
			name = "unknown"
		}
		out = append(out, fmt.Sprintf("%v %s, %d bytes", e.Tag, name, e.Length))
		total += uint32(e.Length)
	}
	return append(out, fmt.Sprintf("%d bytes in all", total)), nil
}

// readAFL reads tag 94. EMV 4.4 Book 3, 10.2.
func readAFL(b []byte) ([]string, error) {
	if len(b)%4 != 0 || len(b) > 252 {
		return nil, fmt.Errorf("%w: %d bytes; want a multiple of four up to 252", ErrDecode, len(b))
	}
	var out []string
	for ; len(b) > 0; b = b[4:] {
		sfi, first, last, signed := b[0]>>3, b[1], b[2], b[3]
		if b[0]&0x07 != 0 || sfi < 1 || sfi > 30 || first == 0 || last < first || int(signed) > int(last)-int(first)+1 {
			return nil, fmt.Errorf("%w: entry %s is against the rules", ErrDecode, hexText(b[:4]))
		}
		text := fmt.Sprintf("SFI %d, records %d to %d", sfi, first, last)
		if signed > 0 {
			text += fmt.Sprintf(", the first %d signed", signed)
		}
		out = append(out, text)
	}
	return out, nil
}

// tagForms are the data objects that have a form of their own.
var tagForms = map[tlv.Tag]Form{
	0x95: FormTVR, 0x9B: FormTSI, 0x8E: FormCVMList, 0x9F34: FormCVM, 0x82: FormAIP, 0x9F6C: FormCTQ, 0x9F66: FormTTQ,
	0x9F07: FormAUC, 0x9F33: FormTermCap, 0x9F40: FormAddCap, 0x9F27: FormCID, 0x94: FormAFL,
	0x8C: FormDOL, 0x8D: FormDOL, 0x97: FormDOL, 0x9F38: FormDOL, 0x9F49: FormDOL, 0x9F4F: FormDOL,
	0x9F0D: FormTVR, 0x9F0E: FormTVR, 0x9F0F: FormTVR,
}

// valueWords puts a primitive value in words, as far as there is something to say.
func valueWords(tag tlv.Tag, b []byte) []string {
	if f, ok := tagForms[tag]; ok {
		words, err := forms[f].read(b)
		if err != nil {
			return []string{err.Error()}
		}
		return words
	}
	switch tag {
	case 0x9A, 0x5F24, 0x5F25:
		if t, ok := emv.ParseDate(b); ok {
			return []string{t.Format("2006-01-02")}
		}
		return []string{"not a date"}
	case 0x9F36, 0x9F13, 0x9F14, 0x9F23, 0x9F17:
		return []string{fmt.Sprint(number(b[max(0, len(b)-8):]))}
	case 0x9F35:
		return terminalTypeWords(b)
	case 0x84, 0x4F, 0x9D:
		if s := string(b); s == "1PAY.SYS.DDF01" || s == "2PAY.SYS.DDF01" {
			return []string{s}
		}
		return nil
	}
	switch e, _ := tlv.Lookup(tag); e.Format {
	case tlv.Alpha, tlv.Alphanumeric, tlv.AlphanumericSpecial:
		return []string{"\"" + strings.Map(printable, string(b)) + "\""}
	case tlv.Numeric, tlv.Binary, tlv.CompressedNumeric, tlv.Variable:
	}
	return nil
}

func printable(r rune) rune {
	if r < 0x20 || r > 0x7E {
		return '.'
	}
	return r
}

// terminalTypeWords reads tag 9F35. EMV 4.4 Book 4, Annex A1, table 24.
func terminalTypeWords(b []byte) []string {
	if len(b) != 1 || b[0]&0x0F < 1 || b[0]&0x0F > 6 || b[0]>>4 < 1 || b[0]>>4 > 3 {
		return nil
	}
	by := [...]string{"financial institution", "merchant", "cardholder"}[b[0]>>4-1]
	how := [...]string{"online only", "offline with online capability", "offline only"}[(b[0]&0x0F-1)%3]
	who := "attended"
	if b[0]&0x0F > 3 {
		who = "unattended"
	}
	return []string{fmt.Sprintf("operated by the %s, %s, %s", by, who, how)}
}
