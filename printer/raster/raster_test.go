package raster_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"posagent/printer"
	"posagent/printer/raster"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// sample is a document that uses every element.
func sample() *printer.Document {
	logo := printer.NewBitmap(64, 20)
	for i := range 20 {
		for k := range 64 {
			if (k/4+i/4)%2 == 0 {
				logo.SetBlack(k, i)
			}
		}
	}
	doc := printer.NewDocument(printer.Payment).Image(logo)
	doc.Title("测试商户").Center("TEST MERCHANT 银联 POS").Dashes()
	doc.Pair("商户编号 MERCHANT NO", "898310054110001")
	doc.Pair("终端编号 TERMINAL", "10000001")
	doc.Pair("操作员 OPERATOR", "01").Rule()
	doc.Pair("卡号 CARD", "622848******0017 /C")
	doc.Pair("交易类型 TYPE", "消费 SALE")
	doc.Pair("日期时间 DATE", "2026-07-30 21:05:09")
	doc.PairStyled("金额", "￥1,234.50", printer.Style{Bold: true, Width: 2, Height: 2})
	doc.Add(printer.Rule{Kind: printer.Double})
	doc.Columns(printer.Cell{String: "镕喆堃珺牌特级初榨橄榄油礼盒装（两瓶）", Weight: 1},
		printer.Cell{String: "×2", Style: printer.Style{Align: printer.Right}},
		printer.Cell{String: "¥98.00", Style: printer.Style{Align: printer.Right}})
	doc.Styled(" 已作废 VOID ", printer.Style{Invert: true, Bold: true, Align: printer.Center})
	doc.Styled("underlined Ägypten é 下划线", printer.Style{Underline: true})
	doc.Styled("tall 高", printer.Style{Height: 2}).Styled("wide 宽", printer.Style{Width: 2, Align: printer.Right})
	doc.Line("Emoji 😀 and עברית are replaced, never left out; this sentence is wrapped.")
	doc.Blank(1).Line("交易金额未超过1000元，免密免签。持卡人签名：本人确认以上交易，同意将其记入本卡账户。")
	doc.QR("https://example.test/r/000017").Feed(24).Cut()
	return doc
}

func TestGoldenDocument(t *testing.T) {
	bm, page, err := raster.Draw(sample())
	if err != nil {
		t.Fatal(err)
	}
	var picture bytes.Buffer
	if err := page.PNG(&picture); err != nil {
		t.Fatal(err)
	}
	if bm.Height != page.Height || bm.Width != 384 {
		t.Errorf("bitmap %dx%d, page %dx%d", bm.Width, bm.Height, page.Width, page.Height)
	}
	golden(t, "sample.png", picture.Bytes())
	golden(t, "sample.txt", []byte(page.Text()))
	if got, want := string(page.Missing), "ביערת😀"; got != want {
		t.Errorf("missing: got %q want %q", got, want)
	}
	if !slices.Equal(page.Cuts, []int{page.Height}) {
		t.Errorf("cuts: got %v want %d", page.Cuts, page.Height)
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		if strings.HasSuffix(name, ".txt") {
			t.Errorf("%s differs, got:\n%s\nwant:\n%s", name, got, want)
		} else {
			t.Errorf("%s differs: %d bytes, want %d", name, len(got), len(want))
		}
	}
}

func TestTableIsWhatItsHashSays(t *testing.T) {
	t.Parallel()
	table, err := os.ReadFile("glyphs24.bin")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("glyphs24.sha256")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%x  glyphs24.bin\n", sha256.Sum256(table)); got != string(want) {
		t.Errorf("got %s want %s", got, want)
	}
}

func TestEveryGlyphIsFoundByItsCodePoint(t *testing.T) {
	t.Parallel()
	last, n := rune(-1), 0
	for r, g := range raster.Glyphs() {
		if r <= last {
			t.Fatalf("U+%04X after U+%04X", r, last)
		}
		last = r
		n++
		found, ok := raster.Lookup(r)
		if !ok || found != g {
			t.Fatalf("U+%04X: lookup gives another glyph", r)
		}
		if len(g.Bits) != raster.GlyphDots*(g.Columns+1) || g.Columns != 1 && g.Columns != 2 {
			t.Fatalf("U+%04X: %d columns, %d bytes", r, g.Columns, len(g.Bits))
		}
	}
	if n != 28701 {
		t.Errorf("got %d glyphs want 28701", n)
	}
}

