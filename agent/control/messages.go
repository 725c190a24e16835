package control

import (
	"context"
	"time"

	"posagent/agent/journal"
	"posagent/agent/payment"
)

// Part is the health of one part or connection.
type Part struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
}

// Status is where the terminal stands.
type Status struct {
	Serial        string         `json:"serial"`
	Version       string         `json:"version"`
	Model         string         `json:"model"`
	State         string         `json:"state"` // life-cycle state
	Ready         bool           `json:"ready"` // a sale may be begun now
	Why           string         `json:"why,omitempty"`
	Screen        string         `json:"screen"` // stable name of the screen
	TerminalID    string         `json:"terminal_id,omitempty"`
	MerchantID    string         `json:"merchant_id,omitempty"`
	Merchant      string         `json:"merchant,omitempty"`
	Config        uint64         `json:"config_revision"`
	Batch         payment.Batch  `json:"batch"`
	SignedIn      bool           `json:"signed_in"`
	FleetOnline   bool           `json:"fleet_online"`
	OpenReversals int            `json:"open_reversals"`
	Unreported    int            `json:"unreported"` // events the fleet has not acknowledged, at most 100 counted
	Totals        journal.Totals `json:"totals"`
	Parts         []Part         `json:"parts"`
	Started       time.Time      `json:"started"`
}

// SaleRequest asks for a sale. Amount is decimal text in major units ("12.34").
type SaleRequest struct {
	RequestID string `json:"request_id"` // 1 to 64 characters, unique for the requester
	Requester string `json:"requester"`  // default "control"
	Amount    string `json:"amount"`
}

// SaleAnswer is the outcome of a sale.
type SaleAnswer struct {
	Outcome   string          `json:"outcome"` // stable name: "approved", "declined", ...
	Text      string          `json:"text"`    // in words
	Duplicate bool            `json:"duplicate,omitempty"`
	Record    *journal.Record `json:"record,omitempty"` // absent if nothing was begun
	Detail    string          `json:"detail,omitempty"` // for a technician
}

// Error is a refusal of this interface. Code is stable.
type Error struct {
	Code   string `json:"code"`
	Text   string `json:"text"`
	status int
}

func (e *Error) Error() string { return e.Code + ": " + e.Text }

// Is makes errors of one code the same, on both sides of the socket.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Refusals.
var (
	ErrBusy      = &Error{"busy", "the terminal is busy with another transaction; ask again, a sale with the same request id", 409}
	ErrOtherSale = &Error{"other_sale", "this request id was used for a sale of another amount; a new sale takes a new id", 409}
	ErrNotFound  = &Error{"not_found", "no such record", 404}
	ErrNotReady  = &Error{"not_ready", "the terminal cannot sell now; see its status", 409}
	ErrActivated = &Error{"activated", "the terminal is activated already", 409}
)

// BadRequest refuses a request that makes no sense.
func BadRequest(text string) *Error { return &Error{"bad_request", text, 400} }

// Terminal is what the interface operates.
type Terminal interface {
	Status() Status
	// Activate returns when the identity is kept. A refusal is a *wire.Refused.
	Activate(ctx context.Context, code string) error
	// Sale returns when the outcome is durable. It goes on if ctx ends.
	Sale(ctx context.Context, r SaleRequest) (SaleAnswer, error)
	Journal() journal.Reader
	Reprint(ctx context.Context, id string) error
	SelfTest(ctx context.Context) ([]Part, error) // ErrBusy during a sale: the parts are in use
}
