package keys

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// testTMK is made for tests: counting bytes.
var testTMK = unhex("0123456789ABCDEFFEDCBA9876543210")

const testPAN = "6228480000000000000"

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func mustKey(t *testing.T, s string) Key {
	t.Helper()
	k, err := NewKey(unhex(s))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// seeded is a reader of repeatable randomness.
func seeded(n byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{n}) }

func TestTDES(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, key, clear, cipher string }{
		{"NIST SP 800-67 rev. 2, appendix B.1",
			"0123456789ABCDEF23456789ABCDEF01456789ABCDEF0123",
			hex.EncodeToString([]byte("The qufck brown fox jump")),
			"A826FD8CE53B855FCCE21C8112256FE668D5C05DD9B6B900"},
		{"NIST SP 800-17, variable plaintext, first row, single DES",
			"0101010101010101", "8000000000000000", "95F8A5E5DD31D900"},
		{"single DES as three equal parts",
			"010101010101010101010101010101010101010101010101", "8000000000000000", "95F8A5E5DD31D900"},
	} {
		k := mustKey(t, c.key)
		got, err := k.EncryptECB(unhex(c.clear))
		if err != nil || !bytes.Equal(got, unhex(c.cipher)) {
			t.Errorf("%s: encrypt %X, %v; want %s", c.name, got, err, c.cipher)
		}
		if got, err = k.DecryptECB(unhex(c.cipher)); err != nil || !bytes.Equal(got, unhex(c.clear)) {
			t.Errorf("%s: decrypt %X, %v; want %s", c.name, got, err, c.clear)
		}
	}
	if _, err := mustKey(t, "0101010101010101").EncryptECB(make([]byte, 9)); err == nil {
		t.Error("nine bytes were enciphered as whole blocks")
	}
	if _, err := NewKey(make([]byte, 15)); !errors.Is(err, ErrKeyLength) {
		t.Errorf("key of 15 bytes: %v", err)
	}
}

func TestKCV(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, key, kcv string }{
		// Single DES of a zero block under this key: NIST SP 800-17, where the
		// all-zero plaintext under the weak key gives 8CA64DE9C1B123A7.
		{"single length", "0101010101010101", "8CA64DE9"},
		{"double length, halves equal", "01010101010101010101010101010101", "8CA64DE9"},
		// Recomputed with OpenSSL 3 (des-ede).
		{"double length", "0123456789ABCDEFFEDCBA9876543210", "08D7B4FB"},
	} {
		if got := mustKey(t, c.key).KCV(); !bytes.Equal(got[:], unhex(c.kcv)) {
			t.Errorf("%s: KCV %X, want %s", c.name, got, c.kcv)
		}
	}
}

func TestMAC(t *testing.T) {
	t.Parallel()
	letters := "41414141414141414242424242424242" // K1 'A', K2 'B'
	hello := hex.EncodeToString([]byte("hello world"))
	alg3 := func(p Padding) func(Key, []byte) ([8]byte, error) {
		return func(k Key, d []byte) ([8]byte, error) { return Algorithm3(k, d, p) }
	}
	for _, c := range []struct {
		name, key, data, want string
		make                  func(Key, []byte) ([8]byte, error)
	}{
		{"ISO 9797-1 algorithm 3, padding 1 (psec)", letters, hello, "3DDE5C5511661CBF", alg3(Padding1)},
		{"ISO 9797-1 algorithm 3, padding 2 (psec)", letters, hello, "E16941032C3BC7D4", alg3(Padding2)},
		{"X9.19 is algorithm 3, padding 1", letters, hello, "3DDE5C5511661CBF",
			func(k Key, d []byte) ([8]byte, error) { return macWith(k, MACX919, d) }},
		// Worked example of the POS profile, as published with pgate
		// (test/integration/pos_mac_test.rb): the MAC is the text E267B6E2.
		{"CUP-ECB, worked example", "2222222222222222", "1234567890ABCDEFABCDEF1234567890",
			hex.EncodeToString([]byte("E267B6E2")), CUPECB},
	} {
		got, err := c.make(mustKey(t, c.key), unhex(c.data))
		if err != nil || !bytes.Equal(got[:], unhex(c.want)) {
			t.Errorf("%s: %X, %v; want %s", c.name, got, err, c.want)
		}
	}
}

