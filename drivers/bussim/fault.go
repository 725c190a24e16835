package bussim

import (
	"math/rand/v2"
	"time"
)

// Direction names one half of a bus.
type Direction uint8

// The directions a Plan may be limited to.
const (
	Both Direction = iota
	ToPart
	ToTerminal
)

// String names the direction.
func (d Direction) String() string {
	switch d {
	case ToPart:
		return "to part"
	case ToTerminal:
		return "to terminal"
	}
	return "both"
}

func (d Direction) covers(o Direction) bool { return d == Both || d == o }

// Kind is what happens to a byte.
type Kind uint8

// The kinds of fault. SPI and I²C know only Flip: their clock comes from the
// terminal, so no byte can be lost, doubled or late.
const (
	Drop Kind = iota + 1
	Flip
	Duplicate
	Delay
)

// Fault is one fault at an exact place.
type Fault struct {
	Direction Direction
	// At is the number of the byte in its direction, from 0.
	At   uint64
	Kind Kind
	// Bit is the bit that a Flip inverts, 0 to 7.
	Bit uint8
}

// Plan says which faults a bus injects. The zero Plan injects none.
type Plan struct {
	// Seed makes a run repeatable.
	Seed uint64
	// Direction limits the random faults to one half.
	Direction Direction
	// Drop, Flip, Duplicate and Delay are probabilities per byte, 0 to 1. Their
	// sum should not exceed 1.
	Drop, Flip, Duplicate, Delay float64
	// DelayBy is how late a delayed byte is, with all that follow it.
	DelayBy time.Duration
	// Skip lets that many bytes of each direction through before random faults
	// begin.
	Skip uint64
	// Max ends random faults after that many per direction; 0 is no limit.
	Max uint64
	// Exact lists faults at exact bytes, besides the random ones.
	Exact []Fault
}

// Counts is what a bus really did, both directions together.
type Counts struct {
	// Bytes went over the line.
	Bytes uint64
	// Drops, Flips, Duplicates and Delays were injected by the Plan.
	Drops, Flips, Duplicates, Delays uint64
	// Garbled bytes met a receiver at another speed.
	Garbled uint64
	// Overruns were lost because nobody read in time.
	Overruns uint64
}

// Injected is the number of faults the Plan caused.
func (c Counts) Injected() uint64 { return c.Drops + c.Flips + c.Duplicates + c.Delays }

func (c *Counts) add(o Counts) {
	c.Bytes += o.Bytes
	c.Drops += o.Drops
	c.Flips += o.Flips
	c.Duplicates += o.Duplicates
	c.Delays += o.Delays
	c.Garbled += o.Garbled
	c.Overruns += o.Overruns
}

// injector applies a Plan to one direction. Its owner's lock guards it.
type injector struct {
	plan   Plan
	dir    Direction
	rng    *rand.Rand
	n      uint64 // bytes seen under this plan
	random uint64 // random faults injected under this plan
	counts Counts
}

// set starts plan from its beginning; counts go on. nil ends all faults.
func (i *injector) set(plan *Plan, dir Direction) {
	i.dir, i.n, i.random, i.rng = dir, 0, 0, nil
	i.plan = Plan{}
	if plan == nil {
		return
	}
	i.plan = *plan
	i.plan.Exact = append([]Fault(nil), plan.Exact...)
	i.rng = rand.New(rand.NewPCG(plan.Seed, uint64(dir)))
}

// decide returns the fault of the next byte; 0 is none.
func (i *injector) decide() (Kind, uint8) {
	at := i.n
	i.n++
	i.counts.Bytes++
	if i.rng == nil {
		return 0, 0
	}
	// Both numbers are drawn for every byte, so that the plan's later faults do
	// not depend on earlier ones.
	r, bit := i.rng.Float64(), uint8(i.rng.IntN(8))
	for _, f := range i.plan.Exact {
		if f.Direction.covers(i.dir) && f.At == at {
			return f.Kind, f.Bit & 7
		}
	}
	p := &i.plan
	if !p.Direction.covers(i.dir) || at < p.Skip || (p.Max > 0 && i.random >= p.Max) {
		return 0, 0
	}
	var kind Kind
	switch {
	case r < p.Drop:
		kind = Drop
	case r < p.Drop+p.Flip:
		kind = Flip
	case r < p.Drop+p.Flip+p.Duplicate:
		kind = Duplicate
	case r < p.Drop+p.Flip+p.Duplicate+p.Delay:
		kind = Delay
	default:
		return 0, 0
	}
	i.random++
	return kind, bit
}

// next passes one byte of a UART: it arrives n times (0, 1 or 2) as out, late
// by delay.
func (i *injector) next(b byte) (out byte, n int, delay time.Duration) {
	kind, bit := i.decide()
	switch kind {
	case Drop:
		i.counts.Drops++
		return b, 0, 0
	case Flip:
		i.counts.Flips++
		return b ^ 1<<bit, 1, 0
	case Duplicate:
		i.counts.Duplicates++
		return b, 2, 0
	case Delay:
		i.counts.Delays++
		return b, 1, i.plan.DelayBy
	}
	return b, 1, 0
}

// flip passes the bytes of a clocked transfer in place.
func (i *injector) flip(p []byte) {
	for j := range p {
		if kind, bit := i.decide(); kind == Flip {
			i.counts.Flips++
			p[j] ^= 1 << bit
		}
	}
}
