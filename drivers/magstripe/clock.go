package magstripe

import "slices"

// loop is how quickly a clock follows the edges once it has settled: parts of
// the miss that go to the place of the border, to the length of a cell, and to
// the change of that length from cell to cell.
type loop struct{ phase, period, drift float64 }

// settled holds a speed that doubles within a card and averages out jitter of
// 15 % of a cell.
var settled = loop{0.32, 0.065, 0.0055}

const (
	// settleOver is the number of intervals whose median starts a clock.
	settleOver = 9
	// driftAfter is the number of cells before a clock follows acceleration.
	driftAfter = 12
	// An edge between 1/4 and 3/4 of a cell is its middle, one between 3/4 and 5/4
	// its border. Within unsure of a limit it may be either, and both are tried.
	unsure = 0.14
	// maxClocks is how many readings of the edges are followed at a time.
	maxClocks = 6
	// alike is how near two clocks must be, in cells, to be one.
	alike = 0.06
)

// clock is one reading of the edges so far. Times are in ticks after the last
// edge, places before it are negative.
type clock struct {
	border, period, drift float64
	cost                  float64 // sum of squared misses, in cells
	cells                 uint32
	trail                 int32 // index of the last step, -1 for none
	middle                bool  // this cell's middle was seen
}

// step is one bit of a reading, the index of the bit before it, and the sum of
// squared misses up to its end.
type step struct {
	before int32
	cost   float32
	bit    byte
}

// stretch follows the edges from the first on, which is taken for a border, and
// fills bits with the reading that fits best; it returns the number of intervals
// used, at least 1.
//
// Where an edge may be a middle or a border, both readings go on, each with its
// own clock, and what follows decides: after a wrong turn the misses pile up.
func (d *Decoder) stretch(iv []uint32, l loop) int {
	d.bits, d.costs, d.trail = d.bits[:0], d.costs[:0], d.trail[:0]
	start := median(iv[:settleOver])
	if start <= 0 {
		return 1
	}
	var a, b [2 * maxClocks]clock
	now, next := a[:1], b[:0]
	now[0] = clock{period: start, trail: -1}
	for i, t := range iv {
		next = next[:0]
		for _, c := range now {
			next = d.follow(next, c, float64(t), l)
		}
		if len(next) == 0 {
			d.read(now)
			return i + 1
		}
		next = prune(next)
		now, next = next, now
	}
	d.read(now)
	return len(iv)
}

// follow appends what becomes of c with an edge t ticks after the last one: no
// clock, one or two.
func (d *Decoder) follow(out []clock, c clock, t float64, l loop) []clock {
	c.border -= t
	pos := -c.border / c.period
	if !c.middle && pos >= 0.25-unsure && pos < 0.75+unsure {
		m := c
		miss := -c.border - c.period/2
		m.middle = true
		m.cost += miss * miss / (c.period * c.period)
		m.border += l.phase / 2 * miss
		m.period += l.period / 2 * miss
		out = append(out, m)
	}
	if pos >= 0.75-unsure && pos < 1.25+unsure {
		miss := -c.border - c.period
		c.cost += miss * miss / (c.period * c.period)
		c.cells++
		phase, rate := l.gains(c.cells)
		c.border += c.period + phase*miss
		c.period += c.drift + rate*miss
		if c.cells > driftAfter {
			c.drift += l.drift * miss
		}
		bit := byte(0)
		if c.middle {
			bit = 1
		}
		d.trail = append(d.trail, step{c.trail, float32(c.cost), bit})
		c.trail = int32(len(d.trail) - 1)
		c.middle = false
		if c.period > 0 {
			out = append(out, c)
		}
	}
	return out
}

// gains are those of a line fitted to k cells (expanding memory), but not below
// the settled ones.
func (l loop) gains(k uint32) (phase, period float64) {
	n := float64(k) + 2
	p := 2 * (2*n + 1) / ((n + 1) * (n + 2))
	v := 6 / ((n + 1) * (n + 2))
	return max(p, l.phase), max(v, l.period)
}

// prune keeps the best clocks and, of those that have become alike, the better.
func prune(cs []clock) []clock {
	if len(cs) == 1 {
		return cs
	}
	slices.SortFunc(cs, func(a, b clock) int {
		switch {
		case a.cost < b.cost:
			return -1
		case a.cost > b.cost:
			return 1
		}
		return 0
	})
	kept := cs[:1]
	for _, c := range cs[1:] {
		twin := slices.ContainsFunc(kept, func(k clock) bool {
			gap := (k.border - c.border) / k.period
			return k.middle == c.middle && gap < alike && gap > -alike
		})
		if !twin {
			kept = append(kept, c)
		}
	}
	return kept[:min(len(kept), maxClocks)]
}

// read fills bits from the best of cs.
func (d *Decoder) read(cs []clock) {
	best := cs[0]
	for _, c := range cs[1:] {
		if c.cost < best.cost {
			best = c
		}
	}
	for i := best.trail; i >= 0; i = d.trail[i].before {
		d.bits = append(d.bits, d.trail[i].bit)
		d.costs = append(d.costs, d.trail[i].cost)
	}
	slices.Reverse(d.bits)
	slices.Reverse(d.costs)
}

func median(iv []uint32) float64 {
	var s [settleOver]uint32
	copy(s[:], iv)
	slices.Sort(s[:])
	return float64(s[settleOver/2])
}
