//go:build linux

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"posagent/agent/acquirer/hostsim"
	"posagent/agent/control"
	"posagent/agent/journal"
	"posagent/cmd/lab/house"
	"posagent/ota/fleet/console"
	"posagent/ota/fleet/enroll"
	"posagent/ota/wire"
)

// shop is a house of processes: fleet, host, a board without terminal, and the
// terminal on it.
type shop struct {
	t   *testing.T
	ctx context.Context
	dir string

	fleetd, host, board, terminald *program

	mqtt, boot, fleet string // where fleetd listens; the last is a URL
	root              string // file
	iso8583, ledger   string // where the host listens; the last is a URL
	hands             string // URL of the board's control
	sock              string // of terminalctl
	terminal          *control.Client
}

// openShop starts the servers and the board of a shop, and no terminal yet.
func openShop(t *testing.T) *shop {
	t.Helper()
	dir, err := os.MkdirTemp("", "pos-*") // short: a socket's path is at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &shop{t: t, ctx: t.Context(), dir: dir}
	s.startFleet()
	s.startHost()
	s.startBoard()
	s.sock = s.path("terminal/control.sock")
	s.terminal = control.Dial(s.sock)
	return s
}

func (s *shop) path(name string) string { return filepath.Join(s.dir, name) }

// wait waits for a condition while the programs run.
func (s *shop) wait(what string, condition func() bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, 30*time.Second)
	defer cancel()
	err := house.Until(ctx, func() bool {
		for _, p := range []*program{s.fleetd, s.host, s.board, s.terminald} {
			if p != nil && !p.running() {
				s.t.Fatalf("wait until %s: %s has ended with status %d\n%s", what, p.name, p.cmd.ProcessState.ExitCode(), tail(p.log.String(), 20))
			}
		}
		return condition()
	})
	if err != nil {
		s.t.Fatalf("wait until %s: %v", what, err)
	}
}

// ready waits for the file that a program writes when it can be used.
func (s *shop) ready(p *program, name string, into any) {
	s.t.Helper()
	s.wait(name+" is there", func() bool {
		text, err := os.ReadFile(s.path(name))
		return err == nil && json.Unmarshal(text, into) == nil
	})
}

func (s *shop) startFleet() {
	s.t.Helper()
	s.fleetd = launch(s.t, nil, "fleetd", "-dir", s.path("fleet"), "-boot", "127.0.0.1:0", "-mqtt", "127.0.0.1:0", "-http", "127.0.0.1:0", "-log-level", "debug")
	said := map[string]string{}
	s.wait("fleetd says where it is", func() bool {
		for line := range strings.Lines(s.fleetd.out.String()) {
			if f := strings.Fields(line); len(f) == 2 && strings.HasSuffix(line, "\n") {
				said[f[0]] = f[1]
			}
		}
		return len(said) == 5
	})
	s.boot, s.mqtt, s.fleet, s.root = said["bootstrap"], said["mqtt"], said["page"], said["root"]
}

func (s *shop) startHost() {
	s.t.Helper()
	s.host = launch(s.t, nil, "lab", "host", "-ready", s.path("host.ready"), "-write-config", s.path("config.json"), "-log-level", "debug", "-log-json")
	var at struct{ ISO8583, Ledger string }
	s.ready(s.host, "host.ready", &at)
	s.iso8583, s.ledger = at.ISO8583, at.Ledger
}

func (s *shop) startBoard() {
	s.t.Helper()
	os.Remove(s.path("board.ready")) // of a board that was killed
	s.board = launch(s.t, nil, "lab", "board", "-dir", s.path("board"), "-ready", s.path("board.ready"), "-log-level", "debug")
	var board struct{ Profile, Control string }
	s.ready(s.board, "board.ready", &board)
	s.hands = board.Control
}

