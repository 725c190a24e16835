package iso14443_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"posagent/nfc"
	"posagent/nfc/iso14443"
	"posagent/nfc/iso14443/iso14443sim"
)

func TestCardsOfEveryKind(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		o    *iso14443sim.Opts
		uid  string
	}{
		{"A, UID of 4 bytes", optsA(func(o *iso14443sim.Opts) { o.UID = []byte{8, 1, 2, 3} }), "08010203"},
		{"A, UID of 7 bytes", optsA(nil), "0425639A315280"},
		{"A, UID of 10 bytes", optsA(func(o *iso14443sim.Opts) { o.UID = []byte{4, 1, 2, 3, 4, 5, 6, 7, 8, 9} }), "04010203040506070809"},
		{"A, ATS of TL alone", optsA(func(o *iso14443sim.Opts) { o.RawATS = []byte{1} }), "0425639A315280"},
		{"A, 106 kbit/s alone", optsA(func(o *iso14443sim.Opts) { o.ATS.Rates = 0 }), "0425639A315280"},
		{"A, faster one way", optsA(func(o *iso14443sim.Opts) { o.ATS.Rates = iso14443.Receive424 }), "0425639A315280"},
		{"A, start-up guard time", optsA(func(o *iso14443sim.Opts) { o.ATS.SFGI = 8 }), "0425639A315280"},
		{"A, PPS fails", optsA(func(o *iso14443sim.Opts) { o.NoRate = true }), "0425639A315280"},
		{"A, smallest frames", optsA(func(o *iso14443sim.Opts) { o.ATS.FSCI = 0 }), "0425639A315280"},
		{"B", optsB(nil), "51627384"},
		{"B, extended ATQB", optsB(func(o *iso14443sim.Opts) { o.ATQB.Extended, o.ATQB.SFGI = true, 6 }), "51627384"},
		{"B, 106 kbit/s alone", optsB(func(o *iso14443sim.Opts) { o.ATQB.Rates = 0 }), "51627384"},
		{"B, long TR2", optsB(func(o *iso14443sim.Opts) { o.ATQB.Protocol = 7 }), "51627384"},
		{"B, smallest frames", optsB(func(o *iso14443sim.Opts) { o.ATQB.FSCI = 0 }), "51627384"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, row.o, nil, nil)
				c := r.poll()
				if !bytes.Equal(c.UID(), unhex(t, row.uid)) || c.Type() != row.o.Type {
					t.Errorf("UID % X of type %v", c.UID(), c.Type())
				}
				for i := range 40 {
					r.must(c, ask(uint16(i), i*17, 200-i*5))
				}
				r.once()
				if r.card.resets == 0 || r.picc.Early() != 0 {
					t.Errorf("%d resets, %d frames before the guard time was over", r.card.resets, r.picc.Early())
				}
			})
		})
	}
}

// Every frame size both ways, and lengths around its multiples.
func TestChaining(t *testing.T) {
	t.Parallel()
	for fsci := range uint8(9) {
		for _, fsd := range []uint16{16, 64, 100, 256} {
			t.Run(fmt.Sprintf("FSCI %d, FSD %d", fsci, fsd), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ao := iso14443sim.DefaultAirOpts
					ao.Limits.MaxFrame = fsd
					r := newRig(t, optsA(func(o *iso14443sim.Opts) { o.ATS.FSCI = fsci }), nil, &ao)
					c := r.poll()
					inf := int(iso14443.FrameSize(fsci)) - 3
					for i, n := range []int{0, inf - 8, inf - 7, inf - 6, inf - 5, 2*inf - 7, 2*inf - 6, 2*inf - 5, 300} {
						r.must(c, ask(uint16(i), int(fsd)-6+i, max(0, n)))
					}
					r.once()
				})
			})
		}
	}
}

