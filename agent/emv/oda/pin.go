package oda

import (
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"

	"posagent/agent/emv"
	"posagent/agent/payment"
)

// ErrPIN is wrapped by errors of PIN encipherment that are not the card's.
var ErrPIN = errors.New("PIN cannot be enciphered")

// PIN returns the key for a PIN pad.
func (k Key) PIN() emv.PINKey {
	exponent := []byte{3}
	if k.exponent == 65537 {
		exponent = []byte{1, 0, 1}
	}
	return emv.PINKey{Modulus: k.modulus, Exponent: exponent}
}

// PINKey recovers the card's PIN encipherment public key. Its certificate is like the card's own, without static data.
// EMV 4.4 Book 2, 7.1, tables 23 and 24.
func PINKey(issuer Key, c Certificate, pan payment.PAN, now time.Time) (Key, error) {
	return certified("PIN encipherment certificate", issuer, c, pan, nil, now)
}

// Parts of the block under a PIN encipherment key. EMV 4.4 Book 2, 7.2, table 25: header, PIN block, the card's
// unpredictable number and random padding.
const (
	pinHeader    = 0x7F
	pinChallenge = 8
	pinFixed     = 1 + emv.PlainPINBlock + pinChallenge
)

// EncipherPIN is what a PIN pad does with an emv.OfflinePINRequest: it enciphers the plaintext PIN block and the card's
// challenge with padding from rand, and returns the data of VERIFY. It is here for pads whose firmware is this module;
// the kernel never calls it. EMV 4.4 Book 2, 7.2.
func EncipherPIN(key emv.PINKey, block [emv.PlainPINBlock]byte, challenge [8]byte, rand io.Reader) ([]byte, error) {
	k, err := newKey("PIN encipherment", key.Modulus, key.Exponent)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPIN, err)
	}
	data := make([]byte, len(k.modulus))
	defer clear(data)
	data[0] = pinHeader
	copy(data[1:], block[:])
	copy(data[1+emv.PlainPINBlock:], challenge[:])
	if _, err := io.ReadFull(rand, data[pinFixed:]); err != nil {
		return nil, fmt.Errorf("%w: draw padding: %w", ErrPIN, err)
	}
	var x, m, e big.Int
	x.SetBytes(data)
	m.SetBytes(k.modulus)
	e.SetUint64(uint64(k.exponent))
	return new(big.Int).Exp(&x, &e, &m).FillBytes(make([]byte, len(k.modulus))), nil
}
