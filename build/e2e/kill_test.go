//go:build linux

package e2e

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"posagent/agent/acquirer/hostsim"
	"posagent/agent/control"
	"posagent/agent/journal"
	"posagent/agent/payment"
	"posagent/cmd/lab/house"
)

var seed = flag.Uint64("seed", 0, "of the random kill moments; 0 takes one from the clock")

// The terminal dies between send and answer: money has moved at the host, and
// nobody at the counter knows. The reversal goes out before anything else does.
func TestKillBetweenSendAndAnswer(t *testing.T) {
	s := openShop(t)
	s.startTerminal()
	s.activate()
	if a, _ := s.sale("online-pin", "1.00", "before"); a.Outcome != "approved" {
		t.Fatalf("first sale: %+v", a)
	}

	s.script(`{"action": "drop", "amount": 5000}`)
	leave := s.customer("online-pin")
	sale := launch(t, nil, "terminalctl", "-control", s.sock, "sale", "50.00", "-id", "killed")
	s.wait("the host has taken the money", func() bool { return len(s.entries()) == 2 })
	if e := s.entries()[1]; e.State != hostsim.Applied || e.Amount != 5000 {
		t.Fatalf("the host has %+v; want 50.00 applied", e)
	}
	s.terminald.kill()
	if status := sale.end(); status != 1 {
		t.Errorf("terminalctl ended with status %d when the terminal died; want 1", status)
	}
	leave()

	// The next sale is asked for at once, and the host hangs up on the first
	// reversal: even so the money comes back first.
	s.script(`{"action": "close_before", "mti": "0400"}`)
	s.startTerminal()
	after, status := s.sale("online-pin", "2.00", "after")
	if status != 0 || after.Outcome != "approved" {
		t.Fatalf("sale after the restart: status %d, %+v", status, after)
	}

	killed := s.record("killed")
	if killed.State != journal.Reversed || killed.Reason != payment.ReasonNoReply || killed.ReversalCode != "00" || killed.ReversalTries != 1 {
		t.Errorf("the journal has %+v; want it reversed at the second attempt", killed)
	}
	if e := s.entries()[1]; e.State != hostsim.Reversed || e.STAN != killed.STAN {
		t.Errorf("the ledger has %+v; want it reversed", e)
	}
	trace := s.trace()
	for _, why := range reversalsFirst(trace, s.records()) {
		t.Error(why)
	}
	if n := len(trace); n < 3 || trace[n-2].MTI != "0400" || trace[n-2].STAN != killed.STAN.String() || trace[n-1].STAN != after.Record.STAN.String() {
		t.Errorf("the host has seen %+v; want the reversal of %s and then the sale %s", trace, killed.STAN, after.Record.STAN)
	}
	// Asked again, the killed request tells what became of it and sells nothing.
	var again control.SaleAnswer
	r := run(t, t.Context(), "terminalctl", "-control", s.sock, "-json", "sale", "50.00", "-id", "killed")
	s.decode(r.out, &again)
	if r.status != 1 || !again.Duplicate || again.Record == nil || again.Record.State != journal.Reversed || len(s.entries()) != 3 {
		t.Errorf("the killed request again: %v", r)
	}
	s.verify()
	s.agree(s.tear())
	s.stop()
}

// kills is how many random moments the terminal dies at.
const kills = 50

// The terminal dies at any moment of a sale, from before the card to after the
// paper, fifty times. Each time ledger and journal agree, and in the end so do
// fleet and paper.
func TestRandomKills(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", *seed)
	random := rand.New(rand.NewPCG(*seed, 0))
	s := openShop(t)
	s.startTerminal()
	s.activate()
	// A host that thinks for a moment, as real ones do.
	s.script(`{"action": "delay", "delay_ms": 30, "times": 1000}`)
	span := s.undisturbed()
	t.Logf("an undisturbed sale takes %v", span)

	hits := map[string]int{}
	var paper []string
	// One kill in each fiftieth of the sale, in random order.
	for i, part := range random.Perm(kills) {
		at := (time.Duration(part)*span + time.Duration(random.Int64N(int64(span)))) / kills
		hit := s.killAt(at, fmt.Sprintf("kill-%d", i))
		hits[hit]++
		paper = append(paper, s.tear()...)
		if t.Failed() {
			t.Fatalf("after kill %d, %v into the sale: %s", i, at, hit)
		}
	}
	t.Log("where the kills hit\n" + table(hits))
	if hits[beforeRecord] == 0 || hits[pending] == 0 || hits[printing]+hits[printed] == 0 || len(hits) > len(moments) {
		t.Errorf("the kills hit %v; want some before, in and after the doubt, and nothing else", hits)
	}
	for _, why := range reversalsFirst(s.trace(), s.records()) {
		t.Error(why)
	}
	// Receipts that the kill kept from the paper are printed now.
	for _, r := range s.records() {
		if house.AgreeReceipts([]journal.Record{r}, paper) != nil {
			s.ctl("reprint", r.ID)
		}
	}
	s.agree(append(paper, s.tear()...))
	s.stop()
}