func TestLongest(t *testing.T) {
	t.Parallel()
	bubble(t, func(r *rig) {
		c := r.poll()
		r.must(c, ask(1, iso14443.MaxResponse-2, iso14443.MaxCommand-6))
		n := r.air.Frames()
		for _, capdu := range [][]byte{nil, {0, 1, 2}, make([]byte, iso14443.MaxCommand+1)} {
			if _, err := c.Transmit(r.ctx, capdu); err == nil || typed(err) {
				r.Errorf("command of %d bytes: %v", len(capdu), err)
			}
		}
		if r.air.Frames() != n {
			r.Error("a wrong command was sent")
		}
		r.must(c, ask(2, 5, 5))
		if err := r.try(c, ask(3, iso14443.MaxResponse-1, 5)); !errors.Is(err, nfc.ErrTransmission) {
			r.Errorf("response too long: %v", err)
		}
		r.next()
	})
}

// 424 kbit/s takes a quarter of the air time of 106, less what a card takes.
func TestRates(t *testing.T) {
	t.Parallel()
	var took [3]time.Duration
	for limit := iso14443.Rate106; limit <= iso14443.Rate424; limit++ {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, nil, &iso14443.Opts{MaxRate: limit}, nil)
			c := r.poll()
			start := time.Now()
			r.must(c, ask(1, 240, 240))
			took[limit] = time.Since(start)
		})
	}
	t.Logf("240 bytes each way: %v", took)
	if !(took[1] < took[0]*6/10 && took[2] < took[1]*7/10) {
		t.Errorf("times at 106, 212, 424 kbit/s: %v", took)
	}
}

func TestTwoCards(t *testing.T) {
	t.Parallel()
	a4 := func(b ...byte) *iso14443sim.Opts { return optsA(func(o *iso14443sim.Opts) { o.UID = b }) }
	for _, row := range []struct {
		name        string
		first, then *iso14443sim.Opts
	}{
		{"A and A", a4(8, 1, 2, 3), a4(8, 1, 2, 4)},
		{"A and A, other sizes", a4(8, 1, 2, 3), optsA(nil)},
		{"A and A, second level", optsA(nil), optsA(func(o *iso14443sim.Opts) { o.UID[6] ^= 0x80 })},
		{"A and B", optsA(nil), optsB(nil)},
		{"B and A", optsB(nil), optsA(nil)},
		{"B and B", optsB(nil), optsB(func(o *iso14443sim.Opts) { o.ATQB.PUPI[3]++ })},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, row.first, nil, nil)
				other := iso14443sim.NewPICC(&echo{}, row.then)
				r.air.Place(r.picc)
				r.air.Place(other)
				start := time.Now()
				if c, err := r.reader.Poll(r.ctx, nil); !errors.Is(err, nfc.ErrCollision) {
					t.Fatalf("Poll: %v, %v, want ErrCollision", c, err)
				}
				if d := time.Since(start); d > 100*time.Millisecond || r.air.On() {
					t.Errorf("took %v, field on: %v", d, r.air.On())
				}
				r.air.Remove(other)
				r.must(r.poll(), ask(1, 30, 30))
			})
		})
	}
}

// With Resolve, each card is found once, whatever the others are.
func TestResolve(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, optsB(nil), &iso14443.Opts{Resolve: true}, nil)
		want := map[string]bool{}
		for _, uid := range []string{"08010203", "08010204", "0425639A315280", "0425639A315281", "0425639A3152C0",
			"04256399315280", "04010203040506070809", "0401020304050607080A", "F8010203"} {
			want[uid] = true
			r.air.Place(iso14443sim.NewPICC(&echo{}, optsA(func(o *iso14443sim.Opts) { o.UID = unhex(t, uid) })))
		}
		r.air.Place(r.picc)
		want["51627384"] = true
		for n := len(want); n > 0; n-- {
			c, err := r.reader.Poll(r.ctx, &nfc.PollOpts{Cycles: 3})
			if err != nil {
				t.Fatalf("%d cards left: %v", n, err)
			}
			uid := strings.ToUpper(fmt.Sprintf("%x", c.UID()))
			if !want[uid] {
				t.Errorf("UID %s is none, or came twice", uid)
			}
			delete(want, uid)
			r.must(c, ask(uint16(n), 40, 40))
			if err := c.(*iso14443.Card).Deselect(r.ctx); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := r.reader.Poll(r.ctx, &nfc.PollOpts{Cycles: 3}); !errors.Is(err, nfc.ErrNoCard) {
			t.Errorf("after the last card: %v", err)
		}
	})
}

