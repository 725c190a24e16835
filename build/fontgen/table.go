package main

import (
	"encoding/binary"
	"fmt"
	"image"
	"os"

	"golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

const (
	family    = "Noto Sans Mono CJK SC" // the face inside the collection
	cellDots  = 24                      // height of a cell, and width of a wide one
	baseline  = 20                      // dot lines above the baseline
	threshold = 125                     // coverage of 255 from which a dot is black
)

// span is a run of code points whose glyphs have the same width and follow each
// other in the table.
type span struct {
	first  rune
	count  uint32
	offset uint32 // of the first glyph, from the start of the glyph data
	width  uint32 // columns: 1 or 2
}

// generate draws every rune of runes that the font has. The report counts them
// and names what was left out.
func generate(fontFile string) (table []byte, report string, err error) {
	f, err := openFace(fontFile)
	if err != nil {
		return nil, "", err
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: cellDots, DPI: 72, Hinting: font.HintingFull})
	if err != nil {
		return nil, "", fmt.Errorf("scale font: %w", err)
	}
	defer face.Close()
	var (
		spans   []span
		glyphs  []byte
		buf     sfnt.Buffer
		missing int
		tooWide int
		clipped int
		drawn   int
	)
	for _, r := range runes() {
		index, err := f.GlyphIndex(&buf, r)
		if err != nil {
			return nil, "", fmt.Errorf("find glyph U+%04X: %w", r, err)
		}
		if index == 0 {
			missing++
			continue
		}
		cell, width, lost, ok := drawCell(face, r)
		if !ok {
			tooWide++
			continue
		}
		clipped += lost
		drawn++
		n := len(spans)
		if n == 0 || spans[n-1].width != width || spans[n-1].first+rune(spans[n-1].count) != r {
			spans = append(spans, span{first: r, offset: uint32(len(glyphs)), width: width})
			n++
		}
		spans[n-1].count++
		glyphs = append(glyphs, cell...)
	}
	report = fmt.Sprintf("%d glyphs in %d spans; %d code points without a glyph, %d too wide, %d dots outside their cell\n",
		drawn, len(spans), missing, tooWide, clipped)
	return assemble(spans, glyphs), report, nil
}

// openFace finds the wanted face in a font collection.
func openFace(name string) (*sfnt.Font, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	collection, err := opentype.ParseCollection(data)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", name, err)
	}
	for i := range collection.NumFonts() {
		f, err := collection.Font(i)
		if err != nil {
			return nil, fmt.Errorf("open face %d of %s: %w", i, name, err)
		}
		if got, err := f.Name(nil, sfnt.NameIDFamily); err == nil && got == family {
			return f, nil
		}
	}
	return nil, fmt.Errorf("%s holds no face %q", name, family)
}

// drawCell rasterises one glyph: 24 lines of 2 bytes (12 dots, left aligned) for
// a narrow one, of 3 bytes for a wide one. A glyph of another advance (Greek,
// Latin with marks) is centred in the smallest cell that holds its ink. Lost
// counts the black dots that fall outside the cell; ok is false for a glyph
// wider than any cell.
func drawCell(face font.Face, r rune) (cell []byte, width uint32, lost int, ok bool) {
	box, mask, at, advance, ok := face.Glyph(fixed.P(0, baseline), r)
	if !ok {
		return nil, 0, 0, false
	}
	var dots []image.Point
	ink := image.Rectangle{}
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			_, _, _, alpha := mask.At(at.X+x-box.Min.X, at.Y+y-box.Min.Y).RGBA()
			if alpha>>8 >= threshold {
				dots = append(dots, image.Pt(x, y))
				ink = ink.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	var shift image.Point
	switch adv := advance.Round(); {
	case adv == cellDots/2:
		width = 1
	case adv == cellDots:
		width = 2
	case ink.Dx() <= cellDots/2:
		width, shift = 1, centre(ink, cellDots/2)
	case ink.Dx() <= cellDots:
		width, shift = 2, centre(ink, cellDots)
	default:
		return nil, 0, 0, false
	}
	bounds := image.Rect(0, 0, int(width)*cellDots/2, cellDots)
	stride := int(width) + 1
	cell = make([]byte, cellDots*stride)
	for _, p := range dots {
		p = p.Add(shift)
		if !p.In(bounds) {
			lost++
			continue
		}
		cell[p.Y*stride+p.X/8] |= 0x80 >> (p.X % 8)
	}
	return cell, width, lost, true
}

// centre moves ink to the middle of a cell, and down or up when a mark of a
// capital letter or a descender would leave it.
func centre(ink image.Rectangle, width int) image.Point {
	to := image.Pt((width-ink.Dx())/2-ink.Min.X, 0)
	switch {
	case ink.Dy() > cellDots:
	case ink.Min.Y < 0:
		to.Y = -ink.Min.Y
	case ink.Max.Y > cellDots:
		to.Y = cellDots - ink.Max.Y
	}
	return to
}

// assemble writes the header, the spans and the glyphs; the format is described
// in printer/raster/font.go.
func assemble(spans []span, glyphs []byte) []byte {
	out := append([]byte("DOTS"), 1, cellDots)
	out = binary.BigEndian.AppendUint16(out, uint16(len(spans)))
	for _, s := range spans {
		out = binary.BigEndian.AppendUint32(out, uint32(s.first))
		out = binary.BigEndian.AppendUint32(out, s.count)
		out = binary.BigEndian.AppendUint32(out, s.offset)
		out = binary.BigEndian.AppendUint32(out, s.width)
	}
	return append(out, glyphs...)
}
