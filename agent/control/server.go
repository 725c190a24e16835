package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"posagent/agent/journal"
	"posagent/agent/payment"
	"posagent/ota/wire"
)

// maxBody bounds a request.
const maxBody = 16 << 10

// Handler gives the interface as a handler. life bounds work that must go on
// when a client goes away: a sale, and an activation whose code is used up.
func Handler(life context.Context, t Terminal) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { answer(w, t.Status(), nil) })
	mux.HandleFunc("GET /v1/selftest", func(w http.ResponseWriter, r *http.Request) {
		parts, err := t.SelfTest(r.Context())
		answer(w, list(parts), err)
	})
	mux.HandleFunc("POST /v1/activate", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Code string `json:"code"`
		}
		err := read(w, r, &in)
		if err == nil {
			err = t.Activate(life, in.Code)
		}
		if err != nil {
			answer(w, nil, err)
			return
		}
		answer(w, t.Status(), nil)
	})
	mux.HandleFunc("POST /v1/sale", func(w http.ResponseWriter, r *http.Request) {
		var in SaleRequest
		if err := read(w, r, &in); err != nil {
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
		err := read(w, r, &in)
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
		answer(w, list(records), err)
	})
	mux.HandleFunc("GET /v1/journal/verify", func(w http.ResponseWriter, r *http.Request) {
		report, err := t.Journal().Verify(r.Context())
		answer(w, report, err)
	})
	mux.HandleFunc("GET /v1/journal/{id}", func(w http.ResponseWriter, r *http.Request) {
		record, err := Find(t.Journal(), r.PathValue("id"))
		answer(w, record, err)
	})
	return strict{mux}
}

// list makes "nothing" an empty list in JSON, not null.
func list[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

// strict answers what no pattern takes in the words of this interface.
type strict struct{ *http.ServeMux }

func (s strict) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handler, pattern := s.Handler(r)
	if pattern != "" {
		s.ServeMux.ServeHTTP(w, r)
		return
	}
	var refusal status
	handler.ServeHTTP(&refusal, r)
	if allow := refusal.Header().Get("Allow"); allow != "" {
		w.Header().Set("Allow", allow)
		answer(w, nil, &Error{"bad_method", "this call wants " + allow, http.StatusMethodNotAllowed})
		return
	}
	answer(w, nil, &Error{"no_such_call", "there is no " + strconv.Quote(r.URL.Path) + " here", http.StatusNotFound})
}

// status keeps the header of an answer and drops the rest.
type status struct{ header http.Header }

func (s *status) Header() http.Header {
	if s.header == nil {
		s.header = http.Header{}
	}
	return s.header
}
func (s *status) Write(b []byte) (int, error) { return len(b), nil }
func (s *status) WriteHeader(int)             {}

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

// read takes the one JSON object of a request.
func read(w http.ResponseWriter, r *http.Request, into any) error {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil {
		if _, more := dec.Token(); more == nil {
			err = errors.New("more than one JSON value")
		} else if more != io.EOF {
			err = more
		}
	}
	var long *http.MaxBytesError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &long):
		return &Error{"too_large", fmt.Sprintf("a request has at most %d bytes", maxBody), http.StatusRequestEntityTooLarge}
	}
	return BadRequest(err.Error())
}

func answer(w http.ResponseWriter, body any, err error) {
	code := http.StatusOK
	if err != nil {
		e := refusal(err)
		code, body = e.status, struct {
			Error *Error `json:"error"`
		}{e}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.Encode(body) //nolint:errcheck // the client is gone; nothing is owed to it
}

// refusal gives every error its stable code.
func refusal(err error) *Error {
	var own *Error
	var activation *wire.Refused
	switch {
	case errors.As(err, &own):
		if own.status == 0 {
			return &Error{own.Code, own.Text, http.StatusInternalServerError}
		}
		return own
	case errors.As(err, &activation):
		return activationRefused(activation)
	case errors.Is(err, journal.ErrNotFound):
		return ErrNotFound
	}
	return &Error{"failed", err.Error(), http.StatusInternalServerError}
}

// activationRefused says what the technician can do about the fleet's no.
func activationRefused(r *wire.Refused) *Error {
	text := r.Error()
	if r.Reason == wire.ReasonCodeWrong {
		text += fmt.Sprintf("; %d tries left", r.TriesLeft)
	}
	if r.RetryAfterS > 0 {
		text += fmt.Sprintf("; try again in %d seconds", r.RetryAfterS)
	}
	if r.Detail != "" {
		text += "; " + r.Detail
	}
	return &Error{string(r.Reason), text, http.StatusForbidden}
}
