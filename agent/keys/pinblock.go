package keys

import "fmt"

// Bounds of a PIN (ISO 9564-1, 8.1) and of a card number (ISO/IEC 7812-1).
const (
	MinPIN = 4
	MaxPIN = 12
	minPAN = 12
	maxPAN = 19
)

// EncodeFormat0 makes the clear PIN block of ISO 9564-1 format 0: control 0,
// length, PIN digits and F fill, XORed with four zeros and the twelve rightmost
// digits of the card number without its check digit. pin is 4 to 12 ASCII
// digits, pan 12 to 19. The caller clears pin and the block.
func EncodeFormat0(pin []byte, pan string) (block [8]byte, err error) {
	account, err := accountField(pan)
	if err != nil {
		return block, err
	}
	if len(pin) < MinPIN || len(pin) > MaxPIN {
		return block, ErrPIN
	}
	for i := range block {
		block[i] = 0xFF
	}
	block[0] = uint8(len(pin))
	for i, d := range pin {
		if d < '0' || d > '9' {
			return [8]byte{}, ErrPIN
		}
		if i%2 == 0 {
			block[1+i/2] = (d-'0')<<4 | 0x0F
		} else {
			block[1+i/2] = block[1+i/2]&0xF0 | (d - '0')
		}
	}
	for i := range block {
		block[i] ^= account[i]
	}
	return block, nil
}

// DecodeFormat0 takes a clear block apart again and gives the PIN as 4 to 12
// ASCII digits. ErrPINBlock: control, length, a digit or the fill is wrong, which
// is what a wrong key or a wrong card number looks like. For the host's side.
func DecodeFormat0(block [8]byte, pan string) ([]byte, error) {
	account, err := accountField(pan)
	if err != nil {
		return nil, err
	}
	for i := range block {
		block[i] ^= account[i]
	}
	n := int(block[0])
	if n < MinPIN || n > MaxPIN {
		return nil, fmt.Errorf("%w: control or length", ErrPINBlock)
	}
	pin := make([]byte, 0, MaxPIN)
	for i := range 14 {
		nibble := block[1+i/2] >> 4
		if i%2 == 1 {
			nibble = block[1+i/2] & 0x0F
		}
		switch {
		case i < n && nibble <= 9:
			pin = append(pin, '0'+nibble)
		case i >= n && nibble == 0x0F:
		default:
			Zeroise(pin)
			return nil, fmt.Errorf("%w: digit or fill", ErrPINBlock)
		}
	}
	return pin, nil
}

// accountField is four zeros and twelve digits in BCD. A card number of twelve
// digits leaves eleven, which are filled with a zero on the left.
func accountField(pan string) (f [8]byte, err error) {
	if len(pan) < minPAN || len(pan) > maxPAN {
		return f, fmt.Errorf("%w: %d characters", ErrPAN, len(pan))
	}
	for _, d := range []byte(pan) {
		if d < '0' || d > '9' {
			return f, ErrPAN
		}
	}
	digits := pan[:len(pan)-1]
	for i := range 12 {
		at := len(digits) - 12 + i
		if at < 0 {
			continue
		}
		f[2+i/2] |= (digits[at] - '0') << (4 * (1 - uint(i)%2))
	}
	return f, nil
}
