package pn532_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"posagent/nfc"
	"posagent/nfc/iso14443"
	"posagent/nfc/iso14443/iso14443sim"
	"posagent/nfc/pn532"
)

func TestAPDUs(t *testing.T) {
	for _, o := range []*iso14443sim.Opts{optsA(nil), optsB()} {
		bubble(t, o, nil, func(r *rig) {
			c := r.poll()
			if c.Type() != o.Type || r.chip.Baud() != 921_600 {
				t.Errorf("type %v at %d baud", c.Type(), r.chip.Baud())
			}
			want := o.UID
			if o.Type == nfc.TypeB {
				want = o.ATQB.PUPI[:]
			}
			if !bytes.Equal(c.UID(), want) {
				t.Errorf("UID % X, want % X", c.UID(), want)
			}
			for i, n := range [][2]int{{0, 0}, {10, 5}, {250, 250}, {256, 255}, {262, 256}, {600, 257}, {4096, 4000}} {
				r.must(c, ask(uint16(i), n[0], n[1]))
			}
			if in, err := c.Present(r.ctx); !in || err != nil {
				t.Errorf("Present = %v, %v", in, err)
			}
			r.must(c, ask(99, 3, 3))
			if _, err := c.Transmit(r.ctx, []byte{0}); err == nil || typed(err) {
				t.Errorf("short command: %v", err)
			}
			r.must(c, ask(100, 3, 3))
			r.once()
			err := r.reader.Halt()
			synctest.Wait() // until the chip has fallen asleep
			if err != nil || r.air.On() || !r.chip.Asleep() {
				t.Errorf("Halt: %v; field %v, asleep %v", err, r.air.On(), r.chip.Asleep())
			}
			if err := r.reader.Halt(); err != nil {
				t.Errorf("second Halt: %v", err)
			}
			if err := r.try(c, ask(101, 3, 3)); !errors.Is(err, nfc.ErrRemoved) {
				t.Errorf("after Halt: %v", err)
			}
			r.next()
		})
	}
}

func TestPollOutcomes(t *testing.T) {
	other := optsA(func(o *iso14443sim.Opts) { o.UID[6]++ })
	for _, c := range []struct {
		name  string
		cards []*iso14443sim.Opts
		want  error
	}{
		{"nobody", nil, nfc.ErrNoCard},
		{"two of type A", []*iso14443sim.Opts{optsA(nil), other}, nfc.ErrCollision},
		{"one of each", []*iso14443sim.Opts{optsA(nil), optsB()}, nfc.ErrCollision},
		{"no APDUs", []*iso14443sim.Opts{optsA(func(o *iso14443sim.Opts) { o.Plain = true })}, nfc.ErrUnsupported},
		{"no APDUs in type B", []*iso14443sim.Opts{func() *iso14443sim.Opts { o := optsB(); o.Plain = true; return o }()}, nfc.ErrUnsupported},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, nil, nil, func(r *rig) {
				for _, o := range c.cards {
					p := iso14443sim.NewPICC(&echo{}, o)
					r.air.Place(p)
					defer r.air.Remove(p)
				}
				if _, err := r.reader.Poll(r.ctx, &nfc.PollOpts{Cycles: 3}); !errors.Is(err, c.want) {
					t.Errorf("Poll: %v, want %v", err, c.want)
				}
				if r.air.On() {
					t.Error("the field is on")
				}
			})
		})
	}
}

