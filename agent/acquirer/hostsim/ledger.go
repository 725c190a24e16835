package hostsim

import (
	"time"

	"posagent/agent/payment"
)

// State is what a request has done to the cardholder's money.
type State string

// States of an entry.
const (
	Applied  State = "applied"
	Reversed State = "reversed"
	Voided   State = "voided"
	Declined State = "declined"
)

// Entry is one financial request in the host's own books.
type Entry struct {
	Terminal payment.TerminalID   `json:"tid"`
	Merchant payment.MerchantID   `json:"mid"`
	Batch    payment.Batch        `json:"batch"`
	STAN     payment.STAN         `json:"stan"`
	MTI      string               `json:"mti"`
	Type     payment.Type         `json:"type"`
	Amount   payment.Amount       `json:"amount"` // minor units
	PAN      string               `json:"pan"`    // masked
	RRN      payment.RRN          `json:"rrn"`
	AuthCode payment.AuthCode     `json:"auth_code,omitempty"`
	Code     payment.ResponseCode `json:"code"`
	State    State                `json:"state"`
	At       time.Time            `json:"at"`
	ChangeAt time.Time            `json:"change_at,omitzero"` // when it was reversed or voided
	Reason   payment.Reason       `json:"reason,omitempty"`   // of the reversal
	Repeats  uint32               `json:"repeats,omitempty"`  // how often the request came again
}

// key is what makes a financial request one request.
type key struct {
	tid   payment.TerminalID
	batch payment.Batch
	stan  payment.STAN
}

// enter appends an entry. The caller holds the lock.
func (h *Host) enter(k key, e Entry) {
	h.index[k] = len(h.ledger)
	h.ledger = append(h.ledger, e)
	h.announce()
}

// turn changes the state of an entry and gives it as it is then. The caller holds
// the lock.
func (h *Host) turn(k key, to State, reason payment.Reason) Entry {
	e := &h.ledger[h.index[k]]
	e.State, e.ChangeAt = to, h.cfg.Now()
	if reason != "" {
		e.Reason = reason
	}
	h.announce()
	return *e
}

func (h *Host) announce() {
	close(h.changed)
	h.changed = make(chan struct{})
}
