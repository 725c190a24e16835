package icc

import "fmt"

// maxINF is the longest information field of a block; LEN FF is reserved
// (ISO/IEC 7816-3:2006, 11.3.2.3).
const maxINF = 254

// Block is a T=1 block without its error detection code.
type Block struct {
	// NAD is the node address; EMV uses 00 only.
	NAD byte
	// PCB says what the block is; see the methods and constructors.
	PCB byte
	// INF has 0 to 254 bytes.
	INF []byte
}

// PCB values and bits (ISO/IEC 7816-3:2006, 11.3.2.2).
const (
	pcbR    = 0x80
	pcbS    = 0xC0
	pcbNS   = 0x40 // I-block: N(S)
	pcbMore = 0x20 // I-block: M
	pcbNR   = 0x10 // R-block: N(R)

	// PCBResynch and the others are supervisory requests; the response has bit
	// 6 (0x20) set too.
	PCBResynch byte = 0xC0
	PCBIFS     byte = 0xC1
	PCBAbort   byte = 0xC2
	PCBWTX     byte = 0xC3
	// PCBResponse turns a request into its response.
	PCBResponse byte = 0x20
)

// Error codes of an R-block.
const (
	RNone  byte = 0 // no error: go on with the chain
	RCheck byte = 1 // EDC or parity error
	ROther byte = 2
)

// IBlock makes an information block.
func IBlock(ns byte, more bool, inf []byte) Block {
	b := Block{PCB: ns & 1 << 6, INF: inf}
	if more {
		b.PCB |= pcbMore
	}
	return b
}

// RBlock makes a receive-ready block: nr is the N(S) expected next, code one of
// RNone, RCheck, ROther.
func RBlock(nr, code byte) Block { return Block{PCB: pcbR | nr&1<<4 | code&0x0F} }

// SBlock makes a supervisory block.
func SBlock(pcb byte, inf ...byte) Block { return Block{PCB: pcb, INF: inf} }

// IsI, IsR and IsS tell the kind of a block.
func (b Block) IsI() bool { return b.PCB&0x80 == 0 }
func (b Block) IsR() bool { return b.PCB&0xC0 == pcbR }
func (b Block) IsS() bool { return b.PCB&0xC0 == pcbS }

// NS is the send sequence number of an I-block, 0 or 1.
func (b Block) NS() byte { return b.PCB >> 6 & 1 }

// NR is the sequence number in an R-block, 0 or 1.
func (b Block) NR() byte { return b.PCB >> 4 & 1 }

// More says that an I-block is not the last of its chain.
func (b Block) More() bool { return b.PCB&pcbMore != 0 }

// AppendTo appends the block with its EDC to dst: CRC or LRC. INF must not be
// longer than 254 bytes.
func (b Block) AppendTo(dst []byte, crc bool) []byte {
	start := len(dst)
	dst = append(dst, b.NAD, b.PCB, byte(len(b.INF)))
	dst = append(dst, b.INF...)
	if crc {
		v := CRC(dst[start:])
		return append(dst, byte(v>>8), byte(v))
	}
	return append(dst, LRC(dst[start:]))
}

// LRC is the exclusive-or of all bytes.
func LRC(b []byte) byte {
	var x byte
	for _, v := range b {
		x ^= v
	}
	return x
}

// CRC is the CRC of ISO/IEC 13239 that ISO/IEC 7816-3, 11.3.4 names:
// polynomial x^16+x^12+x^5+1, bits least significant first, start FFFF,
// inverted. The high byte goes first on the line.
func CRC(b []byte) uint16 {
	crc := uint16(0xFFFF)
	for _, v := range b {
		crc ^= uint16(v)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0x8408
			} else {
				crc >>= 1
			}
		}
	}
	return ^crc
}

// BlockError says which field of a T=1 block is wrong.
type BlockError struct {
	// Field is "length", "EDC", "NAD", "PCB", "LEN" or "INF".
	Field  string
	Reason string
}

func (e *BlockError) Error() string { return "block " + e.Field + ": " + e.Reason }

// ParseBlock checks a complete block with its EDC. INF is a part of b. The
// error is a *BlockError; EDC is looked at before the fields that it protects.
func ParseBlock(b []byte, crc bool) (Block, error) {
	edc := 1
	if crc {
		edc = 2
	}
	if len(b) < 3+edc || len(b) > 3+maxINF+edc {
		return Block{}, &BlockError{"length", fmt.Sprintf("%d bytes", len(b))}
	}
	end := len(b) - edc
	if !crc && LRC(b) != 0 || crc && CRC(b[:end]) != uint16(b[end])<<8|uint16(b[end+1]) {
		return Block{}, &BlockError{"EDC", fmt.Sprintf("% X does not match", b[end:])}
	}
	if int(b[2]) != end-3 {
		return Block{}, &BlockError{"LEN", fmt.Sprintf("%d, but %d bytes of information", b[2], end-3)}
	}
	k := Block{NAD: b[0], PCB: b[1], INF: b[3:end:end]}
	return k, k.check()
}

// check looks at the fields (EMV Book 1, 9.2.4.1: NAD 00; ISO/IEC 7816-3,
// 11.3.2.2 for the rest).
func (b Block) check() error {
	bad := func(field, f string, a ...any) error { return &BlockError{field, fmt.Sprintf(f, a...)} }
	if b.NAD != 0 {
		return bad("NAD", "%02X, not 00", b.NAD)
	}
	switch {
	case b.IsI():
		if b.PCB&0x1F != 0 {
			return bad("PCB", "%02X has reserved bits of an I-block set", b.PCB)
		}
	case b.IsR():
		if b.PCB&0x2C != 0 || b.PCB&0x03 == 3 {
			return bad("PCB", "%02X is no R-block", b.PCB)
		}
		if len(b.INF) != 0 {
			return bad("INF", "%d bytes in an R-block", len(b.INF))
		}
	default:
		return b.checkS(bad)
	}
	return nil
}

func (b Block) checkS(bad func(string, string, ...any) error) error {
	switch b.PCB &^ PCBResponse {
	case PCBResynch, PCBAbort:
		if len(b.INF) != 0 {
			return bad("INF", "%d bytes in S-block %02X", len(b.INF), b.PCB)
		}
	case PCBIFS, PCBWTX:
		if len(b.INF) != 1 {
			return bad("INF", "%d bytes in S-block %02X", len(b.INF), b.PCB)
		}
		if v := b.INF[0]; b.PCB&^PCBResponse == PCBIFS && (v < 0x10 || v == 0xFF) {
			return bad("INF", "information field size %02X", v)
		}
	default:
		return bad("PCB", "%02X is no S-block", b.PCB)
	}
	return nil
}
