package contactless

import (
	"context"
	"errors"
	"fmt"
	"time"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
	"posagent/agent/payment"
)

// A session is one tap. It is reused: what a transaction needs is allocated once.
type session struct {
	r           *Reader
	link        link
	combination *Combination
	in          *indicators
	now         time.Time
	un          [4]byte

	store  emv.Store
	static []byte // static data to be authenticated
	broken bool   // a record listed for authentication was not a template 70

	pan      payment.PAN
	track2   payment.Track2
	sequence string

	aip        emv.AIP
	tvr        emv.TVR
	tsi        emv.TSI
	cvm        emv.CVMResults
	cryptogram emv.Cryptogram
	pdolLen    uint8
	cdolLen    uint8
	pdol       [tlv.MaxDOL]byte
	cdol       [tlv.MaxDOL]byte
	hashed     [emv.MaxResponseData]byte
	relay      relayData
	balance    *payment.Amount
}

// An object is a data object that does not change between transactions.
type object struct {
	tag   tlv.Tag
	value []byte
}

// terminalObjects are the data objects of the terminal.
func terminalObjects(t emv.Terminal) []object {
	var s emv.Store
	t.Fill(&s)
	var out []object
	for _, tag := range []tlv.Tag{0x9F35, 0x9F33, 0x9F40, 0x9F1A, 0x5F2A, 0x5F36, 0x9F1E, 0x9F1C, 0x9F16, 0x9F15, 0x9F01} {
		if v, ok := s.Value(tag); ok {
			out = append(out, object{tag, v})
		}
	}
	return append(out, object{0x9F39, []byte{0x07}}, object{0xDF69, []byte{0}}, object{0xDF60, []byte{0}})
}

// begin starts a tap.
func (s *session) begin(card emv.Card, caller context.Context) {
	s.link = link{card: card, caller: caller, trace: s.r.config.Trace}
	s.now = s.r.config.Now()
	s.clean()
}

// forget wipes the card's data: the outcome has its own copies.
func (s *session) forget() {
	s.clean()
	s.link.card, s.link.caller = nil, nil
	clear(s.link.buf[:])
}

func (s *session) clean() {
	s.store.Wipe()
	clear(s.static[:cap(s.static)])
	clear(s.pdol[:])
	clear(s.cdol[:])
	clear(s.hashed[:])
	s.static, s.broken = s.static[:0], false
	s.pan, s.track2, s.sequence = payment.PAN{}, payment.Track2{}, ""
	s.aip, s.tvr, s.tsi, s.cvm = emv.AIP{}, emv.TVR{}, emv.TSI{}, emv.CVMResults{}
	s.cryptogram, s.pdolLen, s.cdolLen, s.balance = emv.Cryptogram{}, 0, 0, nil
	s.relay = relayData{}
	s.combination, s.in = nil, nil
}

// enter prepares for a candidate: whatever an earlier one said is gone.
func (s *session) enter(c *candidate) {
	s.clean()
	s.combination = &s.r.config.Combinations[c.combination]
	s.in = &s.r.indicators[c.combination]
	s.fillTerminal()
}

// fillTerminal puts the terminal's and the transaction's data objects into the store.
func (s *session) fillTerminal() {
	for _, o := range s.r.fixed {
		s.store.Set(o.tag, o.value, tlv.Terminal)
	}
	tx := &s.r.tx
	var b [6]byte
	s.store.Set(0x9F02, bcd(b[:], uint64(tx.Amount)), tlv.Terminal)
	s.store.Set(0x9F03, bcd(b[:], uint64(tx.Other)), tlv.Terminal)
	s.store.Set(0x9F41, bcd(b[:4], uint64(tx.Sequence)), tlv.Terminal)
	y, m, d := s.now.Date()
	s.store.Set(0x9A, bcd(b[:3], uint64(y%100)*10000+uint64(m)*100+uint64(d)), tlv.Terminal)
	h, min, sec := s.now.Clock()
	s.store.Set(0x9F21, bcd(b[:3], uint64(h)*10000+uint64(min)*100+uint64(sec)), tlv.Terminal)
	b[0] = byte(tx.Type)
	s.store.Set(0x9C, b[:1], tlv.Terminal)
	s.store.Set(0x9F37, s.un[:], tlv.Terminal)
	s.store.Set(0x9F66, s.in.ttq[:], tlv.Terminal)
	s.store.Set(0x9F09, s.combination.Application.Version[:], tlv.Terminal)
	if rd := s.combination.Application.RiskData; len(rd) > 0 {
		s.store.Set(0x9F1D, rd, tlv.Terminal)
	}
	s.publish()
}

