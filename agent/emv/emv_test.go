package emv_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"posagent/agent/emv"
	"posagent/agent/emv/cardsim"
	"posagent/agent/emv/tlv"
	"posagent/agent/payment"
)

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestCommand(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		cmd  emv.Command
		want string
	}{
		{"case 1", emv.Command{CLA: 0x80, INS: 0x1E}, "801e0000"},
		{"case 2", emv.Command{INS: 0xB2, P1: 1, P2: 0x0C, Le: true}, "00b2010c00"},
		{"case 3", emv.Command{INS: 0x82, Data: []byte{1, 2}}, "00820000020102"},
		{"case 4", emv.Command{INS: 0xA4, P1: 4, Data: []byte{0xA0}, Le: true}, "00a4040001a000"},
		{"255 bytes", emv.Command{Data: make([]byte, 255)}, "00000000ff" + strings.Repeat("00", 255)},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := c.cmd.AppendTo(nil)
			if err != nil || hex.EncodeToString(b) != c.want {
				t.Fatalf("%x %v, want %s", b, err, c.want)
			}
			again, err := emv.ParseCommand(b)
			if err != nil || again.INS != c.cmd.INS || !bytes.Equal(again.Data, c.cmd.Data) || again.Le != c.cmd.Le {
				t.Fatalf("read back %+v %v", again, err)
			}
		})
	}
	if _, err := (emv.Command{Data: make([]byte, 256)}).AppendTo(nil); !errors.Is(err, emv.ErrAPDU) {
		t.Fatalf("256 bytes of data: %v", err)
	}
	for _, bad := range []string{"", "00A404", "00A4040005A0", "00A4040000A0", "00A4040001A00000"} {
		if c, err := emv.ParseCommand(unhex(t, bad)); !errors.Is(err, emv.ErrAPDU) {
			t.Errorf("%s: %+v %v", bad, c, err)
		}
	}
	for _, n := range []int{0, 1, 259} {
		if _, _, err := emv.ParseResponse(make([]byte, n)); !errors.Is(err, emv.ErrAPDU) {
			t.Errorf("response of %d bytes: %v", n, err)
		}
	}
	if d, sw, err := emv.ParseResponse([]byte{1, 0x63, 0xC2}); err != nil || len(d) != 1 || !sw.Warning() || sw.String() != "63C2" {
		t.Fatalf("%x %v %v", d, sw, err)
	}
}

