package icc_test

import (
	"bytes"
	"errors"
	"testing"

	"posagent/drivers/icc"
)

func TestParseATR(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, atr string
		char      string // of the error, empty when it is right
		proto     icc.Protocol
		hist      int
	}{
		{"shortest", "3B 00", "", icc.T0, 0},
		{"T=0 with historical characters", "3B 65 00 00 20 63 CB A0 00", "", icc.T0, 5},
		{"inverse", "3F 65 00 00 20 63 CB A0 00", "", icc.T0, 5},
		{"T=1, published", "3B E0 00 00 81 31 20 45 35", "", icc.T1, 0},
		{"T=0 with TD1, no TCK", "3B 80 00", "", icc.T0, 0},
		{"T=0 and T=1", "3B 80 80 01 01", "", icc.T0, 0},
		{"15 historical characters", "3B 0F 01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F", "", icc.T0, 15},
		{"empty", "", "ATR", 0, 0},
		{"TS alone", "3B", "ATR", 0, 0},
		{"wrong TS", "3A 00", "TS", 0, 0},
		{"inverse not decoded", "03 00", "TS", 0, 0},
		{"historical character missing", "3B 03 41 42", "ATR", 0, 0},
		{"interface character missing", "3B F0 11 00", "ATR", 0, 0},
		{"TD promises more", "3B 80 81", "ATR", 0, 0},
		{"TCK missing", "3B 80 01", "ATR", 0, 0},
		{"wrong TCK", "3B E0 00 00 81 31 20 45 36", "TCK", 0, 0},
		{"one too many", "3B 00 00", "ATR", 0, 0},
		{"endless TD", "3B 80 80 80 80 80 80 80 80 80 80 80 80 80 80 80 80 80 80 80 80 80 80 80 80 80 80 80 80 80 80 80 80 80 80", "TD31", 0, 0},
		{"over 33 characters", "3B FF 11 00 00 F1 11 00 00 F1 11 00 00 F1 11 00 00 F1 11 00 00 01", "TD4", 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := icc.ParseATR(atr(c.atr))
			var ae *icc.ATRError
			if c.char != "" {
				if !errors.As(err, &ae) || ae.Char != c.char {
					t.Errorf("ParseATR(%s): %v, want an error of %s", c.atr, err, c.char)
				}
				return
			}
			if err != nil {
				t.Fatalf("ParseATR(%s): %v", c.atr, err)
			}
			if a.Protocol() != c.proto || len(a.Historical) != c.hist {
				t.Errorf("ParseATR(%s): %v, %d historical, want %v, %d", c.atr, a.Protocol(), len(a.Historical), c.proto, c.hist)
			}
		})
	}
}

// One row per rule of EMV 4.4 Book 1, 8.3.
func TestCheckEMV(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, atr, cold, warm string // the refused character, empty when accepted
	}{
		{"basic T=0", "3B 60 00 00", "", ""},
		{"basic T=1", "3B E0 00 00 81 31 20 45+", "", ""},
		{"TB1 absent", "3B 00", "TB1", ""},
		{"TB1 not 00", "3B 20 25", "TB1", ""},
		{"TA1 in negotiable mode is passed over", "3B 70 96 00 00", "", ""},
		{"TC1 FF", "3B 60 00 FF", "", ""},
		{"TD1 of T=2", "3B A0 00 02+", "TD1", "TD1"},
		{"specific mode", "3B B0 12 00 10 00", "", ""},
		{"specific mode without TA1", "3B A0 00 10 00", "", ""},
		{"specific mode, TA1 14", "3B B0 14 00 10 00", "TA1", "TA1"},
		{"specific mode, TA1 22", "3B B0 22 00 10 00", "TA1", "TA1"},
		{"specific mode of another protocol", "3B A0 00 10 01", "TA2", "TA2"},
		{"implicit parameters", "3B A0 00 10 10", "TA2", "TA2"},
		{"TB2", "3B A0 00 20 00", "TB2", "TB2"},
		{"TC2 0", "3B A0 00 40 00", "TC2", "TC2"},
		{"TC2 0A", "3B A0 00 40 0A", "", ""},
		{"TD2 of T=14 after T=0", "3B A0 00 80 0E+", "", ""},
		{"TD2 of T=0 after T=0", "3B A0 00 80 00", "TD2", "TD2"},
		{"TD2 of T=15 after T=1", "3B A0 00 81 1F 01+", "TD2", "TD2"},
		{"IFSC 0F", "3B E0 00 00 81 31 0F 45+", "TA3", "TA3"},
		{"IFSC FF", "3B E0 00 00 81 31 FF 45+", "TA3", "TA3"},
		{"IFSC 10", "3B E0 00 00 81 31 10 45+", "", ""},
		{"IFSC absent", "3B E0 00 00 81 21 45+", "", ""},
		{"TB3 absent", "3B E0 00 00 81 11 20+", "TB3", "TB3"},
		{"no TD2 with T=1", "3B E0 00 00 01+", "TB3", "TB3"},
		{"BWI 5", "3B E0 00 00 81 31 20 55+", "TB3", "TB3"},
		{"CWI 6", "3B E0 00 00 81 31 20 46+", "TB3", "TB3"},
		{"CWI 0 with N 0", "3B E0 00 00 81 31 20 40+", "TB3", "TB3"},
		{"CWI 1 with N 0", "3B E0 00 00 81 31 20 41+", "", ""},
		{"CWI 0 with N 255", "3B E0 00 FF 81 31 20 40+", "", ""},
		{"CWI 3 with N 7", "3B E0 00 07 81 31 20 43+", "TB3", "TB3"},
		{"CWI 4 with N 7", "3B E0 00 07 81 31 20 44+", "", ""},
		{"CRC", "3B E0 00 00 81 71 20 45 01+", "TC3", "TC3"},
		{"TC3 00", "3B E0 00 00 81 71 20 45 00+", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := icc.ParseATR(atr(c.atr))
			if err != nil {
				t.Fatalf("ParseATR(%s): %v", c.atr, err)
			}
			for warm, want := range map[bool]string{false: c.cold, true: c.warm} {
				err := a.CheckEMV(warm)
				var ae *icc.ATRError
				switch {
				case want == "" && err != nil:
					t.Errorf("%s, warm %v: %v, want it accepted", c.atr, warm, err)
				case want != "" && (!errors.As(err, &ae) || ae.Char != want):
					t.Errorf("%s, warm %v: %v, want an error of %s", c.atr, warm, err, want)
				}
			}
		})
	}
}

