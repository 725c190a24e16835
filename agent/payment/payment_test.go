package payment

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// A synthetic number with a right check digit in a test range.
const testPAN = "6226097318460046"

func TestAmount(t *testing.T) {
	for _, row := range []struct {
		name, in string
		cur      Currency
		want     Amount
		text     string
		bad      bool
	}{
		{"cents", "12.34", CNY, 1234, "12.34", false},
		{"one decimal", "12.3", CNY, 1230, "12.30", false},
		{"whole", "12", CNY, 1200, "12.00", false},
		{"small", "0.05", CNY, 5, "0.05", false},
		{"yen", "1234", JPY, 1234, "1234", false},
		{"yen has no minor unit", "12.3", JPY, 0, "", true},
		{"too many decimals", "1.005", CNY, 0, "", true},
		{"largest", "9999999999.99", CNY, MaxAmount, "9999999999.99", false},
		{"too large", "99999999999.99", CNY, 0, "", true},
		{"sign", "-1", CNY, 0, "", true},
		{"exponent", "1e3", CNY, 0, "", true},
		{"no digits", ".5", CNY, 0, "", true},
		{"trailing point", "5.", CNY, 0, "", true},
		{"other digits", "１２", CNY, 0, "", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := ParseDecimal(row.in, row.cur)
			if row.bad {
				if !errors.Is(err, ErrAmount) {
					t.Fatalf("ParseDecimal(%q) = %d, %v; want ErrAmount", row.in, got, err)
				}
				return
			}
			if err != nil || got != row.want || got.Format(row.cur) != row.text {
				t.Fatalf("ParseDecimal(%q) = %d (%s), %v; want %d (%s)", row.in, got, got.Format(row.cur), err, row.want, row.text)
			}
		})
	}
}

func TestDigits12(t *testing.T) {
	if s, err := Amount(1234).Digits12(); err != nil || s != "000000001234" {
		t.Errorf("Digits12(1234) = %q, %v", s, err)
	}
	for _, a := range []Amount{-1, MaxAmount + 1} {
		if _, err := a.Digits12(); !errors.Is(err, ErrAmount) {
			t.Errorf("Digits12(%d) error = %v, want ErrAmount", a, err)
		}
	}
}

func TestSecretsNeverPrint(t *testing.T) {
	pan, err := NewPAN(testPAN)
	if err != nil {
		t.Fatal(err)
	}
	track, err := NewTrack2(testPAN + "=30122011234567890")
	if err != nil {
		t.Fatal(err)
	}
	block, err := NewPINBlock([]byte{0xde, 0xad, 0xbe, 0xef, 1, 2, 3, 4})
	if err != nil {
		t.Fatal(err)
	}
	type hidden struct { // fmt cannot call the methods of unexported fields
		p PAN
		t Track2
		b PINBlock
	}
	all := struct {
		P PAN
		T Track2
		B PINBlock
		R Request
		h hidden
	}{pan, track, block, Request{PAN: pan, Track2: track, PINBlock: block}, hidden{pan, track, block}}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+"\n", all)
		fmt.Fprintf(&out, verb+verb+verb+"\n", pan, track, block)
	}
	j, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(j)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "pan", pan, "track", track, "block", block, "all", all)
	for _, secret := range []string{testPAN, testPAN[6:12], "30122011234567890", "deadbeef", "222 173", fmt.Sprintf("%x", testPAN)} {
		if strings.Contains(strings.ToLower(out.String()), secret) {
			t.Errorf("printed %q somewhere in:\n%s", secret, out.String())
		}
	}
	if !strings.Contains(out.String(), "622609******0046") {
		t.Errorf("masked form missing in:\n%s", out.String())
	}
}

func TestPANAndTrack2(t *testing.T) {
	track, err := NewTrack2(testPAN + "D30122011234567890")
	if err != nil {
		t.Fatal(err)
	}
	if track.PAN().Reveal() != testPAN || track.Expiry() != "3012" || track.ServiceCode() != "201" {
		t.Errorf("track 2 parts = %s %s %s", track.PAN().Reveal(), track.Expiry(), track.ServiceCode())
	}
	if !track.PAN().Luhn() {
		t.Error("Luhn refuses a right number")
	}
	if again, _ := NewPAN(testPAN); again != track.PAN() || again.IsZero() || !(PAN{}).IsZero() || (Track2{}).PAN() != (PAN{}) {
		t.Error("equality or zero value")
	}
	wrong, _ := NewPAN("6226097318460047")
	if wrong.Luhn() || (PAN{}).Luhn() {
		t.Error("Luhn accepts a wrong number")
	}
	if got := track.PAN().Tail(); got != "************0046" {
		t.Errorf("Tail = %s", got)
	}
	for _, bad := range []string{"", "123", "12345678901234567890", "622609731846004x"} {
		if _, err := NewPAN(bad); !errors.Is(err, ErrPAN) {
			t.Errorf("NewPAN(%q) error = %v", bad, err)
		}
	}
	for _, bad := range []string{"", testPAN, testPAN + "=3012", testPAN + "=30122012345678901234567890123", "12=3012201", testPAN + "=3012=2011"} {
		if _, err := NewTrack2(bad); !errors.Is(err, ErrTrack2) {
			t.Errorf("NewTrack2(%q) error = %v", bad, err)
		}
	}
}

func TestIDs(t *testing.T) {
	if STAN(999999).Next() != 1 || STAN(7).Next() != 8 || STAN(79).String() != "000079" {
		t.Error("STAN counter or text")
	}
	for _, bad := range []string{"", "0", "1000000", "-1", "x"} {
		if _, err := ParseSTAN(bad); !errors.Is(err, ErrID) {
			t.Errorf("ParseSTAN(%q) error = %v", bad, err)
		}
	}
	if TerminalID("12345678").Check() != nil || TerminalID("1234567").Check() == nil || MerchantID("1234567890 2345").Check() == nil {
		t.Error("identifier checks")
	}
	for code, want := range map[ResponseCode]bool{"00": true, "10": true, "11": true, "A2": true, "A6": true, "A0": false, "51": false, "": false, "0": false, "98": false, "zz": false} {
		if code.Approved() != want {
			t.Errorf("Approved(%q) = %v", code, !want)
		}
	}
}
