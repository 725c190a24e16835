package iso14443_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"posagent/nfc"
	"posagent/nfc/iso14443"
	"posagent/nfc/iso14443/iso14443sim"
)

// longest is what no APDU may exceed in virtual time: 30 s of blocks, the
// waiting time running then, and the question whether the card is still there.
const longest = 36 * time.Second

// echo is a card whose answer depends on every byte of the command.
type echo struct {
	resets   int
	commands []string
	silent   bool
}

func (e *echo) Reset() { e.resets++ }

func (e *echo) Transmit(capdu []byte) []byte {
	if e.silent {
		return nil
	}
	e.commands = append(e.commands, string(capdu))
	return respond(capdu)
}

// ask is a command that no other equals: serial, length of the answer, data.
func ask(serial uint16, answer, data int) []byte {
	c := []byte{0x80, 0x5A, 0, 0, 0, 0}
	binary.BigEndian.PutUint16(c[2:], serial)
	binary.BigEndian.PutUint16(c[4:], uint16(answer))
	for i := range data {
		c = append(c, byte(i*7)^byte(serial))
	}
	return c
}

// respond is what an echo card answers.
func respond(capdu []byte) []byte {
	n := binary.BigEndian.Uint16(capdu[4:])
	h := fnv.New64a()
	h.Write(capdu)
	sum := h.Sum64()
	out := make([]byte, 0, n+2)
	for i := range uint64(n) {
		out = append(out, byte(sum>>(i%8*8))+byte(i))
	}
	return append(out, 0x90, 0x00)
}

// rig is a reader, a field and one card that is not in it yet.
type rig struct {
	*testing.T
	ctx    context.Context
	air    *iso14443sim.Air
	reader *iso14443.Reader
	card   *echo
	picc   *iso14443sim.PICC
}

func optsA(change func(*iso14443sim.Opts)) *iso14443sim.Opts {
	o := iso14443sim.DefaultOpts
	o.UID = slices.Clone(o.UID)
	if change != nil {
		change(&o)
	}
	return &o
}

func optsB(change func(*iso14443sim.Opts)) *iso14443sim.Opts {
	o := iso14443sim.DefaultOptsB
	if change != nil {
		change(&o)
	}
	return &o
}

func newRig(t *testing.T, o *iso14443sim.Opts, ro *iso14443.Opts, ao *iso14443sim.AirOpts) *rig {
	t.Helper()
	r := &rig{T: t, ctx: t.Context(), air: iso14443sim.NewAir(ao), card: &echo{}}
	r.picc = iso14443sim.NewPICC(r.card, o)
	var err error
	if r.reader, err = iso14443.New(r.air, ro); err != nil {
		t.Fatal(err)
	}
	return r
}

// bubble runs f in virtual time with a rig of a card of each type.
func bubble(t *testing.T, f func(*rig)) {
	t.Helper()
	for _, o := range []*iso14443sim.Opts{optsA(nil), optsB(nil)} {
		t.Run(o.Type.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(newRig(t, o, nil, nil)) })
		})
	}
}

// poll places the card and activates it.
func (r *rig) poll() nfc.Card {
	r.Helper()
	r.air.Place(r.picc)
	c, err := r.reader.Poll(r.ctx, &nfc.PollOpts{Cycles: 5})
	if err != nil {
		r.Fatalf("Poll: %v", err)
	}
	return c
}

// typed says whether err is one that a caller can tell apart.
func typed(err error) bool {
	for _, s := range []error{nfc.ErrNoCard, nfc.ErrCollision, nfc.ErrUnsupported, nfc.ErrRemoved, nfc.ErrTransmission} {
		if errors.Is(err, s) {
			return true
		}
	}
	return false
}

// try transmits and says whether the answer came; a wrong answer, an untyped
// error or a call without end fails the test.
func (r *rig) try(c nfc.Card, capdu []byte) error {
	r.Helper()
	start := time.Now()
	got, err := c.Transmit(r.ctx, capdu)
	if d := time.Since(start); d > longest {
		r.Errorf("Transmit took %v", d)
	}
	if err != nil {
		if !typed(err) {
			r.Errorf("untyped error: %v", err)
		}
		return err
	}
	if want := respond(capdu); !bytes.Equal(got, want) {
		r.Errorf("WRONG APDU for % X:\n got % X\nwant % X", capdu, got, want)
	}
	return nil
}

// must transmits and wants the right answer.
func (r *rig) must(c nfc.Card, capdu []byte) {
	r.Helper()
	if err := r.try(c, capdu); err != nil {
		r.Fatalf("Transmit(% X): %v", capdu, err)
	}
}

// once fails the test when a command was carried out twice.
func (r *rig) once() {
	r.Helper()
	seen := map[string]bool{}
	for _, c := range r.card.commands {
		if seen[c] {
			r.Errorf("command % X was carried out twice", c)
		}
		seen[c] = true
	}
}

// next checks that the reader is as good as new: a card placed now is found and
// answers.
func (r *rig) next() {
	r.Helper()
	r.air.SetPlan(nil)
	other := iso14443sim.NewPICC(&echo{}, optsA(func(o *iso14443sim.Opts) { o.UID = []byte{0x08, 1, 2, 3} }))
	r.air.Remove(r.picc)
	r.air.Place(other)
	defer r.air.Remove(other)
	c, err := r.reader.Poll(r.ctx, &nfc.PollOpts{Cycles: 5})
	if err != nil {
		r.Fatalf("Poll for the next transaction: %v", err)
	}
	r.must(c, ask(0xFFFF, 300, 40))
}
