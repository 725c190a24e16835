package cardsim

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
	"posagent/agent/payment"
)

// TestCryptogramRoundTrip: the issuer accepts what the card's key makes, and no single bit otherwise.
func TestCryptogramRoundTrip(t *testing.T) {
	t.Parallel()
	pan, err := payment.NewPAN("6226097318460046")
	if err != nil {
		t.Fatal(err)
	}
	issuer := TestIssuer()
	key := issuer.cardKey(pan, "001").session(5)
	values := map[tlv.Tag]string{
		0x9F02: "000000012345", 0x9F03: "000000000000", 0x9F1A: "0156", 0x95: "0000000000", 0x5F2A: "0156", 0x9A: "260314",
		0x9C: "00", 0x9F37: "01020304", 0x82: "7C00", 0x9F36: "0005", 0x9F10: "0701010320000000",
	}
	var de55, input []byte
	for _, tag := range append(cryptogramTags[:len(cryptogramTags):len(cryptogramTags)], 0x9F10) {
		v, err := hex.DecodeString(values[tag])
		if err != nil {
			t.Fatal(err)
		}
		de55 = tlv.Append(de55, tag, v)
		input = append(input, v...)
	}
	ac := key.mac(input)
	// The same computed with OpenSSL from the definitions of Book 2, Annex A1.
	if got := hex.EncodeToString(key[:]) + hex.EncodeToString(ac[:]); got != "ea6879fd5b546d4334b0760e4fb5b9d5"+"507a14cfc383d5b5" {
		t.Fatalf("session key and cryptogram %s", got)
	}
	if got := key.arpc(ac, "00"); hex.EncodeToString(got[:]) != "7c919dcfd019a1b2" {
		t.Fatalf("ARPC %x", got)
	}
	sound := tlv.Append(de55, 0x9F26, ac[:])
	for _, seq := range []string{"1", "01", "001"} {
		if err := issuer.VerifyARQC(pan, seq, sound); err != nil {
			t.Fatalf("sequence %q: %v", seq, err)
		}
	}
	arpc, err := issuer.ARPC(pan, "01", sound, "00")
	want := key.arpc(ac, "00")
	if err != nil || !bytes.Equal(arpc, append(want[:], "00"...)) {
		t.Fatalf("%x %v", arpc, err)
	}
	for i := range len(sound) * 8 {
		bad := bytes.Clone(sound)
		bad[i/8] ^= 0x80 >> (i % 8)
		if err := issuer.VerifyARQC(pan, "01", bad); err == nil {
			t.Fatalf("bit %d does not matter", i)
		}
	}
	if err := issuer.VerifyARQC(pan, "02", sound); !errors.Is(err, ErrCryptogram) {
		t.Fatalf("another sequence number: %v", err)
	}
	if err := NewIssuer([16]byte{1}).VerifyARQC(pan, "01", sound); !errors.Is(err, ErrCryptogram) {
		t.Fatalf("another issuer: %v", err)
	}
	if err := issuer.VerifyARQC(pan, "01", de55); !errors.Is(err, ErrDE55) {
		t.Fatalf("no cryptogram: %v", err)
	}
	if _, err := issuer.ARPC(pan, "01", sound, "000"); err == nil {
		t.Fatal("a response code of three characters")
	}
}

func TestPersonalitiesLoad(t *testing.T) {
	t.Parallel()
	names := Names()
	for _, want := range []string{"online-pin", "no-cvm", "dda-online", "declines-offline", "approves-offline", "bad-dda", "expired", "gac2-decline"} {
		if !slices.Contains(names, want) {
			t.Errorf("no personality %q", want)
		}
	}
	pans := map[string]string{}
	for _, n := range names {
		c, err := Open(n)
		if err != nil {
			t.Error(err)
			continue
		}
		p := c.Personality()
		if p.Name != n || p.About == "" {
			t.Errorf("%s: name %q, about %q", n, p.Name, p.About)
		}
		pan := p.Applications[0].PAN
		if other, twice := pans[pan]; twice {
			t.Errorf("%s and %s have one card number", n, other)
		}
		pans[pan] = n
		if _, err := payment.NewPAN(pan); err != nil {
			t.Error(err)
		}
		for _, a := range c.apps { // every record fits a short APDU
			for key, r := range a.records {
				if len(r) > emv.MaxResponseData || tlv.Check(r) != nil {
					t.Errorf("%s: record %04X has %d bytes", n, key, len(r))
				}
			}
		}
	}
	if _, err := Open("nobody"); err == nil {
		t.Error("a personality that does not exist")
	}
}

