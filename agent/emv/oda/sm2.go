package oda

import (
	"time"

	"github.com/emmansun/gmsm/sm3"

	"posagent/agent/emv"
	"posagent/agent/payment"
)

// Marks of the SM suite: certificate and signature formats, the algorithm (SM2 with SM3) and the curve. They follow the
// chip card specification of JR/T 0025, part 17, as far as it is known in public.
const (
	formatSM2Issuer  = 0x12
	formatSM2Static  = 0x13
	formatSM2ICC     = 0x14
	formatSM2Dynamic = 0x15
	algorithmSM2     = 0x04
	curveSM2         = 0x11

	sm2Size      = 64 // of a public key (x, y) and of a signature (r, s)
	sm2Overhead  = 4  // algorithm, encipherment algorithm, curve and key length
	sm2IssuerLen = 10 + sm2Overhead + sm2Size + sm2Size
	sm2ICCLen    = 16 + sm2Overhead + sm2Size + sm2Size
)

// An SM2Authority is a CA public key of the SM suite with what decides whether it may be used on a day.
type SM2Authority struct {
	RID     emv.RID
	Index   uint8
	Key     SM2Key
	Expiry  emv.Date // last day of use; zero means none
	Now     time.Time
	Revoked func(rid emv.RID, index uint8, serial [3]byte) bool
}

// SM2IssuerKey reads the issuer's key out of its certificate (tag 90), which carries it in clear under the CA's signature.
func SM2IssuerKey(ca SM2Authority, certificate []byte, pan payment.PAN) (SM2Key, error) {
	const what = "SM2 issuer certificate"
	if !ca.Expiry.IsZero() && dayOf(ca.Now) > dayOf(ca.Expiry.Time) {
		return SM2Key{}, failed("%s: CA public key %v %02X has expired", what, ca.RID, ca.Index)
	}
	b, err := ca.Key.open(what, certificate, formatSM2Issuer, sm2IssuerLen, nil)
	switch {
	case err != nil:
		return SM2Key{}, err
	case !identifies(b[1:5], pan):
		return SM2Key{}, failed("%s: issuer identifier is not the PAN's", what)
	case ca.Revoked != nil && ca.Revoked(ca.RID, ca.Index, [3]byte(b[7:10])):
		return SM2Key{}, failed("%s: serial % X is revoked", what, b[7:10])
	}
	if err := notExpired(what, b[5:7], ca.Now); err != nil {
		return SM2Key{}, err
	}
	return sm2KeyIn(what, b[10:])
}

// SM2ICCKey reads the card's key out of its certificate (tag 9F46). static is the static data to be authenticated.
func SM2ICCKey(issuer SM2Key, certificate []byte, pan payment.PAN, static []byte, now time.Time) (SM2Key, error) {
	const what = "SM2 ICC certificate"
	b, err := issuer.open(what, certificate, formatSM2ICC, sm2ICCLen, static)
	switch {
	case err != nil:
		return SM2Key{}, err
	case pan.IsZero() || padded(b[1:11]) != pan.Reveal():
		return SM2Key{}, failed("%s: PAN is not the application's", what)
	}
	if err := notExpired(what, b[11:13], now); err != nil {
		return SM2Key{}, err
	}
	return sm2KeyIn(what, b[16:])
}

// open checks length, format and signature of signed data and returns what the signature covers.
func (k SM2Key) open(what string, signed []byte, format byte, size int, extra []byte) ([]byte, error) {
	switch {
	case len(signed) != size:
		return nil, failed("%s: %d bytes, %d wanted", what, len(signed), size)
	case signed[0] != format:
		return nil, failed("%s: format %02X, %02X wanted", what, signed[0], format)
	}
	body := signed[: size-sm2Size : size-sm2Size]
	return body, k.verify(what, signed[size-sm2Size:], body, extra)
}

// sm2KeyIn reads algorithm, encipherment algorithm, curve, length and key.
func sm2KeyIn(what string, b []byte) (SM2Key, error) {
	if b[0] != algorithmSM2 || b[2] != curveSM2 || b[3] != sm2Size {
		return SM2Key{}, failed("%s: algorithm %02X, curve %02X, key of %d bytes", what, b[0], b[2], b[3])
	}
	return NewSM2Key(b[sm2Overhead:])
}

// SM2Static verifies signed static application data, tag 93, and returns the Data Authentication Code.
func SM2Static(issuer SM2Key, ssad, static []byte) (code [2]byte, err error) {
	b, err := issuer.open("SM2 signed static application data", ssad, formatSM2Static, 4+sm2Size, static)
	if err == nil && b[1] != algorithmSM2 {
		err = failed("SM2 signed static application data: algorithm %02X", b[1])
	}
	if err != nil {
		return code, err
	}
	return [2]byte(b[2:4]), nil
}

// sm2Dynamic opens signed dynamic application data: format, algorithm, length of the ICC dynamic data, the data, the
// signature. The data begin with the ICC Dynamic Number behind its length.
func sm2Dynamic(icc SM2Key, sdad []byte, extra []byte) (number, rest []byte, err error) {
	const what = "SM2 signed dynamic application data"
	if len(sdad) < 3+sm2Size || len(sdad) != 3+int(sdad[2])+sm2Size {
		return nil, nil, failed("%s: %d bytes", what, len(sdad))
	}
	b, err := icc.open(what, sdad, formatSM2Dynamic, len(sdad), extra)
	if err != nil {
		return nil, nil, err
	}
	data := b[3:]
	if b[1] != algorithmSM2 || len(data) == 0 {
		return nil, nil, failed("%s: algorithm %02X, ICC dynamic data of %d bytes", what, b[1], len(data))
	}
	n := int(data[0])
	if n < minDynamicNumber || n > maxDynamicNumber || n > len(data)-1 {
		return nil, nil, failed("%s: ICC dynamic number of %d bytes", what, n)
	}
	return data[1 : 1+n], data[1+n:], nil
}

// SM2Dynamic verifies signed dynamic application data that answers INTERNAL AUTHENTICATE with ddolData, and returns the
// ICC Dynamic Number.
func SM2Dynamic(icc SM2Key, sdad, ddolData []byte) (number []byte, err error) {
	number, _, err = sm2Dynamic(icc, sdad, ddolData)
	return number, err
}

// VerifySM2 is Verify with the SM suite: the hash over the transaction's data is SM3.
func (c Combined) VerifySM2(icc SM2Key, sdad []byte) (number []byte, cryptogram [8]byte, err error) {
	const what = "SM2 combined signature"
	number, rest, err := sm2Dynamic(icc, sdad, c.UN[:])
	if err != nil {
		return nil, cryptogram, err
	}
	if len(rest) < 1+8+sm3.Size {
		return nil, cryptogram, failed("%s: ICC dynamic data is too short", what)
	}
	if rest[0] != c.CID {
		return nil, cryptogram, failed("%s: cryptogram information %02X signed, %02X sent", what, rest[0], c.CID)
	}
	h := sm3.New()
	for _, b := range c.Hashed {
		h.Write(b)
	}
	if sum := [sm3.Size]byte(h.Sum(nil)); sum != [sm3.Size]byte(rest[9:9+sm3.Size]) {
		return nil, cryptogram, failed("%s: transaction data hash does not match", what)
	}
	return number, [8]byte(rest[1:9]), nil
}
