package iso14443_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"posagent/nfc"
	"posagent/nfc/iso14443"
	"posagent/nfc/iso14443/iso14443sim"
)

// transaction is what the fault tests do to a card: chained both ways, with a
// request for time.
func (r *rig) transaction(c nfc.Card) error {
	for i, capdu := range [][]byte{ask(1, 20, 14), ask(2, 150, 30), ask(3, 10, 160), ask(4, 90, 90)} {
		if err := r.try(c, capdu); err != nil {
			return fmt.Errorf("APDU %d: %w", i, err)
		}
	}
	return nil
}

func chained(o *iso14443sim.Opts) *iso14443sim.Opts {
	o.Chunk, o.ATS.FSCI, o.ATQB.FSCI, o.WTX, o.WTXM = 60, 5, 5, 1, 2
	return o
}

// frames is how many frames Poll, and Poll with a transaction, take without
// faults.
func frames(t *testing.T, o *iso14443sim.Opts) (poll, all uint32) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, o, nil, nil)
		c := r.poll()
		poll = r.air.Frames()
		if err := r.transaction(c); err != nil {
			t.Fatal(err)
		}
		all = r.air.Frames()
	})
	return poll, all
}

// One fault anywhere is repaired: in the activation by the next cycle, in the
// blocks by the protocol, and no command is carried out twice.
func TestSingleFaults(t *testing.T) {
	t.Parallel()
	for _, o := range []*iso14443sim.Opts{chained(optsA(nil)), chained(optsB(nil))} {
		poll, all := frames(t, o)
		for name, f := range map[string]iso14443sim.Fault{
			"lost": {Lose: true}, "damaged": {Damage: true}, "answer lost": {Drop: true}, "answer garbled": {Garble: true},
			"answer flipped": {Flip: 1}, "answer flipped three times": {Flip: 3}, "answer cut": {Cut: true},
		} {
			for at := range all {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, o, nil, nil)
					r.air.SetPlan(func(n uint32) iso14443sim.Fault {
						if n == at {
							return f
						}
						return iso14443sim.Fault{}
					})
					r.air.Place(r.picc)
					c, err := r.reader.Poll(r.ctx, &nfc.PollOpts{Cycles: 4})
					if at < poll && f.Flip > 0 && errors.Is(err, nfc.ErrUnsupported) {
						return // nothing but a CRC protects what a card says of itself
					}
					if err != nil {
						t.Errorf("type %v, frame %d %s: Poll: %v", o.Type, at, name, err)
						return
					}
					if err := r.transaction(c); err != nil {
						t.Errorf("type %v, frame %d %s: %v", o.Type, at, name, err)
					}
					r.once()
				})
			}
		}
	}
}

// Removed before or in each frame: no card, or a removed one, at once.
func TestRemovedAtEachFrame(t *testing.T) {
	t.Parallel()
	for _, o := range []*iso14443sim.Opts{chained(optsA(nil)), chained(optsB(nil))} {
		poll, all := frames(t, o)
		for at := range all {
			for _, f := range []iso14443sim.Fault{{PullBefore: true}, {PullAfter: true}} {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, o, nil, nil)
					r.air.SetPlan(func(n uint32) iso14443sim.Fault {
						if n == at {
							return f
						}
						return iso14443sim.Fault{}
					})
					r.air.Place(r.picc)
					start := time.Now()
					c, err := r.reader.Poll(r.ctx, &nfc.PollOpts{Cycles: 3})
					if err == nil {
						err = r.transaction(c)
					}
					want := nfc.ErrRemoved
					if at < poll {
						want = nfc.ErrNoCard
					}
					if !errors.Is(err, want) && !(at < poll && errors.Is(err, nfc.ErrTransmission)) {
						t.Errorf("type %v, frame %d of %d: %v, want %v", o.Type, at, all, err, want)
					}
					if d := time.Since(start); d > 700*time.Millisecond {
						t.Errorf("type %v, frame %d of %d: noticed after %v", o.Type, at, all, d)
					}
					r.next()
				})
			}
		}
	}
}

