package pinpad_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"posagent/drivers/bussim"
	"posagent/drivers/pinpad"
	"posagent/drivers/pinpad/pinpadsim"
)

func TestLostAndGarbledFrames(t *testing.T) {
	want := cbcMAC(testMAK, []byte("message"))
	for _, c := range []struct {
		name   string
		faults pinpadsim.Faults
		err    error
	}{
		{"two frames lost", pinpadsim.Faults{Drop: 2}, nil},
		{"three frames garbled", pinpadsim.Faults{Garble: 3}, nil},
		{"lost, then garbled", pinpadsim.Faults{Drop: 1, Garble: 2}, nil},
		{"answer a second late", pinpadsim.Faults{Late: time.Second}, nil},
		{"answer too late", pinpadsim.Faults{Late: 4 * time.Second}, pinpad.ErrNoAnswer},
		{"everything lost", pinpadsim.Faults{Drop: 1000}, pinpad.ErrNoAnswer},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *rig) {
				r.load("mac", testMAK)
				pause(500)
				r.pad.SetFaults(c.faults)
				got, err := r.dev.MAC(r.ctx, "cbc", []byte("message"))
				if c.err != nil {
					wantError(t, "MAC", err, c.err)
				} else if err != nil || got != want {
					t.Errorf("MAC %X, %v; want %X", got, err, want)
				}
				r.pad.SetFaults(pinpadsim.Faults{})
				if got, err := r.dev.MAC(r.ctx, "cbc", []byte("message")); err != nil || got != want {
					t.Errorf("next MAC %X, %v; want %X", got, err, want)
				}
			})
		})
	}
}

// A key pressed while the line is bad arrives once.
func TestKeysAreNotDoubled(t *testing.T) {
	bubble(t, func(t *testing.T, r *rig) {
		pause(100)
		for i := range 20 {
			k := pinpad.Key0 + pinpad.Key(i%10)
			r.line.SetFaults(&bussim.Plan{Seed: uint64(i), Drop: 0.01, Flip: 0.01, Duplicate: 0.01, Max: 3})
			r.press(k)
			if got := <-r.dev.Keys(); got != k {
				t.Fatalf("press %d: key %s, want %s", i, got, k)
			}
			pause(2000)
			if n := len(r.dev.Keys()); n != 0 {
				t.Fatalf("press %d: %d keys too many", i, n)
			}
		}
	})
}

const (
	plans = 500
	// maxPlan is how long one plan may take: the bounds of a key load, two MACs
	// and a PIN entry of 30 s, one after another.
	maxPlan = 90 * time.Second
)

// Whatever a line does to the bytes, no wrong block and no wrong MAC comes out,
// every call ends, and on a line that is good again the next calls work.
func TestRandomFaultPlans(t *testing.T) {
	count := uint64(plans)
	if testing.Short() {
		count = 50
	}
	var good, failed int
	for seed := range count {
		synctest.Test(t, func(t *testing.T) {
			// One plan in four on a line where bytes take their time, which costs more.
			r := newRigOn(t, &bussim.UARTOpts{Paced: seed%4 == 0})
			r.load("pin", testPIK)
			r.load("mac", testMAK)
			rng := rand.New(rand.NewPCG(seed, 7))
			r.line.SetFaults(&bussim.Plan{
				Seed: seed, Direction: bussim.Direction(rng.IntN(3)),
				Drop: spread(rng), Flip: spread(rng), Duplicate: spread(rng), Delay: spread(rng),
				DelayBy: time.Duration(rng.IntN(400)) * time.Millisecond,
				Skip:    uint64(rng.IntN(200)), Max: uint64(rng.IntN(60)),
			})
			began := time.Now()
			ok := r.work(t, seed, rng)
			if took := time.Since(began); took > maxPlan {
				t.Errorf("plan %d took %s", seed, took)
			}
			if ok {
				good++
			} else {
				failed++
			}
			r.line.SetFaults(nil)
			pause(5000)
			if !r.work(t, seed, rng) {
				t.Errorf("plan %d: the next calls fail on a good line", seed)
			}
		})
	}
	t.Logf("%d plans: %d went through, %d ended in errors", count, good, failed)
	if good == 0 || failed == 0 {
		t.Errorf("the plans are too easy or too hard: %d good, %d failed", good, failed)
	}
}

