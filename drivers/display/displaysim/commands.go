package displaysim

import (
	"image/color"
	"time"
)

// Commands that are understood; the rest is swallowed with its parameters.
const (
	swreset = 0x01
	slpin   = 0x10
	slpout  = 0x11
	invoff  = 0x20
	invon   = 0x21
	dispoff = 0x28
	dispon  = 0x29
	caset   = 0x2A
	paset   = 0x2B
	ramwr   = 0x2C
	madctl  = 0x36
	colmod  = 0x3A
	ramwrc  = 0x3C // memory write continue
)

// Bits of MADCTL.
const (
	bitMY  = 0x80
	bitMX  = 0x40
	bitMV  = 0x20
	bitBGR = 0x08
)

// command starts a command. Called with mu held.
func (p *Panel) command(c byte) {
	now := time.Now()
	if p.wrote { // a picture that did not fill its window ends here
		p.wrote, p.notify = false, true
	}
	p.cmd, p.params, p.pixel = 0, p.params[:0], p.pixel[:0]
	if now.Before(p.deafTo) {
		return
	}
	p.cmd = c
	switch c {
	case swreset:
		p.reset()
	case slpin:
		if !p.asleep {
			p.asleep, p.notify = true, true
			p.sleepOK = now.Add(sleepGap)
		}
	case slpout:
		if p.asleep && !now.Before(p.sleepOK) {
			p.asleep, p.notify = false, true
			p.deafTo = now.Add(deaf)
		}
	case invoff, invon:
		p.invert, p.notify = c == invon, true
	case dispoff, dispon:
		p.on, p.notify = c == dispon, true
	case ramwr:
		p.x, p.y = p.cs, p.ps
	}
}

// data takes one parameter or pixel byte. Called with mu held.
func (p *Panel) data(b byte) {
	switch p.cmd {
	case ramwr, ramwrc:
		p.pixel = append(p.pixel, b)
		p.paint()
		return
	}
	if len(p.params) == maxParams {
		return
	}
	p.params = append(p.params, b)
	v := func(i int) uint16 { return uint16(p.params[i])<<8 | uint16(p.params[i+1]) }
	switch {
	case p.cmd == madctl && len(p.params) == 1:
		p.madctl = b
	case p.cmd == colmod && len(p.params) == 1:
		p.colmod = b
	case p.cmd == caset && len(p.params) == 4:
		if lo, hi := v(0), v(2); lo <= hi && hi < p.limit(columns, rows) {
			p.cs, p.ce = lo, hi
		}
	case p.cmd == paset && len(p.params) == 4:
		if lo, hi := v(0), v(2); lo <= hi && hi < p.limit(rows, columns) {
			p.ps, p.pe = lo, hi
		}
	}
}

// limit is a for rows and columns as they lie, b when MADCTL exchanges them.
func (p *Panel) limit(a, b uint16) uint16 {
	if p.madctl&bitMV != 0 {
		return b
	}
	return a
}

// paint stores a finished pixel and moves on within the window.
func (p *Panel) paint() {
	var c color.RGBA
	switch p.colmod & 7 {
	case 5: // 16 bits
		if len(p.pixel) < 2 {
			return
		}
		v := uint16(p.pixel[0])<<8 | uint16(p.pixel[1])
		r, g, b := byte(v>>11), byte(v>>5&0x3F), byte(v&0x1F)
		c = color.RGBA{r<<3 | r>>2, g<<2 | g>>4, b<<3 | b>>2, 0xFF}
	case 6: // 18 bits, six in the top of each byte
		if len(p.pixel) < 3 {
			return
		}
		wide := func(v byte) byte { v >>= 2; return v<<2 | v>>4 }
		c = color.RGBA{wide(p.pixel[0]), wide(p.pixel[1]), wide(p.pixel[2]), 0xFF}
	default: // no such format: the pixel never ends
		p.pixel = p.pixel[:0]
		return
	}
	p.pixel = p.pixel[:0]
	if p.madctl&bitBGR == 0 {
		c.R, c.B = c.B, c.R // the glass is blue, green, red
	}
	p.store(c)
	p.wrote = true
	if p.x++; p.x > p.ce {
		p.x = p.cs
		if p.y++; p.y > p.pe {
			p.y = p.ps
			p.wrote, p.notify = false, true
		}
	}
}

// store puts c where the address counter points, through MADCTL.
func (p *Panel) store(c color.RGBA) {
	col, row := p.x, p.y
	if p.madctl&bitMV != 0 {
		col, row = row, col
	}
	if col >= columns || row >= rows {
		return // the window was set under another orientation
	}
	if p.madctl&bitMX != 0 {
		col = columns - 1 - col
	}
	if p.madctl&bitMY != 0 {
		row = rows - 1 - row
	}
	p.mem[row][col] = c
}