// TestCardsAreDeterministic: the same JSON always makes the same card, certificates included.
func TestCardsAreDeterministic(t *testing.T) {
	t.Parallel()
	for _, n := range []string{"enciphered-pin", "sda-approves", "cda-online", "dda-online"} {
		a, errA := Open(n)
		b, errB := Open(n)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		for key, r := range a.apps[0].records {
			if !bytes.Equal(r, b.apps[0].records[key]) {
				t.Errorf("%s: record %04X differs", n, key)
			}
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		if _, err := Open("enciphered-pin"); err != nil {
			b.Fatal(err)
		}
	}
}

func TestParseNamesTheField(t *testing.T) {
	t.Parallel()
	b, err := embedded.ReadFile("personalities/online-pin.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, old, with, want string }{
		{"unknown field", `"about"`, `"abuot"`, "abuot"},
		{"protocol", `"T=0"`, `"T=2"`, "protocol"},
		{"card number", `"pan": "6226`, `"pan": "6227`, "applications[0].pan"},
		{"authentication", `"oda": "dda"`, `"oda": "xda"`, "applications[0].oda"},
		{"decision", `"decide": "online"`, `"decide": "maybe"`, "applications[0].decide"},
		{"label", `"label": "TEST DEBIT"`, `"label": ""`, "applications[0].label"},
		{"format", `"format": 2`, `"format": 3`, "applications[0].format"},
		{"fault", `"pse": true`, `"pse": true, "faults": {"laziness": 1}`, "laziness"},
		{"PIN", `"atc": 1`, `"atc": 1, "pin": "12a4"`, "applications[0].pin"},
		{"PIN tries", `"atc": 1`, `"atc": 1, "pin": "1234", "pin_tries": 16`, "applications[0].pin_tries"},
		{"PIN key", `"atc": 1`, `"atc": 1, "pin_key": "own"`, "applications[0].pin_key"},
		{"blocked", `"pse": true`, `"pse": true, "blocked": "yes"`, "blocked"},
		{"list", `"decide"`, `"pdol": "9F", "decide"`, "applications[0].pdol"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := strings.Replace(string(b), c.old, c.with, 1)
			if in == string(b) {
				t.Fatalf("%q is not in the file", c.old)
			}
			if _, err := Parse([]byte(in)); !errors.Is(err, ErrPersonality) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, want %q", err, c.want)
			}
		})
	}
}

// TestATR: EMV 4.4 Book 1, 8.3: the basic answers of both protocols.
func TestATR(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"online-pin": "3b65000050", "no-cvm": "3be000008131204535"} {
		c, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(c.ATR()); !strings.HasPrefix(got, want) {
			t.Errorf("%s: ATR %s, want %s", name, got, want)
		}
	}
}

// TestStates: commands out of order are refused.
func TestStates(t *testing.T) {
	t.Parallel()
	c, err := Open("dda-online")
	if err != nil {
		t.Fatal(err)
	}
	selectApp := "00A4040007A0000009990101" + "00"
	for _, step := range []struct{ name, capdu, sw string }{
		{"GPO before SELECT", "80A80000028300" + "00", "6985"},
		{"no command", "80A8", "6700"},
		{"record before SELECT", "00B2010C00", "6985"},
		{"SELECT", selectApp, "9000"},
		{"record before GPO", "00B2010C00", "6985"},
		{"GENERATE AC before GPO", "80AE8000" + "00", "6985"},
		{"GPO with wrong data", "80A80000028300" + "00", "6700"},
		{"GPO", "80A80000078305" + "0156E06808" + "00", "9000"},
		{"GPO again", "80A80000078305" + "0156E06808" + "00", "6985"},
		{"record", "00B2011400", "9000"},
		{"no such record", "00B2091400", "6a83"},
		{"GET DATA ATC", "80CA9F3600", "9000"},
		{"GET DATA unknown", "80CA9F7900", "6a88"},
		{"INTERNAL AUTHENTICATE", "00880000040102030400", "9000"},
		{"EXTERNAL AUTHENTICATE too early", "008200000A00000000000000003030", "6985"},
		{"GENERATE AC with short data", "80AE8000010000", "6700"},
		{"VERIFY", "0020008008241234FFFFFFFFFF", "6d00"},
		{"script before the first cryptogram", "8416000000", "6d00"},
		{"next application", "00A4040207A000000999010100", "6a82"},
	} {
		b, err := hex.DecodeString(step.capdu)
		if err != nil {
			t.Fatal(err)
		}
		r := hex.EncodeToString(c.Transmit(b))
		if !strings.HasSuffix(r, step.sw) {
			t.Fatalf("%s: %s, want %s", step.name, r, step.sw)
		}
	}
	c.SetFault(FaultSilentAfter, 1)
	if r := c.Transmit([]byte{0, 0xA4, 4, 0}); r != nil {
		t.Fatalf("a silent card says %x", r)
	}
}

func FuzzTransmit(f *testing.F) {
	f.Add([]byte{0, 0xA4, 4, 0, 7, 0xA0, 0, 0, 3, 0x33, 1, 1, 0}, []byte{0x80, 0xA8, 0, 0, 2, 0x83, 0, 0}, []byte{0x80, 0xAE, 0x80, 0})
	c, err := Open("cda-online")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, a, b, d []byte) {
		c.Reset()
		for _, capdu := range [][]byte{a, b, d} {
			if r := c.Transmit(capdu); len(r) < 2 || len(r) > emv.MaxResponseData+2 {
				t.Fatalf("%x answers %d bytes", capdu, len(r))
			}
		}
	})
}
