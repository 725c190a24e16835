package console_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"posagent/ota/fleet/console"
	"posagent/ota/fleet/enroll"
	"posagent/ota/fleet/store"
	"posagent/ota/wire"
)

const token = "0123456789abcdef0123456789abcdef"

// canned is a fleet of one terminal that answers PushConfig with err.
type canned struct {
	store.Store
	err error
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func newCanned(t *testing.T) *canned {
	t.Helper()
	s, err := store.OpenBolt(filepath.Join(t.TempDir(), "fleet.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	err = s.Update(context.Background(), func(tx store.Tx) error {
		_, err := tx.AddEvent(store.Event{Serial: "VT-0001", Received: noon, Event: wire.Event{ID: "t-1", Schema: 1, Kind: wire.EventTransaction, LocalTime: noon,
			Transaction: &wire.TransactionEvent{Type: "sale", State: "approved", Amount: 1205, Currency: "156", MaskedPAN: "622848******0000", STAN: "000001"}}})
		_, aerr := tx.AppendAudit(store.AuditEntry{Time: noon, Actor: "admin", Action: "test"})
		return errors.Join(err, aerr, tx.PutTerminal(store.Terminal{Serial: "VT-0001", Model: "<script>alert(1)</script>", State: wire.StateActive, Since: noon,
			Code:     &store.Code{Key: []byte("the secret proof key"), Expires: noon},
			Certs:    []store.Cert{{Fingerprint: "ab", Chain: "PEM"}},
			Presence: &wire.Presence{N: 3, Online: true}, DesiredRevision: 2, DesiredHash: strings.Repeat("cd", 32),
			Reported: &wire.Reported{Revision: 2, Hash: strings.Repeat("cd", 32), State: wire.ReportedApplied}}))
	})
	if err != nil {
		t.Fatal(err)
	}
	return &canned{Store: s}
}

func (c *canned) Tenant() string { return "acme" }

func (c *canned) Terminals(after string, limit int) (list []store.Terminal, err error) {
	err = c.View(func(tx store.Tx) error {
		list, err = tx.Terminals(after, limit)
		return err
	})
	return list, err
}

func (c *canned) Terminal(serial string) (t store.Terminal, b *store.Binding, d *store.Desired, err error) {
	err = c.View(func(tx store.Tx) error {
		t, err = tx.Terminal(serial)
		return err
	})
	return t, nil, nil, err
}

func (c *canned) Enroll(context.Context, string, enroll.Application) (enroll.Code, error) {
	return enroll.Code{Serial: "VT-0002", Code: "ABCD-EFGH"}, c.err
}

func (c *canned) IssueCode(context.Context, string, string) (enroll.Code, error) {
	return enroll.Code{}, c.err
}
func (c *canned) Revoke(context.Context, string, string, string) error { return c.err }
func (c *canned) PushConfig(context.Context, string, string, wire.Config) (store.Desired, error) {
	return store.Desired{}, c.err
}

func (c *canned) Events(serial string, after uint64, limit int) (list []store.Event, err error) {
	err = c.View(func(tx store.Tx) error {
		list, err = tx.Events(serial, after, limit)
		return err
	})
	return list, err
}

func (c *canned) LastEvents(serial string, limit int) (list []store.Event, err error) {
	err = c.View(func(tx store.Tx) error {
		list, err = tx.LastEvents(serial, limit)
		return err
	})
	return list, err
}

func (c *canned) Audit(after uint64, limit int) (list []store.AuditEntry, err error) {
	err = c.View(func(tx store.Tx) error {
		list, err = tx.Audit(after, limit)
		return err
	})
	return list, err
}

func (c *canned) VerifyAudit() (store.AuditHead, error) { return store.VerifyAudit(c.Store) }

func serve(t *testing.T, f console.Fleet) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(console.New(f, token, slog.New(slog.DiscardHandler)))
	t.Cleanup(s.Close)
	return s
}

