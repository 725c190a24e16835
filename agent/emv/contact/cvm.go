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
	tried := false
	for _, r := range list.rules {
		if !s.conditionMet(list, r) {
			continue
		}
		ok, err := s.performCVM(ctx, r)
		if err != nil {
			return err
		}
		if ok {
			return nil
		}
		tried = true
		if !r.method.ApplySucceeding() {
			break
		}
	}
	s.tvr.Set(emv.CVMFailed)
	if !tried { // Book 4, 6.3.4.5: no rule's condition was met
		s.cvm = emv.CVMResults{byte(emv.CVMNotPerformed), 0, byte(emv.ResultFailed)}
	}
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

// supports reports whether the terminal can perform a method. Offline PIN needs a PIN pad that talks to the card, which
// this kernel does not drive: it counts as not supported, whatever 9F33 says. EMV 4.4 Book 3, 10.5.
func (s *Session) supports(m emv.CVM) bool {
	caps := s.kernel.Terminal.Capabilities
	switch m.Method() {
	case emv.CVMFail:
		return true // every terminal can fail
	case emv.CVMOnlinePIN:
		return caps.Has(emv.CapOnlinePIN)
	case emv.CVMSignature:
		return caps.Has(emv.CapSignature)
	case emv.CVMNone:
		return caps.Has(emv.CapNoCVM)
	}
	return false
}

// isPIN reports a method that needs a PIN pad.
func isPIN(m emv.CVM) bool {
	switch m.Method() {
	case emv.CVMPlainPIN, emv.CVMOnlinePIN, emv.CVMPlainPINSignature, emv.CVMEncipheredPIN, emv.CVMEncipheredPINSigned:
		return true
	}
	return false
}

// performCVM tries one rule whose condition is met and records it in the CVM results. ok is false when it was
// unsuccessful.
func (s *Session) performCVM(ctx context.Context, r cvRule) (ok bool, err error) {
	result := emv.ResultFailed
	defer func() { s.cvm = emv.CVMResults{byte(r.method), r.condition, byte(result)} }()
	switch m := r.method.Method(); {
	case m == emv.CVMFail:
		return false, nil
	case !s.supports(m):
		switch {
		case isPIN(m): // Book 3, 10.5.1 and 10.5.2
			s.tvr.Set(emv.PINPadNotWorking)
		case m != emv.CVMSignature && m != emv.CVMNone:
			s.tvr.Set(emv.UnrecognisedCVM)
		}
		return false, nil
	case m == emv.CVMNone:
		result = emv.ResultSuccessful
		return true, nil
	case m == emv.CVMSignature:
		result = emv.ResultUnknown
		return true, nil
	}
	if ok, err = s.onlinePIN(ctx); ok {
		result = emv.ResultUnknown
	}
	return ok, err
}

// onlinePIN lets the PIN pad take a PIN for the host. EMV 4.4 Book 3, 10.5.2.
func (s *Session) onlinePIN(ctx context.Context) (bool, error) {
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
	case emv.PINBypassed:
		s.tvr.Set(emv.PINNotEntered)
	default:
		s.tvr.Set(emv.PINPadNotWorking)
	}
	return false, nil
}
