// Package screen draws an operator.Screen as the image that a panel shows, with
// the letters of the receipt.
//
// It is pure: the same Screen gives the same picture, on a real panel, in the
// laboratory's page and in a golden file. It keeps nothing and starts nothing.
//
//	img := screen.New(320, 240)
//	screen.Draw(img, s)            // draws over what was there
//
// # Decisions
//
// The picture has sixteen fixed colours (image.Paletted): a panel driver converts
// a palette once, and a changed region is found by comparing bytes.
//
// Text that does not fit a line is wrapped at the grid of the letters; what does
// not fit the screen below that is marked with an ellipsis, never cut silently.
package screen

import (
	"image"
	"image/color"

	"posagent/agent/operator"
	"posagent/printer/raster"
)

// Colours of the palette.
const (
	white uint8 = iota
	black
	grey
	paleGrey
	blue
	paleBlue
	green
	paleGreen
	red
	paleRed
	amber
)

var palette = color.Palette{
	white:     color.RGBA{0xff, 0xff, 0xff, 0xff},
	black:     color.RGBA{0x16, 0x1b, 0x22, 0xff},
	grey:      color.RGBA{0x6a, 0x73, 0x7d, 0xff},
	paleGrey:  color.RGBA{0xf0, 0xf2, 0xf5, 0xff},
	blue:      color.RGBA{0x0b, 0x4f, 0x9e, 0xff},
	paleBlue:  color.RGBA{0xe3, 0xee, 0xfb, 0xff},
	green:     color.RGBA{0x0f, 0x7a, 0x3d, 0xff},
	paleGreen: color.RGBA{0xe2, 0xf5, 0xe9, 0xff},
	red:       color.RGBA{0xb4, 0x23, 0x18, 0xff},
	paleRed:   color.RGBA{0xfd, 0xe9, 0xe7, 0xff},
	amber:     color.RGBA{0x9a, 0x67, 0x00, 0xff},
}

// Sizes in dots: the letters are 24 high, a column is 12 wide.
const (
	column    = 12
	lineStep  = 28
	barHeight = 28
	margin    = 10
	// hintLines is the most lines of what to do next; a test of the catalogue's
	// hints holds them to it.
	hintLines = 2
)

// New makes an empty picture of the given size in dots.
func New(width, height int) *image.Paletted {
	return image.NewPaletted(image.Rect(0, 0, width, height), palette)
}

// tones gives the colours of the title: letters and ground.
func tones(t operator.Tone) (ink, ground uint8) {
	switch t {
	case operator.Good:
		return green, paleGreen
	case operator.Bad:
		return red, paleRed
	case operator.Busy:
		return amber, paleGrey
	}
	return blue, paleBlue
}

// Draw draws a screen over the whole picture, which must come from New.
func Draw(img *image.Paletted, s operator.Screen) {
	width, height := img.Rect.Dx(), img.Rect.Dy()
	ink, ground := tones(s.Tone)
	fill(img, img.Rect, white)
	drawStatus(img, s)
	fill(img, image.Rect(0, barHeight, width, barHeight+lineStep+8), ground)
	y := barHeight + 6
	text(img, centre(width, s.Title), y, s.Title, ink, 1)
	y += lineStep + 8
	hint := wrap(s.Hint, (width-2*margin)/column)
	hint = hint[:min(len(hint), hintLines)]
	top := height - len(hint)*barHeight
	bottom := top - 4
	if s.Amount != "" && y+2*raster.GlyphDots <= bottom {
		text(img, max(margin, (width-2*column*columns(s.Amount))/2), y, s.Amount, black, 2)
		y += 2*raster.GlyphDots + 6
	}
	if s.Dots >= 0 {
		y = drawDots(img, s.Dots, y)
	}
	y = drawLines(img, s.Lines, y, bottom)
	drawChoices(img, s.Choices, y, bottom)
	fill(img, image.Rect(0, top, width, height), paleGrey)
	for i, h := range hint {
		text(img, centre(width, h), top+i*barHeight+2, h, black, 1)
	}
}

func drawStatus(img *image.Paletted, s operator.Screen) {
	width := img.Rect.Dx()
	fill(img, image.Rect(0, 0, width, barHeight), black)
	text(img, margin, 2, s.Status.Terminal, white, 1)
	x := width - margin
	for _, light := range []struct {
		letter string
		on     bool
	}{{"P", s.Status.Paper}, {"H", s.Status.Host}, {"N", s.Status.Network}} {
		x -= column + 8
		colour := red
		if light.on {
			colour = green
		}
		fill(img, image.Rect(x-3, 3, x+column+3, barHeight-3), colour)
		text(img, x, 2, light.letter, white, 1)
	}
	if s.Status.Open > 0 {
		fill(img, image.Rect(x-40, 3, x-8, barHeight-3), amber)
		text(img, x-30, 2, "R", white, 1)
	}
}

