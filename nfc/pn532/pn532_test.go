package pn532_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"posagent/drivers/bussim"
	"posagent/nfc"
	"posagent/nfc/iso14443"
	"posagent/nfc/iso14443/iso14443sim"
	"posagent/nfc/pn532"
	"posagent/nfc/pn532/pn532sim"
)

// The chip over its paced line is as good as any reader, and the suite holds for
// one without a chip.
func TestConformance(t *testing.T) {
	conform(t, func(t *testing.T, air *iso14443sim.Air) nfc.Reader {
		ctx, cancel := context.WithCancel(t.Context())
		line := bussim.NewUART("NFC0", &bussim.UARTOpts{Paced: true})
		d, err := pn532.New(line.Port(), nil)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- pn532sim.New(air, nil).Serve(ctx, line.Wire()) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Serve: %v", err)
			}
		})
		return d
	})
}

func TestConformanceOfIdealChip(t *testing.T) {
	conform(t, func(t *testing.T, air *iso14443sim.Air) nfc.Reader {
		r, err := iso14443.New(air, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	})
}

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

// taps is how many taps of 3 to 10 APDUs and 230 to 1,150 bytes TestTapTime
// makes, as contactless payments have.
const taps = 40

// tap is one card read; it returns how long Poll took and how long the APDUs.
func tap(t *testing.T, r nfc.Reader, n int) (found, took time.Duration) {
	t.Helper()
	for _, on := range []bool{false, true} {
		if err := r.Field(on); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	c, err := r.Poll(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	found = time.Since(start)
	for i := range 3 + n%8 {
		if _, err := c.Transmit(t.Context(), ask(uint16(i), 60+n, 8)); err != nil {
			t.Fatal(err)
		}
	}
	return found, time.Since(start) - found
}

// The bars of the driver at 921600 baud: 40 ms from a card to its first APDU,
// and in the APDUs 25 ms more than an ideal chip with the same frames on air.
func TestTapTime(t *testing.T) {
	for _, rate := range []iso14443.Rate{iso14443.Rate106, iso14443.Rate424} {
		var ideal [taps]time.Duration
		synctest.Test(t, func(t *testing.T) {
			air := iso14443sim.NewAir(&iso14443sim.AirOpts{Limits: iso14443.Limits{MaxRate: rate, MaxFrame: 64}})
			air.Place(iso14443sim.NewPICC(&echo{}, nil))
			r, err := iso14443.New(air, nil)
			if err != nil {
				t.Fatal(err)
			}
			for n := range taps {
				_, ideal[n] = tap(t, r, n)
			}
		})
		for _, baud := range []uint32{115_200, 921_600} {
			var found, added, whole time.Duration
			bubble(t, nil, &pn532.Opts{MaxBaud: baud, MaxRate: rate}, func(r *rig) {
				r.air.Place(r.picc)
				tap(r.T, r.reader, 0) // sets the chip up
				for n := range taps {
					f, took := tap(r.T, r.reader, n)
					found, added, whole = max(found, f), max(added, took-ideal[n]), max(whole, took)
				}
			})
			t.Logf("%v kbit/s, %6d baud, longest of %d taps: %v to the first APDU, %v in APDUs, %v of them on the line", rate, baud, taps, found, whole, added)
			if baud == 921_600 && (found > 40*time.Millisecond || added > 25*time.Millisecond) {
				t.Errorf("at %v kbit/s: %v to the first APDU, want 40 ms; %v added, want 25 ms", rate, found, added)
			}
		}
	}
}
