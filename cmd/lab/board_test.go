package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"posagent/agent/emv/cardsim"
	"posagent/drivers/board/boardsim"
	"posagent/printer"
	"posagent/printer/raster"
	"posagent/printer/thermal/thermalsim"
)

func TestHands(t *testing.T) {
	h := &hands{board: boardsim.New(nil), log: slog.New(slog.DiscardHandler), wallet: map[string]*cardsim.Card{}}
	serve := localOnly(h.handler())
	for _, row := range []struct {
		name, method, path, body string
		status                   int
		want                     string
	}{
		{"help", "GET", "/", "", 200, "POST   /tear"},
		{"wallet", "GET", "/cards", "", 200, `"name":"online-pin","about":"Asks for an online PIN`},
		{"nothing in the slot", "GET", "/state", "", 200, `"card":""`},
		{"card in", "PUT", "/card/online-pin", "", 204, ""},
		{"card is in", "GET", "/state", "", 200, `"card":"online-pin","pin_entry":false`},
		{"another card in its place", "PUT", "/card/no-cvm", "", 204, ""},
		{"no such card", "PUT", "/card/gold", "", 400, `no card "gold"; there are `},
		{"the card stays", "GET", "/state", "", 200, `"card":"no-cvm"`},
		{"card out", "DELETE", "/card", "", 204, ""},
		{"card is out", "GET", "/state", "", 200, `"card":""`},
		{"keys", "POST", "/keys", "1 2 enter", 204, ""},
		{"no such key", "POST", "/keys", "1 any", 400, `no key "any"`},
		{"no PIN", "POST", "/pin", "12a4", 400, "digits"},
		{"too much", "POST", "/pin", strings.Repeat("1", maxHands+1), 400, "too large"},
		{"no paper", "POST", "/tear", "", 200, `{"receipts":[]}`},
		{"no text", "GET", "/paper", "", 200, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := httptest.NewRequest(row.method, "http://localhost"+row.path, strings.NewReader(row.body))
			w := httptest.NewRecorder()
			serve.ServeHTTP(w, r)
			if w.Code != row.status || !strings.Contains(w.Body.String(), row.want) {
				t.Errorf("%s %s: %d %s; want %d %s", row.method, row.path, w.Code, w.Body, row.status, row.want)
			}
		})
	}
}

// A card that comes back is the same one: its counter has gone on.
func TestWalletKeepsCards(t *testing.T) {
	h := &hands{board: boardsim.New(nil), log: slog.New(slog.DiscardHandler), wallet: map[string]*cardsim.Card{}}
	if err := h.insert("no-cvm"); err != nil {
		t.Fatal(err)
	}
	first := h.wallet["no-cvm"]
	h.remove()
	if err := h.insert("no-cvm"); err != nil || h.wallet["no-cvm"] != first {
		t.Errorf("another card came back (%v)", err)
	}
}

func TestOnlyFromHere(t *testing.T) {
	serve := localOnly(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for _, row := range []struct {
		host, site string
		status     int
	}{
		{"127.0.0.1:8590", "", 200}, {"localhost", "", 200}, {"[::1]:80", "same-origin", 200}, {"localhost:80", "none", 200}, {"board", "", 200},
		{"evil.example", "", 403}, {"192.0.2.7:80", "", 403}, {"127.0.0.1:8590", "cross-site", 403}, {"localhost", "same-site", 403},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = row.host
		r.Header.Set("Sec-Fetch-Site", row.site)
		w := httptest.NewRecorder()
		if serve.ServeHTTP(w, r); w.Code != row.status {
			t.Errorf("host %q, site %q: %d; want %d", row.host, row.site, w.Code, row.status)
		}
	}
}

func TestPieces(t *testing.T) {
	doc := printer.NewDocument(printer.Report).Line("ONE").Line("TWO")
	whole, _, err := raster.Draw(doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		cuts []int
		want []string
	}{
		{"uncut", nil, []string{"ONE\nTWO\n"}},
		{"cut between", []int{printer.LineDots}, []string{"ONE\n", "TWO\n"}},
		{"cut again where nothing is", []int{printer.LineDots, printer.LineDots}, []string{"ONE\n", "TWO\n"}},
		{"cut at the end", []int{whole.Height}, []string{"ONE\nTWO\n"}},
	} {
		if got := pieces(thermalsim.Sheet{Image: whole, Cuts: row.cuts}); !slices.Equal(got, row.want) {
			t.Errorf("%s: %q; want %q", row.name, got, row.want)
		}
	}
}

func TestTerminalFlag(t *testing.T) {
	for _, row := range []struct {
		text string
		ok   bool
	}{
		{"10000002", true}, {"10000002=00112233445566778899AABBCCDDEEFF", true},
		{"1000000", false}, {"", false}, {"10000002=", false}, {"10000002=00", false}, {"10000002=XX112233445566778899AABBCCDDEEFF", false},
	} {
		if known, err := parseTerminal(row.text); (err == nil) != row.ok || row.ok && known.id != "10000002" {
			t.Errorf("%q: %+v, %v", row.text, known, err)
		}
	}
}
