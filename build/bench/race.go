package main

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"
)

// runner is one side of a comparison: it does its work once.
type runner func() error

// sides of a comparison.
const (
	ours  = 0
	floor = 1
)

// turn is the time one side works before the other one gets the processor.
const turn = 25 * time.Millisecond

// race lets both sides work in turn and gives the median nanoseconds of one piece
// of work for each, and the median of the ratios of the rounds.
func (b *bench) race(ctx context.Context, sides [2]runner) (ns [2]float64, ratio float64, err error) {
	var reps [2]int
	for i, do := range sides {
		if reps[i], err = fill(do); err != nil {
			return ns, 0, err
		}
	}
	var all [2][]float64
	var ratios []float64
	for round := range b.rounds {
		var took [2]float64
		for k := range sides {
			i := (k + round) % 2 // who begins changes
			if err := ctx.Err(); err != nil {
				return ns, 0, err
			}
			began := time.Now()
			for range reps[i] {
				if err := sides[i](); err != nil {
					return ns, 0, err
				}
			}
			took[i] = float64(time.Since(began)) / float64(reps[i])
			all[i] = append(all[i], took[i])
		}
		ratios = append(ratios, took[ours]/took[floor])
	}
	return [2]float64{median(all[ours]), median(all[floor])}, median(ratios), nil
}

// fill finds how often do fits into a turn; it warms up as well.
func fill(do runner) (int, error) {
	for reps := 1; ; reps *= 2 {
		began := time.Now()
		for range reps {
			if err := do(); err != nil {
				return 0, err
			}
		}
		if took := time.Since(began); took >= turn/2 {
			return max(1, int(float64(reps)*float64(turn)/float64(took))), nil
		}
	}
}

// alternate does each side's work n times, one piece in turn, and gives the
// duration of every piece.
func alternate(ctx context.Context, n int, sides ...runner) ([][]float64, error) {
	all := make([][]float64, len(sides))
	for round := range n {
		for k := range sides {
			i := (k + round) % len(sides)
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			began := time.Now()
			if err := sides[i](); err != nil {
				return nil, err
			}
			all[i] = append(all[i], float64(time.Since(began)))
		}
	}
	return all, nil
}

// allocs counts the allocations of one piece of work.
func allocs(do runner) (float64, error) {
	var failed error
	n := testing.AllocsPerRun(100, func() {
		if err := do(); err != nil {
			failed = err
		}
	})
	return n, failed
}

func median(list []float64) float64 { return quantile(list, 0.5) }

// quantile gives the value below which the share q of the list lies; the list
// must not be empty.
func quantile(list []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// spread is a list in words, for -v.
func spread(list []float64) string {
	at := func(q float64) string { return duration(time.Duration(quantile(list, q))) }
	return fmt.Sprintf("p5 %s, p50 %s, p95 %s, p99 %s of %d", at(.05), at(.5), at(.95), at(.99), len(list))
}
