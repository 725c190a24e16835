// Package nfctest is what every nfc.Reader must pass, whatever chip stands
// behind it: the conformance suite of package nfc, over simulated cards.
//
// It is not a test of recovery: faults of a bus belong to the package of the
// chip.
//
//	nfctest.Run(t, func(t *testing.T, air *iso14443sim.Air) nfc.Reader {
//		return reader // with its antenna on air
//	})
//
// Each case runs in a testing/synctest bubble: time is virtual, and what open
// starts must end by t.Cleanup.
package nfctest

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/fnv"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"posagent/nfc"
	"posagent/nfc/iso14443/iso14443sim"
)

// Open makes a reader whose antenna is on air, within the test's bubble.
type Open func(t *testing.T, air *iso14443sim.Air) nfc.Reader

// Run runs the suite.
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		run  func(*rig)
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
					r := &rig{T: t, ctx: t.Context(), air: iso14443sim.NewAir(nil), card: &Echo{}, opts: o}
					r.reader = open(t, r.air)
					r.picc = iso14443sim.NewPICC(r.card, &o)
					c.run(r)
				})
			})
		}
	}
}

// Echo is a card whose answers depend on every byte of a command.
type Echo struct {
	mu       sync.Mutex // guards what follows
	silent   bool
	commands []string
}

// Reset implements iso14443sim.Card.
func (e *Echo) Reset() {}

// Transmit implements iso14443sim.Card.
func (e *Echo) Transmit(capdu []byte) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.silent {
		return nil
	}
	e.commands = append(e.commands, string(capdu))
	return Respond(capdu)
}

// Commands is what the card was asked so far.
func (e *Echo) Commands() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.commands)
}

// Silence makes the card stop to answer.
func (e *Echo) Silence() { e.mu.Lock(); defer e.mu.Unlock(); e.silent = true }

// Ask is a command for an Echo that no other equals: its number, how many bytes
// the answer has before SW1 SW2, and how many follow in the command.
func Ask(serial, answer uint16, data int) []byte {
	c := []byte{0x80, 0x5A}
	c = binary.BigEndian.AppendUint16(c, serial)
	c = binary.BigEndian.AppendUint16(c, answer)
	for i := range data {
		c = append(c, byte(i*7)^byte(serial))
	}
	return c
}

// Respond is what an Echo answers. Every third answer is nearly all zeros.
func Respond(capdu []byte) []byte {
	if len(capdu) < 6 {
		return []byte{0x67, 0x00}
	}
	n := binary.BigEndian.Uint16(capdu[4:])
	h := fnv.New64a()
	h.Write(capdu)
	sum := h.Sum64()
	out := make([]byte, 0, int(n)+2)
	for i := range uint64(n) {
		b := byte(sum>>(i%8*8)) + byte(i)
		if sum%3 == 0 && i%5 > 1 {
			b = 0
		}
		out = append(out, b)
	}
	return append(out, 0x90, 0x00)
}

type rig struct {
	*testing.T
	ctx    context.Context
	reader nfc.Reader
	air    *iso14443sim.Air
	card   *Echo
	picc   *iso14443sim.PICC
	opts   iso14443sim.Opts
}

func (r *rig) poll() nfc.Card {
	r.Helper()
	r.air.Place(r.picc)
	c, err := r.reader.Poll(r.ctx, &nfc.PollOpts{Cycles: 5})
	if err != nil {
		r.Fatalf("Poll: %v", err)
	}
	return c
}

func (r *rig) must(c nfc.Card, capdu []byte) {
	r.Helper()
	got, err := c.Transmit(r.ctx, capdu)
	if want := Respond(capdu); err != nil || !bytes.Equal(got, want) {
		r.Fatalf("Transmit(% X):\n got % X, %v\nwant % X", capdu, got, err, want)
	}
}

// dark wants the field off.
func (r *rig) dark(when string) {
	r.Helper()
	if r.air.On() {
		r.Errorf("the field is on after %s", when)
	}
}

// another card is found and answers.
func (r *rig) another() {
	r.Helper()
	r.air.Remove(r.picc)
	o := iso14443sim.DefaultOpts
	o.UID = []byte{0x08, 1, 2, 3}
	p := iso14443sim.NewPICC(&Echo{}, &o)
	r.air.Place(p)
	defer r.air.Remove(p)
	c, err := r.reader.Poll(r.ctx, &nfc.PollOpts{Cycles: 5})
	if err != nil {
		r.Fatalf("Poll for the next card: %v", err)
	}
	if !bytes.Equal(c.UID(), o.UID) {
		r.Errorf("UID % X, want % X", c.UID(), o.UID)
	}
	r.must(c, Ask(0xFFFF, 300, 40))
}