func TestAPI(t *testing.T) {
	f := newCanned(t)
	s := serve(t, f)
	for _, row := range []struct {
		name, method, path, auth, host, body string
		err                                  error
		status                               int
		holds                                string
	}{
		{name: "list", method: "GET", path: "terminals", status: 200, holds: `"in_sync":true`},
		{name: "no token", method: "GET", path: "terminals", auth: "-", status: 401},
		{name: "wrong token", method: "GET", path: "terminals", auth: "Bearer " + token[1:], status: 401},
		{name: "cookie is no token", method: "GET", path: "terminals", auth: "Basic " + token, status: 401},
		{name: "foreign host", method: "GET", path: "terminals", host: "evil.example:80", status: 403},
		{name: "localhost", method: "GET", path: "terminals", host: "localhost", status: 200},
		{name: "one", method: "GET", path: "terminals/VT-0001", status: 200, holds: `"connection":3`},
		{name: "unknown", method: "GET", path: "terminals/VT-0009", status: 404},
		{name: "enrol", method: "POST", path: "terminals", body: `{"serial":"VT-0002"}`, status: 201, holds: "ABCD-EFGH"},
		{name: "bound", method: "POST", path: "terminals", body: `{}`, err: store.ErrBound, status: 409},
		{name: "unknown field", method: "POST", path: "terminals", body: `{"colour":"red"}`, status: 400, holds: "colour"},
		{name: "not JSON", method: "POST", path: "terminals", body: `{`, status: 400},
		{name: "too large", method: "POST", path: "terminals", body: `{"serial":"` + strings.Repeat("x", 200<<10) + `"}`, status: 413},
		{name: "push", method: "PUT", path: "terminals/VT-0001/config", body: `{}`, status: 200},
		{name: "push unknown field", method: "PUT", path: "terminals/VT-0001/config", body: `{"merchant":{"colour":1}}`, status: 400, holds: `"path":"merchant.colour"`},
		{name: "push too large", method: "PUT", path: "terminals/VT-0001/config", body: strings.Repeat(" ", 200<<10), status: 413},
		{name: "push beyond a message", method: "PUT", path: "terminals/VT-0001/config", body: strings.Repeat(" ", 100<<10), status: 400},
		{name: "push not bound so", method: "PUT", path: "terminals/VT-0001/config", body: `{}`, err: console.ErrBinding, status: 409},
		{name: "push back", method: "PUT", path: "terminals/VT-0001/config", body: `{}`, err: console.ErrRevision, status: 409},
		{name: "broken", method: "PUT", path: "terminals/VT-0001/config", body: `{}`, err: errors.New("disk"), status: 500},
		{name: "revoke without reason", method: "POST", path: "terminals/VT-0001/revoke", body: `{}`, status: 400, holds: "reason"},
		{name: "code in wrong state", method: "POST", path: "terminals/VT-0001/code", err: enroll.ErrState, status: 409},
		{name: "events", method: "GET", path: "events?serial=VT-0001&limit=5", status: 200, holds: `"amount":1205`},
		{name: "last events", method: "GET", path: "events?last=1", status: 200, holds: `"number":1`},
		{name: "no events", method: "GET", path: "events?after=1", status: 200, holds: `"events":[]`},
		{name: "bad number", method: "GET", path: "events?after=-1", status: 400},
		{name: "audit", method: "GET", path: "audit", status: 200, holds: `"action":"test"`},
		{name: "verify", method: "GET", path: "audit/verify", status: 200, holds: `"seq":1`},
		{name: "wrong method", method: "DELETE", path: "terminals/VT-0001", status: 405},
	} {
		t.Run(row.name, func(t *testing.T) {
			f.err = row.err
			req, err := http.NewRequest(row.method, s.URL+"/api/v1/"+row.path, strings.NewReader(row.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+token)
			if row.auth != "" {
				req.Header.Set("Authorization", row.auth)
			}
			if row.host != "" {
				req.Host = row.host
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			text, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != row.status || !strings.Contains(string(text), row.holds) {
				t.Errorf("got %d %s, want %d with %s", resp.StatusCode, text, row.status, row.holds)
			}
			for _, secret := range []string{"secret", "dGhlIHNlY3JldA", "PEM"} {
				if strings.Contains(string(text), secret) {
					t.Errorf("answer holds %q", secret)
				}
			}
		})
	}
}

func TestPage(t *testing.T) {
	s := serve(t, newCanned(t))
	jar, _ := cookiejar.New(nil)
	c := &http.Client{Jar: jar}
	read := func(resp *http.Response, err error) (int, string, http.Header) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(text), resp.Header
	}
	if _, text, _ := read(c.Get(s.URL + "/")); !strings.Contains(text, "Administrator") || strings.Contains(text, "VT-0001") {
		t.Errorf("not logged in: %s", text)
	}
	if status, text, _ := read(c.PostForm(s.URL+"/login", url.Values{"token": {"wrong"}})); status != 401 || !strings.Contains(text, "not the token") {
		t.Errorf("wrong token: %d %s", status, text)
	}
	status, text, header := read(c.PostForm(s.URL+"/login", url.Values{"token": {token}}))
	if status != 200 {
		t.Fatalf("log in: %d %s", status, text)
	}
	for _, want := range []string{"VT-0001", "online", "#3", "CNY 12.05", "622848******0000", "&lt;script&gt;", `class="good">applied`} {
		if !strings.Contains(text, want) {
			t.Errorf("page lacks %s:\n%s", want, text)
		}
	}
	if strings.Contains(text, "<script") || strings.Contains(text, "style=") || strings.Contains(text, "http://") || strings.Contains(text, "https://") {
		t.Errorf("page holds what its policy forbids:\n%s", text)
	}
	if policy := header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") {
		t.Errorf("policy %q", policy)
	}
	u, _ := url.Parse(s.URL)
	for _, cookie := range jar.Cookies(u) {
		for _, forged := range []string{"", "9999999999.", "9999999999." + strings.Repeat("0", 64), "x" + cookie.Value, "1" + cookie.Value} {
			req, _ := http.NewRequest("GET", s.URL+"/", nil)
			req.AddCookie(&http.Cookie{Name: cookie.Name, Value: forged})
			if _, text, _ := read(http.DefaultClient.Do(req)); strings.Contains(text, "VT-0001") {
				t.Errorf("cookie %q is believed", forged)
			}
		}
	}
	read(c.Post(s.URL+"/logout", "", nil))
	if _, text, _ := read(c.Get(s.URL + "/")); strings.Contains(text, "VT-0001") {
		t.Error("still logged in")
	}
}
