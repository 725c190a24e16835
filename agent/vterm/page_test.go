package vterm

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"image"
	"image/color"
	"image/png"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"posagent/agent/control"
	"posagent/agent/journal"
	"posagent/agent/operator"
	"posagent/drivers/board/boardsim"
	"posagent/printer"
)

// still is a terminal on which nothing happens.
type still struct{ journal *journal.Journal }

func (s still) Status() control.Status  { return control.Status{Serial: "VT-0001", State: "ACTIVE"} }
func (s still) Screen() operator.Screen { return operator.Screen{Name: "idle", Title: "Ready"} }
func (s still) Journal() journal.Reader { return s.journal }

func stillHouse(t *testing.T) House {
	t.Helper()
	j, err := journal.Open(filepath.Join(t.TempDir(), "journal.db"), journal.Options{Key: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return House{Terminal: still{j}, Board: boardsim.New(nil)}
}

// pageOf is a page before a still house, without a server.
func pageOf(t *testing.T) *Page {
	t.Helper()
	p := New(Options{})
	p.attach(stillHouse(t))
	return p
}

// request asks with the cookie; edit may spoil it.
func request(p *Page, method, path, body string, edit func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://127.0.0.1:8090"+path, strings.NewReader(body))
	r.AddCookie(&http.Cookie{Name: p.cookie, Value: p.token})
	r.Header.Set("Content-Type", "application/json")
	if edit != nil {
		edit(r)
	}
	w := httptest.NewRecorder()
	p.handler().ServeHTTP(w, r)
	return w
}

func TestGuard(t *testing.T) {
	p := pageOf(t)
	noCookie := func(r *http.Request) { r.Header.Del("Cookie") }
	for _, row := range []struct {
		name, method, path string
		edit               func(*http.Request)
		status             int
	}{
		{"with cookie", "GET", "/", nil, 200},
		{"localhost", "GET", "/", func(r *http.Request) { r.Host = "localhost:8090" }, 200},
		{"IPv6 loopback", "GET", "/", func(r *http.Request) { r.Host = "[::1]:8090" }, 200},
		{"first visit", "GET", "/?token=" + p.token, noCookie, 200},
		{"no cookie", "GET", "/", noCookie, 403},
		{"no cookie, a file", "GET", "/page.js", noCookie, 403},
		{"no cookie, events", "GET", "/events", noCookie, 403},
		{"no cookie, keys", "POST", "/keys", noCookie, 403},
		{"wrong cookie", "GET", "/", func(r *http.Request) {
			r.Header.Set("Cookie", p.cookie+"="+strings.Repeat("0", len(p.token)))
		}, 403},
		{"empty cookie", "GET", "/", func(r *http.Request) { r.Header.Set("Cookie", p.cookie+"=") }, 403},
		{"wrong token beside the cookie", "GET", "/?token=0", nil, 403},
		{"token elsewhere", "POST", "/keys?token=" + p.token, noCookie, 403},
		{"foreign host name", "GET", "/", func(r *http.Request) { r.Host = "evil.example:8090" }, 403},
		{"host name that begins like loopback", "GET", "/", func(r *http.Request) { r.Host = "127.0.0.1.evil.example" }, 403},
		{"foreign host name with token", "GET", "/?token=" + p.token, func(r *http.Request) { r.Host = "evil.example" }, 403},
		{"another site's page", "POST", "/tear", func(r *http.Request) { r.Header.Set("Origin", "http://evil.example") }, 403},
		{"another port's page", "POST", "/tear", func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:1") }, 403},
		{"no origin to name", "POST", "/tear", func(r *http.Request) { r.Header.Set("Origin", "null") }, 403},
		{"cross-site fetch", "POST", "/tear", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		{"no such file", "GET", "/secret", nil, 404},
		{"wrong method", "DELETE", "/keys", nil, 405},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := request(p, row.method, row.path, "{}", row.edit)
			if w.Code != row.status {
				t.Errorf("%s %s: status %d, want %d", row.method, row.path, w.Code, row.status)
			}
			csp := w.Header().Get("Content-Security-Policy")
			if !strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") {
				t.Errorf("policy is %q", csp)
			}
			if w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("headers are %v", w.Header())
			}
		})
	}
	c := request(p, "GET", "/?token="+p.token, "", noCookie).Result().Cookies()
	if len(c) != 1 || !c[0].HttpOnly || c[0].SameSite != http.SameSiteStrictMode || c[0].Value != p.token {
		t.Errorf("cookies are %v", c)
	}
}