func TestUnsupported(t *testing.T) {
	t.Parallel()
	for _, o := range []*iso14443sim.Opts{optsA(func(o *iso14443sim.Opts) { o.Plain = true }), optsB(func(o *iso14443sim.Opts) { o.Plain = true })} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, o, nil, nil)
			r.air.Place(r.picc)
			if _, err := r.reader.Poll(r.ctx, nil); !errors.Is(err, nfc.ErrUnsupported) {
				t.Errorf("type %v: %v, want ErrUnsupported", o.Type, err)
			}
			r.next()
		})
	}
}

// A card that comes at any moment is found, and ready for its first APDU within
// 40 ms of being able to answer, which takes it 5 ms.
func TestPollWaits(t *testing.T) {
	t.Parallel()
	var worst time.Duration
	for offset := range time.Duration(16) {
		bubble(t, func(r *rig) {
			var able time.Time
			time.AfterFunc(200*time.Millisecond+offset*time.Millisecond, func() {
				able = time.Now().Add(5 * time.Millisecond)
				r.air.Place(r.picc)
			})
			c, err := r.reader.Poll(r.ctx, nil)
			if err != nil {
				r.Fatal(err)
			}
			worst = max(worst, time.Since(able))
			r.must(c, ask(1, 1, 1))
		})
	}
	t.Logf("card ready %v after it could answer, at worst", worst)
	if worst > 40*time.Millisecond {
		t.Errorf("card ready after %v", worst)
	}
}

func TestPollEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil, nil, nil)
		if _, err := r.reader.Poll(t.Context(), &nfc.PollOpts{Cycles: 1}); !errors.Is(err, nfc.ErrNoCard) || r.air.On() {
			t.Errorf("nothing there: %v, field on: %v", err, r.air.On())
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		if _, err := r.reader.Poll(ctx, nil); !errors.Is(err, context.DeadlineExceeded) || typed(err) {
			t.Errorf("deadline: %v", err)
		}
		if d := time.Since(start); d != 3*time.Second || r.air.On() {
			t.Errorf("ended after %v, field on: %v", d, r.air.On())
		}
		r.next()
	})
}

// A context that ends within an APDU ends it then, and the field is off.
func TestTransmitEnds(t *testing.T) {
	t.Parallel()
	bubble(t, func(r *rig) {
		c := r.poll()
		ctx, cancel := context.WithTimeout(r.ctx, time.Millisecond)
		defer cancel()
		if _, err := c.Transmit(ctx, ask(1, 200, 200)); !errors.Is(err, context.DeadlineExceeded) || typed(err) || r.air.On() {
			r.Errorf("deadline: %v, field on: %v", err, r.air.On())
		}
		if err := r.try(c, ask(2, 1, 1)); !errors.Is(err, nfc.ErrRemoved) {
			r.Errorf("on the lost card: %v", err)
		}
		r.next()
	})
}

// Think time, extensions of it, and a card that never has enough.
func TestWTX(t *testing.T) {
	t.Parallel()
	for _, everywhere := range []bool{false, true} {
		for _, base := range []*iso14443sim.Opts{optsA(nil), optsB(nil)} {
			slow := *base
			slow.WTX, slow.WTXM, slow.Think, slow.Everywhere, slow.Chunk = 3, 10, 300*time.Millisecond, everywhere, 50
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, &slow, nil, nil)
				c := r.poll()
				for i := range 5 {
					r.must(c, ask(uint16(i), 120, 500))
				}
				r.once()
			})
			slow.WTX = 1 << 30
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, &slow, nil, nil)
				if err := r.try(r.poll(), ask(1, 10, 10)); !errors.Is(err, nfc.ErrTransmission) {
					t.Errorf("endless extensions: %v", err)
				}
				r.next()
			})
		}
	}
}

