package emv

import "fmt"

// A CVM is a cardholder verification method code: byte 1 of a CV rule. EMV 4.4 Book 3, Annex C3, table 43.
type CVM byte

// Methods, without bit 7.
const (
	CVMFail                 CVM = 0x00
	CVMPlainPIN             CVM = 0x01
	CVMOnlinePIN            CVM = 0x02
	CVMPlainPINSignature    CVM = 0x03
	CVMEncipheredPIN        CVM = 0x04
	CVMEncipheredPINSigned  CVM = 0x05
	CVMSignature            CVM = 0x1E
	CVMNone                 CVM = 0x1F
	CVMNotPerformed         CVM = 0x3F // in CVM Results only, Book 4, Annex A4
	cvmApplySucceedingIfBad CVM = 0x40
	cvmMethodMask           CVM = 0x3F
)

// Method is the code without bit 7.
func (c CVM) Method() CVM { return c & cvmMethodMask }

// ApplySucceeding reports bit 7: the next rule applies when this one is unsuccessful.
func (c CVM) ApplySucceeding() bool { return c&cvmApplySucceedingIfBad != 0 }

var cvmNames = map[CVM]string{
	CVMFail:                "fail CVM processing",
	CVMPlainPIN:            "plaintext PIN verified by the card",
	CVMOnlinePIN:           "enciphered PIN verified online",
	CVMPlainPINSignature:   "plaintext PIN verified by the card, and signature",
	CVMEncipheredPIN:       "enciphered PIN verified by the card",
	CVMEncipheredPINSigned: "enciphered PIN verified by the card, and signature",
	CVMSignature:           "signature",
	CVMNone:                "no CVM required",
	CVMNotPerformed:        "no CVM performed",
}

func (c CVM) String() string {
	if n, ok := cvmNames[c.Method()]; ok {
		return n
	}
	return fmt.Sprintf("CVM %02X", byte(c))
}

// CVMResults is the CVM Results, tag 9F34: method, condition and result. EMV 4.4 Book 4, Annex A4.
type CVMResults [3]byte

// CVMResult is byte 3 of the CVM Results.
type CVMResult byte

// Results of a method.
const (
	ResultUnknown    CVMResult = 0 // for example a signature, or an online PIN before the host answered
	ResultFailed     CVMResult = 1
	ResultSuccessful CVMResult = 2
)

// CVM is the method that was performed last.
func (r CVMResults) CVM() CVM { return CVM(r[0]) }

// Result is what came of it.
func (r CVMResults) Result() CVMResult { return CVMResult(r[2]) }

// Signature reports whether the receipt must have a line to sign on.
func (r CVMResults) Signature() bool {
	switch r.CVM().Method() {
	case CVMSignature, CVMPlainPINSignature, CVMEncipheredPINSigned:
		return r.Result() != ResultFailed
	}
	return false
}

// OnlinePIN reports whether the host must verify a PIN.
func (r CVMResults) OnlinePIN() bool {
	return r.CVM().Method() == CVMOnlinePIN && r.Result() != ResultFailed
}

// OfflinePIN reports whether the card has verified a PIN.
func (r CVMResults) OfflinePIN() bool {
	switch r.CVM().Method() {
	case CVMPlainPIN, CVMEncipheredPIN:
		return r.Result() == ResultSuccessful
	case CVMPlainPINSignature, CVMEncipheredPINSigned: // the signature is still to be judged
		return r.Result() != ResultFailed
	}
	return false
}

func (r CVMResults) String() string {
	result := [...]string{"unknown", "failed", "successful"}
	word := "?"
	if int(r[2]) < len(result) {
		word = result[r[2]]
	}
	return fmt.Sprintf("%02X%02X%02X (%v, condition %02X: %s)", r[0], r[1], r[2], r.CVM(), r[1], word)
}
