package contact

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"posagent/agent/emv"
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

// session is a transaction in the middle, for one step's test.
func session(tb testing.TB, objects map[tlv.Tag]string) *Session {
	tb.Helper()
	s := &Session{
		kernel: Kernel{Terminal: emv.Terminal{Type: 0x22, Capabilities: emv.Capabilities{0xE0, 0x68, 0xC8}, Country: "156", Currency: payment.CNY}},
		now:    time.Date(2026, 3, 14, 23, 59, 0, 0, time.UTC),
		app:    emv.Application{Version: emv.Version{0, 0x20}, FloorLimit: 10000},
		aip:    emv.AIP{0x7D, 0x00},
	}
	s.kernel.Terminal.Fill(&s.store)
	s.tx.Fill(&s.store, s.now, [4]byte{})
	for t, v := range objects {
		s.store.Set(t, unhex(tb, v), tlv.ICC)
	}
	return s
}

func bits(t emv.TVR) string { return emv.HexBytes(t[:]).String() }

// EMV 4.4 Book 3, 10.2: Application File Locator.
func TestParseAFL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, in string
		entries  int
	}{
		{"one file", "08 01 02 01", 1},
		{"two files", "08 01 01 00 10 01 05 01", 2},
		{"proprietary file", "F0 01 01 01", 1},
		{"empty", "", -1},
		{"three bytes", "08 01 01", -1},
		{"SFI 0", "00 01 01 00", -1},
		{"SFI 31", "F8 01 01 00", -1},
		{"low bits of the SFI", "09 01 01 00", -1},
		{"record 0", "08 00 01 00", -1},
		{"last before first", "08 02 01 00", -1},
		{"more authenticated than read", "08 01 02 03", -1},
		{"record 255 alone", "08 FF FF 01", 1},
		{"255 records", "08 01 FF 00", -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			list, err := parseAFL(unhex(t, c.in))
			if c.entries < 0 != errors.Is(err, errAFL) || c.entries >= 0 && len(list) != c.entries {
				t.Fatalf("%s: %v %v", c.in, list, err)
			}
		})
	}
}

// EMV 4.4 Book 1, 11.3.4, table 45.
func TestParseFCI(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, in string
		ok       bool
	}{
		{"usual", "6F 19 84 07 A0000003330101 A5 0E 50 05 4445424954 87 01 01 9F11 01 01", true},
		{"no DF name", "6F 05 A5 03 50 01 41", false},
		{"short DF name", "6F 0B 84 04 A0000003 A5 03 50 01 41", false},
		{"long DF name", "6F 18 84 11 A000000333010101010101010101010101 A5 03 50 01 41", false},
		{"no proprietary template", "6F 09 84 07 A0000003330101", false},
		{"label twice", "6F 11 84 07 A0000003330101 A5 06 50 01 41 50 01 42", false},
		{"not an FCI", "70 09 84 07 A0000003330101", false},
		{"cut", "6F 19 84 07", false},
		{"empty", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := parseFCI(unhex(t, c.in))
			if (err == nil) != c.ok {
				t.Fatalf("%s: %+v %v", c.in, f, err)
			}
		})
	}
}

// EMV 4.4 Book 3, 6.5.8.4: formats 1 and 2.
func TestParseOptions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, in, aip, afl string
	}{
		{"format 1", "80 06 7C00 08010100", "7c00", "08010100"},
		{"format 2", "77 0A 82 02 7C00 94 04 08010100", "7c00", "08010100"},
		{"format 1 without AFL", "80 02 7C00", "", ""},
		{"format 1 of one byte", "80 01 7C", "", ""},
		{"format 2 without AIP", "77 06 94 04 08010100", "", ""},
		{"AIP twice", "77 0E 82 02 7C00 82 02 7C00 94 04 08010100", "", ""},
		{"AIP of three bytes", "77 0B 82 03 7C0000 94 04 08010100", "", ""},
		{"another template", "70 02 7C00", "", ""},
		{"empty", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			aip, afl, err := parseOptions(unhex(t, c.in))
			if hex.EncodeToString(aip) != c.aip || hex.EncodeToString(afl) != c.afl || (err == nil) != (c.aip != "") {
				t.Fatalf("%s: %x %x %v", c.in, aip, afl, err)
			}
		})
	}
}

