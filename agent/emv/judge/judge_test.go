package judge_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"posagent/agent/emv"
	"posagent/agent/emv/cardsim"
	"posagent/agent/emv/judge"
	"posagent/agent/payment"
)

var update = flag.Bool("update", false, "rewrite testdata")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test -update rewrites it); got\n%s", file, got)
	}
}

// settings are those of the laboratory's cards, with more on top.
func settings(tb testing.TB, more map[string]string) judge.Settings {
	tb.Helper()
	text, err := json.Marshal(map[string]any{
		"applications": cardsim.Applications(), "capks": cardsim.ContactlessCAPKs(), "aid": []string{"A000000003", "A000000004"},
		"amount": "123.45", "date": "2026-03-14", "time": "15:09:26", "un": "01020304", "exponent": 2, "force-online": false,
	})
	if err != nil {
		tb.Fatal(err)
	}
	var s judge.Settings
	if err := s.ReadJSON(bytes.NewReader(text)); err != nil {
		tb.Fatal(err)
	}
	for _, k := range slices.Sorted(maps.Keys(more)) {
		if err := s.Set(k, more[k]); err != nil {
			tb.Fatal(err)
		}
	}
	return s
}

func open(tb testing.TB, name string) *cardsim.Card {
	tb.Helper()
	card, err := cardsim.Open(name)
	if err != nil {
		tb.Fatal(err)
	}
	return card
}

// TestContactless does what TestRun does in the field.
func TestContactless(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		card, outcome, kernel string
		more                  map[string]string
	}{
		{"k2-cda", "approve", "2", nil},
		{"k3-fdda", "approve", "3", nil},
		{"k3-online-pin", "approve", "3", map[string]string{"arc": "00", "cvm-limit": "100"}},
		{"k7-fdda", "approve", "7", nil},
		{"k7-bad-fdda", "decline", "7", nil},
		{"k3-insert", "not_accepted", "3", nil},
		{"two-applications", "online", "7", map[string]string{"floor-limit": "0"}},
	} {
		t.Run(c.card, func(t *testing.T) {
			t.Parallel()
			more := map[string]string{"interface": "contactless"}
			maps.Copy(more, c.more)
			s := settings(t, more)
			card, err := cardsim.OpenContactless(c.card)
			if err != nil {
				t.Fatal(err)
			}
			var recording bytes.Buffer
			recorder := judge.Record(cardsim.InField(card), &recording)
			live := run(t, recorder, s, judge.Options{})
			if err := recorder.Close(); err != nil {
				t.Fatal(err)
			}
			golden(t, "contactless-"+c.card+".script", recording.Bytes())
			script, err := judge.ParseScript(&recording)
			if err != nil {
				t.Fatal(err)
			}
			report := run(t, script.Card(judge.MatchExact), s, judge.Options{})
			if !reflect.DeepEqual(live, report) {
				t.Errorf("the recording tells another story\nlive %+v\nscript %+v", live, report)
			}
			if report.Outcome != c.outcome || report.Kernel != c.kernel {
				t.Errorf("outcome %s (%s, %s) of kernel %s; want %s of %s", report.Outcome, report.Meaning, report.Cause, report.Kernel, c.outcome, c.kernel)
			}
			var text bytes.Buffer
			if err := report.WriteText(&text); err != nil {
				t.Fatal(err)
			}
			golden(t, "contactless-"+c.card+".txt", text.Bytes())
			for _, a := range card.Personality().Applications {
				if strings.Contains(text.String(), a.PAN) {
					t.Errorf("%q is not hidden", a.PAN)
				}
			}
		})
	}
}