func TestLookupWidth(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		r       rune
		columns int
		found   bool
	}{
		{"letter", 'A', 1, true},
		{"space", ' ', 1, true},
		{"yen sign", '¥', 1, true},
		{"wide yen sign", '￥', 2, true},
		{"accent", 'é', 1, true},
		{"euro", '€', 1, true},
		{"hanzi", '额', 2, true},
		{"extension A", '㐀', 2, true},
		{"name character", '镕', 2, true},
		{"extension B", 0x20BB7, 2, false},
		{"emoji", '😀', 2, false},
		{"hebrew", 'ש', 1, false},
		{"hangul", '한', 2, false},
		{"control", 0x1B, 1, false},
		{"right-to-left override", 0x202E, 1, false},
		{"no character", utf8.RuneError, 1, false},
		{"negative", -1, 1, false},
		{"beyond Unicode", 0x7FFFFFFF, 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, ok := raster.Lookup(tt.r)
			if g.Columns != tt.columns || ok != tt.found {
				t.Errorf("U+%04X: got %d columns %v, want %d %v", tt.r, g.Columns, ok, tt.columns, tt.found)
			}
		})
	}
}

func TestLayoutText(t *testing.T) {
	t.Parallel()
	amount := printer.Style{Align: printer.Right}
	tests := []struct {
		name string
		doc  *printer.Document
		want string
	}{
		{"pair", doc().Pair("金额", "1.00"), "金额                        1.00\n"},
		{"pair too wide stacks", doc().Pair("商户编号 MERCHANT NUMBER", "898310054110001"),
			"商户编号 MERCHANT NUMBER\n                 898310054110001\n"},
		{"pair exactly full", doc().Pair("AAAAAAAAAAAAAAAA", "BBBBBBBBBBBBBBB"), "AAAAAAAAAAAAAAAA BBBBBBBBBBBBBBB\n"},
		{"pair one too many", doc().Pair("AAAAAAAAAAAAAAAAA", "BBBBBBBBBBBBBBB"),
			"AAAAAAAAAAAAAAAAA\n                 BBBBBBBBBBBBBBB\n"},
		{"chinese value wraps in place", doc().Pair("地址", "浙江省杭州市西湖区文一西路九百六十九号"),
			"地址  浙江省杭州市西湖区文一西路\n                    九百六十九号\n"},
		{"item wraps beside its price", doc().Columns(printer.Cell{String: "extra virgin cold pressed olive oil", Weight: 1}, printer.Cell{String: "12.00", Style: amount}),
			"extra virgin cold pressed  12.00\nolive oil\n"},
		{"weights", doc().Columns(printer.Cell{String: "a", Weight: 1}, printer.Cell{String: "b", Weight: 2}, printer.Cell{String: "c", Weight: 1, Style: amount}),
			"a       b                      c\n"},
		{"sixteen cells stack", doc().Columns(slices.Repeat([]printer.Cell{{String: "xx"}}, 16)...), strings.Repeat("xx\n", 16)},
		{"wrap at space", doc().Line("the quick brown fox jumps over the lazy dog"), "the quick brown fox jumps over\nthe lazy dog\n"},
		{"space at the edge is lost", doc().Line(strings.Repeat("x", 32) + " yy"), strings.Repeat("x", 32) + "\nyy\n"},
		{"long word is broken", doc().Line(strings.Repeat("0123456789", 4)), "01234567890123456789012345678901\n23456789\n"},
		{"chinese", doc().Line("一二三四五六七八九十一二三四五六七"), "一二三四五六七八九十一二三四五六\n七\n"},
		{"closing mark stays behind", doc().Line("一二三四五六七八九十一二三四五六，七"), "一二三四五六七八九十一二三四五\n六，七\n"},
		{"line feeds", doc().Line("a\n\nb\r\nc"), "a\n\nb\nc\n"},
		{"blank lines", doc().Line("a").Blank(2).Line("b"), "a\n\n\nb\n"},
		{"blank ends are dropped", doc().Blank(3).Line("a").Blank(3), "a\n"},
		{"double size", doc().Styled("大 B", printer.Big), "大  B\n"},
		{"double size wraps", doc().Styled("一二三四五六七八九", printer.Big), "一二三四五六七八\n九\n"},
		{"centre", doc().Center("中"), "               中\n"},
		{"replaced", doc().Line("a😀b\u202ec\x00d\xff"), "a□b□c□d□\n"},
		{"rules", doc().Rule().Dashes().Add(printer.Rule{Kind: printer.Double}),
			strings.Repeat("-", 32) + "\n" + strings.Repeat("- ", 15) + "-\n" + strings.Repeat("=", 32) + "\n"},
		{"code and image", doc().QR("abc").Image(printer.NewBitmap(8, 8)), "[QR abc]\n[image]\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			page, err := raster.Layout(tt.doc)
			if err != nil {
				t.Fatal(err)
			}
			if got := page.Text(); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}

func doc() *printer.Document { return printer.NewDocument(printer.Report) }

func TestLayoutRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		doc   *printer.Document
		field string
	}{
		{"empty", doc(), "Elements"},
		{"code wider than paper", doc().Add(printer.QR{Data: "x", ModuleSize: 16}), "Data"},
		{"code of too fine modules", doc().Add(printer.QR{Data: strings.Repeat("ä", 900)}), "Data"},
		{"code overfull", doc().Add(printer.QR{Data: strings.Repeat("ä", 1400), ECC: printer.ECCHigh}), "Data"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var invalid *printer.InvalidError
			if _, err := raster.Layout(tt.doc); !errors.As(err, &invalid) || invalid.Field != tt.field {
				t.Errorf("got %v, want *InvalidError of %s", err, tt.field)
			}
		})
	}
}