// EMV 4.4 Book 3, 7.2 and 10.2: mandatory and redundant data.
func TestRecords(t *testing.T) {
	t.Parallel()
	const pan, expiry, lists = "5A 08 6226090000000013", "5F24 03 301231", "8C 03 9F3704 8D 03 9F3704"
	for _, c := range []struct {
		name    string
		records []string
		want    string // part of the cause, empty when sound
	}{
		{"sound", []string{pan + expiry, lists}, ""},
		{"no PAN", []string{expiry, lists}, "5A"},
		{"no expiration date", []string{pan, lists}, "5F24"},
		{"no CDOL1", []string{pan + expiry + "8D 03 9F3704"}, "8C"},
		{"no CDOL2", []string{pan + expiry + "8C 03 9F3704"}, "8D"},
		{"PAN twice in a record", []string{pan + pan + expiry, lists}, "5A occurs twice"},
		{"PAN twice in two records", []string{pan + expiry, lists + pan}, "5A occurs twice"},
		{"PAN with a letter", []string{"5A 08 62260900000000A3" + expiry, lists}, "5A is no card number"},
		{"PAN with padding inside", []string{"5A 08 6226F90000000013" + expiry, lists}, "5A is no card number"},
		{"expiration date of a 13th month", []string{pan + "5F24 03 301331", lists}, "5F24"},
		{"expiration date of two bytes", []string{pan + "5F24 02 3012", lists}, "5F24"},
		{"track 2 of another card", []string{pan + expiry, lists + "57 0F 4761739001010010D3012201000000"}, "different card numbers"},
		{"track 2 without separator", []string{pan + expiry, lists + "57 08 6226090000000013"}, "57 is no track 2"},
		{"the card sets a terminal object", []string{pan + expiry, lists + "9F02 06 000000000001"}, ""},
		{"the card sets the TVR", []string{pan + expiry, lists + "95 05 0000000000"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := session(t, nil)
			s.tx.Amount = 77
			s.tx.Fill(&s.store, s.now, [4]byte{})
			var err error
			for _, r := range c.records {
				if err = s.enterRecord(1, tlv.Append(nil, 0x70, unhex(t, r)), true); err != nil {
					break
				}
			}
			if err == nil {
				err = s.checkMandatory()
			}
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			if v, _ := s.store.Value(0x9F02); !bytes.Equal(v, []byte{0, 0, 0, 0, 0, 0x77}) {
				t.Fatalf("the card wrote the amount: %x", v)
			}
		})
	}
}

