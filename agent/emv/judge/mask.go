package judge

import (
	"fmt"
	"strings"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
)

// A masker writes APDUs for people. It remembers the card's data object lists, because the data of GET PROCESSING
// OPTIONS, INTERNAL AUTHENTICATE and GENERATE AC can be masked only by the list it was filled from.
type masker struct {
	reveal bool
	dols   map[tlv.Tag][]byte
	acs    uint32 // GENERATE AC commands since the last selection
}

var listTags = []tlv.Tag{0x9F38, 0x8C, 0x8D, 0x9F49}

// learn remembers the lists in a response.
func (m *masker) learn(data []byte) {
	if tlv.Check(data) != nil {
		return
	}
	for _, t := range listTags {
		if v, ok := tlv.Find(data, t); ok {
			if m.dols == nil {
				m.dols = map[tlv.Tag][]byte{}
			}
			m.dols[t] = append([]byte(nil), v...)
		}
	}
}

// command is a command in hexadecimal. It also notes what the command means for the lists.
func (m *masker) command(capdu []byte) string {
	var dol []byte
	if cmd, err := emv.ParseCommand(capdu); err == nil {
		switch cmd.INS {
		case emv.InsSelect:
			m.dols, m.acs = nil, 0
		case emv.InsGPO:
			dol = m.dols[0x9F38]
		case emv.InsInternalAuthenticate:
			dol = m.dols[0x9F49]
		case emv.InsGenerateAC:
			if m.acs++; m.acs == 1 {
				dol = m.dols[0x8C]
			} else {
				dol = m.dols[0x8D]
			}
		}
	}
	if m.reveal {
		return fmt.Sprintf("%X", capdu)
	}
	return emv.MaskCommand(capdu, dol)
}

// response is the data of a response in hexadecimal.
func (m *masker) response(data []byte) string {
	if m.reveal {
		return fmt.Sprintf("%X", data)
	}
	return emv.MaskResponse(data)
}

// secretValue is a secret data object's value for people: a card number with its ends, anything else as its length.
func secretValue(tag tlv.Tag, value []byte) string {
	digits := strings.TrimRight(strings.ToUpper(fmt.Sprintf("%x", value)), "F")
	if tag == 0x57 {
		digits, _, _ = strings.Cut(digits, "D")
	}
	if (tag == 0x5A || tag == 0x57) && len(digits) >= 13 && strings.Trim(digits, "0123456789") == "" {
		text := digits[:6] + strings.Repeat("*", len(digits)-10) + digits[len(digits)-4:]
		if tag == 0x57 {
			text += " and more, hidden"
		}
		return text
	}
	return fmt.Sprintf("hidden, %d bytes", len(value))
}
