package keys

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// Padding is a padding method of ISO/IEC 9797-1, 6.3.
type Padding uint8

const (
	Padding1 Padding = 1 // zero bytes up to a whole block; none if it is one already
	Padding2 Padding = 2 // 80, then zero bytes: always at least one byte
)

// macWith is the one place where an algorithm's name meets its function.
func macWith(k Key, alg MACAlgorithm, data []byte) ([8]byte, error) {
	switch alg {
	case MACCUPECB:
		return CUPECB(k, data)
	case MACX919:
		return Algorithm3(k, data, Padding1)
	}
	return [8]byte{}, fmt.Errorf("%w %q", ErrAlgorithm, alg)
}

// CUPECB is UnionPay's "ECB" MAC: all blocks (zero-padded) are XORed to one, its
// hexadecimal text of 16 characters is enciphered in two halves chained by XOR,
// and the first eight upper-case hexadecimal characters of the result are the
// MAC, as text. No data at all counts as one block of zeros.
func CUPECB(k Key, data []byte) (mac [8]byte, err error) {
	c, err := k.block()
	if err != nil {
		return mac, err
	}
	var r [8]byte
	for i, b := range data {
		r[i%8] ^= b
	}
	text := upperHex(r[:])
	c.Encrypt(r[:], text[:8])
	for i := range r {
		r[i] ^= text[8+i]
	}
	c.Encrypt(r[:], r[:])
	copy(mac[:], upperHex(r[:4]))
	return mac, nil
}

func upperHex(b []byte) []byte { return []byte(strings.ToUpper(hex.EncodeToString(b))) }

// Algorithm3 is ISO/IEC 9797-1 MAC algorithm 3 ("retail MAC"): a CBC-MAC under
// the first half of a double-length key, whose last block is deciphered under
// the second half and enciphered under the first again. ErrKeyLength for any
// other key: with one half it would silently become X9.9.
func Algorithm3(k Key, data []byte, pad Padding) (mac [8]byte, err error) {
	if k.IsZero() {
		return mac, ErrNoKey
	}
	if k.Size() != 16 {
		return mac, fmt.Errorf("%w: retail MAC wants 16 bytes, the key has %d", ErrKeyLength, k.Size())
	}
	first, err := k.half(0)
	if err != nil {
		return mac, err
	}
	second, err := k.half(1)
	if err != nil {
		return mac, err
	}
	if pad != Padding1 && pad != Padding2 {
		return mac, fmt.Errorf("keys: unknown padding method %d", pad)
	}
	var block [8]byte
	for len(data) >= 8 {
		copy(block[:], data)
		step(&mac, &block, first.Encrypt)
		data = data[8:]
		if len(data) == 0 && pad == Padding1 {
			return finish(mac, second.Decrypt, first.Encrypt), nil
		}
	}
	block = [8]byte{}
	n := copy(block[:], data)
	if pad == Padding2 {
		block[n] = 0x80
	}
	step(&mac, &block, first.Encrypt)
	return finish(mac, second.Decrypt, first.Encrypt), nil
}

func step(mac, block *[8]byte, encrypt func(dst, src []byte)) {
	for i := range mac {
		mac[i] ^= block[i]
	}
	encrypt(mac[:], mac[:])
}

func finish(mac [8]byte, decrypt, encrypt func(dst, src []byte)) [8]byte {
	decrypt(mac[:], mac[:])
	encrypt(mac[:], mac[:])
	return mac
}
