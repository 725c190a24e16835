package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"posagent/agent/journal"
	"posagent/agent/payment"
)

// maxBody bounds a request.
const maxBody = 16 << 10

// Listen makes the socket, mode 0600. A socket file that nobody answers on is
// left over from a killed process and is replaced; one that answers is an error.
func Listen(path string) (net.Listener, error) {
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		conn.Close()
		return nil, fmt.Errorf("listen on %s: another terminal answers there", path)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("listen on %s: %w", path, err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return l, nil
}

// Serve answers until ctx ends.
func Serve(ctx context.Context, l net.Listener, t Terminal, log *slog.Logger) error {
	server := &http.Server{Handler: Handler(ctx, t), ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve control: %w", err)
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := server.Shutdown(late); err != nil {
		server.Close()
	}
	<-done
	return nil
}

// Handler gives the interface as a handler. life bounds work that must go on
// when a client goes away.
func Handler(life context.Context, t Terminal) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { answer(w, t.Status(), nil) })
	mux.HandleFunc("GET /v1/selftest", func(w http.ResponseWriter, r *http.Request) { answer(w, t.SelfTest(r.Context()), nil) })
	mux.HandleFunc("POST /v1/activate", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Code string `json:"code"`
		}
		err := read(r, &in)
		if err == nil {
			err = t.Activate(r.Context(), in.Code)
		}
		answer(w, t.Status(), err)
	})
	mux.HandleFunc("POST /v1/sale", func(w http.ResponseWriter, r *http.Request) {
		var in SaleRequest
		if err := read(r, &in); err != nil {
			answer(w, nil, err)
			return
		}
		out, err := t.Sale(life, in)
		answer(w, out, err)
	})
	mux.HandleFunc("POST /v1/reprint", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			ID string `json:"id"`
		}
		err := read(r, &in)
		if err == nil {
			err = t.Reprint(r.Context(), in.ID)
		}
		answer(w, struct{}{}, err)
	})
	mux.HandleFunc("GET /v1/journal", func(w http.ResponseWriter, r *http.Request) {
		o, err := listOptions(r)
		if err != nil {
			answer(w, nil, err)
			return
		}
		records, err := t.Journal().List(o)
		answer(w, records, err)
	})
	mux.HandleFunc("GET /v1/journal/verify", func(w http.ResponseWriter, r *http.Request) {
		report, err := t.Journal().Verify(r.Context())
		answer(w, report, err)
	})
	mux.HandleFunc("GET /v1/journal/{id}", func(w http.ResponseWriter, r *http.Request) {
		record, err := Find(t.Journal(), r.PathValue("id"))
		answer(w, record, err)
	})
	return mux
}

// Find gives a record by its id, or by its trace number in the current batch.
func Find(j journal.Reader, id string) (journal.Record, error) {
	if len(id) <= 6 {
		if stan, err := payment.ParseSTAN(id); err == nil {
			batch, err := j.Batch()
			if err != nil {
				return journal.Record{}, err
			}
			return j.BySTAN(batch, stan)
		}
	}
	return j.Record(id)
}

func listOptions(r *http.Request) (journal.ListOptions, error) {
	var o journal.ListOptions
	q := r.URL.Query()
	if s := q.Get("limit"); s != "" {
		n, err := strconv.ParseUint(s, 10, 16)
		if err != nil || n == 0 {
			return o, BadRequest("limit is not a number from 1")
		}
		o.Limit = int(n)
	}
	if s := q.Get("state"); s != "" {
		for name := range strings.SplitSeq(s, ",") {
			state := journal.State(name)
			if !state.Known() {
				return o, BadRequest("unknown state " + strconv.Quote(name))
			}
			o.States = append(o.States, state)
		}
	}
	return o, nil
}

func read(r *http.Request, into any) error {
	dec := json.NewDecoder(io.LimitReader(r.Body, maxBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return BadRequest(err.Error())
	}
	return nil
}

func answer(w http.ResponseWriter, body any, err error) {
	status := http.StatusOK
	if err != nil {
		var e *Error
		switch {
		case errors.As(err, &e):
		case errors.Is(err, journal.ErrNotFound):
			e = ErrNotFound
		default:
			e = &Error{"failed", err.Error(), http.StatusInternalServerError}
		}
		status, body = e.status, struct {
			Error *Error `json:"error"`
		}{e}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.Encode(body) //nolint:errcheck // the client is gone; nothing is owed to it
}
