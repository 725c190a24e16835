package printer_test

import (
	"bytes"
	"errors"
	"image/png"
	"strings"
	"testing"

	"posagent/printer"
)

func TestBuilderMakesAValidDocument(t *testing.T) {
	t.Parallel()
	doc := printer.NewDocument(printer.Payment).
		Title("商户").Center("sub").Line("line").Pair("a", "b").
		Columns(printer.Cell{String: "x", Weight: 1}).Rule().Dashes().
		Blank(2).Feed(7).QR("data").Image(printer.NewBitmap(16, 16)).Cut()
	if err := doc.Validate(); err != nil {
		t.Fatal(err)
	}
	if got, want := len(doc.Elements), 12; got != want {
		t.Errorf("elements: got %d want %d", got, want)
	}
	if f := doc.Elements[7].(printer.Feed); f.Dots != 60 {
		t.Errorf("two blank lines: got %d dots want 60", f.Dots)
	}
}

func TestValidateNamesTheField(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", printer.MaxText+1)
	tests := []struct {
		name    string
		doc     printer.Document
		element int
		field   string
	}{
		{"no elements", printer.Document{}, -1, "Elements"},
		{"width not a byte", printer.Document{Width: 390}, -1, "Width"},
		{"too narrow", printer.Document{Width: 8}, -1, "Width"},
		{"too wide", printer.Document{Width: 8192}, -1, "Width"},
		{"kind", printer.Document{Kind: 9}, -1, "Kind"},
		{"too many", printer.Document{Elements: make([]printer.Element, printer.MaxElements+1)}, -1, "Elements"},
		{"payment goes on after its cut", printer.Document{Elements: []printer.Element{printer.Cut{}, printer.Feed{}}}, 0, "Cut"},
		{"nil element", of(nil), 1, "type"},
		{"long text", of(printer.Text{String: long}), 1, "String"},
		{"long cell", of(printer.Columns{Cells: []printer.Cell{{String: long}}}), 1, "String"},
		{"no cells", of(printer.Columns{}), 1, "Cells"},
		{"size", of(printer.Text{Style: printer.Style{Width: 3}}), 1, "Style"},
		{"align", of(printer.Text{Style: printer.Style{Align: 3}}), 1, "Style"},
		{"rule", of(printer.Rule{Kind: 3}), 1, "Kind"},
		{"empty code", of(printer.QR{}), 1, "Data"},
		{"code level", of(printer.QR{Data: "x", ECC: 4}), 1, "ECC"},
		{"module", of(printer.QR{Data: "x", ModuleSize: 17}), 1, "ModuleSize"},
		{"code align", of(printer.QR{Data: "x", Align: 3}), 1, "Align"},
		{"no bitmap", of(printer.Image{}), 1, "Bitmap"},
		{"lying bitmap", of(printer.Image{Bitmap: &printer.Bitmap{Width: 16, Height: 2, Pix: make([]byte, 3)}}), 1, "Bitmap"},
		{"wide bitmap", of(printer.Image{Bitmap: printer.NewBitmap(392, 1)}), 1, "Bitmap"},
		{"high bitmap", of(printer.Image{Bitmap: printer.NewBitmap(8, printer.MaxImageHeight+1)}), 1, "Bitmap"},
		{"image align", of(printer.Image{Bitmap: printer.NewBitmap(8, 1), Align: 3}), 1, "Align"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var invalid *printer.InvalidError
			if err := tt.doc.Validate(); !errors.As(err, &invalid) {
				t.Fatalf("got %v, want *InvalidError", err)
			}
			if invalid.Element != tt.element || invalid.Field != tt.field {
				t.Errorf("got element %d field %s, want %d %s (%v)", invalid.Element, invalid.Field, tt.element, tt.field, invalid)
			}
		})
	}
}

func of(e printer.Element) printer.Document {
	return printer.Document{Kind: printer.Report, Elements: []printer.Element{printer.Cut{}, e}}
}

func TestBitmapIsAPictureOfOneBit(t *testing.T) {
	t.Parallel()
	b := printer.NewBitmap(10, 3)
	if b.Width != 16 || b.Stride() != 2 || len(b.Pix) != 6 {
		t.Fatalf("got width %d stride %d pix %d", b.Width, b.Stride(), len(b.Pix))
	}
	b.SetBlack(9, 1)
	b.SetBlack(-1, 0)
	b.SetBlack(16, 0)
	b.SetBlack(0, 3)
	if got, want := b.Pix, []byte{0, 0, 0, 0x40, 0, 0}; !bytes.Equal(got, want) {
		t.Fatalf("got % x want % x", got, want)
	}
	var buf bytes.Buffer
	if err := png.Encode(&buf, b); err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(&buf)
	if err != nil {
		t.Fatal(err)
	}
	for y := range 3 {
		for x := range 16 {
			r, _, _, _ := img.At(x, y).RGBA()
			if black := r == 0; black != b.Black(x, y) {
				t.Errorf("dot %d,%d: got black %v", x, y, black)
			}
		}
	}
	before := &b.Pix[0]
	b.Reset(8, 6)
	if &b.Pix[0] != before || !bytes.Equal(b.Pix, make([]byte, 6)) {
		t.Error("Reset did not reuse and clear the memory")
	}
}

func TestStatusNamesArePromises(t *testing.T) {
	t.Parallel()
	want := map[printer.Status]string{
		printer.Unknown: "unknown", printer.Ready: "ready", printer.PaperLow: "paper-low", printer.PaperOut: "paper-out",
		printer.CoverOpen: "cover-open", printer.HeadHot: "head-hot", printer.Offline: "offline",
		printer.NoAnswer: "no-answer", printer.Babbling: "babbling", printer.Fault: "fault",
	}
	for s, name := range want {
		text, err := s.MarshalText()
		if err != nil || string(text) != name {
			t.Errorf("%d: got %q %v want %q", s, text, err, name)
		}
		var back printer.Status
		if err := back.UnmarshalText(text); err != nil || back != s {
			t.Errorf("%q: got %v %v want %v", text, back, err, s)
		}
		if got := s.CanPrint(); got != (s == printer.Ready || s == printer.PaperLow) {
			t.Errorf("%v: CanPrint %v", s, got)
		}
	}
	var s printer.Status
	if s.UnmarshalText([]byte("on fire")) == nil {
		t.Error("an unknown name was accepted")
	}
	if got := printer.Status(200).String(); got != "status(200)" {
		t.Errorf("got %q", got)
	}
}

func TestInterruptedSaysWhereAndWhy(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	err := error(&printer.Interrupted{Status: printer.PaperOut, Band: 3, Bands: 9, Err: cause})
	if got, want := err.Error(), "print interrupted at band 3 of 9: paper-out: cause"; got != want {
		t.Errorf("got %q want %q", got, want)
	}
	if !errors.Is(err, cause) {
		t.Error("cause is lost")
	}
}
