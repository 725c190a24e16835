package raster

import (
	"slices"
	"strings"

	"posagent/printer"
)

// The vertical measures of the grid, in dot lines.
const (
	gridDots = 6 // every row starts at a multiple of this
	gapDots  = 6 // space below the letters of a line
	ruleDots = 12
)

// Page is a document laid out on paper.
type Page struct {
	// Width and Height are in dots.
	Width, Height int
	// Missing are the code points that are drawn as boxes, in order, each once.
	Missing []rune
	// Cuts are the heights in dot lines at which the paper ends.
	Cuts []int

	rows []row
}

// rowKind tells what a row draws.
type rowKind uint8

const (
	rowText rowKind = iota
	rowBlank
	rowRule
	rowGraphic
)

// row is a horizontal strip of the page.
type row struct {
	kind      rowKind
	y, height int
	runs      []run            // rowText
	rule      printer.RuleKind // rowRule
	x, top    int              // rowGraphic: place of the bitmap in the row
	bitmap    *printer.Bitmap  // rowGraphic
	label     string           // rowGraphic: what plain text shows
}

// run is a piece of one line in one style.
type run struct {
	text    string
	style   printer.Style
	column  int // first column on the grid
	columns int // width on the grid
}

// scale returns how often dots are repeated.
func scale(s printer.Style) (w, h int) {
	return max(int(s.Width), 1), max(int(s.Height), 1)
}

// Layout places every element of a document. Its error is a
// *printer.InvalidError: a bound is exceeded, or a QR code is larger than the
// paper.
func Layout(doc *printer.Document) (*Page, error) {
	if err := doc.Validate(); err != nil {
		return nil, err
	}
	p := &Page{Width: doc.Dots()}
	for i, e := range doc.Elements {
		switch e := e.(type) {
		case printer.Text:
			p.text(e)
		case printer.Columns:
			p.columns(e.Cells)
		case printer.Rule:
			p.add(row{kind: rowRule, height: ruleDots, rule: e.Kind})
		case printer.Feed:
			p.add(row{kind: rowBlank, height: int(e.Dots)})
		case printer.QR:
			if reason := p.qr(e); reason != "" {
				return nil, &printer.InvalidError{Element: i, Field: "Data", Reason: reason}
			}
		case printer.Image:
			p.graphic(e.Bitmap, e.Align, 0, "[image]")
		case printer.Cut:
			p.Cuts = append(p.Cuts, p.Height)
		}
	}
	slices.Sort(p.Missing)
	p.Missing = slices.Compact(p.Missing)
	return p, nil
}

// add puts a row below the others and rounds its height up to the grid.
func (p *Page) add(r row) {
	r.y = p.Height
	r.height = (r.height + gridDots - 1) / gridDots * gridDots
	p.Height += r.height
	p.rows = append(p.rows, r)
}

// grid is the number of columns on the paper.
func (p *Page) grid() int { return p.Width / printer.ColumnDots }

func (p *Page) text(e printer.Text) {
	w, _ := scale(e.Style)
	for _, line := range lines(e.String, p.grid(), w) {
		p.line([]run{p.place(line, e.Style, 0, p.grid())})
	}
}

// place aligns one line inside the columns from first on.
func (p *Page) place(text string, s printer.Style, first, columns int) run {
	w, _ := scale(s)
	r := run{text: text, style: s, column: first, columns: columnsOf(text) * w}
	p.noteMissing(text)
	switch free := columns - r.columns; s.Align {
	case printer.Center:
		r.column += max(free, 0) / 2
	case printer.Right:
		r.column += max(free, 0)
	}
	return r
}

func (p *Page) noteMissing(text string) {
	for _, c := range text {
		if _, ok := Lookup(c); !ok {
			p.Missing = append(p.Missing, c)
		}
	}
}

// line adds one row of text, as high as its highest letters.
func (p *Page) line(runs []run) {
	high := 1
	kept := runs[:0]
	for _, r := range runs {
		_, h := scale(r.style)
		high = max(high, h)
		if r.text != "" {
			kept = append(kept, r)
		}
	}
	kind := rowText
	if len(kept) == 0 {
		kind = rowBlank
	}
	p.add(row{kind: kind, height: high*GlyphDots + gapDots, runs: kept})
}

// columns puts cells side by side, or one below the other when they cannot be.
func (p *Page) columns(cells []printer.Cell) {
	widths, ok := share(cells, p.grid())
	if !ok {
		for _, c := range cells {
			p.text(printer.Text{String: c.String, Style: c.Style})
		}
		return
	}
	wrapped := make([][]string, len(cells))
	deepest := 0
	for i, c := range cells {
		w, _ := scale(c.Style)
		wrapped[i] = lines(c.String, widths[i], w)
		deepest = max(deepest, len(wrapped[i]))
	}
	for n := range deepest {
		runs := make([]run, 0, len(cells))
		at := 0
		for i, c := range cells {
			if n < len(wrapped[i]) {
				runs = append(runs, p.place(wrapped[i][n], c.Style, at, widths[i]))
			}
			at += widths[i] + 1
		}
		p.line(runs)
	}
}

// share gives every cell its columns: one of weight zero what its text needs, the
// others the rest by weight. It is false when a cell would have to break a word.
func share(cells []printer.Cell, grid int) (widths []int, ok bool) {
	widths = make([]int, len(cells))
	rest, weights, last := grid-(len(cells)-1), 0, -1
	for i, c := range cells {
		if c.Weight > 0 {
			weights += int(c.Weight)
			last = i
			continue
		}
		w, _ := scale(c.Style)
		widths[i] = widest(c.String) * w
		rest -= widths[i]
	}
	if rest < 0 {
		return nil, false
	}
	left := rest
	for i, c := range cells {
		if c.Weight == 0 {
			continue
		}
		widths[i] = rest * int(c.Weight) / weights
		left -= widths[i]
	}
	if last >= 0 {
		widths[last] += left
	}
	for i, c := range cells {
		w, _ := scale(c.Style)
		if c.Weight > 0 && c.String != "" && widths[i] < max(longestWord(c.String), 2)*w {
			return nil, false
		}
	}
	return widths, true
}

// widest is the width in columns of the longest line of a text.
func widest(text string) int {
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n = max(n, columnsOf(strings.TrimSuffix(line, "\r")))
	}
	return n
}
