package receipt

import (
	"bytes"
	"errors"
	"flag"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"posagent/agent/journal"
	"posagent/agent/payment"
	"posagent/printer"
	"posagent/printer/raster"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// testPAN is a synthetic number; digits seven to twelve appear on no paper.
const testPAN = "6226097318460046"

var testZone = time.FixedZone("", 8*3600)

func testHeader() Header {
	return Header{
		NameZH: "测试便利店", NameEN: "TEST CONVENIENCE STORE", Address: "北京市测试路 1 号",
		Lines: []string{"欢迎光临"}, Footer: []string{"谢谢惠顾"}, Acquirer: "01020000", Test: true, QR: true, NoCVMLimit: 100000,
	}
}

func approvedPIN() journal.Record {
	pan, _ := payment.NewPAN(testPAN)
	at := time.Date(2026, 3, 14, 15, 9, 26, 0, testZone)
	return journal.Record{
		ID: "01hq8zj0000000000000000042", Seq: 7, State: journal.Approved, Requester: "operator", RequestID: "7",
		Type: payment.Sale, Amount: 1234, Currency: payment.CNY, STAN: 42, Batch: 1, Time: at,
		TerminalID: "10000001", MerchantID: "102100153110001", Operator: "01",
		Entry: payment.Chip, MaskedPAN: pan.Masked(), PANSequence: "001", PINEntered: true, CVM: journal.CVMOnlinePIN,
		EMV: &journal.EMV{AID: "A000000333010101", Label: "UnionPay Debit", PreferredName: "银联借记", Cryptogram: "A1B2C3D4E5F60718",
			CID: "40", ATC: "001F", TVR: "0000048000", TSI: "F800", CVMResults: "020000", ARC: "3030", UN: "01020304"},
		Code: "00", RRN: "150926000042", AuthCode: "123ABC", Issuer: "01040000", Acquirer: "01020000", CardOrg: "CUP",
		Changes: []journal.Change{{State: journal.Pending, Time: at}, {State: journal.Approved, Event: journal.Approve, Time: at.Add(2 * time.Second)}},
	}
}

func with(change func(*journal.Record)) journal.Record {
	r := approvedPIN()
	emv := *r.EMV
	r.EMV = &emv
	change(&r)
	return r
}

// cases are the receipts with golden files.
func cases() map[string]journal.Record {
	return map[string]journal.Record{
		"approved-pin": approvedPIN(),
		"approved-no-cvm": with(func(r *journal.Record) {
			r.PINEntered, r.CVM, r.Entry = false, journal.CVMNone, payment.Contactless
		}),
		"approved-signature": with(func(r *journal.Record) {
			r.PINEntered, r.CVM, r.Amount = false, journal.CVMSignature, 999_999_999_999
		}),
		"declined": with(func(r *journal.Record) {
			r.State, r.Code, r.AuthCode, r.HostText = journal.Declined, "51", "", "余额不足"
			r.EMV.CID, r.EMV.ARC = "00", "3531"
		}),
		"reversed": with(func(r *journal.Record) {
			r.State, r.Code, r.RRN, r.AuthCode = journal.Reversed, "", "", ""
			r.Reason, r.ReversalCode, r.EMV.CID = payment.ReasonNoReply, "00", "80"
			r.Changes = append(r.Changes[:1:1], journal.Change{State: journal.Reversing, Event: journal.Reverse, Time: r.Time.Add(time.Minute)},
				journal.Change{State: journal.Reversed, Event: journal.ReverseEnded, Time: r.Time.Add(2 * time.Minute)})
		}),
		"void": with(func(r *journal.Record) {
			r.Type, r.STAN = payment.Void, 43
			r.Original = &payment.Original{Batch: 1, STAN: 42, Date: "0314", RRN: "150926000042", AuthCode: "123ABC"}
		}),
	}
}

func layout(t *testing.T, doc *printer.Document) *raster.Page {
	t.Helper()
	page, err := raster.Layout(doc)
	if err != nil {
		t.Fatal(err)
	}
	if len(page.Missing) > 0 {
		t.Errorf("no glyph for %q", string(page.Missing))
	}
	return page
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run with -update to write it)", err)
	}
	if strings.HasSuffix(name, ".png") {
		if !slices.Equal(dots(t, got), dots(t, want)) {
			t.Errorf("%s: the picture differs from the golden one", name)
		}
		return
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

// dots gives what a picture shows, whatever compressed it.
func dots(t *testing.T, b []byte) []uint8 {
	t.Helper()
	im, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	p, ok := im.(*image.Paletted)
	if !ok {
		t.Fatalf("picture is a %T", im)
	}
	return append(p.Pix, uint8(p.Stride>>8), uint8(p.Stride))
}

func goldenPage(t *testing.T, name string, doc *printer.Document, picture bool) string {
	t.Helper()
	page := layout(t, doc)
	golden(t, name+".txt", []byte(page.Text()))
	if picture {
		var b bytes.Buffer
		if err := page.PNG(&b); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".png", b.Bytes())
	}
	return page.Text()
}

