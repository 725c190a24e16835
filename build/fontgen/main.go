// Command fontgen draws the printer's glyph table from an outline font, so that
// a terminal needs neither a font file nor a rasteriser.
//
//	apt-get install fonts-noto-cjk
//	go run ./build/fontgen -out printer/raster
//
// It writes glyphs24.bin, in the format that package printer/raster documents,
// and glyphs24.sha256 beside it. The table is committed; this command is how it
// was made and how a reviewer makes it again, bit for bit. Its test compares the
// hash and skips where the font is not installed.
//
// # Decisions
//
// The face is the simplified Chinese monospaced one of Debian's fonts-noto-cjk
// 1:20220127: its advances are exactly one half and one em, which at 24 dots are
// the 12 and 24 dots of the paper's column grid.
//
// Dots with at least 125/255 coverage are black. The optical check behind that
// figure is the error rate of a text recogniser on printed receipts.
//
// Generate on amd64 only: the rasteriser works in floating point and other
// machines round differently.
package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Where Debian's package fonts-noto-cjk puts the collection.
const debianFont = "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "fontgen:", err)
		os.Exit(1)
	}
}

func run(args []string, log io.Writer) error {
	flags := flag.NewFlagSet("fontgen", flag.ContinueOnError)
	font := flags.String("font", debianFont, "font collection from Debian's fonts-noto-cjk")
	out := flags.String("out", "printer/raster", "folder that receives glyphs24.bin and glyphs24.sha256")
	if err := flags.Parse(args); err != nil {
		return err
	}
	table, report, err := generate(*font)
	if err != nil {
		return err
	}
	name := filepath.Join(*out, "glyphs24.bin")
	if err := os.WriteFile(name, table, 0o644); err != nil {
		return err
	}
	sum := fmt.Sprintf("%x  glyphs24.bin\n", sha256.Sum256(table))
	if err := os.WriteFile(filepath.Join(*out, "glyphs24.sha256"), []byte(sum), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(log, "%s: %d bytes, %s", name, len(table), report)
	return nil
}
