package contact

import (
	"bytes"
	"context"

	"posagent/agent/emv"
)

// checkRestrictions is processing restrictions: version, usage and dates. It sets TVR bits and never ends the
// transaction. EMV 4.4 Book 3, 10.4.
func (s *Session) checkRestrictions(context.Context) error {
	if v, ok := s.store.Value(0x9F08); ok && !bytes.Equal(v, s.app.Version[:]) { // 10.4.1
		s.tvr.Set(emv.VersionsDiffer)
	}
	if v, ok := s.store.Fixed(0x9F07, 2); ok && !s.usageAllowed(emv.AUC(v)) { // 10.4.2
		s.tvr.Set(emv.ServiceNotAllowed)
	}
	today := dayNumber(emv.DateBCD(s.now))
	if v, ok := s.store.Fixed(0x5F25, 3); ok && dayNumber(v) > today { // 10.4.3
		s.tvr.Set(emv.NotYetEffective)
	}
	if v, ok := s.store.Fixed(0x5F24, 3); !ok || dayNumber(v) < today {
		s.tvr.Set(emv.ApplicationExpired)
	}
	return nil
}

// usageAllowed judges the Application Usage Control. EMV 4.4 Book 3, 10.4.2, table 36 (EMV 4.3: table 32).
func (s *Session) usageAllowed(auc emv.AUC) bool {
	where := emv.AUCNotATM
	if s.kernel.Terminal.ATM() {
		where = emv.AUCATM
	}
	if !auc.Has(where) {
		return false
	}
	issuer, ok := s.store.Fixed(0x5F28, 2)
	if !ok {
		return true
	}
	domestic := bytes.Equal(issuer, mustValue(&s.store, 0x9F1A))
	pick := func(home, abroad emv.AUCBit) bool {
		if domestic {
			return auc.Has(home)
		}
		return auc.Has(abroad)
	}
	switch s.tx.Type {
	case emv.Cash:
		if !pick(emv.AUCDomesticCash, emv.AUCInternationalCash) {
			return false
		}
	case emv.Purchase, emv.Cashback:
		goods := pick(emv.AUCDomesticGoods, emv.AUCInternationalGood)
		if !goods && !pick(emv.AUCDomesticServices, emv.AUCInternationalServ) {
			return false
		}
	}
	return s.tx.Other == 0 || pick(emv.AUCDomesticCashback, emv.AUCInternationalBack)
}

// dayNumber orders dates in YYMMDD: years from 50 are of the last century. EMV 4.4 Book 4, 6.7.3.
func dayNumber(b []byte) uint32 {
	n := uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2])
	if b[0] < 0x50 {
		n |= 1 << 24
	}
	return n
}