func TestMACEdges(t *testing.T) {
	t.Parallel()
	double := mustKey(t, "0123456789ABCDEFFEDCBA9876543210")
	mac := func(d string, p Padding) [8]byte {
		m, err := Algorithm3(double, unhex(d), p)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if mac("", Padding1) != mac("0000000000000000", Padding1) {
		t.Error("padding 1 of nothing is not one zero block")
	}
	if mac("1122334455667788", Padding2) != mac("11223344556677888000000000000000", Padding1) {
		t.Error("whole blocks are padded wrongly")
	}
	if mac("112233", Padding2) != mac("1122338000000000", Padding1) {
		t.Error("padding 2 is not 80 and zeros")
	}
	if _, err := Algorithm3(mustKey(t, "0101010101010101"), nil, Padding1); !errors.Is(err, ErrKeyLength) {
		t.Errorf("retail MAC with a single key: %v", err)
	}
	if _, err := Algorithm3(Key{}, nil, Padding1); !errors.Is(err, ErrNoKey) {
		t.Errorf("retail MAC with no key: %v", err)
	}
	if _, err := macWith(double, "x9.9", nil); !errors.Is(err, ErrAlgorithm) {
		t.Errorf("unknown algorithm: %v", err)
	}
}

func TestFormat0(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, pin, pan, want string }{
		{"psec vector", "1234", "5555555551234567", "041261AAAAEDCBA9"},
		// By hand: length C, twelve digits, one byte of fill, account 000000000000.
		{"longest PIN", "123456789012", "0000000000000", "0C123456789012FF"},
		{"odd PIN", "12345", "0000000000000", "0512345FFFFFFFFF"},
		// By hand: account 0000 012345678901, one zero filled in on the left.
		{"card number of twelve digits", "1234", "123456789012", "041235DCBA9876FE"},
	} {
		got, err := EncodeFormat0([]byte(c.pin), c.pan)
		if err != nil || !bytes.Equal(got[:], unhex(c.want)) {
			t.Errorf("%s: %X, %v; want %s", c.name, got, err, c.want)
		}
		pin, err := DecodeFormat0(got, c.pan)
		if err != nil || string(pin) != c.pin {
			t.Errorf("%s: decoded %q, %v; want %q", c.name, pin, err, c.pin)
		}
	}
	for _, c := range []struct {
		name, pin, pan string
		want           error
	}{
		{"PIN too short", "123", testPAN, ErrPIN},
		{"PIN too long", "1234567890123", testPAN, ErrPIN},
		{"PIN with a letter", "12a4", testPAN, ErrPIN},
		{"card number too short", "1234", "12345678901", ErrPAN},
		{"card number too long", "1234", "12345678901234567890", ErrPAN},
		{"card number with a letter", "1234", "62284800000000A0000", ErrPAN},
	} {
		if _, err := EncodeFormat0([]byte(c.pin), c.pan); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestFormat0RefusesForeignBlocks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, block string }{
		{"control nibble", "141234FFFFFFFFFF"},
		{"length three", "03123FFFFFFFFFFF"},
		{"length thirteen", "0D12345678901234"},
		{"digit A", "0412A4FFFFFFFFFF"},
		{"fill not F", "041234FFFFFFFFF0"},
	} {
		if pin, err := DecodeFormat0([8]byte(unhex(c.block)), "0000000000000"); !errors.Is(err, ErrPINBlock) {
			t.Errorf("%s: %q, %v; want ErrPINBlock", c.name, pin, err)
		}
	}
}

// A block that decodes encodes to itself, and nothing panics.
func FuzzFormat0(f *testing.F) {
	f.Add(unhex("041261AAAAEDCBA9"), "5555555551234567")
	f.Add(unhex("0C123456789012FF"), "0000000000000")
	f.Add(unhex("FFFFFFFFFFFFFFFF"), "x")
	f.Fuzz(func(t *testing.T, b []byte, pan string) {
		var block [8]byte
		copy(block[:], b)
		pin, err := DecodeFormat0(block, pan)
		if err != nil {
			return
		}
		again, err := EncodeFormat0(pin, pan)
		if err != nil || again != block {
			t.Fatalf("block %X for %q decodes to %q, which encodes to %X, %v", block, pan, pin, again, err)
		}
	})
}

func TestKeysNeverPrint(t *testing.T) {
	t.Parallel()
	soft, err := NewSoftware(testTMK)
	if err != nil {
		t.Fatal(err)
	}
	host, err := NewHost(testTMK, seeded(1))
	if err != nil {
		t.Fatal(err)
	}
	w, err := host.Fresh(UsePIN, 16)
	if err != nil {
		t.Fatal(err)
	}
	if err := soft.InstallWorking(context.Background(), UsePIN, w.Cryptogram, w.KCV[:]); err != nil {
		t.Fatal(err)
	}
	k := soft.working[UsePIN]
	secrets := [][]byte{testTMK, k.m.b[:16]}
	for _, v := range []any{k, &k, struct{ K Key }{k}, struct{ k Key }{k}, soft, host, soft.Module(), w} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
			text := fmt.Sprintf(verb, v)
			for _, s := range secrets {
				if strings.Contains(strings.ToUpper(text), strings.ToUpper(hex.EncodeToString(s))) ||
					strings.Contains(text, strings.Trim(fmt.Sprint(s), "[]")) || strings.Contains(text, string(s)) {
					t.Errorf("%s of %T prints a key: %s", verb, v, text)
				}
			}
		}
	}
	js, err := json.Marshal(struct{ K Key }{k})
	if want := fmt.Sprintf(`{"K":"[key KCV %X]"}`, k.KCV()); err != nil || string(js) != want {
		t.Errorf("JSON %s, %v; want %s", js, err, want)
	}
	if got := k.LogValue().String(); !strings.Contains(got, "KCV") {
		t.Errorf("log value %q", got)
	}
}