// bcd writes the last digits of v that fit into dst.
func bcd(dst []byte, v uint64) []byte {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = byte(v%10) | byte(v/10%10)<<4
		v /= 100
	}
	return dst
}

// publish puts the registers where DOLs and DE 55 find them.
func (s *session) publish() {
	s.store.Set(0x95, s.tvr[:], tlv.Terminal)
	s.store.Set(0x9B, s.tsi[:], tlv.Terminal)
	s.store.Set(0x9F34, s.cvm[:], tlv.Terminal)
}

// value is the value under a tag, nil when there is none.
func (s *session) value(tag tlv.Tag) []byte {
	v, _ := s.store.Value(tag)
	return v
}

// note traces a decision in words.
func (s *session) note(format string, args ...any) {
	if s.r.config.Trace != nil {
		s.r.config.Trace(emv.NoteEvent{Text: fmt.Sprintf(format, args...)})
	}
}

func (s *session) traceStep(name string) {
	if s.r.config.Trace != nil {
		s.r.config.Trace(emv.StepEvent{Step: name, TVR: s.tvr, TSI: s.tsi})
	}
}

// cardIsRead tells the cardholder to take the card away: nothing more is asked of it.
func (s *session) cardIsRead() {
	s.traceStep("card read")
	if s.r.config.UI != nil {
		s.r.config.UI(UIRequest{Message: MessageRemoveCard, Status: CardRead, Language: language(s.value(0x5F2D))})
	}
}

// language is the card's Language Preference when it is two to four pairs of small letters.
func language(b []byte) string {
	if len(b)%2 != 0 || len(b) > 8 {
		return ""
	}
	for _, c := range b {
		if c < 'a' || c > 'z' {
			return ""
		}
	}
	return string(b)
}

// discretionaryTags go to the journal with every outcome.
var discretionaryTags = []tlv.Tag{0x9F66, 0x9F6C, 0x9F6E, 0x9F5D, 0x9B}

// fill puts what is known of the card into an outcome.
func (s *session) fill(o *Outcome) {
	o.OnOutcome.Language = language(s.value(0x5F2D))
	if s.combination == nil {
		return
	}
	o.Kernel = s.combination.Kernel
	o.Sale.PAN, o.Sale.Track2, o.Sale.PANSequence = s.pan, s.track2, s.sequence
	o.Sale.Cryptogram, o.Sale.CVM, o.Sale.TVR, o.Sale.TSI = s.cryptogram, s.cvm, s.tvr, s.tsi
	o.Sale.AID = append(emv.AID(nil), s.value(0x84)...)
	o.Sale.Label = s.label()
	o.Balance = s.balance
	if v, ok := s.store.Fixed(0x5F24, 3); ok {
		o.Sale.Expiry = fourDigits(v)
	}
	s.publish()
	if !s.pan.IsZero() {
		o.Record = emv.DE55(&s.store, emv.OnlineTags)
		o.Sale.DE55 = o.Record
	}
	room := make([]byte, 0, 64)
	for _, t := range discretionaryTags {
		room = s.store.Append(room, t)
	}
	o.Discretionary = room
}

func fourDigits(v []byte) string {
	return string([]byte{'0' + v[0]>>4, '0' + v[0]&15, '0' + v[1]>>4, '0' + v[1]&15})
}

// label is the application's name for screen and receipt, in letters a printer cannot take for a command.
func (s *session) label() string {
	v := s.value(0x50)
	if t, ok := s.store.Fixed(0x9F11, 1); ok && t[0] == 1 && s.store.Has(0x9F12) {
		v = s.value(0x9F12)
	}
	var room [32]byte
	out := room[:0]
	for _, c := range v[:min(len(v), len(room))] {
		if c >= 0x20 && c < 0x7F {
			out = append(out, c)
		}
	}
	return string(out)
}

var errLost = errors.New("card left the field")
