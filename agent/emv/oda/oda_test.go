package oda_test

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"posagent/agent/emv"
	"posagent/agent/emv/oda"
	"posagent/agent/payment"
)

// A signer is an RSA key pair made for a test, with the private half that package oda never needs.
type signer struct {
	n, d *big.Int
	e    []byte
}

// newSigner makes a key from fixed seeds: the next primes above them, so that every run has the same keys.
func newSigner(tb testing.TB, bits uint, seed int64) signer {
	tb.Helper()
	three, one := big.NewInt(3), big.NewInt(1)
	prime := func(seed int64) *big.Int {
		p := new(big.Int).Lsh(big.NewInt(3), bits/2-2) // the two top bits set: the product has all its bits
		h := sha1.Sum([]byte{byte(seed), byte(bits)})
		p.Add(p, new(big.Int).Lsh(new(big.Int).SetBytes(h[:]), bits/2-200))
		p.SetBit(p, 0, 1)
		for !p.ProbablyPrime(8) || new(big.Int).Mod(new(big.Int).Sub(p, one), three).Sign() == 0 {
			p.Add(p, big.NewInt(2))
		}
		return p
	}
	p, q := prime(seed), prime(seed+100)
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	return signer{n: new(big.Int).Mul(p, q), d: new(big.Int).ModInverse(three, phi), e: []byte{3}}
}

func (s signer) modulus() []byte { return s.n.Bytes() }

// seal signs 6A || middle || SHA-1(middle || extra) || BC after a change that a test wants.
func (s signer) seal(middle []byte, change func([]byte), extra ...[]byte) []byte {
	h := sha1.New()
	h.Write(middle)
	for _, b := range extra {
		h.Write(b)
	}
	block := append(h.Sum(append([]byte{0x6A}, middle...)), 0xBC)
	if change != nil {
		change(block)
	}
	x := new(big.Int).SetBytes(block)
	return x.Exp(x, s.d, s.n).FillBytes(make([]byte, len(s.modulus())))
}

var day = time.Date(2026, 3, 31, 23, 0, 0, 0, time.UTC)

func card(tb testing.TB) payment.PAN {
	tb.Helper()
	pan, err := payment.NewPAN("6226097318460046")
	if err != nil {
		tb.Fatal(err)
	}
	return pan
}

type world struct {
	ca, issuer, icc signer
	authority       oda.Authority
}

func newWorld(tb testing.TB) world {
	tb.Helper()
	w := world{ca: newSigner(tb, 1024, 1), issuer: newSigner(tb, 1024, 2), icc: newSigner(tb, 768, 3)}
	w.authority = oda.Authority{Now: day, Key: emv.CAPK{RID: emv.RID{1}, Index: 2, Modulus: w.ca.modulus(), Exponent: w.ca.e}}
	return w
}

// issuerBody is the middle of an issuer certificate; the key is longer than its room.
func (w world) issuerBody() (middle, remainder []byte) {
	m := []byte{0x02, 0x62, 0x26, 0x09, 0xFF, 0x03, 0x26, 0, 0, 1, 1, 1, byte(len(w.issuer.modulus())), 1}
	room := len(w.ca.modulus()) - 36
	return append(m, w.issuer.modulus()[:room]...), w.issuer.modulus()[room:]
}

// iccBody is the middle of an ICC certificate; the key is longer than its room.
func (w world) iccBody() (middle, remainder []byte) {
	m := []byte{0x04, 0x62, 0x26, 0x09, 0x73, 0x18, 0x46, 0x00, 0x46, 0xFF, 0xFF, 0x03, 0x26, 0, 0, 1, 1, 1, byte(len(w.icc.modulus())), 1}
	room := len(w.issuer.modulus()) - 42
	return append(m, w.icc.modulus()[:room]...), w.icc.modulus()[room:]
}

