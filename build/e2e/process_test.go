//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"posagent/agent/acquirer/hostsim"
	"posagent/agent/control"
	"posagent/agent/journal"
	"posagent/cmd/lab/house"
	"posagent/ota/fleet/console"
	"posagent/ota/wire"
)

// The main job, run as people run it: five programs, each a process of its own.
func TestProcesses(t *testing.T) {
	s := openShop(t)
	s.startTerminal()
	if st, err := s.terminal.Status(t.Context()); err != nil || st.Ready || st.State != string(wire.StateInitialised) {
		t.Errorf("before activation: %+v, %v", st, err)
	}
	if r := run(t, t.Context(), "terminalctl", "-control", s.sock, "sale", "1.00"); r.status != 1 || !strings.Contains(r.err, "not_ready") {
		t.Errorf("sale before activation: %v", r)
	}
	s.activate()

	a, status := s.sale("online-pin", "12.34", "first")
	if status != 0 || a.Outcome != "approved" || a.Record == nil || a.Duplicate {
		t.Fatalf("sale ended with status %d: %+v", status, a)
	}
	rec := *a.Record
	if rec.State != journal.Approved || rec.Amount != 1234 || rec.CVM != journal.CVMOnlinePIN || !rec.PINEntered || rec.MaskedPAN != "622609******0014" {
		t.Errorf("record %+v", rec)
	}
	receipts := s.tear()
	if len(receipts) != 2 {
		t.Fatalf("%d receipts; want one for the merchant and one for the cardholder: %q", len(receipts), receipts)
	}
	for i, want := range []string{"商户存根", "持卡人存根"} {
		for _, want := range []string{want, "12.34", rec.STAN.String(), string(rec.RRN), string(rec.AuthCode), house.MerchantID, house.TerminalID} {
			if !strings.Contains(receipts[i], want) {
				t.Errorf("receipt %d does not show %q:\n%s", i+1, want, receipts[i])
			}
		}
	}
	if entries := s.entries(); len(entries) != 1 || entries[0].State != hostsim.Applied || entries[0].RRN != rec.RRN {
		t.Errorf("ledger %+v", entries)
	}
	s.sellTwice(rec)
	s.decline()
	s.commands(rec)
	s.agree(append(receipts, s.tear()...))
	s.stop()
	for _, left := range []string{"terminal/control.sock", "board/icc", "board/board.json"} {
		if _, err := os.Lstat(s.path(left)); err == nil {
			t.Errorf("%s is left behind", left)
		}
	}
}

// sellTwice asks for a sale again that was done before.
func (s *shop) sellTwice(first journal.Record) {
	s.t.Helper()
	var again control.SaleAnswer
	s.decode(s.ctl("sale", "12.34", "-id", first.RequestID), &again)
	if !again.Duplicate || again.Record == nil || again.Record.ID != first.ID {
		s.t.Errorf("the same request again: %+v", again)
	}
	r := run(s.t, s.ctx, "terminalctl", "-control", s.sock, "sale", "12.35", "-id", first.RequestID)
	if r.status != 1 || !strings.Contains(r.err, "other_sale") {
		s.t.Errorf("another amount under the id of an old sale: %v; want it refused", r)
	}
	r = run(s.t, s.ctx, "terminalctl", "-control", s.sock, "sale", "12.34", "-id", "a\nb")
	if r.status != 1 || !strings.Contains(r.err, "bad_request") {
		s.t.Errorf("an id of two lines: %v; want it refused", r)
	}
	if n := len(s.entries()); n != 1 {
		s.t.Errorf("%d entries in the ledger after the same request again; want 1", n)
	}
}

// decline lets the host refuse a sale; terminalctl says so by its exit status.
func (s *shop) decline() {
	s.t.Helper()
	s.script(`{"action": "decline", "code": "51"}`)
	if a, status := s.sale("no-cvm", "2.00", "second"); status != 1 || a.Outcome != "declined" || a.Record.Code != "51" {
		s.t.Errorf("declined sale: status %d, %+v", status, a)
	}
}

