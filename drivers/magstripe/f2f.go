package magstripe

import "slices"

// MaxIntervals is how many flux intervals of one track Decode looks at: three
// passes of a full 210 bpi track of ones, and room.
const MaxIntervals = 5000

// Decoder reads F2F recordings (ISO/IEC 7811-2, 7): a flux change at the border
// of every bit cell, and one more in the middle of a cell that holds a one. It
// keeps its working memory, so that it allocates nothing but the accepted text.
// The zero value is ready. One goroutine at a time.
type Decoder struct {
	find  finder
	times []uint32
	bits  []byte
	costs []float32 // of the reading, up to the end of each bit
	trail []step
}

// Decode reads track n from the intervals between flux changes, in ticks of any
// clock. Polarity does not matter: an interval has none. Direction is found out.
// The error is one of the reasons of a TrackError.
func (d *Decoder) Decode(n Number, intervals []uint32) (Track, error) {
	if n < Track1 || n > Track3 {
		return Track{}, ErrFormat
	}
	d.find.reset(n)
	defer d.wipe()
	d.times = append(d.times[:0], intervals[:min(len(intervals), MaxIntervals)]...)
	// From either end: the clock settles on clocking zeros, and a card that was
	// pulled late into the head has lost those at one end.
	for range 2 {
		d.pass(d.times, settled)
		if d.find.found || d.find.err == ErrConflict {
			break
		}
		slices.Reverse(d.times)
	}
	return d.find.result()
}

// wipe clears what the card left behind.
func (d *Decoder) wipe() {
	clear(d.times)
	clear(d.bits)
	clear(d.costs)
	clear(d.trail)
	d.find.track = Track{}
}

// pass cuts the intervals into stretches over which a clock holds, and looks for
// frames in each. A violation of F2F ends a stretch and the next begins at the
// edge after it, so the pass is bounded.
func (d *Decoder) pass(iv []uint32, l loop) {
	for at := 0; at+settleOver <= len(iv); {
		at += d.stretch(iv[at:], l)
		if len(d.bits) > 0 {
			d.find.scan(d.bits, d.costs)
		}
	}
}

// AppendIntervals turns samples of a head's digital output, taken at a fixed
// rate and packed first sample in bit 7, into intervals counted in samples.
func AppendIntervals(dst []uint32, samples []byte) []uint32 {
	if len(samples) == 0 {
		return dst
	}
	level, run, first := samples[0]>>7, uint32(0), true
	for _, b := range samples {
		for i := 7; i >= 0; i-- {
			if s := b >> i & 1; s != level {
				if !first { // what lies before the first edge is no interval
					dst = append(dst, run)
				}
				level, run, first = s, 0, false
			}
			run++
		}
	}
	return dst
}
