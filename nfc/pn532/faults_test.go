package pn532_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"posagent/drivers/bussim"
	"posagent/nfc"
	"posagent/nfc/iso14443"
	"posagent/nfc/iso14443/iso14443sim"
	"posagent/nfc/pn532"
	"posagent/nfc/pn532/pn532sim"
)

// transaction is what the fault tests do to a card; serial keeps commands of
// one run apart.
func (r *rig) transaction(c nfc.Card, serial uint16) error {
	for i, n := range [][2]int{{20, 14}, {150, 30}, {10, 160}, {0, 0}, {300, 280}} {
		if err := r.try(c, ask(serial*8+uint16(i), n[0], n[1])); err != nil {
			return err
		}
	}
	return nil
}

// One fault of one byte anywhere: no wrong APDU, no command twice, and the next
// transaction works.
func TestSingleByteFaults(t *testing.T) {
	t.Parallel()
	right, failed := 0, 0
	for _, kind := range []bussim.Kind{bussim.Drop, bussim.Flip, bussim.Duplicate, bussim.Delay} {
		for _, dir := range []bussim.Direction{bussim.ToPart, bussim.ToTerminal} {
			for at := uint64(0); at < 1500; at += 47 {
				bubble(t, nil, nil, func(r *rig) {
					r.line.SetFaults(&bussim.Plan{DelayBy: 40 * time.Millisecond,
						Exact: []bussim.Fault{{Direction: dir, At: at, Kind: kind, Bit: uint8(at % 8)}}})
					r.air.Place(r.picc)
					start := time.Now()
					c, err := r.reader.Poll(r.ctx, &nfc.PollOpts{Cycles: 4})
					if err == nil {
						err = r.transaction(c, 0)
					}
					if err == nil {
						right++
					} else if failed++; !typed(err) {
						t.Errorf("kind %d %v at %d: untyped error %v", kind, dir, at, err)
					}
					if d := time.Since(start); d > 10*time.Second {
						t.Errorf("kind %d %v at %d: took %v", kind, dir, at, d)
					}
					r.once()
					r.next()
				})
			}
		}
	}
	t.Logf("%d right, %d failed", right, failed)
	if right < failed {
		t.Errorf("%d right and %d failed; most single faults should be repaired", right, failed)
	}
}

// Faults of the chip itself.
func TestChipFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		f    func(n uint32) pn532sim.Faults
		all  bool // always repaired
	}{
		{"ACK lost", func(n uint32) pn532sim.Faults { return pn532sim.Faults{LoseACK: []uint32{n}} }, true},
		{"response lost", func(n uint32) pn532sim.Faults { return pn532sim.Faults{LoseResponse: []uint32{n}} }, false},
		{"reset before", func(n uint32) pn532sim.Faults { return pn532sim.Faults{ResetBefore: []uint32{n}} }, false},
		{"reset after", func(n uint32) pn532sim.Faults { return pn532sim.Faults{ResetAfter: []uint32{n}} }, false},
		{"error frame", func(n uint32) pn532sim.Faults { return pn532sim.Faults{Reject: []uint32{n}} }, false},
	} {
		for n := range uint32(24) {
			bubble(t, nil, nil, func(r *rig) {
				r.chip.SetFaults(c.f(n))
				r.air.Place(r.picc)
				start := time.Now()
				card, err := r.reader.Poll(r.ctx, &nfc.PollOpts{Cycles: 4})
				if err != nil {
					t.Errorf("%s at command %d: Poll: %v", c.name, n, err)
				} else if err = r.transaction(card, 0); err != nil && (c.all || !errors.Is(err, nfc.ErrTransmission)) {
					t.Errorf("%s at command %d: %v", c.name, n, err)
				}
				if d := time.Since(start); d > 10*time.Second {
					t.Errorf("%s at command %d: took %v", c.name, n, d)
				}
				r.once()
				r.next()
			})
		}
	}
}

// An error frame that is damaged is not taken for the response before it, which
// the chip sends again when it is asked with NACK.
func TestDamagedErrorFrame(t *testing.T) {
	const lcs = 6 + 275 + 6 + 4 // ACK, first part of the response, ACK, 00 00 FF 01
	bubble(t, nil, nil, func(r *rig) {
		c := r.poll()
		r.chip.SetFaults(pn532sim.Faults{Reject: []uint32{1}})
		r.line.SetFaults(&bussim.Plan{Exact: []bussim.Fault{{Direction: bussim.ToTerminal, At: lcs, Kind: bussim.Flip, Bit: 2}}})
		if err := r.try(c, ask(1, 280, 4)); !errors.Is(err, nfc.ErrTransmission) {
			t.Errorf("Transmit: %v", err)
		}
		r.next()
	})
}

