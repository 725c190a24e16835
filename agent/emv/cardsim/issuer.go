package cardsim

import (
	"crypto/des"
	"crypto/subtle"
	"errors"
	"fmt"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
	"posagent/agent/payment"
)

// Errors of the issuer's side.
var (
	ErrCryptogram = errors.New("cryptogram does not verify")
	ErrDE55       = errors.New("DE 55 is not valid")
)

// An Issuer is the issuer's side of the cards' cryptograms: one issuer master key for application cryptograms. It has no
// state, and never sees a card.
type Issuer struct{ imk [16]byte }

// NewIssuer makes an issuer of a master key.
func NewIssuer(imk [16]byte) Issuer { return Issuer{imk} }

// TestIssuer is the issuer of every card here. Its key was made for tests.
func TestIssuer() Issuer {
	return Issuer{[16]byte{0x70, 0x6F, 0x73, 0x61, 0x67, 0x65, 0x6E, 0x74, 0x2D, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6D, 0x6B}}
}

// String hides the key.
func (i Issuer) String() string { return "cardsim.Issuer" }

// A cardKey is a card's unique master key; a sessionKey lives for one transaction counter.
type (
	cardKey    [16]byte
	sessionKey [16]byte
)

// des3 is two-key triple DES on one block.
func des3(key [16]byte, in [8]byte) (out [8]byte) {
	block, err := des.NewTripleDESCipher(append(key[:16:16], key[:8]...))
	if err != nil {
		panic(err) // 24 bytes always make a key
	}
	block.Encrypt(out[:], in[:])
	return out
}

// parity makes every byte's number of ones odd, as DES keys have it.
func parity(key [16]byte) [16]byte {
	for i, b := range key {
		ones := byte(0)
		for v := b >> 1; v != 0; v >>= 1 {
			ones ^= v & 1
		}
		key[i] = b&0xFE | ones ^ 1
	}
	return key
}

// cardKey derives a card's master key. EMV 4.4 Book 2, Annex A1.4.1, option A: the rightmost 16 digits of PAN and PAN
// sequence number.
func (i Issuer) cardKey(pan payment.PAN, sequence string) cardKey {
	for len(sequence) < 2 {
		sequence = "0" + sequence
	}
	digits := pan.Reveal() + sequence[len(sequence)-2:]
	for len(digits) < 16 {
		digits = "0" + digits
	}
	y := [8]byte(bcdLeft(digits[len(digits)-16:], 8))
	left := des3(i.imk, y)
	for j := range y {
		y[j] ^= 0xFF
	}
	right := des3(i.imk, y)
	return cardKey(parity([16]byte(append(left[:], right[:]...))))
}

// session derives the key of one transaction counter. EMV 4.4 Book 2, Annex A1.3.1, common session key derivation.
func (k cardKey) session(atc uint16) sessionKey {
	r := [8]byte{byte(atc >> 8), byte(atc), 0xF0}
	left := des3(k, r)
	r[2] = 0x0F
	right := des3(k, r)
	return sessionKey(parity([16]byte(append(left[:], right[:]...))))
}

// mac is the application cryptogram's algorithm. EMV 4.4 Book 2, Annex A1.2.1: ISO/IEC 9797-1 algorithm 3 with padding
// method 2.
func (k sessionKey) mac(data []byte) (out [8]byte) {
	single, err := des.NewCipher(k[:8])
	if err != nil {
		panic(err)
	}
	data = append(data[:len(data):len(data)], 0x80)
	for len(data)%8 != 0 {
		data = append(data, 0)
	}
	for ; len(data) > 8; data = data[8:] {
		xor(&out, data)
		single.Encrypt(out[:], out[:])
	}
	xor(&out, data) // the last block under both halves: E, D, E
	return des3(k, out)
}

func xor(dst *[8]byte, src []byte) {
	for i := range dst {
		dst[i] ^= src[i]
	}
}

// arpc is method 1 of EMV 4.4 Book 2, 8.2.1.
func (k sessionKey) arpc(arqc [8]byte, arc emv.ARC) [8]byte {
	for i := range min(len(arc), 2) {
		arqc[i] ^= arc[i]
	}
	return des3(k, arqc)
}

// cryptogramTags are the data objects under a cryptogram before the Issuer Application Data, in order: EMV 4.4 Book 2,
// 8.1.1, table 26 (recommended minimum set).
var cryptogramTags = []tlv.Tag{0x9F02, 0x9F03, 0x9F1A, 0x95, 0x5F2A, 0x9A, 0x9C, 0x9F37, 0x82, 0x9F36}

// cryptogramData gathers the input of the MAC.
func cryptogramData(value func(tlv.Tag) ([]byte, bool)) ([]byte, error) {
	out := make([]byte, 0, 96)
	for _, t := range cryptogramTags {
		v, ok := value(t)
		if e, _ := tlv.Lookup(t); !ok || len(v) != int(e.Max) {
			return nil, fmt.Errorf("%w: %v (%s) is missing or has the wrong length", ErrDE55, t, t.Name())
		}
		out = append(out, v...)
	}
	iad, ok := value(0x9F10)
	if !ok {
		return nil, fmt.Errorf("%w: 9F10 is missing", ErrDE55)
	}
	return append(out, iad...), nil
}

// open reads DE 55 into the session key it was made under, its cryptogram and what the cryptogram should be.
func (i Issuer) open(pan payment.PAN, sequence string, de55 []byte) (k sessionKey, sent, right [8]byte, err error) {
	if err := tlv.Check(de55); err != nil {
		return k, sent, right, fmt.Errorf("%w: %w", ErrDE55, err)
	}
	find := func(t tlv.Tag) ([]byte, bool) { return tlv.Find(de55, t) }
	data, err := cryptogramData(find)
	if err != nil {
		return k, sent, right, err
	}
	ac, _ := find(0x9F26)
	if len(ac) != 8 {
		return k, sent, right, fmt.Errorf("%w: 9F26 is missing or has the wrong length", ErrDE55)
	}
	atc, _ := find(0x9F36)
	k = i.cardKey(pan, sequence).session(uint16(atc[0])<<8 | uint16(atc[1]))
	return k, [8]byte(ac), k.mac(data), nil
}

// VerifyARQC checks the cryptogram in DE 55. sequence is the PAN sequence number of field 23, with or without leading
// zeros, empty for none. The error wraps ErrDE55 or ErrCryptogram.
func (i Issuer) VerifyARQC(pan payment.PAN, sequence string, de55 []byte) error {
	_, sent, right, err := i.open(pan, sequence, de55)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(sent[:], right[:]) != 1 {
		return fmt.Errorf("verify 9F26: %w", ErrCryptogram)
	}
	return nil
}

// ARPC answers the cryptogram in DE 55: the value of tag 91, which is the ARPC of eight bytes and the response code of
// two. The cryptogram is not verified again.
func (i Issuer) ARPC(pan payment.PAN, sequence string, de55 []byte, arc emv.ARC) ([]byte, error) {
	if len(arc) != 2 {
		return nil, fmt.Errorf("answer cryptogram: response code %q is not two characters", arc)
	}
	k, sent, _, err := i.open(pan, sequence, de55)
	if err != nil {
		return nil, err
	}
	arpc := k.arpc(sent, arc)
	return append(arpc[:], arc...), nil
}
