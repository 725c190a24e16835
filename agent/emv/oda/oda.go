package oda

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"math/big"
	"time"

	"posagent/agent/emv"
	"posagent/agent/payment"
)

// ErrFailed is wrapped by every error of this package.
var ErrFailed = errors.New("offline data authentication failed")

func failed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFailed, fmt.Sprintf(format, args...))
}

// Marks of a recovered block, EMV 4.4 Book 2, 5 and 6.
const (
	headerByte     = 0x6A
	trailerByte    = 0xBC
	formatIssuer   = 0x02
	formatStatic   = 0x03
	formatICC      = 0x04
	formatDynamic  = 0x05
	algorithmSHA1  = 0x01 // Book 2, Annex B3.1
	algorithmRSA   = 0x01 // Book 2, Annex B2.1
	issuerOverhead = 36   // Book 2, table 6: bytes of an issuer certificate that are not its modulus
	iccOverhead    = 42   // Book 2, table 14
	staticOverhead = 26   // Book 2, table 7
	dynOverhead    = 25   // Book 2, table 15
)

// A Key is a public key recovered from a certificate. Its zero value verifies nothing.
type Key struct {
	modulus  []byte
	exponent uint32
}

// Bits is the size of the modulus.
func (k Key) Bits() uint32 { return uint32(len(k.modulus)) * 8 }

// newKey accepts a modulus of EMV's sizes and exponents 3 and 2^16+1, Book 2, 11.1.
func newKey(what string, modulus, exponent []byte) (Key, error) {
	var e uint32
	switch {
	case len(modulus) < emv.MinModulus || len(modulus) > emv.MaxModulus:
		return Key{}, failed("%s key of %d bytes", what, len(modulus))
	case modulus[0]&0x80 == 0 || modulus[len(modulus)-1]&1 == 0:
		return Key{}, failed("%s key is no RSA modulus", what)
	case bytes.Equal(exponent, []byte{3}):
		e = 3
	case bytes.Equal(exponent, []byte{1, 0, 1}):
		e = 65537
	default:
		return Key{}, failed("%s key exponent % X", what, exponent)
	}
	return Key{modulus: modulus, exponent: e}, nil
}

// recover is the Recover function of Book 2, Annex A2.1 with the checks that every block shares: length, header,
// format, hash algorithm at offset algAt, trailer, and the hash over the block's middle followed by extra.
func (k Key) recover(what string, block []byte, format byte, algAt int, extra ...[]byte) ([]byte, error) {
	n := len(k.modulus)
	if n < emv.MinModulus {
		return nil, failed("%s: no key", what)
	}
	if len(block) != n {
		return nil, failed("%s: %d bytes under a key of %d", what, len(block), n)
	}
	var x, m, e big.Int
	x.SetBytes(block)
	m.SetBytes(k.modulus)
	if x.Cmp(&m) >= 0 {
		return nil, failed("%s: block is not below the modulus", what)
	}
	e.SetUint64(uint64(k.exponent))
	x.Exp(&x, &e, &m)
	out := x.FillBytes(make([]byte, n))
	switch {
	case out[n-1] != trailerByte:
		return nil, failed("%s: trailer %02X", what, out[n-1])
	case out[0] != headerByte:
		return nil, failed("%s: header %02X", what, out[0])
	case out[1] != format:
		return nil, failed("%s: format %02X, %02X wanted", what, out[1], format)
	case out[algAt] != algorithmSHA1:
		return nil, failed("%s: hash algorithm %02X", what, out[algAt])
	}
	h := sha1.New()
	h.Write(out[1 : n-1-sha1.Size])
	for _, b := range extra {
		h.Write(b)
	}
	var sum [sha1.Size]byte
	if !bytes.Equal(h.Sum(sum[:0]), out[n-1-sha1.Size:n-1]) {
		return nil, failed("%s: hash does not match", what)
	}
	return out, nil
}

// A Certificate is a public key certificate with the parts of the key that travel outside it.
type Certificate struct {
	Body      []byte // tag 90 or 9F46
	Remainder []byte // tag 92 or 9F48, empty when the key fits
	Exponent  []byte // tag 9F32 or 9F47
}

// An Authority is a CA public key with what decides whether it and its certificates may be used on a day.
type Authority struct {
	Key     emv.CAPK
	Now     time.Time
	Revoked func(rid emv.RID, index uint8, serial [3]byte) bool // nil: no certificate revocation list
}

