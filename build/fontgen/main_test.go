package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
)

const committed = "../../printer/raster/glyphs24.sha256"

func TestGenerateReproducesTheCommittedTable(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the table is generated on amd64 only")
	}
	if _, err := os.Stat(debianFont); err != nil {
		t.Skip("needs Debian package fonts-noto-cjk")
	}
	table, report, err := generate(debianFont)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(committed)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%x  glyphs24.bin\n", sha256.Sum256(table))
	if got != string(want) {
		t.Errorf("regenerated table differs (%s): got %s want %s", strings.TrimSpace(report), got, want)
	}
}

func TestCommittedTableHasTheCommittedHash(t *testing.T) {
	table, err := os.ReadFile("../../printer/raster/glyphs24.bin")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(committed)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%x  glyphs24.bin\n", sha256.Sum256(table)); got != string(want) {
		t.Errorf("got %s want %s", got, want)
	}
}

func TestRunesHoldWhatReceiptsNeed(t *testing.T) {
	all := runes()
	if !slices.IsSorted(all) {
		t.Error("not sorted")
	}
	for _, r := range "A0~ ¥￥é€，。：镕喆堃珺㐀䶵鿿ā" {
		if _, ok := slices.BinarySearch(all, r); !ok {
			t.Errorf("%c U+%04X is missing", r, r)
		}
	}
	for _, r := range "\n\u200b\u202e\ufeff" {
		if _, ok := slices.BinarySearch(all, r); ok {
			t.Errorf("U+%04X must not have a glyph", r)
		}
	}
}

func TestGenerateRefusesWhatIsNoFont(t *testing.T) {
	if _, _, err := generate("main.go"); err == nil {
		t.Error("a text file was taken for a font")
	}
	if _, _, err := generate("absent.ttc"); err == nil {
		t.Error("an absent file was taken for a font")
	}
}
