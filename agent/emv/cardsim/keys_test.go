package cardsim

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"flag"
	"math/big"
	"os"
	"testing"
)

var keygen = flag.Bool("keygen", false, "write keys.json anew")

// TestKeys writes the test keys when asked to and checks them always.
func TestKeys(t *testing.T) {
	want := map[string]struct {
		bits int
		e    int64
	}{
		"ca-a": {1984, 3}, "ca-b": {1984, 65537},
		"issuer-a": {1408, 3}, "issuer-b": {1792, 3}, // 1792 does not fit a certificate under 1984 bits
		"pin-a": {1024, 65537},
		"icc-a": {1152, 3}, "icc-b": {1024, 65537}, // 1152 does not fit a certificate under 1408 bits
	}
	if *keygen {
		ring := map[string]rsaKey{}
		for name, w := range want {
			ring[name] = newRSAKey(t, w.bits, w.e)
		}
		b, err := json.MarshalIndent(ring, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("keys.json", append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	ring, err := keyRing()
	if err != nil {
		t.Fatal(err)
	}
	for name, w := range want {
		k := ring[name]
		if len(k.N)*8 != w.bits || new(big.Int).SetBytes(k.E).Int64() != w.e {
			t.Errorf("%s: %d bits, exponent %v", name, len(k.N)*8, k.E)
		}
		block := bytes.Repeat([]byte{0x6A}, len(k.N))
		block[0] = 0
		x := new(big.Int).SetBytes(k.sign(block))
		x.Exp(x, new(big.Int).SetBytes(k.E), new(big.Int).SetBytes(k.N))
		if got := x.FillBytes(make([]byte, len(k.N))); !bytes.Equal(got, block) {
			t.Errorf("%s: the private and the public exponent do not fit", name)
		}
	}
	for _, k := range CAPKs() {
		if err := k.Verify(); err != nil {
			t.Error(err)
		}
	}
}

func newRSAKey(t *testing.T, bits int, e int64) rsaKey {
	t.Helper()
	one, exp := big.NewInt(1), big.NewInt(e)
	for range 1000 {
		p, err := rand.Prime(rand.Reader, bits/2)
		if err != nil {
			t.Fatal(err)
		}
		q, err := rand.Prime(rand.Reader, bits-bits/2)
		if err != nil {
			t.Fatal(err)
		}
		n := new(big.Int).Mul(p, q)
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		d := new(big.Int).ModInverse(exp, phi)
		if n.BitLen() == bits && d != nil {
			return rsaKey{N: n.Bytes(), E: exp.Bytes(), D: d.Bytes(), P: p.Bytes(), Q: q.Bytes()}
		}
	}
	t.Fatal("no key found")
	return rsaKey{}
}