// commands shows the sale in every way the commands have.
func (s *shop) commands(rec journal.Record) {
	t := s.t
	t.Helper()
	text := func(name string, args ...string) string { return must(t, t.Context(), name, args...) }
	for _, row := range []struct{ got, want string }{
		{text("terminalctl", "-control", s.sock, "status"), "signed in"},
		{text("terminalctl", "-control", s.sock, "status"), "000001: 1 sales, 12.34"},
		{text("terminalctl", "-control", s.sock, "journal"), string(rec.RRN)},
		{text("terminalctl", "-control", s.sock, "journal", "-state", "declined"), "2.00"},
		{text("terminalctl", "-control", s.sock, "journal", "show", rec.STAN.String()), rec.ID},
		{text("terminalctl", "-control", s.sock, "journal", "verify"), "2 records, 0 problems"},
		{text("terminalctl", "-control", s.sock, "selftest"), "pinpad answers"},
		{text("fleetctl", "-addr", s.fleet, "-dir", s.path("fleet"), "events"), "sale approved 1234 156"},
		{text("fleetctl", "-addr", s.fleet, "-dir", s.path("fleet"), "terminals"), "online"},
		{text("fleetctl", "-addr", s.fleet, "-dir", s.path("fleet"), "audit"), "config.applied"},
	} {
		if !strings.Contains(row.got, row.want) {
			t.Errorf("no %q in:\n%s", row.want, row.got)
		}
	}
	var one console.Terminal
	s.decode(s.fleetctl("terminals", house.Serial), &one)
	if one.State != wire.StateActive || !one.Online || !one.InSync || one.DesiredRevision != 1 {
		t.Errorf("the fleet knows %+v", one)
	}
	text("terminalctl", "-control", s.sock, "reprint", rec.STAN.String())
	again := strings.Join(s.tear(), "")
	if !strings.Contains(again, "重打印凭证") || strings.Count(again, title) != 1 || !strings.Contains(again, string(rec.RRN)) {
		t.Errorf("reprint gave\n%s", again)
	}
}

// Every program teaches its first steps, and asking it for that is no failure.
func TestHelpTeaches(t *testing.T) {
	for _, row := range []struct {
		args []string
		want []string
	}{
		{[]string{"terminald", "-h"}, []string{"first start needs", "-fleet-root", "terminalctl activate CODE", "TERMINALD_FLEET_ROOT", "-config"}},
		{[]string{"terminalctl", "-h"}, []string{"activate CODE", "sale AMOUNT", "journal", "Exit status"}},
		{[]string{"fleetd", "-h"}, []string{"first start needs nothing", "fleetctl -dir", "enroll", "config push", "FLEETD_DIR"}},
		{[]string{"fleetctl", "-h"}, []string{"enroll -serial", "config push", "Exit status"}},
		{[]string{"fleetctl", "enroll", "-h"}, []string{"enroll -serial"}},
		{[]string{"fleetctl", "config", "push", "-h"}, []string{"config push"}},
		{[]string{"lab", "-h"}, []string{"lab host", "lab board", "demo"}},
		{[]string{"lab", "host", "-h"}, []string{"lab host -listen", "fleetctl config push", "/ledger", "decline", "LAB_HOST_LISTEN"}},
		{[]string{"lab", "board", "-h"}, []string{"lab board -dir", "terminald -board", "/card/online-pin", "/pin", "LAB_BOARD_DIR"}},
	} {
		t.Run(strings.Join(row.args[:len(row.args)-1], " "), func(t *testing.T) {
			r := run(t, t.Context(), row.args[0], row.args[1:]...)
			if r.status != 0 {
				t.Errorf("status %d; want 0", r.status)
			}
			for _, want := range row.want {
				if !strings.Contains(r.out+r.err, want) {
					t.Errorf("the help does not say %q", want)
				}
			}
		})
	}
}

