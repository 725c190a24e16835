package raster

import (
	_ "embed"
	"iter"
	"sort"
)

//go:generate go run posagent/build/fontgen -out .

// GlyphDots is the height of every glyph in dots.
const GlyphDots = 24

// table is the embedded glyph table. All numbers are big endian.
//
//	0  4  "DOTS"
//	4  1  version, 1
//	5  1  height of a glyph in dots, 24
//	6  2  number of spans
//	8 16  per span, in rising order: first code point, count, offset of the
//	      first glyph in the glyph data, columns (1 or 2); 4 bytes each
//	      glyph data: 24 lines of columns+1 bytes, leftmost dot first
//
//go:embed glyphs24.bin
var table string

const (
	headerSize = 8
	spanSize   = 16
)

// Glyph is the picture of one character.
type Glyph struct {
	// Columns is 1 for 12 dots and 2 for 24.
	Columns int
	// Bits are 24 lines of Columns+1 bytes, the leftmost dot in the most
	// significant bit. In a narrow glyph the last 4 bits of a line are zero.
	Bits string
}

// row returns line y as a number whose lowest Columns*12 bits are the dots.
func (g Glyph) row(y int) uint64 {
	if g.Columns == 1 {
		return uint64(g.Bits[2*y])<<4 | uint64(g.Bits[2*y+1])>>4
	}
	return uint64(g.Bits[3*y])<<16 | uint64(g.Bits[3*y+1])<<8 | uint64(g.Bits[3*y+2])
}

// Lookup finds the glyph of a code point. When the table has none it returns the
// replacement box and false.
func Lookup(r rune) (Glyph, bool) {
	n := spans()
	i := sort.Search(n, func(i int) bool { return rune(word(i, 0)) > r }) - 1
	if i >= 0 {
		if k := uint32(r) - word(i, 0); k < word(i, 1) {
			return glyph(i, k), true
		}
	}
	if wide(r) {
		return boxWide, false
	}
	return boxNarrow, false
}

// Glyphs yields every code point of the table, in order, with its glyph.
func Glyphs() iter.Seq2[rune, Glyph] {
	return func(yield func(rune, Glyph) bool) {
		for i := range spans() {
			for k := range word(i, 1) {
				if !yield(rune(word(i, 0)+k), glyph(i, k)) {
					return
				}
			}
		}
	}
}

// spans is the number of spans in the table.
func spans() int { return int(table[6])<<8 | int(table[7]) }

// word is a field of span i.
func word(i, field int) uint32 {
	at := headerSize + i*spanSize + field*4
	return uint32(table[at])<<24 | uint32(table[at+1])<<16 | uint32(table[at+2])<<8 | uint32(table[at+3])
}

// glyph is number k of span i.
func glyph(i int, k uint32) Glyph {
	columns := int(word(i, 3))
	size := GlyphDots * (columns + 1)
	at := headerSize + spans()*spanSize + int(word(i, 2)) + int(k)*size
	return Glyph{Columns: columns, Bits: table[at : at+size]}
}

// wide reports whether a character without a glyph would usually take two
// columns: East Asian scripts and pictographs.
func wide(r rune) bool {
	return r >= 0x1100 && r <= 0x115F || r >= 0x2E80 && r <= 0xD7FF || r >= 0xF900 && r <= 0xFAFF ||
		r >= 0xFE30 && r <= 0xFE6F || r >= 0xFF00 && r <= 0xFF60 || r >= 0xFFE0 && r <= 0xFFE6 ||
		r >= 0x1F000 && r <= 0x1FAFF || r >= 0x20000 && r <= 0x3FFFD
}

// Replacement is the character that stands for a box in plain text.
const Replacement = '□'

// The replacement boxes: a crossed frame that no letter looks like.
var boxNarrow, boxWide = box(1), box(2)

// Boxes returns the narrow and the wide replacement glyph.
func Boxes() (narrow, wide Glyph) { return boxNarrow, boxWide }

func box(columns int) Glyph {
	stride := columns + 1
	bits := make([]byte, GlyphDots*stride)
	set := func(x, y int) { bits[y*stride+x/8] |= 0x80 >> (x % 8) }
	right := columns*12 - 2
	for y := 2; y <= 21; y++ {
		for x := 1; x <= right; x++ {
			frame := y <= 3 || y >= 20 || x <= 2 || x >= right-1
			cross := (x-1)*19/(right-1) == y-2
			if frame || cross {
				set(x, y)
			}
		}
	}
	return Glyph{Columns: columns, Bits: string(bits)}
}
