package icc

import (
	"time"

	"periph.io/x/conn/v3/physic"
)

// Params are the transmission parameters that an answer to reset puts in
// force. Times named in etu are multiples of one bit on the I/O line.
type Params struct {
	Protocol Protocol
	// D is the baud rate adjustment; F is always 372. One etu is 372/D clocks.
	D uint8
	// N is the extra guard time in etu from terminal to card, 0 to 254.
	N uint8
	// WWT is the work waiting time of T=0 in etu, with the D*480 etu that EMV
	// Book 1, 9.2.2.1 has the terminal add.
	WWT uint32
	// BWT is the block waiting time of T=1 in etu, with the D*960 etu of 9.2.4.
	BWT uint32
	// CWT is the character waiting time of T=1 in etu, with the 4 etu of 9.2.4.
	CWT uint32
	// IFSC is the longest information field that the card takes in T=1.
	IFSC uint8
	// CRC says that T=1 blocks end in a CRC of two bytes, not an LRC.
	CRC bool
}

// Distances between leading edges at a change of direction.
const (
	turnT0 = 16 // etu: EMV Book 1, 9.2.2.1
	turnT1 = 22 // etu: block guard time, EMV Book 1, 9.2.4
)

// Params derives the parameters in force after the answer: the defaults, or in
// specific mode those of TA1 (EMV Book 1, 8.3.3.1 and 8.3.3.5).
func (a *ATR) Params() Params {
	p := Params{Protocol: a.Protocol(), D: 1, IFSC: 32}
	if ta1 := a.group(1).TA; a.Specific() && ta1.Present {
		p.D = 1 << (ta1.Value&0x0F - 1)
	}
	// N = 255 means the least the protocol allows: 12 etu in T=0, 11 in T=1.
	// Two stop bits make 12 always, so both are no extra time here.
	if tc1 := a.group(1).TC; tc1.Present && tc1.Value != 255 {
		p.N = tc1.Value
	}
	wi := uint32(10)
	if tc2 := a.group(2).TC; tc2.Present {
		wi = uint32(tc2.Value)
	}
	d := uint32(p.D)
	p.WWT = 960*d*wi + 480*d
	bwi, cwi := uint32(4), uint32(13) // ISO/IEC 7816-3, 11.4.3 defaults
	g, _ := a.t1Group()
	if g.TA.Present {
		p.IFSC = g.TA.Value
	}
	if g.TB.Present {
		bwi, cwi = uint32(g.TB.Value>>4), uint32(g.TB.Value&0x0F)
	}
	p.BWT = 960*d<<bwi + 11 + 960*d
	p.CWT = 1<<cwi + 11 + 4
	p.CRC = g.TC.Present && g.TC.Value&1 == 1
	return p
}

// etu is the duration of n elementary time units at the given clock and D.
func etu(clock physic.Frequency, d uint8, n uint32) time.Duration {
	hz := uint64(clock / physic.Hertz)
	return time.Duration(uint64(n) * 372 * uint64(time.Second) / (hz * uint64(d)))
}

// cycles is the duration of n clock cycles.
func cycles(clock physic.Frequency, n uint32) time.Duration {
	return time.Duration(uint64(n) * uint64(time.Second) / uint64(clock/physic.Hertz))
}
