package pn532sim

import (
	"bytes"
	"context"
	"errors"
	"time"

	"posagent/nfc"
	"posagent/nfc/iso14443"
	"posagent/nfc/iso14443/iso14443sim"
	"posagent/nfc/pn532"
)

// fifo is the longest frame of the radio.
const fifo = 64

// Waiting times before the block protocol, and the pause after a card's frame.
const (
	waitA = time.Millisecond
	waitB = 600 * time.Microsecond
	guard = 510 * time.Microsecond
)

// radio is the contactless side of the chip. The running command owns it.
type radio struct {
	air     *iso14443sim.Air
	targets []*target
	// in gathers the parts of a command, out is what is left of a response.
	in, out []byte
}

func newRadio(air *iso14443sim.Air) *radio { return &radio{air: air} }

// target is one card that the chip holds, with the protocol machine for it.
type target struct {
	antenna antenna
	card    *iso14443.Card
	told    pn532.Target
}

func (r *radio) forget() { r.targets, r.in, r.out = nil, nil, nil }

func (r *radio) off() {
	r.forget()
	_ = r.air.Field(false) // never fails
}

// configure is RFConfiguration: the field; other items are taken and do not
// matter here.
func (r *radio) configure(item byte, data []byte) []byte {
	if len(data) == 0 {
		return nil
	}
	switch {
	case item != pn532.RFField:
	case data[0]&1 == 0:
		r.off()
	default:
		_ = r.air.Field(true)
	}
	return []byte{}
}

// list is InListPassiveTarget.
func (r *radio) list(ctx context.Context, typ nfc.Type, most uint8) []byte {
	r.forget()
	_ = r.air.Field(true)
	out := []byte{0}
	for n := range most {
		t := r.find(ctx, typ)
		if t == nil {
			break
		}
		t.told.Number = n + 1
		r.targets = append(r.targets, t)
		out[0]++
		out = t.told.AppendTo(out, typ == nfc.TypeB)
	}
	return out
}

// find activates one more card, or returns nil.
func (r *radio) find(ctx context.Context, typ nfc.Type) *target {
	if !r.request(ctx, typ) {
		return nil
	}
	t := &target{antenna: antenna{air: r.air, only: typ}}
	reader, err := iso14443.New(&t.antenna, &iso14443.Opts{Resolve: true})
	if err != nil {
		return nil
	}
	card, err := reader.Poll(ctx, &nfc.PollOpts{Cycles: 1})
	t.told = t.antenna.heard
	switch {
	case err == nil:
		t.card = card.(*iso14443.Card)
	case !errors.Is(err, nfc.ErrUnsupported):
		return nil
	}
	return t
}

// request asks whether a card of the type is there. One of type A is asked
// twice, which sends it back to where it was.
func (r *radio) request(ctx context.Context, typ nfc.Type) bool {
	_ = r.air.Tune(iso14443.Mode{Type: typ})
	f, wait := iso14443.Frame{Data: []byte{0x26}, LastBits: 7}, waitA
	if typ == nfc.TypeB {
		f, wait = iso14443.Frame{Data: iso14443.AppendCRC([]byte{0x05, 0, 0}, typ)}, waitB
	}
	_, err := r.air.Exchange(ctx, f, wait)
	if errors.Is(err, iso14443.ErrTimeout) || ctx.Err() != nil {
		return false
	}
	if typ == nfc.TypeA {
		time.Sleep(guard)
		_, _ = r.air.Exchange(ctx, f, waitA)
	}
	return true
}

func (r *radio) target(number byte) (*target, pn532.Status) {
	switch {
	case number == 0 || int(number) > len(r.targets) || r.targets[number-1].card == nil:
		return nil, pn532.StatusNoTarget
	case len(r.targets) > 1:
		return nil, pn532.StatusContext
	}
	return r.targets[number-1], 0
}

