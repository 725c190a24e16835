package contact

import (
	"context"
	"crypto/sha1"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
)

// issuerCode is an Issuer Action Code; a card that has none takes the default. EMV 4.4 Book 3, 10.7.
func (s *Session) issuerCode(tag tlv.Tag, otherwise emv.ActionCode) emv.ActionCode {
	if v, ok := s.store.Fixed(tag, 5); ok {
		return emv.ActionCode(v)
	}
	return otherwise
}

var allOnes = emv.ActionCode{0xFF, 0xFF, 0xFF, 0xFF, 0xFF}

// analyseAction is terminal action analysis: which cryptogram to ask for. EMV 4.4 Book 3, 10.7; Book 4, 6.3.6.
func (s *Session) analyseAction(context.Context) error {
	s.asked = s.decide()
	if s.method == odaCDA && s.asked == emv.AAC && !s.tvr.Has(emv.CDAFailed) {
		s.tvr.Set(emv.ODANotPerformed) // an AAC carries no signature: CDA will not take place
	}
	s.setARC()
	s.note("terminal action analysis: %v", s.asked)
	return nil
}

func (s *Session) decide() emv.CryptogramType {
	t := s.kernel.Terminal.Type
	switch {
	case s.app.TACDenial.Matches(s.tvr), s.issuerCode(0x9F0E, emv.ActionCode{}).Matches(s.tvr):
		return emv.AAC
	case t.OfflineOnly():
		return s.decideOffline()
	case t.OnlineOnly(), s.tx.ForceOnline,
		s.app.TACOnline.Matches(s.tvr), s.issuerCode(0x9F0F, allOnes).Matches(s.tvr):
		return emv.ARQC
	}
	return emv.TC
}

// decideOffline is the choice where no host can be reached: the default action codes.
func (s *Session) decideOffline() emv.CryptogramType {
	if s.app.TACDefault.Matches(s.tvr) || s.issuerCode(0x9F0D, allOnes).Matches(s.tvr) {
		return emv.AAC
	}
	return emv.TC
}

// setARC sets the response code of an offline decision, which the card may ask for. EMV 4.4 Book 4, Annex A6.
func (s *Session) setARC() {
	switch s.asked {
	case emv.TC:
		s.setResponseCode(emv.ARCOfflineApproved)
	case emv.AAC:
		s.setResponseCode(emv.ARCOfflineDeclined)
	}
}

func (s *Session) setResponseCode(arc emv.ARC) {
	s.arc = arc
	s.store.Set(0x8A, []byte(arc), tlv.Terminal)
}

// prepareTCHash computes the TC Hash Value when a list asks for it, from the card's TDOL or the terminal's. EMV 4.4 Book
// 3, 9.2.2.
func (s *Session) prepareTCHash(dol []byte) error {
	if _, ok := tlv.DOLHas(dol, 0x98); !ok {
		return nil
	}
	tdol, ok := s.store.Value(0x97)
	if !ok {
		tdol = s.app.DefaultTDOL
		s.tvr.Set(emv.DefaultTDOLUsed)
		s.publish()
	}
	data, err := tlv.FillDOL(nil, tdol, s.store.Value)
	if err != nil {
		return terminate(emv.ReasonCardData, "TDOL: %w", err)
	}
	sum := sha1.Sum(data)
	s.store.Set(0x98, sum[:], tlv.Terminal)
	return nil
}
