package wire

import (
	"strconv"
	"strings"
	"time"
)

// EventSchema is the schema number of Event written by this version.
const EventSchema = 1

// EventKind says which part of an Event is filled.
type EventKind string

// Event kinds.
const (
	EventTransaction EventKind = "transaction" // Transaction
	EventSettlement  EventKind = "settlement"  // Settlement
	EventDevice      EventKind = "device"      // Device
)

// Event is one fact on its way from the terminal's outbox to the fleet. It is sent again until an Ack names its ID; the
// fleet stores it once. The ID is fixed when the fact is journalled: the same record never travels under two ids.
type Event struct {
	ID       string    `json:"id"`     // 1 to 64 letters, digits and -._:+ ; unique for this serial for ever
	Schema   uint32    `json:"schema"` // EventSchema
	Kind     EventKind `json:"kind"`
	RecordID string    `json:"record_id,omitempty"` // of the journal record it is drawn from
	// LocalTime is the terminal's wall clock with its offset when the fact happened.
	LocalTime   time.Time         `json:"local_time"`
	Transaction *TransactionEvent `json:"transaction,omitempty"`
	Settlement  *SettlementEvent  `json:"settlement,omitempty"`
	Device      *DeviceEvent      `json:"device,omitempty"`
}

// TransactionEvent is a final journal record without anything secret.
type TransactionEvent struct {
	Type         string `json:"type"`     // as in agent/payment: "sale", "void", "refund" ...
	State        string `json:"state"`    // "approved", "declined", "reversed" ...
	Amount       int64  `json:"amount"`   // minor units, not negative
	Currency     string `json:"currency"` // ISO 4217 numeric, 3 digits
	MaskedPAN    string `json:"masked_pan,omitempty"`
	EntryMode    string `json:"entry_mode,omitempty"` // "chip", "contactless", "magstripe", "manual", "qr"
	STAN         string `json:"stan"`                 // 6 digits
	Batch        string `json:"batch,omitempty"`      // 6 digits
	RRN          string `json:"rrn,omitempty"`        // 12 letters or digits
	ResponseCode string `json:"response_code,omitempty"`
	AuthCode     string `json:"auth_code,omitempty"`
	TerminalID   string `json:"terminal_id"` // 8 characters
	MerchantID   string `json:"merchant_id"` // 15 characters
	Offline      bool   `json:"offline,omitempty"`
	Test         bool   `json:"test,omitempty"`
}

// SettlementEvent is a closed batch.
type SettlementEvent struct {
	Batch       string `json:"batch"`
	Currency    string `json:"currency"`
	DebitCount  uint32 `json:"debit_count"`
	DebitTotal  int64  `json:"debit_total"` // minor units
	CreditCount uint32 `json:"credit_count"`
	CreditTotal int64  `json:"credit_total"`
	Balanced    bool   `json:"balanced"`
	TerminalID  string `json:"terminal_id"`
	MerchantID  string `json:"merchant_id"`
}

// DeviceEvent is a fact about the machine: paper out, reader lost, start.
type DeviceEvent struct {
	Code     string `json:"code"`     // stable name, as in "printer.paper_out"
	Severity string `json:"severity"` // "info", "warning", "critical"
	Text     string `json:"text,omitempty"`
}

func (*Event) strict() bool { return false }

// Validate implements Message. It refuses a card number that is not masked to first 6 and last 4 (PCI DSS 4.0, 3.4.1).
func (m *Event) Validate() error {
	var c checker
	c.ascii("id", m.ID, 1, 64)
	c.require(m.Schema >= 1, "schema", "want 1 or more")
	c.ascii("kind", string(m.Kind), 1, 32)
	c.ascii("record_id", m.RecordID, 0, 64)
	c.time("local_time", m.LocalTime)
	parts := 0
	if m.Transaction != nil {
		parts++
		m.Transaction.validate(&c)
	}
	if m.Settlement != nil {
		parts++
		m.Settlement.validate(&c)
	}
	if m.Device != nil {
		parts++
		m.Device.validate(&c)
	}
	switch m.Kind {
	case EventTransaction:
		c.part(m.Transaction != nil, parts, "transaction")
	case EventSettlement:
		c.part(m.Settlement != nil, parts, "settlement")
	case EventDevice:
		c.part(m.Device != nil, parts, "device")
	}
	return c.err()
}

