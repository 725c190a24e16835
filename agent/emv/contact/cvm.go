package contact

import (
	"context"
	"errors"
	"fmt"

	"posagent/agent/emv"
)

// A cvmList is the Cardholder Verification Method List, tag 8E. EMV 4.4 Book 3, 10.5 and Annex C3.
type cvmList struct {
	x, y  uint64 // amounts in the application's currency, minor units
	rules []cvRule
}

// A cvRule is a Cardholder Verification Rule.
type cvRule struct {
	method    emv.CVM
	condition byte
}

var errCVMList = errors.New("CVM list is not valid")

// maxCVRules is how many rules a list of 252 bytes holds.
const maxCVRules = 122

// parseCVMList checks and splits a CVM list. A list without rules is none.
func parseCVMList(b []byte) (cvmList, error) {
	if len(b) < 8 || len(b)%2 != 0 || (len(b)-8)/2 > maxCVRules {
		return cvmList{}, fmt.Errorf("%w: %d bytes", errCVMList, len(b))
	}
	l := cvmList{x: amountOf(b[0:4]), y: amountOf(b[4:8])}
	for b = b[8:]; len(b) > 0; b = b[2:] {
		l.rules = append(l.rules, cvRule{emv.CVM(b[0]), b[1]})
	}
	return l, nil
}

func amountOf(b []byte) uint64 {
	return uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])
}

// verifyCardholder processes the CVM list. EMV 4.4 Book 3, 10.5; Book 4, 6.3.4.
func (s *Session) verifyCardholder(ctx context.Context) error {
	s.cvm = emv.CVMResults{byte(emv.CVMNotPerformed), 0, byte(emv.ResultUnknown)}
	if !s.aip.Has(emv.AIPCV) {
		return nil
	}
	raw, ok := s.store.Value(0x8E)
	if !ok || len(raw) == 8 { // without a list, or with amounts alone, nothing is performed
		s.tvr.Set(emv.ICCDataMissing) // Book 3, 7.5: the AIP promised one
		return nil
	}
	list, err := parseCVMList(raw)
	if err != nil {
		return terminate(emv.ReasonCardData, "8E: %w", err)
	}
	s.tsi.Set(emv.CVPerformed)
	s.cvm = emv.CVMResults{byte(emv.CVMNotPerformed), 0, byte(emv.ResultFailed)} // until one is performed
	for _, r := range list.rules {
		if !s.conditionMet(list, r) {
			continue
		}
		ok, err := s.performCVM(ctx, r)
		if err != nil || ok {
			return err
		}
		if !r.method.ApplySucceeding() {
			break
		}
	}
	s.tvr.Set(emv.CVMFailed)
	return nil
}

// conditionMet judges a rule's condition code. A code the terminal does not know is not met. EMV 4.4 Book 3, Annex C3,
// table 44 (EMV 4.3: table 40).
func (s *Session) conditionMet(l cvmList, r cvRule) bool {
	cash := s.tx.Type == emv.Cash
	attended := s.kernel.Terminal.Type.Attended()
	amount := uint64(s.tx.Amount)
	switch r.condition {
	case 0x00: // always
		return true
	case 0x01: // unattended cash
		return cash && !attended
	case 0x02: // not unattended cash, not manual cash, not purchase with cashback
		return !cash && s.tx.Other == 0
	case 0x03: // the terminal supports the CVM
		return s.supports(r.method)
	case 0x04: // manual cash
		return cash && attended
	case 0x05: // purchase with cashback
		return !cash && s.tx.Other > 0
	case 0x06: // in application currency and under X
		return s.inApplicationCurrency() && amount < l.x
	case 0x07:
		return s.inApplicationCurrency() && amount > l.x
	case 0x08:
		return s.inApplicationCurrency() && amount < l.y
	case 0x09:
		return s.inApplicationCurrency() && amount > l.y
	}
	return false
}

func (s *Session) inApplicationCurrency() bool {
	app, ok := s.store.Fixed(0x9F42, 2)
	own := mustValue(&s.store, 0x5F2A)
	return ok && len(own) == 2 && app[0] == own[0] && app[1] == own[1]
}

