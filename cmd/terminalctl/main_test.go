package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"posagent/agent/control"
	"posagent/agent/journal"
	"posagent/agent/payment"
	"posagent/ota/wire"
)

// terminal is a terminal that answers as a row of the table says.
type terminal struct {
	sale  func(control.SaleRequest) (control.SaleAnswer, error)
	err   error
	ready bool
	sound bool // nothing wrong with parts and journal
	asked []string
}

func (x *terminal) Status() control.Status {
	s := control.Status{Serial: "PA000001", Version: "1.2", Model: "vt1", State: "ACTIVE", Ready: x.ready, Screen: "idle", TerminalID: "10000001",
		MerchantID: "898100000000001", Merchant: "Test Shop", Config: 3, Batch: 7, SignedIn: true, OpenReversals: 1, Unreported: 2,
		Totals: journal.Totals{Batch: 7, Currency: payment.CNY, SaleCount: 2, SaleAmount: 2468}, Parts: []control.Part{{Name: "icc", OK: true}, {Name: "printer", Detail: "no answer"}}}
	if !x.ready {
		s.Why = "no configuration"
	}
	return s
}

func (x *terminal) Activate(_ context.Context, code string) error {
	x.asked = append(x.asked, "activate "+code)
	return x.err
}

func (x *terminal) Sale(_ context.Context, r control.SaleRequest) (control.SaleAnswer, error) {
	x.asked = append(x.asked, "sale "+r.Amount+" "+r.RequestID)
	return x.sale(r)
}

func (x *terminal) Journal() journal.Reader { return reader{x: x} }

func (x *terminal) Reprint(_ context.Context, id string) error {
	x.asked = append(x.asked, "reprint "+id)
	return x.err
}

func (x *terminal) SelfTest(context.Context) ([]control.Part, error) {
	return []control.Part{{Name: "journal", OK: true, Detail: "3 records"}, {Name: "printer ready", OK: x.sound, Detail: "paper out"}}, nil
}

type reader struct {
	journal.Reader
	x *terminal
}

func (r reader) List(o journal.ListOptions) ([]journal.Record, error) {
	text, err := json.Marshal(o)
	r.x.asked = append(r.x.asked, "list "+string(text))
	return []journal.Record{record(journal.Approved)}, errors.Join(err, r.x.err)
}

func (r reader) Record(id string) (journal.Record, error) {
	if id != "abc" {
		return journal.Record{}, journal.ErrNotFound
	}
	return record(journal.Approved), nil
}

func (r reader) Verify(context.Context) (journal.Report, error) {
	rep := journal.Report{Records: 3, Problems: []string{}}
	if !r.x.sound {
		rep.Problems = append(rep.Problems, "totals differ")
	}
	return rep, nil
}

func record(s journal.State) journal.Record {
	return journal.Record{ID: "abc", Seq: 1, State: s, Requester: "control", RequestID: "r1", Type: payment.Sale, Amount: 1234, Currency: payment.CNY, STAN: 42,
		Batch: 7, Time: time.Date(2026, 5, 20, 14, 3, 9, 0, time.UTC), TerminalID: "10000001", MerchantID: "898100000000001", Entry: payment.Chip,
		MaskedPAN: "622609******0022", Code: "00", RRN: "123456789012", Changes: []journal.Change{}}
}

func answer(s journal.State, outcome string, duplicate bool) func(control.SaleRequest) (control.SaleAnswer, error) {
	return func(control.SaleRequest) (control.SaleAnswer, error) {
		rec := record(s)
		return control.SaleAnswer{Outcome: outcome, Text: "in words", Duplicate: duplicate, Record: &rec}, nil
	}
}

func refused(err error) func(control.SaleRequest) (control.SaleAnswer, error) {
	return func(control.SaleRequest) (control.SaleAnswer, error) { return control.SaleAnswer{}, err }
}

// serve puts a terminal on a socket until the test ends.
func serve(t *testing.T, x *terminal) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- control.Serve(ctx, l, x, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve = %v", err)
		}
	})
	return path
}

func run(t *testing.T, socket string, args ...string) (code int, out, complaints string) {
	t.Helper()
	var o, c bytes.Buffer
	env := func(name string) (string, bool) { return socket, name == "TERMINALD_CONTROL" }
	code = execute(t.Context(), args, env, &o, &c)
	return code, o.String(), c.String()
}

