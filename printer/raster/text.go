package raster

import (
	"strings"

	"posagent/printer"
)

// Text is the page as plain text: one line for every line on paper, every column
// of the grid one letter or half a wide one. A code point without a glyph is
// shown as Replacement, codes and images as a label in brackets. A document's
// empty paper becomes one empty line for every 30 dots, except at its ends.
func (p *Page) Text() string {
	var b strings.Builder
	blank := 0
	for i := range p.rows {
		r := &p.rows[i]
		if r.kind == rowBlank {
			blank += r.height
			continue
		}
		if b.Len() > 0 {
			for range blank / printer.LineDots {
				b.WriteByte('\n')
			}
		}
		blank = 0
		switch r.kind {
		case rowText:
			b.WriteString(textLine(r.runs))
		case rowRule:
			b.WriteString(RuleText(r.rule, p.grid()))
		case rowGraphic:
			b.WriteString(r.label)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// textLine puts the runs of one line at their columns.
func textLine(runs []run) string {
	var b strings.Builder
	column := 0
	for _, t := range runs {
		pad(&b, t.column-column)
		w, _ := scale(t.style)
		for _, c := range t.text {
			g, ok := Lookup(c)
			switch {
			case !ok:
				b.WriteRune(Replacement)
			case isBlank(c):
				pad(&b, g.Columns*w)
			default:
				b.WriteRune(c)
			}
		}
		column = t.column + t.columns
	}
	return strings.TrimRight(b.String(), " ")
}

func pad(b *strings.Builder, n int) {
	for range n {
		b.WriteByte(' ')
	}
}

// isBlank reports whether the glyph of a character leaves no ink.
func isBlank(c rune) bool {
	return c == ' ' || c == '\u00A0' || c >= '\u2000' && c <= '\u200A' || c == '\u202F' || c == '\u205F' || c == '\u3000'
}

// RuleText is a rule as plain text.
func RuleText(kind printer.RuleKind, columns int) string {
	switch kind {
	case printer.Dashed:
		return strings.Repeat("- ", columns/2)[:columns/2*2-1]
	case printer.Double:
		return strings.Repeat("=", columns)
	}
	return strings.Repeat("-", columns)
}