func TestDrawReusesItsMemory(t *testing.T) {
	page, err := raster.Layout(sample())
	if err != nil {
		t.Fatal(err)
	}
	var bm printer.Bitmap
	page.Draw(&bm)
	first := bytes.Clone(bm.Pix)
	if n := testing.AllocsPerRun(3, func() { page.Draw(&bm) }); n != 0 {
		t.Errorf("second drawing allocates %v times", n)
	}
	if !bytes.Equal(first, bm.Pix) {
		t.Error("second drawing differs")
	}
}

// FuzzLayout proves that no visible character is lost, whatever the text.
func FuzzLayout(f *testing.F) {
	for _, s := range []string{"金额 AMOUNT", "a  b\n\n c", strings.Repeat("字", 40), "，，，，", " ", "\x00\xff😀", strings.Repeat("x ", 40)} {
		f.Add(s, "1.00", uint8(0))
		f.Add("left", s, uint8(1))
		f.Add(s, s, uint8(2))
	}
	f.Fuzz(func(t *testing.T, left, right string, size uint8) {
		d := doc()
		style := printer.Style{Width: size % 3, Height: size / 3 % 3, Align: printer.Align(size / 9 % 3)}
		d.Styled(left, style).PairStyled(left, right, style)
		page, err := raster.Layout(d)
		if err != nil {
			if len(left) <= printer.MaxText && len(right) <= printer.MaxText {
				t.Fatal(err)
			}
			return
		}
		page.Draw(&printer.Bitmap{})
		got := inkRunes(page.Text())
		want := inkRunes(shown(left) + shown(left) + shown(right))
		if got != want {
			t.Errorf("left %q right %q: got %q want %q", left, right, got, want)
		}
	})
}

// shown replaces what has no glyph and drops line ends, as paper does.
func shown(s string) string {
	s = strings.ReplaceAll(s, "\r\n", "\n")
	s = strings.TrimSuffix(s, "\r")
	var b strings.Builder
	for _, r := range s {
		if _, ok := raster.Lookup(r); !ok && r != '\n' {
			r = raster.Replacement
		}
		b.WriteRune(r)
	}
	return b.String()
}

// inkRunes keeps and sorts the characters that leave ink: columns mix the order
// of lines.
func inkRunes(s string) string {
	runes := slices.DeleteFunc([]rune(s), func(r rune) bool {
		return strings.ContainsRune(" \n\u00A0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200A\u202F\u205F\u3000", r)
	})
	slices.Sort(runes)
	return string(runes)
}

func BenchmarkLayout(b *testing.B) {
	d := sample()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := raster.Layout(d); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDraw(b *testing.B) {
	page, err := raster.Layout(sample())
	if err != nil {
		b.Fatal(err)
	}
	var bm printer.Bitmap
	b.ReportAllocs()
	for b.Loop() {
		page.Draw(&bm)
	}
}

func BenchmarkDrawTextLine(b *testing.B) {
	bm := printer.NewBitmap(384, 30)
	b.ReportAllocs()
	for b.Loop() {
		raster.DrawText(bm, 0, 0, "商户编号 MERCHANT NO 8983100", printer.Style{})
	}
}
