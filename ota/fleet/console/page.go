package console

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"posagent/ota/fleet/store"
	"posagent/ota/wire"
)

//go:embed static
var static embed.FS

// Session of the page.
const (
	cookieName  = "fleet"
	sessionLife = 12 * time.Hour
	pageRows    = 200 // terminals on the page
	pageEvents  = 50
)

var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"when": func(t time.Time) string {
		if t.IsZero() {
			return "–"
		}
		return t.UTC().Format("2006-01-02 15:04:05Z")
	},
	"short": func(s string) string { return s[:min(len(s), 12)] },
	"money": money,
}).ParseFS(static, "static/*.html"))

// money writes minor units with the exponent of the few currencies that have not two digits (ISO 4217).
func money(amount int64, currency string) string {
	name := map[string]string{"156": "CNY", "344": "HKD", "392": "JPY", "446": "MOP", "840": "USD", "978": "EUR"}[currency]
	if name == "" {
		name = currency
	}
	if currency == "392" {
		return fmt.Sprintf("%s %d", name, amount)
	}
	return fmt.Sprintf("%s %d.%02d", name, amount/100, amount%100)
}

func (s *server) pages(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", s.overview)
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, _ *http.Request) { s.render(w, http.StatusOK, "login.html", false) })
	mux.HandleFunc("POST /login", s.login)
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
		http.Redirect(w, r, "/login", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, static, "static/style.css") })
}

func (s *server) render(w http.ResponseWriter, status int, name string, v any) {
	var out bytes.Buffer
	if err := pages.ExecuteTemplate(&out, name, v); err != nil {
		s.log.Error("page not rendered", "page", name, "err", err)
		http.Error(w, "page not rendered", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if _, err := out.WriteTo(w); err != nil {
		s.log.Debug("page not written", "err", err)
	}
}

func (s *server) login(w http.ResponseWriter, r *http.Request) {
	token := strings.TrimSpace(r.PostFormValue("token"))
	if subtle.ConstantTimeCompare([]byte(token), []byte(s.token)) != 1 {
		s.log.Warn("log-in refused", "remote", r.RemoteAddr)
		s.render(w, http.StatusUnauthorized, "login.html", true)
		return
	}
	until := strconv.FormatInt(time.Now().Add(sessionLife).Unix(), 10)
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: until + "." + s.seal(until), Path: "/", MaxAge: int(sessionLife / time.Second),
		HttpOnly: true, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (s *server) seal(until string) string {
	mac := hmac.New(sha256.New, []byte(s.token))
	mac.Write([]byte("posagent/v1/console-session\x00" + until))
	return hex.EncodeToString(mac.Sum(nil))
}

func (s *server) loggedIn(r *http.Request) bool {
	c, err := r.Cookie(cookieName)
	if err != nil {
		return false
	}
	until, seal, _ := strings.Cut(c.Value, ".")
	unix, err := strconv.ParseInt(until, 10, 64)
	return err == nil && hmac.Equal([]byte(seal), []byte(s.seal(until))) && time.Now().Unix() < unix
}

// row is one line of the events table.
type row struct {
	store.Event
	Sale   *wire.TransactionEvent
	Batch  *wire.SettlementEvent
	Device *wire.DeviceEvent
}

func (s *server) overview(w http.ResponseWriter, r *http.Request) {
	if !s.loggedIn(r) {
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	}
	terminals, err := s.fleet.Terminals(r.URL.Query().Get("after"), pageRows)
	if err != nil {
		s.broken(w, err)
		return
	}
	events, err := s.fleet.LastEvents("", pageEvents)
	if err != nil {
		s.broken(w, err)
		return
	}
	v := struct {
		Tenant    string
		Terminals []Terminal
		Next      string
		Events    []row
	}{Tenant: s.fleet.Tenant()}
	for _, t := range terminals {
		v.Terminals = append(v.Terminals, view(t))
	}
	if len(terminals) == pageRows {
		v.Next = terminals[pageRows-1].Serial
	}
	for _, e := range events {
		v.Events = append(v.Events, row{Event: e, Sale: e.Event.Transaction, Batch: e.Event.Settlement, Device: e.Event.Device})
	}
	s.render(w, http.StatusOK, "overview.html", v)
}

func (s *server) broken(w http.ResponseWriter, err error) {
	s.log.Error("page failed", "err", err)
	http.Error(w, "the fleet's store cannot be read; its log says why", http.StatusInternalServerError)
}