// A chip that is not there is ErrChip, soon; one that comes back is used.
func TestDeadChip(t *testing.T) {
	bubble(t, nil, nil, func(r *rig) {
		r.line.SetFaults(&bussim.Plan{Drop: 1})
		start := time.Now()
		if _, err := r.reader.Poll(r.ctx, nil); !errors.Is(err, pn532.ErrChip) {
			t.Errorf("Poll: %v", err)
		}
		if d := time.Since(start); d > 15*time.Second {
			t.Errorf("took %v", d)
		}
		r.next()
		r.chip.Reset()
		r.next()
	})
}

// plans is how many random fault plans run.
const plans = 500

// apart is how far two damaged bytes of one direction are apart: further than a
// frame is long, because its sum does not find pairs.
const apart = 300

func randomLine(rnd *rand.Rand) *bussim.Plan {
	p := &bussim.Plan{DelayBy: time.Duration(rnd.IntN(80)) * time.Millisecond}
	for _, dir := range []bussim.Direction{bussim.ToPart, bussim.ToTerminal} {
		for at := uint64(rnd.IntN(800)); at < 20_000; at += apart + uint64(rnd.IntN(1500)) {
			p.Exact = append(p.Exact, bussim.Fault{Direction: dir, At: at, Kind: bussim.Kind(1 + rnd.IntN(4)), Bit: uint8(rnd.IntN(8))})
		}
	}
	return p
}

func (r *rig) randomAir(rnd *rand.Rand) iso14443sim.Fault {
	switch rnd.IntN(7) {
	case 0:
		return iso14443sim.Fault{Lose: true}
	case 1:
		return iso14443sim.Fault{Drop: true}
	case 2:
		return iso14443sim.Fault{Garble: true}
	case 3:
		return iso14443sim.Fault{Damage: true}
	case 4:
		return iso14443sim.Fault{PullBefore: true}
	case 5:
		return iso14443sim.Fault{PullAfter: true}
	}
	r.second = iso14443sim.NewPICC(&echo{silent: true}, optsA(func(o *iso14443sim.Opts) { o.UID[6]++ }))
	return iso14443sim.Fault{Add: r.second}
}

func TestRandomFaultPlans(t *testing.T) {
	t.Parallel()
	right, failed := 0, 0
	var injected uint64
	var worst time.Duration
	for seed := range uint64(plans) {
		rnd := rand.New(rand.NewPCG(seed, 532))
		o := optsA(nil)
		if rnd.IntN(3) == 0 {
			o = optsB()
		}
		if rnd.IntN(3) == 0 {
			o.WTX, o.WTXM = uint32(rnd.IntN(4)), 1
		}
		bubble(t, o, &pn532.Opts{MaxRate: iso14443.Rate(rnd.IntN(3))}, func(r *rig) {
			if rnd.IntN(4) > 0 {
				r.line.SetFaults(randomLine(rnd))
			}
			if rnd.IntN(2) == 0 {
				n := uint32(rnd.IntN(40))
				r.chip.SetFaults([]pn532sim.Faults{{LoseACK: []uint32{n}}, {LoseResponse: []uint32{n}}, {ResetBefore: []uint32{n}},
					{ResetAfter: []uint32{n}}, {Reject: []uint32{n}}}[rnd.IntN(5)])
			}
			if severity := rnd.IntN(8); rnd.IntN(2) == 0 {
				r.air.SetPlan(func(uint32) iso14443sim.Fault {
					if rnd.IntN(100) >= severity || r.second != nil {
						return iso14443sim.Fault{}
					}
					return r.randomAir(rnd)
				})
			}
			for i := range uint16(2) {
				r.air.Place(r.picc)
				start := time.Now()
				ctx, cancel := context.WithTimeout(r.ctx, 20*time.Second)
				c, err := r.reader.Poll(ctx, &nfc.PollOpts{Cycles: 10})
				cancel()
				if err == nil {
					err = r.transaction(c, i)
				}
				if err == nil {
					right++
				} else if failed++; !typed(err) {
					t.Errorf("plan %d: untyped error %v", seed, err)
				}
				worst = max(worst, time.Since(start))
				if r.second != nil {
					r.air.Remove(r.second)
					r.second = nil
				}
			}
			injected += r.line.Counts().Injected()
			r.once()
			r.next()
		})
	}
	t.Logf("%d plans, %d bytes damaged, %d transactions right, %d failed, longest %v of virtual time", plans, injected, right, failed, worst)
	if right == 0 || failed == 0 || worst > 3*longest {
		t.Errorf("right %d, failed %d, longest %v", right, failed, worst)
	}
}
