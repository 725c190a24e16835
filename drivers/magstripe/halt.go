package magstripe

import (
	"context"
	"sync"
)

// halt is the switch that ends a reader.
type halt struct {
	once sync.Once
	done chan struct{}
}

func newHalt() *halt { return &halt{done: make(chan struct{})} }

// end ends the reader and tells whether it was the first call.
func (h *halt) end() (was bool) {
	h.once.Do(func() { close(h.done); was = true })
	return was
}

// err is why to stop, nil to go on.
func (h *halt) err(ctx context.Context) error {
	select {
	case <-h.done:
		return ErrHalted
	default:
		return ctx.Err()
	}
}
