package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"posagent/agent/journal"
	"posagent/agent/payment"
	"posagent/ota/wire"
)

// terminal is a terminal of this test: it remembers what it was asked.
type terminal struct {
	mu      sync.Mutex // guards what follows
	asked   []string
	ctx     context.Context // of the last sale, activation or reprint
	err     error           // what it answers with
	records []journal.Record
	hold    chan struct{} // a sale waits for it, if there is one
}

func (x *terminal) note(ctx context.Context, what string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.asked, x.ctx = append(x.asked, what), ctx
	return x.err
}

func (x *terminal) Status() Status {
	return Status{Serial: "PA000001", Version: "1", State: "ACTIVE", Ready: true, Screen: "idle", TerminalID: "10000001", Batch: 7,
		Totals: journal.Totals{Currency: payment.CNY, SaleCount: 1, SaleAmount: 1234}, Parts: []Part{{Name: "icc", OK: true}}, Started: time.Unix(1_700_000_000, 0).UTC()}
}

func (x *terminal) Activate(ctx context.Context, code string) error {
	return x.note(ctx, "activate "+code)
}

func (x *terminal) Sale(ctx context.Context, r SaleRequest) (SaleAnswer, error) {
	if err := x.note(ctx, "sale "+r.Requester+" "+r.RequestID+" "+r.Amount); err != nil {
		return SaleAnswer{}, err
	}
	if x.hold != nil {
		<-x.hold
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, rec := range x.records {
		if rec.RequestID == r.RequestID {
			return SaleAnswer{Outcome: "approved", Text: "Approved", Duplicate: true, Record: &rec}, nil
		}
	}
	rec := record(len(x.records)+1, r.RequestID)
	x.records = append(x.records, rec)
	return SaleAnswer{Outcome: "approved", Text: "Approved", Record: &rec}, nil
}

func (x *terminal) Reprint(ctx context.Context, id string) error { return x.note(ctx, "reprint "+id) }

func (x *terminal) SelfTest(ctx context.Context) ([]Part, error) {
	return nil, x.note(ctx, "selftest")
}

func (x *terminal) Journal() journal.Reader { return reader{x: x} }

// reader is the journal of a terminal of this test.
type reader struct {
	journal.Reader
	x *terminal
}

func (r reader) List(o journal.ListOptions) ([]journal.Record, error) {
	r.x.note(context.Background(), "list "+strings.Trim(strings.Join(strings.Fields(jsonOf(o)), ""), "\n"))
	return r.x.records, r.x.err
}

func (r reader) Record(id string) (journal.Record, error) {
	r.x.note(context.Background(), "record "+id)
	for _, rec := range r.x.records {
		if rec.ID == id {
			return rec, nil
		}
	}
	return journal.Record{}, journal.ErrNotFound
}

func (r reader) BySTAN(b payment.Batch, s payment.STAN) (journal.Record, error) {
	r.x.note(context.Background(), "stan "+b.String()+" "+s.String())
	for _, rec := range r.x.records {
		if rec.STAN == s && rec.Batch == b {
			return rec, nil
		}
	}
	return journal.Record{}, journal.ErrNotFound
}

func (r reader) Batch() (payment.Batch, error) { return 7, nil }

func (r reader) Verify(context.Context) (journal.Report, error) {
	return journal.Report{Records: 3, Problems: []string{"one"}}, r.x.err
}

func jsonOf(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func record(n int, request string) journal.Record {
	return journal.Record{ID: "record-" + strings.Repeat("0", n), Seq: uint64(n), State: journal.Approved, Requester: "control", RequestID: request, Type: payment.Sale,
		Amount: 1234, Currency: payment.CNY, STAN: payment.STAN(n), Batch: 7, Time: time.Unix(1_700_000_000, 0).UTC(), TerminalID: "10000001",
		MerchantID: "898100000000001", Entry: payment.Chip, MaskedPAN: "622609******0022", Changes: []journal.Change{}}
}

func TestCalls(t *testing.T) {
	wrong := &wire.Refused{Reason: wire.ReasonCodeWrong, TriesLeft: 3, Detail: "think"}
	for _, row := range []struct {
		name   string
		method string
		path   string
		body   string
		err    error // of the terminal
		status int
		code   string // of the error
		has    string // in the body
		asked  string
	}{
		{name: "status", method: "GET", path: "/v1/status", status: 200, has: `"state":"ACTIVE"`},
		{name: "self test without parts", method: "GET", path: "/v1/selftest", status: 200, has: "[]", asked: "selftest"},
		{name: "empty journal", method: "GET", path: "/v1/journal", status: 200, has: "[]", asked: `list {"Batch":0,"States":null,"Before":0,"Limit":0}`},
		{name: "journal with limits", method: "GET", path: "/v1/journal?limit=3&state=approved,reversing", status: 200,
			asked: `list {"Batch":0,"States":["approved","reversing"],"Before":0,"Limit":3}`},
		{name: "limit zero", method: "GET", path: "/v1/journal?limit=0", status: 400, code: "bad_request"},
		{name: "limit no number", method: "GET", path: "/v1/journal?limit=many", status: 400, code: "bad_request"},
		{name: "limit too long", method: "GET", path: "/v1/journal?limit=65536", status: 400, code: "bad_request"},
		{name: "unknown state", method: "GET", path: "/v1/journal?state=happy", status: 400, code: "bad_request", has: "happy"},
		{name: "journal fails", method: "GET", path: "/v1/journal", err: errors.New("disk"), status: 500, code: "failed", has: "disk"},
		{name: "no such record", method: "GET", path: "/v1/journal/0abc", status: 404, code: "not_found", asked: "record 0abc"},
		{name: "no such trace number", method: "GET", path: "/v1/journal/000042", status: 404, code: "not_found", asked: "stan 000007 000042"},
		{name: "trace number zero", method: "GET", path: "/v1/journal/000000", status: 404, code: "not_found", asked: "record 000000"},
		{name: "verify", method: "GET", path: "/v1/journal/verify", status: 200, has: `"problems":["one"]`},
		{name: "sale", method: "POST", path: "/v1/sale", body: `{"request_id":"1","amount":"12.34"}`, status: 200, has: `"outcome":"approved"`, asked: "sale  1 12.34"},
		{name: "busy", method: "POST", path: "/v1/sale", body: `{"request_id":"1","amount":"1"}`, err: ErrBusy, status: 409, code: "busy"},
		{name: "not ready", method: "POST", path: "/v1/sale", body: `{}`, err: ErrNotReady, status: 409, code: "not_ready"},
		{name: "no JSON", method: "POST", path: "/v1/sale", body: `amount=1`, status: 400, code: "bad_request"},
		{name: "no body", method: "POST", path: "/v1/sale", status: 400, code: "bad_request"},
		{name: "unknown field", method: "POST", path: "/v1/sale", body: `{"request_id":"1","amount":"1","currency":"EUR"}`, status: 400, code: "bad_request", has: "currency"},
		{name: "amount as number", method: "POST", path: "/v1/sale", body: `{"request_id":"1","amount":12.34}`, status: 400, code: "bad_request", has: "amount"},
		{name: "two requests in one", method: "POST", path: "/v1/sale", body: `{"request_id":"1","amount":"1"}{"request_id":"2","amount":"2"}`, status: 400, code: "bad_request"},
		{name: "something behind", method: "POST", path: "/v1/sale", body: `{"request_id":"1","amount":"1"}]`, status: 400, code: "bad_request"},
		{name: "too long", method: "POST", path: "/v1/sale", body: `{"request_id":"` + strings.Repeat("1", maxBody) + `"}`, status: 413, code: "too_large"},
		{name: "too long behind", method: "POST", path: "/v1/sale", body: `{"request_id":"1"}` + strings.Repeat(" ", maxBody), status: 413, code: "too_large"},
		{name: "activate", method: "POST", path: "/v1/activate", body: `{"code":"ABCD-1234"}`, status: 200, has: `"serial":"PA000001"`, asked: "activate ABCD-1234"},
		{name: "activated already", method: "POST", path: "/v1/activate", body: `{"code":"1"}`, err: ErrActivated, status: 409, code: "activated"},
		{name: "wrong code", method: "POST", path: "/v1/activate", body: `{"code":"1"}`, err: errors.Join(errors.New("activate"), wrong), status: 403, code: "code_wrong",
			has: "3 tries left"},
		{name: "too often", method: "POST", path: "/v1/activate", body: `{"code":"1"}`, err: &wire.Refused{Reason: wire.ReasonRate, RetryAfterS: 60}, status: 403,
			code: "rate_limited", has: "60 seconds"},
		{name: "reprint", method: "POST", path: "/v1/reprint", body: `{"id":"x"}`, status: 200, has: "{}", asked: "reprint x"},
		{name: "reprint nothing", method: "POST", path: "/v1/reprint", body: `{}`, err: journal.ErrNotFound, status: 404, code: "not_found"},
		{name: "wrong method", method: "GET", path: "/v1/sale", status: 405, code: "bad_method", has: "POST"},
		{name: "wrong method too", method: "DELETE", path: "/v1/journal", status: 405, code: "bad_method", has: "GET"},
		{name: "no such call", method: "GET", path: "/v2/status", status: 404, code: "no_such_call"},
		{name: "the root", method: "GET", path: "/", status: 404, code: "no_such_call"},
	} {
		t.Run(row.name, func(t *testing.T) {
			x := &terminal{err: row.err}
			w := httptest.NewRecorder()
			Handler(t.Context(), x).ServeHTTP(w, httptest.NewRequest(row.method, row.path, strings.NewReader(row.body)))
			body := w.Body.String()
			if w.Code != row.status || w.Header().Get("Content-Type") != "application/json" || !strings.Contains(body, row.has) {
				t.Fatalf("answers %d %s\nwant %d with %q", w.Code, body, row.status, row.has)
			}
			var failed struct {
				Error *Error `json:"error"`
			}
			if row.code != "" && (json.Unmarshal(w.Body.Bytes(), &failed) != nil || failed.Error == nil || failed.Error.Code != row.code || failed.Error.Text == "") {
				t.Errorf("error is %s, want code %q", body, row.code)
			}
			if row.asked != "" && !slices.Contains(x.asked, row.asked) {
				t.Errorf("the terminal was asked %q, want %q", x.asked, row.asked)
			}
			if row.status == 400 || row.status == 413 || row.status == 405 {
				if len(x.asked) != 0 {
					t.Errorf("a bad request reached the terminal: %q", x.asked)
				}
			}
		})
	}
}

// life marks the context of the interface itself.
type life struct{}

// serve runs the interface on a socket until the test ends.
func serve(t *testing.T, x *terminal) (*Client, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), life{}, true))
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, x, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve = %v", err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is left: %v", err)
		}
	})
	return Dial(path), path
}

