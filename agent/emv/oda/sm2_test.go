package oda_test

import (
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm2/sm2ec"
	"github.com/emmansun/gmsm/sm3"

	"posagent/agent/emv"
	"posagent/agent/emv/oda"
)

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// sm2Signer is a key pair made for tests; its signatures use a number derived from the message, so that every run has
// the same.
type sm2Signer struct{ d *big.Int }

func newSM2Signer(seed byte) sm2Signer {
	sum := sm3.Sum([]byte{seed})
	return sm2Signer{new(big.Int).SetBytes(sum[:31])}
}

func (s sm2Signer) public() []byte {
	x, y := sm2ec.P256().ScalarBaseMult(s.d.FillBytes(make([]byte, 32))) //lint:ignore SA1019 the curve has no other interface
	return append(x.FillBytes(make([]byte, 32)), y.FillBytes(make([]byte, 32))...)
}

// sign is GB/T 32918.2, 6.1.
func (s sm2Signer) sign(message []byte) []byte {
	c := sm2ec.P256()
	n := c.Params().N
	in := append([]byte{0, 128}, "1234567812345678"...)
	in = append(in, new(big.Int).Sub(c.Params().P, big.NewInt(3)).Bytes()...)
	for _, v := range []*big.Int{c.Params().B, c.Params().Gx, c.Params().Gy} {
		in = append(in, v.FillBytes(make([]byte, 32))...)
	}
	za := sm3.Sum(append(in, s.public()...))
	digest := sm3.Sum(append(za[:], message...))
	once := sm3.Sum(append([]byte("k"), digest[:]...))
	k := new(big.Int).SetBytes(once[:31])
	x, _ := c.ScalarBaseMult(k.FillBytes(make([]byte, 32))) //lint:ignore SA1019 the curve has no other interface
	r := new(big.Int).SetBytes(digest[:])
	r.Mod(r.Add(r, x), n)
	v := new(big.Int).ModInverse(new(big.Int).Add(s.d, big.NewInt(1)), n)
	t := new(big.Int).Sub(k, new(big.Int).Mul(r, s.d))
	t.Mod(t.Mul(t, v), n)
	return append(r.FillBytes(make([]byte, 32)), t.FillBytes(make([]byte, 32))...)
}

