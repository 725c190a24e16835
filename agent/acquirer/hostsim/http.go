package hostsim

import (
	"encoding/json"
	"net/http"
)

// maxRuleBody bounds a posted rule.
const maxRuleBody = 4 << 10

// LedgerHandler serves another process on the same machine:
//
//	GET  /ledger   {"entries": [Entry, ...]}
//	POST /script   Rule, for example {"action": "drop"} or
//	               {"action": "decline", "code": "51", "amount": 5100, "times": 2}
//
// Card numbers are masked. There is no authentication: bind it to loopback.
func (h *Host) LedgerHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ledger", func(w http.ResponseWriter, _ *http.Request) {
		entries := h.Ledger()
		if entries == nil {
			entries = []Entry{}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string][]Entry{"entries": entries}) // the reader may have gone
	})
	mux.HandleFunc("POST /script", func(w http.ResponseWriter, r *http.Request) {
		var rule Rule
		dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRuleBody))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&rule); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := h.Post(rule); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}