// EMV 4.4 Book 3, 10.4.
func TestRestrictions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		objects map[tlv.Tag]string
		tx      emv.Transaction
		atm     bool
		want    string
	}{
		{"nothing against it", map[tlv.Tag]string{0x9F08: "0020", 0x5F24: "301231", 0x9F07: "FFC0", 0x5F28: "0156"}, emv.Transaction{}, false, "0000000000"},
		{"10.4.1 versions differ", map[tlv.Tag]string{0x9F08: "0021", 0x5F24: "301231"}, emv.Transaction{}, false, "0080000000"},
		{"10.4.2 not at terminals other than ATMs", map[tlv.Tag]string{0x5F24: "301231", 0x9F07: "FEC0"}, emv.Transaction{}, false, "0010000000"},
		{"10.4.2 not at ATMs", map[tlv.Tag]string{0x5F24: "301231", 0x9F07: "FDC0"}, emv.Transaction{Type: emv.Cash}, true, "0010000000"},
		{"10.4.2 domestic goods or services", map[tlv.Tag]string{0x5F24: "301231", 0x9F07: "0900", 0x5F28: "0156"}, emv.Transaction{}, false, "0000000000"},
		{"10.4.2 domestic card abroad", map[tlv.Tag]string{0x5F24: "301231", 0x9F07: "2900", 0x5F28: "0840"}, emv.Transaction{}, false, "0010000000"},
		{"10.4.2 abroad allowed", map[tlv.Tag]string{0x5F24: "301231", 0x9F07: "1100", 0x5F28: "0840"}, emv.Transaction{}, false, "0000000000"},
		{"10.4.2 no cash", map[tlv.Tag]string{0x5F24: "301231", 0x9F07: "3F00", 0x5F28: "0156"}, emv.Transaction{Type: emv.Cash}, false, "0010000000"},
		{"10.4.2 no cashback", map[tlv.Tag]string{0x5F24: "301231", 0x9F07: "FF40", 0x5F28: "0156"}, emv.Transaction{Type: emv.Cashback, Amount: 2, Other: 1}, false, "0010000000"},
		{"10.4.2 issuer country unknown", map[tlv.Tag]string{0x5F24: "301231", 0x9F07: "0100"}, emv.Transaction{}, false, "0000000000"},
		{"10.4.3 effective today", map[tlv.Tag]string{0x5F24: "301231", 0x5F25: "260314"}, emv.Transaction{}, false, "0000000000"},
		{"10.4.3 effective tomorrow", map[tlv.Tag]string{0x5F24: "301231", 0x5F25: "260315"}, emv.Transaction{}, false, "0020000000"},
		{"10.4.3 effective in the last century", map[tlv.Tag]string{0x5F24: "301231", 0x5F25: "991231"}, emv.Transaction{}, false, "0000000000"},
		{"10.4.3 expires today", map[tlv.Tag]string{0x5F24: "260314"}, emv.Transaction{}, false, "0000000000"},
		{"10.4.3 expired yesterday", map[tlv.Tag]string{0x5F24: "260313"}, emv.Transaction{}, false, "0040000000"},
		{"10.4.3 expired in the last century", map[tlv.Tag]string{0x5F24: "990101"}, emv.Transaction{}, false, "0040000000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := session(t, c.objects)
			s.tx = c.tx
			if c.atm {
				s.kernel.Terminal.Type, s.kernel.Terminal.Additional = 0x14, [5]byte{0x80}
			}
			if err := s.checkRestrictions(t.Context()); err != nil || bits(s.tvr) != c.want {
				t.Fatalf("TVR %v %v, want %s", s.tvr, err, c.want)
			}
		})
	}
}

// pinPad is a cardholder with one answer.
type pinPad struct {
	out emv.PINOutcome
	err error
}

func (pinPad) SelectApplication(context.Context, []emv.Candidate) (int, error) { return 0, nil }
func (p pinPad) OnlinePIN(context.Context, payment.PAN) (emv.PINOutcome, error) {
	return p.out, p.err
}

