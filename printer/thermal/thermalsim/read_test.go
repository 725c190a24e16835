package thermalsim_test

import (
	"regexp"
	"strings"
	"testing"

	"posagent/printer"
	"posagent/printer/raster"
	"posagent/printer/thermal/thermalsim"
)

func TestReadTextEqualsTheLayout(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		doc  *printer.Document
	}{
		{"english", doc().Line("The quick brown fox jumps over the lazy dog, 1234567890 times.").Pair("TOTAL", "CNY 12.00")},
		{"chinese", doc().Line("持卡人签名：本人确认以上交易，同意将其记入本卡账户。").Pair("金额", "￥12.00")},
		{"names", doc().Line("镕喆堃珺㐀䶵 Ä é ñ € £ ° ×")},
		{"wide brackets", doc().Line("（两瓶）【赠】《书》“引”…—、")},
		{"ascii", doc().Line("!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~")},
		{"bold", doc().Styled("合计 TOTAL 0123456789 .,:-*/", printer.Style{Bold: true})},
		{"double", doc().Styled("￥1,234.50 元", printer.Big).Styled("元 bold", printer.Style{Bold: true, Width: 2, Height: 2})},
		{"tall and wide", doc().Styled("高 tall", printer.Style{Height: 2}).Styled("宽 wide", printer.Style{Width: 2})},
		{"mixed sizes", doc().PairStyled("金额", "1.00", printer.Big).PairStyled("金额", "1.00", printer.Style{Height: 2})},
		{"invert", doc().Styled(" 已作废 VOID ", printer.Style{Invert: true, Align: printer.Center}).Line("x")},
		{"underline", doc().Styled("下划线 underline", printer.Style{Underline: true}).Line("y")},
		{"rules", doc().Rule().Line("a").Dashes().Line("b").Add(printer.Rule{Kind: printer.Double}).Rule().Rule()},
		{"lone dashes", doc().Line("a").Line("-").Line("_").Line("·").Line(".").Line("—").Line("--------")},
		{"blank lines", doc().Line("a").Blank(2).Line("b").Feed(12).Line("c").Blank(1).Styled("d", printer.Big)},
		{"replaced", doc().Line("😀 and עברית")},
		{"masked card", doc().Pair("卡号", "622848******0017 /C")},
		{"spaces", doc().Line("a  b   c").Line("中  文　字")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bm, page, err := raster.Draw(tt.doc)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := thermalsim.ReadText(bm), page.Text(); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func doc() *printer.Document { return printer.NewDocument(printer.Report) }

func TestReadTextPassesOverGraphics(t *testing.T) {
	t.Parallel()
	logo := printer.NewBitmap(64, 20)
	for i := range logo.Pix {
		logo.Pix[i] = 0x99
	}
	bm, page, err := raster.Draw(doc().Image(logo).Line("above").QR("https://example.test/").Line("below 金额"))
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`\[[^]]*\]`).ReplaceAllString(page.Text(), thermalsim.Graphic)
	if got := withoutBlank(thermalsim.ReadText(bm)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := thermalsim.ReadText(printer.NewBitmap(384, 100)); got != "" {
		t.Errorf("white paper reads %q", got)
	}
}

func withoutBlank(s string) string {
	for strings.Contains(s, "\n\n") {
		s = strings.ReplaceAll(s, "\n\n", "\n")
	}
	return s
}

// TestEveryGlyphReadsBack prints every character of the table, plain and bold. One
// that does not read as itself must have a twin with the same picture, or be a
// piece of a frame, which means nothing without the pieces around it.
func TestEveryGlyphReadsBack(t *testing.T) {
	t.Parallel()
	for _, style := range []printer.Style{{}, {Bold: true}} {
		n := 0
		for r, g := range raster.Glyphs() {
			n++
			if strings.Trim(g.Bits, "\x00") == "" || r >= 0x2500 && r <= 0x259F || style.Bold && n%8 != 0 {
				continue
			}
			bm := printer.NewBitmap(96, 54)
			at := raster.DrawText(bm, 0, 0, "国", style)
			raster.DrawText(bm, at, 0, string(r), style)
			got := []rune(strings.TrimSuffix(thermalsim.ReadText(bm), "\n"))
			if len(got) != 2 || got[0] != '国' || got[1] != r && draw(got[1], style) != draw(r, style) {
				t.Errorf("%+v: U+%04X %c reads %q", style, r, r, string(got))
			}
		}
	}
}

func draw(r rune, s printer.Style) string {
	bm := printer.NewBitmap(24, 24)
	raster.DrawText(bm, 0, 0, string(r), s)
	return string(bm.Pix)
}
