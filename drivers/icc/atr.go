package icc

import "fmt"

// maxATR is TS and at most 32 characters after it (ISO/IEC 7816-3:2006, 8.2.1).
const maxATR = 33

// Characters of TS: the convention (ISO/IEC 7816-3, 8.1).
const (
	tsDirect  = 0x3B
	tsInverse = 0x3F
)

// Protocol is a transmission protocol type T.
type Protocol uint8

// The two asynchronous protocols.
const (
	T0 Protocol = 0
	T1 Protocol = 1
)

// String gives the standard's name, "T=0" or "T=1".
func (p Protocol) String() string { return fmt.Sprintf("T=%d", uint8(p)) }

// ATRError names the character of an answer to reset that was refused.
type ATRError struct {
	// Char is the character's name in ISO/IEC 7816-3: "TS", "T0", "TA1",
	// "TCK", "historical", or "ATR" when the whole has the wrong length.
	Char string
	// Value is the character, 0 when it is missing.
	Value byte
	// Reason says what is wrong with it.
	Reason string
}

func (e *ATRError) Error() string {
	return fmt.Sprintf("answer to reset: %s %02X: %s", e.Char, e.Value, e.Reason)
}

// Interface is one character of TAi, TBi, TCi, TDi, with its presence.
type Interface struct {
	Value   byte
	Present bool
}

// Group holds the interface characters of one index i.
type Group struct {
	// T is the protocol that the group belongs to: the low half of TD(i-1), 0
	// for i = 1. 15 marks global characters.
	T              Protocol
	TA, TB, TC, TD Interface
}

// maxGroups bounds the TD chain: in 32 characters at most 31 can be TDs.
const maxGroups = 32

// ATR is an answer to reset taken apart. Bytes are in direct notation, also
// when the card speaks inverse convention.
type ATR struct {
	// Raw is the whole answer, TS first.
	Raw []byte
	// Inverse says that TS was 3F.
	Inverse bool
	// Groups holds TA1..TD1 in Groups[0], and so on. There is at least one.
	Groups []Group
	// Historical is a part of Raw.
	Historical []byte
	// Warm says that this answered a warm reset.
	Warm bool
}

// ParseATR takes a complete answer to reset apart, in direct notation (TS 3B
// or 3F). It checks the structure of ISO/IEC 7816-3 and TCK, not the values
// that EMV restricts: see CheckEMV. Errors are *ATRError.
func ParseATR(b []byte) (*ATR, error) {
	if len(b) < 2 {
		return nil, &ATRError{"ATR", 0, fmt.Sprintf("%d characters, want 2 to 33", len(b))}
	}
	if b[0] != tsDirect && b[0] != tsInverse {
		return nil, &ATRError{"TS", b[0], "neither 3B nor 3F"}
	}
	need, err := atrNeed(b)
	switch {
	case err != nil:
		return nil, err
	case need > len(b):
		return nil, &ATRError{"ATR", b[len(b)-1], fmt.Sprintf("ends after %d characters, T0 and TD announce %d", len(b), need)}
	case need < len(b):
		return nil, &ATRError{"ATR", b[need], fmt.Sprintf("%d characters, T0 and TD announce %d", len(b), need)}
	}
	a := &ATR{Raw: append([]byte(nil), b...), Inverse: b[0] == tsInverse}
	pos := a.readGroups()
	k := int(b[1] & 0x0F)
	a.Historical = a.Raw[pos : pos+k : pos+k]
	if a.hasTCK() {
		var x byte
		for _, v := range b[1:] {
			x ^= v
		}
		if x != 0 {
			return nil, &ATRError{"TCK", b[len(b)-1], fmt.Sprintf("exclusive-or of T0 to TCK is %02X, not 00", x)}
		}
	}
	return a, nil
}

// atrNeed returns how many characters the answer has as far as the prefix b
// (2 or more characters) can tell. When the result is not more than len(b) the
// answer is complete. It fails when more than maxATR are announced.
func atrNeed(b []byte) (int, error) {
	pos, y, tck := 2, b[1], false
	td := "T0"
	for i := 1; i <= maxGroups; i++ {
		pos += popcount4(y >> 4)
		if err := bounded(pos+int(b[1]&0x0F), td, y); err != nil {
			return 0, err
		}
		if y&0x80 == 0 {
			break
		}
		if pos > len(b) {
			return pos + int(b[1]&0x0F), nil
		}
		y = b[pos-1]
		td = fmt.Sprintf("TD%d", i)
		if y&0x0F != 0 {
			tck = true
		}
	}
	pos += int(b[1] & 0x0F)
	if tck {
		pos++
	}
	return pos, bounded(pos, td, y)
}

func bounded(n int, char string, v byte) error {
	if n > maxATR {
		return &ATRError{char, v, fmt.Sprintf("announces %d characters, at most %d", n, maxATR)}
	}
	return nil
}

func popcount4(v byte) int {
	return int(v&1 + v>>1&1 + v>>2&1 + v>>3&1)
}

// readGroups fills Groups from a complete Raw and returns the index of the
// first historical character.
func (a *ATR) readGroups() int {
	pos, y, t := 2, a.Raw[1], T0
	take := func(bit byte) Interface {
		if y&bit == 0 {
			return Interface{}
		}
		pos++
		return Interface{a.Raw[pos-1], true}
	}
	for range maxGroups {
		g := Group{T: t, TA: take(0x10), TB: take(0x20), TC: take(0x40), TD: take(0x80)}
		a.Groups = append(a.Groups, g)
		if !g.TD.Present {
			break
		}
		y, t = g.TD.Value, Protocol(g.TD.Value&0x0F)
	}
	return pos
}

// hasTCK: TCK is there unless T=0 is the only protocol (ISO/IEC 7816-3, 8.2.5).
func (a *ATR) hasTCK() bool {
	for _, g := range a.Groups {
		if g.TD.Present && g.TD.Value&0x0F != 0 {
			return true
		}
	}
	return false
}

// group returns Groups[i-1], or an empty one.
func (a *ATR) group(i int) Group {
	if i <= len(a.Groups) {
		return a.Groups[i-1]
	}
	return Group{}
}

// Protocol is the first protocol offered: TD1, or T=0 without it. TA2 of
// specific mode names the same one (CheckEMV sees to it).
func (a *ATR) Protocol() Protocol {
	if ta2 := a.group(2).TA; ta2.Present {
		return Protocol(ta2.Value & 0x0F)
	}
	if td1 := a.group(1).TD; td1.Present {
		return Protocol(td1.Value & 0x0F)
	}
	return T0
}

// Specific says that TA2 is there: the card works in specific mode and no PPS
// is possible.
func (a *ATR) Specific() bool { return a.group(2).TA.Present }

// t1Group returns the first group after TD2 that belongs to T=1: the one with
// IFSC, waiting times and EDC (ISO/IEC 7816-3, 11.4).
func (a *ATR) t1Group() (Group, int) {
	for i := 3; i <= len(a.Groups); i++ {
		if g := a.Groups[i-1]; g.T == T1 {
			return g, i
		}
	}
	return Group{}, 3
}