// IssuerKey recovers the issuer public key. EMV 4.4 Book 2, 5.3 (EMV 4.3: the same), steps 1 to 12.
func IssuerKey(ca Authority, c Certificate, pan payment.PAN) (Key, error) {
	const what = "issuer certificate"
	if !ca.Key.Expiry.IsZero() && dayOf(ca.Now) > dayOf(ca.Key.Expiry.Time) {
		return Key{}, failed("%s: CA public key %v %02X has expired", what, ca.Key.RID, ca.Key.Index)
	}
	k, err := newKey("CA", ca.Key.Modulus, ca.Key.Exponent)
	if err != nil {
		return Key{}, err
	}
	b, err := k.recover(what, c.Body, formatIssuer, 11, c.Remainder, c.Exponent)
	if err != nil {
		return Key{}, err
	}
	if !identifies(b[2:6], pan) { // step 8
		return Key{}, failed("%s: issuer identifier is not the PAN's", what)
	}
	if err := notExpired(what, b[6:8], ca.Now); err != nil { // step 9
		return Key{}, err
	}
	if ca.Revoked != nil && ca.Revoked(ca.Key.RID, ca.Key.Index, [3]byte(b[8:11])) { // step 10
		return Key{}, failed("%s: serial % X is revoked", what, b[8:11])
	}
	return keyIn(what, b, 12, issuerOverhead, c) // steps 11 and 12
}

// ICCKey recovers the card's public key. static is the static data to be authenticated, Book 3, 10.3, with the value of
// the AIP at its end when the Static Data Authentication Tag List asks for it. EMV 4.4 Book 2, 6.4.
func ICCKey(issuer Key, c Certificate, pan payment.PAN, static []byte, now time.Time) (Key, error) {
	return certified("ICC certificate", issuer, c, pan, static, now)
}

// certified opens a certificate that the issuer made for a key of the card.
func certified(what string, issuer Key, c Certificate, pan payment.PAN, static []byte, now time.Time) (Key, error) {
	b, err := issuer.recover(what, c.Body, formatICC, 17, c.Remainder, c.Exponent, static)
	if err != nil {
		return Key{}, err
	}
	if pan.IsZero() || padded(b[2:12]) != pan.Reveal() { // step 8
		return Key{}, failed("%s: PAN is not the application's", what)
	}
	if err := notExpired(what, b[12:14], now); err != nil { // step 9
		return Key{}, err
	}
	return keyIn(what, b, 18, iccOverhead, c) // steps 10 and 11
}

// keyIn puts the public key together from the leftmost digits in block b and the remainder. at is the offset of the
// public key algorithm indicator; its length, the exponent's length and the digits follow.
func keyIn(what string, b []byte, at, overhead int, c Certificate) (Key, error) {
	if b[at] != algorithmRSA {
		return Key{}, failed("%s: key algorithm %02X", what, b[at])
	}
	size, room := int(b[at+1]), len(b)-overhead
	if int(b[at+2]) != len(c.Exponent) {
		return Key{}, failed("%s: exponent of %d bytes, %d certified", what, len(c.Exponent), b[at+2])
	}
	if size > len(b) {
		return Key{}, failed("%s: key of %d bytes under one of %d", what, size, len(b))
	}
	digits := b[at+3 : at+3+room]
	if size <= room {
		return newKey(what, digits[:size:size], c.Exponent)
	}
	if len(c.Remainder) != size-room {
		return Key{}, failed("%s: remainder of %d bytes, %d needed", what, len(c.Remainder), size-room)
	}
	return newKey(what, append(digits[:room:room], c.Remainder...), c.Exponent)
}

// Static verifies Signed Static Application Data, tag 93, and returns the Data Authentication Code, tag 9F45. EMV 4.4
// Book 2, 5.4.
func Static(issuer Key, ssad, static []byte) (code [2]byte, err error) {
	b, err := issuer.recover("signed static application data", ssad, formatStatic, 2, static)
	if err != nil {
		return code, err
	}
	return [2]byte(b[3:5]), nil
}

// Sizes of the ICC Dynamic Number in bytes, EMV 4.4 Book 2, 6.5.2 and Book 3, Annex A.
const (
	minDynamicNumber = 2
	maxDynamicNumber = 8
)

