package icc_test

import (
	"context"
	"io"
	"testing"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/physic"
	periph "periph.io/x/conn/v3/uart"

	"posagent/drivers/bussim"
	"posagent/drivers/icc"
	"posagent/drivers/icc/iccsim"
	"posagent/drivers/uart"
)

// kind is one row of the conformance suite: a reader part and a card.
type kind struct {
	name  string
	chip  bool
	atrs  []string
	slot  iccsim.Opts
	opts  icc.Opts
	proto icc.Protocol
	// counted makes the port count parity errors as Linux can.
	counted bool
}

var kinds = []kind{
	{name: "UART T=0 direct", atrs: []string{"3B 65 00 00 20 63 CB A0 00"}, counted: true},
	{name: "UART T=0 inverse", atrs: []string{"3F 65 00 00 20 63 CB A0 00"}, counted: true},
	{name: "UART T=0 byte by byte, guard time", atrs: []string{"3B 60 00 05"}, slot: iccsim.Opts{SingleByte: true}, counted: true},
	{name: "UART T=0 specific mode D=4", atrs: []string{"3B B0 13 00 10 00"}, counted: true},
	{name: "UART T=1 LRC", atrs: []string{"3B E0 00 00 81 31 FE 45+"}, proto: icc.T1},
	{name: "UART T=1 inverse", atrs: []string{"3F E0 00 00 81 31 FE 45+"}, proto: icc.T1},
	{name: "UART T=1 IFSC 32, guard time", atrs: []string{"3B E0 00 07 81 31 20 45+"}, proto: icc.T1},
	{name: "UART T=1 small IFSC", atrs: []string{"3B E0 00 FF 81 31 10 45+"}, proto: icc.T1},
	{name: "UART T=1 CRC, ISO rules", atrs: []string{"3B 80 81 71 40 45 01+"}, opts: icc.Opts{ISO: true}, proto: icc.T1},
	{name: "TDA8029 T=0", chip: true, atrs: []string{"3B 65 00 00 20 63 CB A0 00"}},
	{name: "TDA8029 T=1", chip: true, atrs: []string{"3B E0 00 00 81 31 FE 45+"}, proto: icc.T1},
}

// rig is a reader, and the slot at the other end of its wires.
type rig struct {
	icc.Reader
	t    *testing.T
	card *testCard
	line *bussim.UART
	slot *iccsim.Slot    // of a bare UART
	chip *iccsim.TDA8029 // of an interface chip
	ctx  context.Context
}

// newRig wires a reader of kind k to an empty slot. The returned stop ends the
// simulator and waits for it.
func newRig(t *testing.T, k kind) (r *rig, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r = &rig{t: t, ctx: ctx, card: &testCard{}}
	for _, a := range k.atrs {
		r.card.atrs = append(r.card.atrs, atr(a))
	}
	var serve func(context.Context, io.ReadWriter) error
	var err error
	if k.chip {
		r.line = bussim.NewUART("ICC0", &bussim.UARTOpts{Paced: true})
		r.chip = iccsim.NewTDA8029()
		serve = r.chip.Serve
		r.Reader, err = icc.NewTDA8029(r.line.Port(), nil)
	} else {
		r.line = bussim.NewUART("ICC0", &bussim.UARTOpts{Paced: true, Echo: true})
		r.slot = iccsim.NewSlot(&k.slot)
		serve = r.slot.Serve
		k.opts.Clock, k.opts.Slack = icc.DefaultOpts.Clock, icc.DefaultOpts.Slack
		port := r.line.Port()
		if k.counted {
			port = countedPort{port, r.slot}
		}
		r.Reader, err = icc.NewUART(port, icc.Pins{Reset: r.slot.Reset, Power: r.slot.Power, Present: r.slot.Present}, &k.opts)
	}
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- serve(ctx, r.line.Wire()) }()
	return r, func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
}

func (r *rig) insert() {
	if r.chip != nil {
		r.chip.Insert(r.card)
	} else {
		r.slot.Insert(r.card)
	}
}

func (r *rig) remove() {
	if r.chip != nil {
		r.chip.Remove()
	} else {
		r.slot.Remove()
	}
}

// activate inserts the card and powers it up.
func (r *rig) activate() *icc.ATR {
	r.t.Helper()
	r.insert()
	a, err := r.Activate(r.ctx)
	if err != nil {
		r.t.Fatalf("Activate: %v", err)
	}
	return a
}

// check transmits capdu and compares the answer.
func (r *rig) check(name string, capdu []byte) {
	r.t.Helper()
	got, err := r.Transmit(r.ctx, capdu)
	want := respond(capdu)
	if err != nil {
		r.t.Errorf("%s: Transmit(% X): %v", name, capdu, err)
	} else if string(got) != string(want) {
		r.t.Errorf("%s: Transmit(% X):\n got % X\nwant % X", name, capdu, got, want)
	}
}

// countedPort adds the slot's count of parity errors to a port, as a driver of
// a real UART can.
type countedPort struct {
	periph.PortCloser
	slot *iccsim.Slot
}

type countedStream struct {
	uart.Stream
	*iccsim.Slot
}

func (s countedStream) String() string { return s.Stream.String() }

func (p countedPort) Connect(f physic.Frequency, stop periph.Stop, parity periph.Parity, flow periph.Flow, bits int) (conn.Conn, error) {
	s, err := uart.Connect(p.PortCloser, f, stop, parity, flow, bits)
	return countedStream{s, p.slot}, err
}
