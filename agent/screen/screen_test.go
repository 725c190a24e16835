package screen

import (
	"bytes"
	"flag"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"posagent/agent/operator"
	"posagent/agent/payment"
)

var update = flag.Bool("update", false, "rewrite the golden pictures")

func TestGoldenPictures(t *testing.T) {
	status := operator.Status{Terminal: "10000001", Network: true, Host: true, Paper: true}
	for _, lang := range []operator.Lang{operator.Chinese, operator.English} {
		m := operator.NewMachine(lang, payment.CNY, 0)
		m.Ready = true
		amount, _ := m.Step(operator.Press(operator.Key1))
		for _, k := range []operator.Key{"1", "2", "3", "4"} {
			amount, _ = amount.Step(operator.Press(k))
		}
		var shown []operator.Screen
		desk := &operator.Desk{Show: func(s operator.Screen) { shown = append(shown, s) }, Lang: func() operator.Lang { return lang },
			Status: func() operator.Status { return status }, Amount: func() string { return "¥12.34" }}
		desk.Say("insert_card", operator.Calm)
		desk.PIN("622609******0046", 4)
		desk.Say("approved", operator.Good, "622609******0046", "RRN 000000000012")
		desk.Say("declined", operator.Bad, operator.Decline(lang, "51"))
		for _, s := range append([]operator.Screen{m.View(status), amount.View(status)}, shown...) {
			name := fmt.Sprintf("%s_%s.png", s.Name, lang)
			t.Run(name, func(t *testing.T) {
				img := New(320, 240)
				Draw(img, s)
				compare(t, filepath.Join("testdata", name), img)
			})
		}
	}
}

func compare(t *testing.T, path string, img *image.Paletted) {
	t.Helper()
	if *update {
		var out bytes.Buffer
		if err := png.Encode(&out, img); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	if want.Bounds() != img.Rect {
		t.Fatalf("size %v, golden %v", img.Rect, want.Bounds())
	}
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			r, g, b, _ := img.At(x, y).RGBA()
			wr, wg, wb, _ := want.At(x, y).RGBA()
			if r != wr || g != wg || b != wb {
				t.Fatalf("dot %d,%d differs from %s (run with -update after looking)", x, y, path)
			}
		}
	}
}

// TestAnythingDraws holds the renderer against texts nobody planned for: no
// panic, whatever the size.
func TestAnythingDraws(t *testing.T) {
	long := strings.Repeat("很长的文字 long text ", 40)
	s := operator.Screen{Title: long, Amount: "¥9999999999.99", Lines: []string{long, "\u202e\U0001f600", ""}, Dots: 40, Hint: long,
		Choices: []operator.Choice{{Key: "1", Text: long}, {Key: operator.KeyFunc}}, Status: operator.Status{Terminal: long, Open: 3}}
	for _, size := range []image.Point{{320, 240}, {480, 320}, {128, 64}, {1, 1}} {
		Draw(New(size.X, size.Y), s)
	}
}

// TestHintsFit: what to do next is never cut on the smallest panel.
func TestHintsFit(t *testing.T) {
	for _, lang := range []operator.Lang{operator.Chinese, operator.English} {
		for _, hint := range operator.Hints(lang) {
			if lines := wrap(hint, (320-2*margin)/column); len(lines) > hintLines {
				t.Errorf("%s: %q takes %d lines", lang, hint, len(lines))
			}
		}
	}
}

func TestWrap(t *testing.T) {
	for _, row := range []struct {
		name, in string
		n        int
		want     []string
	}{
		{"fits", "ABC", 3, []string{"ABC"}},
		{"at a space", "hello big world", 11, []string{"hello big", "world"}},
		{"no space", "ABCDEF", 4, []string{"ABCD", "EF"}},
		{"wide", "中文字", 4, []string{"中文", "字"}},
		{"empty", "", 4, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := wrap(row.in, row.n); fmt.Sprint(got) != fmt.Sprint(row.want) {
				t.Errorf("wrap(%q, %d) = %q, want %q", row.in, row.n, got, row.want)
			}
		})
	}
}

func BenchmarkDraw(b *testing.B) {
	m := operator.NewMachine(operator.Chinese, payment.CNY, 0)
	m.Ready = true
	img, s := New(320, 240), m.View(operator.Status{Terminal: "10000001"})
	b.ReportAllocs()
	for b.Loop() {
		Draw(img, s)
	}
}
