package store

import (
	"context"
	"errors"
	"time"

	"posagent/ota/wire"
)

// Errors that callers branch on.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("exists already")
	// ErrBound says that the serial has an active binding, or the merchant's terminal id is bound to another serial.
	ErrBound   = errors.New("bound already")
	ErrClosed  = errors.New("store is closed")
	ErrInUse   = errors.New("store is held by another process")
	ErrDamaged = errors.New("store is damaged")
)

// MaxList bounds every list that one call returns.
const MaxList = 1000

// Store is an engine.
type Store interface {
	// View runs fn on a consistent snapshot.
	View(fn func(Tx) error) error
	// Update runs fn in a transaction and returns when the change is durable. An error of fn undoes what fn did and is
	// returned as it is. Fn may run more than once. A ctx that ends while queued returns its error; once fn has begun
	// the change is carried through.
	Update(ctx context.Context, fn func(Tx) error) error
	Close() error
}

// Tx is one transaction. Lists are at most MaxList long; records returned are the caller's own copies.
type Tx interface {
	Terminal(serial string) (Terminal, error) // ErrNotFound
	PutTerminal(Terminal) error
	// Terminals lists by serial, after the named one.
	Terminals(after string, limit int) ([]Terminal, error)

	// Bind makes b the active binding of its serial, or returns ErrBound.
	Bind(b Binding) error
	Binding(serial string) (Binding, error) // ErrNotFound
	// Unbind ends the active binding of a serial. It is kept in the history.
	Unbind(serial string, at time.Time) error

	// Desired is the signed document a terminal shall have.
	Desired(serial string) (Desired, error) // ErrNotFound
	PutDesired(serial string, d Desired) error

	// AddEvent stores e and numbers it, unless its serial has an event of the same id: then added is false.
	AddEvent(e Event) (added bool, err error)
	// Events lists in the order stored, after number after; "" is every serial.
	Events(serial string, after uint64, limit int) ([]Event, error)
	// LastEvents lists the newest first.
	LastEvents(serial string, limit int) ([]Event, error)

	// AppendAudit adds an entry to the chain; Seq, Prev and Hash are filled.
	AppendAudit(e AuditEntry) (AuditEntry, error)
	Audit(after uint64, limit int) ([]AuditEntry, error)
	AuditHead() (AuditHead, error)
}

// Terminal is one terminal as the fleet knows it.
type Terminal struct {
	Serial     string     `json:"serial"`
	Model      string     `json:"model"`
	State      wire.State `json:"state"`
	Since      time.Time  `json:"since"` // of State
	Registered time.Time  `json:"registered"`
	Code       *Code      `json:"code,omitempty"`
	Certs      []Cert     `json:"certs,omitempty"` // allowed to connect
	// Presence is the last birth; Online and N follow wills as well.
	Presence *wire.Presence `json:"presence,omitempty"`
	LastSeen time.Time      `json:"last_seen,omitzero"`
	// DesiredRevision and DesiredHash repeat what Desired holds, for lists.
	DesiredRevision uint64         `json:"desired_revision"`
	DesiredHash     string         `json:"desired_hash,omitempty"`
	Reported        *wire.Reported `json:"reported,omitempty"`
	ReportedAt      time.Time      `json:"reported_at,omitzero"`
}

// Code is an issued activation code: its proof key, never the code.
type Code struct {
	Key     []byte    `json:"key"` // wire.CodeKey
	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires"`
	Tries   uint32    `json:"tries"` // wrong ones
	// UsedBy is the SPKI digest of the key that used the code; "" is unused.
	UsedBy string `json:"used_by,omitempty"`
}

// Cert is one certificate of a terminal.
type Cert struct {
	Fingerprint string    `json:"fingerprint"` // SHA-256 of the DER, hex
	SPKI        string    `json:"spki"`        // SHA-256 of the public key, hex
	NotAfter    time.Time `json:"not_after"`
	Chain       string    `json:"chain"` // PEM
}

// Binding ties a serial to a merchant: one machine, one code.
type Binding struct {
	Serial     string    `json:"serial"`
	MerchantID string    `json:"merchant_id"`
	TerminalID string    `json:"terminal_id"`
	Version    uint64    `json:"version"` // 1 for the first binding of a serial
	From       time.Time `json:"from"`
	Until      time.Time `json:"until,omitzero"` // zero: active
	By         string    `json:"by"`
}

// Desired is a signed document as it is published.
type Desired struct {
	Revision uint64    `json:"revision"`
	Hash     string    `json:"hash"`
	Envelope []byte    `json:"envelope"` // encoded wire.Envelope
	At       time.Time `json:"at"`
	By       string    `json:"by"`
}

// Event is a terminal's event and when it was stored.
type Event struct {
	Number   uint64     `json:"number"` // over all terminals, from 1
	Serial   string     `json:"serial"`
	Received time.Time  `json:"received"`
	Event    wire.Event `json:"event"`
}