func TestRemoval(t *testing.T) {
	for _, o := range []*iso14443sim.Opts{optsA(nil), optsB()} {
		bubble(t, o, nil, func(r *rig) {
			c := r.poll()
			r.must(c, ask(1, 2, 3))
			ctx, cancel := context.WithTimeout(r.ctx, time.Second)
			defer cancel()
			if err := c.Removed(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Removed with the card in the field: %v", err)
			}
			time.AfterFunc(500*time.Millisecond, func() { r.air.Remove(r.picc) })
			start := time.Now()
			if err := c.Removed(r.ctx); err != nil || r.air.On() {
				t.Errorf("Removed: %v, field %v", err, r.air.On())
			}
			if d := time.Since(start); d < 500*time.Millisecond || d > 700*time.Millisecond {
				t.Errorf("Removed after %v", d)
			}
			c = r.poll()
			r.air.Remove(r.picc)
			if err := r.try(c, ask(2, 2, 3)); !errors.Is(err, nfc.ErrRemoved) {
				t.Errorf("pulled: %v", err)
			}
			c = r.poll()
			r.air.Remove(r.picc)
			if in, err := c.Present(r.ctx); in || err != nil {
				t.Errorf("Present of a pulled card: %v, %v", in, err)
			}
			c = r.poll()
			r.card.silent = true
			if err := r.try(c, ask(3, 2, 3)); !errors.Is(err, nfc.ErrTransmission) || r.air.On() {
				t.Errorf("dumb card: %v, field %v", err, r.air.On())
			}
			r.next()
		})
	}
}

func TestCancelled(t *testing.T) {
	bubble(t, optsA(func(o *iso14443sim.Opts) { o.Think, o.ATS.FWI = 3*time.Second, 14 }), nil, func(r *rig) {
		ctx, cancel := context.WithTimeout(r.ctx, 300*time.Millisecond)
		defer cancel()
		if _, err := r.reader.Poll(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Poll: %v", err)
		}
		c := r.poll()
		ctx, cancel = context.WithTimeout(r.ctx, 300*time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, err := c.Transmit(ctx, ask(1, 1, 1)); !errors.Is(err, context.DeadlineExceeded) || r.air.On() {
			t.Errorf("Transmit: %v, field %v", err, r.air.On())
		}
		if d := time.Since(start); d > 500*time.Millisecond {
			t.Errorf("cancelled after %v", d)
		}
		r.next()
	})
}

// A card that asks for more time is waited for.
func TestSlowCard(t *testing.T) {
	bubble(t, optsA(func(o *iso14443sim.Opts) { o.WTX, o.WTXM, o.Think = 3, 10, 30*time.Millisecond }), nil, func(r *rig) {
		r.must(r.poll(), ask(1, 100, 100))
	})
}

func TestFirmwareAndSpeeds(t *testing.T) {
	for _, baud := range []uint32{115_200, 230_400, 921_600, 1_000_000} {
		bubble(t, nil, &pn532.Opts{MaxBaud: baud}, func(r *rig) {
			f, err := r.reader.Firmware(r.ctx)
			if want := (pn532.Firmware{IC: 0x32, Version: 1, Revision: 6, Support: 7}); err != nil || f != want {
				t.Errorf("Firmware = %+v, %v", f, err)
			}
			if want := min(baud, 921_600); r.chip.Baud() != want {
				t.Errorf("%d baud, want %d", r.chip.Baud(), want)
			}
		})
	}
	bubble(t, nil, nil, func(r *rig) {
		if _, err := pn532.New(r.line.Port(), &pn532.Opts{MaxBaud: 9600}); err == nil {
			t.Error("9600 baud were accepted")
		}
	})
}

// The bar of the driver: detection to first APDU in 40 ms, and 25 ms of its own
// beside card and air in a tap of eight APDUs.
func TestTapTime(t *testing.T) {
	for _, rate := range []iso14443.Rate{iso14443.Rate106, iso14443.Rate424} {
		for _, baud := range []uint32{115_200, 921_600} {
			bubble(t, nil, &pn532.Opts{MaxBaud: baud, MaxRate: rate}, func(r *rig) {
				time.AfterFunc(time.Second, func() { r.air.Place(r.picc) })
				start := time.Now()
				c, err := r.reader.Poll(r.ctx, nil)
				if err != nil {
					t.Fatal(err)
				}
				found := time.Since(start) - time.Second
				begin := time.Now()
				for i := range 8 {
					r.must(c, ask(uint16(i), 80, 30))
				}
				took := time.Since(begin)
				t.Logf("%v kbit/s, %d baud: card found and active after %v, 8 APDUs of 838 bytes in %v", rate, baud, found, took)
				if baud == 921_600 && found > 40*time.Millisecond {
					t.Errorf("first APDU after %v, want 40 ms at most", found)
				}
			})
		}
	}
}
