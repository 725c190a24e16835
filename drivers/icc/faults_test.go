package icc_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"

	"posagent/drivers/bussim"
	"posagent/drivers/icc"
	"posagent/drivers/icc/iccsim"
)

// longest is what no call may exceed in virtual time: one command (90 s) and
// the time-outs that were running when it ended.
const longest = 95 * time.Second

// typed says whether err is one that a caller can tell apart.
func typed(err error) bool {
	for _, s := range []error{icc.ErrNoCard, icc.ErrRemoved, icc.ErrMute, icc.ErrTransmission, icc.ErrInactive} {
		if errors.Is(err, s) {
			return true
		}
	}
	return false
}

// each runs f on a rig of every kind for which want holds, in virtual time.
func each(t *testing.T, want func(kind) bool, f func(*testing.T, *rig, kind)) {
	t.Helper()
	n := 0
	for _, k := range kinds {
		if !want(k) {
			continue
		}
		n++
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, stop := newRig(t, k)
				defer stop()
				f(t, r, k)
			})
		})
	}
	if n == 0 {
		t.Fatal("no kind of reader matches")
	}
}

func bareT0(k kind) bool { return !k.chip && k.proto == icc.T0 }
func bareT1(k kind) bool { return !k.chip && k.proto == icc.T1 }
func chips(k kind) bool  { return k.chip }
func iso(k kind) bool    { return k.opts.ISO }

// try transmits and says whether the answer came; a wrong answer, an untyped
// error or a call without end fails the test.
func (r *rig) try(what string, capdu []byte) bool {
	r.t.Helper()
	start := time.Now()
	got, err := r.Transmit(r.ctx, capdu)
	if d := time.Since(start); d > longest {
		r.t.Errorf("%s: took %v", what, d)
	}
	if err != nil {
		if !typed(err) {
			r.t.Errorf("%s: untyped error %v", what, err)
		}
		return false
	}
	if want := respond(capdu); !bytes.Equal(got, want) {
		r.t.Errorf("%s: WRONG APDU for % X:\n got % X\nwant % X", what, capdu, got, want)
	}
	return true
}

func TestT1Repairs(t *testing.T) {
	t.Parallel()
	each(t, bareT1, func(t *testing.T, r *rig, _ kind) {
		r.activate()
		for n := uint32(1); n <= 3; n++ {
			r.slot.SetFaults(iccsim.Faults{BadEDC: n})
			r.check(fmt.Sprintf("%d blocks with a wrong check", n), ask(insAsk, 70, pattern(50)))
		}
		// One lost character anywhere, in either direction, chains included.
		for at := uint32(0); at < 104; at++ {
			r.slot.SetFaults(iccsim.Faults{Drop: []uint32{at}})
			r.check(fmt.Sprintf("character %d of the card lost", at), ask(insAsk, 70, pattern(40)))
			r.slot.SetFaults(iccsim.Faults{Lose: []uint32{at}})
			r.check(fmt.Sprintf("character %d of the terminal lost", at), ask(insAsk, 40, pattern(70)))
			r.slot.SetFaults(iccsim.Faults{Corrupt: []uint32{at}})
			r.check(fmt.Sprintf("character %d of the card damaged", at), ask(insAsk, 70, pattern(40)))
		}
		r.slot.SetFaults(iccsim.Faults{})
		seen := map[string]int{}
		for _, c := range r.card.commands() {
			seen[c]++
		}
		if n := seen[fmt.Sprintf("%x", ask(insAsk, 70, pattern(40)))]; n != 208 {
			t.Errorf("the card carried a repaired command out %d times, want 208: a repair must not repeat it", n)
		}
	})
}

func TestT1GivesUp(t *testing.T) {
	t.Parallel()
	each(t, func(k kind) bool { return bareT1(k) && !iso(k) }, func(t *testing.T, r *rig, _ kind) {
		r.activate()
		r.slot.SetFaults(iccsim.Faults{BadEDC: 4})
		_, err := r.Transmit(r.ctx, read(9, 9))
		if !errors.Is(err, icc.ErrTransmission) {
			t.Errorf("four wrong checks: %v, want ErrTransmission", err)
		}
		if r.slot.Power.Level() != gpio.Low {
			t.Error("the card still has power")
		}
		r.activate()
		r.check("afterwards", read(9, 9))
	})
}

func TestT1Resynchronises(t *testing.T) {
	t.Parallel()
	each(t, iso, func(t *testing.T, r *rig, _ kind) {
		r.activate()
		r.check("before", read(9, 9))
		r.slot.SetFaults(iccsim.Faults{BadEDC: 5}) // and one on the S-block
		if _, err := r.Transmit(r.ctx, read(9, 9)); !errors.Is(err, icc.ErrResynched) || !errors.Is(err, icc.ErrTransmission) {
			t.Fatalf("Transmit: %v, want ErrResynched", err)
		}
		r.check("same card afterwards", ask(insAsk, 300, pattern(200)))
		r.slot.SetFaults(iccsim.Faults{BadEDC: 9})
		if _, err := r.Transmit(r.ctx, read(9, 9)); errors.Is(err, icc.ErrResynched) || !errors.Is(err, icc.ErrTransmission) {
			t.Errorf("Transmit: %v, want ErrTransmission", err)
		}
	})
}