// A card that falls silent while it stays there is not a removed one.
func TestMuteCard(t *testing.T) {
	t.Parallel()
	bubble(t, func(r *rig) {
		c := r.poll()
		r.card.silent = true
		start := time.Now()
		if err := r.try(c, ask(1, 10, 10)); !errors.Is(err, nfc.ErrTransmission) || !errors.Is(err, iso14443.ErrTimeout) {
			r.Errorf("mute card: %v", err)
		}
		if d := time.Since(start); d > 300*time.Millisecond {
			r.Errorf("given up after %v", d)
		}
		r.card.silent = false
		r.must(r.poll(), ask(2, 10, 10))
	})
}

func TestPresentAndRemoved(t *testing.T) {
	t.Parallel()
	bubble(t, func(r *rig) {
		c := r.poll()
		for i := range 5 {
			if in, err := c.Present(r.ctx); !in || err != nil {
				r.Fatalf("Present = %v, %v", in, err)
			}
			r.must(c, ask(uint16(i), 300, i*90))
		}
		r.once()
		r.air.Remove(r.picc)
		if in, err := c.Present(r.ctx); in || err != nil || r.air.On() {
			r.Errorf("Present without card = %v, %v", in, err)
		}
		if err := r.try(c, ask(9, 1, 1)); !errors.Is(err, nfc.ErrRemoved) {
			r.Errorf("Transmit without card: %v", err)
		}

		c = r.poll()
		var pulled time.Time
		time.AfterFunc(4*time.Second, func() { pulled = time.Now(); r.air.Remove(r.picc) })
		if err := c.Removed(r.ctx); err != nil || pulled.IsZero() || r.air.On() {
			r.Errorf("Removed: %v, pulled at %v, field on: %v", err, pulled, r.air.On())
		}
		if d := time.Since(pulled); d > 50*time.Millisecond {
			r.Errorf("removal seen after %v", d)
		}

		c = r.poll()
		ctx, cancel := context.WithTimeout(r.ctx, time.Second)
		defer cancel()
		if err := c.Removed(ctx); !errors.Is(err, context.DeadlineExceeded) || r.air.On() {
			r.Errorf("Removed of a card that stays: %v", err)
		}
	})
}

// A card of an earlier Poll is lost, and its Removed leaves the new one alone.
func TestStaleCard(t *testing.T) {
	t.Parallel()
	bubble(t, func(r *rig) {
		old := r.poll()
		c := r.poll()
		if err := r.try(old, ask(1, 1, 1)); !errors.Is(err, nfc.ErrRemoved) {
			r.Errorf("stale card: %v", err)
		}
		if err := old.Removed(r.ctx); err != nil {
			r.Errorf("Removed of the stale card: %v", err)
		}
		r.must(c, ask(2, 10, 10))
		if err := errors.Join(r.reader.Field(false), r.reader.Halt(), r.reader.Halt()); err != nil || r.air.On() {
			r.Errorf("off and Halt twice: %v, field on: %v", err, r.air.On())
		}
		if err := r.try(c, ask(3, 1, 1)); !errors.Is(err, nfc.ErrRemoved) {
			r.Errorf("with the field off: %v", err)
		}
		if err := r.reader.Field(true); err != nil || !r.air.On() {
			r.Errorf("Field(true): %v", err)
		}
		r.must(r.poll(), ask(4, 10, 10))
	})
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	if _, err := iso14443.New(iso14443sim.NewAir(&iso14443sim.AirOpts{}), nil); err == nil {
		t.Error("a chip without a receiver was taken")
	}
}
