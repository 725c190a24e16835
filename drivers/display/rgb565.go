package display

import (
	"image"
	"image/color"
)

// RGB565 is the panel's own colour: 5 bits red, 6 green, 5 blue.
type RGB565 uint16

// RGBA widens to 16 bits per channel; full intensity stays full.
func (c RGB565) RGBA() (r, g, b, a uint32) {
	r, g, b = uint32(c>>11), uint32(c>>5&0x3F), uint32(c&0x1F)
	r = r<<3 | r>>2
	g = g<<2 | g>>4
	b = b<<3 | b>>2
	return r * 0x101, g * 0x101, b * 0x101, 0xFFFF
}

// Model converts any colour to RGB565. Transparent parts turn black, which is
// what premultiplied colour over a dark panel is.
var Model = color.ModelFunc(func(c color.Color) color.Color {
	r, g, b, _ := c.RGBA()
	return pack(uint8(r>>8), uint8(g>>8), uint8(b>>8))
})

func pack(r, g, b uint8) RGB565 {
	return RGB565(r>>3)<<11 | RGB565(g>>2)<<5 | RGB565(b>>3)
}

// reader returns a function that reads one pixel of src, without allocating for
// the image kinds that agent/screen and the standard library's codecs make.
func reader(src image.Image) func(x, y int) RGB565 {
	switch m := src.(type) {
	case *image.RGBA:
		return func(x, y int) RGB565 {
			p := m.Pix[m.PixOffset(x, y):]
			return pack(p[0], p[1], p[2])
		}
	case *image.Gray:
		return func(x, y int) RGB565 {
			v := m.Pix[m.PixOffset(x, y)]
			return pack(v, v, v)
		}
	case *image.Uniform:
		r, g, b, _ := m.RGBA()
		c := pack(uint8(r>>8), uint8(g>>8), uint8(b>>8))
		return func(int, int) RGB565 { return c }
	}
	return func(x, y int) RGB565 {
		r, g, b, _ := src.At(x, y).RGBA()
		return pack(uint8(r>>8), uint8(g>>8), uint8(b>>8))
	}
}