// A wrong setting ends with status 2 and names what is wrong, wherever it came
// from.
func TestWrongUse(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	unknown := file("unknown.json", `{"colour": "red"}`)
	level := file("level.json", `{"log-level": "loud"}`)
	broken := file("broken.json", `{`)
	_, _, root := authority(t, "a fleet")
	fleet := file("root.pem", root)
	file("admin.token", "no token")
	terminald := func(args ...string) []string {
		all := []string{"terminald", "-serial", "LAB-0001", "-board", "posagent-sim", "-fleet-root", fleet, "-fleet", "127.0.0.1:1", "-state", filepath.Join(dir, "state")}
		return append(all, args...)
	}
	for _, row := range []struct {
		name string
		args []string
		want string
	}{
		{"terminald: flag", []string{"terminald", "-colour", "red"}, "-colour"},
		{"terminald: key of the file", []string{"terminald", "-config", unknown}, `unknown key "colour"`},
		{"terminald: value in the file", []string{"terminald", "-config", level}, "log-level"},
		{"terminald: file", []string{"terminald", "-config", broken}, "broken.json"},
		{"terminald: nothing given", []string{"terminald"}, "-serial"},
		{"terminald: serial", terminald("-serial", "x"), "-serial"},
		{"terminald: no fleet", terminald("-fleet", ""), "-fleet"},
		{"terminald: fleet without port", terminald("-fleet", "fleet.example"), "-fleet"},
		{"terminald: fleet's port", terminald("-fleet", "fleet.example:99999"), "-fleet"},
		{"terminald: root is not there", terminald("-fleet-root", filepath.Join(dir, "none.pem")), "-fleet-root"},
		{"terminald: root is no certificate", terminald("-fleet-root", unknown), "-fleet-root"},
		{"terminald: board", terminald("-board", "no-such-board"), "-board"},
		{"terminald: argument", terminald("start"), `"start"`},
		{"terminalctl: flag", []string{"terminalctl", "-colour", "red"}, "-colour"},
		{"terminalctl: command", []string{"terminalctl", "dance"}, `"dance"`},
		{"terminalctl: no command", []string{"terminalctl"}, "no command"},
		{"terminalctl: sale without amount", []string{"terminalctl", "sale"}, "amount"},
		{"terminalctl: flag of a command", []string{"terminalctl", "sale", "1.00", "-colour", "red"}, "-colour"},
		{"fleetd: flag", []string{"fleetd", "-colour", "red"}, "-colour"},
		{"fleetd: key of the file", []string{"fleetd", "-config", unknown}, `unknown key "colour"`},
		{"fleetctl: flag", []string{"fleetctl", "-colour", "red"}, "-colour"},
		{"fleetctl: no command", []string{"fleetctl"}, "fleetctl -h"},
		{"lab: command", []string{"lab", "dance"}, "dance"},
		{"lab: page for everybody", []string{"lab", "-listen", "0.0.0.0:0"}, "-listen"},
		{"fleetctl: flag of a command", []string{"fleetctl", "-dir", dir, "enroll", "-colour", "red"}, "-colour"},
		{"lab host: flag", []string{"lab", "host", "-colour", "red"}, "-colour"},
		{"lab host: terminal", []string{"lab", "host", "-terminal", "1"}, "-terminal"},
		{"lab host: key of a terminal", []string{"lab", "host", "-terminal", "10000001=00"}, "-terminal"},
		{"lab host: ledger for everybody", []string{"lab", "host", "-ledger", "0.0.0.0:0"}, "-ledger"},
		{"lab host: key of the file", []string{"lab", "host", "-config", unknown}, `unknown key "colour"`},
		{"lab board: no folder", []string{"lab", "board"}, "-dir"},
		{"lab board: key", []string{"lab", "board", "-dir", dir, "-tmk", "00"}, "-tmk"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := run(t, t.Context(), row.args[0], row.args[1:]...)
			sentence := slices.ContainsFunc(strings.Split(r.err, "\n"), func(line string) bool {
				begins := strings.HasPrefix(line, row.args[0]+": ") || strings.HasPrefix(line, "flag provided")
				return begins && strings.Contains(line, strings.TrimPrefix(row.want, "-"))
			})
			if r.status != 2 || !sentence {
				t.Errorf("status %d; want 2 and a sentence that names %q:\n%s", r.status, row.want, tail(r.err, 8))
			}
		})
	}
}
