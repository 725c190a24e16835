package judge_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"posagent/agent/emv/cardsim"
	"posagent/agent/emv/judge"
)

// TestHostileScripts: what is no script is a typed error with the line.
func TestHostileScripts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, script string
		line         uint32
		want         string
	}{
		{"empty", "", 0, "no command"},
		{"comments alone", "# nothing\n\n   # here\n", 0, "no command"},
		{"odd digits", "> 00A40\n", 1, "odd number of digits"},
		{"no hexadecimal", "> 00A4040\n< 9000\n> 00 GG", 1, "odd number"},
		{"a letter", "> 00A40400\n< 90 0O\n", 2, "not hexadecimal"},
		{"answer first", "# x\n< 9000\n", 2, "without a command"},
		{"two answers", "> 00A40400\n< 9000\n< 9000\n", 3, "without a command"},
		{"no mark", "00A40400\n", 1, "begins with"},
		{"short command", "> 00A4\n", 1, "at least 4"},
		{"short answer", "> 00A40400\n< 90\n", 2, "at least 2"},
		{"long command", "> " + strings.Repeat("00", 262), 1, "at most 261"},
		{"long answer", "> 00A40400\n< " + strings.Repeat("00", 259), 2, "at most 258"},
		{"masked", "> 0020008008**\n", 1, "masked"},
		{"binary", "\x00\x01\xff\xfe", 1, "begins with"},
		{"too many", strings.Repeat("> 00A40400\n", 4097), 4097, "over 4096 commands"},
		{"too large", strings.Repeat("# filler\n", judge.MaxScript/9+1), 0, "over 1048576 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := judge.ParseScript(strings.NewReader(c.script))
			var e *judge.ScriptError
			if !errors.As(err, &e) || !errors.Is(err, judge.ErrScript) || e.Line != c.line || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v; want line %d, %q", err, c.line, c.want)
			}
		})
	}
}

// TestParseScript reads what recordings in the wild look like.
func TestParseScript(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, script string
		want         []string // command/response
	}{
		{"spaces, comments, small letters", "\ufeff# a\n > 00 a4 04 00 # select\n\n<6a 82\r\n", []string{"00A40400/6A82"}},
		{"mute", "> 00A40400\n< mute\n> 00B2010C\n", []string{"00A40400/", "00B2010C/"}},
		{"GET RESPONSE", "> 00A4040001AA\n< 6104\n> 00C0000004\n< 010203049000\n", []string{"00A4040001AA/010203049000"}},
		{"two GET RESPONSE", "> 00A4040001AA\n< 6102\n> 00C0000002\n< 01026101\n> 00C0000001\n< 039000\n", []string{"00A4040001AA/0102039000"}},
		{"wrong Le", "> 00B2010C00\n< 6C02\n> 00B2010C02\n< 70009000\n", []string{"00B2010C00/70009000"}},
		{"61 without a sequel", "> 00A4040001AA\n< 6104\n> 00B2010C00\n< 9000\n", []string{"00A4040001AA/6104", "00B2010C00/9000"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, err := judge.ParseScript(strings.NewReader(c.script))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range s.Exchanges {
				got = append(got, strings.ToUpper(hex.EncodeToString(e.Command)+"/"+hex.EncodeToString(e.Response)))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q; want %q", got, c.want)
			}
		})
	}
}

