package console

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"

	"posagent/ota/fleet/enroll"
	"posagent/ota/fleet/store"
	"posagent/ota/wire"
)

// actor is who the API acts for in the audit trail: there is one administrator.
const actor = "admin"

// maxBody bounds a request's body: a configuration with some air.
const maxBody = 2 * wire.MaxMessage

type server struct {
	fleet Fleet
	token string
	log   *slog.Logger
}

// New returns the handler of API and page.
func New(f Fleet, token string, log *slog.Logger) http.Handler {
	s := &server{fleet: f, token: token, log: log.With("subsystem", "console")}
	mux := http.NewServeMux()
	for pattern, h := range map[string]func(*http.Request) (any, error){
		"GET /api/v1/terminals":                  s.terminals,
		"POST /api/v1/terminals":                 s.enroll,
		"GET /api/v1/terminals/{serial}":         s.terminal,
		"POST /api/v1/terminals/{serial}/code":   s.code,
		"PUT /api/v1/terminals/{serial}/config":  s.config,
		"POST /api/v1/terminals/{serial}/revoke": s.revoke,
		"GET /api/v1/events":                     s.events,
		"GET /api/v1/audit":                      s.audit,
		"GET /api/v1/audit/verify":               s.verify,
	} {
		mux.Handle(pattern, s.api(h))
	}
	s.pages(mux)
	return s.guard(mux)
}

// guard refuses foreign host names and sets the headers that every answer has.
func (s *server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		if !loopback(r.Host) {
			http.Error(w, "host is not loopback", http.StatusForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

func loopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// fault is the body of an error.
type fault struct {
	Error  string       `json:"error"`
	Fields []faultField `json:"fields,omitempty"`
}

type faultField struct {
	Path    string `json:"path"`
	Problem string `json:"problem"`
}

// errUnauthorised asks for the bearer token.
var errUnauthorised = errors.New("bearer token is missing or wrong")

// errQuery is a query parameter that is not a number.
var errQuery = errors.New("query parameter is not a number")

func (s *server) api(h func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !bearer || subtle.ConstantTimeCompare([]byte(token), []byte(s.token)) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			s.reply(w, http.StatusUnauthorized, fault{Error: errUnauthorised.Error()})
			return
		}
		v, err := h(r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		status := http.StatusOK
		if r.Method == http.MethodPost {
			status = http.StatusCreated
		}
		s.reply(w, status, v)
	})
}

func (s *server) reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		s.log.Debug("answer not written", "err", err)
	}
}

func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := statusOf(err)
	if status == http.StatusInternalServerError {
		s.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "err", err)
	}
	f := fault{Error: err.Error()}
	for _, one := range wire.FieldErrors(err) {
		f.Fields = append(f.Fields, faultField{Path: one.Path, Problem: one.Error()})
	}
	s.reply(w, status, f)
}

func statusOf(err error) int {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, store.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, store.ErrBound), errors.Is(err, enroll.ErrState), errors.Is(err, store.ErrTampered),
		errors.Is(err, ErrBinding), errors.Is(err, ErrRevision):
		return http.StatusConflict
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge
	case len(wire.FieldErrors(err)) > 0, errors.Is(err, errQuery):
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}

func number(r *http.Request, name string) (uint64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, errors.Join(errQuery, errors.New(name))
	}
	return n, nil
}

// limit is the query's, at most store.MaxList.
func limit(r *http.Request) (int, error) {
	n, err := number(r, "limit")
	return int(min(n, store.MaxList)), err
}

func body(r *http.Request, v any) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return large
		}
		return &wire.FieldError{Kind: wire.ErrSyntax, Detail: err.Error()}
	}
	return nil
}

// TerminalList answers GET terminals.
type TerminalList struct {
	Terminals []Terminal `json:"terminals"`
}

func (s *server) terminals(r *http.Request) (any, error) {
	n, err := limit(r)
	if err != nil {
		return nil, err
	}
	list, err := s.fleet.Terminals(r.URL.Query().Get("after"), n)
	answer := TerminalList{Terminals: make([]Terminal, 0, len(list))}
	for _, t := range list {
		answer.Terminals = append(answer.Terminals, view(t))
	}
	return answer, err
}

func (s *server) terminal(r *http.Request) (any, error) {
	t, b, d, err := s.fleet.Terminal(r.PathValue("serial"))
	if err != nil {
		return nil, err
	}
	return detail(t, b, d)
}

func (s *server) enroll(r *http.Request) (any, error) {
	var a enroll.Application
	if err := body(r, &a); err != nil {
		return nil, err
	}
	return s.fleet.Enroll(r.Context(), actor, a)
}

func (s *server) code(r *http.Request) (any, error) {
	return s.fleet.IssueCode(r.Context(), actor, r.PathValue("serial"))
}

// Pushed answers PUT config.
type Pushed struct {
	Serial   string `json:"serial"`
	Revision uint64 `json:"revision"`
	Hash     string `json:"hash"`
}

func (s *server) config(r *http.Request) (any, error) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var cfg wire.Config
	if err := wire.DecodeShape(text, &cfg); err != nil {
		return nil, err
	}
	d, err := s.fleet.PushConfig(r.Context(), actor, r.PathValue("serial"), cfg)
	return Pushed{Serial: r.PathValue("serial"), Revision: d.Revision, Hash: d.Hash}, err
}

func (s *server) revoke(r *http.Request) (any, error) {
	var why struct {
		Reason string `json:"reason"`
	}
	if err := body(r, &why); err != nil {
		return nil, err
	}
	if why.Reason == "" || len(why.Reason) > 500 {
		return nil, &wire.FieldError{Path: "reason", Kind: wire.ErrInvalid, Detail: "want 1 to 500 bytes"}
	}
	return struct{}{}, s.fleet.Revoke(r.Context(), actor, r.PathValue("serial"), why.Reason)
}

// EventList answers GET events.
type EventList struct {
	Events []store.Event `json:"events"`
}

func (s *server) events(r *http.Request) (any, error) {
	n, err := limit(r)
	if err != nil {
		return nil, err
	}
	serial := r.URL.Query().Get("serial")
	answer := EventList{Events: []store.Event{}}
	var list []store.Event
	if r.URL.Query().Get("last") == "1" {
		list, err = s.fleet.LastEvents(serial, n)
	} else {
		after, nerr := number(r, "after")
		if nerr != nil {
			return nil, nerr
		}
		list, err = s.fleet.Events(serial, after, n)
	}
	answer.Events = append(answer.Events, list...)
	return answer, err
}

// AuditList answers GET audit.
type AuditList struct {
	Entries []store.AuditEntry `json:"entries"`
}

func (s *server) audit(r *http.Request) (any, error) {
	n, err := limit(r)
	if err != nil {
		return nil, err
	}
	after, err := number(r, "after")
	if err != nil {
		return nil, err
	}
	list, err := s.fleet.Audit(after, n)
	return AuditList{Entries: append([]store.AuditEntry{}, list...)}, err
}

func (s *server) verify(*http.Request) (any, error) { return s.fleet.VerifyAudit() }
