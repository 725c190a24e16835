package nfc_test

import (
	"testing"
	"time"

	"posagent/nfc"
)

func TestTypeString(t *testing.T) {
	t.Parallel()
	for typ, want := range map[nfc.Type]string{nfc.TypeA: "A", nfc.TypeB: "B", 0: "Type(0)", 7: "Type(7)"} {
		if got := typ.String(); got != want {
			t.Errorf("Type %d: %q, want %q", uint8(typ), got, want)
		}
	}
}

// The limits of Book D, annex A, both for tRESET and for tP.
func TestTimingWithinBookD(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]time.Duration{"tRESET": nfc.FieldOff, "tP": nfc.PollGuard} {
		if d < 5100*time.Microsecond || d > 10*time.Millisecond {
			t.Errorf("%s is %v, want 5.1 ms to 10 ms", name, d)
		}
	}
}