func TestParams(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, atr string
		want      icc.Params
	}{
		{"defaults", "3B 00", icc.Params{Protocol: icc.T0, D: 1, WWT: 9600 + 480, BWT: 960*16 + 11 + 960, CWT: 8192 + 15, IFSC: 32}},
		{"WI, guard time", "3B E0 00 09 40 05", icc.Params{Protocol: icc.T0, D: 1, N: 9, WWT: 4800 + 480, BWT: 960*16 + 11 + 960, CWT: 8192 + 15, IFSC: 32}},
		{"TA1 counts in specific mode only", "3B 10 13", icc.Params{Protocol: icc.T0, D: 1, WWT: 9600 + 480, BWT: 960*16 + 11 + 960, CWT: 8192 + 15, IFSC: 32}},
		{"specific mode D=4", "3B B0 13 00 10 00", icc.Params{Protocol: icc.T0, D: 4, WWT: 4*9600 + 4*480, BWT: 4*960*16 + 11 + 4*960, CWT: 8192 + 15, IFSC: 32}},
		{"T=1", "3B E0 00 FF 81 31 FE 32+", icc.Params{Protocol: icc.T1, D: 1, WWT: 9600 + 480, BWT: 960*8 + 11 + 960, CWT: 4 + 15, IFSC: 254}},
		{"CRC", "3B 80 81 71 40 45 01+", icc.Params{Protocol: icc.T1, D: 1, WWT: 9600 + 480, BWT: 960*16 + 11 + 960, CWT: 32 + 15, IFSC: 64, CRC: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := icc.ParseATR(atr(c.atr))
			if err != nil {
				t.Fatal(err)
			}
			if got := a.Params(); got != c.want {
				t.Errorf("Params of %s:\n got %+v\nwant %+v", c.atr, got, c.want)
			}
		})
	}
}

func FuzzParseATR(f *testing.F) {
	for _, s := range []string{"3B 00", "3B 65 00 00 20 63 CB A0 00", "3B E0 00 00 81 31 20 45 35", "3F 60 00 00", "3B 80 81 71 40 45 01+", "3B FF 11 00 00 F1"} {
		f.Add(atr(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := icc.ParseATR(b)
		if err != nil {
			var ae *icc.ATRError
			if !errors.As(err, &ae) || ae.Char == "" {
				t.Fatalf("ParseATR(% X): %v is not typed", b, err)
			}
			return
		}
		if !bytes.Equal(a.Raw, b) || len(b) > 33 || len(a.Groups) == 0 || len(a.Historical) > 15 {
			t.Fatalf("ParseATR(% X) = %+v", b, a)
		}
		if a.CheckEMV(true) != nil {
			return
		}
		p := a.Params()
		if p.Protocol > icc.T1 || p.D == 0 || p.D > 4 || p.IFSC < 16 || p.IFSC == 255 || p.WWT == 0 || p.BWT == 0 || p.CWT == 0 {
			t.Fatalf("ParseATR(% X): accepted with %+v", b, p)
		}
	})
}