// exchange is InDataExchange.
func (r *radio) exchange(ctx context.Context, tg byte, data []byte) []byte {
	t, status := r.target(tg &^ pn532.MoreInformation)
	if t == nil {
		return []byte{byte(status)}
	}
	if len(data) == 0 && len(r.out) > 0 && tg&pn532.MoreInformation == 0 {
		return r.part()
	}
	r.out = nil
	if r.in = append(r.in, data...); len(r.in) > maxCommand {
		r.in = nil
		return []byte{byte(pn532.StatusBuffer)}
	}
	if tg&pn532.MoreInformation != 0 {
		return []byte{0}
	}
	command := r.in
	r.in = nil
	if len(command) < 4 || len(command) > iso14443.MaxCommand {
		return []byte{byte(pn532.StatusParameter)}
	}
	out, err := t.card.Transmit(ctx, command)
	if err != nil {
		return []byte{byte(statusOf(err))}
	}
	r.out = out
	return r.part()
}

// part is the next part of a response.
func (r *radio) part() []byte {
	n := min(len(r.out), pn532.MaxData)
	status := byte(0)
	if n < len(r.out) {
		status = pn532.MoreInformation
	}
	out := append([]byte{status}, r.out[:n]...)
	r.out = r.out[n:]
	return out
}

func statusOf(err error) pn532.Status {
	var format *iso14443.FormatError
	switch {
	case errors.Is(err, nfc.ErrRemoved), errors.Is(err, iso14443.ErrTimeout):
		return pn532.StatusTimeout
	case errors.Is(err, iso14443.ErrGarbled):
		return pn532.StatusCRC
	case errors.As(err, &format):
		return pn532.StatusProtocol
	}
	return pn532.StatusDataFormat
}

func (r *radio) present(ctx context.Context) pn532.Status {
	t, status := r.target(1)
	if t == nil {
		return status
	}
	in, err := t.card.Present(ctx)
	switch {
	case err != nil:
		return statusOf(err)
	case !in:
		return pn532.StatusTimeout
	}
	return 0
}

// rates is InPSL: PPS of ISO/IEC 14443-4, 5.3.
func (r *radio) rates(ctx context.Context, number, send, receive byte) pn532.Status {
	t, status := r.target(number)
	switch {
	case t == nil:
		return status
	case t.antenna.only != nfc.TypeA || max(send, receive) > byte(iso14443.Rate424):
		return pn532.StatusParameter
	}
	ats, err := iso14443.ParseATS(t.told.ATS)
	if err != nil {
		return pn532.StatusDataFormat
	}
	time.Sleep(max(guard, iso14443.SFGT(ats.SFGI)))
	f := iso14443.Frame{Data: iso14443.AppendCRC([]byte{0xD0, 0x11, receive<<2 | send}, nfc.TypeA)}
	answer, err := t.antenna.Exchange(ctx, f, iso14443.FWT(ats.FWI)+5*time.Millisecond)
	if err != nil {
		return statusOf(err)
	}
	if b, ok := iso14443.TrimCRC(answer.Data, nfc.TypeA); !ok || !bytes.Equal(b, []byte{0xD0}) {
		return pn532.StatusCRC
	}
	t.antenna.mode.Send, t.antenna.mode.Receive = iso14443.Rate(send), iso14443.Rate(receive)
	time.Sleep(guard)
	return 0
}

// release is InDeselect, or InRelease, which forgets the target too. 0 is all.
func (r *radio) release(ctx context.Context, number byte, keep bool) pn532.Status {
	if int(number) > len(r.targets) {
		return pn532.StatusNoTarget
	}
	var status pn532.Status
	for i, t := range r.targets {
		if (number == 0 || i == int(number)-1) && t.card != nil {
			if err := t.card.Deselect(ctx); err != nil {
				status = statusOf(err)
			}
			t.card = nil
		}
	}
	if !keep {
		r.forget()
	}
	return status
}
