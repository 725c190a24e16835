package thermalsim

import (
	"bytes"

	"golang.org/x/text/encoding/simplifiedchinese"

	"posagent/printer"
	"posagent/printer/escpos"
	"posagent/printer/raster"
)

// maxLetters bounds the letters that wait for a line feed.
const maxLetters = 4096

// head turns commands into dot lines.
type head struct {
	feed    uint32   // white lines to come, after rows
	cut     bool     // cut when feed has run out
	rows    [][]byte // lines to come
	mode    uint8    // of the raster being received
	letters []byte   // GB18030, waiting for a line feed
	style   printer.Style
	spacing int
}

// reset is the state after switch-on and ESC @.
func (h *head) reset() { *h = head{spacing: printer.LineDots} }

// next takes the next dot line.
func (h *head) next() (row []byte, ok bool) {
	switch {
	case len(h.rows) > 0:
		row, h.rows = h.rows[0], h.rows[1:]
		return row, true
	case h.feed > 0:
		h.feed--
		return nil, true
	}
	return nil, false
}

// execute runs a command that prints, feeds or sets a mode.
func (h *head) execute(c escpos.Command, width int) {
	switch c.Op {
	case escpos.OpInit:
		h.reset()
	case escpos.OpFeed:
		h.print(width, int(c.N))
	case escpos.OpFeedLines:
		h.print(width, int(c.N)*h.spacing)
	case escpos.OpLine:
		h.print(width, h.spacing)
	case escpos.OpSpacing:
		h.spacing = int(c.N)
	case escpos.OpText:
		h.letters = append(h.letters, c.Data[:min(len(c.Data), maxLetters-len(h.letters))]...)
	case escpos.OpRaster:
		h.mode = c.Mode
	case escpos.OpRow:
		h.raster(c.Data)
	case escpos.OpMode:
		h.style.Bold, h.style.Underline = c.N&0x08 != 0, c.N&0x80 != 0
		h.style.Height, h.style.Width = uint8(c.N>>4&1)+1, uint8(c.N>>5&1)+1
	case escpos.OpSize:
		h.style.Width, h.style.Height = uint8(min(c.N>>4&7, 1))+1, uint8(min(c.N&7, 1))+1
	case escpos.OpBold:
		h.style.Bold = c.N&1 != 0
	case escpos.OpUnderline:
		h.style.Underline = c.N&3 != 0
	case escpos.OpInvert:
		h.style.Invert = c.N&1 != 0
	case escpos.OpAlign:
		h.style.Align = printer.Align(min(c.N&0x0F, uint16(printer.Right)))
	}
}

// raster adds one line of GS v 0, doubled as its mode says.
func (h *head) raster(data []byte) {
	row := bytes.Clone(data)
	if h.mode&1 != 0 {
		row = make([]byte, 2*len(data))
		for i := range len(data) * 8 {
			if data[i/8]&(0x80>>(i%8)) != 0 {
				row[i/4] |= 0xC0 >> (2 * i % 8)
			}
		}
	}
	h.rows = append(h.rows, row)
	if h.mode&2 != 0 {
		h.rows = append(h.rows, row)
	}
}

// print prints the waiting letters, if any, and feeds at least the given dots.
func (h *head) print(width, dots int) {
	if len(h.letters) == 0 {
		h.feed += uint32(dots)
		return
	}
	text, _ := simplifiedchinese.GB18030.NewDecoder().Bytes(h.letters)
	h.letters = h.letters[:0]
	doc := &printer.Document{Width: width, Elements: []printer.Element{printer.Text{String: string(text), Style: h.style}}}
	bm, _, err := raster.Draw(doc)
	if err != nil { // longer than any document allows
		h.feed += uint32(dots)
		return
	}
	for y := range bm.Height {
		h.rows = append(h.rows, bm.Line(y))
	}
	h.feed += uint32(max(dots-bm.Height, 0))
}