// EMV 4.4 Book 2, 5.3, steps 1 to 12.
func TestIssuerKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct {
		name   string
		middle func(m []byte)
		block  func(b []byte)
		cert   func(*oda.Certificate)
		ca     func(*oda.Authority)
		want   string
	}{
		{name: "sound"},
		{name: "1 length", cert: func(c *oda.Certificate) { c.Body = c.Body[1:] }, want: "bytes under a key"},
		{name: "2 trailer", block: func(b []byte) { b[len(b)-1] = 0xBD }, want: "trailer"},
		{name: "3 header", block: func(b []byte) { b[0] = 0x69 }, want: "header"},
		{name: "4 format", middle: func(m []byte) { m[0] = 4 }, want: "format"},
		{name: "6 hash algorithm", middle: func(m []byte) { m[10] = 2 }, want: "hash algorithm"},
		{name: "7 hash", block: func(b []byte) { b[len(b)-2] ^= 1 }, want: "hash does not match"},
		{name: "7 remainder", cert: func(c *oda.Certificate) { c.Remainder = bytes.Clone(c.Remainder); c.Remainder[3] ^= 1 }, want: "hash does not match"},
		{name: "7 exponent", cert: func(c *oda.Certificate) { c.Exponent = []byte{5} }, want: "hash does not match"},
		{name: "8 issuer identifier", middle: func(m []byte) { m[3] = 0x08 }, want: "issuer identifier"},
		{name: "8 identifier of two digits", middle: func(m []byte) { m[2], m[3] = 0xFF, 0xFF }, want: "issuer identifier"},
		{name: "8 identifier with a gap", middle: func(m []byte) { m[2] = 0xF6 }, want: "issuer identifier"},
		{name: "9 expired last month", middle: func(m []byte) { m[5] = 0x02 }, want: "expired"},
		{name: "9 thirteenth month", middle: func(m []byte) { m[5] = 0x13 }, want: "no date"},
		{name: "9 last day of the month is good", ca: func(a *oda.Authority) { a.Now = day.Add(59 * time.Minute) }},
		{name: "9 next day is not", ca: func(a *oda.Authority) { a.Now = day.Add(61 * time.Minute) }, want: "expired"},
		{name: "10 revoked", ca: func(a *oda.Authority) {
			a.Revoked = func(rid emv.RID, index uint8, serial [3]byte) bool {
				return rid == emv.RID{1} && index == 2 && serial == [3]byte{0, 0, 1}
			}
		}, want: "revoked"},
		{name: "11 key algorithm", middle: func(m []byte) { m[11] = 9 }, want: "key algorithm"},
		{name: "12 exponent length", middle: func(m []byte) { m[13] = 3 }, want: "exponent of"},
		{name: "12 key longer than the CA's", middle: func(m []byte) { m[12] = 200 }, want: "key of 200 bytes"},
		{name: "12 key shorter than its remainder says", middle: func(m []byte) { m[12] = 110 }, want: "remainder"},
		{name: "12 key of nothing", middle: func(m []byte) { m[12] = 0 }, want: "key of 0 bytes"},
		{name: "CA key expired", ca: func(a *oda.Authority) { a.Key.Expiry.Time = day.AddDate(0, 0, -1) }, want: "has expired"},
		{name: "CA key of one byte", ca: func(a *oda.Authority) { a.Key.Modulus = emv.HexBytes{0xFF} }, want: "CA key"},
		{name: "block above the modulus", cert: func(c *oda.Certificate) { c.Body = bytes.Repeat([]byte{0xFF}, len(c.Body)) }, want: "not below the modulus"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			middle, remainder := w.issuerBody()
			if c.middle != nil {
				c.middle(middle)
			}
			cert := oda.Certificate{Body: w.ca.seal(middle, c.block, remainder, w.issuer.e), Remainder: remainder, Exponent: w.issuer.e}
			if c.cert != nil {
				c.cert(&cert)
			}
			authority := w.authority
			if c.ca != nil {
				c.ca(&authority)
			}
			k, err := oda.IssuerKey(authority, cert, card(t))
			check(t, err, c.want)
			if err == nil && k.Bits() != 1024 {
				t.Fatalf("key of %d bits", k.Bits())
			}
		})
	}
}

func check(t *testing.T, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && (!errors.Is(err, oda.ErrFailed) || !strings.Contains(err.Error(), want)) {
		t.Fatalf("error %v, want %q", err, want)
	}
	if err != nil && strings.Contains(err.Error(), "7318") {
		t.Fatalf("the error shows the card number: %v", err)
	}
}