// A second card that comes in at any frame is a collision while polling, and
// does not disturb a card that is active.
func TestSecondCardAtEachFrame(t *testing.T) {
	t.Parallel()
	for _, o := range []*iso14443sim.Opts{chained(optsA(nil)), chained(optsB(nil))} {
		for _, oo := range []*iso14443sim.Opts{optsA(func(o *iso14443sim.Opts) { o.UID[6]++ }), optsB(func(o *iso14443sim.Opts) { o.ATQB.PUPI[0]++ })} {
			poll, all := frames(t, o)
			collisions := 0
			for at := range all {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, o, nil, nil)
					second := &echo{}
					r.air.SetPlan(func(n uint32) iso14443sim.Fault {
						if n == at {
							return iso14443sim.Fault{Add: iso14443sim.NewPICC(second, oo)}
						}
						return iso14443sim.Fault{}
					})
					r.air.Place(r.picc)
					c, err := r.reader.Poll(r.ctx, &nfc.PollOpts{Cycles: 3})
					if errors.Is(err, nfc.ErrCollision) && at < poll {
						collisions++
						return
					}
					if at <= 2 || at == 3 && o.Type == oo.Type { // before the last question who is there
						t.Errorf("%v and %v, frame %d: %v, want ErrCollision", o.Type, oo.Type, at, err)
					}
					if err == nil {
						err = r.transaction(c)
					}
					if err != nil || len(second.commands) != 0 {
						t.Errorf("%v and %v, frame %d of %d: %v; %d commands to the second", o.Type, oo.Type, at, all, err, len(second.commands))
					}
				})
			}
			if collisions == 0 {
				t.Errorf("%v and %v: no collision", o.Type, oo.Type)
			}
		}
	}
}

// plans is how many random fault plans run.
const plans = 2000

func TestRandomFaultPlans(t *testing.T) {
	t.Parallel()
	var right, failed, injected int
	var worst time.Duration
	for seed := range uint64(plans) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 14443))
			o := randomCard(rnd)
			r := newRig(t, o, &iso14443.Opts{MaxRate: iso14443.Rate(rnd.IntN(3))}, nil)
			severity := rnd.IntN(40)
			r.air.SetPlan(func(uint32) iso14443sim.Fault {
				if rnd.IntN(100) >= severity {
					return iso14443sim.Fault{}
				}
				injected++
				f := randomFault(rnd)
				if o.Type == nfc.TypeA && f.Cut { // which its CRC does not always find
					f = iso14443sim.Fault{Garble: true}
				}
				return f
			})
			for i := range uint16(6) {
				r.air.Place(r.picc)
				ctx, cancel := context.WithTimeout(r.ctx, 10*time.Second)
				c, err := r.reader.Poll(ctx, &nfc.PollOpts{Cycles: 20})
				cancel()
				if err != nil {
					if !typed(err) {
						t.Errorf("plan %d: Poll: untyped error %v", seed, err)
					}
					failed++
					continue
				}
				for k := range uint16(4) {
					start := time.Now()
					err = r.try(c, ask(i<<8|k, rnd.IntN(400), rnd.IntN(300)))
					worst = max(worst, time.Since(start))
					if err != nil {
						failed++
						break
					}
					right++
				}
			}
			r.once()
			r.next()
			if t.Failed() {
				t.Fatalf("plan %d", seed)
			}
		})
	}
	t.Logf("%d plans, %d faults: %d right answers, %d typed errors, longest APDU %v virtual", plans, injected, right, failed, worst)
	if right < plans || failed < plans/10 {
		t.Errorf("%d right, %d failed: the plans do not bite", right, failed)
	}
}

