package store

import (
	"context"
	"sync"
)

// maxGroup is the most updates that share one transaction: enough to hide the fsync, few enough that one group stays in
// the tens of milliseconds.
const maxGroup = 500

// group lets concurrent updates share commits without a goroutine of its own.
type group struct {
	commit func([]*update) // runs and makes durable, sets err of each

	mu      sync.Mutex // guards what follows
	queue   []*update
	leading bool
}

// update is one caller's wish.
type update struct {
	ctx  context.Context
	fn   func(Tx) error
	err  error
	turn chan bool // true: you lead now; false: done, see err
}

func (g *group) do(ctx context.Context, fn func(Tx) error) error {
	u := &update{ctx: ctx, fn: fn, turn: make(chan bool, 1)}
	g.mu.Lock()
	g.queue = append(g.queue, u)
	lead := !g.leading
	g.leading = true
	g.mu.Unlock()
	if !lead {
		lead = <-u.turn
	}
	if lead {
		g.lead()
	}
	return u.err
}

// lead commits one group, which holds the leader's own update as the first, and passes the lead on.
func (g *group) lead() {
	g.mu.Lock()
	n := min(len(g.queue), maxGroup)
	batch := g.queue[:n:n]
	g.queue = append([]*update(nil), g.queue[n:]...)
	g.mu.Unlock()

	defer g.handOver(batch)
	live := batch[:0:0]
	for _, u := range batch {
		if u.err = u.ctx.Err(); u.err == nil {
			u.err = ErrClosed // stays only when commit panics
			live = append(live, u)
		}
	}
	if len(live) > 0 {
		g.commit(live)
	}
}

// handOver wakes those whose update is done and gives the lead to the first of those who came meanwhile.
func (g *group) handOver(batch []*update) {
	for _, u := range batch[1:] {
		u.turn <- false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.queue) == 0 {
		g.leading = false
		return
	}
	g.queue[0].turn <- true
}
