package iso14443

import "fmt"

// Kind is what a block is for.
type Kind uint8

// Kinds of blocks: ISO/IEC 14443-4, 7.1.
const (
	Information Kind = iota + 1
	ACK
	NAK
	Deselect
	WTX
)

var kindNames = [...]string{Information: "I", ACK: "R(ACK)", NAK: "R(NAK)", Deselect: "S(DESELECT)", WTX: "S(WTX)"}

// String is the kind as the standard writes it.
func (k Kind) String() string {
	if k >= Information && k <= WTX {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Bits of the protocol control byte: ISO/IEC 14443-4, figures 18 to 20.
const (
	pcbI        = 0x02
	pcbMore     = 0x10
	pcbACK      = 0xA2
	pcbNAK      = 0xB2
	pcbDeselect = 0xC2
	pcbWTX      = 0xF2
	pcbNumber   = 0x01
)

// Block is one block of the half-duplex transmission protocol, without its
// check. CID and NAD are not used: Book D, 10.1.2.
type Block struct {
	Kind Kind
	// Number is the block number of an I- or R-block, 0 or 1.
	Number uint8
	// More says that the next I-block goes on with the same APDU.
	More bool
	// INF is content of an I-block, or the WTXM of an S(WTX), one byte.
	INF []byte
}

// AppendTo appends the block to dst, without its check.
func (b Block) AppendTo(dst []byte) []byte {
	var pcb byte
	switch b.Kind {
	case Information:
		pcb = pcbI | b.Number&pcbNumber
		if b.More {
			pcb |= pcbMore
		}
	case ACK:
		return append(dst, pcbACK|b.Number&pcbNumber)
	case NAK:
		return append(dst, pcbNAK|b.Number&pcbNumber)
	case Deselect:
		return append(dst, pcbDeselect)
	case WTX:
		pcb = pcbWTX
	}
	return append(append(dst, pcb), b.INF...)
}

// ParseBlock reads a block without its check. INF aliases data. The error is a
// *FormatError.
func ParseBlock(data []byte) (Block, error) {
	if len(data) == 0 {
		return Block{}, &FormatError{"block", "PCB", "is missing"}
	}
	pcb, inf := data[0], data[1:]
	number := pcb & pcbNumber
	b := Block{}
	switch {
	case pcb&^(pcbMore|pcbNumber) == pcbI:
		return Block{Kind: Information, Number: number, More: pcb&pcbMore != 0, INF: inf}, nil
	case pcb&^pcbNumber == pcbACK:
		b = Block{Kind: ACK, Number: number}
	case pcb&^pcbNumber == pcbNAK:
		b = Block{Kind: NAK, Number: number}
	case pcb == pcbDeselect:
		b = Block{Kind: Deselect}
	case pcb == pcbWTX:
		if len(inf) != 1 {
			return Block{}, &FormatError{"block", "INF", fmt.Sprintf("of S(WTX) has %d bytes, want 1", len(inf))}
		}
		return Block{Kind: WTX, INF: inf}, nil
	default:
		return Block{}, &FormatError{"block", "PCB", fmt.Sprintf("%02X is none without CID and NAD", pcb)}
	}
	if len(inf) != 0 {
		return Block{}, &FormatError{"block", "INF", fmt.Sprintf("of %v has %d bytes, want none", b.Kind, len(inf))}
	}
	return b, nil
}

// FormatError is an answer that breaks the rules of its standard.
type FormatError struct {
	// What is the answer: ATS, ATQB, UID, SAK, block, PPS or ATTRIB.
	What string
	// Field is the part of it that is wrong.
	Field string
	// Reason says how, in words that follow the field.
	Reason string
}

func (e *FormatError) Error() string { return e.What + ": " + e.Field + " " + e.Reason }