func TestBitsInWords(t *testing.T) {
	t.Parallel()
	var tvr emv.TVR
	tvr.Set(emv.DDAFailed)
	tvr.Set(emv.FloorLimitExceeded)
	if got, want := tvr.String(), "0800008000 (DDA failed; transaction exceeds floor limit)"; got != want {
		t.Errorf("TVR %q, want %q", got, want)
	}
	if tvr.Clear(emv.DDAFailed); tvr.Has(emv.DDAFailed) || !tvr.Has(emv.FloorLimitExceeded) {
		t.Errorf("TVR %v after clearing a bit", tvr)
	}
	for _, c := range []struct{ got, want string }{
		{emv.TVR{}.String(), "0000000000"},
		{emv.TVR{0, 0, 0, 0, 1}.String(), "0000000001 (byte 5 mask 01)"},
		{emv.TSI{0xE8}.String(), "E800 (offline data authentication was performed; cardholder verification was performed; card risk management was performed; terminal risk management was performed)"},
		{emv.AIP{0x21}.String(), "2100 (DDA supported; CDA supported)"},
		{emv.AUC{0x01, 0x80}.String(), "0180 (valid at terminals other than ATMs; domestic cashback allowed)"},
		{emv.Capabilities{0x20, 0x40, 0x08}.String(), "204008 (IC with contacts; enciphered PIN for online verification; CDA)"},
		{emv.CVMResults{0x42, 0x03, 0x00}.String(), "420300 (enciphered PIN verified online, condition 03: unknown)"},
		{emv.CVM(0x2A).String(), "CVM 2A"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
	if r := (emv.CVMResults{0x5E, 0, 0}); !r.Signature() || r.OnlinePIN() {
		t.Error("signature asked for")
	}
	if r := (emv.CVMResults{0x02, 0, 1}); r.OnlinePIN() {
		t.Error("a failed online PIN is no PIN for the host")
	}
}

func TestCAPK(t *testing.T) {
	t.Parallel()
	good := cardsim.CAPKs()[0]
	for _, c := range []struct {
		name   string
		change func(*emv.CAPK)
		want   string
	}{
		{"sound", func(*emv.CAPK) {}, ""},
		{"checksum", func(k *emv.CAPK) { k.Checksum = append(emv.HexBytes(nil), k.Checksum...); k.Checksum[0] ^= 1 }, "checksum"},
		{"one bit of the modulus", func(k *emv.CAPK) { k.Modulus = append(emv.HexBytes(nil), k.Modulus...); k.Modulus[9] ^= 1 }, "checksum"},
		{"index", func(k *emv.CAPK) { k.Index++ }, "checksum"},
		{"exponent", func(k *emv.CAPK) { k.Exponent = emv.HexBytes{5} }, "exponent"},
		{"short modulus", func(k *emv.CAPK) { k.Modulus = k.Modulus[:32] }, "modulus"},
		{"long modulus", func(k *emv.CAPK) { k.Modulus = append(k.Modulus[:248:248], 1) }, "modulus"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := good
			c.change(&k)
			table, err := emv.NewCAPKs(k)
			if (err == nil) != (c.want == "") || err != nil && (!errors.Is(err, emv.ErrCAPK) || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("%v, want %q", err, c.want)
			}
			if _, ok := table.Lookup(k.RID, k.Index); ok != (err == nil) {
				t.Fatalf("lookup %v", ok)
			}
		})
	}
	if _, err := emv.NewCAPKs(good, good); !errors.Is(err, emv.ErrCAPK) {
		t.Fatalf("the same key twice: %v", err)
	}
}

// TestTablesAsJSON: what configuration carries survives.
func TestTablesAsJSON(t *testing.T) {
	t.Parallel()
	for _, v := range []any{cardsim.Applications()[0], cardsim.CAPKs()[1]} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var again any
		switch v.(type) {
		case emv.Application:
			var a emv.Application
			err, again = json.Unmarshal(b, &a), &a
		default:
			var k emv.CAPK
			err, again = json.Unmarshal(b, &k), &k
		}
		if err != nil {
			t.Fatal(err)
		}
		if b2, err := json.Marshal(again); err != nil || !bytes.Equal(b, b2) {
			t.Fatalf("%s became %s (%v)", b, b2, err)
		}
	}
	for _, bad := range []string{`{"aid":"A0"}`, `{"aid":"A0000000"}`, `{"tac_default":"00"}`, `{"version":"1"}`, `{"default_ddol":"9F3"}`} {
		var a emv.Application
		if err := json.Unmarshal([]byte(bad), &a); !errors.Is(err, emv.ErrHex) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestStore(t *testing.T) {
	t.Parallel()
	var s emv.Store
	if _, ok := s.Value(0x5A); ok || s.Has(0x5A) {
		t.Fatal("an empty store has a value")
	}
	in := []byte{1, 2, 3}
	s.Set(0x5F24, in, tlv.ICC)
	in[0] = 9
	if v, ok := s.Fixed(0x5F24, 3); !ok || v[0] != 1 || s.Source(0x5F24) != tlv.ICC {
		t.Fatalf("%x %v: the value was not copied", v, ok)
	}
	for i := range 300 { // the arena grows and values stay
		s.Set(tlv.Tag(0xDF0000+i), bytes.Repeat([]byte{byte(i)}, 50), tlv.ICC)
	}
	for i := range 300 {
		if v, _ := s.Value(tlv.Tag(0xDF0000 + i)); len(v) != 50 || v[49] != byte(i) {
			t.Fatalf("value %d: %x", i, v)
		}
	}
	s.Set(0x5A, unhex(t, "6226097318460046"), tlv.ICC)
	for _, f := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if got := fmt.Sprintf(f, &s); strings.Contains(got, "7318") || strings.Contains(got, "115") {
			t.Errorf("%s shows %q", f, got)
		}
	}
	v, _ := s.Value(0x5A)
	if s.Wipe(); s.Has(0x5A) || !bytes.Equal(v, make([]byte, 8)) {
		t.Fatalf("%x left behind", v)
	}
}

func TestDE55(t *testing.T) {
	t.Parallel()
	var s emv.Store
	for _, tag := range append(emv.CompletionTags[:len(emv.CompletionTags):len(emv.CompletionTags)], 0x5A, 0x57) {
		s.Set(tag, []byte{1, 2}, tlv.ICC)
	}
	got := emv.DE55(&s, append(emv.OnlineTags[:len(emv.OnlineTags):len(emv.OnlineTags)], 0x5A, 0x57))
	for _, tag := range emv.OnlineTags {
		if _, ok := tlv.Find(got, tag); !ok {
			t.Errorf("%v is missing", tag)
		}
	}
	for _, tag := range []tlv.Tag{0x5A, 0x57, 0x8A} {
		if _, ok := tlv.Find(got, tag); ok {
			t.Errorf("%v is in it", tag)
		}
	}
	if _, ok := tlv.Find(emv.DE55(&s, emv.CompletionTags), 0x8A); !ok {
		t.Error("8A is missing at completion")
	}
	s.Set(0x9F10, make([]byte, 250), tlv.ICC)
	if n := len(emv.DE55(&s, emv.OnlineTags)); n > emv.MaxDE55 {
		t.Errorf("%d bytes", n)
	}
}

func TestDates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in, want string
	}{{"491231", "2049-12-31"}, {"500101", "1950-01-01"}, {"240229", "2024-02-29"}, {"230229", ""}, {"261301", ""}, {"2612", ""}, {"26120A", ""}, {"260100", ""}} {
		d, ok := emv.ParseDate(unhex(t, c.in))
		if ok != (c.want != "") || ok && d.Format(time.DateOnly) != c.want {
			t.Errorf("%s: %v %v, want %q", c.in, d, ok, c.want)
		}
	}
	if got := emv.BCD(1234567, 3); !bytes.Equal(got, []byte{0x23, 0x45, 0x67}) {
		t.Errorf("BCD %x", got)
	}
}