func TestActions(t *testing.T) {
	for _, row := range []struct {
		name, path, body string
		edit             func(*http.Request)
		status           int
	}{
		{"keys", "/keys", `{"keys":["1","0","enter","cancel","clear","func"]}`, nil, 204},
		{"no keys", "/keys", `{"keys":[]}`, nil, 400},
		{"unknown key", "/keys", `{"keys":["1","f9"]}`, nil, 400},
		{"key with more digits", "/keys", `{"keys":["1234"]}`, nil, 400},
		{"too many keys", "/keys", `{"keys":["1"` + strings.Repeat(`,"1"`, maxKeys) + `]}`, nil, 400},
		{"unknown field", "/keys", `{"keys":["1"],"x":1}`, nil, 400},
		{"two values", "/keys", `{"keys":["1"]}{}`, nil, 400},
		{"no JSON", "/keys", `keys`, nil, 400},
		{"empty body", "/keys", ``, nil, 400},
		{"big body", "/keys", `{"keys":["` + strings.Repeat("1", maxBody) + `"]}`, nil, 413},
		{"big tail", "/tear", `{}` + strings.Repeat(" ", maxBody), nil, 413},
		{"form", "/keys", `keys=1`, func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }, 415},
		{"no type", "/keys", `{"keys":["1"]}`, func(r *http.Request) { r.Header.Del("Content-Type") }, 415},
		{"card", "/card", `{"name":"no-cvm"}`, nil, 204},
		{"card out of an empty slot", "/card", `{"name":""}`, nil, 204},
		{"unknown card", "/card", `{"name":"gold"}`, nil, 404},
		{"card by path", "/card", `{"name":"../keys"}`, nil, 404},
		{"paper out", "/switch", `{"name":"paper","choice":"out"}`, nil, 204},
		{"unknown choice", "/switch", `{"name":"paper","choice":"blue"}`, nil, 400},
		{"unknown switch", "/switch", `{"name":"gravity","choice":"off"}`, nil, 404},
		{"tear", "/tear", `{}`, nil, 204},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := request(pageOf(t), "POST", row.path, row.body, row.edit)
			if w.Code != row.status {
				t.Errorf("POST %s %.80s: status %d %s, want %d", row.path, row.body, w.Code, w.Body, row.status)
			}
			if w.Code != 204 && (!json.Valid(w.Body.Bytes()) || strings.Contains(w.Body.String(), "1234")) {
				t.Errorf("refusal is %q", w.Body)
			}
		})
	}
}

func TestSlotTakesOneCard(t *testing.T) {
	p := pageOf(t)
	for _, step := range []struct {
		card, in string
		status   int
	}{
		{"no-cvm", "no-cvm", 204}, {"no-cvm", "no-cvm", 204}, {"online-pin", "no-cvm", 409}, {"", "", 204}, {"online-pin", "online-pin", 204},
	} {
		w := request(p, "POST", "/card", `{"name":"`+step.card+`"}`, nil)
		if v := p.slotView(); w.Code != step.status || v.Card != step.in {
			t.Errorf("insert %q: status %d, %q in the slot; want %d, %q", step.card, w.Code, v.Card, step.status, step.in)
		}
	}
}

func TestPaperSwitch(t *testing.T) {
	p := pageOf(t)
	for _, choice := range []string{"out", "loaded"} {
		request(p, "POST", "/switch", `{"name":"paper","choice":"`+choice+`"}`, nil)
		if got := p.slotView().Switches["paper"]; got != choice {
			t.Errorf("paper is %q, want %q", got, choice)
		}
	}
	if w := request(p, "GET", "/paper.png", "", nil); w.Code != http.StatusNotFound {
		t.Errorf("picture of no paper: status %d, want 404", w.Code)
	}
}

