package iccsim

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// pump reads wire on a goroutine of its own and hands the bytes on, so that a
// part can wait for a byte, a pin and a clock at once. stop ends it and waits.
// bytes is closed when the wire has ended.
func pump(ctx context.Context, wire io.Reader) (bytes <-chan byte, stop func()) {
	ch := make(chan byte)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	var released sync.WaitGroup
	for _, set := range deadlines(wire) {
		_ = set(time.Time{})
		released.Add(1)
		context.AfterFunc(ctx, func() { defer released.Done(); _ = set(time.Unix(1, 0)) })
	}
	go func() {
		defer close(done)
		defer close(ch)
		var b [256]byte
		for ctx.Err() == nil {
			n, err := wire.Read(b[:])
			for _, v := range b[:n] {
				select {
				case ch <- v:
				case <-ctx.Done():
					return
				}
			}
			if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				return
			}
		}
	}()
	// A release that came after the end would stop whoever serves the wire next.
	return ch, func() { cancel(); <-done; released.Wait() }
}

// deadlines are the setters that wire offers: with them the end of the context
// releases who reads or writes.
func deadlines(wire any) (set []func(time.Time) error) {
	if d, ok := wire.(interface{ SetReadDeadline(time.Time) error }); ok {
		set = append(set, d.SetReadDeadline)
	}
	if d, ok := wire.(interface{ SetWriteDeadline(time.Time) error }); ok {
		set = append(set, d.SetWriteDeadline)
	}
	return set
}
