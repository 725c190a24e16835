package emv

import (
	"context"
	"errors"

	"posagent/agent/payment"
)

// A Kind is how a kernel ends, or where it pauses.
type Kind string

// The kinds of outcome.
const (
	Approve     Kind = "approve"      // the card gave a TC: the sale stands, offline or after the host
	Decline     Kind = "decline"      // the card gave an AAC
	Online      Kind = "online"       // the card gave an ARQC: ask the host, then complete
	NotAccepted Kind = "not_accepted" // no application in common, or the card refused the service
	TryAgain    Kind = "try_again"    // the card did not answer: insert it again
	Terminated  Kind = "terminated"   // the card broke the rules, or the cardholder cancelled
)

// A Reason says why; its text is stable and is kept in the journal.
type Reason string

// Reasons.
const (
	ReasonNone             Reason = ""
	ReasonCardApproved     Reason = "card_approved"
	ReasonCardDeclined     Reason = "card_declined"     // AAC although TC or ARQC was asked for
	ReasonTerminalDeclined Reason = "terminal_declined" // AAC was asked for by action codes
	ReasonHostDeclined     Reason = "host_declined"     // the host's answer asked for an AAC
	ReasonReferral         Reason = "referral"          // the host asks the merchant to call: declined here
	ReasonUnableOnline     Reason = "unable_online"
	ReasonNoApplication    Reason = "no_application"
	ReasonCardBlocked      Reason = "card_blocked"
	ReasonAppBlocked       Reason = "application_blocked" // what card and terminal have in common is blocked
	ReasonServiceRefused   Reason = "service_not_allowed"
	ReasonCardMute         Reason = "card_mute"   // transmission failed or the card was removed
	ReasonCardData         Reason = "card_data"   // data missing, redundant or malformed
	ReasonCardStatus       Reason = "card_status" // a status word that ends the transaction
	ReasonCardTooMuch      Reason = "card_limits" // more commands, bytes or time than any card needs
	ReasonCryptogram       Reason = "cryptogram"  // a cryptogram of a type the card must not give
	ReasonCDAFailed        Reason = "cda_failed"  // the signature over the cryptogram is wrong
	ReasonCancelled        Reason = "cancelled"   // by the cardholder or the caller's context
	ReasonTimeout          Reason = "timeout"     // the cardholder did not act, or the caller's deadline passed
	ReasonDialogue         Reason = "dialogue"    // the dialogue failed
	ReasonRandom           Reason = "random"      // the random source failed
	ReasonWrongState       Reason = "wrong_state" // completion without a pending online request
)

// A CryptogramType is bits 8 and 7 of the Cryptogram Information Data, 9F27. EMV 4.4 Book 3, 6.5.5.4.
type CryptogramType byte

// Types of cryptogram.
const (
	AAC  CryptogramType = 0x00
	TC   CryptogramType = 0x40
	ARQC CryptogramType = 0x80
)

func (c CryptogramType) String() string {
	switch c {
	case AAC:
		return "AAC"
	case TC:
		return "TC"
	case ARQC:
		return "ARQC"
	}
	return "RFU"
}

// A Cryptogram is the card's answer to GENERATE AC.
type Cryptogram struct {
	Type  CryptogramType
	Info  byte // whole 9F27
	ATC   uint16
	Value [8]byte
}

// An ARC is the Authorisation Response Code, tag 8A: two characters. EMV 4.4 Book 4, Annex A6.
type ARC string

// Codes the terminal itself makes.
const (
	ARCOfflineApproved ARC = "Y1"
	ARCOfflineDeclined ARC = "Z1"
	ARCUnableApproved  ARC = "Y3"
	ARCUnableDeclined  ARC = "Z3"
)

// Approved reports an approval: 00, 10 (partial) and 11 (VIP) of ISO 8583:1987 field 39.
func (a ARC) Approved() bool { return a == "00" || a == "10" || a == "11" }

// Referral reports that the host wants to be called: 01 and 02 of ISO 8583:1987 field 39. EMV 4.4 Book 4, 6.3.8.
func (a ARC) Referral() bool { return a == "01" || a == "02" }

// OnlineResult is what came back from the host. Scripts are the whole 71 and 72 templates, one after another as
// received. With UnableToGoOnline set, nothing else counts: no answer came in time.
type OnlineResult struct {
	ARC              ARC
	IssuerAuthData   []byte // value of tag 91
	Scripts          []byte
	UnableToGoOnline bool
}

// Outcome is what a kernel knows at its end or pause. Values hold as far as the kernel came: a card that fails at
// selection leaves PAN empty.
type Outcome struct {
	Kind   Kind
	Reason Reason
	Cause  error // what exactly the card or the dialogue did, for the trace and the journal; holds no secret

	AID         AID // DF name of the selected application
	Label       string
	PAN         payment.PAN
	PANSequence string // three digits, or empty
	Expiry      string // YYMM
	Track2      payment.Track2
	PINBlock    payment.PINBlock // of an online PIN

	Cryptogram Cryptogram
	CVM        CVMResults
	TVR        TVR
	TSI        TSI
	ARC        ARC

	// Language holds two-letter codes one after another in the cardholder's order (5F2D), CodeTable the ISO 8859 part of
	// the card's texts (9F11, 0 for none). EMV 4.4 Book 4, 11.1.
	Language  string
	CodeTable uint8

	// Fallback tells that the magnetic stripe may be read instead: the chip could not be used, no application was
	// opened, and card and applications are not blocked. Whether it is read is the acquirer's rule.
	Fallback bool

	DE55          []byte // data objects for the host: online request, or advice and completion
	ScriptResults []byte // five bytes for every script, Book 4, Annex A5
}

// Signature reports whether the receipt must have a line to sign on.
func (o Outcome) Signature() bool { return o.CVM.Signature() }

// A Candidate is an application that card and terminal have in common.
type Candidate struct {
	AID       AID
	Label     string // Application Label, or the AID in hexadecimal when the card has none
	Preferred string // Application Preferred Name, when the terminal can show its code table
	Priority  uint8  // 1 highest, 15 lowest, 0 none
	Confirm   bool   // the application must not be selected without the cardholder's confirmation
}

// ErrCancelled and ErrTimeout are returned by a Dialogue when the cardholder cancels or does nothing.
var (
	ErrCancelled = errors.New("cancelled by the cardholder")
	ErrTimeout   = errors.New("the cardholder did nothing")
)

// A PINStatus is what came of a PIN entry.
type PINStatus string

// What can come of a PIN entry.
const (
	PINEntered  PINStatus = "entered"
	PINBypassed PINStatus = "bypassed" // the cardholder skipped it, and the terminal lets him
	PINPadError PINStatus = "pad_error"
)

// PINOutcome is an online PIN entry's result. The kernel never sees a digit.
type PINOutcome struct {
	Status PINStatus
	Block  payment.PINBlock // of PINEntered
}

// A Dialogue asks the cardholder. Both methods may take minutes; they return ErrCancelled and ErrTimeout for what the
// cardholder does, and any other error when asking itself failed.
type Dialogue interface {
	// SelectApplication returns the index of the chosen candidate. It is called with one candidate when the card
	// wants a confirmation.
	SelectApplication(ctx context.Context, candidates []Candidate) (int, error)
	// OnlinePIN lets the PIN pad take and encipher a PIN for the host.
	OnlinePIN(ctx context.Context, pan payment.PAN) (PINOutcome, error)
}