// TestPageWeight holds the page to 300 KB and to its own files.
func TestPageWeight(t *testing.T) {
	var sum int64
	err := fs.WalkDir(static, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(static, path)
		sum += int64(len(b))
		for _, foreign := range []string{"https://", "http://", "//cdn", "innerHTML", "eval(", " style=", " onclick="} {
			if text := strings.ReplaceAll(string(b), "http://www.w3.org/2000/svg", ""); strings.Contains(text, foreign) {
				t.Errorf("%s holds %q", path, foreign)
			}
		}
		return err
	})
	if err != nil || sum > 300<<10 || sum == 0 {
		t.Errorf("page weighs %d bytes, %v", sum, err)
	}
}

func TestNotOnLoopback(t *testing.T) {
	ln, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := New(Options{}).Serve(t.Context(), ln, stillHouse(t)); !errors.Is(err, ErrNotLoopback) {
		t.Errorf("Serve on %s gives %v, want ErrNotLoopback", ln.Addr(), err)
	}
	if c, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		c.Close()
		t.Error("the listener is still open")
	}
}

// browser is an open event stream.
type browser struct {
	t     *testing.T
	lines *bufio.Scanner
}

// served starts a page and gives a way to open event streams.
func served(t *testing.T, log *slog.Logger, edit func(*House)) (*Page, func() *browser, func(path, body string) int) {
	t.Helper()
	p, house := New(Options{Log: log}), stillHouse(t)
	if edit != nil {
		edit(&house)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Serve(ctx, ln, house) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve ended with %v", err)
		}
	})
	ask := func(method, path, body string) *http.Response {
		r, err := http.NewRequestWithContext(ctx, method, "http://"+ln.Addr().String()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.AddCookie(&http.Cookie{Name: p.cookie, Value: p.token})
		r.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	open := func() *browser {
		resp := ask("GET", "/events", "")
		t.Cleanup(func() { resp.Body.Close() })
		if resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
			t.Fatalf("events: %s %v", resp.Status, resp.Header)
		}
		s := bufio.NewScanner(resp.Body)
		s.Buffer(nil, 4<<20)
		return &browser{t, s}
	}
	return p, open, func(path, body string) int {
		resp := ask("POST", path, body)
		resp.Body.Close()
		return resp.StatusCode
	}
}

// next reads up to an event of a name whose data is as wanted.
func (b *browser) next(name string, wanted func(data string) bool) {
	b.t.Helper()
	var event string
	for b.lines.Scan() {
		if v, ok := strings.CutPrefix(b.lines.Text(), "event: "); ok {
			event = v
		}
		if v, ok := strings.CutPrefix(b.lines.Text(), "data: "); ok && event == name && (wanted == nil || wanted(v)) {
			return
		}
	}
	b.t.Fatalf("stream ended before %s: %v", name, b.lines.Err())
}

func TestEvents(t *testing.T) {
	p, open, post := served(t, nil, func(h *House) {
		h.Ledger = func() ([]Line, error) { return []Line{{STAN: "000042", State: "applied"}}, nil }
		h.Events = func() ([]Line, error) { return nil, errors.New("fleet is closed") }
	})
	p.HostMessage("out", "# TPDU 60 00\n# unionpay-pos 0200, 17 fields, 200 bytes\n0000 MTI 02 00")
	first, second := open(), open()
	for _, b := range []*browser{first, second} {
		b.next("hello", func(v string) bool { return strings.Contains(v, "online-pin") && strings.Contains(v, `"paper"`) })
		b.next("message", func(v string) bool { return strings.Contains(v, `"title":"unionpay-pos 0200, 17 fields, 200 bytes"`) })
		b.next("ledger", func(v string) bool { return strings.Contains(v, "000042") })
	}
	if status := post("/card", `{"name":"dda-online"}`); status != 204 {
		t.Fatalf("card: status %d", status)
	}
	for _, b := range []*browser{first, second} {
		b.next("slot", func(v string) bool { return strings.Contains(v, `"card":"dda-online"`) })
	}
	late := open() // a browser that comes back sees what is
	late.next("screen", func(v string) bool { return strings.Contains(v, `"title":"Ready"`) })
	late.next("slot", func(v string) bool { return strings.Contains(v, `"card":"dda-online"`) })
}

