package contactless_test

import (
	"context"
	"testing"

	"posagent/agent/emv"
	"posagent/agent/emv/cardsim"
	"posagent/agent/emv/contactless"
)

// recorded answers as a card did once: what is measured is the kernel alone.
type recorded struct {
	answers [][]byte
	n       int
}

func (r *recorded) Transmit(context.Context, []byte) ([]byte, error) {
	r.n++
	return r.answers[(r.n-1)%len(r.answers)], nil
}

// zeros is a random source whose numbers repeat, so that a recorded signature stays right.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func benchmark(b *testing.B, name string) {
	cfg := config(b)
	cfg.Rand = zeros{}
	r := reader(b, cfg)
	rec := &recorded{}
	tap := &tamper{card: cardsim.InField(open(b, name)), change: func(_ int, _, a []byte) []byte {
		rec.answers = append(rec.answers, a)
		return a
	}}
	tx := emv.Transaction{Amount: 500}
	if out := run(b, r, tx, tap); out.Kind != contactless.Approved {
		b.Fatalf("%s %v", out.Kind, out.Sale.Cause)
	}
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Begin(tx); err != nil {
			b.Fatal(err)
		}
		if out := r.Tap(ctx, rec); out.Kind != contactless.Approved {
			b.Fatalf("%s %v", out.Kind, out.Sale.Cause)
		}
	}
	b.ReportMetric(float64(len(rec.answers)), "apdus/op")
}

// BenchmarkFDDA is a whole offline transaction of kernel 7, exponent 3; the issuer's key is in the cache.
func BenchmarkFDDA(b *testing.B) { benchmark(b, "k7-fdda") }

// BenchmarkCDA is a whole offline transaction of kernel 2, issuer's exponent 3, card's 65537.
func BenchmarkCDA(b *testing.B) { benchmark(b, "k2-cda") }

// TestAllocations holds the bound on garbage in a tap: 60 allocations for a whole transaction with its signature.
func TestAllocations(t *testing.T) {
	for _, name := range []string{"k3-fdda", "k7-fdda", "k2-cda"} {
		cfg := config(t)
		cfg.Rand = zeros{}
		r, rec := reader(t, cfg), &recorded{}
		tap := &tamper{card: cardsim.InField(open(t, name)), change: func(_ int, _, a []byte) []byte {
			rec.answers = append(rec.answers, a)
			return a
		}}
		tx := emv.Transaction{Amount: 500}
		run(t, r, tx, tap)
		n := testing.AllocsPerRun(50, func() {
			if out := run(t, r, tx, rec); out.Kind != contactless.Approved {
				t.Fatalf("%s: %s", name, out.Kind)
			}
		})
		if n > maxAllocations {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

const maxAllocations = 60