func (c *checker) part(have bool, parts int, kind string) {
	if !have {
		c.add(kind, ErrMissing, "an event of kind %s needs it", kind)
	} else if parts != 1 {
		c.add("kind", ErrInvalid, "parts of other kinds are filled too")
	}
}

func (m *TransactionEvent) validate(c *checker) {
	c.ascii("transaction.type", m.Type, 1, 32)
	c.ascii("transaction.state", m.State, 1, 32)
	c.amount("transaction.amount", m.Amount, MaxAmount)
	c.digits("transaction.currency", m.Currency, 3, 3)
	if m.MaskedPAN != "" {
		c.require(masked(m.MaskedPAN), "transaction.masked_pan", "want at most first 6 and last 4 of 12 to 19 characters, the rest *")
	}
	c.ascii("transaction.entry_mode", m.EntryMode, 0, 32)
	c.digits("transaction.stan", m.STAN, 6, 6)
	if m.Batch != "" {
		c.digits("transaction.batch", m.Batch, 6, 6)
	}
	if m.RRN != "" {
		c.ascii("transaction.rrn", m.RRN, 12, 12)
	}
	c.ascii("transaction.response_code", m.ResponseCode, 0, 2)
	c.ascii("transaction.auth_code", m.AuthCode, 0, 6)
	c.ascii("transaction.terminal_id", m.TerminalID, 8, 8)
	c.ascii("transaction.merchant_id", m.MerchantID, 15, 15)
}

func (m *SettlementEvent) validate(c *checker) {
	c.digits("settlement.batch", m.Batch, 6, 6)
	c.digits("settlement.currency", m.Currency, 3, 3)
	c.amount("settlement.debit_total", m.DebitTotal, maxTotal)
	c.amount("settlement.credit_total", m.CreditTotal, maxTotal)
	c.ascii("settlement.terminal_id", m.TerminalID, 8, 8)
	c.ascii("settlement.merchant_id", m.MerchantID, 15, 15)
}

func (m *DeviceEvent) validate(c *checker) {
	c.ascii("device.code", m.Code, 1, 64)
	oneOf(c, "device.severity", m.Severity, "info", "warning", "critical")
	c.text("device.text", m.Text, 0, 200)
}

// masked wants 12 to 19 characters: at most 6 digits, then at least two *, then at most 4 digits.
func masked(s string) bool {
	first := len(s) - len(strings.TrimLeft(s, "0123456789"))
	last := len(s) - len(strings.TrimRight(s, "0123456789"))
	stars := strings.Count(s, "*")
	return len(s) >= 12 && len(s) <= 19 && first <= 6 && last <= 4 && stars >= 2 && first+stars+last == len(s)
}

// MaxAcks is the most ids in one Ack.
const MaxAcks = 64

// Ack says which events are stored durably, or are refused for good; either way they leave the terminal's outbox.
type Ack struct {
	IDs     []string       `json:"ids,omitempty"`
	Refused []RefusedEvent `json:"refused,omitempty"`
}

// RefusedEvent is an event that the fleet will never store. The terminal keeps it aside and goes on.
type RefusedEvent struct {
	ID     string `json:"id"`
	Path   string `json:"path,omitempty"`
	Reason string `json:"reason"`
}

func (*Ack) strict() bool { return false }

// Validate implements Message.
func (m *Ack) Validate() error {
	var c checker
	n := len(m.IDs) + len(m.Refused)
	c.require(n >= 1 && n <= MaxAcks, "ids", "want 1 to %d with refused, have %d", MaxAcks, n)
	for i, id := range m.IDs {
		c.ascii("ids["+strconv.Itoa(i)+"]", id, 1, 64)
	}
	for i, r := range m.Refused {
		at := "refused[" + strconv.Itoa(i) + "]."
		c.ascii(at+"id", r.ID, 1, 64)
		c.text(at+"path", r.Path, 0, 200)
		c.text(at+"reason", r.Reason, 1, 500)
	}
	return c.err()
}
