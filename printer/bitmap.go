package printer

import (
	"image"
	"image/color"
)

// Bitmap is a picture of single dots, the form in which everything reaches
// paper. It is an image.PalettedImage of two colours, so that image/png writes
// it with one bit per dot.
type Bitmap struct {
	// Width and Height are in dots. Width is a multiple of 8.
	Width, Height int
	// Pix holds Height lines of Width/8 bytes. The most significant bit is the
	// leftmost dot and 1 is black.
	Pix []byte
}

// NewBitmap returns a white bitmap; the width is rounded up to a multiple of 8.
func NewBitmap(width, height int) *Bitmap {
	b := &Bitmap{}
	b.Reset(width, height)
	return b
}

// Reset makes b a white bitmap of the given size and keeps its memory when that
// is large enough. The width is rounded up to a multiple of 8; a negative size
// counts as zero.
func (b *Bitmap) Reset(width, height int) {
	width, height = max(width, 0), max(height, 0)
	b.Width, b.Height = (width+7)/8*8, height
	n := b.Stride() * height
	if cap(b.Pix) < n {
		b.Pix = make([]byte, n)
		return
	}
	b.Pix = b.Pix[:n]
	clear(b.Pix)
}

// Stride is the number of bytes in one line.
func (b *Bitmap) Stride() int { return b.Width / 8 }

// Line returns the bytes of line y, which must be inside the picture.
func (b *Bitmap) Line(y int) []byte {
	n := b.Stride()
	return b.Pix[y*n : (y+1)*n : (y+1)*n]
}

// Black reports whether a dot is black. Outside the picture everything is white.
func (b *Bitmap) Black(x, y int) bool {
	if x < 0 || y < 0 || x >= b.Width || y >= b.Height {
		return false
	}
	return b.Pix[y*b.Stride()+x/8]&(0x80>>(x%8)) != 0
}

// SetBlack blackens a dot. Outside the picture it does nothing.
func (b *Bitmap) SetBlack(x, y int) {
	if x < 0 || y < 0 || x >= b.Width || y >= b.Height {
		return
	}
	b.Pix[y*b.Stride()+x/8] |= 0x80 >> (x % 8)
}

// palette is the two colours of paper: index 0 is white, 1 is black.
var palette = color.Palette{color.White, color.Black}

// ColorModel is the palette of white and black.
func (b *Bitmap) ColorModel() color.Model { return palette }

// Bounds is the picture's rectangle with its corner at zero.
func (b *Bitmap) Bounds() image.Rectangle { return image.Rect(0, 0, b.Width, b.Height) }

// At is color.White or color.Black.
func (b *Bitmap) At(x, y int) color.Color { return palette[b.ColorIndexAt(x, y)] }

// ColorIndexAt is 1 for a black dot and 0 for a white one.
func (b *Bitmap) ColorIndexAt(x, y int) uint8 {
	if b.Black(x, y) {
		return 1
	}
	return 0
}
