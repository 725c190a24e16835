//go:build linux

package e2e

import (
	"os"
	"strings"
	"testing"

	"posagent/agent/control"
)

// An activated terminal does not begin a new journal when its own is gone: it says
// so, and with the file back it goes on.
func TestMissingJournal(t *testing.T) {
	s := openShop(t)
	s.startTerminal()
	s.activate()
	s.terminald.stop()
	path := s.path("terminal/journal.db")
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	r := run(t, t.Context(), "terminald", "-config", s.path("terminald.json"), "-state", s.path("terminal"), "-fleet-root", s.root, "-fleet", s.boot)
	if r.status != 1 || !strings.Contains(r.err, path) || !strings.Contains(r.err, "bring the file back") {
		t.Errorf("terminald without its journal: %v; want status 1, the file's name and what to do", r)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("a new journal was begun: %v", err)
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	s.startTerminal()
	s.waitReady()
	s.stop()
}

// When the ports of the parts go away, the terminal stays, says which part is lost
// and what to do, and sells nothing; a restart brings it back.
func TestBoardGoesAway(t *testing.T) {
	s := openShop(t)
	s.startTerminal()
	s.activate()
	s.board.kill()
	s.board = nil
	lost := func(name string) bool {
		st, err := s.terminal.Status(t.Context())
		for _, p := range st.Parts {
			if err == nil && p.Name == name && !p.OK && strings.Contains(p.Detail, "restart the terminal") {
				return true
			}
		}
		return false
	}
	s.wait("the PIN pad is told as lost", func() bool { return lost("pinpad") })
	if st, err := s.terminal.Status(t.Context()); err != nil || st.Ready || st.Why != "A part is missing: pinpad" {
		t.Errorf("with the PIN pad lost: %+v, %v; want it not ready, at once", st, err)
	}
	a, err := s.terminal.Sale(t.Context(), control.SaleRequest{RequestID: "without parts", Amount: "1.00"})
	if err != nil || a.Outcome != "not_ready" || a.Record != nil || !strings.Contains(a.Detail, "pinpad") {
		t.Errorf("sale without parts: %+v, %v", a, err)
	}
	s.terminald.stop()
	s.terminald = nil
	s.startBoard()
	s.startTerminal()
	s.waitReady()
	if a, _ := s.sale("no-cvm", "3.00", "parts are back"); a.Outcome != "approved" {
		t.Errorf("sale with the parts back: %+v", a)
	}
	s.stop()
}
