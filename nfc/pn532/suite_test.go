package pn532_test

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"posagent/nfc"
	"posagent/nfc/iso14443/iso14443sim"
)

// open makes a reader whose antenna is on air, within the test's bubble.
type open func(t *testing.T, air *iso14443sim.Air) nfc.Reader

// conform is what every nfc.Reader must pass, whatever chip stands behind it:
// each case runs in a bubble, and what open starts must end by t.Cleanup.
func conform(t *testing.T, open open) {
	for _, c := range []struct {
		name string
		run  func(*suite)
		// change makes the card special.
		change func(*iso14443sim.Opts)
	}{
		{"APDUs of every length", apdus, nil},
		{"short frames and chaining", apdus, func(o *iso14443sim.Opts) { o.ATS.FSCI, o.ATQB.FSCI, o.Chunk = 2, 2, 20 }},
		{"106 kbit/s", apdus, func(o *iso14443sim.Opts) { o.ATS.Rates, o.ATQB.Rates = 0, 0 }},
		{"card that thinks", apdus, func(o *iso14443sim.Opts) { o.WTX, o.WTXM, o.Think = 2, 3, 20*time.Millisecond }},
		{"card that ignores PPS", apdus, func(o *iso14443sim.Opts) { o.NoRate = o.Type == nfc.TypeA }},
		{"wrong commands lose nothing", wrongCommands, nil},
		{"a card removed", removed, nil},
		{"a card pulled", pulled, nil},
		{"a card that falls silent", silent, nil},
		{"context", cancelled, func(o *iso14443sim.Opts) { o.Think, o.ATS.FWI, o.ATQB.FWI = 3*time.Second, 14, 14 }},
		{"field and halt", halt, nil},
		{"nobody", nobody, nil},
		{"no APDUs", plain, func(o *iso14443sim.Opts) { o.Plain = true }},
		{"two cards", collision, nil},
		{"a card of an earlier poll", earlier, nil},
	} {
		for _, o := range []iso14443sim.Opts{iso14443sim.DefaultOpts, iso14443sim.DefaultOptsB} {
			t.Run(c.name+"/"+o.Type.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					o.UID = slices.Clone(o.UID)
					if c.change != nil {
						c.change(&o)
					}
					r := &suite{T: t, ctx: t.Context(), air: iso14443sim.NewAir(nil), card: &echo{}, opts: o}
					r.reader = open(t, r.air)
					r.picc = iso14443sim.NewPICC(r.card, &o)
					c.run(r)
				})
			})
		}
	}
}

type suite struct {
	*testing.T
	ctx    context.Context
	reader nfc.Reader
	air    *iso14443sim.Air
	card   *echo
	picc   *iso14443sim.PICC
	opts   iso14443sim.Opts
}

func (r *suite) poll() nfc.Card {
	r.Helper()
	r.air.Place(r.picc)
	c, err := r.reader.Poll(r.ctx, &nfc.PollOpts{Cycles: 5})
	if err != nil {
		r.Fatalf("Poll: %v", err)
	}
	return c
}

func (r *suite) must(c nfc.Card, capdu []byte) {
	r.Helper()
	got, err := c.Transmit(r.ctx, capdu)
	if want := respond(capdu); err != nil || !bytes.Equal(got, want) {
		r.Fatalf("Transmit(% X):\n got % X, %v\nwant % X", capdu, got, err, want)
	}
}

// dark wants the field off.
func (r *suite) dark(when string) {
	r.Helper()
	if r.air.On() {
		r.Errorf("the field is on after %s", when)
	}
}

// another card is found and answers.
func (r *suite) another() {
	r.Helper()
	r.air.Remove(r.picc)
	o := iso14443sim.DefaultOpts
	o.UID = []byte{0x08, 1, 2, 3}
	p := iso14443sim.NewPICC(&echo{}, &o)
	r.air.Place(p)
	defer r.air.Remove(p)
	c, err := r.reader.Poll(r.ctx, &nfc.PollOpts{Cycles: 5})
	if err != nil {
		r.Fatalf("Poll for the next card: %v", err)
	}
	if !bytes.Equal(c.UID(), o.UID) {
		r.Errorf("UID % X, want % X", c.UID(), o.UID)
	}
	r.must(c, ask(0xFFFF, 300, 40))
}
