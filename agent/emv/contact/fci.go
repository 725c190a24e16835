package contact

import (
	"fmt"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
)

// An fci is the File Control Information of an ADF. EMV 4.4 Book 1, 11.3.4, table 45. Fields alias the response.
type fci struct {
	name      emv.AID // 84
	label     []byte  // 50
	priority  byte    // 87
	preferred []byte  // 9F12
	codeTable byte    // 9F11
	pdol      []byte  // 9F38
	whole     []byte  // content of template 6F
}

// parseFCI reads the answer to SELECT. Mandatory are 6F, 84 of a DF name's length and A5.
func parseFCI(b []byte) (fci, error) {
	body, err := tlv.Template(b, 0x6F)
	if err != nil {
		return fci{}, fmt.Errorf("read FCI: %w", err)
	}
	f := fci{whole: body}
	prop := false
	err = tlv.Walk(body, func(depth int, o tlv.Object) error {
		switch {
		case depth == 0 && o.Tag == 0x84:
			f.name = o.Value
		case depth == 0 && o.Tag == 0xA5:
			prop = true
		case depth != 1 || !prop:
		case o.Tag == 0x50:
			f.label = o.Value
		case o.Tag == 0x87 && len(o.Value) == 1:
			f.priority = o.Value[0]
		case o.Tag == 0x9F12:
			f.preferred = o.Value
		case o.Tag == 0x9F11 && len(o.Value) == 1:
			f.codeTable = o.Value[0]
		case o.Tag == 0x9F38:
			f.pdol = o.Value
		}
		return nil
	})
	switch {
	case err != nil:
		return fci{}, fmt.Errorf("read FCI: %w", err)
	case !f.name.Valid():
		return fci{}, fmt.Errorf("read FCI: DF name of %d bytes", len(f.name))
	case !prop:
		return fci{}, fmt.Errorf("read FCI: no proprietary template")
	}
	if dup, ok := tlv.Duplicate(body); ok {
		return fci{}, fmt.Errorf("read FCI: %v occurs twice", dup)
	}
	return f, nil
}
