package iso14443_test

import (
	"bytes"
	"testing"
	"testing/synctest"

	"posagent/nfc"
	"posagent/nfc/iso14443/iso14443sim"
)

func TestFirst(t *testing.T) {
	bubble(t, func(r *rig) {
		c := r.poll()
		r.must(c, ask(1, 20, 10))
		r.must(c, ask(2, 600, 700))
	})
	_ = bytes.Equal
	_ = nfc.TypeA
	_ = iso14443sim.DefaultOpts
	_ = synctest.Wait
}
