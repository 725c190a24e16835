package journal

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

var allStates = []State{Pending, Approved, Declined, NotSent, Reversing, Reversed}
var allEvents = []Event{Approve, Decline, NothingSent, Reverse, Tried, ReverseEnded}

// TestTable walks the table: every state is reached from pending, every open
// state has a way out, no final state has one, and no name is unknown.
func TestTable(t *testing.T) {
	reached := map[State]bool{Pending: true}
	for range table {
		for _, row := range table {
			if reached[row.From] {
				reached[row.To] = true
			}
		}
	}
	for _, s := range allStates {
		if !s.Known() {
			t.Errorf("%s is not known", s)
		}
		if !reached[s] {
			t.Errorf("%s is never reached", s)
		}
		exits := 0
		for _, e := range allEvents {
			to, ok := next(s, e)
			if ok && to != s {
				exits++
			}
			if !ok && to != s {
				t.Errorf("next(%s, %s) refuses and moves to %s", s, e, to)
			}
		}
		if s.Open() != (exits > 0) {
			t.Errorf("%s: open is %v, but it has %d exits", s, s.Open(), exits)
		}
	}
	seen := map[string]bool{}
	var b strings.Builder
	for _, row := range table {
		if !slices.Contains(allStates, row.From) || !slices.Contains(allStates, row.To) || !slices.Contains(allEvents, row.Event) {
			t.Errorf("row %v has an unknown name", row)
		}
		if key := string(row.From) + string(row.Event); seen[key] {
			t.Errorf("two rows for %s on %s", row.From, row.Event)
		} else {
			seen[key] = true
		}
		fmt.Fprintf(&b, "%-10s --%s--> %s\n", row.From, row.Event, row.To)
	}
	if State("").Known() || State("settled").Known() {
		t.Error("an unknown name is known")
	}
	const path = "testdata/states.txt"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != string(want) {
		t.Errorf("diagram is\n%s\ngolden is\n%s", got, want)
	}
}
