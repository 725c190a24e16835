package operator

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"posagent/agent/payment"
)

func press(m Machine, keys ...Key) (Machine, Act) {
	var act Act
	for _, k := range keys {
		m, act = m.Step(Press(k))
	}
	return m, act
}

func TestMachine(t *testing.T) {
	ready := NewMachine(English, payment.CNY, 500000)
	ready.Ready = true
	for _, row := range []struct {
		name  string
		from  Machine
		keys  []Key
		state State
		act   Act
		shown string
	}{
		{"sale in minor units", ready, []Key{Key1, Key1, Key2, Key3, Key4, KeyEnter}, StateIdle, Act{ActSale, 1234}, ""},
		{"entry shows the amount", ready, []Key{Key1, Key5, Key0}, StateAmount, Act{}, "¥0.50"},
		{"leading zeros vanish", ready, []Key{Key1, Key0, Key0, Key7}, StateAmount, Act{}, "¥0.07"},
		{"clear empties", ready, []Key{Key1, Key9, KeyClear, Key1}, StateAmount, Act{}, "¥0.01"},
		{"zero is refused", ready, []Key{Key1, KeyEnter}, StateAmount, Act{}, "¥0.00"},
		{"limit holds", ready, []Key{Key1, Key5, Key0, Key0, Key0, Key0, Key1}, StateAmount, Act{}, "¥500.00"},
		{"cancel forgets", ready, []Key{Key1, Key9, KeyCancel, Key1}, StateAmount, Act{}, "¥0.00"},
		{"not ready sells nothing", NewMachine(English, payment.CNY, 0), []Key{Key1, Key1, KeyEnter}, StateIdle, Act{}, ""},
		{"last", ready, []Key{Key4}, StateLast, Act{Kind: ActLast}, ""},
		{"no reprint of nothing", ready, []Key{Key4, KeyEnter}, StateLast, Act{}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			m, act := press(row.from, row.keys...)
			if m.State != row.state || act != row.act || m.View(Status{}).Amount != row.shown {
				t.Errorf("after %v: state %s act %+v amount %q; want %s %+v %q", row.keys, m.State, act, m.View(Status{}).Amount, row.state, row.act, row.shown)
			}
		})
	}
}

// TestMachineAlwaysGoesBack presses every key in every state, then lets the
// time pass: the machine must be idle, without an old amount.
func TestMachineAlwaysGoesBack(t *testing.T) {
	m := NewMachine(Chinese, payment.CNY, 0)
	m.Ready = true
	keys := []Key{Key0, Key1, Key2, Key3, Key4, Key5, Key6, Key7, Key8, Key9, KeyEnter, KeyClear, KeyUp, KeyDown, KeyFunc, "no such key"}
	for _, a := range keys {
		for _, b := range keys {
			for _, c := range keys {
				last, act := press(m, a, b, c)
				if act.Kind == ActSale && act.Amount <= 0 {
					t.Fatalf("keys %s %s %s sell for %d", a, b, c, act.Amount)
				}
				back, act := last.Step(Event{Timeout: true})
				if back.State != StateIdle || back.Digits != "" || act != (Act{}) {
					t.Fatalf("keys %s %s %s, then time-out: %+v %+v", a, b, c, back, act)
				}
			}
		}
	}
}

func TestLastIsPrintedAgain(t *testing.T) {
	m := NewMachine(English, payment.CNY, 0)
	m, _ = press(m, Key4)
	m.Last = []string{"SALE 12.34"}
	if _, act := m.Step(Press(KeyEnter)); act.Kind != ActReprint {
		t.Errorf("Enter on the last transaction gives %+v, want a reprint", act)
	}
}

func TestCatalogueIsWhole(t *testing.T) {
	for key, e := range texts {
		if e.zh == "" || e.en == "" {
			t.Errorf("%s: a language is missing: %+v", key, e)
		}
		if (e.hintZH == "") != (e.hintEN == "") {
			t.Errorf("%s: a hint lacks a language: %+v", key, e)
		}
		if strings.Count(e.zh, "%") != strings.Count(e.en, "%") {
			t.Errorf("%s: languages take different arguments", key)
		}
	}
	for code, d := range declines {
		if d.zh == "" || d.en == "" || d.next[0] == "" || d.next[1] == "" {
			t.Errorf("response code %s says too little: %+v", code, d)
		}
		if code.Approved() {
			t.Errorf("response code %s is an approval and stands among the declines", code)
		}
	}
	if got := Decline(English, "Q7"); got != "Failed: try again later (Q7)" {
		t.Errorf("unknown code = %q", got)
	}
	if got := Text(English, "nothing of that name"); !strings.HasPrefix(got, "[") {
		t.Errorf("missing text = %q", got)
	}
}

func desk(keys chan Key, shown *[]Screen) *Desk {
	return &Desk{Keys: keys, Show: func(s Screen) { *shown = append(*shown, s) }, Lang: func() Lang { return English },
		Status: func() Status { return Status{} }, Amount: func() string { return "¥1.00" }}
}

func TestDeskChoose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shown []Screen
		keys := make(chan Key, 4)
		d := desk(keys, &shown)
		keys <- Key9 // no such option
		keys <- Key2
		if i, err := d.Choose(t.Context(), []string{"A", "B"}); i != 1 || err != nil {
			t.Errorf("Choose = %d, %v; want 1", i, err)
		}
		keys <- KeyCancel
		if i, err := d.Choose(t.Context(), []string{"A", "B"}); i != -1 || err != nil {
			t.Errorf("Choose after Cancel = %d, %v; want -1", i, err)
		}
		if i, err := d.Choose(t.Context(), []string{"A"}); i != -1 || err != nil { // time passes
			t.Errorf("Choose without an answer = %d, %v; want -1", i, err)
		}
	})
}

func TestDeskUntilCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shown []Screen
		keys := make(chan Key, 4)
		d := desk(keys, &shown)
		wait := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		keys <- Key5
		keys <- KeyCancel
		cancelled, err := d.UntilCancel(t.Context(), wait)
		if !cancelled || !errors.Is(err, context.Canceled) {
			t.Errorf("UntilCancel = %v, %v", cancelled, err)
		}
		cancelled, err = d.UntilCancel(t.Context(), func(context.Context) error { return nil })
		if cancelled || err != nil {
			t.Errorf("UntilCancel without a key = %v, %v", cancelled, err)
		}
	})
}