func drawDots(img *image.Paletted, n, y int) int {
	const pitch, size = 22, 12
	n = min(n, 12) // ISO 9564: at most twelve digits
	width := img.Rect.Dx()
	for i := range 6 {
		x := (width-6*pitch)/2 + i*pitch
		fill(img, image.Rect(x, y+lineStep-4, x+size, y+lineStep-2), grey)
	}
	for i := range n {
		x := (width-max(n, 6)*pitch)/2 + i*pitch
		fill(img, image.Rect(x, y+6, x+size, y+6+size), black)
	}
	return y + lineStep + 4
}

func drawLines(img *image.Paletted, lines []string, y, bottom int) int {
	var all []string
	for _, l := range lines {
		all = append(all, wrap(l, (img.Rect.Dx()-2*margin)/column)...)
	}
	room := max(0, (bottom-y)/lineStep)
	if len(all) > room {
		all = all[:room]
		if room > 0 {
			all[room-1] = "..."
		}
	}
	for _, l := range all {
		text(img, margin, y, l, black, 1)
		y += lineStep
	}
	return y
}

func drawChoices(img *image.Paletted, choices []operator.Choice, y, bottom int) {
	for _, c := range choices {
		if y+lineStep > bottom {
			return
		}
		name := keyName(c.Key)
		fill(img, image.Rect(margin, y, margin+columns(name)*column+8, y+lineStep-3), blue)
		text(img, margin+4, y, name, white, 1)
		text(img, margin+columns(name)*column+18, y, c.Text, black, 1)
		y += lineStep
	}
}

func keyName(k operator.Key) string {
	if k == operator.KeyFunc {
		return "F"
	}
	return string(k)
}

func fill(img *image.Paletted, r image.Rectangle, c uint8) {
	r = r.Intersect(img.Rect)
	if r.Empty() {
		return
	}
	for y := r.Min.Y; y < r.Max.Y; y++ {
		row := img.Pix[img.PixOffset(r.Min.X, y) : img.PixOffset(r.Max.X-1, y)+1]
		for i := range row {
			row[i] = c
		}
	}
}

// text draws one line with its upper left corner at x, y; scale repeats dots.
func text(img *image.Paletted, x, y int, s string, c uint8, scale int) {
	for _, r := range s {
		g, _ := raster.Lookup(r)
		glyph(img, x, y, g, c, scale)
		x += g.Columns * column * scale
	}
}

func glyph(img *image.Paletted, x, y int, g raster.Glyph, c uint8, scale int) {
	stride := g.Columns + 1
	for row := range raster.GlyphDots {
		for col := range g.Columns * column {
			if g.Bits[row*stride+col/8]&(0x80>>(col%8)) == 0 {
				continue
			}
			if scale == 1 {
				if p := (image.Point{X: x + col, Y: y + row}); p.In(img.Rect) {
					img.Pix[img.PixOffset(p.X, p.Y)] = c
				}
				continue
			}
			fill(img, image.Rect(x+col*scale, y+row*scale, x+(col+1)*scale, y+(row+1)*scale), c)
		}
	}
}

func columns(s string) int {
	n := 0
	for _, r := range s {
		g, _ := raster.Lookup(r)
		n += g.Columns
	}
	return n
}

func centre(width int, s string) int { return max(margin, (width-columns(s)*column)/2) }

// wrap breaks text into lines of at most n columns, at spaces where there are
// any in the second half of the line.
func wrap(s string, n int) []string {
	var lines []string
	var line []rune
	used := 0
	flush := func() { lines, line, used = append(lines, string(line)), nil, 0 }
	for _, r := range s {
		g, _ := raster.Lookup(r)
		if used+g.Columns > n {
			keep := line
			for i := len(line) - 1; i > len(line)/2; i-- {
				if line[i] == ' ' {
					line, keep = line[:i], line[i+1:]
					break
				}
			}
			if len(keep) == len(line) {
				keep = nil
			}
			rest := append([]rune{}, keep...)
			flush()
			line, used = rest, columns(string(rest))
		}
		line, used = append(line, r), used+g.Columns
	}
	if len(line) > 0 {
		flush()
	}
	return lines
}
