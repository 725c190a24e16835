package thermalsim

import (
	"hash/maphash"
	"strings"
	"sync"

	"posagent/printer"
	"posagent/printer/raster"
)

// The grid that documents are laid out on, in dots; see package raster.
const (
	cellWidth  = printer.ColumnDots
	cellHeight = raster.GlyphDots
	gap        = printer.LineDots - cellHeight
)

// Graphic stands for ink that is no text.
const Graphic = "[graphic]"

// ReadText reads the text on paper by comparing every cell of the grid with the
// glyph table. It finds the lines by itself. Rules read as raster.RuleText writes
// them, empty paper as one empty line for every 30 dots, anything else as Graphic.
func ReadText(bm *printer.Bitmap) string {
	r := reader{bm: bm}
	var out []string
	for r.y < bm.Height {
		y := r.y
		for y < bm.Height && white(bm.Line(y)) {
			y++
		}
		if y == bm.Height {
			break
		}
		text, top, end := r.element(y)
		if len(out) > 0 {
			for range (top - r.y) / printer.LineDots {
				out = append(out, "")
			}
		}
		if text != Graphic || len(out) == 0 || out[len(out)-1] != Graphic {
			out = append(out, text)
		}
		r.y = end
	}
	if len(out) == 0 {
		return ""
	}
	return strings.Join(out, "\n") + "\n"
}

// reader walks down the paper; y is the first dot line not yet read.
type reader struct {
	bm *printer.Bitmap
	y  int
}

// element reads what starts at the inked dot line y: a rule, a line of text or a
// graphic. It tells where that begins and ends on the grid.
func (r *reader) element(y int) (text string, top, end int) {
	if text, top, ok := r.rule(y); ok && top >= r.y {
		return text, top, top + 12
	}
	// A line of text may begin above its first ink. Places that continue the grid
	// of the line before are tried first: a lone dash fits many places.
	for _, step := range []int{printer.LineDots, gap, 1} {
		for top := y; top >= r.y && top > y-2*cellHeight; top-- {
			if (top-r.y)%step != 0 {
				continue
			}
			for _, height := range []int{2 * cellHeight, cellHeight} {
				if y-top < height {
					if text, ok := r.line(top, height); ok {
						return text, top, top + height + gap
					}
				}
			}
		}
	}
	end = y
	for end < r.bm.Height && !white(r.bm.Line(end)) {
		end++
	}
	return Graphic, y, end
}

// rule recognises the three kinds of rule.
func (r *reader) rule(y int) (text string, top int, ok bool) {
	columns := r.bm.Width / cellWidth
	for kind := printer.Solid; kind <= printer.Double; kind++ {
		var want printer.Bitmap
		want.Reset(r.bm.Width, 12)
		raster.DrawRule(&want, 0, kind)
		first := 0
		for white(want.Line(first)) {
			first++
		}
		top := y - first
		same := true
		for i := range want.Height {
			same = same && equalLine(r.bm, top+i, want.Line(i))
		}
		if same {
			return raster.RuleText(kind, columns), top, true
		}
	}
	return "", 0, false
}

// equalLine compares a dot line with the wanted one. Outside the paper all is white.
func equalLine(bm *printer.Bitmap, y int, want []byte) bool {
	if y < 0 || y >= bm.Height {
		return white(want)
	}
	return string(bm.Line(y)) == string(want)
}

func white(line []byte) bool {
	for _, b := range line {
		if b != 0 {
			return false
		}
	}
	return true
}

// line reads one line of text whose cells begin at dot line top and are height
// high. It is false unless every dot is explained.
func (r *reader) line(top, height int) (string, bool) {
	columns := r.bm.Width / cellWidth
	if !r.gapOK(top+height, columns) || r.stray(top, height, columns*cellWidth) {
		return "", false
	}
	var b strings.Builder
	tall := height == cellHeight // a high line needs at least one high letter
	for c := 0; c < columns; {
		m, ok := r.match(top, height, c, columns)
		if !ok {
			return "", false
		}
		tall = tall || m.tall
		if m.r == ' ' {
			b.WriteString(strings.Repeat(" ", m.columns))
		} else {
			b.WriteRune(m.r)
		}
		c += m.columns
	}
	return strings.TrimRight(b.String(), " "), tall
}

// gapOK checks the space below a line: white, or an underline.
func (r *reader) gapOK(y, columns int) bool {
	for i := range gap {
		if y+i >= r.bm.Height {
			return true
		}
		line := r.bm.Line(y + i)
		if white(line) {
			continue
		}
		if i < raster.UnderlineGap || i >= raster.UnderlineGap+raster.UnderlineDots {
			return false
		}
		for c := range columns {
			if v := r.dots(c*cellWidth, y+i, cellWidth); v != 0 && v != 1<<cellWidth-1 {
				return false
			}
		}
	}
	return true
}

// stray reports ink to the right of the grid.
func (r *reader) stray(top, height, from int) bool {
	for y := top; y < top+height; y++ {
		for x := from; x < r.bm.Width; x++ {
			if r.bm.Black(x, y) {
				return true
			}
		}
	}
	return false
}

// found is a letter recognised in a line.
type found struct {
	r       rune
	columns int
	tall    bool
}

// size is a way to draw a letter: glyph columns and scale.
type size struct{ columns, w, h int }

