package iso14443

import "posagent/nfc"

// crcTable is the CCITT polynomial x^16 + x^12 + x^5 + 1, least significant bit
// first: ISO/IEC 14443-3, annex B.
var crcTable = func() (t [256]uint16) {
	for i := range t {
		v := uint16(i)
		for range 8 {
			if v&1 != 0 {
				v = v>>1 ^ 0x8408
			} else {
				v >>= 1
			}
		}
		t[i] = v
	}
	return t
}()

func crc(v uint16, data []byte) uint16 {
	for _, b := range data {
		v = v>>8 ^ crcTable[byte(v)^b]
	}
	return v
}

// CRCA is the check of type A: preset 6363, sent low byte first.
func CRCA(data []byte) uint16 { return crc(0x6363, data) }

// CRCB is the check of type B: preset FFFF, inverted, sent low byte first.
func CRCB(data []byte) uint16 { return ^crc(0xFFFF, data) }

func check(t nfc.Type, data []byte) uint16 {
	if t == nfc.TypeB {
		return CRCB(data)
	}
	return CRCA(data)
}

// AppendCRC appends the check that a frame of type t with content dst carries.
func AppendCRC(dst []byte, t nfc.Type) []byte {
	c := check(t, dst)
	return append(dst, byte(c), byte(c>>8))
}

// TrimCRC returns the content of a frame of type t without its check, and
// whether that is right. A frame without content is not.
func TrimCRC(frame []byte, t nfc.Type) ([]byte, bool) {
	n := len(frame) - 2
	if n < 1 {
		return nil, false
	}
	c := check(t, frame[:n])
	return frame[:n], frame[n] == byte(c) && frame[n+1] == byte(c>>8)
}
