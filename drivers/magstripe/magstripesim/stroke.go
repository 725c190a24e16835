package magstripesim

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Accel is how the speed changes during a stroke.
type Accel uint8

// Steady keeps the speed; Linear goes from Speed to Speed×Ratio along the card;
// Sine swings between the two, Swings times.
const (
	Steady Accel = iota
	Linear
	Sine
)

// Stroke is one movement of a card through the slot, with everything that goes
// wrong. The zero value is a steady 30 cm/s without faults.
type Stroke struct {
	Speed  float64 // cm/s, 0 is 30; ISO heads read 10 to 150
	Accel  Accel
	Ratio  float64 // greatest over smallest speed, or its inverse; 0 is 2
	Swings float64 // of Sine, 0 is 1

	// Jitter displaces every flux change by up to that part of a bit cell, evenly
	// spread, either way.
	Jitter float64
	// PeakShift moves a flux change away from the nearer of its neighbours by that
	// part of the difference of the distances.
	PeakShift float64
	DropOuts  int // places where two neighbouring flux changes are lost
	Noise     int // places where a false pulse adds two flux changes

	Reverse  bool // pulled from the other end
	Double   bool // pulled forth and, after a rest, forth again
	Inverted bool // head wired the other way round: samples and bits invert
	Truncate int  // bits lost at the start
	Seed     uint64
}

// Ticks per second of intervals: the 1 MHz timer of a small processor.
const tickHz = 1e6

// restTicks is the pause between the passes of a double stroke: 0.4 s.
const restTicks = 400_000

// Intervals gives the times between flux changes of a track in microseconds;
// nil for a blank track.
func (c Card) Intervals(track int, s Stroke) []uint32 {
	bits := c.Bits(track)
	if bits == nil {
		return nil
	}
	rng := rand.New(rand.NewPCG(s.Seed, uint64(track)))
	out := s.pass(bits, layouts[track-1].density, rng)
	if s.Double {
		out = append(out, restTicks)
		out = append(out, s.pass(bits, layouts[track-1].density, rng)...)
	}
	return out
}

// pass is one pull past the head.
func (s Stroke) pass(bits []byte, density float64, rng *rand.Rand) []uint32 {
	if s.Reverse {
		bits = slices.Clone(bits)
		slices.Reverse(bits)
	}
	bits = bits[min(s.Truncate, len(bits)):]
	// Where the flux changes, in cells.
	at := make([]float64, 0, 2*len(bits)+1)
	for i, b := range bits {
		at = append(at, float64(i))
		if b == 1 {
			at = append(at, float64(i)+0.5)
		}
	}
	at = append(at, float64(len(bits)))
	s.distort(at, rng)
	at = s.lose(at, rng)
	slices.Sort(at)

	cell := 2.54 / density // cm
	out := make([]uint32, 0, len(at)-1)
	last, t, x := uint32(0), 0.0, at[0]
	for _, p := range at[1:] {
		// The speed in the middle of the piece stands for the piece.
		t += (p - x) * cell / s.speed((p+x)/2/float64(len(bits))) * tickHz
		x = p
		now := uint32(math.Max(0, math.Round(t)))
		out = append(out, now-last)
		last = now
	}
	return out
}

// distort displaces flux changes by peak shift and jitter.
func (s Stroke) distort(at []float64, rng *rand.Rand) {
	if s.PeakShift != 0 {
		prev := at[0]
		for i := 1; i+1 < len(at); i++ {
			here := at[i]
			at[i] += s.PeakShift * ((at[i+1] - here) - (here - prev))
			prev = here
		}
	}
	if s.Jitter != 0 {
		for i := range at {
			at[i] += s.Jitter * (2*rng.Float64() - 1)
		}
	}
}

// lose takes flux changes away in pairs and adds false pairs.
func (s Stroke) lose(at []float64, rng *rand.Rand) []float64 {
	for range s.DropOuts {
		if len(at) < 8 {
			break
		}
		i := rng.IntN(len(at) - 2)
		at = slices.Delete(at, i, i+2)
	}
	for range s.Noise {
		p := at[0] + rng.Float64()*(at[len(at)-1]-at[0])
		at = append(at, p, p+0.05+0.2*rng.Float64())
	}
	return at
}

// speed is in cm/s at the part x, 0 to 1, of the way.
func (s Stroke) speed(x float64) float64 {
	v, ratio, swings := s.Speed, s.Ratio, s.Swings
	if v == 0 {
		v = 30
	}
	if ratio == 0 {
		ratio = 2
	}
	if swings == 0 {
		swings = 1
	}
	switch s.Accel {
	case Linear:
		return v * (1 + (ratio-1)*x)
	case Sine:
		return v * (1 + (ratio-1)*(1-math.Cos(2*math.Pi*swings*x))/2)
	}
	return v
}

// Samples gives the head's digital output sampled every tick microseconds,
// first sample in bit 7; Inverted flips the level.
func (c Card) Samples(track int, s Stroke, tick uint32) []byte {
	level := byte(0)
	if s.Inverted {
		level = 1
	}
	var out []byte
	n, due := uint(0), uint32(0)
	put := func(until uint32) {
		for ; due < until; due += tick {
			if n%8 == 0 {
				out = append(out, 0)
			}
			out[n/8] |= level << (7 - n%8)
			n++
		}
	}
	now := uint32(0)
	put(10 * tick)
	now = due
	for _, iv := range append([]uint32{0}, c.Intervals(track, s)...) {
		now += iv
		put(now)
		level ^= 1
	}
	put(now + 10*tick)
	return out
}