func TestExtensions(t *testing.T) {
	t.Parallel()
	each(t, func(k kind) bool { return !k.chip }, func(t *testing.T, r *rig, _ kind) {
		r.activate()
		r.slot.SetFaults(iccsim.Faults{Extend: 12, Slow: 500 * time.Millisecond})
		r.check("twelve extensions", ask(insAsk, 30, pattern(30)))
		r.slot.SetFaults(iccsim.Faults{Extend: 1000, Slow: 800 * time.Millisecond})
		if r.try("endless extensions", nop()) {
			t.Error("a card that always asks for more time was answered")
		}
		r.slot.SetFaults(iccsim.Faults{})
		r.activate()
		r.check("afterwards", nop())
	})
}

// Every single fault in T=0 gives the right answer or a typed error.
func TestT0SingleFaults(t *testing.T) {
	t.Parallel()
	each(t, bareT0, func(t *testing.T, r *rig, _ kind) {
		var right, failed int
		for at := uint32(0); at < 75; at++ {
			for name, f := range map[string]iccsim.Faults{
				"lost": {Drop: []uint32{at}}, "damaged": {Corrupt: []uint32{at}}, "not heard": {Lose: []uint32{at}},
			} {
				r.slot.SetFaults(iccsim.Faults{})
				r.activate()
				r.slot.SetFaults(f)
				if r.try(fmt.Sprintf("character %d %s", at, name), ask(insAsk, 30, pattern(12))) {
					right++
				} else {
					failed++
				}
			}
		}
		if right == 0 || failed == 0 {
			t.Errorf("%d right, %d failed: the faults do not bite", right, failed)
		}
	})
}

func TestChipFaults(t *testing.T) {
	t.Parallel()
	each(t, chips, func(t *testing.T, r *rig, _ kind) {
		capdu := ask(insAsk, 20, pattern(10))
		for at := uint32(0); at < 27; at++ { // 60 LL LL CMD, 22 bytes, LRC
			r.chip.SetFaults(iccsim.ChipFaults{})
			r.activate()
			r.chip.SetFaults(iccsim.ChipFaults{Flip: []uint32{at}})
			if r.try("flipped answer", capdu) {
				t.Errorf("byte %d of the answer was flipped and believed", at)
			}
			r.chip.SetFaults(iccsim.ChipFaults{})
			r.activate()
			r.chip.SetFaults(iccsim.ChipFaults{Drop: []uint32{at}})
			if r.try("lost answer", capdu) {
				t.Errorf("byte %d of the answer was lost and not missed", at)
			}
		}
		r.chip.SetFaults(iccsim.ChipFaults{})
		r.activate()
		for at := uint32(1); at < 21; at++ {
			r.chip.SetFaults(iccsim.ChipFaults{Lose: []uint32{at}})
			r.check("a command frame that the chip refused is sent again", capdu)
		}
		r.chip.SetFaults(iccsim.ChipFaults{PullIn: 1})
		if _, err := r.Transmit(r.ctx, capdu); !errors.Is(err, icc.ErrRemoved) {
			t.Errorf("pulled: %v, want ErrRemoved", err)
		}
		m, err := r.Reader.(*icc.TDA8029).Mask(r.ctx)
		if err != nil || m == "" {
			t.Errorf("Mask = %q, %v", m, err)
		}
	})
}

// The bare UART says ErrRemoved wherever the card is pulled.
func TestPulledAnywhere(t *testing.T) {
	t.Parallel()
	each(t, func(k kind) bool { return !k.chip }, func(t *testing.T, r *rig, _ kind) {
		for n := uint32(1); n < 40; n++ {
			r.slot.SetFaults(iccsim.Faults{})
			r.activate()
			r.slot.SetFaults(iccsim.Faults{PullAfter: n})
			start := time.Now()
			_, err := r.Transmit(r.ctx, ask(insAsk, 20, pattern(20)))
			if !errors.Is(err, icc.ErrRemoved) {
				t.Errorf("pulled after %d characters: %v, want ErrRemoved", n, err)
			}
			if d := time.Since(start); d > time.Second {
				t.Errorf("pulled after %d characters: noticed after %v", n, d)
			}
		}
	})
}

