package contactless

import (
	"posagent/agent/emv"
	"posagent/agent/payment"
)

// verifyCardholder is CVM selection of kernel 2: on the device when card and terminal can, by the CVM list otherwise. EMV
// Contactless Book C-2, CVM selection; EMV 4.4 Book 3, 10.5.
func (s *session) verifyCardholder(required bool) CVM {
	none := emv.CVMResults{byte(emv.CVMNotPerformed), 0, byte(emv.ResultUnknown)}
	if s.aip.Has(aipOnDevice) && s.combination.OnDeviceCVM {
		if required {
			s.cvm = emv.CVMResults{byte(emv.CVMPlainPIN), 0, byte(emv.ResultSuccessful)}
			return CVMOnDevice
		}
		none[2] = byte(emv.ResultSuccessful)
		s.cvm = none
		return CVMNone
	}
	list, ok := s.store.Value(0x8E)
	if !s.aip.Has(emv.AIPCV) || !ok || len(list) < 10 || len(list)%2 != 0 {
		if s.aip.Has(emv.AIPCV) && !ok {
			s.tvr.Set(emv.ICCDataMissing)
		}
		s.cvm = none
		return CVMNone
	}
	return s.walkCVMList(list)
}

// walkCVMList takes the first rule whose condition holds and whose method the terminal has. The list is at most 252 bytes.
func (s *session) walkCVMList(list []byte) CVM {
	x, y := binary4(list[:4]), binary4(list[4:8])
	for rules := list[8:]; len(rules) >= 2; rules = rules[2:] {
		rule, condition := emv.CVM(rules[0]), rules[1]
		if !s.conditionHolds(rule, condition, x, y) {
			continue
		}
		result := emv.CVMResults{rules[0], condition, byte(emv.ResultUnknown)}
		caps := emv.Capabilities(s.value(0x9F33))
		switch rule.Method() {
		case emv.CVMOnlinePIN:
			if caps.Has(emv.CapOnlinePIN) {
				s.tvr.Set(emv.OnlinePINEntered)
				s.cvm = result
				return CVMOnlinePIN
			}
		case emv.CVMSignature:
			if caps.Has(emv.CapSignature) {
				s.cvm = result
				return CVMSignature
			}
		case emv.CVMNone:
			if caps.Has(emv.CapNoCVM) {
				result[2] = byte(emv.ResultSuccessful)
				s.cvm = result
				return CVMNone
			}
		case emv.CVMFail, emv.CVMPlainPIN, emv.CVMPlainPINSignature, emv.CVMEncipheredPIN, emv.CVMEncipheredPINSigned:
		default:
			s.tvr.Set(emv.UnrecognisedCVM)
		}
		if !rule.ApplySucceeding() || rule.Method() == emv.CVMFail {
			result[2] = byte(emv.ResultFailed)
			s.cvm = result
			s.tvr.Set(emv.CVMFailed)
			return CVMNone
		}
	}
	s.cvm = emv.CVMResults{byte(emv.CVMNotPerformed), 0, byte(emv.ResultFailed)}
	s.tvr.Set(emv.CVMFailed)
	return CVMNone
}

func binary4(b []byte) payment.Amount {
	return payment.Amount(b[0])<<24 | payment.Amount(b[1])<<16 | payment.Amount(b[2])<<8 | payment.Amount(b[3])
}

// conditionHolds judges a CVM condition code. EMV 4.4 Book 3, Annex C3, table 44.
func (s *session) conditionHolds(rule emv.CVM, condition byte, x, y payment.Amount) bool {
	tx := &s.r.tx
	attended := s.r.config.Terminal.Type.Attended()
	own := string(s.value(0x9F42)) == string(s.value(0x5F2A)) && s.store.Has(0x9F42)
	back := tx.Type == emv.Cashback || tx.Other > 0
	cash := tx.Type == emv.Cash
	switch condition {
	case 0x00:
		return true
	case 0x01:
		return cash && !attended
	case 0x02:
		return !cash && !back
	case 0x03:
		caps := emv.Capabilities(s.value(0x9F33))
		switch rule.Method() {
		case emv.CVMOnlinePIN:
			return caps.Has(emv.CapOnlinePIN)
		case emv.CVMSignature:
			return caps.Has(emv.CapSignature)
		case emv.CVMNone:
			return caps.Has(emv.CapNoCVM)
		}
		return false
	case 0x04:
		return cash && attended
	case 0x05:
		return back
	case 0x06:
		return own && tx.Amount < x
	case 0x07:
		return own && tx.Amount > x
	case 0x08:
		return own && tx.Amount < y
	case 0x09:
		return own && tx.Amount > y
	}
	return false
}
