package journal

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// maxGroup bounds the work of one commit. Twice the callers a terminal has.
const maxGroup = 64

// op is one caller's work. fn may run more than once and must then give the
// same outcome; nothing of it is kept unless the commit succeeds.
type op struct {
	fn   func(tx *bbolt.Tx) error
	done chan error // buffered, answered once
}

// Run writes until ctx ends, and then returns nil. It takes all work that waits
// and commits it together, so that callers share the two syncs of a commit. A
// write whose effect is unknown ends it with ErrFailed.
func (j *Journal) Run(ctx context.Context) error {
	if j.readOnly {
		return ErrReadOnly
	}
	if !j.running.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer close(j.stopped)
	group := make([]*op, 0, maxGroup)
	for {
		group = group[:0]
		select {
		case <-ctx.Done():
			return nil
		case o := <-j.ops:
			group = append(group, o)
		}
		runtime.Gosched() // those just answered bring their next work
		for more := true; more && len(group) < maxGroup; {
			select {
			case o := <-j.ops:
				group = append(group, o)
			default:
				more = false
			}
		}
		if err := j.commit(group); err != nil {
			j.mu.Lock()
			j.failure = err
			j.mu.Unlock()
			j.log.Error("journal write failed", "path", j.path, "err", err)
			return err
		}
	}
}

// commit writes the group in one transaction and answers every caller. An op
// that is refused is answered and the rest tried again without it, at most once
// per op. The error returned is one after which nothing more may be written.
func (j *Journal) commit(group []*op) error {
	for len(group) > 0 {
		if broken := j.broken.Load(); broken != nil {
			for _, o := range group {
				o.done <- *broken
			}
			return *broken
		}
		at := -1 // the op at work; -1 outside ops
		err := guard(j.path, "write", func() error {
			return j.db.Update(func(tx *bbolt.Tx) error {
				for i, o := range group {
					at = i
					if err := o.fn(tx); err != nil {
						return err
					}
				}
				at = -1
				return nil
			})
		}, j.breaks)
		if err != nil && at >= 0 && j.broken.Load() == nil {
			group[at].done <- noRoom(err)
			rest := make([]*op, 0, len(group)-1)
			group = append(append(rest, group[:at]...), group[at+1:]...)
			continue
		}
		err, fatal := commitError(err)
		for _, o := range group {
			o.done <- err
		}
		return fatal
	}
	return nil
}

// commitError tells what callers hear of a failed commit, and whether the
// writer may go on. A full disk shows before the meta page is written: nothing
// happened.
func commitError(err error) (answer, fatal error) {
	if err == nil {
		return nil, nil
	}
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return ErrClosed, ErrClosed
	}
	if full := noRoom(err); errors.Is(full, ErrFull) {
		return full, nil
	}
	err = fmt.Errorf("%w: %w", ErrFailed, err)
	return err, err
}

// update hands fn to the writer and waits for the disk. ctx counts only until
// the writer has taken it.
func (j *Journal) update(ctx context.Context, fn func(tx *bbolt.Tx) error) error {
	if j.readOnly {
		return ErrReadOnly
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	o := &op{fn, make(chan error, 1)}
	select {
	case j.ops <- o:
		return <-o.done
	case <-j.stopped:
		j.mu.Lock()
		defer j.mu.Unlock()
		if j.failure != nil {
			return j.failure
		}
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (j *Journal) signalOutbox() {
	select {
	case j.outbox <- struct{}{}:
	default:
	}
}