func (w world) issuerKey(tb testing.TB) oda.Key {
	tb.Helper()
	middle, remainder := w.issuerBody()
	k, err := oda.IssuerKey(w.authority, oda.Certificate{Body: w.ca.seal(middle, nil, remainder, w.issuer.e), Remainder: remainder, Exponent: w.issuer.e}, card(tb))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func (w world) iccKey(tb testing.TB) oda.Key {
	tb.Helper()
	middle, remainder := w.iccBody()
	k, err := oda.ICCKey(w.issuerKey(tb), oda.Certificate{Body: w.issuer.seal(middle, nil, remainder, w.icc.e), Remainder: remainder, Exponent: w.icc.e}, card(tb), nil, day)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// EMV 4.4 Book 2, 6.4.
func TestICCKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	static := []byte("static data")
	for _, c := range []struct {
		name   string
		middle func(m []byte)
		static []byte
		want   string
	}{
		{"sound", nil, static, ""},
		{"static data", nil, []byte("static dat"), "hash does not match"},
		{"format", func(m []byte) { m[0] = 2 }, static, "format"},
		{"hash algorithm", func(m []byte) { m[16] = 0 }, static, "hash algorithm"},
		{"PAN", func(m []byte) { m[4] = 0x74 }, static, "PAN"},
		{"PAN with more digits", func(m []byte) { m[9] = 0x1F }, static, "PAN"},
		{"expired", func(m []byte) { m[12] = 0x25 }, static, "expired"},
		{"key algorithm", func(m []byte) { m[17] = 2 }, static, "key algorithm"},
		{"key length", func(m []byte) { m[18] = 87 }, static, "remainder"},
		{"exponent length", func(m []byte) { m[19] = 2 }, static, "exponent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			middle, remainder := w.iccBody()
			if c.middle != nil {
				c.middle(middle)
			}
			cert := oda.Certificate{Body: w.issuer.seal(middle, nil, remainder, w.icc.e, static), Remainder: remainder, Exponent: w.icc.e}
			_, err := oda.ICCKey(w.issuerKey(t), cert, card(t), c.static, day)
			check(t, err, c.want)
		})
	}
	if _, err := oda.ICCKey(oda.Key{}, oda.Certificate{}, card(t), nil, day); !errors.Is(err, oda.ErrFailed) {
		t.Fatalf("the zero key verifies something: %v", err)
	}
}

// EMV 4.4 Book 2, 5.4.
func TestStatic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := w.issuerKey(t)
	middle := append([]byte{0x03, 1, 0xDA, 0xC1}, bytes.Repeat([]byte{0xBB}, len(w.issuer.modulus())-26)...)
	good := w.issuer.seal(middle, nil, []byte("data"))
	if code, err := oda.Static(k, good, []byte("data")); err != nil || code != [2]byte{0xDA, 0xC1} {
		t.Fatalf("%x %v", code, err)
	}
	_, err := oda.Static(k, good, []byte("Data"))
	check(t, err, "hash")
	middle[0] = 5
	_, err = oda.Static(k, w.issuer.seal(middle, nil, []byte("data")), []byte("data"))
	check(t, err, "format")
}

// dynamic signs ICC dynamic data as a card does.
func (w world) dynamic(data []byte, size byte, extra ...[]byte) []byte {
	m := append([]byte{0x05, 1, size}, data...)
	for len(m) < len(w.icc.modulus())-22 {
		m = append(m, 0xBB)
	}
	return w.icc.seal(m, nil, extra...)
}

// EMV 4.4 Book 2, 6.5.2: the number's length is 2 to 8 even when the hash is right.
func TestDynamic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := w.iccKey(t)
	un := []byte{1, 2, 3, 4}
	for _, c := range []struct {
		name string
		data []byte
		size byte
		un   []byte
		want string
	}{
		{"eight bytes", []byte{8, 1, 2, 3, 4, 5, 6, 7, 8}, 9, un, ""},
		{"two bytes", []byte{2, 1, 2}, 3, un, ""},
		{"one byte", []byte{1, 1}, 2, un, "ICC dynamic number of 1"},
		{"nine bytes", []byte{9, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 10, un, "ICC dynamic number of 9"},
		{"number past the data", []byte{8, 1, 2}, 3, un, "ICC dynamic number of 8"},
		{"no data", nil, 0, un, "ICC dynamic data of 0"},
		{"data past the block", []byte{8, 1, 2, 3, 4, 5, 6, 7, 8}, 200, un, "ICC dynamic data of 200"},
		{"other unpredictable number", []byte{8, 1, 2, 3, 4, 5, 6, 7, 8}, 9, []byte{1, 2, 3, 5}, "hash"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			number, err := oda.Dynamic(k, w.dynamic(c.data, c.size, un), c.un)
			check(t, err, c.want)
			if err == nil && !bytes.Equal(number, c.data[1:]) {
				t.Fatalf("number %x", number)
			}
		})
	}
}

