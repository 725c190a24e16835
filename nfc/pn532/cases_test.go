package pn532_test

import (
	"bytes"
	"context"
	"errors"
	"time"

	"posagent/nfc"
	"posagent/nfc/iso14443"
	"posagent/nfc/iso14443/iso14443sim"
)

// apdus exchanges commands and responses around every length at which frames
// and parts of them end.
func apdus(r *suite) {
	c := r.poll()
	uid := r.opts.UID
	if r.opts.Type == nfc.TypeB {
		uid = r.opts.ATQB.PUPI[:]
	}
	if c.Type() != r.opts.Type || !bytes.Equal(c.UID(), uid) {
		r.Errorf("type %v, UID % X; want %v, % X", c.Type(), c.UID(), r.opts.Type, uid)
	}
	n := uint16(0)
	for _, size := range []uint16{0, 1, 13, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 246, 247, 248, 249, 250, 252, 254, 255, 256, 257, 258, 260, 261, 262, 263, 300, 523, 1000} {
		r.must(c, ask(n, int(size), 0))
		r.must(c, ask(n+1, 0, int(size)))
		n += 2
	}
	r.must(c, ask(n, iso14443.MaxResponse-2, iso14443.MaxCommand-6))
	if in, err := c.Present(r.ctx); !in || err != nil {
		r.Errorf("Present = %v, %v", in, err)
	}
	r.must(c, ask(n+1, 20, 20))
	if got := len(r.card.asked()); got != int(n)+2 {
		r.Errorf("the card had %d commands, want %d", got, n+2)
	}
}

func wrongCommands(r *suite) {
	c := r.poll()
	for _, size := range []int{0, 3, iso14443.MaxCommand + 1} {
		_, err := c.Transmit(r.ctx, make([]byte, size))
		if err == nil || errors.Is(err, nfc.ErrRemoved) || errors.Is(err, nfc.ErrTransmission) {
			r.Errorf("command of %d bytes: %v", size, err)
		}
	}
	r.must(c, ask(1, 2, 3))
}

func removed(r *suite) {
	c := r.poll()
	r.must(c, ask(1, 2, 3))
	ctx, cancel := context.WithTimeout(r.ctx, time.Second)
	defer cancel()
	if err := c.Removed(ctx); !errors.Is(err, context.DeadlineExceeded) {
		r.Errorf("Removed while the card is there: %v", err)
	}
	r.dark("Removed was cancelled")
	time.AfterFunc(500*time.Millisecond, func() { r.air.Remove(r.picc) })
	start := time.Now()
	if err := c.Removed(r.ctx); err != nil {
		r.Errorf("Removed: %v", err)
	}
	if d := time.Since(start); d < 500*time.Millisecond || d > time.Second {
		r.Errorf("Removed after %v, want soon after 500 ms", d)
	}
	r.dark("Removed")
	if _, err := c.Transmit(r.ctx, ask(2, 2, 3)); !errors.Is(err, nfc.ErrRemoved) {
		r.Errorf("Transmit after Removed: %v", err)
	}
	r.another()
}

func pulled(r *suite) {
	c := r.poll()
	r.air.Remove(r.picc)
	if _, err := c.Transmit(r.ctx, ask(1, 2, 3)); !errors.Is(err, nfc.ErrRemoved) {
		r.Errorf("Transmit to a pulled card: %v", err)
	}
	r.dark("the card was pulled")
	if err := c.Removed(r.ctx); err != nil {
		r.Errorf("Removed of a lost card: %v", err)
	}
	c = r.poll()
	r.air.Remove(r.picc)
	if in, err := c.Present(r.ctx); in || err != nil {
		r.Errorf("Present of a pulled card: %v, %v", in, err)
	}
	r.dark("the card was pulled")
	r.another()
}

func silent(r *suite) {
	c := r.poll()
	r.card.silence()
	_, err := c.Transmit(r.ctx, ask(1, 2, 3))
	if !errors.Is(err, nfc.ErrTransmission) || errors.Is(err, nfc.ErrRemoved) {
		r.Errorf("Transmit to a silent card: %v", err)
	}
	r.dark("an error")
	r.another()
}