func TestClientRoundTrip(t *testing.T) {
	x := &terminal{}
	c, path := serve(t, x)
	ctx := t.Context()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket has mode %v, %v", info.Mode(), err)
	}
	if s, err := c.Status(ctx); err != nil || !reflect.DeepEqual(s, x.Status()) {
		t.Errorf("Status = %+v, %v\nwant %+v", s, err, x.Status())
	}
	if s, err := c.Activate(ctx, "ABCD"); err != nil || s.Serial != "PA000001" {
		t.Errorf("Activate = %+v, %v", s, err)
	}
	first, err := c.Sale(ctx, SaleRequest{RequestID: "1", Amount: "12.34"})
	if err != nil || first.Outcome != "approved" || first.Duplicate || first.Record.Amount != 1234 {
		t.Fatalf("Sale = %+v, %v", first, err)
	}
	again, err := c.Sale(ctx, SaleRequest{RequestID: "1", Amount: "12.34"})
	if err != nil || !again.Duplicate || again.Record.ID != first.Record.ID || len(x.records) != 1 {
		t.Errorf("again = %+v, %v, %d records", again, err, len(x.records))
	}
	if list, err := c.Journal(ctx, 5, "approved"); err != nil || !reflect.DeepEqual(list, x.records) {
		t.Errorf("Journal = %+v, %v\nwant %+v", list, err, x.records)
	}
	if rec, err := c.Record(ctx, "1"); err != nil || rec.ID != first.Record.ID {
		t.Errorf("by trace number: %+v, %v", rec, err)
	}
	if rec, err := c.Record(ctx, first.Record.ID); err != nil || rec.ID != first.Record.ID {
		t.Errorf("by id: %+v, %v", rec, err)
	}
	if _, err := c.Record(ctx, "a/../b?"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a strange id: %v", err)
	}
	if r, err := c.Verify(ctx); err != nil || len(r.Problems) != 1 {
		t.Errorf("Verify = %+v, %v", r, err)
	}
	if err := c.Reprint(ctx, ""); err != nil {
		t.Errorf("Reprint = %v", err)
	}
	if parts, err := c.SelfTest(ctx); err != nil || len(parts) != 0 {
		t.Errorf("SelfTest = %v, %v", parts, err)
	}
	x.err = ErrBusy
	var e *Error
	if _, err := c.Sale(ctx, SaleRequest{RequestID: "2", Amount: "1"}); !errors.Is(err, ErrBusy) || errors.Is(err, ErrNotReady) || !errors.As(err, &e) || e.Text == "" {
		t.Errorf("busy comes back as %v", err)
	}
	if _, err := c.SelfTest(ctx); !errors.Is(err, ErrBusy) {
		t.Errorf("self-test of a busy terminal: %v", err)
	}
}