func TestGolden(t *testing.T) {
	for name, rec := range cases() {
		for _, lang := range []Lang{ZH, EN, Both} {
			t.Run(name+"-"+string(lang), func(t *testing.T) {
				doc, err := Compose(rec, testHeader(), Merchant, lang, 0)
				if err != nil {
					t.Fatal(err)
				}
				goldenPage(t, name+"-merchant-"+string(lang), doc, lang == Both)
			})
		}
	}
	for _, lang := range []Lang{ZH, EN, Both} {
		t.Run("cardholder-"+string(lang), func(t *testing.T) {
			doc, err := Compose(approvedPIN(), testHeader(), Cardholder, lang, 0)
			if err != nil {
				t.Fatal(err)
			}
			goldenPage(t, "approved-pin-cardholder-"+string(lang), doc, false)
		})
		t.Run("reprint-"+string(lang), func(t *testing.T) {
			doc, err := Compose(approvedPIN(), testHeader(), Merchant, lang, 2)
			if err != nil {
				t.Fatal(err)
			}
			text := goldenPage(t, "reprint-merchant-"+string(lang), doc, lang == Both)
			if n := strings.Count(text, wReprint.in(lang)+" 2"); n != 2 {
				t.Errorf("reprint mark %d times, want above and below", n)
			}
		})
	}
}

func TestSlips(t *testing.T) {
	dev := Device{Model: "virtual-1", Serial: "PA-000001", Version: "0.1.0", TerminalID: "10000001", MerchantID: "102100153110001",
		Time: time.Date(2026, 3, 14, 15, 9, 26, 0, testZone)}
	for _, lang := range []Lang{ZH, EN, Both} {
		doc, err := TestPage(dev, Header{}, lang)
		if err != nil {
			t.Fatal(err)
		}
		goldenPage(t, "test-page-"+string(lang), doc, lang == Both)
		doc, err = ActivationSlip(Activation{Device: dev, Fleet: "fleet.example.test", Thumbprint: strings.Repeat("0123456789abcdef", 4)}, testHeader(), lang)
		if err != nil {
			t.Fatal(err)
		}
		goldenPage(t, "activation-"+string(lang), doc, lang == Both)
	}
}

var digits = regexp.MustCompile(`[0-9]+`)

