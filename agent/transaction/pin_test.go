package transaction_test

import (
	"slices"
	"testing"

	"posagent/agent/operator"
)

// TestOfflinePINSaysWhatIsLeft: a wrong PIN and the last try are told (EMV 4.4
// Book 4, 6.3.4.1).
func TestOfflinePINSaysWhatIsLeft(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.pad.offline = []string{"4321", "5432"}
		if out := w.sell(t.Context(), "1", "enciphered-pin"); out.Name != "approved" {
			t.Fatalf("outcome %q, %v", out.Name, out.Err)
		}
		for _, key := range []string{"pin_wrong", "pin_last"} {
			if text := operator.Text(operator.English, key); !slices.Contains(w.lines, text) {
				t.Errorf("the cardholder never read %q", text)
			}
		}
	})
}

// TestNoPlaintextPIN: a card that wants the PIN in plain gets none, and the pad is
// never asked.
func TestNoPlaintextPIN(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.sell(t.Context(), "1", "plain-pin-online")
		if w.pad.calls != 0 || w.saw("pin") {
			t.Errorf("the pad was asked %d times, screens %v", w.pad.calls, w.screens)
		}
	})
}
