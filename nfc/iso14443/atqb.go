package iso14443

import "fmt"

// Commands of type B: ISO/IEC 14443-3, 7.
const (
	apf         = 0x05 // anticollision prefix of REQB and WUPB
	allFamilies = 0x00 // AFI: every application
	reqB        = 0x00 // one slot, N = 1
	wupB        = 0x08 // the same, and halted cards too
	atqbFirst   = 0x50
	attrib      = 0x1D
	protocol4   = 0x01 // ISO/IEC 14443-4 is spoken
	protocolRFU = 0x08
)

// Lengths of an ATQB without its check: ISO/IEC 14443-3, 7.9.
const (
	atqbLength   = 12
	atqbExtended = 13
)

// ATQB is the answer to request of a type B card: ISO/IEC 14443-3, 7.9.
type ATQB struct {
	PUPI        [4]byte
	Application [4]byte
	// Rates that the card offers.
	Rates Divisors
	// FSCI codes the longest frame that the card takes; see FrameSize.
	FSCI uint8
	// Protocol is the low half of the second protocol byte: bit 0 for ISO/IEC
	// 14443-4, bits 1 and 2 the least TR2.
	Protocol uint8
	// FWI codes the frame waiting time; see FWT.
	FWI uint8
	// Options is the low half of the third protocol byte: ADC, NAD, CID.
	Options uint8
	// SFGI codes the guard time after the activation, when Extended.
	SFGI     uint8
	Extended bool
}

// ParseATQB reads an ATQB without its check. The error is a *FormatError.
func ParseATQB(data []byte) (ATQB, error) {
	var a ATQB
	if len(data) != atqbLength && len(data) != atqbExtended {
		return a, &FormatError{"ATQB", "length", fmt.Sprintf("is %d bytes, want 12 or 13", len(data))}
	}
	if data[0] != atqbFirst {
		return a, &FormatError{"ATQB", "first byte", fmt.Sprintf("is %02X, want 50", data[0])}
	}
	copy(a.PUPI[:], data[1:5])
	copy(a.Application[:], data[5:9])
	a.Rates = Divisors(data[9])
	a.FSCI, a.Protocol = data[10]>>4, data[10]&0x0F
	a.FWI, a.Options = data[11]>>4, data[11]&0x0F
	if len(data) == atqbExtended {
		a.Extended, a.SFGI = true, data[12]>>4
	}
	if a.Protocol&protocolRFU != 0 {
		return a, &FormatError{"ATQB", "protocol type", fmt.Sprintf("%X is reserved", a.Protocol)}
	}
	return a, nil
}

// AppendTo appends the ATQB without its check.
func (a ATQB) AppendTo(dst []byte) []byte {
	dst = append(append(append(dst, atqbFirst), a.PUPI[:]...), a.Application[:]...)
	dst = append(dst, byte(a.Rates), a.FSCI<<4|a.Protocol&0x0F, a.FWI<<4|a.Options&0x0F)
	if a.Extended {
		dst = append(dst, a.SFGI<<4)
	}
	return dst
}