// supports reports whether the terminal can perform a method; of a combination, both halves. Offline PIN needs a dialogue
// that is an emv.OfflinePINPad. EMV 4.4 Book 3, 10.5 and 10.5.4.
func (s *Session) supports(m emv.CVM) bool {
	caps := s.kernel.Terminal.Capabilities
	_, pad := s.dialogue.(emv.OfflinePINPad)
	switch m.Method() {
	case emv.CVMFail:
		return true // every terminal can fail
	case emv.CVMOnlinePIN:
		return caps.Has(emv.CapOnlinePIN)
	case emv.CVMPlainPIN:
		return pad && caps.Has(emv.CapPlainPIN)
	case emv.CVMEncipheredPIN:
		return pad && caps.Has(emv.CapEncipheredPIN)
	case emv.CVMPlainPINSignature:
		return s.supports(emv.CVMPlainPIN) && caps.Has(emv.CapSignature)
	case emv.CVMEncipheredPINSigned:
		return s.supports(emv.CVMEncipheredPIN) && caps.Has(emv.CapSignature)
	case emv.CVMSignature:
		return caps.Has(emv.CapSignature)
	case emv.CVMNone:
		return caps.Has(emv.CapNoCVM)
	}
	return false
}

// performCVM tries one rule whose condition is met. CVM results tell of the last method that was performed: one that is
// not recognised or not supported leaves them as they are. ok is false when the rule was unsuccessful. EMV 4.4 Book 3,
// 10.5; Book 4, 6.3.4.5 and Annex A4.
func (s *Session) performCVM(ctx context.Context, r cvRule) (ok bool, err error) {
	if !s.supports(r.method) {
		s.unsupported(r.method)
		return false, nil
	}
	result := emv.ResultFailed
	switch r.method.Method() {
	case emv.CVMNone:
		ok, result = true, emv.ResultSuccessful
	case emv.CVMSignature:
		ok, result = true, emv.ResultUnknown
	case emv.CVMOnlinePIN:
		if ok, err = s.onlinePIN(ctx); ok {
			result = emv.ResultUnknown
		}
	case emv.CVMPlainPIN, emv.CVMEncipheredPIN:
		if ok, err = s.offlinePIN(ctx, r.method); ok {
			result = emv.ResultSuccessful
		}
	case emv.CVMPlainPINSignature, emv.CVMEncipheredPINSigned: // 10.5.4
		if ok, err = s.offlinePIN(ctx, r.method); ok {
			result = emv.ResultUnknown // of the signature
		}
	}
	s.cvm = emv.CVMResults{byte(r.method), r.condition, byte(result)}
	return ok, err
}

// unsupported sets the TVR bit of a method that cannot be performed. A terminal that can do one kind of offline PIN has a
// PIN pad that works: the other kind sets nothing. EMV 4.4 Book 3, 10.5, 10.5.1 and 10.5.2.
func (s *Session) unsupported(m emv.CVM) {
	switch m.Method() {
	case emv.CVMSignature, emv.CVMNone:
	case emv.CVMOnlinePIN:
		s.tvr.Set(emv.PINPadNotWorking)
	case emv.CVMPlainPIN, emv.CVMPlainPINSignature, emv.CVMEncipheredPIN, emv.CVMEncipheredPINSigned:
		if !s.supports(emv.CVMPlainPIN) && !s.supports(emv.CVMEncipheredPIN) {
			s.tvr.Set(emv.PINPadNotWorking)
		}
	default:
		s.tvr.Set(emv.UnrecognisedCVM)
	}
}

// onlinePIN lets the PIN pad take a PIN for the host. EMV 4.4 Book 3, 10.5.2.
func (s *Session) onlinePIN(ctx context.Context) (bool, error) {
	if s.bypassed {
		s.tvr.Set(emv.PINNotEntered)
		return false, nil
	}
	out, err := s.dialogue.OnlinePIN(ctx, s.pan)
	if err != nil {
		return false, dialogueStop(err)
	}
	switch out.Status {
	case emv.PINEntered:
		if out.Block.IsZero() {
			return false, dialogueStop(errors.New("PIN entered without a PIN block"))
		}
		s.tvr.Set(emv.OnlinePINEntered)
		s.pinBlock = out.Block
		return true, nil
	default:
		s.noPIN(out.Status)
	}
	return false, nil
}

// noPIN is a PIN entry without a PIN. Once bypassed, PIN entry counts as bypassed for every later method. EMV 4.4 Book 3,
// 10.5.1; Book 4, 6.3.4.3.
func (s *Session) noPIN(status emv.PINStatus) {
	if status == emv.PINBypassed {
		s.bypassed = true
		s.tvr.Set(emv.PINNotEntered)
		return
	}
	s.tvr.Set(emv.PINPadNotWorking)
}
