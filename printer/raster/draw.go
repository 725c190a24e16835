package raster

import (
	"image/png"
	"io"

	"posagent/printer"
)

// Draw draws the whole page into bm, whose memory it uses again when that is
// large enough.
func (p *Page) Draw(bm *printer.Bitmap) {
	bm.Reset(p.Width, p.Height)
	for i := range p.rows {
		r := &p.rows[i]
		switch r.kind {
		case rowText:
			for k := range r.runs {
				drawRun(bm, r, &r.runs[k])
			}
		case rowRule:
			DrawRule(bm, r.y, r.rule)
		case rowGraphic:
			drawBitmap(bm, r)
		}
	}
}

// PNG writes the page as a picture of one bit per dot.
func (p *Page) PNG(w io.Writer) error {
	var bm printer.Bitmap
	p.Draw(&bm)
	return png.Encode(w, &bm)
}

// Draw lays a document out and draws it.
func Draw(doc *printer.Document) (*printer.Bitmap, *Page, error) {
	p, err := Layout(doc)
	if err != nil {
		return nil, nil, err
	}
	bm := &printer.Bitmap{}
	p.Draw(bm)
	return bm, p, nil
}

func drawRun(bm *printer.Bitmap, r *row, t *run) {
	_, h := scale(t.style)
	y := r.y + r.height - gapDots - h*GlyphDots
	DrawText(bm, t.column, y, t.text, t.style)
	if t.style.Underline {
		for dy := range UnderlineDots {
			orBits(bm.Line(r.y+r.height-gapDots+UnderlineGap+dy), t.column*printer.ColumnDots, t.columns*printer.ColumnDots)
		}
	}
}

// The underline lies UnderlineGap dot lines below the letters and is
// UnderlineDots high.
const (
	UnderlineGap  = 1
	UnderlineDots = 2
)

// orBits blackens n dots of a line from x on.
func orBits(line []byte, x, n int) {
	for i := x; i < x+n && i < len(line)*8; i++ {
		line[i/8] |= 0x80 >> (i % 8)
	}
}

// DrawText draws one line of letters, without underline, with its upper left
// corner at a column of the grid and a dot line, and returns the column after it.
// What lies outside the bitmap is left out, so the caller wraps first.
func DrawText(bm *printer.Bitmap, column, y int, text string, s printer.Style) int {
	w, h := scale(s)
	for _, c := range text {
		g, _ := Lookup(c)
		drawGlyph(bm, column*printer.ColumnDots, y, g, s.Bold, s.Invert, w, h)
		column += g.Columns * w
	}
	return column
}

func drawGlyph(bm *printer.Bitmap, x, y int, g Glyph, bold, invert bool, w, h int) {
	dots := g.Columns * printer.ColumnDots
	for gy := range GlyphDots {
		v := g.row(gy)
		if bold {
			v |= v >> 1
		}
		if invert {
			v = ^v & (1<<dots - 1)
		}
		if v == 0 {
			continue
		}
		width := dots
		if w == 2 {
			v, width = double(v, dots), 2*dots
		}
		for i := range h {
			if at := y + gy*h + i; at >= 0 && at < bm.Height {
				orRow(bm.Line(at), x, v, width)
			}
		}
	}
}

// double repeats each of the lowest n bits.
func double(v uint64, n int) uint64 {
	var out uint64
	for i := range n {
		out |= v >> i & 1 * 3 << (2 * i)
	}
	return out
}

// orRow blackens the dots of the lowest width bits of v, at most 48, from x on.
func orRow(line []byte, x int, v uint64, width int) {
	v <<= 64 - width
	v >>= x % 8
	for i := x / 8; v != 0 && i < len(line); i++ {
		line[i] |= byte(v >> 56)
		v <<= 8
	}
}

// DrawRule draws a rule into the 12 dot lines from y on.
func DrawRule(bm *printer.Bitmap, y int, kind printer.RuleKind) {
	pattern, lines := byte(0xFF), [...]int{5, 6}
	switch kind {
	case printer.Dashed:
		pattern = 0xF8
	case printer.Double:
		lines = [...]int{4, 7}
	}
	for _, dy := range lines {
		if y+dy >= bm.Height {
			continue
		}
		line := bm.Line(y + dy)
		for i := range line {
			line[i] = pattern
		}
	}
}

func drawBitmap(bm *printer.Bitmap, r *row) {
	n := r.bitmap.Stride()
	for y := range r.bitmap.Height {
		copy(bm.Line(r.y + r.top + y)[r.x/8:], r.bitmap.Line(y)[:n])
	}
}
