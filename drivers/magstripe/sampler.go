package magstripe

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"

	"posagent/drivers/magstripe/internal/wire"
)

// SamplerOpts are the knobs of a sampled head.
type SamplerOpts struct {
	Speed physic.Frequency // of the SPI clock
	// Poll is how often the head is asked while a card passes.
	Poll time.Duration
	// Pass is the longest a card may take; a slower one ends with ErrLink.
	Pass time.Duration
	// Tries is how often one transfer is done before it is ErrLink.
	Tries uint8
}

// DefaultSamplerOpts suit a head of the class. A card at 10 cm/s takes 0.9 s.
var DefaultSamplerOpts = SamplerOpts{Speed: 2 * physic.MegaHertz, Poll: 5 * time.Millisecond, Pass: 4 * time.Second, Tries: 4}

// Sampler is a head whose part measures the times between flux changes and
// keeps them; F2F is decoded here. One goroutine at a time calls Swipe.
type Sampler struct {
	opts    SamplerOpts
	port    spi.Port
	conn    spi.Conn
	present gpio.PinIn
	halt    *halt
	decoder Decoder
	times   []uint32
	w, r    [wire.ReadHead + 2*wire.MaxRead + 2]byte
}

var _ Reader = (*Sampler)(nil)

// NewSampler connects the port (mode 0). present is low while a card is in the
// slot and until the record was cleared.
func NewSampler(port spi.Port, present gpio.PinIn, opts *SamplerOpts) (*Sampler, error) {
	o := DefaultSamplerOpts
	if opts != nil {
		o = *opts
	}
	c, err := port.Connect(o.Speed, spi.Mode0, 8)
	if err != nil {
		return nil, fmt.Errorf("magstripe: connect %s: %w", port, err)
	}
	if err := present.In(gpio.PullUp, gpio.BothEdges); err != nil {
		return nil, fmt.Errorf("magstripe: set up %s: %w", present, err)
	}
	return &Sampler{opts: o, port: port, conn: c, present: present, halt: newHalt()}, nil
}

// String is part and port.
func (s *Sampler) String() string { return "magstripe sampler(" + s.port.String() + ")" }

// Halt ends the use of the head.
func (s *Sampler) Halt() error {
	if s.halt.end() {
		return s.present.Halt()
	}
	return nil
}

// Swipe waits for a card, then for the end of its pass, and decodes.
func (s *Sampler) Swipe(ctx context.Context) (Swipe, error) {
	var out Swipe
	if err := waitLevel(ctx, s.halt, s.present, gpio.Low); err != nil {
		return out, err
	}
	st, err := s.record(ctx)
	if err != nil {
		return out, err
	}
	defer s.wipe()
	for n := Track1; n <= Track3; n++ {
		if err := s.load(ctx, n, st.counts[n-1]); err != nil {
			// What is left of the record is given up, so that the next swipe is a
			// new one.
			s.clear(ctx, st.sequence)
			return Swipe{}, err
		}
		t, err := s.decoder.Decode(n, s.times)
		out.set(n, t, err)
	}
	if err := s.clear(ctx, st.sequence); err != nil {
		return Swipe{}, err
	}
	out.settle()
	return out, nil
}

type samplerStatus struct {
	state, sequence byte
	counts          [Tracks]uint16
}

// record waits until the card has left the slot.
func (s *Sampler) record(ctx context.Context) (samplerStatus, error) {
	by := time.Now().Add(s.opts.Pass)
	for {
		st, err := s.status(ctx)
		if err != nil || st.state == wire.StateDone {
			return st, err
		}
		if !time.Now().Before(by) {
			return st, linkError("wait for the end of the swipe", nil)
		}
		if err := pause(ctx, s.halt, s.opts.Poll); err != nil {
			return st, err
		}
	}
}

func (s *Sampler) status(ctx context.Context) (samplerStatus, error) {
	var st samplerStatus
	err := s.try(ctx, "read status", func() bool {
		w, r := s.w[:wire.StatusLen], s.r[:wire.StatusLen]
		clear(w)
		w[0] = wire.CmdStatus
		if s.conn.Tx(w, r) != nil || wire.CRC(w[:1], r[1:9]) != binary.BigEndian.Uint16(r[9:]) {
			return false
		}
		st.state, st.sequence = r[1], r[2]
		for i := range st.counts {
			st.counts[i] = min(binary.BigEndian.Uint16(r[3+2*i:]), wire.MaxIntervals)
		}
		return true
	})
	return st, err
}

// load reads the intervals of a track into times.
func (s *Sampler) load(ctx context.Context, n Number, count uint16) error {
	s.times = s.times[:0]
	for off := uint16(0); off < count; {
		size := min(count-off, wire.MaxRead)
		err := s.try(ctx, "read "+n.String(), func() bool {
			end := wire.ReadHead + 2*int(size)
			w, r := s.w[:end+2], s.r[:end+2]
			clear(w)
			w[0], w[1], w[4] = wire.CmdRead, byte(n), byte(size)
			binary.BigEndian.PutUint16(w[2:], off)
			if s.conn.Tx(w, r) != nil || wire.CRC(w[:wire.ReadHead], r[wire.ReadHead:end]) != binary.BigEndian.Uint16(r[end:]) {
				return false
			}
			for i := wire.ReadHead; i < end; i += 2 {
				s.times = append(s.times, uint32(binary.BigEndian.Uint16(r[i:])))
			}
			return true
		})
		if err != nil {
			return err
		}
		off += size
	}
	return nil
}

// clear drops the record and sees that it is gone.
func (s *Sampler) clear(ctx context.Context, sequence byte) error {
	return s.try(ctx, "clear the record", func() bool {
		w, r := s.w[:3], s.r[:3]
		w[0], w[1], w[2] = wire.CmdClear, sequence, ^sequence
		if s.conn.Tx(w, r) != nil {
			return false
		}
		st, err := s.status(ctx)
		return err == nil && (st.state != wire.StateDone || st.sequence != sequence)
	})
}

// try does a transfer until it is sound.
func (s *Sampler) try(ctx context.Context, doing string, f func() bool) error {
	for range max(s.opts.Tries, 1) {
		if err := s.halt.err(ctx); err != nil {
			return err
		}
		if f() {
			return nil
		}
	}
	return linkError(doing, nil)
}

func (s *Sampler) wipe() {
	clear(s.times)
	clear(s.r[:])
}
