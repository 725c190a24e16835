package magstripe

import (
	"math"
	"slices"
)

// believable tells whether a mean of squared misses per bit, in cells, over n
// bits is one that jitter of 15 % of a cell gives: about 0.014, with a deviation
// of 0.015/√n. Four errors that parity and LRC do not see need more.
func believable(spread float32, n int) bool {
	return float64(spread) <= usualSpread+spreadRoom/math.Sqrt(float64(n))
}

// steady judges a frame of n bits as a whole and in every stretch of burst bits:
// a scratch spoils a few neighbouring characters of an otherwise good record.
func steady(spread func(at, n int) float32, n int) bool {
	if !believable(spread(0, n), n) {
		return false
	}
	for at := 0; at+burst <= n; at++ {
		if spread(at, burst) > burstSpread {
			return false
		}
	}
	return true
}

const (
	burst       = 16
	burstSpread = 0.031
	usualSpread = 0.0140
	spreadRoom  = 0.052 // three and a half deviations
)

// endZeros is how many characters of clocking zeros must follow the LRC: a wrong
// start can meet an end sentinel and a fitting LRC inside the data, but no
// character of zeros, because its parity would be even.
const endZeros = 2

// finder looks for frames in bit strings and keeps what it has found.
type finder struct {
	number Number
	track  Track
	found  bool
	err    error // the farthest reason
	codes  [maxChars]byte
}

func (f *finder) reset(n Number) { *f = finder{number: n, err: ErrBlank} }

// result is the one track found, or why there is none.
func (f *finder) result() (Track, error) {
	clear(f.codes[:])
	if f.err == ErrConflict || !f.found {
		return Track{}, f.err
	}
	return f.track, nil
}

// scan looks for frames in bits (one bit per byte) in both directions. Every
// start sentinel is a new chance: this is how reading recovers after damage.
// costs are the sums of squared misses up to the end of each bit, nil if the
// bits come from a part that keeps them to itself.
func (f *finder) scan(bits []byte, costs []float32) {
	f.direction(bits, func(from, n int) float32 { return spread(costs, from, n) })
	slices.Reverse(bits)
	f.direction(bits, func(from, n int) float32 { return spread(costs, len(bits)-from-n, n) })
	slices.Reverse(bits)
}

// spread is the mean cost of n bits.
func spread(costs []float32, from, n int) float32 {
	if costs == nil {
		return 0
	}
	sum := costs[from+n-1]
	if from > 0 {
		sum -= costs[from-1]
	}
	return sum / float32(n)
}

func (f *finder) direction(bits []byte, spread func(from, n int) float32) {
	c := &codings[f.number-1]
	width := int(c.bits)
	for i := 0; i+3*width <= len(bits); {
		if ones(bits[i : i+width]) {
			f.err = farther(f.err, ErrSentinel)
		}
		if code, ok := character(bits[i : i+width]); !ok || code != c.start || !quiet(bits[:i], width) {
			i++
			continue
		}
		n, err := f.frame(bits[i:], c, func(at, n int) float32 { return spread(i+at, n) })
		if err != nil {
			f.err = farther(f.err, err)
			i++
			continue
		}
		i += n
	}
}

// ones tells a recorded bit from clocking zeros, which every stripe has.
func ones(bits []byte) bool { return bits[0] != 0 }

// quiet tells whether the bits before a start sentinel are clocking zeros, as
// many of a character as there are.
func quiet(before []byte, width int) bool {
	for _, b := range before[max(0, len(before)-width):] {
		if b != 0 {
			return false
		}
	}
	return true
}

// ends tells whether clocking zeros follow.
func ends(after []byte, width int) bool {
	return len(after) >= endZeros*width && !slices.Contains(after[:endZeros*width], 1)
}

// character takes one character, least significant bit first with odd parity
// (ISO/IEC 7811-2, 8).
func character(bits []byte) (code byte, ok bool) {
	var sum byte
	for i, b := range bits {
		sum ^= b
		code |= b << i
	}
	return code &^ (1 << (len(bits) - 1)), sum == 1
}

// frame reads from start sentinel to LRC and files what accept says; n is its
// length in bits.
func (f *finder) frame(bits []byte, c *coding, spread func(at, n int) float32) (n int, err error) {
	width, ended := int(c.bits), false
	for count := 0; count < int(c.maxLen); count++ {
		if n+width > len(bits) {
			return 0, ErrSentinel
		}
		code, ok := character(bits[n : n+width])
		if !ok {
			return 0, ErrParity
		}
		f.codes[count] = code
		n += width
		if ended {
			t, err := accept(f.number, f.codes[:count+1])
			if err != nil {
				return 0, err
			}
			if !ends(bits[n:], width) {
				return 0, ErrSentinel
			}
			if !steady(spread, n) {
				return 0, ErrUnsteady
			}
			if f.found && f.track != t {
				f.err = ErrConflict
			}
			f.track, f.found = t, true
			return n, nil
		}
		ended = code == c.end
	}
	return 0, ErrSentinel
}
