package iccsim

import (
	"context"
	"io"
	"sync"
	"time"

	"posagent/drivers/icc"
)

// chipByteWait is how long the chip waits for the next byte of a command frame
// before it answers with a serial time-out.
const chipByteWait = 20 * time.Millisecond

// maskName is what the simulated firmware calls itself.
const maskName = "07SIM"

// ChipFaults is what goes wrong in the interface chip or behind it. Bytes are
// counted from 0 since SetFaults, in frames that the chip sends.
type ChipFaults struct {
	// Mute: the card gives no answer to reset.
	Mute bool
	// Flip: bytes of the chip whose lowest bit arrives inverted.
	Flip []uint32
	// Drop: bytes of the chip that are never sent.
	Drop []uint32
	// Lose: bytes of the terminal that the chip does not hear.
	Lose []uint32
	// PullIn takes the card out while that command number (from 1, since
	// SetFaults) is with the card; 0 never.
	PullIn uint32
	// Slow is how long the card thinks.
	Slow time.Duration
}

// TDA8029 is a TDA8029-class interface chip with a card behind it. Its state
// survives a new Serve.
type TDA8029 struct {
	mu      sync.Mutex // guards what follows
	card    Card
	powered bool
	moved   chan struct{} // closed and replaced at an insertion or removal
	faults  ChipFaults
	sent    uint32
	heard   uint32
	cmds    uint32
	out     io.Writer // the wire, while Serve runs
}

// NewTDA8029 makes a chip with an empty slot.
func NewTDA8029() *TDA8029 { return &TDA8029{moved: make(chan struct{})} }

// SetFaults replaces the faults and begins to count anew.
func (t *TDA8029) SetFaults(f ChipFaults) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults, t.sent, t.heard, t.cmds = f, 0, 0, 0
}

// Insert puts c into the slot; the chip tells the terminal.
func (t *TDA8029) Insert(c Card) { t.move(c) }

// Remove takes the card out; the chip takes its power away and tells the
// terminal.
func (t *TDA8029) Remove() { t.move(nil) }

func (t *TDA8029) move(c Card) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.card, t.powered = c, false
	close(t.moved)
	t.moved = make(chan struct{})
	in := byte(0)
	if c != nil {
		in = 1
	}
	_ = t.write(icc.Frame{Cmd: icc.EventCard, Data: []byte{in}})
}

// write sends a frame through the faults. mu is held, so that frames never mix.
func (t *TDA8029) write(f icc.Frame) error {
	if t.out == nil {
		return nil
	}
	var out []byte
	for _, v := range f.AppendTo(nil) {
		i := t.sent
		t.sent++
		if hit(t.faults.Flip, i) {
			v ^= 1
		}
		if !hit(t.faults.Drop, i) {
			out = append(out, v)
		}
	}
	_, err := t.out.Write(out)
	return err
}

// Serve plays the chip on wire until it ends or ctx does; both return nil.
func (t *TDA8029) Serve(ctx context.Context, wire io.ReadWriter) error {
	rx, stop := pump(ctx, wire)
	defer stop()
	t.mu.Lock()
	t.out = wire
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		t.out = nil
		t.mu.Unlock()
	}()
	for {
		f, err := t.frame(ctx, rx)
		if err == errEnded || ctx.Err() != nil {
			return nil
		}
		reply := icc.Frame{NAK: true, Cmd: f.Cmd, Data: []byte{icc.ChipSerialLRC}}
		switch err {
		case nil:
			reply = t.execute(ctx, f)
		case errLate:
			reply.Data[0] = icc.ChipSerialTime
		}
		t.mu.Lock()
		err = t.write(reply)
		t.mu.Unlock()
		if err != nil {
			return nil
		}
	}
}

// frame reads one command frame. Bytes before a 60 are noise.
func (t *TDA8029) frame(ctx context.Context, rx <-chan byte) (icc.Frame, error) {
	var b []byte
	for need := 5; len(b) < need; {
		v, err := t.recv(ctx, rx, len(b) > 0)
		if err != nil {
			return icc.Frame{}, err
		}
		if len(b) == 0 && v != 0x60 {
			continue
		}
		b = append(b, v)
		if need, err = icc.FrameNeed(b); err != nil {
			break
		}
	}
	f, err := icc.ParseFrame(b)
	if err != nil { // let the rest of a broken frame pass
		for {
			if _, rerr := t.recv(ctx, rx, true); rerr == errLate {
				return f, err
			} else if rerr != nil {
				return f, rerr
			}
		}
	}
	return f, nil
}

func (t *TDA8029) recv(ctx context.Context, rx <-chan byte, timed bool) (byte, error) {
	var late <-chan time.Time
	if timed {
		tm := time.NewTimer(chipByteWait)
		defer tm.Stop()
		late = tm.C
	}
	for {
		select {
		case v, ok := <-rx:
			if !ok {
				return 0, errEnded
			}
			t.mu.Lock()
			lost := hit(t.faults.Lose, t.heard)
			t.heard++
			t.mu.Unlock()
			if !lost {
				return v, nil
			}
		case <-late:
			return 0, errLate
		case <-ctx.Done():
			return 0, errEnded
		}
	}
}

// execute carries one command out.
func (t *TDA8029) execute(ctx context.Context, f icc.Frame) icc.Frame {
	t.mu.Lock()
	defer t.mu.Unlock()
	nak := func(code byte) icc.Frame { return icc.Frame{NAK: true, Cmd: f.Cmd, Data: []byte{code}} }
	ack := func(data ...byte) icc.Frame { return icc.Frame{Cmd: f.Cmd, Data: data} }
	switch f.Cmd {
	case icc.CmdMask:
		return ack([]byte(maskName)...)
	case icc.CmdPresence:
		if t.card == nil {
			return ack(0)
		}
		return ack(1)
	case icc.CmdPowerOff:
		t.powered = false
		return ack()
	case icc.CmdPowerUp5, icc.CmdPowerUp3, icc.CmdPowerUp18:
		if t.card == nil {
			return nak(icc.ChipNoCard)
		}
		if t.faults.Mute {
			return nak(icc.ChipMute)
		}
		t.card.Reset()
		t.powered = true
		return ack(t.card.ATR()...)
	case icc.CmdCard:
		return t.exchange(ctx, f.Data, ack, nak)
	}
	return nak(icc.ChipUnknown)
}

// exchange has the card answer an APDU; mu is held, and given up while the card
// thinks.
func (t *TDA8029) exchange(ctx context.Context, capdu []byte, ack func(...byte) icc.Frame, nak func(byte) icc.Frame) icc.Frame {
	switch {
	case t.card == nil:
		return nak(icc.ChipNoCard)
	case !t.powered:
		return nak(icc.ChipDeactivated)
	}
	card, moved, slow := t.card, t.moved, t.faults.Slow
	t.cmds++
	pull := t.cmds == t.faults.PullIn
	t.mu.Unlock()
	r, ok := think(ctx, card, capdu, slow, moved)
	if pull {
		t.Remove()
	}
	t.mu.Lock()
	if t.moved != moved || !ok {
		return nak(icc.ChipNoCard)
	}
	if len(r) < 2 || len(r) > icc.MaxFrameData {
		return nak(icc.ChipMuteNow)
	}
	return ack(r...)
}

// think lets the card answer after d; a move of the card ends it at once.
func think(ctx context.Context, card Card, capdu []byte, d time.Duration, moved <-chan struct{}) ([]byte, bool) {
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-moved:
			return nil, false
		case <-ctx.Done():
			return nil, false
		}
	}
	return card.Transmit(capdu), true
}