// TestWorkOutlivesItsClient: a client that goes away ends neither a sale nor an
// activation, and what it asked for can be asked again.
func TestWorkOutlivesItsClient(t *testing.T) {
	x := &terminal{hold: make(chan struct{})}
	c, _ := serve(t, x)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := c.Sale(ctx, SaleRequest{RequestID: "1", Amount: "12.34"})
		gone <- err
	}()
	until(t, func() bool { return len(x.asked) == 1 }, x)
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Fatalf("the client that left got %v", err)
	}
	outlives := func(what string) {
		x.mu.Lock()
		defer x.mu.Unlock()
		if x.ctx.Value(life{}) == nil || x.ctx.Err() != nil {
			t.Errorf("%s ends with its client", what)
		}
	}
	outlives("a sale")
	close(x.hold)
	until(t, func() bool { return len(x.records) == 1 }, x)
	a, err := c.Sale(t.Context(), SaleRequest{RequestID: "1", Amount: "12.34"})
	if err != nil || !a.Duplicate || len(x.records) != 1 {
		t.Errorf("asked again: %+v, %v", a, err)
	}
	if _, err := c.Activate(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	outlives("an activation")
}

func until(t *testing.T, condition func() bool, x *terminal) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 5000 {
		x.mu.Lock()
		ok := condition()
		x.mu.Unlock()
		if ok {
			return
		}
		<-tick.C
	}
	t.Fatal("never")
}

