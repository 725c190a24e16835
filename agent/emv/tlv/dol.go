package tlv

import (
	"errors"
	"fmt"
)

// MaxDOL bounds a data object list and its filled form: both travel in one short APDU, EMV 4.4 Book 3, 5.4.
const MaxDOL = 252

// ErrDOL is the error of a data object list that is not a whole number of tag and length pairs, or whose filled form
// does not fit into one command.
var ErrDOL = errors.New("data object list is not valid")

// A DOLEntry asks for one data object in Length bytes.
type DOLEntry struct {
	Tag    Tag
	Length uint8
}

// nextDOL splits one entry off dol. EMV 4.4 Book 3, 5.4: each entry is a tag of one or two (here: up to four) bytes and
// one length byte.
func nextDOL(dol []byte) (DOLEntry, []byte, error) {
	tag, rest, err := cutTag(dol)
	if err != nil {
		return DOLEntry{}, nil, fmt.Errorf("%w: %w", ErrDOL, err)
	}
	if len(rest) == 0 {
		return DOLEntry{}, nil, fmt.Errorf("%w: tag %v has no length", ErrDOL, tag)
	}
	return DOLEntry{Tag: tag, Length: rest[0]}, rest[1:], nil
}

// ParseDOL returns the entries of a data object list in order.
func ParseDOL(dol []byte) ([]DOLEntry, error) {
	if len(dol) > MaxDOL {
		return nil, fmt.Errorf("%w: %d bytes", ErrDOL, len(dol))
	}
	var list []DOLEntry
	var total uint32
	for len(dol) > 0 { // ends: every entry takes at least two bytes
		e, rest, err := nextDOL(dol)
		if err != nil {
			return nil, err
		}
		if total += uint32(e.Length); total > MaxDOL {
			return nil, fmt.Errorf("%w: asks for over %d bytes", ErrDOL, MaxDOL)
		}
		list, dol = append(list, e), rest
	}
	return list, nil
}

// DOLHas reports whether the list asks for the tag, and in how many bytes.
func DOLHas(dol []byte, tag Tag) (length uint8, ok bool) {
	for len(dol) > 0 && len(dol) <= MaxDOL {
		e, rest, err := nextDOL(dol)
		if err != nil {
			return 0, false
		}
		if e.Tag == tag {
			return e.Length, true
		}
		dol = rest
	}
	return 0, false
}

// FillDOL appends the concatenated values that dol asks for, without tags and lengths. value returns a data object's
// value; what it does not know, and what is constructed, is filled with zeros. EMV 4.4 Book 3, 5.4.
func FillDOL(dst, dol []byte, value func(Tag) ([]byte, bool)) ([]byte, error) {
	if len(dol) > MaxDOL {
		return dst, fmt.Errorf("%w: %d bytes", ErrDOL, len(dol))
	}
	start := len(dst)
	for len(dol) > 0 {
		e, rest, err := nextDOL(dol)
		if err != nil {
			return dst[:start], err
		}
		dol = rest
		var v []byte
		if !e.Tag.Constructed() {
			v, _ = value(e.Tag)
		}
		if len(dst)-start+int(e.Length) > MaxDOL {
			return dst[:start], fmt.Errorf("%w: asks for over %d bytes", ErrDOL, MaxDOL)
		}
		dst = appendFitted(dst, e.Tag.Format(), v, e.Length)
	}
	return dst, nil
}

// appendFitted appends v in exactly n bytes. EMV 4.4 Book 3, 5.4: a numeric value is cut and padded on the left, a
// compressed numeric value is cut and padded with 'F' on the right, any other is cut and padded with zeros on the right.
func appendFitted(dst []byte, f Format, v []byte, n uint8) []byte {
	want := int(n)
	pad := max(0, want-len(v))
	cut := max(0, len(v)-want)
	if len(v) == 0 { // an absent data object is all zeros, whatever its format
		return appendRepeat(dst, 0, want)
	}
	switch f {
	case Numeric:
		return append(appendRepeat(dst, 0, pad), v[cut:]...)
	case CompressedNumeric:
		return appendRepeat(append(dst, v[:len(v)-cut]...), 0xFF, pad)
	default:
		return appendRepeat(append(dst, v[:len(v)-cut]...), 0, pad)
	}
}

func appendRepeat(dst []byte, b byte, n int) []byte {
	for range n {
		dst = append(dst, b)
	}
	return dst
}