// signedDynamic opens Signed Dynamic Application Data and splits the ICC Dynamic Number from what follows it. The
// number's length byte must be 2 to 8, whatever the hash says.
func signedDynamic(icc Key, sdad []byte, extra ...[]byte) (number, rest []byte, err error) {
	const what = "signed dynamic application data"
	b, err := icc.recover(what, sdad, formatDynamic, 2, extra...)
	if err != nil {
		return nil, nil, err
	}
	size := int(b[3])
	if size < 1 || size > len(b)-dynOverhead {
		return nil, nil, failed("%s: ICC dynamic data of %d bytes", what, size)
	}
	data := b[4 : 4+size]
	n := int(data[0])
	if n < minDynamicNumber || n > maxDynamicNumber || n > len(data)-1 {
		return nil, nil, failed("%s: ICC dynamic number of %d bytes", what, n)
	}
	return data[1 : 1+n], data[1+n:], nil
}

// Dynamic verifies Signed Dynamic Application Data that answers INTERNAL AUTHENTICATE with ddolData, and returns the ICC
// Dynamic Number, tag 9F4C. EMV 4.4 Book 2, 6.5.2.
func Dynamic(icc Key, sdad, ddolData []byte) (number []byte, err error) {
	number, _, err = signedDynamic(icc, sdad, ddolData)
	return number, err
}

// Combined is what a combined signature covers beside the terminal's unpredictable number.
type Combined struct {
	UN     [4]byte
	CID    byte     // 9F27 as the response carries it
	Hashed [][]byte // in order: PDOL data, CDOL1 data, CDOL2 data if any, the response's objects but 9F4B
	After  []byte   // what must follow the transaction data hash: the relay resistance exchange, EMV Contactless Book C-2
}

// Verify checks Signed Dynamic Application Data that answers GENERATE AC and returns the ICC Dynamic Number and the
// application cryptogram inside. EMV 4.4 Book 2, 6.6.2.
func (c Combined) Verify(icc Key, sdad []byte) (number []byte, cryptogram [8]byte, err error) {
	const what = "combined signature"
	number, rest, err := signedDynamic(icc, sdad, c.UN[:])
	if err != nil {
		return nil, cryptogram, err
	}
	if len(rest) < 1+8+sha1.Size {
		return nil, cryptogram, failed("%s: ICC dynamic data is too short", what)
	}
	if rest[0] != c.CID {
		return nil, cryptogram, failed("%s: cryptogram information %02X signed, %02X sent", what, rest[0], c.CID)
	}
	h := sha1.New()
	for _, b := range c.Hashed {
		h.Write(b)
	}
	var sum [sha1.Size]byte
	if !bytes.Equal(h.Sum(sum[:0]), rest[9:9+sha1.Size]) {
		return nil, cryptogram, failed("%s: transaction data hash does not match", what)
	}
	if len(c.After) > 0 && !bytes.HasPrefix(rest[9+sha1.Size:], c.After) {
		return nil, cryptogram, failed("%s: relay resistance data does not match", what)
	}
	return number, [8]byte(rest[1:9]), nil
}

// identifies reports whether an issuer identifier, 3 to 8 digits padded with 'F', begins the PAN. Book 2, 5.3, step 8.
func identifies(id []byte, pan payment.PAN) bool {
	prefix := padded(id)
	digits := pan.Reveal()
	return len(prefix) >= 3 && len(digits) >= len(prefix) && digits[:len(prefix)] == prefix
}

// padded is the digits of a compressed numeric field without its 'F' padding; anything else in it yields "".
func padded(b []byte) string {
	out := make([]byte, 0, 2*len(b))
	end := false
	for i := range 2 * len(b) {
		c := b[i/2] >> (4 * (1 - uint(i)%2)) & 0x0F
		switch {
		case c == 0x0F:
			end = true
		case c > 9 || end:
			return ""
		default:
			out = append(out, '0'+c)
		}
	}
	return string(out)
}

// notExpired checks a certificate's expiration, MMYY: the last day of the month is the last day of use.
func notExpired(what string, mmyy []byte, now time.Time) error {
	first, ok := emv.ParseDate([]byte{mmyy[1], mmyy[0], 1})
	if !ok {
		return failed("%s: expiration % X is no date", what, mmyy)
	}
	if dayOf(now) >= dayOf(first.AddDate(0, 1, 0)) {
		return failed("%s: expired in %s", what, first.Format("2006-01"))
	}
	return nil
}

// dayOf numbers calendar days as the clock on the wall shows them, so that a time zone cannot move one.
func dayOf(t time.Time) int64 {
	y, m, d := t.Date()
	return int64(y)*10000 + int64(m)*100 + int64(d)
}
