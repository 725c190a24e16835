package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestLine(t *testing.T) {
	for _, row := range []struct {
		name string
		line Line
		want string
	}{
		{"bare", Line{Name: "n", Ours: Value{3, Allocs}}, "n|3 allocs|-|-|-|-"},
		{"fraction", Line{Name: "n", Ours: Value{2.5, Allocs}}, "n|2.5 allocs|-|-|-|-"},
		{"below the bar", Line{Name: "n", Ours: Value{2e6, Nanoseconds}}.atMost(3e6), "n|2 ms|-|-|<= 3 ms|yes"},
		{"at the bar", Line{Name: "n", Ours: Value{3e6, Nanoseconds}}.atMost(3e6), "n|3 ms|-|-|<= 3 ms|yes"},
		{"above the bar", Line{Name: "n", Ours: Value{14.1e6, Bytes}}.atMost(14e6), "n|14.10 MB|-|-|<= 14.00 MB|no"},
		{"nothing allowed", Line{Name: "n", Ours: Value{1, Allocs}}.atMost(0), "n|1 allocs|-|-|<= 0 allocs|no"},
		{"beside a floor", Line{Name: "n", Ours: Value{300, Nanoseconds}}.beside("bare", 200, 0), "n|300 ns|200 ns  bare|1.50|-|-"},
		{"ratio of its own", Line{Name: "n", Ours: Value{300, Nanoseconds}}.beside("bare", 200, 1.4).ratioAtMost(1.45), "n|300 ns|200 ns  bare|1.40|ratio <= 1.45|yes"},
		{"small ratio", Line{Name: "n", Ours: Value{1, Bytes}}.beside("bare", 80, 0).ratioAtMost(0.01), "n|1 bytes|80 bytes  bare|0.013|ratio <= 0.01|no"},
	} {
		t.Run(row.name, func(t *testing.T) {
			cells := row.line.cells()
			if got := strings.Join(cells[:], "|"); got != row.want {
				t.Errorf("cells %q, want %q", got, row.want)
			}
		})
	}
}

func TestQuantile(t *testing.T) {
	list := []float64{5, 1, 4, 2, 3}
	for q, want := range map[float64]float64{0: 1, 0.5: 3, 0.8: 5, 0.99: 5, 1: 5} {
		if got := quantile(list, q); got != want {
			t.Errorf("quantile %v of %v = %v, want %v", q, list, got, want)
		}
	}
	if !slices.Equal(list, []float64{5, 1, 4, 2, 3}) {
		t.Error("quantile has sorted its input")
	}
}

func TestAlternate(t *testing.T) {
	var order strings.Builder
	side := func(name string) runner { return func() error { order.WriteString(name); return nil } }
	took, err := alternate(context.Background(), 3, side("a"), side("b"))
	if err != nil || order.String() != "abbaab" || len(took[0]) != 3 || len(took[1]) != 3 {
		t.Errorf("order %s, durations %v, %v; want who begins to change", order.String(), took, err)
	}
	failed := errors.New("failed")
	if _, err := alternate(context.Background(), 3, side("a"), func() error { return failed }); !errors.Is(err, failed) {
		t.Errorf("error %v, want the side's", err)
	}
}

func TestPackageOf(t *testing.T) {
	for symbol, want := range map[string]string{
		"runtime.mallocgc": "runtime", "posagent/agent.(*Agent).Run": "posagent/agent", "posagent/agent/emv/tlv..inittask": "posagent/agent/emv/tlv",
		"go.etcd.io/bbolt.(*Tx).Commit": "go.etcd.io/bbolt", "gopkg.in/yaml%2ev3.init": "gopkg.in/yaml.v3",
		"type:.eq.net.Addr": "type:*", "go:func.*": "go:*", "_rt0_arm_linux": "(no package)",
		"slices.SortFunc[go.shape.[]posagent/agent/journal.Record]": "slices",
	} {
		if got := packageOf(symbol); got != want {
			t.Errorf("packageOf(%q) = %q, want %q", symbol, got, want)
		}
	}
}

// TestRawLog: every record is in the file, however many writers there were.
func TestRawLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "raw")
	file, err := newRawFile(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.file.Close()
	log := &rawLog{file, make(chan chan error)}
	var writers, run sync.WaitGroup
	run.Go(log.run)
	for range 5 {
		writers.Go(func() {
			done := make(chan error, 1)
			for range 10 {
				if err := log.append(done); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(log.ops)
	run.Wait()
	if info, err := os.Stat(path); err != nil || info.Size() != 50*recordSize {
		t.Errorf("%v bytes, %v; want %d", info.Size(), err, 50*recordSize)
	}
}

// TestSidesDoTheSame: what is compared is comparable. The measures say so
// themselves; this runs those that need no disk and no process, shortly.
func TestSidesDoTheSame(t *testing.T) {
	b := &bench{rounds: 1, dir: t.TempDir()}
	for _, m := range []measure{{"codec", measureCodec}, {"kernel", measureKernel}, {"tap", measureTap}, {"receipt", measureReceipt}} {
		lines, err := m.take(context.Background(), b)
		if err != nil || len(lines) == 0 {
			t.Errorf("%s: %d lines, %v", m.name, len(lines), err)
		}
	}
}
