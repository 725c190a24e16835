package icc_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"posagent/drivers/icc"
	"posagent/drivers/icc/iccsim"
)

// conformance is what every Reader does, whatever part and card. Each row runs
// in virtual time of its own.
var conformance = []struct {
	name string
	run  func(*testing.T, *rig, kind)
}{
	{"answer to reset", func(t *testing.T, r *rig, k kind) {
		a := r.activate()
		if want := atr(k.atrs[0]); !bytes.Equal(a.Raw, want) || a.Protocol() != k.proto || a.Warm {
			t.Errorf("ATR % X %v warm %v, want % X %v", a.Raw, a.Protocol(), a.Warm, want, k.proto)
		}
	}},
	{"cases 1 to 4", func(t *testing.T, r *rig, _ kind) {
		r.activate()
		r.check("case 1", nop())
		r.check("case 2", read(20, 20))
		r.check("case 2, longest", read(256, 0))
		r.check("case 2, Le 00 for less", read(100, 0))
		r.check("case 2, nothing", read(0, 0))
		r.check("case 3", write(pattern(10)))
		r.check("case 3, longest", write(pattern(255)))
		r.check("case 3, one byte", write(pattern(1)))
		r.check("case 4", ask(insAsk, 12, pattern(14)))
		r.check("case 4, longest", ask(insAsk, 256, pattern(255)))
		r.check("case 4, nothing", ask(insAsk, 0, pattern(2)))
		r.check("case 4, response over 256", ask(insAsk, 500, pattern(5)))
		r.check("case 4, warning with data", ask(insWarn, 30, pattern(8)))
		r.check("unknown", []byte{0, 0x70, 0, 0})
	}},
	{"every small length", func(t *testing.T, r *rig, _ kind) {
		r.activate()
		for n := 1; n < 36; n++ {
			r.check("length", ask(insAsk, n, pattern(n)))
		}
	}},
	{"wrong commands are not sent", func(t *testing.T, r *rig, _ kind) {
		r.activate()
		n := len(r.card.commands())
		for _, c := range [][]byte{nil, {0, 1, 2}, {0, 0x61, 0, 0}, {0, 0x90, 0, 0}, {0, 0xA4, 0, 0, 3, 1}, {0, 0xA4, 0, 0, 0, 0, 1}, append(ask(insAsk, 1, pattern(3)), 9)} {
			_, err := r.Transmit(r.ctx, c)
			var ce *icc.CommandError
			if !errors.As(err, &ce) {
				t.Errorf("Transmit(% X): %v, want a CommandError", c, err)
			}
		}
		if got := len(r.card.commands()); got != n {
			t.Errorf("%d commands reached the card", got-n)
		}
		r.check("afterwards", nop())
	}},
	{"no card", func(t *testing.T, r *rig, _ kind) {
		if in, err := r.Present(r.ctx); in || err != nil {
			t.Errorf("Present = %v, %v", in, err)
		}
		if _, err := r.Activate(r.ctx); !errors.Is(err, icc.ErrNoCard) {
			t.Errorf("Activate: %v, want ErrNoCard", err)
		}
	}},
	{"not active", func(t *testing.T, r *rig, _ kind) {
		r.insert()
		if _, err := r.Transmit(r.ctx, nop()); !errors.Is(err, icc.ErrInactive) {
			t.Errorf("before Activate: %v, want ErrInactive", err)
		}
		r.activate()
		if err := r.Deactivate(); err != nil {
			t.Error(err)
		}
		if _, err := r.Transmit(r.ctx, nop()); !errors.Is(err, icc.ErrInactive) {
			t.Errorf("after Deactivate: %v, want ErrInactive", err)
		}
		if err := errors.Join(r.Halt(), r.Halt()); err != nil {
			t.Errorf("Halt twice: %v", err)
		}
	}},
	{"mute card", func(t *testing.T, r *rig, _ kind) {
		if r.chip != nil {
			r.chip.SetFaults(iccsim.ChipFaults{Mute: true})
		} else {
			r.slot.SetFaults(iccsim.Faults{Mute: true})
		}
		r.insert()
		if _, err := r.Activate(r.ctx); !errors.Is(err, icc.ErrMute) {
			t.Errorf("Activate: %v, want ErrMute", err)
		}
	}},
	{"card falls silent", func(t *testing.T, r *rig, _ kind) {
		r.activate()
		r.card.silent = true
		if r.try("silent card", read(8, 8)) {
			t.Error("a silent card answered")
		}
		r.card.silent = false
		r.activate()
		r.check("after a reset", read(8, 8))
	}},
	{"warm reset after a rejected answer", func(t *testing.T, r *rig, k kind) {
		// TS of no convention first, then a good answer.
		r.card.atrs = append([][]byte{atr("3B 60 11 00")}, r.card.atrs...)
		if k.opts.ISO { // TB1 may be anything there
			r.card.atrs[0] = atr("3B E0 00 00 81 31 00 45+")
		}
		if a := r.activate(); !a.Warm {
			t.Error("the second answer is not marked warm")
		}
		r.check("afterwards", read(40, 0))
	}},
	{"rejected twice", func(t *testing.T, r *rig, k kind) {
		r.card.atrs = [][]byte{atr("3B 82 81 31 05 45 41 42+")}
		r.insert()
		_, err := r.Activate(r.ctx)
		var ae *icc.ATRError
		if !errors.As(err, &ae) || !errors.Is(err, icc.ErrTransmission) {
			t.Errorf("Activate: %v, want an ATRError", err)
		}
		if r.card.resets != 2 {
			t.Errorf("%d resets, want a cold and a warm one", r.card.resets)
		}
	}},
	{"activate again", func(t *testing.T, r *rig, _ kind) {
		r.activate()
		r.check("first", write(pattern(3)))
		if _, err := r.Activate(r.ctx); err != nil {
			t.Fatal(err)
		}
		r.check("second", write(pattern(4)))
	}},
	{"wait for insertion and removal", func(t *testing.T, r *rig, _ kind) {
		time.AfterFunc(3*time.Second, r.insert)
		start := time.Now()
		if err := r.Wait(r.ctx, true); err != nil {
			t.Fatal(err)
		}
		if late := time.Since(start) - 3*time.Second; late < 0 || late > 40*time.Millisecond {
			t.Errorf("insertion seen %v late", late)
		}
		if _, err := r.Activate(r.ctx); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(3*time.Second, r.remove)
		if err := r.Wait(r.ctx, false); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Transmit(r.ctx, nop()); !errors.Is(err, icc.ErrInactive) {
			t.Errorf("after removal: %v, want ErrInactive", err)
		}
	}},
	{"wait is cancelled", func(t *testing.T, r *rig, _ kind) {
		ctx, cancel := context.WithTimeout(r.ctx, 7*time.Second)
		defer cancel()
		start := time.Now()
		if err := r.Wait(ctx, true); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait: %v", err)
		}
		if d := time.Since(start); d > 7*time.Second+100*time.Millisecond {
			t.Errorf("cancelled after %v", d)
		}
	}},
	{"removed while the card thinks", func(t *testing.T, r *rig, _ kind) {
		r.activate()
		slow(r, 30*time.Second)
		time.AfterFunc(5*time.Second, r.remove)
		start := time.Now()
		if _, err := r.Transmit(r.ctx, read(9, 9)); !errors.Is(err, icc.ErrRemoved) && !errors.Is(err, icc.ErrTransmission) {
			t.Errorf("Transmit: %v", err)
		}
		if d := time.Since(start); d > 6*time.Second {
			t.Errorf("noticed after %v", d)
		}
		slow(r, 0)
		r.activate()
		r.check("next card", nop())
	}},
	{"cancelled while the card thinks", func(t *testing.T, r *rig, _ kind) {
		r.activate()
		slow(r, 300*time.Millisecond)
		ctx, cancel := context.WithTimeout(r.ctx, 100*time.Millisecond)
		defer cancel()
		if _, err := r.Transmit(ctx, nop()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Transmit: %v", err)
		}
		slow(r, 0)
		r.activate()
		r.check("afterwards", nop())
	}},
}

func slow(r *rig, d time.Duration) {
	if r.chip != nil {
		r.chip.SetFaults(iccsim.ChipFaults{Slow: d})
		return
	}
	r.slot.SetFaults(iccsim.Faults{Slow: d, Extend: 1})
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			for _, c := range conformance {
				t.Run(c.name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						r, stop := newRig(t, k)
						defer stop()
						c.run(t, r, k)
					})
				})
			}
		})
	}
}
