package magstripesim

// Card is what is recorded on a stripe: the texts of the tracks without
// sentinels and LRC; an empty text is a blank track.
type Card struct{ Track1, Track2, Track3 string }

func (c Card) text(track int) string { return [...]string{c.Track1, c.Track2, c.Track3}[track-1] }

// layout is one track of ISO/IEC 7811-2: bits per inch, data bits per
// character, text of code 0, start sentinel as text.
type layout struct {
	density float64
	data    uint
	base    byte
	start   byte
}

var layouts = [3]layout{{210, 6, 0x20, '%'}, {75, 4, 0x30, ';'}, {210, 4, 0x30, ';'}}

// length of an ID-1 card, ISO/IEC 7810, in inches, and the lead before the first
// data bit, ISO/IEC 7811-2.
const (
	cardInches = 85.6 / 25.4
	leadInches = 7.44 / 25.4
)

// minTail is the fewest clocking zeros after the LRC.
const minTail = 12

// Characters gives sentinels, text and LRC as text; nil for a blank track.
func (c Card) Characters(track int) []byte {
	text := c.text(track)
	if text == "" {
		return nil
	}
	l := layouts[track-1]
	out := append([]byte{l.start}, text...)
	out = append(out, '?')
	lrc := byte(0)
	for _, b := range out {
		lrc ^= b - l.base
	}
	return append(out, lrc+l.base)
}

// Bits gives the whole stripe of a track, one bit per byte, with clocking zeros
// before and after; nil for a blank track.
func (c Card) Bits(track int) []byte {
	chars := c.Characters(track)
	if chars == nil {
		return nil
	}
	l := layouts[track-1]
	total := int(cardInches * l.density)
	out := make([]byte, int(leadInches*l.density), total+64)
	for _, ch := range chars {
		code, parity := ch-l.base, byte(1)
		for i := range l.data {
			b := code >> i & 1
			out = append(out, b)
			parity ^= b
		}
		out = append(out, parity)
	}
	// A full track leaves little room at the end, but never none.
	for tail := 0; len(out) < total || tail < minTail; tail++ {
		out = append(out, 0)
	}
	return out
}
