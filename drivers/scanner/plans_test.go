package scanner_test

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"periph.io/x/conn/v3/physic"

	"posagent/drivers/bussim"
	"posagent/drivers/scanner"
	"posagent/drivers/scanner/scannersim"
)

const (
	planCount = 500
	// maxPlan bounds a Scan in virtual time: the 5 s of the rig and one frame,
	// commands in three tries before and after, and a line that is never quiet.
	maxPlan = 30 * time.Second
)

var typed = []error{
	scanner.ErrTimeout, scanner.ErrTwoCodes, scanner.ErrFraming, scanner.ErrTooLong,
	scanner.ErrNoAnswer, scanner.ErrRefused,
}

func isTyped(err error) bool {
	for _, want := range typed {
		if errors.Is(err, want) {
			return true
		}
	}
	return false
}

func rate(r *rand.Rand) float64 {
	if r.IntN(2) == 0 {
		return 0
	}
	return r.Float64() * 0.03
}

// runPlans runs fault plans and hands the plan that seed makes to edit first.
func runPlans(t *testing.T, count uint64, edit func(uint64, *scanner.Opts), spoil func(*rand.Rand, *bussim.Plan)) {
	var good, failed uint64
	var longest time.Duration
	var injected uint64
	for seed := range count {
		rng := rand.New(rand.NewPCG(seed, 11))
		opts := func(o *scanner.Opts, _ *scannersim.Opts) {
			o.Speed = 115_200 * physic.Hertz
			edit(seed, o)
		}
		bubble(t, opts, func(t *testing.T, r *rig) {
			plan := &bussim.Plan{Seed: seed, DelayBy: time.Duration(rng.IntN(200)) * time.Millisecond, Skip: uint64(rng.IntN(40))}
			spoil(rng, plan)
			r.line.SetFaults(plan)
			r.engine.SetFaults(scannersim.Faults{
				Cut: uint32(rng.IntN(3)), Twice: uint32(rng.IntN(2)), NoAck: uint32(rng.IntN(2)),
			})
			r.engine.Present(time.Duration(rng.IntN(2000))*time.Millisecond, time.Hour, scannersim.Symbol{Text: codeA})
			began := time.Now()
			code, err := r.dev.Scan(t.Context())
			took := time.Since(began)
			longest = max(longest, took)
			switch {
			case took > maxPlan:
				t.Errorf("plan %d took %s", seed, took)
			case err == nil && code.Reveal() == codeA:
				good++
			case err == nil:
				t.Errorf("plan %d: wrong code %q", seed, code.Reveal())
			case !isTyped(err):
				t.Errorf("plan %d: %v", seed, err)
			default:
				failed++
			}
			injected += r.line.Counts().Injected()
			r.line.SetFaults(nil)
			r.engine.SetFaults(scannersim.Faults{})
			pass(time.Second)
			r.engine.Show(codeB)
			r.want(t, codeB)
		})
	}
	t.Logf("%d plans, %d faults: %d delivered, %d refused, 0 wrong, longest %s", count, injected, good, failed, longest)
	if good == 0 || injected == 0 {
		t.Errorf("the plans are too hard or too easy: %d good, %d faults", good, injected)
	}
}

// With a check no fault of the line makes a wrong code.
func TestPlansWithCheck(t *testing.T) {
	runPlans(t, planCount, func(seed uint64, o *scanner.Opts) {
		o.Framing.Check = scanner.CRC32
		o.Framing.Suffix = scanner.Suffix(seed % 4)
		if seed%3 == 0 {
			o.Trigger, o.Commands = bussim.NewPin("TRIG"), scanner.Commands{}
		}
	}, func(r *rand.Rand, p *bussim.Plan) {
		p.Drop, p.Flip, p.Duplicate, p.Delay = rate(r), rate(r), rate(r), rate(r)
	})
}

// Without a check stalls, cut frames and a line that dies in a frame are noticed:
// what the package comment promises, and no more.
func TestPlansWithoutCheck(t *testing.T) {
	runPlans(t, 150, func(seed uint64, o *scanner.Opts) {
		o.Framing.Suffix = scanner.Suffix(seed % 3)
		if seed%3 == 0 {
			o.Trigger, o.Commands = bussim.NewPin("TRIG"), scanner.Commands{}
		}
	}, func(r *rand.Rand, p *bussim.Plan) { p.Delay = 5 * rate(r) })
}

// Without a check a flipped byte of another good character goes through: the limit
// that the package comment states, kept true by this test.
func TestLimitWithoutCheck(t *testing.T) {
	for _, c := range []struct {
		name  string
		check scanner.Check
		want  string
	}{
		{"without", scanner.NoCheck, "381000000000000017"},
		{"crc16", scanner.CRC16, codeA},
		{"crc32", scanner.CRC32, codeA},
	} {
		t.Run(c.name, func(t *testing.T) {
			edit := func(o *scanner.Opts, _ *scannersim.Opts) {
				o.Framing.Check = c.check
				o.Commands.Setup = nil
			}
			bubble(t, edit, func(t *testing.T, r *rig) {
				// Byte 0 is the acknowledgement, 1 to 3 the identifier.
				r.line.SetFaults(&bussim.Plan{Exact: []bussim.Fault{
					{Direction: bussim.ToTerminal, At: 4, Kind: bussim.Flip, Bit: 0},
				}})
				r.engine.Show(codeA)
				r.want(t, c.want)
			})
		})
	}
}