// TestEveryContactlessPersonality: whatever is in the field, a run ends with an outcome.
func TestEveryContactlessPersonality(t *testing.T) {
	t.Parallel()
	for _, name := range cardsim.ContactlessNames() {
		card, err := cardsim.OpenContactless(name)
		if err != nil {
			t.Fatal(err)
		}
		r := run(t, cardsim.InField(card), settings(t, map[string]string{"interface": "contactless", "arc": "00"}), judge.Options{Explain: true})
		if r.Outcome == "" || r.Contactless == nil {
			t.Errorf("%s: no outcome: %+v", name, r)
		}
		for _, s := range r.Steps {
			if s.Section == "" {
				t.Errorf("%s: step %q has no section", name, s.Name)
			}
		}
	}
}

func run(tb testing.TB, card emv.Card, s judge.Settings, o judge.Options) *judge.Report {
	tb.Helper()
	r, err := judge.Run(tb.Context(), card, s, o)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// arpc is the issuer's answer to the online request that a card makes with these settings.
func arpc(tb testing.TB, name string, more map[string]string) string {
	tb.Helper()
	card := open(tb, name)
	r := run(tb, cardsim.Direct(card), settings(tb, more), judge.Options{Reveal: true})
	if r.Request == nil {
		tb.Fatalf("%s made no online request: %s", name, r.Meaning)
	}
	de55, err := hex.DecodeString(r.Request.DE55)
	if err != nil {
		tb.Fatal(err)
	}
	pan, err := payment.NewPAN(r.PAN)
	if err != nil {
		tb.Fatal(err)
	}
	auth, err := cardsim.TestIssuer().ARPC(pan, r.Sequence, de55, "00")
	if err != nil {
		tb.Fatal(err)
	}
	return hex.EncodeToString(auth)
}

// TestRun records cards, runs the recordings again and pins text and data of every run.
func TestRun(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		card, outcome string
		more          map[string]string
		answer        bool // the issuer approves
	}{
		{"online-pin", "approve", nil, true},
		{"approves-offline", "approve", nil, false},
		{"cda-online", "approve", nil, true},
		{"bad-dda", "online", nil, false},
		{"expired", "decline", nil, false},
		{"plain-pin", "approve", map[string]string{"pin": "PIN"}, false},
		{"no-cvm", "approve", map[string]string{"unable": "true"}, false},
	} {
		t.Run(c.card, func(t *testing.T) {
			t.Parallel()
			more := maps.Clone(c.more)
			pin := open(t, c.card).Personality().Applications[0].PIN
			if more["pin"] != "" {
				more["pin"] = pin
			}
			if c.answer {
				more = map[string]string{"arc": "00", "iad": arpc(t, c.card, c.more)}
			}
			s := settings(t, more)
			var recording bytes.Buffer
			recorder := judge.Record(cardsim.Direct(open(t, c.card)), &recording)
			live := run(t, recorder, s, judge.Options{})
			if err := recorder.Close(); err != nil {
				t.Fatal(err)
			}
			golden(t, c.card+".script", recording.Bytes())
			script, err := judge.ParseScript(&recording)
			if err != nil {
				t.Fatal(err)
			}
			report := run(t, script.Card(judge.MatchExact), s, judge.Options{})
			if !reflect.DeepEqual(live, report) {
				t.Errorf("the recording tells another story\nlive %+v\nscript %+v", live, report)
			}
			if report.Outcome != c.outcome {
				t.Errorf("outcome %s (%s); want %s", report.Outcome, report.Meaning, c.outcome)
			}
			var text bytes.Buffer
			if err := report.WriteText(&text); err != nil {
				t.Fatal(err)
			}
			golden(t, c.card+".txt", text.Bytes())
			data, err := json.MarshalIndent(report, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, c.card+".json", append(data, '\n'))
			hidden(t, c.card, text.String()+string(data))
		})
	}
}

// hidden fails when a secret of the card stands in a text.
func hidden(t *testing.T, card, text string) {
	t.Helper()
	p, err := cardsim.Load(card)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range p.Applications {
		for _, secret := range []string{a.PAN, strings.ToUpper(hex.EncodeToString([]byte(a.Holder))), a.Holder, "24" + a.PIN + "FFFFFFFFFF"} {
			if secret != "" && strings.Contains(text, secret) {
				t.Errorf("%q is not hidden", secret)
			}
		}
	}
}