// TestCardDigits looks at every copy of every receipt: no run of digits comes
// from the middle of the number, and the cardholder's copy has the last four only.
func TestCardDigits(t *testing.T) {
	for name, rec := range cases() {
		for _, c := range []Copy{Merchant, Cardholder} {
			for _, lang := range []Lang{ZH, EN, Both} {
				doc, err := Compose(rec, testHeader(), c, lang, 1)
				if err != nil {
					t.Fatal(err)
				}
				text := layout(t, doc).Text()
				joined := strings.Join(strings.Fields(text), "")
				shown := "622609******0046"
				if c == Cardholder {
					shown = "************0046"
				}
				if !strings.Contains(joined, shown) {
					t.Errorf("%s %s %s: card number is not shown as %s:\n%s", name, c, lang, shown, text)
				}
				for _, run := range digits.FindAllString(joined, -1) {
					for i := 0; i+5 <= len(testPAN); i++ {
						part := testPAN[i : i+5]
						if strings.Contains(run, part) && (c == Cardholder || i > 1) {
							t.Errorf("%s %s %s: %q holds %q of the card number", name, c, lang, run, part)
						}
					}
				}
				if c == Cardholder && strings.Contains(joined, testPAN[:6]) {
					t.Errorf("%s %s: cardholder copy shows the first six digits", name, lang)
				}
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	good := approvedPIN()
	for _, row := range []struct {
		name    string
		rec     journal.Record
		h       Header
		c       Copy
		l       Lang
		reprint int
		field   string // empty: ErrNoOutcome
	}{
		{"pending", with(func(r *journal.Record) { r.State = journal.Pending }), testHeader(), Merchant, ZH, 0, ""},
		{"unknown state", with(func(r *journal.Record) { r.State = "later" }), testHeader(), Merchant, ZH, 0, ""},
		{"whole card number", with(func(r *journal.Record) { r.MaskedPAN = testPAN }), testHeader(), Merchant, ZH, 0, "card number"},
		{"seven digits shown", with(func(r *journal.Record) { r.MaskedPAN = "6226097*****0046" }), testHeader(), Merchant, ZH, 0, "card number"},
		{"five digits at the end", with(func(r *journal.Record) { r.MaskedPAN = "622609*****60046" }), testHeader(), Cardholder, ZH, 0, "card number"},
		{"unknown copy", good, testHeader(), "bank", ZH, 0, "copy"},
		{"unknown language", good, testHeader(), Merchant, "fr", 0, "language"},
		{"no merchant", good, Header{}, Merchant, ZH, 0, "merchant name"},
		{"too many lines", good, Header{NameEN: "X", Lines: make([]string, 9)}, Merchant, ZH, 0, "header"},
		{"line too long", good, Header{NameEN: strings.Repeat("X", 401)}, Merchant, ZH, 0, "header"},
		{"reprint below zero", good, testHeader(), Merchant, ZH, -1, "reprint"},
	} {
		t.Run(row.name, func(t *testing.T) {
			doc, err := Compose(row.rec, row.h, row.c, row.l, row.reprint)
			if err == nil || doc != nil {
				t.Fatal("composed")
			}
			var field *FieldError
			if row.field == "" {
				if !errors.Is(err, ErrNoOutcome) {
					t.Errorf("error = %v, want ErrNoOutcome", err)
				}
			} else if !errors.As(err, &field) || field.Field != row.field {
				t.Errorf("error = %v, want field %q", err, row.field)
			}
			if strings.Contains(err.Error(), testPAN) {
				t.Errorf("error shows the card number: %v", err)
			}
		})
	}
}

// TestNothingIsCut prints the longest values there are on the narrowest paper:
// every one of them is still whole when its lines are put together.
func TestNothingIsCut(t *testing.T) {
	name := strings.Repeat("长名商户", 10)
	rec := with(func(r *journal.Record) {
		r.Amount, r.HostText, r.State = payment.MaxAmount, strings.Repeat("请联系发卡行", 8), journal.Declined
		r.EMV.Label, r.EMV.PreferredName, r.EMV.AID = strings.Repeat("LABEL", 3)+"X", "", strings.Repeat("A0", 16)
	})
	h := testHeader()
	h.NameZH, h.Width = name, printer.MinWidth
	doc, err := Compose(rec, h, Merchant, Both, 999)
	if err != nil {
		t.Fatal(err)
	}
	joined := strings.Join(strings.Fields(layout(t, doc).Text()), "")
	for _, want := range []string{name, rec.HostText, rec.EMV.Label, rec.EMV.AID, "9999999999.99", string(rec.MerchantID), string(rec.RRN)} {
		if !strings.Contains(joined, want) {
			t.Errorf("%q was cut:\n%s", want, layout(t, doc).Text())
		}
	}
}

// TestSignatureLine walks the ways in which a cardholder can be verified.
func TestSignatureLine(t *testing.T) {
	for _, row := range []struct {
		name string
		rec  journal.Record
		c    Copy
		want word
		line bool
	}{
		{"online PIN", approvedPIN(), Merchant, wPIN, false},
		{"device", with(func(r *journal.Record) { r.PINEntered, r.CVM = false, journal.CVMDevice }), Merchant, wDevice, false},
		{"none, above the limit", with(func(r *journal.Record) { r.PINEntered, r.CVM, r.Amount = false, journal.CVMNone, 100001 }), Merchant, wNoCVM, false},
		{"signature", with(func(r *journal.Record) { r.PINEntered, r.CVM = false, journal.CVMSignature }), Merchant, wSignature, true},
		{"unknown", with(func(r *journal.Record) { r.PINEntered, r.CVM = false, "" }), Merchant, wSignature, true},
		{"signature on the cardholder's copy", with(func(r *journal.Record) { r.PINEntered, r.CVM = false, journal.CVMSignature }), Cardholder, word{}, false},
		{"declined", with(func(r *journal.Record) { r.PINEntered, r.CVM, r.State = false, "", journal.Declined }), Merchant, word{}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			doc, err := Compose(row.rec, testHeader(), row.c, ZH, 0)
			if err != nil {
				t.Fatal(err)
			}
			text := layout(t, doc).Text()
			if !strings.Contains(text, row.want.zh) {
				t.Errorf("%q is missing in\n%s", row.want.zh, text)
			}
			if got := strings.Contains(text, wSignature.zh); got != row.line {
				t.Errorf("signature line = %v, want %v in\n%s", got, row.line, text)
			}
		})
	}
}

func ExampleCompose() {
	rec := approvedPIN()
	doc, err := Compose(rec, Header{NameEN: "TEST STORE"}, Cardholder, EN, 0)
	if err != nil {
		panic(err)
	}
	page, err := raster.Layout(doc)
	if err != nil {
		panic(err)
	}
	for line := range strings.Lines(page.Text()) {
		if strings.HasPrefix(line, "CARD NO.") || strings.HasPrefix(line, "VOUCHER") {
			os.Stdout.WriteString(line)
		}
	}
	// Output:
	// CARD NO.        ************0046
	// VOUCHER                   000042
}
