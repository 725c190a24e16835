package magstripesim

import (
	"encoding/binary"
	"sync"

	"periph.io/x/conn/v3/gpio"

	"posagent/drivers/bussim"
	"posagent/drivers/magstripe/internal/wire"
)

// Sampler is the head that measures times between flux changes, at the level of
// its SPI transfers. Transfers of one byte at a time or of many are the same.
type Sampler struct {
	present *bussim.Pin

	mu       sync.Mutex // guards what follows
	state    byte
	sequence byte
	record   [3][]uint32
	in       []byte // of the transfer so far
	out      []byte // answer, by position
	mute     bool
}

var _ bussim.SPIDevice = (*Sampler)(nil)

// NewSampler makes a head with nothing in its slot; present is driven low from
// the card to the clear command.
func NewSampler(present *bussim.Pin) *Sampler {
	present.Drive(gpio.High)
	return &Sampler{present: present, state: wire.StateIdle}
}

// Mute makes the head answer nothing, as without power.
func (s *Sampler) Mute(mute bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mute = mute
}

// Begin is the card entering the slot; the head records until Pull.
func (s *Sampler) Begin() {
	s.mu.Lock()
	s.state = wire.StateCapturing
	s.mu.Unlock()
	s.present.Drive(gpio.Low)
}

// Pull is a whole pass: the record replaces the one before.
func (s *Sampler) Pull(c Card, k Stroke) {
	s.mu.Lock()
	s.sequence++
	s.state = wire.StateDone
	for i := range s.record {
		r := c.Intervals(i+1, k)
		s.record[i] = r[:min(len(r), wire.MaxIntervals)]
	}
	s.mu.Unlock()
	s.present.Drive(gpio.Low)
}

// Select begins a transfer.
func (s *Sampler) Select(bussim.SPISettings) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.in, s.out = s.in[:0], s.out[:0]
}

// Transfer takes bytes and answers by position within the transfer.
func (s *Sampler) Transfer(w, r []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mute {
		return
	}
	for i, b := range w {
		if at := len(s.in); at < len(s.out) {
			r[i] = s.out[at]
		}
		s.in = append(s.in, b)
		s.command()
	}
}

// command prepares the answer when enough of a command has been heard.
func (s *Sampler) command() {
	switch n := len(s.in); {
	case s.in[0] == wire.CmdStatus && n == 1:
		s.out = append(s.out, 0xFF, s.state, s.sequence)
		for _, r := range s.record {
			s.out = binary.BigEndian.AppendUint16(s.out, uint16(len(r)))
		}
		s.out = binary.BigEndian.AppendUint16(s.out, wire.CRC(s.in[:1], s.out[1:]))
	case s.in[0] == wire.CmdRead && n == wire.ReadHead:
		s.read(s.in[1], int(binary.BigEndian.Uint16(s.in[2:])), int(s.in[4]))
	}
}

func (s *Sampler) read(track byte, off, count int) {
	if track < 1 || track > 3 || off+count > len(s.record[track-1]) {
		return
	}
	s.out = append(s.out, make([]byte, wire.ReadHead)...)
	for _, v := range s.record[track-1][off : off+count] {
		s.out = binary.BigEndian.AppendUint16(s.out, uint16(min(v, 0xFFFF))) // a longer gap saturates
	}
	s.out = binary.BigEndian.AppendUint16(s.out, wire.CRC(s.in[:wire.ReadHead], s.out[wire.ReadHead:]))
}

// Deselect ends a transfer; a clear takes effect here.
func (s *Sampler) Deselect() {
	s.mu.Lock()
	ok := !s.mute && len(s.in) == 3 && s.in[0] == wire.CmdClear && s.in[1] == s.sequence && s.in[2] == ^s.sequence
	if ok {
		s.state, s.record = wire.StateIdle, [3][]uint32{}
	}
	s.mu.Unlock()
	if ok {
		s.present.Drive(gpio.High)
	}
}
