package iso14443sim

import (
	"time"

	"posagent/nfc"
	"posagent/nfc/iso14443"
)

// Card answers APDUs. It is used by one goroutine at a time.
type Card interface {
	// Reset tells the card, at each activation, that its volatile state is gone.
	Reset()
	// Transmit answers a command APDU with a response APDU. Fewer than 2 bytes
	// mean that the card falls silent until the next reset.
	Transmit(capdu []byte) (rapdu []byte)
}

// Opts configures a PICC.
type Opts struct {
	// Type of the signal interface; 0 is type A.
	Type nfc.Type
	// UID has 4, 7 or 10 bytes in type A. In type B it is the PUPI of ATQB.
	UID []byte
	// ATS of a type A card, RawATS in place of it byte for byte, without check.
	ATS    iso14443.ATS
	RawATS []byte
	// ATQB of a type B card.
	ATQB iso14443.ATQB
	// Plain is a card that does not speak ISO/IEC 14443-4.
	Plain bool
	// Chunk is the most INF that the card sends in one block; 0 sends as much as
	// the reader takes.
	Chunk uint16
	// Think is how long each command takes.
	Think time.Duration
	// WTX is how often each response is put off with S(WTX), by WTXM; 0 asks for
	// WTXM 1. Everywhere puts off R(ACK) and further blocks as well.
	WTX        uint32
	WTXM       uint8
	Everywhere bool
	// NoRate is a card that offers rates and ignores PPS.
	NoRate bool
}

// DefaultOpts is an ordinary payment card of type A: UID of 7 bytes, frames of
// 256 bytes, FWI 7 (39 ms), SFGI 0, 106 to 424 kbit/s.
var DefaultOpts = Opts{
	Type: nfc.TypeA,
	UID:  []byte{0x04, 0x25, 0x63, 0x9A, 0x31, 0x52, 0x80},
	ATS: iso14443.ATS{FSCI: 8, FWI: 7, Rates: iso14443.Send212 | iso14443.Send424 |
		iso14443.Receive212 | iso14443.Receive424, Historical: []byte{0x80, 0x31}},
}

// DefaultOptsB is the same card in type B.
var DefaultOptsB = Opts{
	Type: nfc.TypeB,
	ATQB: iso14443.ATQB{PUPI: [4]byte{0x51, 0x62, 0x73, 0x84}, Rates: DefaultOpts.ATS.Rates,
		FSCI: 8, Protocol: 1, FWI: 7},
}

// state is where a card stands: ISO/IEC 14443-3, figures 7 and 20.
type state uint8

const (
	off state = iota
	idle
	ready
	active // type A: selected, waits for RATS
	protocol
	halted
)

const (
	// startTime from carrier to the first request that is heard: 5 ms.
	startTime = 5 * time.Millisecond
	// forget is how long the carrier must be off for a card to lose its state.
	forget = 5 * time.Millisecond
)

// Delays of a card in cycles of the carrier.
const (
	delayA    = 1_236 // FDTA,PICC after a last bit of 1; the same for all cards
	delayB    = 2_048
	delayRATS = 20_000
	// listenA and listenB are what a card needs after its own frame: Book D has
	// 6,780 cycles, and a type B card may ask for 9,472 (ISO/IEC 14443-3, 7.9.4.4).
	listenA = 6_780
	listenB = 9_472
)

// PICC is one contactless card: the protocol around a Card. It belongs to the
// Air in which it is placed.
type PICC struct {
	card Card
	o    Opts

	state state
	// star says that the card came from HALT and falls back to it.
	star  bool
	level int
	mode  iso14443.Mode
	// reader is the longest frame the reader takes (FSD), check included.
	reader    uint16
	darkSince time.Time
	// awake is when the card has started, from when it listens after its own
	// frame.
	awake, from time.Time
	pending     *signal
	dep         dep
	early       uint32
}

// NewPICC returns a card that answers with c. A nil o means DefaultOpts.
func NewPICC(c Card, o *Opts) *PICC {
	if o == nil {
		o = &DefaultOpts
	}
	p := &PICC{card: c, o: *o}
	if p.o.Type == 0 {
		p.o.Type = nfc.TypeA
	}
	return p
}

// Early is how many frames came before the guard time was over, and were not
// heard.
func (p *PICC) Early() uint32 { return p.early }

// power turns the carrier at the card on or off.
func (p *PICC) power(on bool, start time.Duration) {
	now := time.Now()
	p.pending = nil
	if !on {
		p.darkSince = now
		return
	}
	if p.state == off || now.Sub(p.darkSince) >= forget {
		p.state, p.star, p.mode = idle, false, iso14443.Mode{Type: p.o.Type}
		p.awake, p.from = now.Add(start), now
	}
}

// leave takes the card out of every field.
func (p *PICC) leave() { p.state, p.pending = off, nil }

// hear takes one frame, sent from begin to end, and leaves the answer in
// pending.
func (p *PICC) hear(m iso14443.Mode, frame []byte, lastBits uint8, begin, end time.Time, stall uint8) {
	if m.Type != p.mode.Type || m.Send != p.mode.Send || p.state == off || p.pending != nil || begin.Before(p.awake) {
		return
	}
	if begin.Before(p.from) {
		p.early++
		return
	}
	var s *signal
	rate := p.mode.Receive
	switch {
	case p.state == protocol:
		if s = p.block(frame, lastBits); s != nil {
			s.after *= time.Duration(stall)
		}
	case p.o.Type == nfc.TypeB:
		s = p.requestB(frame)
	default:
		s = p.requestA(frame, lastBits)
	}
	if s == nil {
		return
	}
	s.at, s.typ, s.rate = end.Add(s.after), p.o.Type, rate
	p.pending = s
	took := airTime(p.o.Type, rate, bitsOf(s.data, s.lastBits)-uint32(s.align))
	listen := fc(listenA)
	if p.o.Type == nfc.TypeB && p.o.ATQB.Protocol>>1&3 == 3 {
		listen = fc(listenB)
	}
	p.from = s.at.Add(took).Add(max(listen, s.deaf))
}

// answer is a signal after so long.
func answer(after time.Duration, data []byte) *signal {
	return &signal{after: after, data: data}
}

// checked is an answer with the check of the card's type.
func (p *PICC) checked(delay time.Duration, data []byte) *signal {
	return answer(delay, iso14443.AppendCRC(data, p.o.Type))
}

// fall is what an unexpected frame does before the block protocol.
func (p *PICC) fall() *signal {
	if p.state == idle || p.state == halted {
		return nil
	}
	p.state = idle
	if p.star {
		p.state = halted
	}
	return nil
}

// enter begins the block protocol.
func (p *PICC) enter(fsdi uint8) {
	p.state = protocol
	p.reader = iso14443.FrameSize(fsdi)
	p.dep = dep{number: 1, fresh: true}
	p.card.Reset()
}