// startTerminal starts terminald in the three ways that settings can come.
func (s *shop) startTerminal() {
	s.t.Helper()
	file := s.path("terminald.json")
	settings := map[string]string{"serial": house.Serial, "board": s.path("board/board.json"), "log-level": "debug", "state": "overruled by the flag"}
	s.write(file, settings)
	s.terminald = launch(s.t, []string{"TERMINALD_FLEET_ROOT=" + s.root, "TERMINALD_FLEET=" + s.boot, "TERMINALD_SERIAL=" + house.Serial},
		"terminald", "-config", file, "-state", s.path("terminal"))
	s.wait("the terminal answers", func() bool {
		_, err := s.terminal.Status(s.ctx)
		return err == nil
	})
}

func (s *shop) write(path string, v any) {
	s.t.Helper()
	text, err := json.Marshal(v)
	if err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// activate takes a started terminal from its first start to its first sign-in, by
// the commands that people type.
func (s *shop) activate() {
	s.t.Helper()
	s.ctl("activate", s.enroll(house.Serial, house.TerminalID))
	s.push(s.path("config.json"))
	s.waitReady()
}

// config is the configuration that the host has written for its terminals.
func (s *shop) config() (c wire.Config) {
	s.t.Helper()
	text, err := os.ReadFile(s.path("config.json"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.decode(string(text), &c)
	return c
}

func (s *shop) enroll(serial, terminalID string) string {
	s.t.Helper()
	var code enroll.Code
	s.decode(s.fleetctl("enroll", "-serial", serial, "-model", "posagent-sim-pty", "-merchant", house.MerchantID, "-terminal", terminalID), &code)
	return code.Code
}

func (s *shop) push(file string) (p console.Pushed) {
	s.t.Helper()
	s.decode(s.fleetctl("config", "push", house.Serial, file), &p)
	return p
}

// waitReady waits until nothing is owed and a sale may begin.
func (s *shop) waitReady() control.Status {
	s.t.Helper()
	var st control.Status
	s.wait("the terminal is ready", func() bool {
		var err error
		st, err = s.terminal.Status(s.ctx)
		return err == nil && st.Ready && st.SignedIn && st.OpenReversals == 0
	})
	return st
}

// ctl runs terminalctl with -json; it must succeed.
func (s *shop) ctl(args ...string) string {
	s.t.Helper()
	return must(s.t, s.ctx, "terminalctl", append([]string{"-control", s.sock, "-json"}, args...)...)
}

// fleetctl runs it with -json; it must succeed.
func (s *shop) fleetctl(args ...string) string {
	s.t.Helper()
	return must(s.t, s.ctx, "fleetctl", append([]string{"-addr", s.fleet, "-dir", s.path("fleet"), "-json"}, args...)...)
}

func (s *shop) decode(text string, into any) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		s.t.Fatalf("read %q: %v", text, err)
	}
}

// records is the journal, oldest first, as terminalctl shows it.
func (s *shop) records() []journal.Record {
	s.t.Helper()
	var list []journal.Record
	s.decode(s.ctl("journal", "-n", "1000"), &list)
	for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
		list[i], list[j] = list[j], list[i]
	}
	return list
}

// verify wants a journal without problems.
func (s *shop) verify() {
	s.t.Helper()
	var report journal.Report
	s.decode(s.ctl("journal", "verify"), &report)
	if len(report.Problems) != 0 {
		s.t.Errorf("journal verify: %q", report.Problems)
	}
}

// entries is the host's ledger.
func (s *shop) entries() []hostsim.Entry {
	s.t.Helper()
	var books struct{ Entries []hostsim.Entry }
	s.decode(s.http("GET", s.ledger+"/ledger", ""), &books)
	return books.Entries
}

// script posts a rule to the host.
func (s *shop) script(rule string) {
	s.t.Helper()
	s.http("POST", s.ledger+"/script", rule)
}