// EMV 4.4 Book 3, 10.5; Book 4, 6.3.4.
func TestCVM(t *testing.T) {
	t.Parallel()
	block, err := payment.NewPINBlock(make([]byte, 8))
	if err != nil {
		t.Fatal(err)
	}
	entered := pinPad{out: emv.PINOutcome{Status: emv.PINEntered, Block: block}}
	sale := emv.Transaction{Amount: 5000}
	for _, c := range []struct {
		name string
		list string // rules after X = 1000 and Y = 9000; "-" for no list
		tx   emv.Transaction
		caps emv.Capabilities
		kind emv.TerminalType
		pad  pinPad
		cvm  string
		tvr  string
	}{
		{"no list", "-", sale, emv.Capabilities{}, 0x22, entered, "3F0000", "2000000000"},
		{"no rules", "", sale, emv.Capabilities{}, 0x22, entered, "3F0000", "2000000000"},
		{"no CVM required", "1F00", sale, emv.Capabilities{0, 0x08}, 0x22, entered, "1F0002", "0000000000"},
		{"no CVM not supported", "1F00", sale, emv.Capabilities{}, 0x22, entered, "3F0001", "0000800000"},
		{"signature", "1E00", sale, emv.Capabilities{0, 0x20}, 0x22, entered, "1E0000", "0000000000"},
		{"online PIN", "0200", sale, emv.Capabilities{0, 0x40}, 0x22, entered, "020000", "0000040000"},
		{"online PIN without a PIN pad", "0200", sale, emv.Capabilities{}, 0x22, entered, "3F0001", "0000900000"},
		{"online PIN bypassed, next rule", "42001E00", sale, emv.Capabilities{0, 0x60}, 0x22, pinPad{out: emv.PINOutcome{Status: emv.PINBypassed}}, "1E0000", "0000080000"},
		{"online PIN bypassed, no next rule", "02001E00", sale, emv.Capabilities{0, 0x60}, 0x22, pinPad{out: emv.PINOutcome{Status: emv.PINBypassed}}, "020001", "0000880000"},
		{"PIN pad broken", "42001F00", sale, emv.Capabilities{0, 0x48}, 0x22, pinPad{out: emv.PINOutcome{Status: emv.PINPadError}}, "1F0002", "0000100000"},
		{"offline PIN goes on to the next rule", "41004200", sale, emv.Capabilities{0, 0x40}, 0x22, entered, "420000", "0000140000"},
		{"offline PIN if supported is passed over", "410344031F03", sale, emv.Capabilities{0, 0x08}, 0x22, entered, "1F0302", "0000000000"},
		{"unrecognised CVM goes on", "6A001F00", sale, emv.Capabilities{0, 0x08}, 0x22, entered, "1F0002", "0000400000"},
		{"unrecognised CVM ends", "2A001F00", sale, emv.Capabilities{0, 0x08}, 0x22, entered, "3F0001", "0000C00000"},
		{"fail CVM", "00001F00", sale, emv.Capabilities{0, 0x08}, 0x22, entered, "000001", "0000800000"},
		{"no condition is met", "1F01", sale, emv.Capabilities{0, 0x08}, 0x22, entered, "3F0001", "0000800000"},
		{"unknown condition is passed over", "1F0A1F801F00", sale, emv.Capabilities{0, 0x08}, 0x22, entered, "1F0002", "0000000000"},
		{"01 unattended cash", "1F01", emv.Transaction{Type: emv.Cash}, emv.Capabilities{0, 0x08}, 0x25, entered, "1F0102", "0000000000"},
		{"02 a plain purchase", "1F02", sale, emv.Capabilities{0, 0x08}, 0x22, entered, "1F0202", "0000000000"},
		{"02 not with cashback", "1F02", emv.Transaction{Type: emv.Cashback, Amount: 2, Other: 1}, emv.Capabilities{0, 0x08}, 0x22, entered, "3F0001", "0000800000"},
		{"01 not attended cash", "1F01", emv.Transaction{Type: emv.Cash}, emv.Capabilities{0, 0x08}, 0x22, entered, "3F0001", "0000800000"},
		{"02 not cash", "1F02", emv.Transaction{Type: emv.Cash}, emv.Capabilities{0, 0x08}, 0x22, entered, "3F0001", "0000800000"},
		{"03 supported", "1F03", sale, emv.Capabilities{0, 0x08}, 0x22, entered, "1F0302", "0000000000"},
		{"03 not supported", "1E03", sale, emv.Capabilities{0, 0x08}, 0x22, entered, "3F0001", "0000800000"},
		{"03 a combination of which half is supported", "03031F00", sale, emv.Capabilities{0, 0x88}, 0x22, entered, "1F0002", "0000000000"},
		{"04 not a purchase", "1F04", sale, emv.Capabilities{0, 0x08}, 0x22, entered, "3F0001", "0000800000"},
		{"05 not without cashback", "1F05", sale, emv.Capabilities{0, 0x08}, 0x22, entered, "3F0001", "0000800000"},
		{"07 X itself is not over X", "1F07", emv.Transaction{Amount: 1000}, emv.Capabilities{0, 0x08}, 0x22, entered, "3F0001", "0000800000"},
		{"08 Y itself is not under Y", "1F08", emv.Transaction{Amount: 9000}, emv.Capabilities{0, 0x08}, 0x22, entered, "3F0001", "0000800000"},
		{"09 Y itself is not over Y", "1F09", emv.Transaction{Amount: 9000}, emv.Capabilities{0, 0x08}, 0x22, entered, "3F0001", "0000800000"},
		{"a performed method, then an unsupported one", "42001E00", sale, emv.Capabilities{0, 0x40}, 0x22, pinPad{out: emv.PINOutcome{Status: emv.PINBypassed}}, "420001", "0000880000"},
		{"04 manual cash", "1F04", emv.Transaction{Type: emv.Cash}, emv.Capabilities{0, 0x08}, 0x22, entered, "1F0402", "0000000000"},
		{"05 with cashback", "1F05", emv.Transaction{Type: emv.Cashback, Amount: 2, Other: 1}, emv.Capabilities{0, 0x08}, 0x22, entered, "1F0502", "0000000000"},
		{"06 under X", "1F06", emv.Transaction{Amount: 999}, emv.Capabilities{0, 0x08}, 0x22, entered, "1F0602", "0000000000"},
		{"06 X itself is not under X", "1F06", emv.Transaction{Amount: 1000}, emv.Capabilities{0, 0x08}, 0x22, entered, "3F0001", "0000800000"},
		{"07 over X", "1F07", sale, emv.Capabilities{0, 0x08}, 0x22, entered, "1F0702", "0000000000"},
		{"08 under Y", "1F08", sale, emv.Capabilities{0, 0x08}, 0x22, entered, "1F0802", "0000000000"},
		{"09 over Y", "1F09", emv.Transaction{Amount: 9001}, emv.Capabilities{0, 0x08}, 0x22, entered, "1F0902", "0000000000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			objects := map[tlv.Tag]string{0x9F42: "0156"}
			if c.list != "-" {
				objects[0x8E] = "000003E800002328" + c.list
			}
			s := session(t, objects)
			s.tx, s.dialogue = c.tx, c.pad
			s.kernel.Terminal.Capabilities, s.kernel.Terminal.Type = c.caps, c.kind
			if err := s.verifyCardholder(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := emv.HexBytes(s.cvm[:]).String(); got != c.cvm || bits(s.tvr) != c.tvr {
				t.Fatalf("CVM results %v, TVR %v; want %s %s", s.cvm, s.tvr, c.cvm, c.tvr)
			}
		})
	}
	t.Run("foreign currency meets no amount condition", func(t *testing.T) {
		s := session(t, map[tlv.Tag]string{0x9F42: "0840", 0x8E: "000003E8000023281F061F071F081F09"})
		if err := s.verifyCardholder(t.Context()); err != nil || bits(s.tvr) != "0000800000" {
			t.Fatalf("TVR %v %v", s.tvr, err)
		}
	})
	t.Run("odd list ends the transaction", func(t *testing.T) {
		s := session(t, map[tlv.Tag]string{0x8E: "000003E8000023281F"})
		if err := s.verifyCardholder(t.Context()); !errors.Is(err, errCVMList) {
			t.Fatal(err)
		}
	})
	t.Run("card without cardholder verification", func(t *testing.T) {
		s := session(t, map[tlv.Tag]string{0x8E: "000003E8000023281F00"})
		s.aip = emv.AIP{}
		if err := s.verifyCardholder(t.Context()); err != nil || s.tsi.Has(emv.CVPerformed) || s.cvm != (emv.CVMResults{0x3F}) {
			t.Fatalf("%v %v %v", s.cvm, s.tsi, err)
		}
	})
	for _, c := range []struct {
		err  error
		want emv.Reason
	}{{emv.ErrCancelled, emv.ReasonCancelled}, {emv.ErrTimeout, emv.ReasonTimeout}, {errors.New("broken"), emv.ReasonDialogue}, {nil, emv.ReasonDialogue}} {
		s := session(t, map[tlv.Tag]string{0x8E: "00000000000000000200"})
		s.dialogue = pinPad{out: emv.PINOutcome{Status: emv.PINEntered}, err: c.err} // a PIN without a block is an error too
		var end *stop
		if err := s.verifyCardholder(t.Context()); !errors.As(err, &end) || end.reason != c.want {
			t.Fatalf("%v: %v, want %s", c.err, err, c.want)
		}
	}
}