// EMV 4.4 Book 2, 6.6.2.
func TestCombined(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	k := w.iccKey(t)
	sum := sha1.Sum([]byte("pdol cdol response"))
	data := append([]byte{4, 9, 9, 9, 9, 0x80, 1, 2, 3, 4, 5, 6, 7, 8}, sum[:]...)
	un := [4]byte{1, 2, 3, 4}
	good := w.dynamic(data, byte(len(data)), un[:])
	hashed := [][]byte{[]byte("pdol "), []byte("cdol "), []byte("response")}
	for _, c := range []struct {
		name string
		in   oda.Combined
		sdad []byte
		want string
	}{
		{"sound", oda.Combined{UN: un, CID: 0x80, Hashed: hashed}, good, ""},
		{"another cryptogram type", oda.Combined{UN: un, CID: 0x40, Hashed: hashed}, good, "cryptogram information"},
		{"another response", oda.Combined{UN: un, CID: 0x80, Hashed: hashed[:2]}, good, "transaction data hash"},
		{"another number", oda.Combined{CID: 0x80, Hashed: hashed}, good, "hash"},
		{"a signature of DDA", oda.Combined{UN: un, CID: 0x80, Hashed: hashed}, w.dynamic(data[:5], 5, un[:]), "too short"},
		{"nothing", oda.Combined{UN: un, CID: 0x80, Hashed: hashed}, nil, "bytes under a key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			number, ac, err := c.in.Verify(k, c.sdad)
			check(t, err, c.want)
			if err == nil && (!bytes.Equal(number, []byte{9, 9, 9, 9}) || ac != [8]byte{1, 2, 3, 4, 5, 6, 7, 8}) {
				t.Fatalf("%x %x", number, ac)
			}
		})
	}
}

// FuzzCertificates signs what it is given, so that the checks behind the hash are reached, and also tries it as it is.
func FuzzCertificates(f *testing.F) {
	w := newWorld(f)
	middle, remainder := w.issuerBody()
	f.Add(middle, remainder, []byte{3}, []byte{})
	middle, remainder = w.iccBody()
	f.Add(middle, remainder, []byte{3}, []byte("static"))
	pan := card(f)
	key := w.issuerKey(f)
	f.Fuzz(func(t *testing.T, middle, remainder, exponent, static []byte) {
		n := len(w.ca.modulus()) - 22
		sized := make([]byte, n)
		copy(sized, middle)
		for _, c := range []oda.Certificate{
			{Body: middle, Remainder: remainder, Exponent: exponent},
			{Body: w.ca.seal(sized, nil, remainder, exponent), Remainder: remainder, Exponent: exponent},
		} {
			if k, err := oda.IssuerKey(w.authority, c, pan); err == nil && k.Bits() < 8*emv.MinModulus {
				t.Fatalf("key of %d bits", k.Bits())
			}
		}
		c := oda.Certificate{Body: w.issuer.seal(sized, nil, remainder, exponent, static), Remainder: remainder, Exponent: exponent}
		if k, err := oda.ICCKey(key, c, pan, static, day); err == nil {
			_, _ = oda.Dynamic(k, middle, static)
			_, _, _ = oda.Combined{Hashed: [][]byte{static}}.Verify(k, middle)
		}
		_, _ = oda.Static(key, w.issuer.seal(sized, nil, static), static)
	})
}

func BenchmarkIssuerKey(b *testing.B) {
	w := newWorld(b)
	middle, remainder := w.issuerBody()
	c := oda.Certificate{Body: w.ca.seal(middle, nil, remainder, w.issuer.e), Remainder: remainder, Exponent: w.issuer.e}
	pan := card(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := oda.IssuerKey(w.authority, c, pan); err != nil {
			b.Fatal(err)
		}
	}
}
