package oda

import (
	"crypto/elliptic"
	"math/big"
	"sync"

	"github.com/emmansun/gmsm/sm2/sm2ec"
	"github.com/emmansun/gmsm/sm3"
)

// sm2ID is the signer's identity that SM2 signatures are made with when nothing else is agreed, GM/T 0009.
const sm2ID = "1234567812345678"

// An SM2Key is a public key of the SM suite. It is a type of its own, so that an RSA certificate can never stand for one.
// Its zero value verifies nothing.
type SM2Key struct {
	x, y *big.Int
	za   [sm3.Size]byte // hash of identity, curve and key: GB/T 32918.2, 5.5
}

// sm2Head is the part of the input of ZA that is the same for every key: length of the identity in bits, identity, a, b
// and the base point.
var sm2Head = sync.OnceValue(func() []byte {
	c := sm2ec.P256().Params()
	a := new(big.Int).Sub(c.P, big.NewInt(3))
	head := append([]byte{byte(len(sm2ID) * 8 >> 8), byte(len(sm2ID) * 8 & 0xFF)}, sm2ID...)
	for _, v := range []*big.Int{a, c.B, c.Gx, c.Gy} {
		head = append(head, v.FillBytes(make([]byte, 32))...)
	}
	return head
})

// NewSM2Key makes a key of the 64 bytes x and y. A point that is not on the curve is an error.
func NewSM2Key(xy []byte) (SM2Key, error) {
	if len(xy) != sm2Size {
		return SM2Key{}, failed("SM2 key of %d bytes", len(xy))
	}
	var p [1 + sm2Size]byte
	p[0] = 4
	copy(p[1:], xy)
	x, y := elliptic.Unmarshal(sm2ec.P256(), p[:]) //lint:ignore SA1019 the curve is not one crypto/ecdh knows
	if x == nil {
		return SM2Key{}, failed("SM2 key is not on the curve")
	}
	h := sm3.New()
	h.Write(sm2Head())
	h.Write(xy)
	return SM2Key{x, y, [sm3.Size]byte(h.Sum(nil))}, nil
}

// verify checks the signature of 64 bytes r and s over the parts one after another: GB/T 32918.2, 7.1. All values are
// public.
func (k SM2Key) verify(what string, signature []byte, parts ...[]byte) error {
	if k.x == nil {
		return failed("%s: no key", what)
	}
	if len(signature) != sm2Size {
		return failed("%s: signature of %d bytes", what, len(signature))
	}
	h := sm3.New()
	h.Write(k.za[:])
	for _, p := range parts {
		h.Write(p)
	}
	curve := sm2ec.P256()
	n := curve.Params().N
	var e, r, s, t big.Int
	e.SetBytes(h.Sum(nil))
	r.SetBytes(signature[:sm2Size/2])
	s.SetBytes(signature[sm2Size/2:])
	t.Add(&r, &s)
	t.Mod(&t, n)
	if r.Sign() == 0 || s.Sign() == 0 || r.Cmp(n) >= 0 || s.Cmp(n) >= 0 || t.Sign() == 0 {
		return failed("%s: signature is out of range", what)
	}
	//lint:ignore SA1019 the curve has no other interface
	x1, y1 := curve.ScalarBaseMult(s.FillBytes(make([]byte, 32)))
	//lint:ignore SA1019 the curve has no other interface
	x2, y2 := curve.ScalarMult(k.x, k.y, t.FillBytes(make([]byte, 32)))
	x1, _ = curve.Add(x1, y1, x2, y2) //lint:ignore SA1019 the curve has no other interface
	e.Add(&e, x1)
	if e.Mod(&e, n).Cmp(&r) != 0 {
		return failed("%s: signature does not verify", what)
	}
	return nil
}