func randomCard(rnd *rand.Rand) *iso14443sim.Opts {
	o := optsB(nil)
	if rnd.IntN(3) > 0 {
		o = optsA(nil)
		o.UID = make([]byte, []int{4, 7, 10}[rnd.IntN(3)])
		for i := range o.UID {
			o.UID[i] = byte(rnd.IntN(0x80))
		}
	}
	fsci, fwi := uint8(rnd.IntN(9)), uint8(rnd.IntN(9))
	o.ATS.FSCI, o.ATS.FWI, o.ATS.SFGI, o.ATQB.FSCI, o.ATQB.FWI = fsci, fwi, uint8(rnd.IntN(5)), fsci, fwi
	o.WTX, o.WTXM, o.Everywhere = uint32(rnd.IntN(3)), uint8(rnd.IntN(60)), rnd.IntN(2) == 0
	o.Think = time.Duration(rnd.IntN(3)) * iso14443.FWT(fwi) / 3
	if rnd.IntN(2) == 0 {
		o.Chunk = uint16(5 + rnd.IntN(100))
	}
	return o
}

func randomFault(rnd *rand.Rand) iso14443sim.Fault {
	switch rnd.IntN(32) {
	case 0:
		return iso14443sim.Fault{PullBefore: true}
	case 1:
		return iso14443sim.Fault{PullAfter: true}
	case 2, 3, 4:
		return iso14443sim.Fault{Stall: uint8(2 + rnd.IntN(200))}
	case 5, 6:
		return iso14443sim.Fault{Cut: true}
	case 7, 8, 9, 10:
		return iso14443sim.Fault{Garble: true}
	case 11, 12, 13, 14, 15:
		return iso14443sim.Fault{Drop: true}
	case 16, 17, 18, 19, 20:
		return iso14443sim.Fault{Damage: true}
	case 21, 22, 23, 24, 25:
		return iso14443sim.Fault{Flip: uint8(1 + rnd.IntN(3))}
	}
	return iso14443sim.Fault{Lose: true}
}

// broken is a chip whose bus fails once.
type broken struct {
	*iso14443sim.Air
	left int
}

var errBus = errors.New("bus failed")

func (b *broken) fail() error {
	if b.left--; b.left == 0 {
		return errBus
	}
	return nil
}

func (b *broken) Field(on bool) error {
	if err := b.fail(); err != nil {
		return err
	}
	return b.Air.Field(on)
}

func (b *broken) Tune(m iso14443.Mode) error {
	if err := b.fail(); err != nil {
		return err
	}
	return b.Air.Tune(m)
}

func (b *broken) Exchange(ctx context.Context, f iso14443.Frame, wait time.Duration) (iso14443.Reply, error) {
	if err := b.fail(); err != nil {
		return iso14443.Reply{}, err
	}
	return b.Air.Exchange(ctx, f, wait)
}

// A failure of the chip is told as it is, wherever it comes, and not laid to
// the card.
func TestChipFails(t *testing.T) {
	t.Parallel()
	for n := 1; ; n++ {
		failed := false
		synctest.Test(t, func(t *testing.T) {
			air := iso14443sim.NewAir(nil)
			air.Place(iso14443sim.NewPICC(&echo{}, nil))
			b := &broken{Air: air, left: n}
			reader, err := iso14443.New(b, nil)
			if err != nil {
				t.Fatal(err)
			}
			r := &rig{T: t, ctx: t.Context(), air: air, reader: reader}
			c, err := reader.Poll(r.ctx, &nfc.PollOpts{Cycles: 2})
			if err == nil {
				_, err = c.Transmit(r.ctx, ask(1, 300, 300))
			}
			failed = b.left <= 0
			if failed && (!errors.Is(err, errBus) || typed(err)) || !failed && err != nil {
				t.Errorf("call %d failed: %v", n, err)
			}
			c, err = reader.Poll(r.ctx, &nfc.PollOpts{Cycles: 2})
			if err != nil && failed {
				t.Fatalf("call %d failed, next Poll: %v", n, err)
			}
			if err == nil {
				r.must(c, ask(2, 30, 30))
			}
		})
		if !failed {
			if n < 20 {
				t.Errorf("only %d calls", n)
			}
			return
		}
	}
}
