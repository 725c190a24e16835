package console

import (
	"context"
	"errors"
	"time"

	"posagent/ota/fleet/enroll"
	"posagent/ota/fleet/store"
	"posagent/ota/wire"
)

// Errors that a Fleet's PushConfig tells apart, besides wire.FieldErrors for a configuration that is not valid.
var (
	// ErrBinding says that the configuration names another merchant or terminal id than the binding of the serial.
	ErrBinding = errors.New("configuration does not fit the binding")
	// ErrRevision says that a revision was asked for that is not above the last one.
	ErrRevision = errors.New("revision goes back")
)

// Fleet is what the console shows and steers.
type Fleet interface {
	Tenant() string
	Terminals(after string, limit int) ([]store.Terminal, error)
	Terminal(serial string) (store.Terminal, *store.Binding, *store.Desired, error)
	Enroll(ctx context.Context, actor string, a enroll.Application) (enroll.Code, error)
	IssueCode(ctx context.Context, actor, serial string) (enroll.Code, error)
	Revoke(ctx context.Context, actor, serial, reason string) error
	PushConfig(ctx context.Context, actor, serial string, cfg wire.Config) (store.Desired, error)
	Events(serial string, after uint64, limit int) ([]store.Event, error)
	LastEvents(serial string, limit int) ([]store.Event, error)
	Audit(after uint64, limit int) ([]store.AuditEntry, error)
	VerifyAudit() (store.AuditHead, error)
}

// Terminal is a terminal as the API shows it: no key, no certificate.
type Terminal struct {
	Serial   string     `json:"serial"`
	Model    string     `json:"model"`
	State    wire.State `json:"state"`
	Since    time.Time  `json:"since"`
	Online   bool       `json:"online"`
	LastSeen time.Time  `json:"last_seen,omitzero"`
	Firmware string     `json:"firmware,omitempty"`
	// Connection is the number of the last connection, 0 before the first.
	Connection      uint64         `json:"connection"`
	DesiredRevision uint64         `json:"desired_revision"`
	DesiredHash     string         `json:"desired_hash,omitempty"`
	Reported        *wire.Reported `json:"reported,omitempty"`
	ReportedAt      time.Time      `json:"reported_at,omitzero"`
	// InSync says that the terminal has reported the desired hash as applied.
	InSync      bool           `json:"in_sync"`
	CodeExpires time.Time      `json:"code_expires,omitzero"` // of an unused code
	Certificate *Certificate   `json:"certificate,omitempty"`
	Binding     *store.Binding `json:"binding,omitempty"` // in the detail only
	Desired     *wire.Config   `json:"desired,omitempty"` // in the detail only
}

// Certificate is what one needs to know of a terminal's certificate.
type Certificate struct {
	Fingerprint string    `json:"fingerprint"`
	NotAfter    time.Time `json:"not_after"`
}

func view(t store.Terminal) Terminal {
	v := Terminal{Serial: t.Serial, Model: t.Model, State: t.State, Since: t.Since, LastSeen: t.LastSeen,
		DesiredRevision: t.DesiredRevision, DesiredHash: t.DesiredHash, Reported: t.Reported, ReportedAt: t.ReportedAt}
	if p := t.Presence; p != nil {
		v.Online, v.Firmware, v.Connection = p.Online, p.Firmware, p.N
	}
	if r := t.Reported; r != nil {
		v.InSync = r.State == wire.ReportedApplied && r.Hash == t.DesiredHash
	}
	if c := t.Code; c != nil && c.UsedBy == "" {
		v.CodeExpires = c.Expires
	}
	if n := len(t.Certs); n > 0 {
		v.Certificate = &Certificate{Fingerprint: t.Certs[n-1].Fingerprint, NotAfter: t.Certs[n-1].NotAfter}
	}
	return v
}

func detail(t store.Terminal, b *store.Binding, d *store.Desired) (Terminal, error) {
	v := view(t)
	v.Binding = b
	if d == nil {
		return v, nil
	}
	var env wire.Envelope
	if err := wire.Decode(d.Envelope, &env); err != nil {
		return v, err
	}
	v.Desired = new(wire.Config)
	return v, wire.Decode(env.Payload, v.Desired)
}
