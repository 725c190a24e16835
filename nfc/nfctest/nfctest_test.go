package nfctest_test

import (
	"testing"

	"posagent/nfc"
	"posagent/nfc/iso14443"
	"posagent/nfc/iso14443/iso14443sim"
	"posagent/nfc/nfctest"
)

// The suite passes over an ideal chip.
func TestIdealChip(t *testing.T) {
	nfctest.Run(t, func(t *testing.T, air *iso14443sim.Air) nfc.Reader {
		r, err := iso14443.New(air, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r
	})
}