// A doubled or flipped character on a line that tells nobody is at most an
// error. Flips are tried where a check covers them.
func TestDoubledAndFlipped(t *testing.T) {
	t.Parallel()
	each(t, func(kind) bool { return true }, func(t *testing.T, r *rig, k kind) {
		var failed int
		for at := uint64(0); at < 40; at++ {
			for _, what := range []bussim.Kind{bussim.Duplicate, bussim.Flip} {
				if what == bussim.Flip && bareT0(k) {
					continue
				}
				r.line.SetFaults(nil)
				r.activate()
				r.line.SetFaults(&bussim.Plan{Direction: bussim.ToTerminal, Exact: []bussim.Fault{
					{Direction: bussim.ToTerminal, At: at, Kind: what, Bit: uint8(at)}}})
				if !r.try(fmt.Sprintf("character %d, fault %d", at, what), ask(insAsk, 16, pattern(12))) {
					failed++
				}
			}
		}
		if failed == 0 && !bareT1(k) {
			t.Error("the faults do not bite")
		}
		if failed > 0 && bareT1(k) {
			t.Errorf("%d single faults were not repaired", failed)
		}
	})
}

// A line that does not echo is found out at the first command, and a slot can
// echo in its place.
func TestEcho(t *testing.T) {
	t.Parallel()
	for _, echo := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			line := bussim.NewUART("ICC0", &bussim.UARTOpts{Paced: true})
			slot := iccsim.NewSlot(&iccsim.Opts{Echo: echo})
			done := make(chan error)
			go func() { done <- slot.Serve(t.Context(), line.Wire()) }()
			defer func() { line.Wire().Close(); <-done }()
			slot.Insert(&testCard{atrs: [][]byte{atr("3B 60 00 00")}})
			r, err := icc.NewUART(line.Port(), icc.Pins{Reset: slot.Reset, Power: slot.Power, Present: slot.Present}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.Activate(t.Context()); err != nil {
				t.Fatal(err)
			}
			_, err = r.Transmit(t.Context(), write(pattern(20)))
			if echo && err != nil {
				t.Errorf("Transmit with the slot's echo: %v", err)
			}
			if !echo && (!errors.Is(err, icc.ErrTransmission) || !strings.Contains(err.Error(), "echo")) {
				t.Errorf("Transmit without echo: %v", err)
			}
		})
	}
}

// plans is how many random fault plans run over all kinds.
const plans = 506

func TestRandomFaultPlans(t *testing.T) {
	t.Parallel()
	var right, failed int
	var worst time.Duration
	for seed := range uint64(plans) {
		k := kinds[seed%uint64(len(kinds))]
		synctest.Test(t, func(t *testing.T) {
			r, stop := newRig(t, k)
			defer stop()
			rnd := rand.New(rand.NewPCG(seed, 7816))
			r.plan(rnd)
			r.insert()
			start := time.Now()
			if _, err := r.Activate(r.ctx); err != nil && !typed(err) {
				t.Errorf("plan %d: Activate: untyped error %v", seed, err)
			}
			for i := range 4 {
				if r.try(fmt.Sprintf("plan %d, command %d", seed, i), ask(insAsk, rnd.IntN(140), pattern(1+rnd.IntN(90)))) {
					right++
				} else {
					failed++
					_, _ = r.Activate(r.ctx)
				}
			}
			worst = max(worst, time.Since(start))
			r.unplan()
			r.insert()
			if _, err := r.Activate(r.ctx); err != nil {
				t.Fatalf("plan %d (%s): Activate for the next transaction: %v", seed, k.name, err)
			}
			r.check(fmt.Sprintf("plan %d (%s): next transaction", seed, k.name), ask(insAsk, 100, pattern(60)))
		})
	}
	t.Logf("%d plans: %d right answers, %d typed errors, longest plan %v virtual", plans, right, failed, worst)
	if right == 0 || failed == 0 {
		t.Error("the plans do not bite")
	}
}

// plan sets random faults. Damaged characters keep a distance of a block where
// only an exclusive-or protects them: two equal ones in a block cancel, which
// is the standard's weakness and not the driver's.
func (r *rig) plan(rnd *rand.Rand) {
	some := func(max int) (l []uint32) {
		at := uint32(0)
		for range rnd.IntN(max + 1) {
			at += 300 + rnd.Uint32N(200)
			l = append(l, at-300)
		}
		return l
	}
	slow := time.Duration(rnd.IntN(3)) * 400 * time.Millisecond
	if r.chip != nil {
		r.chip.SetFaults(iccsim.ChipFaults{
			Mute: rnd.IntN(20) == 0, Flip: some(2), Drop: some(1), Lose: some(2), PullIn: rnd.Uint32N(6), Slow: slow,
		})
		return
	}
	f := iccsim.Faults{Mute: rnd.IntN(20) == 0, Slow: slow, Extend: rnd.Uint32N(4), BadEDC: rnd.Uint32N(6)}
	switch rnd.IntN(4) {
	case 0:
		f.Drop = some(3)
	case 1:
		f.Corrupt = some(3)
	case 2:
		f.Lose = some(3)
	case 3:
		f.PullAfter = rnd.Uint32N(900)
	}
	r.slot.SetFaults(f)
}

func (r *rig) unplan() {
	if r.chip != nil {
		r.chip.SetFaults(iccsim.ChipFaults{})
	} else {
		r.slot.SetFaults(iccsim.Faults{})
	}
}