var sizes = []size{{2, 2, 2}, {1, 2, 2}, {2, 1, 2}, {1, 1, 2}, {2, 2, 1}, {2, 1, 1}, {1, 2, 1}, {1, 1, 1}}

// match recognises the letter at column c. Larger ones are tried first, because a
// cell of a larger letter seldom looks like a smaller letter.
func (r *reader) match(top, height, c, columns int) (found, bool) {
	blank := r.blank(top, height, c, 1)
	for _, s := range sizes {
		n := s.columns * s.w
		if s.h*cellHeight > height || c+n > columns || blank && s.columns == 1 {
			continue
		}
		y := top + height - s.h*cellHeight
		if y > top && !r.blank(top, y-top, c, n) {
			continue
		}
		if blank && (!r.blank(top, height, c, n/2) || r.narrowAfter(top, height, c+n/2, s)) {
			continue
		}
		if letter, ok := r.cell(c*cellWidth, y, s); ok {
			return found{letter, n, s.h == 2}, true
		}
	}
	return found{' ', 1, false}, blank
}

// narrowAfter reports whether a narrow letter of the same scale stands at column
// c: then a white column before it is a space.
func (r *reader) narrowAfter(top, height, c int, s size) bool {
	s.columns = 1
	_, ok := r.cell(c*cellWidth, top+height-s.h*cellHeight, s)
	return ok
}

// blank reports whether n columns are white over the given height.
func (r *reader) blank(top, height, c, n int) bool {
	for y := top; y < top+height; y++ {
		if r.dots(c*cellWidth, y, n*cellWidth) != 0 {
			return false
		}
	}
	return true
}

// dots returns n dots of line y from x on, at most 48, the leftmost one highest.
// Outside the paper all is white.
func (r *reader) dots(x, y, n int) uint64 {
	if y < 0 || y >= r.bm.Height {
		return 0
	}
	var v uint64
	line := r.bm.Line(y)
	for i := x / 8; i <= (x+n-1)/8; i++ {
		v <<= 8
		if i < len(line) {
			v |= uint64(line[i])
		}
	}
	spare := 7 - (x+n-1)%8
	return v >> spare & (1<<n - 1)
}

// halve takes every second of n pairs of equal bits; ok is false when a pair differs.
func halve(v uint64, n int) (out uint64, ok bool) {
	const low = 0x5555_5555_5555_5555
	if v>>1&low != v&low {
		return 0, false
	}
	for i := range n {
		out |= v >> (2 * i) & 1 << i
	}
	return out, true
}

// cell compares the dots at x, y with the glyph table.
func (r *reader) cell(x, y int, s size) (rune, bool) {
	var rows [cellHeight]uint32
	for gy := range cellHeight {
		v := r.dots(x, y+gy*s.h, s.columns*s.w*cellWidth)
		if s.h == 2 && v != r.dots(x, y+gy*2+1, s.columns*s.w*cellWidth) {
			return 0, false
		}
		if s.w == 2 {
			var ok bool
			if v, ok = halve(v, s.columns*cellWidth); !ok {
				return 0, false
			}
		}
		rows[gy] = uint32(v)
	}
	if letter, ok := glyphs()[hash(s.columns, &rows)]; ok {
		return letter, true
	}
	for i := range rows {
		rows[i] = ^rows[i] & (1<<(s.columns*cellWidth) - 1)
	}
	if rows == [cellHeight]uint32{} {
		return ' ', s.columns == 1
	}
	letter, ok := glyphs()[hash(s.columns, &rows)]
	return letter, ok
}

var seed = maphash.MakeSeed()

// hash is the key of a picture: 64 bits of hash stand for it; two of the 57,000
// pictures share one with a chance of 1 in ten thousand million.
func hash(columns int, rows *[cellHeight]uint32) uint64 {
	var b [1 + 4*cellHeight]byte
	b[0] = byte(columns)
	for i, v := range rows {
		b[1+4*i], b[2+4*i], b[3+4*i], b[4+4*i] = byte(v>>24), byte(v>>16), byte(v>>8), byte(v)
	}
	return maphash.Bytes(seed, b[:])
}

// glyphs maps every picture, plain and bold, to its character.
var glyphs = sync.OnceValue(func() map[uint64]rune {
	table := make(map[uint64]rune, 60_000)
	add := func(r rune, g raster.Glyph) {
		var plain, bold [cellHeight]uint32
		for y := range cellHeight {
			stride := g.Columns + 1
			for i := range g.Columns * cellWidth {
				plain[y] <<= 1
				if g.Bits[y*stride+i/8]&(0x80>>(i%8)) != 0 {
					plain[y] |= 1
				}
			}
			bold[y] = plain[y] | plain[y]>>1
		}
		if plain == [cellHeight]uint32{} {
			return
		}
		for _, rows := range []*[cellHeight]uint32{&plain, &bold} {
			key := hash(g.Columns, rows)
			if old, ok := table[key]; !ok || usual(r) < usual(old) {
				table[key] = r
			}
		}
	}
	for r, g := range raster.Glyphs() {
		add(r, g)
	}
	narrow, wide := raster.Boxes()
	add(raster.Replacement, narrow)
	add(raster.Replacement, wide)
	return table
})

// usual ranks characters that look the same: ASCII, Chinese, then the others.
func usual(r rune) int {
	switch {
	case r < 0x7F:
		return 0
	case r >= 0x4E00 && r <= 0x9FFF:
		return 1
	}
	return 2
}
