package contactless_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"posagent/agent/emv"
	"posagent/agent/emv/cardsim"
	"posagent/agent/emv/contactless"
)

// TestSecrets: no trace event, no printed value and no data object for host or journal holds a card number.
func TestSecrets(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"k3-fdda", "k7-online-pin", "k2-cda", "k2-torn", "hostile-pan"} {
		var all strings.Builder
		cfg := config(t)
		cfg.Trace = func(e emv.Event) { fmt.Fprintf(&all, "%+v %#v\n", e, e) }
		r, card := reader(t, cfg), open(t, name)
		out := run(t, r, emv.Transaction{Amount: 500}, cardsim.InField(card))
		fmt.Fprintf(&all, "%v %+v %#v %+v\n", r, r, r, *r)
		for _, v := range []any{out, out.Sale} {
			fmt.Fprintf(&all, "%v %+v %#v\n", v, v, v)
			if b, err := json.Marshal(v); err == nil {
				all.Write(b)
			}
		}
		fmt.Fprintf(&all, "%X %X %v", out.Record, out.Discretionary, out.Sale.Cause)
		text := all.String()
		pan := card.Personality().Applications[0].PAN
		for _, form := range []string{pan, pan[:12], fmt.Sprintf("%x", pan), strings.ToLower(pan)} {
			if strings.Contains(text, form) {
				t.Errorf("%s: the card number is in clear near %q", name, around(text, form))
			}
		}
	}
}

func around(text, what string) string {
	i := strings.Index(text, what)
	return text[max(0, i-60):i]
}

// TestForget: a torn transaction is gone when the reader is told to forget.
func TestForget(t *testing.T) {
	t.Parallel()
	r, card := reader(t, config(t)), open(t, "k2-torn")
	tx := emv.Transaction{Amount: 500}
	if out := run(t, r, tx, cardsim.InField(card)); out.Kind != contactless.TryAgain {
		t.Fatalf("%s", out.Kind)
	}
	r.Forget()
	card.Reset()
	if out := r.Tap(t.Context(), cardsim.InField(card)); out.Kind != contactless.Approved || out.Sale.Cryptogram.ATC != 3 {
		t.Fatalf("%s, counter %d", out.Kind, out.Sale.Cryptogram.ATC)
	}
}

// TestCombinationJSON: a combination survives being a terminal's configuration.
func TestCombinationJSON(t *testing.T) {
	t.Parallel()
	for _, c := range config(t).Combinations {
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var back contactless.Combination
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatal(err)
		}
		if again, err := json.Marshal(back); err != nil || string(again) != string(b) || back.TTQ != c.TTQ || *back.CVMLimit != *c.CVMLimit {
			t.Errorf("%s\n%s %v", b, again, err)
		}
	}
}