// events are all events at the fleet, oldest first, once the terminal has nothing
// left to report.
func (s *shop) events() []wire.Event {
	s.t.Helper()
	s.wait("all is reported", func() bool {
		st, err := s.terminal.Status(s.ctx)
		return err == nil && st.FleetOnline && st.Unreported == 0
	})
	token, err := os.ReadFile(s.path("fleet/admin.token"))
	if err != nil {
		s.t.Fatal(err)
	}
	client := console.NewClient(s.fleet, strings.TrimSpace(string(token)))
	var all []wire.Event
	for after := uint64(0); ; {
		page, err := client.Events(s.ctx, house.Serial, after, 500)
		if err != nil {
			s.t.Fatal(err)
		}
		if len(page.Events) == 0 {
			return all
		}
		for _, e := range page.Events {
			all, after = append(all, e.Event), e.Number
		}
	}
}

// title stands at the head of every receipt.
const title = "签购单"

// tear takes the receipts off the board. Its printer has no cutter: a receipt ends
// where the next one begins.
func (s *shop) tear() []string {
	s.t.Helper()
	var torn struct{ Receipts []string }
	s.decode(s.http("POST", s.hands+"/tear", ""), &torn)
	var all []string
	for _, piece := range torn.Receipts {
		for line := range strings.Lines(piece) {
			if strings.Contains(line, title) || len(all) == 0 {
				all = append(all, "")
			}
			all[len(all)-1] += line
		}
	}
	return all
}

// http asks one of the simulators; it must agree.
func (s *shop) http(method, url, body string) string {
	s.t.Helper()
	text, err := ask(s.ctx, method, url, body)
	if err != nil {
		s.t.Fatal(err)
	}
	return text
}

func ask(ctx context.Context, method, url, body string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, text)
	}
	return string(text), err
}

// customer inserts a card when the terminal asks for one and types the PIN when
// the pad does, in the background. leave ends that and takes the card out.
func (s *shop) customer(card string) (leave func()) {
	ctx, cancel := context.WithCancel(s.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		asked := func() bool {
			st, err := s.terminal.Status(ctx)
			return err == nil && st.Screen == "insert_card"
		}
		if house.Until(ctx, asked) != nil {
			return
		}
		if _, err := ask(ctx, "PUT", s.hands+"/card/"+card, ""); err == nil {
			ask(ctx, "POST", s.hands+"/pin", house.CardPIN) // ends with ctx if nobody asks for a PIN
		}
	}()
	return func() {
		cancel()
		<-done
		s.http("DELETE", s.hands+"/card", "")
	}
}

// sale sells by terminalctl with a customer at the board.
func (s *shop) sale(card, amount, id string) (control.SaleAnswer, int) {
	s.t.Helper()
	leave := s.customer(card)
	defer leave()
	r := run(s.t, s.ctx, "terminalctl", "-control", s.sock, "-json", "sale", amount, "-id", id)
	var a control.SaleAnswer
	s.decode(r.out, &a)
	return a, r.status
}

// answered is one line of the host's log: a request that it has worked on.
type answered struct{ Msg, MTI, STAN, Code, Action string }

// trace is every request the host has worked on, in order.
func (s *shop) trace() []answered {
	s.t.Helper()
	var all []answered
	lines := bufio.NewScanner(strings.NewReader(s.host.log.String()))
	for lines.Scan() {
		var a answered
		if json.Unmarshal(lines.Bytes(), &a) == nil && a.Msg == "answered" {
			all = append(all, a)
		}
	}
	return all
}

// agree wants journal, ledger, fleet and paper to tell the same story.
func (s *shop) agree(receipts []string) {
	s.t.Helper()
	for _, disagreement := range house.Agree(s.records(), s.entries(), s.events(), receipts) {
		s.t.Error(disagreement)
	}
}

// stop ends everything, the terminal first, and wants each to end cleanly.
func (s *shop) stop() {
	s.t.Helper()
	for _, p := range []*program{s.terminald, s.board, s.host, s.fleetd} {
		p.stop()
	}
}
