package main

import (
	"context"
	"time"
)

// readyBar is the promise: from exec until a sale may begin.
const readyBar = 300 * time.Millisecond

// measureReady starts an activated, configured terminal again and again, and takes
// the time from exec until it says over its control socket that it is ready and
// signed in at the host. The machine is warm: program and files are in memory.
func measureReady(ctx context.Context, s *shop) ([]Line, error) {
	var all []float64
	for range s.b.starts {
		if err := s.stop(); err != nil {
			return nil, err
		}
		began := time.Now()
		if err := s.start(); err != nil {
			return nil, err
		}
		at, err := s.until(ctx, maySell)
		if err != nil {
			return nil, err
		}
		all = append(all, float64(at.Sub(began)))
	}
	s.b.say("terminald from exec to ready: %s", spread(all))
	return []Line{
		Line{Name: "terminald ready for a sale after exec, p50", Ours: Value{median(all), Nanoseconds}}.atMost(float64(readyBar)),
		Line{Name: "  p99", Ours: Value{quantile(all, 0.99), Nanoseconds}}.atMost(float64(readyBar)),
	}, nil
}
