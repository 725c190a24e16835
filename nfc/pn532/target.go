package pn532

import (
	"bytes"
	"fmt"

	"posagent/nfc/iso14443"
)

// Target is what InListPassiveTarget tells of one card: UM0701-02, 7.3.5.
type Target struct {
	Number uint8
	// SENS and SAK of type A, with UID and ATS (nil: none was given).
	SENS uint16
	SAK  uint8
	UID  []byte
	ATS  []byte
	// ATQB of type B without its check, and the answer to ATTRIB.
	ATQB   []byte
	Attrib []byte
}

// sakISODEP says that the card speaks ISO/IEC 14443-4.
const sakISODEP = 0x20

// atqbLength is what the chip gives of an ATQB: without the optional byte.
const atqbLength = 12

// maxTargets is how many the chip can hold.
const maxTargets = 2

// TargetError names the field of a list of targets that is wrong.
type TargetError struct {
	Field   string
	Problem string
}

// Error says what is wrong.
func (e *TargetError) Error() string { return fmt.Sprintf("target: %s %s", e.Field, e.Problem) }

// AppendTo appends the target as in the response; b says type B.
func (t Target) AppendTo(dst []byte, b bool) []byte {
	dst = append(dst, t.Number)
	if b {
		dst = append(append(dst, t.ATQB...), byte(len(t.Attrib)))
		return append(dst, t.Attrib...)
	}
	dst = append(dst, byte(t.SENS>>8), byte(t.SENS), t.SAK, byte(len(t.UID)))
	dst = append(dst, t.UID...)
	return append(dst, t.ATS...) // TL, its first byte, is its length
}

// ParseTargets reads the parameters of the response to InListPassiveTarget; b
// says that it was for type B. The error is a *TargetError.
func ParseTargets(data []byte, b bool) ([]Target, error) {
	if len(data) == 0 || data[0] > maxTargets {
		return nil, &TargetError{"NbTg", "is missing or too high"}
	}
	n, rest := data[0], data[1:]
	var all []Target
	for range n {
		var t Target
		var err error
		if b {
			rest, err = t.parseB(rest)
		} else {
			rest, err = t.parseA(rest)
		}
		if err != nil {
			return nil, err
		}
		if t.Number == 0 || t.Number > maxTargets {
			return nil, &TargetError{"Tg", fmt.Sprintf("is %d", t.Number)}
		}
		all = append(all, t)
	}
	if len(rest) != 0 {
		return nil, &TargetError{"length", fmt.Sprintf("leaves %d bytes", len(rest))}
	}
	return all, nil
}

func (t *Target) parseA(d []byte) ([]byte, error) {
	if len(d) < 5 || len(d)-5 < int(d[4]) {
		return nil, &TargetError{"type A", "is too short"}
	}
	t.Number, t.SENS, t.SAK = d[0], uint16(d[1])<<8|uint16(d[2]), d[3]
	t.UID = bytes.Clone(d[5 : 5+d[4]])
	switch len(t.UID) {
	case 4, 7, 10:
	default:
		return nil, &TargetError{"NFCID1", fmt.Sprintf("has %d bytes", len(t.UID))}
	}
	d = d[5+d[4]:]
	if t.SAK&sakISODEP == 0 || len(d) == 0 {
		return d, nil
	}
	if d[0] == 0 || int(d[0]) > len(d) {
		return nil, &TargetError{"ATS", "is too short"}
	}
	t.ATS = bytes.Clone(d[:d[0]])
	return d[d[0]:], nil
}

func (t *Target) parseB(d []byte) ([]byte, error) {
	const fixed = 1 + atqbLength + 1
	if len(d) < fixed || len(d)-fixed < int(d[fixed-1]) {
		return nil, &TargetError{"type B", "is too short"}
	}
	t.Number = d[0]
	t.ATQB = bytes.Clone(d[1 : 1+atqbLength])
	end := fixed + int(d[fixed-1])
	t.Attrib = bytes.Clone(d[fixed:end])
	if _, err := iso14443.ParseATQB(t.ATQB); err != nil {
		return nil, &TargetError{"ATQB", err.Error()}
	}
	return d[end:], nil
}