func cancelled(r *suite) {
	ctx, cancel := context.WithTimeout(r.ctx, 300*time.Millisecond)
	defer cancel()
	if _, err := r.reader.Poll(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
		r.Errorf("Poll: %v", err)
	}
	r.dark("Poll was cancelled")
	c := r.poll()
	ctx, cancel = context.WithTimeout(r.ctx, 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := c.Transmit(ctx, ask(1, 1, 1))
	if !errors.Is(err, context.DeadlineExceeded) {
		r.Errorf("Transmit: %v", err)
	}
	if d := time.Since(start); d > 500*time.Millisecond {
		r.Errorf("Transmit ended after %v, want 300 ms", d)
	}
	r.dark("Transmit was cancelled")
	r.another()
}

func halt(r *suite) {
	if err := r.reader.Field(true); err != nil || !r.air.On() {
		r.Errorf("Field(true): %v, field %v", err, r.air.On())
	}
	c := r.poll()
	if err := r.reader.Field(false); err != nil {
		r.Errorf("Field(false): %v", err)
	}
	r.dark("Field(false)")
	if _, err := c.Transmit(r.ctx, ask(1, 1, 1)); !errors.Is(err, nfc.ErrRemoved) {
		r.Errorf("Transmit without field: %v", err)
	}
	r.must(r.poll(), ask(2, 1, 1))
	for range 2 {
		if err := r.reader.Halt(); err != nil {
			r.Errorf("Halt: %v", err)
		}
		r.dark("Halt")
	}
	r.must(r.poll(), ask(3, 1, 1))
}

func nobody(r *suite) {
	if _, err := r.reader.Poll(r.ctx, &nfc.PollOpts{Cycles: 3}); !errors.Is(err, nfc.ErrNoCard) {
		r.Errorf("Poll: %v", err)
	}
	r.dark("Poll")
	time.AfterFunc(2*time.Second, func() { r.air.Place(r.picc) })
	c, err := r.reader.Poll(r.ctx, nil)
	if err != nil {
		r.Fatalf("Poll: %v", err)
	}
	r.must(c, ask(1, 1, 1))
}

func plain(r *suite) {
	r.air.Place(r.picc)
	if _, err := r.reader.Poll(r.ctx, &nfc.PollOpts{Cycles: 3}); !errors.Is(err, nfc.ErrUnsupported) {
		r.Errorf("Poll: %v", err)
	}
	r.dark("Poll")
	r.another()
}

// collision has a card of type A beside the one of the rig. Two of type B are
// not in the suite: there are chips that hear nobody then.
func collision(r *suite) {
	o := iso14443sim.DefaultOpts
	o.UID = []byte{0x08, 4, 5, 6}
	if r.opts.Type == nfc.TypeA {
		o.UID = append(r.opts.UID[:6:6], 0x77) // as late as can be
	}
	second := iso14443sim.NewPICC(&echo{}, &o)
	r.air.Place(r.picc)
	r.air.Place(second)
	for range 2 {
		if _, err := r.reader.Poll(r.ctx, &nfc.PollOpts{Cycles: 3}); !errors.Is(err, nfc.ErrCollision) {
			r.Errorf("Poll: %v", err)
		}
		r.dark("Poll")
	}
	r.air.Remove(second)
	r.must(r.poll(), ask(1, 1, 1))
}

func earlier(r *suite) {
	first := r.poll()
	r.must(first, ask(1, 1, 1))
	second := r.poll()
	if _, err := first.Transmit(r.ctx, ask(2, 1, 1)); !errors.Is(err, nfc.ErrRemoved) {
		r.Errorf("Transmit to the card of an earlier Poll: %v", err)
	}
	if err := first.Removed(r.ctx); err != nil {
		r.Errorf("Removed of the earlier one: %v", err)
	}
	r.must(second, ask(3, 1, 1))
}