func TestCommands(t *testing.T) {
	nothing := refused(errors.New("not asked for"))
	for _, row := range []struct {
		name string
		args string
		x    terminal
		code int
		out  []string // all in the output
		err  []string // all in the complaints
		ask  string   // what the terminal was asked
	}{
		{name: "status", args: "status", x: terminal{ready: true}, out: []string{"PA000001  (vt1, version 1.2)", "ready to sell        yes", "10000001 / 898100000000001  Test Shop",
			"revision 3", "signed in", "not connected", "000007: 2 sales, 24.68", "open reversals       1", "unreported events    2", "part icc             fitted", "part printer         no answer"}},
		{name: "not ready", args: "status", out: []string{"no: no configuration"}},
		{name: "status as JSON", args: "-json status", x: terminal{ready: true}, out: []string{`"serial": "PA000001"`, `"open_reversals": 1`}},
		{name: "status of something", args: "status now", code: 2, err: []string{"too many arguments"}},

		{name: "activate", args: "activate ABCD-1234", out: []string{"PA000001"}, ask: "activate ABCD-1234"},
		{name: "activate without a code", args: "activate", code: 2, err: []string{"activate takes the code", "terminalctl -h"}},
		{name: "wrong code", args: "activate ABCD-1235", x: terminal{err: &wire.Refused{Reason: wire.ReasonCodeWrong, TriesLeft: 4}}, code: 1, err: []string{"code_wrong", "4 tries left"}},
		{name: "activated already", args: "activate 1", x: terminal{err: control.ErrActivated}, code: 1, err: []string{"activated already"}},

		{name: "sale", args: "sale 12.34 -id r1", x: terminal{sale: answer(journal.Approved, "approved", false)}, ask: "sale 12.34 r1",
			out: []string{"approved: in words\n", "sale 12.34 CNY  STAN 000042  batch 000007  approved  code 00  RRN 123456789012  id abc"}},
		{name: "flag first", args: "sale -id r1 12.34", x: terminal{sale: answer(journal.Approved, "approved", false)}, ask: "sale 12.34 r1", out: []string{"approved"}},
		{name: "sale as JSON", args: "-json sale 12.34", x: terminal{sale: answer(journal.Approved, "approved", false)}, out: []string{`"outcome": "approved"`, `"state": "approved"`}},
		{name: "sale again", args: "sale 12.34 -id r1", x: terminal{sale: answer(journal.Approved, "approved", true)}, out: []string{"nothing was sold again"}},
		{name: "declined", args: "sale 12.34", x: terminal{sale: answer(journal.Declined, "declined", false)}, code: 1, out: []string{"declined: in words"}},
		{name: "declined as JSON", args: "-json sale 12.34", x: terminal{sale: answer(journal.Declined, "declined", false)}, code: 1, out: []string{`"outcome": "declined"`}},
		{name: "reversing is not approved", args: "sale 12.34", x: terminal{sale: answer(journal.Reversing, "no_answer", false)}, code: 1, out: []string{"no_answer"}},
		{name: "nothing begun", args: "sale 12.34", code: 1, out: []string{"cancelled", "detail: why"}, x: terminal{sale: func(control.SaleRequest) (control.SaleAnswer, error) {
			return control.SaleAnswer{Outcome: "cancelled", Text: "Cancelled", Detail: "why"}, nil
		}}},
		{name: "busy", args: "sale 12.34", x: terminal{sale: refused(control.ErrBusy)}, code: 1, err: []string{"busy"}},
		{name: "sale of nothing", args: "sale", x: terminal{sale: nothing}, code: 2, err: []string{"sale takes an amount"}},
		{name: "two amounts", args: "sale 1 2", x: terminal{sale: nothing}, code: 2, err: []string{"too many arguments"}},
		{name: "negative amount", args: "sale -5", x: terminal{sale: nothing}, code: 2, err: []string{"sale", "-5"}},
		{name: "unknown flag", args: "sale 5 -tip 1", x: terminal{sale: nothing}, code: 2, err: []string{"tip"}},

		{name: "journal", args: "journal", ask: `list {"Batch":0,"States":null,"Before":0,"Limit":20}`,
			out: []string{"TIME", "05-20 14:03:09  000042  sale  12.34   approved  00    622609******0022  123456789012  abc"}},
		{name: "journal with flags", args: "journal list -n 5 -state reversing,declined", ask: `list {"Batch":0,"States":["reversing","declined"],"Before":0,"Limit":5}`, out: []string{"STAN"}},
		{name: "journal as JSON", args: "-json journal", out: []string{`"masked_pan": "622609******0022"`}},
		{name: "unknown state", args: "journal -state happy", code: 1, err: []string{"bad_request", "happy"}},
		{name: "too many", args: "journal -n 1001", code: 2, err: []string{"journal takes"}},
		{name: "one record", args: "journal show abc", out: []string{`"id": "abc"`}},
		{name: "no such record", args: "journal show abd", code: 1, err: []string{"not_found"}},
		{name: "no record named", args: "journal show", code: 2, err: []string{"journal takes"}},
		{name: "unknown word", args: "journal erase", code: 2, err: []string{"journal takes"}},
		{name: "verify", args: "journal verify", x: terminal{sound: true}, out: []string{"3 records, 0 problems"}},
		{name: "verify finds", args: "journal verify", code: 1, out: []string{"3 records, 1 problems", "totals differ"}},
		{name: "verify finds, as JSON", args: "-json journal verify", code: 1, out: []string{`"problems": [`}},

		{name: "reprint", args: "reprint abc", ask: "reprint abc"},
		{name: "reprint the last", args: "reprint", ask: "reprint "},
		{name: "reprint fails", args: "reprint", x: terminal{err: errors.New("paper out")}, code: 1, err: []string{"paper out"}},
		{name: "self test", args: "selftest", x: terminal{sound: true}, out: []string{"ok  journal        3 records", "ok  printer ready"}},
		{name: "self test fails", args: "selftest", code: 1, out: []string{"ok    journal", "FAIL  printer ready  paper out"}},
		{name: "self test fails, as JSON", args: "-json selftest", code: 1, out: []string{`"ok": false`}},

		{name: "no command", args: "", code: 2, err: []string{"no command"}},
		{name: "unknown command", args: "refund 5", code: 2, err: []string{`unknown command "refund"`}},
		{name: "unknown flag before", args: "-colour status", code: 2, err: []string{"colour"}},
		{name: "help", args: "-h", out: []string{"sale AMOUNT", "Exit status", "-control SOCKET"}},
		{name: "help of a command", args: "sale -h", out: []string{"sale AMOUNT"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			x := row.x
			code, out, complaints := run(t, serve(t, &x), strings.Fields(row.args)...)
			if code != row.code {
				t.Fatalf("status %d, want %d\n%s%s", code, row.code, out, complaints)
			}
			for _, want := range row.out {
				if !strings.Contains(out, want) {
					t.Errorf("output lacks %q:\n%s", want, out)
				}
			}
			for _, want := range row.err {
				if !strings.Contains(complaints, want) {
					t.Errorf("complaints lack %q:\n%s", want, complaints)
				}
			}
			if len(row.err) == 0 && complaints != "" {
				t.Errorf("complains: %s", complaints)
			}
			if strings.Contains(row.args, "-json") && !json.Valid([]byte(out)) {
				t.Errorf("not JSON: %s", out)
			}
			if row.ask != "" && (len(x.asked) != 1 || x.asked[0] != row.ask) {
				t.Errorf("the terminal was asked %q, want %q", x.asked, row.ask)
			}
			if code == exitUse && len(x.asked) != 0 {
				t.Errorf("wrong use reached the terminal: %q", x.asked)
			}
		})
	}
}

