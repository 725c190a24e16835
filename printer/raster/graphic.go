package raster

import (
	"fmt"

	"posagent/printer"

	"rsc.io/qr"
)

// quietZone is the white border of a QR code in modules, ISO/IEC 18004:2015,
// 6.3.8.
const quietZone = 4

// Bounds of the module size when the document leaves it open, in dots.
const (
	minModule = 3 // 0.375 mm, the smallest that cheap cameras read from paper
	maxModule = 6 // 0.75 mm
)

var levels = [...]qr.Level{
	printer.ECCMedium: qr.M, printer.ECCLow: qr.L, printer.ECCQuartile: qr.Q, printer.ECCHigh: qr.H,
}

// qr adds a code, or says why it does not fit.
func (p *Page) qr(e printer.QR) (reason string) {
	code, err := qr.Encode(e.Data, levels[e.ECC])
	if err != nil {
		return fmt.Sprintf("%d bytes do not fit a QR code of this error correction", len(e.Data))
	}
	modules := code.Size + 2*quietZone
	size := int(e.ModuleSize)
	if size == 0 {
		size = min(p.Width/modules, maxModule)
	}
	if size < minModule && e.ModuleSize == 0 || size*modules > p.Width {
		return fmt.Sprintf("a QR code of %d modules does not fit %d dots", modules, p.Width)
	}
	bm := printer.NewBitmap(code.Size*size, code.Size*size)
	for y := range code.Size {
		for x := range code.Size {
			if code.Black(x, y) {
				fill(bm, x*size, y*size, size, size)
			}
		}
	}
	p.graphic(bm, e.Align, quietZone*size, "[QR "+e.Data+"]")
	return ""
}

// graphic adds a bitmap with a white border on all sides.
func (p *Page) graphic(bm *printer.Bitmap, align printer.Align, border int, label string) {
	x := 0
	switch free := p.Width - bm.Width; align {
	case printer.Left:
		x = min((border+7)/8*8, free)
	case printer.Center:
		x = free / 2 / 8 * 8
	case printer.Right:
		x = max(free-(border+7)/8*8, 0)
	}
	p.add(row{kind: rowGraphic, height: bm.Height + 2*border, bitmap: bm, x: x, top: border, label: label})
}

// fill blackens a rectangle.
func fill(bm *printer.Bitmap, x, y, w, h int) {
	for i := range h {
		for k := range w {
			bm.SetBlack(x+k, y+i)
		}
	}
}
