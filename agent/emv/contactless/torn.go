package contactless

import (
	"context"
	"time"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
	"posagent/agent/payment"
)

// Bounds of the torn transaction log. EMV Contactless Book C-2, A.1 (Max Number of Torn Transaction Log Records, Max
// Lifetime of Torn Transaction Log Record: default 300 seconds).
const (
	maxTorn     = 8
	tornAge     = 5 * time.Minute
	insRecover  = 0xD0
	tagTornList = tlv.Tag(0x9F51) // DRDOL
)

// A tornLog holds transactions whose cryptogram was asked for and never seen. The oldest gives way.
type tornLog struct {
	entries [maxTorn]tornEntry
	next    uint8
}

// A tornEntry is what the cryptogram was computed from.
type tornEntry struct {
	valid    bool
	at       time.Time
	aid      [emv.MaxAID]byte
	pan      payment.PAN
	sequence string
	tx       emv.Transaction
	un       [4]byte
	date     [3]byte
	clock    [3]byte
	aip      emv.AIP
	tvr      emv.TVR
	cvm      emv.CVMResults
	caps     emv.Capabilities
	ask      request
	relay    relayData
	pdol     [tlv.MaxDOL]byte
	cdol     [tlv.MaxDOL]byte
	drdol    [tlv.MaxDOL]byte
	pdolLen  uint8
	cdolLen  uint8
	drdolLen uint8
}

// dropExpired forgets what is too old to come back.
func (r *Reader) dropExpired() {
	now := r.config.Ticks()
	for i := range r.torn.entries {
		if e := &r.torn.entries[i]; e.valid && now.Sub(e.at) > tornAge {
			*e = tornEntry{}
		}
	}
}

// tear remembers a lost cryptogram of a card that can give it again.
func (s *session) tear(ask request) {
	list, ok := s.store.Value(tagTornList)
	if !s.combination.Torn || !ok {
		return
	}
	log := &s.r.torn
	e := &log.entries[log.next%maxTorn]
	if old := s.tornEntry(); old != nil {
		e = old
	} else {
		log.next = (log.next + 1) % maxTorn
	}
	*e = tornEntry{
		at: s.r.config.Ticks(), pan: s.pan, sequence: s.sequence, tx: s.r.tx, un: s.un, aip: s.aip, tvr: s.tvr, cvm: s.cvm,
		ask: ask, relay: s.relay, pdol: s.pdol, cdol: s.cdol, pdolLen: s.pdolLen, cdolLen: s.cdolLen,
	}
	copy(e.aid[:], s.value(0x84))
	copy(e.date[:], s.value(0x9A))
	copy(e.clock[:], s.value(0x9F21))
	copy(e.caps[:], s.value(0x9F33))
	filled, err := tlv.FillDOL(e.drdol[:0], list, s.store.Value)
	if err != nil {
		s.note("DRDOL: %v", err)
		*e = tornEntry{}
		return
	}
	e.drdolLen, e.valid = uint8(len(filled)), true
	s.note("torn transaction is remembered")
}

// tornEntry finds the same card with the same sale.
func (s *session) tornEntry() *tornEntry {
	var aid [emv.MaxAID]byte
	copy(aid[:], s.value(0x84))
	tx := &s.r.tx
	for i := range s.r.torn.entries {
		e := &s.r.torn.entries[i]
		if e.valid && e.aid == aid && e.sequence == s.sequence && e.pan.Reveal() == s.pan.Reveal() &&
			e.tx.Type == tx.Type && e.tx.Amount == tx.Amount && e.tx.Other == tx.Other && e.tx.Sequence == tx.Sequence {
			return e
		}
	}
	return nil
}

// recoverTorn asks for a lost cryptogram again. found is false when there is none or the card has forgotten it; the
// transaction then goes on with a new one. EMV Contactless Book C-2, S9 and 5.6 (RECOVER AC).
func (s *session) recoverTorn(ctx context.Context) (data []byte, ask request, found bool, err error) {
	s.r.dropExpired()
	e := s.tornEntry()
	if e == nil || !s.combination.Torn {
		return nil, ask, false, nil
	}
	data, sw, err := s.send(ctx, emv.Command{CLA: 0x80, INS: insRecover, Data: e.drdol[:e.drdolLen], Le: true}, s.value(tagTornList))
	if err != nil {
		return nil, ask, false, err // the entry stays: the card may come back once more
	}
	if sw != emv.SWOK {
		s.note("RECOVER AC: %v", sw)
		*e = tornEntry{}
		return nil, ask, false, nil
	}
	s.un, s.aip, s.tvr, s.cvm, s.relay = e.un, e.aip, e.tvr, e.cvm, e.relay
	s.pdol, s.cdol, s.pdolLen, s.cdolLen = e.pdol, e.cdol, e.pdolLen, e.cdolLen
	s.store.Set(0x9F37, s.un[:], tlv.Terminal)
	s.store.Set(0x82, s.aip[:], tlv.ICC)
	s.store.Set(0x9A, e.date[:], tlv.Terminal)
	s.store.Set(0x9F21, e.clock[:], tlv.Terminal)
	s.store.Set(0x9F33, e.caps[:], tlv.Terminal)
	ask = e.ask
	*e = tornEntry{}
	s.note("torn transaction is recovered")
	return data, ask, true, nil
}