// cardData answers GET DATA.
type cardData map[tlv.Tag]string

func (d cardData) Transmit(_ context.Context, capdu []byte) ([]byte, error) {
	tag := tlv.Tag(capdu[2])<<8 | tlv.Tag(capdu[3])
	v, err := hex.DecodeString(d[tag])
	if err != nil || len(v) == 0 {
		return []byte{0x6A, 0x88}, nil
	}
	return append(tlv.Append(nil, tag, v), 0x90, 0x00), nil
}

// EMV 4.4 Book 3, 10.6.
func TestRisk(t *testing.T) {
	t.Parallel()
	limits := map[tlv.Tag]string{0x9F14: "03", 0x9F23: "05"}
	for _, c := range []struct {
		name    string
		amount  payment.Amount
		recent  payment.Amount
		objects map[tlv.Tag]string
		card    cardData
		change  func(*Session)
		want    string
	}{
		{"10.6.1 under the floor limit", 9999, 0, nil, nil, nil, "0000000000"},
		{"10.6.1 at the floor limit", 10000, 0, nil, nil, nil, "0000008000"},
		{"10.6.1 with recent amounts", 5000, 5000, nil, nil, nil, "0000008000"},
		{"10.6.1 hook gives nonsense", 5000, -1 << 62, nil, nil, nil, "0000000000"},
		{"10.6.2 always selected", 1, 0, nil, nil, func(s *Session) { s.app.TargetPercent, s.app.MaxTargetPercent = 99, 99 }, "0000001000"},
		{"10.6.2 drawn 1 of 1 percent", 1, 0, nil, nil, func(s *Session) { s.app.TargetPercent, s.app.MaxTargetPercent = 1, 1 }, "0000001000"},
		{"10.6.2 drawn 2 of 1 percent", 1, 0, nil, nil, func(s *Session) {
			s.app.TargetPercent, s.app.MaxTargetPercent = 1, 1
			s.kernel.Rand = bytes.NewReader([]byte{0, 0, 0, 1})
		}, "0000000000"},
		{"10.6.2 biased", 9999, 0, nil, nil, func(s *Session) {
			s.app.MaxTargetPercent = 99
			s.kernel.Rand = bytes.NewReader([]byte{0, 0, 0, 97})
		}, "0000001000"},
		{"10.6.3 within limits", 1, 0, limits, cardData{0x9F36: "0004", 0x9F13: "0001"}, nil, "0000000000"},
		{"10.6.3 lower limit", 1, 0, limits, cardData{0x9F36: "0005", 0x9F13: "0001"}, nil, "0000004000"},
		{"10.6.3 upper limit", 1, 0, limits, cardData{0x9F36: "0007", 0x9F13: "0001"}, nil, "0000006000"},
		{"10.6.3 new card", 1, 0, limits, cardData{0x9F36: "0001", 0x9F13: "0000"}, nil, "0008000000"},
		{"10.6.3 counters not given", 1, 0, limits, cardData{}, nil, "0000006000"},
		{"10.6.3 counter went back", 1, 0, limits, cardData{0x9F36: "0001", 0x9F13: "0001"}, nil, "0000006000"},
		{"10.6.3 counter of three bytes", 1, 0, limits, cardData{0x9F36: "000001", 0x9F13: "0001"}, nil, "0000006000"},
		{"merchant forces online", 1, 0, nil, nil, func(s *Session) { s.tx.ForceOnline = true }, "0000000800"},
		{"exception file", 1, 0, nil, nil, func(s *Session) {
			s.kernel.ExceptionFile = func(payment.PAN, string) bool { return true }
		}, "1000000000"},
		{"not asked for", 10000, 0, nil, nil, func(s *Session) { s.aip = emv.AIP{} }, "0000000000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := session(t, c.objects)
			s.tx.Amount = c.amount
			s.kernel.Rand = bytes.NewReader(make([]byte, 8))
			s.kernel.RecentAmount = func(payment.PAN, string) payment.Amount { return c.recent }
			s.card = &link{card: c.card, left: time.Hour}
			if c.change != nil {
				c.change(s)
			}
			if err := s.manageRisk(t.Context()); err != nil || bits(s.tvr) != c.want {
				t.Fatalf("TVR %v %v, want %s", s.tvr, err, c.want)
			}
		})
	}
}

