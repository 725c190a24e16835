package oda_test

import (
	"bytes"
	"errors"
	"math/big"
	"testing"

	"posagent/agent/emv"
	"posagent/agent/emv/oda"
)

// TestPINKey: EMV 4.4 Book 2, 7.1 and 7.2: the key is recovered without static data, and a block enciphered under it opens
// to header, PIN block, challenge and padding.
func TestPINKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	middle, remainder := w.iccBody()
	c := oda.Certificate{Body: w.issuer.seal(middle, nil, remainder, w.icc.e), Remainder: remainder, Exponent: w.icc.e}
	key, err := oda.PINKey(w.issuerKey(t), c, card(t), day)
	if err != nil {
		t.Fatal(err)
	}
	signed := oda.Certificate{Body: w.issuer.seal(middle, nil, remainder, w.icc.e, []byte("static")), Remainder: remainder, Exponent: w.icc.e}
	if _, err := oda.PINKey(w.issuerKey(t), signed, card(t), day); !errors.Is(err, oda.ErrFailed) {
		t.Fatalf("a certificate over static data: %v", err)
	}
	pin := key.PIN()
	if !bytes.Equal(pin.Modulus, w.icc.modulus()) || !bytes.Equal(pin.Exponent, w.icc.e) {
		t.Fatalf("key %X %X", pin.Modulus, pin.Exponent)
	}
	block, challenge := [8]byte{0x24, 0x12, 0x34, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, [8]byte{1, 2, 3, 4, 5, 6, 7, 8}
	padding := bytes.Repeat([]byte{0x5C}, 256)
	out, err := oda.EncipherPIN(pin, block, challenge, bytes.NewReader(padding))
	if err != nil {
		t.Fatal(err)
	}
	var x big.Int
	plain := x.Exp(x.SetBytes(out), w.icc.d, w.icc.n).FillBytes(make([]byte, len(pin.Modulus)))
	want := append(append([]byte{0x7F}, block[:]...), challenge[:]...)
	want = append(want, padding[:len(plain)-len(want)]...)
	if !bytes.Equal(plain, want) {
		t.Fatalf("%X, want %X", plain, want)
	}
	if _, err := oda.EncipherPIN(pin, block, challenge, bytes.NewReader(nil)); !errors.Is(err, oda.ErrPIN) {
		t.Fatalf("no padding: %v", err)
	}
	for name, bad := range map[string]emv.PINKey{
		"nothing":  {},
		"short":    {Modulus: pin.Modulus[:32], Exponent: pin.Exponent},
		"exponent": {Modulus: pin.Modulus, Exponent: []byte{5}},
	} {
		if _, err := oda.EncipherPIN(bad, block, challenge, bytes.NewReader(padding)); !errors.Is(err, oda.ErrPIN) {
			t.Fatalf("%s: %v", name, err)
		}
	}
}