func TestNoTerminal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none")
	if code, _, complaints := run(t, path, "status"); code != exitFailed || !strings.Contains(complaints, path) {
		t.Errorf("status %d, %s", code, complaints)
	}
	// A flag wins over the environment.
	if code, out, complaints := run(t, path, "-control", serve(t, &terminal{}), "status"); code != exitDone || out == "" {
		t.Errorf("status %d, %s", code, complaints)
	}
}

// TestLostAnswer: a terminal that dies in a sale leaves the cashier with the way
// to learn the outcome, under the same id.
func TestLostAnswer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ids := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		buf := make([]byte, 4096)
		n, _ := c.Read(buf)
		_, id, _ := strings.Cut(string(buf[:n]), `"request_id":"`)
		id, _, _ = strings.Cut(id, `"`)
		ids <- id
		c.Close()
	}()
	code, out, complaints := run(t, path, "sale", "12.34")
	id := <-ids
	if code != exitFailed || out != "" || id == "" || !strings.Contains(complaints, "terminalctl sale 12.34 -id "+id) {
		t.Errorf("status %d, %s%s\nwant the id %s", code, out, complaints, id)
	}
}

// TestOwnIDsDiffer: two sales without an id are two sales.
func TestOwnIDsDiffer(t *testing.T) {
	x := &terminal{sale: answer(journal.Approved, "approved", false)}
	socket := serve(t, x)
	run(t, socket, "sale", "1")
	run(t, socket, "sale", "1")
	if len(x.asked) != 2 || x.asked[0] == x.asked[1] {
		t.Errorf("asked %q", x.asked)
	}
}
