package pn532_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"posagent/drivers/bussim"
	"posagent/nfc"
	"posagent/nfc/iso14443/iso14443sim"
	"posagent/nfc/pn532"
	"posagent/nfc/pn532/pn532sim"
)

// echo is a card whose answer depends on every byte of the command.
type echo struct {
	mu       sync.Mutex // guards what follows
	commands []string
	first    time.Time
	silent   bool
}

func (e *echo) Reset() {}

func (e *echo) Transmit(capdu []byte) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.silent {
		return nil
	}
	if e.first.IsZero() {
		e.first = time.Now()
	}
	e.commands = append(e.commands, string(capdu))
	return respond(capdu)
}

// asked is what the card was asked so far.
func (e *echo) asked() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.commands)
}

// silence makes the card stop to answer.
func (e *echo) silence() { e.mu.Lock(); defer e.mu.Unlock(); e.silent = true }

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

// respond is what an echo card answers; every third answer is full of zeros.
func respond(capdu []byte) []byte {
	if len(capdu) < 6 {
		return []byte{0x67, 0x00}
	}
	n := binary.BigEndian.Uint16(capdu[4:])
	h := fnv.New64a()
	h.Write(capdu)
	sum := h.Sum64()
	out := make([]byte, 0, n+2)
	for i := range uint64(n) {
		b := byte(sum>>(i%8*8)) + byte(i)
		if sum%3 == 0 && i%5 > 1 {
			b = 0
		}
		out = append(out, b)
	}
	return append(out, 0x90, 0x00)
}

// rig is a driver, a line, a chip, a field and a card that is not in it yet.
type rig struct {
	*testing.T
	ctx    context.Context
	line   *bussim.UART
	air    *iso14443sim.Air
	chip   *pn532sim.Chip
	reader *pn532.Dev
	card   *echo
	picc   *iso14443sim.PICC
	second *iso14443sim.PICC // put beside it by a fault
}

func optsA(change func(*iso14443sim.Opts)) *iso14443sim.Opts {
	o := iso14443sim.DefaultOpts
	o.UID = slices.Clone(o.UID)
	if change != nil {
		change(&o)
	}
	return &o
}

func optsB() *iso14443sim.Opts { o := iso14443sim.DefaultOptsB; return &o }

// bubble runs f with a rig in virtual time.
func bubble(t *testing.T, card *iso14443sim.Opts, opts *pn532.Opts, f func(*rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := &rig{T: t, ctx: ctx, air: iso14443sim.NewAir(nil), card: &echo{}}
		r.line = bussim.NewUART("NFC0", &bussim.UARTOpts{Paced: true})
		r.chip = pn532sim.New(r.air, nil)
		r.picc = iso14443sim.NewPICC(r.card, card)
		port := r.line.Port()
		var err error
		if r.reader, err = pn532.New(port, opts); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- r.chip.Serve(ctx, r.line.Wire()) }()
		defer func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Serve: %v", err)
			}
		}()
		f(r)
	})
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
	for _, s := range []error{nfc.ErrNoCard, nfc.ErrCollision, nfc.ErrUnsupported, nfc.ErrRemoved, nfc.ErrTransmission, pn532.ErrChip} {
		if errors.Is(err, s) {
			return true
		}
	}
	return false
}

// longest bounds one call in virtual time.
const longest = 40 * time.Second

// try transmits; a wrong answer, an untyped error or a call without end fails
// the test.
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

func (r *rig) must(c nfc.Card, capdu []byte) {
	r.Helper()
	if err := r.try(c, capdu); err != nil {
		r.Fatalf("Transmit(% X): %v", capdu, err)
	}
}

// once fails the test when a command was carried out twice, or one that was
// never sent.
func (r *rig) once() {
	r.Helper()
	r.card.mu.Lock()
	defer r.card.mu.Unlock()
	seen := map[string]bool{}
	for _, c := range r.card.commands {
		if seen[c] {
			r.Errorf("command % X was carried out twice", c)
		}
		seen[c] = true
	}
}

// next checks that the reader is as good as new.
func (r *rig) next() {
	r.Helper()
	r.air.SetPlan(nil)
	r.line.SetFaults(nil)
	r.chip.SetFaults(pn532sim.Faults{})
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