// TestSettingErrors: a wrong setting is named.
func TestSettingErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ key, value, want string }{
		{"amount", "12.345", "amount"}, {"amount", "-1", "amount"}, {"amount", "1e3", "amount"}, {"other", "2", "other amount"},
		{"currency", "15", "currency"}, {"exponent", "5", "exponent"}, {"country", "CN", "country"}, {"type", "0A", "type 0A"},
		{"type", "0", "odd"}, {"date", "14.03.2026", "date"}, {"time", "25:00:00", "time"}, {"un", "0102", "2 bytes; want 4"},
		{"terminal-type", "29", "terminal type 29"}, {"capabilities", "E0F8", "want 3"}, {"aid", "A0", "aid"},
		{"aid", "A000000003/partial", "aid"}, {"tac-online", "00", "want 5"}, {"random-target", "100", "up to 99"},
		{"arc", "0", "two characters"}, {"iad", "00", "needs a response code"}, {"issuer-script", "7000", "71 or 72"},
		{"pin", "12", "pin: want 4 to 12 digits"}, {"choose", "x", "choose"}, {"interface", "stripe", "interface"},
		{"kernel", "3", "contactless interface"}, {"ttq", "00", "want 4"}, {"force-online", "perhaps", "neither true nor false"},
		{"nonsense", "1", "no such setting"},
	} {
		t.Run(c.key+" "+c.value, func(t *testing.T) {
			t.Parallel()
			var s judge.Settings
			err := s.Set(c.key, c.value)
			if err == nil {
				err = s.Check()
			}
			if !errors.Is(err, judge.ErrSetting) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v; want %q", err, c.want)
			}
		})
	}
	for _, text := range []string{"", "[]", "{", `{"amount":{}}`, `{"amount":null}`, `{"applications":[{"aid":"A0"}]}`, `{"capks":[{"rid":"A000000333"}]}`, `{"colour":"red"}`,
		`{"capks":[{"rid":"A000000333","index":1,"modulus":"80","exponent":"03"}]}`} {
		var s judge.Settings
		if err := s.ReadJSON(strings.NewReader(text)); !errors.Is(err, judge.ErrSetting) {
			t.Errorf("%s: error %v; want a setting's", text, err)
		}
	}
	if _, err := judge.Run(t.Context(), cardsim.Direct(open(t, "no-cvm")), judge.Settings{}, judge.Options{}); err != nil {
		t.Errorf("no settings at all: %v", err)
	}
}