// TestSM2Vector: the key and the signature of GB/T 32918.5-2017, annex A.
func TestSM2Vector(t *testing.T) {
	t.Parallel()
	d, ok := new(big.Int).SetString("3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8", 16)
	if !ok {
		t.Fatal("constant")
	}
	const want = "09f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020" + "ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
	pub := sm2Signer{d}.public()
	if got := hex.EncodeToString(pub); got != want {
		t.Fatalf("public key %s", got)
	}
	key, err := oda.NewSM2Key(pub)
	if err != nil {
		t.Fatal(err)
	}
	sig := unhex(t, "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3"+"B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA")
	if err := oda.VerifySM2(key, sig, []byte("message digest")); err != nil {
		t.Fatal(err)
	}
	sig[63] ^= 1
	if err := oda.VerifySM2(key, sig, []byte("message digest")); !errors.Is(err, oda.ErrFailed) {
		t.Fatalf("a wrong signature: %v", err)
	}
	for name, bad := range map[string][]byte{"short": pub[:63], "not on the curve": append(pub[:63:63], pub[63]^1), "zeros": make([]byte, 64)} {
		if _, err := oda.NewSM2Key(bad); !errors.Is(err, oda.ErrFailed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := oda.VerifySM2(oda.SM2Key{}, sig, nil); !errors.Is(err, oda.ErrFailed) {
		t.Errorf("no key: %v", err)
	}
	if err := oda.VerifySM2(key, make([]byte, 64), nil); !errors.Is(err, oda.ErrFailed) {
		t.Errorf("signature of zeros: %v", err)
	}
}

// sm2World is a chain of certificates. No vector of a card is public: signer and verifier are both of this project.
type sm2World struct {
	ca, issuer, icc        sm2Signer
	authority              oda.SM2Authority
	issuerCert, iccCert    []byte
	issuerBody, iccBody    []byte
	static, ddol           []byte
	ssad, sdad, sdadNumber []byte
}

func newSM2World(tb testing.TB) sm2World {
	tb.Helper()
	w := sm2World{ca: newSM2Signer(1), issuer: newSM2Signer(2), icc: newSM2Signer(3), static: []byte("static data"), ddol: []byte{1, 2, 3, 4}}
	key, err := oda.NewSM2Key(w.ca.public())
	if err != nil {
		tb.Fatal(err)
	}
	w.authority = oda.SM2Authority{RID: emv.RID{0xA0, 0, 0, 3, 0x33}, Index: 0x57, Key: key, Now: day}
	suite := []byte{0x04, 0x00, 0x11, 64}
	w.issuerBody = append(append(unhex(tb, "12 622609FF 0326 000001"), suite...), w.issuer.public()...)
	w.issuerCert = append(w.issuerBody[:len(w.issuerBody):len(w.issuerBody)], w.ca.sign(w.issuerBody)...)
	w.iccBody = append(append(unhex(tb, "14 6226097318460046FFFF 0326 000002"), suite...), w.icc.public()...)
	w.iccCert = append(w.iccBody[:len(w.iccBody):len(w.iccBody)], w.issuer.sign(join(w.iccBody, w.static))...)
	ssad := unhex(tb, "13 04 DAC0")
	w.ssad = append(ssad[:4:4], w.issuer.sign(join(ssad, w.static))...)
	w.sdadNumber = []byte{1, 2, 3, 4, 5, 6, 7, 8}
	w.sdad = w.signDynamic(append([]byte{8}, w.sdadNumber...), w.ddol)
	return w
}

func join(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func (w sm2World) signDynamic(data, extra []byte) []byte {
	body := append([]byte{0x15, 0x04, byte(len(data))}, data...)
	return append(body[:len(body):len(body)], w.icc.sign(join(body, extra))...)
}

// TestSM2Chain: issuer, card, static and dynamic signatures of the SM suite verify, and no single bit otherwise.
func TestSM2Chain(t *testing.T) {
	t.Parallel()
	w := newSM2World(t)
	pan := card(t)
	issuer, err := oda.SM2IssuerKey(w.authority, w.issuerCert, pan)
	if err != nil {
		t.Fatal(err)
	}
	icc, err := oda.SM2ICCKey(issuer, w.iccCert, pan, w.static, day)
	if err != nil {
		t.Fatal(err)
	}
	if code, err := oda.SM2Static(issuer, w.ssad, w.static); err != nil || code != [2]byte{0xDA, 0xC0} {
		t.Fatalf("%x %v", code, err)
	}
	if n, err := oda.SM2Dynamic(icc, w.sdad, w.ddol); err != nil || string(n) != string(w.sdadNumber) {
		t.Fatalf("%x %v", n, err)
	}
	for name, c := range map[string]struct {
		data []byte
		open func([]byte) error
	}{
		"issuer certificate": {w.issuerCert, func(b []byte) error { _, err := oda.SM2IssuerKey(w.authority, b, pan); return err }},
		"ICC certificate":    {w.iccCert, func(b []byte) error { _, err := oda.SM2ICCKey(issuer, b, pan, w.static, day); return err }},
		"static signature":   {w.ssad, func(b []byte) error { _, err := oda.SM2Static(issuer, b, w.static); return err }},
		"dynamic signature":  {w.sdad, func(b []byte) error { _, err := oda.SM2Dynamic(icc, b, w.ddol); return err }},
	} {
		for i := 0; i < len(c.data)*8; i += 5 {
			c.data[i/8] ^= 0x80 >> (i % 8)
			if err := c.open(c.data); !errors.Is(err, oda.ErrFailed) {
				t.Errorf("%s: bit %d: %v", name, i, err)
			}
			c.data[i/8] ^= 0x80 >> (i % 8)
		}
		for _, n := range []int{0, 1, 3, len(c.data) - 1} {
			if err := c.open(c.data[:n]); !errors.Is(err, oda.ErrFailed) {
				t.Errorf("%s of %d bytes: %v", name, n, err)
			}
		}
		if err := c.open(c.data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSM2Rules: dates, revocation, card number and the suites that must not be mixed.
func TestSM2Rules(t *testing.T) {
	t.Parallel()
	w := newSM2World(t)
	pan := card(t)
	late := w.authority
	late.Now = day.AddDate(0, 1, 0)
	gone := w.authority
	gone.Expiry = emv.Date{Time: time.Date(2026, 3, 30, 0, 0, 0, 0, time.UTC)}
	revoked := w.authority
	revoked.Revoked = func(_ emv.RID, index uint8, serial [3]byte) bool { return index == 0x57 && serial == [3]byte{0, 0, 1} }
	reseal := func(at int, v byte) []byte {
		b := append([]byte(nil), w.issuerBody...)
		b[at] = v
		return append(b, w.ca.sign(b)...)
	}
	for _, c := range []struct {
		name string
		a    oda.SM2Authority
		cert []byte
		want string
	}{
		{"expired certificate", late, w.issuerCert, "expired"},
		{"expired CA key", gone, w.issuerCert, "has expired"},
		{"revoked", revoked, w.issuerCert, "revoked"},
		{"no CA key", oda.SM2Authority{Now: day}, w.issuerCert, "no key"},
		{"another issuer", w.authority, reseal(2, 0x27), "issuer identifier"},
		{"an RSA certificate's format", w.authority, reseal(0, 0x02), "format"},
		{"another algorithm", w.authority, reseal(10, 0x01), "algorithm"},
		{"another curve", w.authority, reseal(12, 0x12), "curve"},
		{"a key that is no point", w.authority, reseal(20, w.issuerBody[20]^1), "curve"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := oda.SM2IssuerKey(c.a, c.cert, pan); !errors.Is(err, oda.ErrFailed) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, want %q", err, c.want)
			}
		})
	}
	icc, err := oda.NewSM2Key(w.icc.public())
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"no length": {0xA1, 2, 3}, "one byte": {1, 1}, "past the data": {8, 1, 2}, "nothing": {}} {
		if _, err := oda.SM2Dynamic(icc, w.signDynamic(data, w.ddol), w.ddol); !errors.Is(err, oda.ErrFailed) {
			t.Errorf("dynamic number, %s: %v", name, err)
		}
	}
}

// TestSM2Combined: the combined signature of the SM suite binds cryptogram and transaction.
func TestSM2Combined(t *testing.T) {
	t.Parallel()
	w := newSM2World(t)
	icc, err := oda.NewSM2Key(w.icc.public())
	if err != nil {
		t.Fatal(err)
	}
	hashed := [][]byte{{1, 2}, {3, 4}}
	sum := sm3.Sum(join(hashed...))
	un := [4]byte{9, 8, 7, 6}
	data := join([]byte{2, 0xAA, 0xBB, 0x80}, []byte{1, 2, 3, 4, 5, 6, 7, 8}, sum[:])
	sdad := w.signDynamic(data, un[:])
	number, ac, err := oda.Combined{UN: un, CID: 0x80, Hashed: hashed}.VerifySM2(icc, sdad)
	if err != nil || string(number) != "\xAA\xBB" || ac != [8]byte{1, 2, 3, 4, 5, 6, 7, 8} {
		t.Fatalf("%x %x %v", number, ac, err)
	}
	for name, c := range map[string]oda.Combined{
		"another type":     {UN: un, CID: 0x40, Hashed: hashed},
		"another number":   {CID: 0x80, Hashed: hashed},
		"another exchange": {UN: un, CID: 0x80, Hashed: hashed[:1]},
	} {
		if _, _, err := c.VerifySM2(icc, sdad); !errors.Is(err, oda.ErrFailed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := (oda.Combined{UN: un, CID: 0x80}).VerifySM2(icc, w.signDynamic(data[:10], un[:])); !errors.Is(err, oda.ErrFailed) {
		t.Errorf("short: %v", err)
	}
}

func FuzzSM2(f *testing.F) {
	w := newSM2World(f)
	pan := card(f)
	f.Add(w.issuerCert)
	f.Add(w.iccCert)
	f.Add(w.sdad)
	issuer, err := oda.NewSM2Key(w.issuer.public())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		_, _ = oda.SM2IssuerKey(w.authority, in, pan)
		_, _ = oda.SM2ICCKey(issuer, in, pan, nil, day)
		_, _ = oda.SM2Static(issuer, in, nil)
		if n, err := oda.SM2Dynamic(issuer, in, nil); err == nil {
			t.Fatalf("a signature of the card under the issuer's key: %x", n)
		}
	})
}

func BenchmarkSM2Chain(b *testing.B) {
	w := newSM2World(b)
	pan := card(b)
	b.ReportAllocs()
	for b.Loop() {
		issuer, err := oda.SM2IssuerKey(w.authority, w.issuerCert, pan)
		if err != nil {
			b.Fatal(err)
		}
		icc, err := oda.SM2ICCKey(issuer, w.iccCert, pan, w.static, day)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := oda.SM2Dynamic(icc, w.sdad, w.ddol); err != nil {
			b.Fatal(err)
		}
	}
}
