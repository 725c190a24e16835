package contactless

import (
	"bytes"

	"posagent/agent/emv"
	"posagent/agent/payment"
)

// checkRestrictions sets the TVR bits of version, usage and dates. EMV Contactless Book C-2, PRE (processing
// restrictions); EMV 4.4 Book 3, 10.4.
func (s *session) checkRestrictions() {
	if v, ok := s.store.Value(0x9F08); ok && !bytes.Equal(v, s.combination.Application.Version[:]) {
		s.tvr.Set(emv.VersionsDiffer)
	}
	if v, ok := s.store.Fixed(0x9F07, 2); ok && !s.usageAllowed(emv.AUC(v)) {
		s.tvr.Set(emv.ServiceNotAllowed)
	}
	today := dayNumber(s.value(0x9A))
	if v, ok := s.store.Fixed(0x5F25, 3); ok && dayNumber(v) > today {
		s.tvr.Set(emv.NotYetEffective)
	}
	if v, ok := s.store.Fixed(0x5F24, 3); !ok || dayNumber(v) < today {
		s.tvr.Set(emv.ApplicationExpired)
	}
}

// usageAllowed judges the Application Usage Control. EMV 4.4 Book 3, 10.4.2, table 36.
func (s *session) usageAllowed(auc emv.AUC) bool {
	where := emv.AUCNotATM
	if s.r.config.Terminal.ATM() {
		where = emv.AUCATM
	}
	issuer, ok := s.store.Fixed(0x5F28, 2)
	if !auc.Has(where) || !ok {
		return auc.Has(where)
	}
	domestic := bytes.Equal(issuer, s.value(0x9F1A))
	pick := func(home, abroad emv.AUCBit) bool {
		return domestic && auc.Has(home) || !domestic && auc.Has(abroad)
	}
	tx := &s.r.tx
	switch tx.Type {
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
	return tx.Other == 0 || pick(emv.AUCDomesticCashback, emv.AUCInternationalBack)
}

// dayNumber orders dates in YYMMDD: years from 50 are of the last century; no date at all is before every other. EMV 4.4
// Book 4, 6.7.3.
func dayNumber(b []byte) uint32 {
	if len(b) != 3 {
		return 0
	}
	n := uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2])
	if b[0] < 0x50 {
		n |= 1 << 24
	}
	return n
}

// amountOf is an amount of six bytes of digits; nil when it is none.
func amountOf(b []byte) *payment.Amount {
	var v payment.Amount
	for _, c := range b {
		if c>>4 > 9 || c&15 > 9 {
			return nil
		}
		v = v*100 + payment.Amount(c>>4)*10 + payment.Amount(c&15)
	}
	return &v
}
