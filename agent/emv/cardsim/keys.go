package cardsim

import (
	"crypto/sha1"
	_ "embed"
	"encoding/json"
	"fmt"
	"math/big"
	"sync"
	"time"

	"posagent/agent/emv"
)

// keysJSON holds RSA keys made for these tests and used nowhere else.
//
//go:embed keys.json
var keysJSON []byte

// A rsaKey is a key pair. Private exponents are in the open: nothing is protected by these keys.
type rsaKey struct {
	N emv.HexBytes `json:"n"`
	E emv.HexBytes `json:"e"`
	D emv.HexBytes `json:"d"`
	P emv.HexBytes `json:"p"`
	Q emv.HexBytes `json:"q"`
}

// sign raises a block of the modulus' length to the private exponent, modulo both primes: a quarter of the time. Book 2,
// Annex A2.1, Sign.
func (k rsaKey) sign(block []byte) []byte {
	var x, d, p, q, one, e, a, b big.Int
	x.SetBytes(block)
	d.SetBytes(k.D)
	p.SetBytes(k.P)
	q.SetBytes(k.Q)
	one.SetInt64(1)
	e.Mod(&d, e.Sub(&p, &one))
	a.Exp(&x, &e, &p)
	e.Mod(&d, e.Sub(&q, &one))
	b.Exp(&x, &e, &q)
	a.Sub(&a, &b) // b + q * ((a - b) / q mod p)
	a.Mul(&a, e.ModInverse(&q, &p))
	a.Mod(&a, &p)
	return b.Add(&b, a.Mul(&a, &q)).FillBytes(make([]byte, len(k.N)))
}

// keyRing is keys.json by name.
var keyRing = sync.OnceValues(func() (map[string]rsaKey, error) {
	ring := map[string]rsaKey{}
	if err := json.Unmarshal(keysJSON, &ring); err != nil {
		return nil, fmt.Errorf("read embedded test keys: %w", err)
	}
	return ring, nil
})

// authorities of the test cards. The second RID has a CA with the other exponent.
var authorities = []struct {
	rid   emv.RID
	index uint8
	key   string
}{
	{emv.RID{0xA0, 0x00, 0x00, 0x03, 0x33}, 0xF1, "ca-a"},
	{emv.RID{0xA0, 0x00, 0x00, 0x09, 0x99}, 0xF2, "ca-b"},
}

// CAPKs are the public keys a terminal needs to authenticate these cards, for RIDs A000000333 and A000000999.
func CAPKs() []emv.CAPK {
	ring, err := keyRing()
	if err != nil {
		panic(err) // an embedded file that tests read: impossible
	}
	var out []emv.CAPK
	for _, a := range authorities {
		k := emv.CAPK{
			RID: a.rid, Index: a.index, Modulus: ring[a.key].N, Exponent: ring[a.key].E,
			Expiry: emv.Date{Time: time.Date(2049, 12, 31, 0, 0, 0, 0, time.UTC)},
		}
		sum := k.Sum()
		k.Checksum = sum[:]
		out = append(out, k)
	}
	return out
}

// Applications are the entries a terminal needs in its list to accept these cards. The first is selected by partial
// name; floor limit 500.00, no random selection.
func Applications() []emv.Application {
	base := emv.Application{
		Version:     emv.Version{0x00, 0x20},
		TACDefault:  emv.ActionCode{0xDC, 0x40, 0x00, 0xA8, 0x00},
		TACDenial:   emv.ActionCode{0x00, 0x10, 0x00, 0x00, 0x00},
		TACOnline:   emv.ActionCode{0xDC, 0x40, 0x04, 0xF8, 0x00},
		FloorLimit:  50000,
		DefaultDDOL: emv.HexBytes{0x9F, 0x37, 0x04},
		DefaultTDOL: emv.HexBytes{0x9F, 0x02, 0x06},
	}
	a, b := base, base
	a.AID, a.Partial = emv.AID{0xA0, 0x00, 0x00, 0x03, 0x33, 0x01, 0x01}, true
	b.AID = emv.AID{0xA0, 0x00, 0x00, 0x09, 0x99, 0x01, 0x01}
	return []emv.Application{a, b}
}

// certLast is the month in which every certificate expires, MMYY.
var certLast = [2]byte{0x12, 0x49}

// fit puts a modulus into the room of a certificate: padded with 'BB', or cut with the rest as remainder. Book 2, 5.1.
func fit(modulus []byte, room int) (digits, remainder []byte) {
	if len(modulus) > room {
		return modulus[:room], modulus[room:]
	}
	digits = append([]byte(nil), modulus...)
	for len(digits) < room {
		digits = append(digits, 0xBB)
	}
	return digits, nil
}

// seal closes a block: header, middle, hash over middle and extra, trailer; then signs it.
func (k rsaKey) seal(middle []byte, extra ...[]byte) []byte {
	h := sha1.New()
	h.Write(middle)
	for _, b := range extra {
		h.Write(b)
	}
	block := append([]byte{0x6A}, middle...)
	block = h.Sum(block)
	return k.sign(append(block, 0xBC))
}

// issuerCertificate is tag 90 and tag 92. Book 2, 5.1, table 2.
func issuerCertificate(ca, issuer rsaKey, pan string) (cert, remainder []byte) {
	digits, remainder := fit(issuer.N, len(ca.N)-36)
	m := append([]byte{0x02}, bcdLeft(pan[:8], 4)...)
	m = append(m, certLast[0], certLast[1], 0x00, 0x00, 0x01, 0x01, 0x01, byte(len(issuer.N)), byte(len(issuer.E)))
	m = append(m, digits...)
	return ca.seal(m, remainder, issuer.E), remainder
}

// iccCertificate is tag 9F46 and tag 9F48. Book 2, 6.1, table 10.
func iccCertificate(issuer, icc rsaKey, pan string, static []byte) (cert, remainder []byte) {
	digits, remainder := fit(icc.N, len(issuer.N)-42)
	m := append([]byte{0x04}, bcdLeft(pan, 10)...)
	m = append(m, certLast[0], certLast[1], 0x00, 0x00, 0x02, 0x01, 0x01, byte(len(icc.N)), byte(len(icc.E)))
	m = append(m, digits...)
	return issuer.seal(m, remainder, icc.E, static), remainder
}

// staticSignature is tag 93. Book 2, 5.1, table 3.
func staticSignature(issuer rsaKey, static []byte) []byte {
	m := []byte{0x03, 0x01, 0xDA, 0xC0}
	for len(m) < len(issuer.N)-22 {
		m = append(m, 0xBB)
	}
	return issuer.seal(m, static)
}

// dynamicSignature is tag 9F4B over the ICC dynamic data and what the terminal added. Book 2, 6.5.1, table 12.
func dynamicSignature(icc rsaKey, dynamic, terminal []byte) []byte {
	m := append([]byte{0x05, 0x01, byte(len(dynamic))}, dynamic...)
	for len(m) < len(icc.N)-22 {
		m = append(m, 0xBB)
	}
	return icc.seal(m, terminal)
}

// bcdLeft packs digits two a byte, padded with 'F' on the right to n bytes.
func bcdLeft(digits string, n int) []byte {
	out := make([]byte, n)
	for i := range 2 * n {
		d := byte(0x0F)
		if i < len(digits) {
			d = digits[i] - '0'
		}
		out[i/2] |= d << (4 * (1 - uint(i)%2))
	}
	return out
}
