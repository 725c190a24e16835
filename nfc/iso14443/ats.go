package iso14443

import (
	"bytes"
	"fmt"
)

// Interface bits of T0 in an ATS: ISO/IEC 14443-4, 5.2.3.
const (
	t0TA = 0x10
	t0TB = 0x20
	t0TC = 0x40
)

// Defaults of an ATS that does not say: ISO/IEC 14443-4, 5.2.
const (
	defaultFSCI = 2
	// defaultTC1: CID may be used, NAD not.
	defaultTC1 = 0x02
)

// ATS is the answer to select of a type A card: ISO/IEC 14443-4, 5.2. Fields
// that the card left out hold their defaults.
type ATS struct {
	// FSCI codes the longest frame that the card takes; see FrameSize.
	FSCI uint8
	// Rates are the divisors of TA1, as the card sent them.
	Rates Divisors
	// FWI codes the frame waiting time; see FWT.
	FWI uint8
	// SFGI codes the guard time after the ATS; see SFGT.
	SFGI uint8
	// TC1 says whether CID and NAD may be used. A reader here uses neither.
	TC1 uint8
	// Historical bytes, whatever the card wants to say.
	Historical []byte
}

// ParseATS reads an ATS without its check. The error is a *FormatError.
func ParseATS(data []byte) (ATS, error) {
	a := ATS{FSCI: defaultFSCI, FWI: defaultFWI, TC1: defaultTC1}
	if len(data) == 0 {
		return a, &FormatError{"ATS", "TL", "is missing"}
	}
	if int(data[0]) != len(data) {
		return a, &FormatError{"ATS", "TL", fmt.Sprintf("says %d bytes, there are %d", data[0], len(data))}
	}
	if len(data) == 1 {
		return a, nil
	}
	t0, rest := data[1], data[2:]
	a.FSCI = t0 & 0x0F
	for _, f := range []struct {
		bit  byte
		name string
		set  func(byte)
	}{
		{t0TA, "TA1", func(v byte) { a.Rates = Divisors(v) }},
		{t0TB, "TB1", func(v byte) { a.FWI, a.SFGI = v>>4, v&0x0F }},
		{t0TC, "TC1", func(v byte) { a.TC1 = v }},
	} {
		if t0&f.bit == 0 {
			continue
		}
		if len(rest) == 0 {
			return a, &FormatError{"ATS", f.name, "is announced by T0 and missing"}
		}
		f.set(rest[0])
		rest = rest[1:]
	}
	a.Historical = bytes.Clone(rest)
	return a, nil
}

// AppendTo appends the ATS with all its interface bytes and without its check.
// Historical may have 250 bytes.
func (a ATS) AppendTo(dst []byte) []byte {
	dst = append(dst, byte(5+len(a.Historical)), t0TA|t0TB|t0TC|a.FSCI&0x0F,
		byte(a.Rates), a.FWI<<4|a.SFGI&0x0F, a.TC1)
	return append(dst, a.Historical...)
}

// Divisors are the rates that a card offers, in the coding of TA1 of an ATS
// (ISO/IEC 14443-4, 5.2.4) and of the first protocol byte of an ATQB
// (ISO/IEC 14443-3, 7.9.4.2), which are the same.
type Divisors uint8

// Bits of Divisors. 106 kbit/s is always there.
const (
	Send212     Divisors = 0x01 // from reader to card
	Send424     Divisors = 0x02
	Receive212  Divisors = 0x10 // from card to reader
	Receive424  Divisors = 0x20
	SameRate    Divisors = 0x80 // only the same rate in both directions
	reservedBit Divisors = 0x08 // set: the whole byte counts as 0
)

// Choose returns the fastest rates up to limit to the card and from it.
func (d Divisors) Choose(limit Rate) (send, receive Rate) {
	if d&reservedBit != 0 {
		return Rate106, Rate106
	}
	to, from := d, d>>4
	if d&SameRate != 0 {
		to &= from
		from = to
	}
	fastest := func(set Divisors) Rate {
		switch {
		case set&Send424 != 0 && limit >= Rate424:
			return Rate424
		case set&Send212 != 0 && limit >= Rate212:
			return Rate212
		}
		return Rate106
	}
	return fastest(to), fastest(from)
}