func TestMask(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, got, want string }{
		{"VERIFY", emv.MaskCommand(unhex(t, "00200080 08 241234FFFFFFFFFF"), nil), "0020008008****************"},
		{"filled list", emv.MaskCommand(unhex(t, "80AE8000 0A 6226097318460046 0102 00"), unhex(t, "5A08 9F3402")), "80AE80000A****************010200"},
		{"processing options", emv.MaskCommand(unhex(t, "80A80000 04 8302 0156 00"), unhex(t, "9F1A02")), "80A800000483020156" + "00"},
		{"list and data disagree", emv.MaskCommand(unhex(t, "80AE8000 02 6226 00"), unhex(t, "5A08")), "80AE800002****00"},
		{"no command", emv.MaskCommand(unhex(t, "8020"), nil), "****"},
		{"record", emv.MaskResponse(unhex(t, "70 0F 5A 08 6226097318460046 5F34 01 01 00")), "700F5A08****************5F34010100"},
		{"track 2 and name", emv.MaskResponse(unhex(t, "57 02 6226 5F20 02 4142")), "5702****5F2002****"},
		{"malformed", emv.MaskResponse(unhex(t, "70 FF 5A 08 6226")), "**********" + "**"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", c.name, c.got, c.want)
		}
	}
}

func TestTerminalFill(t *testing.T) {
	t.Parallel()
	term := emv.Terminal{Type: 0x22, Country: "156", Currency: payment.CNY, IFDSerial: "1", TerminalID: "12345678", MerchantID: "1", MCC: "5411", Acquirer: "123"}
	if err := term.Validate(); err != nil {
		t.Fatal(err)
	}
	var s emv.Store
	term.Fill(&s)
	x := emv.Transaction{Type: emv.Cashback, Amount: 123456, Other: 100, Sequence: 42}
	x.Fill(&s, time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC), [4]byte{1, 2, 3, 4})
	for tag, want := range map[tlv.Tag]string{
		0x9F1A: "0156", 0x5F2A: "0156", 0x5F36: "02", 0x9F1E: "3120202020202020", 0x9F15: "5411", 0x9F01: "000000000123",
		0x9F02: "000000123456", 0x9F03: "000000000100", 0x81: "0001e240", 0x9C: "09", 0x9A: "260314", 0x9F21: "150926",
		0x9F37: "01020304", 0x9F41: "00000042",
	} {
		if v, _ := s.Value(tag); hex.EncodeToString(v) != want {
			t.Errorf("%v: %x, want %s", tag, v, want)
		}
	}
}

func FuzzMask(f *testing.F) {
	f.Add(unhex(f, "80AE8000 0A 6226097318460046 0102 00"), unhex(f, "5A08 9F3402"))
	f.Add(unhex(f, "70 0F 5A 08 6226097318460046 5F34 01 01 00"), []byte{})
	f.Fuzz(func(t *testing.T, apdu, dol []byte) {
		if got := emv.MaskCommand(apdu, dol); len(got) != 2*len(apdu) {
			t.Fatalf("%d characters for %d bytes", len(got), len(apdu))
		}
		if got := emv.MaskResponse(apdu); len(got) != 2*len(apdu) {
			t.Fatalf("%d characters for %d bytes", len(got), len(apdu))
		}
		if c, err := emv.ParseCommand(apdu); err == nil && (!c.Le || apdu[len(apdu)-1] == 0) {
			if b, err := c.AppendTo(nil); err != nil || !bytes.Equal(b, apdu) {
				t.Fatalf("%x became %x (%v)", apdu, b, err)
			}
		}
		_, _, _ = emv.ParseResponse(apdu)
		_, _ = emv.ParseDate(apdu)
	})
}