// spread is a rate per byte between 0 and 2 %, often 0.
func spread(r *rand.Rand) float64 {
	if r.IntN(2) == 0 {
		return 0
	}
	x := r.Float64()
	return 0.02 * x * x
}

// work loads a key, makes a MAC and takes a PIN, and reports whether all of it
// succeeded. A result that is wrong fails the test.
func (r *rig) work(t *testing.T, seed uint64, rng *rand.Rand) bool {
	t.Helper()
	known := func(err error) bool {
		for _, want := range []error{pinpad.ErrNoAnswer, pinpad.ErrBusy} {
			if errors.Is(err, want) {
				return true
			}
		}
		t.Errorf("plan %d: unexpected error: %v", seed, err)
		return false
	}
	ok := true
	cryptogram, kcv := wrap(testMAK)
	if err := r.dev.LoadWorkingKey(r.ctx, "mac", cryptogram, kcv); err != nil {
		ok = known(err) && false
	}
	data := bytes.Repeat([]byte{0x02, 'D', 0x03}, 1+rng.IntN(250))
	if mac, err := r.dev.MAC(r.ctx, "cbc", data); err != nil {
		ok = known(err) && false
	} else if want := cbcMAC(testMAK, data); mac != want {
		t.Errorf("plan %d: MAC %X, want %X", seed, mac, want)
	}
	done := make(chan outcome, 1)
	go func() {
		res, err := r.dev.EnterPIN(r.ctx, request(), nil)
		done <- outcome{res, err}
	}()
	for range 100 { // the cardholder waits for the prompt, then types; or gives up
		if pause(100); r.pad.InPINEntry() {
			r.press('7', '3', '9', '1', pinpad.Enter)
			break
		}
		if len(done) > 0 {
			break
		}
	}
	end := <-done
	switch res := end.result.(type) {
	case pinpad.Entered:
		if want := format0("7391", testPAN); openBlock(res.Block) != want {
			t.Errorf("plan %d: clear block %X, want %X", seed, openBlock(res.Block), want)
		}
		return ok
	case nil:
		return known(end.err) && false
	case pinpad.TimedOut:
		return false
	default:
		t.Errorf("plan %d: result %T", seed, res)
		return false
	}
}

// Anything at all on the line is survived by both ends.
func FuzzBothEnds(f *testing.F) {
	f.Add([]byte("noise"), true)
	f.Add([]byte{0x02, 'D', 0, 0, 0, 0, 0, 1, 0, 1, 1}, false)
	f.Add([]byte{0x02, 'R', 0, 0, 0, 0, 0, 0, 0, 0, 0x9A, 0x4F, 0x32, 0x7B, 0x03}, true)
	f.Fuzz(func(t *testing.T, noise []byte, toPad bool) {
		synctest.Test(t, func(t *testing.T) {
			line := bussim.NewUART("PINPAD0", nil)
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			if toPad {
				pad := pinpadsim.New(&pinpadsim.Opts{Secure: newModule()})
				go func() { done <- pad.Serve(ctx, line.Wire()) }()
				term := line.Port()
				c, err := term.Connect(115_200_000_000, 1, 'N', 0x10000, 8)
				if err != nil {
					t.Fatal(err)
				}
				if err := c.Tx(noise, nil); err != nil {
					t.Fatal(err)
				}
			} else {
				dev, err := pinpad.New(line.Port(), &pinpad.Opts{Rand: new(counting)})
				if err != nil {
					t.Fatal(err)
				}
				go func() { done <- dev.Run(ctx) }()
				if _, err := line.Wire().Write(noise); err != nil {
					t.Fatal(err)
				}
			}
			pause(1000)
			stop()
			if err := <-done; err != nil && !errors.Is(err, pinpad.ErrProtocol) {
				t.Error(err)
			}
		})
	})
}
