package journal

import (
	"encoding/json"
	"fmt"
	"time"

	"posagent/agent/payment"
)

// Record is one transaction. It is the sale: receipt, reprint, void, totals,
// cash-register answer and event are all derived from it. It holds no secret:
// the card number is first six and last four digits.
//
// Its JSON form is stored and promised: fields are added, never renamed.
type Record struct {
	ID        string `json:"id"`         // 26 characters, unique for ever, sorts by time
	Seq       uint64 `json:"seq"`        // position in the journal, from 1
	State     State  `json:"state"`      //
	Requester string `json:"requester"`  // who asked: "operator", "ecr:1", ...
	RequestID string `json:"request_id"` // the requester's own id; the pair is unique

	Type       payment.Type       `json:"type"`
	Amount     payment.Amount     `json:"amount"`   // minor units
	Currency   payment.Currency   `json:"currency"` // stored as its numeric code
	STAN       payment.STAN       `json:"stan"`     // voucher number
	Batch      payment.Batch      `json:"batch"`
	Time       time.Time          `json:"time"` // terminal's local time, with its zone
	TerminalID payment.TerminalID `json:"terminal_id"`
	MerchantID payment.MerchantID `json:"merchant_id"`
	Operator   string             `json:"operator,omitempty"`

	Entry       payment.EntryMode `json:"entry"`
	MaskedPAN   string            `json:"masked_pan,omitempty"` // first 6, stars, last 4
	PANSequence string            `json:"pan_sequence,omitempty"`
	PINEntered  bool              `json:"pin_entered,omitempty"`
	CVM         string            `json:"cvm,omitempty"` // one of the CVM names below
	EMV         *EMV              `json:"emv,omitempty"`
	Original    *payment.Original `json:"original,omitempty"`

	Code     payment.ResponseCode `json:"code,omitempty"`
	RRN      payment.RRN          `json:"rrn,omitempty"`
	AuthCode payment.AuthCode     `json:"auth_code,omitempty"`
	HostTime time.Time            `json:"host_time,omitzero"`
	Issuer   string               `json:"issuer,omitempty"`
	Acquirer string               `json:"acquirer,omitempty"`
	CardOrg  string               `json:"card_org,omitempty"`
	HostText string               `json:"host_text,omitempty"`

	Reason        payment.Reason       `json:"reason,omitempty"`         // why it is or was reversed, or what ended it without an answer
	ReversalCode  payment.ResponseCode `json:"reversal_code,omitempty"`  // the host's answer that ended the reversal
	ReversalTries uint32               `json:"reversal_tries,omitempty"` // reversals sent and not accepted
	LastTry       time.Time            `json:"last_try,omitzero"`
	LastTryNote   string               `json:"last_try_note,omitempty"`

	Copies  map[string]uint32 `json:"copies,omitempty"` // times printed, by name of the copy
	Changes []Change          `json:"changes"`          // every state entered, oldest first
}

// Change is one state entered and when.
type Change struct {
	State State     `json:"state"`
	Event Event     `json:"event,omitempty"` // empty for the first
	Time  time.Time `json:"time"`
}

// CVM names: how the cardholder was verified. They are stored and promised.
const (
	CVMNone       = "none"
	CVMOnlinePIN  = "online_pin"
	CVMOfflinePIN = "offline_pin"
	CVMSignature  = "signature"
	CVMDevice     = "device" // verified on the cardholder's own device
	CVMFailed     = "failed"
)

// EMV is what the chip said, as upper-case hex of the tag's value, except for
// the two names, which are text. It is printed and reported, never interpreted
// here.
type EMV struct {
	AID           string `json:"aid,omitempty"`            // 84 or 4F
	Label         string `json:"label,omitempty"`          // 50, text
	PreferredName string `json:"preferred_name,omitempty"` // 9F12, text
	Cryptogram    string `json:"cryptogram,omitempty"`     // 9F26
	CID           string `json:"cid,omitempty"`            // 9F27: 80 ARQC, 40 TC, 00 AAC
	ATC           string `json:"atc,omitempty"`            // 9F36
	TVR           string `json:"tvr,omitempty"`            // 95
	TSI           string `json:"tsi,omitempty"`            // 9B
	CVMResults    string `json:"cvm_results,omitempty"`    // 9F34
	ARC           string `json:"arc,omitempty"`            // 8A
	UN            string `json:"un,omitempty"`             // 9F37
	AIP           string `json:"aip,omitempty"`            // 82
	IAD           string `json:"iad,omitempty"`            // 9F10
}

// Entered gives the time at which the record entered the state, or the zero
// time.
func (r Record) Entered(s State) time.Time {
	for _, c := range r.Changes {
		if c.State == s {
			return c.Time
		}
	}
	return time.Time{}
}

// Reference is the record as a later void or refund names it.
func (r Record) Reference() payment.Original {
	return payment.Original{Batch: r.Batch, STAN: r.STAN, Date: r.Time.Format("0102"), RRN: r.RRN, AuthCode: r.AuthCode}
}

// plain is Record without its methods, so that encoding/json uses the tags.
type plain Record

// stored is a Record as it is written: the currency is its three-digit code. The
// journal codes it without the detour over the methods below, after which
// encoding/json would look at every byte a second time.
type stored struct {
	plain
	Currency string `json:"currency"`
}

func (r Record) stored() stored { return stored{plain(r), r.Currency.Numeric} }

// record gives the Record back. An unknown currency, state or an empty id is an
// error that names the field.
func (s stored) record() (Record, error) {
	cur, ok := payment.CurrencyByNumeric(s.Currency)
	switch {
	case !ok:
		return Record{}, &FieldError{"currency", fmt.Sprintf("unknown code %q", s.Currency)}
	case !s.State.Known():
		return Record{}, &FieldError{"state", fmt.Sprintf("unknown name %q", string(s.State))}
	case s.ID == "" || s.Seq == 0:
		return Record{}, &FieldError{"id", "empty"}
	case s.STAN == 0 || s.STAN > payment.MaxSTAN:
		return Record{}, &FieldError{"stan", fmt.Sprintf("%d is out of range", uint32(s.STAN))}
	}
	r := Record(s.plain)
	r.Currency = cur
	return r, nil
}

// MarshalJSON writes the currency as its three-digit code.
func (r Record) MarshalJSON() ([]byte, error) { return json.Marshal(r.stored()) }

// UnmarshalJSON reads what MarshalJSON wrote. Errors: those of encoding/json, and
// *FieldError for an unknown currency or state, an empty id, a STAN out of range.
func (r *Record) UnmarshalJSON(b []byte) error {
	var in stored
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	rec, err := in.record()
	if err == nil {
		*r = rec
	}
	return err
}