// TestDecode reads every form.
func TestDecode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		hex  string
		form judge.Form
		want []string
	}{
		{"0880048000", judge.FormTVR, []string{"DDA failed", "online PIN entered"}},
		{"E800", judge.FormTSI, []string{"terminal risk management was performed"}},
		{"0000000A0000000042031E061F00", judge.FormCVMList, []string{"X = 10, Y = 0", "4203 enciphered PIN verified online, if the terminal supports the CVM; or else the next rule",
			"1E06 signature, if in the application's currency and under X; or else cardholder verification fails"}},
		{"420300", judge.FormCVM, []string{"enciphered PIN verified online", "unknown"}},
		{"3C00", judge.FormAIP, []string{"DDA supported", "terminal risk management is to be performed"}},
		{"1980", judge.FormAIP, []string{"EMV mode"}},
		{"8080", judge.FormCTQ, []string{"online PIN required", "performed on the device"}},
		{"36804000", judge.FormTTQ, []string{"EMV mode supported", "online cryptogram required", "consumer device CVM supported"}},
		{"FFC0", judge.FormAUC, []string{"valid at ATMs", "international cashback allowed"}},
		{"9F02069F3704", judge.FormDOL, []string{"9F02 Amount, Authorised (Numeric), 6 bytes", "10 bytes in all"}},
		{"80", judge.FormCID, []string{"ARQC"}},
		{"0A", judge.FormCID, []string{"AAC", "advice required", "PIN try limit exceeded"}},
		{"E0F8C8", judge.FormTermCap, []string{"IC with contacts", "CDA"}},
		{"F000F0A001", judge.FormAddCap, []string{"cash", "code table 1"}},
		{"0801010010010501", judge.FormAFL, []string{"SFI 1, records 1 to 1", "SFI 2, records 1 to 5, the first 1 signed"}},
		{"70105A0847617390010100105F2403301231", judge.FormTLV, []string{"476173******0010", "2030-12-31"}},
		{"57114761739001010010D30122011143804400", judge.FormTLV, []string{"476173******0010 and more, hidden"}},
		{"5F200541424344459F2608", judge.FormTLV, nil},
		{"9F2608010203040506", judge.FormTLV, nil},
		{"95", judge.FormTVR, nil},
		{"00", judge.FormAFL, nil},
		{"F8010100", judge.FormAFL, nil},
		{"9F02", judge.FormDOL, nil},
		{"0000", "nonsense", nil},
	} {
		t.Run(string(c.form)+" "+c.hex, func(t *testing.T) {
			t.Parallel()
			b, err := judge.Hex(c.hex)
			if err != nil {
				t.Fatal(err)
			}
			x, err := judge.Decode(b, c.form, false)
			if c.want == nil {
				if !errors.Is(err, judge.ErrDecode) {
					t.Fatalf("error %v; want ErrDecode", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var text bytes.Buffer
			if err := x.WriteText(&text); err != nil {
				t.Fatal(err)
			}
			for _, w := range c.want {
				if !strings.Contains(text.String(), w) {
					t.Errorf("%q is missing in\n%s", w, &text)
				}
			}
			if strings.Contains(text.String(), "4761739001010010") {
				t.Errorf("the card number is shown:\n%s", &text)
			}
		})
	}
}

// TestGuess: the likeliest form comes first, and nothing is not a form.
func TestGuess(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		hex  string
		want judge.Form
	}{
		{"9505008000E000", judge.FormTLV}, {"0880048000", judge.FormTVR}, {"3C00", judge.FormAIP}, {"36804000", judge.FormTTQ},
		{"9F02069F3704", judge.FormDOL}, {"000000000000000042031F00", judge.FormCVMList}, {"0801010010010501", judge.FormAFL}, {"80", judge.FormCID},
	} {
		b, err := judge.Hex(c.hex)
		if err != nil {
			t.Fatal(err)
		}
		if got := judge.Guess(b, false); len(got) == 0 || got[0].Form != c.want {
			t.Errorf("%s: %+v; want %s first", c.hex, got, c.want)
		}
	}
	if got := judge.Guess(nil, false); len(got) != 0 {
		t.Errorf("nothing at all: %+v", got)
	}
}

// TestBomb: a tree of very many objects is refused, not printed.
func TestBomb(t *testing.T) {
	t.Parallel()
	if _, err := judge.Decode(bytes.Repeat([]byte{0x95, 0x00}, 30000), judge.FormTLV, false); !errors.Is(err, judge.ErrDecode) {
		t.Errorf("error %v; want ErrDecode", err)
	}
}

// TestRecoveredSettings: a recording runs as it was made, byte for byte, with nothing but itself and the keys.
func TestRecoveredSettings(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"approves-offline": "approve", "online-pin": "approve", "contactless-k3-fdda": "approve", "contactless-k2-cda": "approve"} {
		b, err := os.ReadFile(filepath.Join("testdata", name+".script"))
		if err != nil {
			t.Fatal(err)
		}
		script, err := judge.ParseScript(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		keys, err := json.Marshal(cardsim.ContactlessCAPKs())
		if err != nil {
			t.Fatal(err)
		}
		var s judge.Settings
		if err := s.ReadCAPKs(bytes.NewReader(keys)); err != nil {
			t.Fatal(err)
		}
		if err := s.Set("country", "156"); err != nil {
			t.Fatal(err)
		}
		s.Fill(script.Settings())
		card := script.Card(judge.MatchAny)
		r := run(t, card, s, judge.Options{})
		if r.Outcome != want || r.Terminal.UN != "01020304" || r.Terminal.Amount != "123.45" || r.Terminal.Date != "2026-03-14" {
			t.Errorf("%s: outcome %s (%s), settings %+v; want %s", name, r.Outcome, r.Meaning, r.Terminal, want)
		}
	}
	masked, err := judge.ParseScript(strings.NewReader("> 80A8000002830000\n< 6A81\n> 80AE00000412345678\n< mute\n"))
	if err != nil {
		t.Fatal(err)
	}
	s := masked.Settings()
	if err := s.Check(); err != nil {
		t.Errorf("settings of nearly nothing: %v", err)
	}
}

func FuzzParseScript(f *testing.F) {
	files, err := filepath.Glob("testdata/*.script")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte("> 00A4040001AA\n< 6104\n> 00C0000004\n< 010203049000\n"))
	f.Add([]byte("> 00B2010C00\n< 6C02\n> 00B2010C02\n< mute\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := judge.ParseScript(bytes.NewReader(b))
		if err != nil {
			if !errors.Is(err, judge.ErrScript) {
				t.Fatalf("error without a type: %v", err)
			}
			return
		}
		card := s.Card(judge.MatchAny)
		r, err := judge.Run(t.Context(), card, s.Settings(), judge.Options{})
		if err != nil && !errors.Is(err, judge.ErrSetting) {
			t.Fatal(err)
		}
		if r != nil && r.Outcome == "approve" && r.Cryptogram == nil {
			t.Fatalf("approved without a cryptogram: %+v", r)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, text := range []string{"9505008000E000", "0000000A0000000042031E061F00", "70105A0847617390010100105F2403301231", "9F02069F3704", "0801010010010501"} {
		b, err := hex.DecodeString(text)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, form := range judge.Forms {
			x, err := judge.Decode(b, form, false)
			if err != nil && !errors.Is(err, judge.ErrDecode) {
				t.Fatalf("%s: error without a type: %v", form, err)
			}
			if err == nil && x.WriteText(&bytes.Buffer{}) != nil {
				t.Fatalf("%s: no text", form)
			}
		}
		judge.Guess(b, false)
	})
}
