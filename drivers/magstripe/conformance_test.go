package magstripe_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"posagent/drivers/bussim"
	"posagent/drivers/magstripe"
	"posagent/drivers/magstripe/magstripesim"
)

// rig is a reader of one kind with its part.
type rig struct {
	reader magstripe.Reader
	pull   func(magstripesim.Card, magstripesim.Stroke)
	hurt   func() // the next exchange, and every retry of it, goes wrong
	heal   func()
	noisy  func(seed uint64) // some bytes or bits go wrong
}

var kinds = []struct {
	name string
	make func(t *testing.T) *rig
}{
	{"sampler", samplerRig}, {"shift-out", shiftRig}, {"serial", serialRig},
}

func samplerRig(t *testing.T) *rig {
	present := bussim.NewPin("PRESENT")
	part := magstripesim.NewSampler(present)
	bus := bussim.NewSPI("MSR", part)
	r, err := magstripe.NewSampler(bus, present, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{
		reader: r, pull: part.Pull,
		hurt:  func() { part.Mute(true) },
		heal:  func() { part.Mute(false); bus.SetFaults(nil) },
		noisy: func(seed uint64) { bus.SetFaults(&bussim.Plan{Seed: seed, Flip: 0.001}) },
	}
}

func shiftRig(t *testing.T) *rig {
	strobe, data, ready := bussim.NewPin("STROBE"), bussim.NewPin("DATA"), bussim.NewPin("READY")
	part := magstripesim.NewChip(strobe, data, ready)
	r, err := magstripe.NewShiftOut(magstripe.ShiftPins{Strobe: strobe, Data: data, Ready: ready})
	if err != nil {
		t.Fatal(err)
	}
	return &rig{
		reader: r, pull: part.Pull,
		hurt:  func() { part.Miss(3) },
		heal:  func() { part.Miss(0) },
		noisy: func(seed uint64) { part.Miss(int(seed % 5)) },
	}
}

func serialRig(t *testing.T) *rig {
	line := bussim.NewUART("MSR", &bussim.UARTOpts{Paced: true})
	part := magstripesim.NewHead()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- part.Serve(ctx, line.Wire()) }()
	r, err := magstripe.NewSerial(line.Port(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		line.Wire().Close()
		if err := <-done; err != nil {
			t.Errorf("head: %v", err)
		}
	})
	return &rig{
		reader: r, pull: part.Pull,
		hurt: func() { line.SetFaults(&bussim.Plan{Direction: bussim.ToTerminal, Flip: 0.5}) },
		heal: func() { line.SetFaults(nil) },
		noisy: func(seed uint64) {
			line.SetFaults(&bussim.Plan{Seed: seed, Drop: 0.002, Flip: 0.002, Duplicate: 0.002})
		},
	}
}

// each runs f on every kind in a bubble of virtual time.
func each(t *testing.T, f func(t *testing.T, r *rig)) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := k.make(t)
				defer r.reader.Halt()
				f(t, r)
			})
		})
	}
}

func swipe(t *testing.T, r *rig) (magstripe.Swipe, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return r.reader.Swipe(ctx)
}

func wantWhole(t *testing.T, r *rig) {
	t.Helper()
	s, err := swipe(t, r)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{test1, test2, test3} {
		if got := s[i].Track.Reveal(); got != want {
			t.Errorf("track %d: got %q (%v), want %q", i+1, got, s[i].Err, want)
		}
	}
}

func TestConformanceReads(t *testing.T) {
	strokes := map[string]magstripesim.Stroke{
		"plain": {}, "reverse": {Reverse: true}, "inverted": {Inverted: true},
		"inverted reverse": {Inverted: true, Reverse: true}, "truncated": {Truncate: 12},
	}
	each(t, func(t *testing.T, r *rig) {
		for name, k := range strokes {
			t.Log(name)
			r.pull(testCard, k)
			wantWhole(t, r)
		}
	})
}

func TestConformanceWaits(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := r.reader.Swipe(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("no card: got %v, want the context's error", err)
		}
		time.AfterFunc(3*time.Second, func() { r.pull(testCard, magstripesim.Stroke{}) })
		wantWhole(t, r)
	})
}

func TestConformanceTracksStandAlone(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		card := testCard
		card.Track1, card.Track3 = "", "99"+testPAN[:15]+"1=1561560000000000003000"
		r.pull(card, magstripesim.Stroke{})
		s, err := swipe(t, r)
		if err != nil {
			t.Fatal(err)
		}
		if !errors.Is(s[0].Err, magstripe.ErrBlank) || s.Track(magstripe.Track2).Reveal() != test2 || !errors.Is(s[2].Err, magstripe.ErrLuhn) {
			t.Errorf("got %v, want blank, track 2, check digit", s)
		}
		other := testCard
		other.Track1 = "B4761739001010036^TEST/CARD^31122010000000000"
		r.pull(other, magstripesim.Stroke{})
		if s, err = swipe(t, r); err != nil {
			t.Fatal(err)
		}
		if !errors.Is(s[0].Err, magstripe.ErrConflict) || !errors.Is(s[1].Err, magstripe.ErrConflict) {
			t.Errorf("two cards in one: got %v", s)
		}
	})
}

func TestConformanceUnreadable(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.pull(testCard, magstripesim.Stroke{Jitter: 0.45, Truncate: 130})
		s, err := swipe(t, r)
		if err != nil || s.Any() && s.Track(magstripe.Track2).IsZero() == false {
			t.Errorf("got %v, %v; want no track 2 and no error", s, err)
		}
		r.pull(testCard, magstripesim.Stroke{})
		wantWhole(t, r)
	})
}

func TestConformanceLinkFails(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		r.hurt()
		r.pull(testCard, magstripesim.Stroke{})
		if s, err := swipe(t, r); !errors.Is(err, magstripe.ErrLink) {
			t.Errorf("got %v, %v; want ErrLink", s, err)
		}
		<-time.After(5 * time.Second) // virtual: the serial head gives the frame up
		r.heal()
		r.pull(testCard, magstripesim.Stroke{})
		wantWhole(t, r)
	})
}

func TestConformanceNoise(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		read := 0
		for seed := range uint64(60) {
			r.noisy(seed)
			r.pull(testCard, magstripesim.Stroke{Seed: seed})
			s, err := swipe(t, r)
			switch {
			case err == nil:
				for i, want := range []string{test1, test2, test3} {
					if got := s[i].Track; !got.IsZero() && got.Reveal() != want {
						t.Errorf("seed %d, track %d: got %q", seed, i+1, got.Reveal())
					}
				}
				read++
			case !errors.Is(err, magstripe.ErrLink) && !errors.Is(err, context.DeadlineExceeded):
				t.Errorf("seed %d: got %v", seed, err)
			}
			r.heal()
			<-time.After(5 * time.Second) // virtual: unanswered frames are given up
		}
		if read == 0 {
			t.Error("no swipe came through")
		}
	})
}

func TestConformanceHalt(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		if r.reader.String() == "" {
			t.Error("no name")
		}
		time.AfterFunc(time.Second, func() { r.reader.Halt() })
		if _, err := swipe(t, r); !errors.Is(err, magstripe.ErrHalted) {
			t.Errorf("waiting Swipe: got %v, want ErrHalted", err)
		}
		if err := r.reader.Halt(); err != nil {
			t.Errorf("second Halt: %v", err)
		}
		if _, err := swipe(t, r); !errors.Is(err, magstripe.ErrHalted) {
			t.Errorf("Swipe after Halt: got %v, want ErrHalted", err)
		}
	})
}