// EMV 4.4 Book 3, 10.7.
func TestAction(t *testing.T) {
	t.Parallel()
	const none = "0000000000"
	for _, c := range []struct {
		name                     string
		tvr                      emv.TVR
		denial, online, fallback string // issuer's; "-" for absent
		tac                      [3]emv.ActionCode
		kind                     emv.TerminalType
		force                    bool
		want                     emv.CryptogramType
	}{
		{"nothing set", emv.TVR{}, none, none, none, [3]emv.ActionCode{}, 0x22, false, emv.TC},
		{"issuer denies", emv.TVR{0x80}, "8000000000", none, none, [3]emv.ActionCode{}, 0x22, false, emv.AAC},
		{"terminal denies", emv.TVR{0x80}, none, none, none, [3]emv.ActionCode{{0x80}}, 0x22, false, emv.AAC},
		{"issuer wants online", emv.TVR{0x80}, none, "8000000000", none, [3]emv.ActionCode{}, 0x22, false, emv.ARQC},
		{"terminal wants online", emv.TVR{0x80}, none, none, none, [3]emv.ActionCode{{}, {0x80}}, 0x22, false, emv.ARQC},
		{"another bit", emv.TVR{0x80}, "4000000000", "4000000000", none, [3]emv.ActionCode{}, 0x22, false, emv.TC},
		{"absent codes: online", emv.TVR{0x80}, "-", "-", "-", [3]emv.ActionCode{}, 0x22, false, emv.ARQC},
		{"absent codes, clean", emv.TVR{}, "-", "-", "-", [3]emv.ActionCode{}, 0x22, false, emv.TC},
		{"online only terminal", emv.TVR{}, none, none, none, [3]emv.ActionCode{}, 0x21, false, emv.ARQC},
		{"merchant forces online", emv.TVR{}, none, none, none, [3]emv.ActionCode{}, 0x22, true, emv.ARQC},
		{"offline only terminal, default", emv.TVR{0x80}, none, none, "8000000000", [3]emv.ActionCode{}, 0x23, false, emv.AAC},
		{"offline only terminal, clean", emv.TVR{}, "-", "-", "-", [3]emv.ActionCode{}, 0x23, false, emv.TC},
		{"offline only terminal ignores online", emv.TVR{0x80}, none, "8000000000", none, [3]emv.ActionCode{}, 0x23, false, emv.TC},
		{"denial before online", emv.TVR{0x80}, "8000000000", "8000000000", none, [3]emv.ActionCode{}, 0x21, true, emv.AAC},
	} {
		t.Run(c.name, func(t *testing.T) {
			objects := map[tlv.Tag]string{}
			for tag, v := range map[tlv.Tag]string{0x9F0E: c.denial, 0x9F0F: c.online, 0x9F0D: c.fallback} {
				if v != "-" {
					objects[tag] = v
				}
			}
			s := session(t, objects)
			s.tvr, s.kernel.Terminal.Type, s.tx.ForceOnline = c.tvr, c.kind, c.force
			s.app.TACDenial, s.app.TACOnline, s.app.TACDefault = c.tac[0], c.tac[1], c.tac[2]
			if err := s.analyseAction(t.Context()); err != nil || s.asked != c.want {
				t.Fatalf("%v %v, want %v", s.asked, err, c.want)
			}
		})
	}
}

// EMV 4.4 Book 3, 6.5.5.4.
func TestParseAC(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, in string
		ok       bool
	}{
		{"format 1", "80 0B 80 0001 1122334455667788", true},
		{"format 1 with application data", "80 0D 40 0001 1122334455667788 0102", true},
		{"format 1 too short", "80 0A 80 0001 11223344556677", false},
		{"format 2", "77 14 9F27 01 80 9F36 02 0001 9F26 08 1122334455667788", true},
		{"format 2 without information data", "77 10 9F36 02 0001 9F26 08 1122334455667788", false},
		{"format 2 without cryptogram", "77 09 9F27 01 80 9F36 02 0001", false},
		{"format 2, cryptogram of seven bytes", "77 13 9F27 01 80 9F36 02 0001 9F26 07 11223344556677", false},
		{"format 2, information data twice", "77 18 9F27 01 80 9F27 01 40 9F36 02 0001 9F26 08 1122334455667788", false},
		{"another template", "70 00", false},
		{"empty", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := parseAC(unhex(t, c.in))
			if (err == nil) != c.ok {
				t.Fatalf("%s: %+v %v", c.in, r, err)
			}
		})
	}
}
