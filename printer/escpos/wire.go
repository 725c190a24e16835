package escpos

// Control bytes.
const (
	eot = 0x04
	lf  = 0x0A
	dle = 0x10
	esc = 0x1B
	fs  = 0x1C
	gs  = 0x1D
)

// FlushZeros is how many NUL bytes end whatever raster an interrupted printer is
// still waiting for: more than any band, and what field reports found enough.
const FlushZeros = 8192

// AppendInit appends ESC @: reset modes, drop what is not yet printed.
func AppendInit(dst []byte) []byte { return append(dst, esc, '@') }

// AppendFeed appends as many ESC J n as it takes to feed the given dot lines.
func AppendFeed(dst []byte, dots uint32) []byte {
	for ; dots > 255; dots -= 255 {
		dst = append(dst, esc, 'J', 255)
	}
	if dots > 0 {
		dst = append(dst, esc, 'J', byte(dots))
	}
	return dst
}

// AppendRasterHead appends the head of GS v 0 in normal size. Exactly
// widthBytes*rows bytes must follow.
func AppendRasterHead(dst []byte, widthBytes, rows uint16) []byte {
	return append(dst, gs, 'v', '0', 0, byte(widthBytes), byte(widthBytes>>8), byte(rows), byte(rows>>8))
}

// AppendAckRequest appends GS r 1. The printer answers with State.Sensor when
// everything before it has been printed.
func AppendAckRequest(dst []byte) []byte { return append(dst, gs, 'r', 1) }

// AppendStatusRequest appends DLE EOT n, n from 1 to 4, which a printer answers at
// once and even while it cannot print.
func AppendStatusRequest(dst []byte, n byte) []byte { return append(dst, dle, eot, n) }

// AppendCut appends GS V 66 n: feed to the cutter and n dot lines more, then cut.
func AppendCut(dst []byte, feed uint8) []byte { return append(dst, gs, 'V', 66, feed) }

// RealTime watches raw bytes for DLE EOT n. A printer does so at its receiver,
// before any buffer and even inside the data of another command.
type RealTime struct{ seen uint8 }

// Scan takes the next byte; ok tells that it completed DLE EOT n.
func (r *RealTime) Scan(b byte) (n byte, ok bool) {
	switch {
	case r.seen == 2 && b >= 1 && b <= 4:
		r.seen = 0
		return b, true
	case r.seen == 1 && b == eot:
		r.seen = 2
	case b == dle:
		r.seen = 1
	default:
		r.seen = 0
	}
	return 0, false
}