func TestTooManyBrowsers(t *testing.T) {
	p := pageOf(t)
	for range maxReaders {
		if !p.join(&reader{}) {
			t.Fatal("a browser is refused too early")
		}
	}
	if w := request(p, "GET", "/events", "", nil); w.Code != http.StatusServiceUnavailable {
		t.Errorf("one browser too many: status %d, want 503", w.Code)
	}
}

// TestKeysLeaveNoTrace looks for pressed keys in every event and every log line.
func TestKeysLeaveNoTrace(t *testing.T) {
	var logged, sent strings.Builder
	p := New(Options{Log: slog.New(slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	p.attach(stillHouse(t))
	for _, body := range []string{`{"keys":["9","7","5","3"]}`, `{"keys":["9","7","5","3","x"]}`, `{"keys":"9753"}`} {
		w := request(p, "POST", "/keys", body, nil)
		sent.WriteString(w.Body.String())
	}
	w := httptest.NewRecorder()
	me := &reader{lines: -1}
	p.look(time.Now())
	p.send(me, &stream{w: w, control: http.NewResponseController(w)})
	sent.WriteString(w.Body.String())
	if !strings.Contains(sent.String(), "event: status") {
		t.Fatalf("nothing was sent: %q", sent.String())
	}
	for _, text := range []string{logged.String(), sent.String()} {
		if strings.Contains(text, "9753") || strings.Contains(text, `"9","7"`) || strings.Contains(text, "9 7 5 3") {
			t.Errorf("pressed keys in %q", text)
		}
	}
}

// TestLookSendsChangesOnly sees that what stays the same is sent once.
func TestLookSendsChangesOnly(t *testing.T) {
	p := pageOf(t)
	var ledger atomic.Pointer[[]Line]
	ledger.Store(&[]Line{{STAN: "000001"}})
	p.house.Ledger = func() ([]Line, error) { return *ledger.Load(), nil }
	me := &reader{lines: -1}
	get := func() string {
		w := httptest.NewRecorder()
		p.look(time.Now())
		p.send(me, &stream{w: w, control: http.NewResponseController(w)})
		return w.Body.String()
	}
	if first := get(); !strings.Contains(first, "event: ledger") || !strings.Contains(first, "event: paper") {
		t.Errorf("first look sends %q", first)
	}
	if again := get(); again != "" {
		t.Errorf("second look sends %q", again)
	}
	ledger.Store(&[]Line{{STAN: "000002"}})
	if third := get(); !strings.HasPrefix(third, "event: ledger\n") || strings.Count(third, "event:") != 1 {
		t.Errorf("third look sends %q", third)
	}
	ledger.Store(&[]Line{})
	many := make([]Line, maxLines+9)
	ledger.Store(&many)
	var got []Line
	if err := json.Unmarshal([]byte(strings.TrimSpace(strings.TrimPrefix(get(), "event: ledger\ndata: "))), &got); err != nil || len(got) != maxLines {
		t.Errorf("%d lines sent, %v; want %d", len(got), err, maxLines)
	}
}

func TestTrace(t *testing.T) {
	var tr trace
	for range maxTrace + 5 {
		tr.add(message{})
	}
	numbers := func(list []message) (n []uint64) {
		for _, m := range list {
			n = append(n, m.Number)
		}
		return n
	}
	if got := numbers(tr.after(0)); len(got) != maxTrace || got[0] != 6 {
		t.Errorf("a new browser gets %v", got)
	}
	if got := numbers(tr.after(maxTrace + 3)); !slices.Equal(got, []uint64{maxTrace + 4, maxTrace + 5}) {
		t.Errorf("after %d come %v", maxTrace+3, got)
	}
	if got := tr.after(tr.last); got != nil {
		t.Errorf("after the last come %v", got)
	}
}

// TestPaperGrows sees that a browser is sent what has been added, and anew after
// a tear.
func TestPaperGrows(t *testing.T) {
	me := &reader{lines: -1}
	sent := func(sheet uint64, height int) (v paperView) {
		w := httptest.NewRecorder()
		s := &stream{w: w, control: http.NewResponseController(w)}
		s.paper(me, sheet, printer.NewBitmap(384, height))
		if _, data, ok := strings.Cut(w.Body.String(), "data: "); !ok || json.Unmarshal([]byte(data), &v) != nil || s.err != nil {
			t.Fatalf("sent %q, %v", w.Body, s.err)
		}
		if len(v.PNG) > 0 {
			if c, err := png.DecodeConfig(strings.NewReader(string(v.PNG))); err != nil || c.Height != v.To-v.From || c.Width != 384 {
				t.Errorf("picture of %d to %d is %dx%d, %v", v.From, v.To, c.Width, c.Height, err)
			}
		}
		return v
	}
	for _, row := range []struct {
		name     string
		sheet    uint64
		height   int
		from, to int
	}{
		{"none yet", 0, 0, 0, 0}, {"first", 0, 100, 0, 100}, {"more", 0, 150, 100, 150}, {"new sheet", 1, 30, 0, 30},
		{"torn, nothing new", 2, 0, 0, 0}, {"very long", 2, maxShown + 500, 500, maxShown + 500}, {"and more", 2, maxShown + 510, maxShown + 500, maxShown + 510},
	} {
		if v := sent(row.sheet, row.height); v.From != row.from || v.To != row.to || v.Sheet != row.sheet || (v.From == v.To) != (len(v.PNG) == 0) {
			t.Errorf("%s: sheet %d from %d to %d, %d bytes; want %d from %d to %d", row.name, v.Sheet, v.From, v.To, len(v.PNG), row.sheet, row.from, row.to)
		}
	}
}

func TestEncode(t *testing.T) {
	few, many := image.NewRGBA(image.Rect(0, 0, 32, 32)), image.NewRGBA(image.Rect(0, 0, 32, 32))
	for i := range 32 * 32 {
		few.Set(i%32, i/32, color.RGBA{uint8(i % 3), 0, 0, 255})
		many.Set(i%32, i/32, color.RGBA{uint8(i), uint8(i >> 8), 7, 255})
	}
	for name, img := range map[string]image.Image{"few colours": few, "many colours": many} {
		b, err := encode(img)
		if err != nil {
			t.Fatal(err)
		}
		got, err := png.Decode(strings.NewReader(string(b)))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 32 * 32 {
			if r, g, bl, a := got.At(i%32, i/32).RGBA(); [4]uint32{r, g, bl, a} != rgba(img.At(i%32, i/32)) {
				t.Fatalf("%s: dot %d is %v, want %v", name, i, got.At(i%32, i/32), img.At(i%32, i/32))
			}
		}
	}
}

func rgba(c color.Color) (v [4]uint32) {
	v[0], v[1], v[2], v[3] = c.RGBA()
	return v
}

// FuzzBody sends any body to every action: an answer, never a panic.
func FuzzBody(f *testing.F) {
	for _, s := range []string{`{"keys":["1"]}`, `{"name":"no-cvm"}`, `{"name":"paper","choice":"out"}`, `{}`, `[]`, `{"keys":[null]}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for into := range 3 {
			r := httptest.NewRequest("POST", "/", io.LimitReader(strings.NewReader(body), maxBody))
			r.Header.Set("Content-Type", "application/json")
			var err error
			switch into {
			case 0:
				err = decode(r, new(keysBody))
			case 1:
				err = decode(r, new(cardBody))
			default:
				err = decode(r, new(switchBody))
			}
			var is *problem
			if err != nil && !errors.As(err, &is) {
				t.Errorf("%q: %v", body, err)
			}
		}
	})
}
