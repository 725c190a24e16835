package payment

import "time"

// Type is what the cardholder and the merchant agreed to do.
type Type string

// Transaction types. The names are stored in the journal and are promises.
const (
	Sale           Type = "sale"
	Void           Type = "void"
	Refund         Type = "refund"
	BalanceInquiry Type = "balance_inquiry"
)

// Reversible reports whether a lost answer must be reversed. A balance inquiry
// moves no money, a refund is an advice that is repeated.
func (t Type) Reversible() bool { return t == Sale || t == Void }

// EntryMode is how the card data came in (first two digits of field 22).
type EntryMode string

// Entry modes. The names are stored in the journal and are promises.
const (
	Manual      EntryMode = "manual"
	Magstripe   EntryMode = "magstripe"
	Chip        EntryMode = "chip"
	Contactless EntryMode = "contactless"
	QR          EntryMode = "qr"
)

// Original names the transaction that a void, refund or completion is about.
type Original struct {
	Batch    Batch    `json:"batch"`
	STAN     STAN     `json:"stan"`
	Date     string   `json:"date"` // MMDD, terminal time
	RRN      RRN      `json:"rrn,omitempty"`
	AuthCode AuthCode `json:"auth_code,omitempty"`
}

// Request is one financial request to the host. The terminal fills it once;
// packing reads it and changes nothing.
type Request struct {
	Type       Type
	Amount     Amount
	Currency   Currency
	STAN       STAN
	Batch      Batch
	Time       time.Time // terminal's local time
	TerminalID TerminalID
	MerchantID MerchantID
	Operator   string // two digits

	Entry       EntryMode
	PAN         PAN
	Expiry      string // YYMM, may be empty
	PANSequence string // three digits (tag 5F34), may be empty
	Track2      Track2
	PINBlock    PINBlock
	ICC         []byte // field 55, BER-TLV; never holds 5A or 57
	Original    *Original
}

// Response is the host's answer to a Request, matched and with its MAC verified.
type Response struct {
	Code      ResponseCode
	RRN       RRN
	AuthCode  AuthCode
	ICC       []byte    // field 55 of the answer: 91, 71, 72, 8A
	HostTime  time.Time // fields 12 and 13 in the terminal's zone and year; zero if absent
	Issuer    string    // field 44, first part
	Acquirer  string    // field 44, second part
	CardOrg   string    // field 63.1, for example CUP
	Text      string    // field 63 remainder, decoded from GBK
	SignAgain bool      // header asks for a new sign-in (processing requirement 3)
}

// Reason is why a reversal is sent (field 39 of the 0400).
type Reason string

// Reversal reasons of the UnionPay POS profile.
const (
	ReasonNoReply Reason = "98" // no answer in time
	ReasonBadMAC  Reason = "A0" // the answer's MAC is wrong or missing
	ReasonOther   Reason = "06" // chip refused after approval, or the result could not be kept
)

// Reversal is the image of a reversal: the original request without track,
// PIN and chip secrets, and why. AuthCode is set if the host had given one.
type Reversal struct {
	Request  Request
	Reason   Reason
	AuthCode AuthCode
}

// ForReversal gives the request as a reversal may carry it: no track 2, no PIN
// block (UnionPay POS profile: a 0400 never has fields 35, 36, 37, 52, 26, 53).
func (r Request) ForReversal() Request {
	r.Track2, r.PINBlock = Track2{}, PINBlock{}
	return r
}