// undisturbed measures a sale from its first to its last moment, with the time
// that a kill may come late.
func (s *shop) undisturbed() time.Duration {
	s.t.Helper()
	var longest time.Duration
	for i := range 3 {
		began := time.Now()
		if a, _ := s.sale("online-pin", "1.00", fmt.Sprintf("whole-%d", i)); a.Outcome != "approved" {
			s.t.Fatalf("undisturbed sale: %+v", a)
		}
		longest = max(longest, time.Since(began))
	}
	return longest * 11 / 10
}

// killAt begins a sale, kills the terminal so much later, starts it again, and
// gives the moment that the kill has hit.
func (s *shop) killAt(at time.Duration, id string) string {
	s.t.Helper()
	timer := time.NewTimer(at)
	defer timer.Stop()
	leave := s.customer("online-pin")
	sale := launch(s.t, nil, "terminalctl", "-control", s.sock, "sale", "10.00", "-id", id)
	<-timer.C
	s.terminald.kill()
	sale.end()
	leave()
	s.startTerminal()
	s.waitReady()
	s.verify()
	records := s.records()
	for _, disagreement := range house.AgreeLedger(records, s.entries()) {
		s.t.Error(disagreement)
	}
	i := slices.IndexFunc(records, func(r journal.Record) bool { return r.RequestID == id })
	switch {
	case i < 0:
		return beforeRecord
	case records[i].State == journal.Reversed:
		return pending
	case records[i].State != journal.Approved:
		return string(records[i].State)
	case len(records[i].Copies) < 2:
		return printing
	}
	return printed
}

// Moments of a sale that a kill may hit, as the next start finds them.
const (
	beforeRecord = "before the record"
	pending      = "between send and answer"
	printing     = "before the last receipt"
	printed      = "after the last receipt"
)

var moments = []struct{ name, outcome string }{
	{beforeRecord, "nobody knows of the sale"},
	{pending, "reversed before anything else"},
	{printing, "approved, to be printed again"},
	{printed, "approved"},
}

func (s *shop) record(id string) journal.Record {
	s.t.Helper()
	for _, r := range s.records() {
		if r.RequestID == id {
			return r
		}
	}
	s.t.Fatalf("no record of request %q", id)
	return journal.Record{}
}

// table says where the kills hit.
func table(hits map[string]int) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, m := range moments {
		fmt.Fprintf(w, "%s\t%d\t%s\n", m.name, hits[m.name], m.outcome)
	}
	w.Flush() // into a strings.Builder: never fails
	return b.String()
}

// reversalsFirst finds, in what the host has seen, every sale that was let out
// before the reversal of an earlier one.
func reversalsFirst(trace []answered, records []journal.Record) []string {
	var all []string
	place := func(mti string, stan payment.STAN) int {
		return slices.IndexFunc(trace, func(a answered) bool { return a.MTI == mti && a.STAN == stan.String() })
	}
	for i, r := range records {
		if r.State != journal.Reversed {
			continue
		}
		reversal := place("0400", r.STAN)
		if reversal < 0 {
			all = append(all, fmt.Sprintf("STAN %s is reversed, but the host has seen no reversal of it", r.STAN))
			continue
		}
		for _, later := range records[i+1:] {
			if sale := place("0200", later.STAN); sale >= 0 && sale < reversal {
				all = append(all, fmt.Sprintf("STAN %s was sent before the reversal of STAN %s", later.STAN, r.STAN))
			}
		}
	}
	return all
}

func TestReversalsFirst(t *testing.T) {
	records := []journal.Record{{STAN: 1, State: journal.Approved}, {STAN: 2, State: journal.Reversed}, {STAN: 3, State: journal.Approved}}
	for _, row := range []struct {
		name  string
		trace []answered
		want  int
	}{
		{"in order", []answered{{MTI: "0200", STAN: "000001"}, {MTI: "0200", STAN: "000002"}, {MTI: "0400", STAN: "000002"}, {MTI: "0200", STAN: "000003"}}, 0},
		{"the original never came", []answered{{MTI: "0400", STAN: "000002"}, {MTI: "0200", STAN: "000003"}}, 0},
		{"sale first", []answered{{MTI: "0200", STAN: "000002"}, {MTI: "0200", STAN: "000003"}, {MTI: "0400", STAN: "000002"}}, 1},
		{"no reversal", []answered{{MTI: "0200", STAN: "000002"}, {MTI: "0200", STAN: "000003"}}, 1},
	} {
		if got := reversalsFirst(row.trace, records); len(got) != row.want {
			t.Errorf("%s: %q; want %d", row.name, got, row.want)
		}
	}
}