func TestListen(t *testing.T) {
	t.Run("a socket left over is replaced", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "s")
		old, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		old.SetUnlinkOnClose(false)
		old.Close()
		l, err := Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
	})
	t.Run("a live one is not", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "s")
		first, err := Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("second Listen = %v", err)
		}
		if c, err := net.Dial("unix", path); err != nil {
			t.Errorf("the first is gone: %v", err)
		} else {
			c.Close()
		}
	})
	t.Run("a file is not", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "s")
		if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Listen(path); err == nil {
			t.Error("Listen takes the place of a file")
		}
		if content, err := os.ReadFile(path); err != nil || string(content) != "precious" {
			t.Errorf("the file is %q, %v", content, err)
		}
	})
	t.Run("no directory", func(t *testing.T) {
		if _, err := Listen(filepath.Join(t.TempDir(), "none", "s")); err == nil {
			t.Error("Listen without a directory")
		}
	})
}

// TestOddServers: a client tells what answers it and is no terminal.
func TestOddServers(t *testing.T) {
	for _, row := range []struct{ name, answer, want string }{
		{"not JSON", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", "read terminal's answer"},
		{"an error that is none", "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", "502"},
		{"not HTTP", "hello\r\n\r\n", "ask terminal"},
		{"cut short", "HTTP/1.1 200 OK\r\nContent-Length: 50\r\nConnection: close\r\n\r\n{}", "read terminal's answer"},
	} {
		t.Run(row.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				c.Read(make([]byte, 4096))    //nolint:errcheck // whatever it is
				io.WriteString(c, row.answer) //nolint:errcheck // the client sees it
			}()
			if _, err := Dial(path).Status(t.Context()); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("Status = %v, want %q", err, row.want)
			}
		})
	}
	if _, err := Dial(filepath.Join(t.TempDir(), "s")).Status(t.Context()); err == nil {
		t.Error("Status without a terminal")
	}
}

// FuzzRead: no body makes the interface panic or answer with anything but JSON.
func FuzzRead(f *testing.F) {
	f.Add(`{"request_id":"1","amount":"12.34"}`)
	f.Add(`{"amount":1e999}`)
	f.Add("\x00")
	f.Fuzz(func(t *testing.T, body string) {
		w := httptest.NewRecorder()
		Handler(t.Context(), &terminal{}).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/sale", strings.NewReader(body)))
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("answers %q", w.Body)
		}
	})
}