// TestReveal: the flag shows what is hidden without it, so that hidden can fail.
func TestReveal(t *testing.T) {
	t.Parallel()
	card := open(t, "approves-offline")
	r := run(t, cardsim.Direct(card), settings(t, nil), judge.Options{Reveal: true, Explain: true})
	var text bytes.Buffer
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	pan := card.Personality().Applications[0].PAN
	if r.PAN != pan || !strings.Contains(text.String(), pan) || !strings.Contains(text.String(), "Track 2 Equivalent Data") {
		t.Errorf("card number %q or explained objects are missing in\n%s", r.PAN, &text)
	}
	masked := run(t, cardsim.Direct(open(t, "approves-offline")), settings(t, nil), judge.Options{Explain: true})
	data, err := json.Marshal(masked)
	if err != nil {
		t.Fatal(err)
	}
	hidden(t, "approves-offline", string(data))
}

// TestEveryPersonality: whatever card, a run ends with an outcome and every step has its section.
func TestEveryPersonality(t *testing.T) {
	t.Parallel()
	for _, name := range cardsim.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := run(t, cardsim.Direct(open(t, name)), settings(t, map[string]string{"arc": "00"}), judge.Options{Explain: true})
			if r.Outcome == "" || r.Meaning == "" {
				t.Errorf("no outcome: %+v", r)
			}
			for _, s := range r.Steps {
				if s.Section == "" {
					t.Errorf("step %q has no section", s.Name)
				}
			}
		})
	}
}

// TestMatch runs one recording with other numbers than it was made with.
func TestMatch(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("testdata", "approves-offline.script"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		match    judge.Match
		more     map[string]string
		drop     string // lines with it are taken out, with their answers
		outcome  string
		mismatch bool
	}{
		{"same numbers, exact", judge.MatchExact, nil, "", "approve", false},
		{"other date, exact", judge.MatchExact, map[string]string{"date": "2026-03-15"}, "", "try_again", true},
		{"other date, header", judge.MatchHeader, map[string]string{"date": "2026-03-15"}, "", "approve", false},
		{"other date, ins", judge.MatchINS, map[string]string{"date": "2026-03-15"}, "", "approve", false},
		{"other number: signature fails, header", judge.MatchHeader, map[string]string{"un": "FFFFFFFF"}, "", "online", true},
		{"no directory, any", judge.MatchAny, nil, "315041592E", "approve", false},
		{"no directory, header", judge.MatchHeader, nil, "315041592E", "try_again", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			script, err := judge.ParseScript(strings.NewReader(without(string(text), c.drop)))
			if err != nil {
				t.Fatal(err)
			}
			card := script.Card(c.match)
			r := run(t, card, settings(t, c.more), judge.Options{})
			if c.name == "other number: signature fails, header" {
				// The card gave a TC in its recording; the terminal asked for an ARQC, which a TC does not answer.
				if !strings.HasPrefix(r.TVR.Hex, "08") {
					t.Errorf("TVR %s; want DDA failed", r.TVR.Hex)
				}
				return
			}
			if r.Outcome != c.outcome || (card.Mismatch() != nil) != c.mismatch {
				t.Errorf("outcome %s (%s), mismatch %v; want %s, %v", r.Outcome, r.Cause, card.Mismatch(), c.outcome, c.mismatch)
			}
			if m := card.Mismatch(); m != nil && (m.Line == 0 || m.Wanted == "" || m.Got == "" || !strings.Contains(strings.Join(r.Remarks, "\n"), m.Error())) {
				t.Errorf("mismatch %v does not name line, wanted and got in %q", m, r.Remarks)
			}
		})
	}
}

func without(script, mark string) string {
	if mark == "" {
		return script
	}
	var out []string
	skip := false
	for _, line := range strings.Split(script, "\n") {
		if strings.HasPrefix(line, ">") {
			skip = strings.Contains(line, mark)
		}
		if !skip {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}
