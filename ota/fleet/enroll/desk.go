package enroll

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"posagent/ota/fleet/store"
	"posagent/ota/wire"
)

// Rules of an activation code.
const (
	CodeLife  = 15 * time.Minute
	CodeTries = 5 // wrong proofs
)

// Errors of the administrator's side. Besides these store.ErrBound, store.ErrExists and store.ErrNotFound.
var (
	ErrField = errors.New("field is not valid") // wraps a wire.FieldError
	ErrState = errors.New("not possible in this state")
)

// Desk does the enrolment.
type Desk struct {
	store     store.Store
	authority *Authority
	tenant    string
	broker    func() string // advertised host:port of the main listener
	now       func() time.Time
	limit     limiter
	pending   exchanges
}

// NewDesk returns a desk. broker gives the address that goes into certificates' messages.
func NewDesk(s store.Store, a *Authority, tenant string, broker func() string, now func() time.Time) *Desk {
	return &Desk{store: s, authority: a, tenant: tenant, broker: broker, now: now}
}

// Application registers a machine for a merchant.
type Application struct {
	Serial     string `json:"serial"`
	Model      string `json:"model"`
	MerchantID string `json:"merchant_id"` // 15 digits
	TerminalID string `json:"terminal_id"` // 8 letters or digits
}

// Validate lists every wrong field.
func (a Application) Validate() error {
	var errs []error
	wrong := func(ok bool, path, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%w: %w", ErrField, &wire.FieldError{Path: path, Kind: wire.ErrInvalid, Detail: want}))
		}
	}
	wrong(wire.ValidSerial(a.Serial), "serial", "want 4 to 39 letters, digits and inner hyphens")
	wrong(len(a.Model) >= 1 && len(a.Model) <= 64, "model", "want 1 to 64 characters")
	wrong(len(a.MerchantID) == 15 && all(a.MerchantID, digit), "merchant_id", "want 15 digits")
	wrong(len(a.TerminalID) == 8 && all(a.TerminalID, func(c byte) bool {
		return digit(c) || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
	}), "terminal_id", "want 8 letters or digits")
	return errors.Join(errs...)
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func all(s string, ok func(byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}

// Register makes a the active binding of its serial. A serial or terminal id that is bound already is store.ErrBound.
func (d *Desk) Register(ctx context.Context, actor string, a Application) error {
	if err := a.Validate(); err != nil {
		return fmt.Errorf("register terminal: %w", err)
	}
	now := d.now().UTC()
	err := d.store.Update(ctx, func(tx store.Tx) error {
		if err := tx.Bind(store.Binding{Serial: a.Serial, MerchantID: a.MerchantID, TerminalID: a.TerminalID, From: now, By: actor}); err != nil {
			return err
		}
		t, err := tx.Terminal(a.Serial)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err != nil {
			t = store.Terminal{Serial: a.Serial, Registered: now}
		}
		t.Model, t.State, t.Since = a.Model, wire.StateApproved, now
		if err := tx.PutTerminal(t); err != nil {
			return err
		}
		return d.audit(tx, actor, "terminal.registered", a.Serial, map[string]string{
			"model": a.Model, "merchant_id": a.MerchantID, "terminal_id": a.TerminalID, "state": string(t.State)})
	})
	if err != nil {
		return fmt.Errorf("register terminal: %w", err)
	}
	return nil
}

// Code is an issued activation code, shown once.
type Code struct {
	Serial  string    `json:"serial"`
	Code    string    `json:"code"` // "ABCD-EFGH"
	Expires time.Time `json:"expires"`
}

// IssueCode makes a new code for a serial that is APPROVED or ACTIVE; an older code is void from then on.
func (d *Desk) IssueCode(ctx context.Context, actor, serial string) (Code, error) {
	raw := make([]byte, wire.CodeLength)
	rand.Read(raw) // never fails
	for i := range raw {
		raw[i] = wire.CodeAlphabet[raw[i]&31]
	}
	key, err := wire.CodeKey(serial, string(raw))
	if err != nil {
		return Code{}, fmt.Errorf("issue code: %w", err)
	}
	now := d.now().UTC()
	expires := now.Add(CodeLife)
	err = d.store.Update(ctx, func(tx store.Tx) error {
		t, err := tx.Terminal(serial)
		if err != nil {
			return err
		}
		if !mayActivate(t.State) {
			return fmt.Errorf("%w: %s", ErrState, t.State)
		}
		t.Code = &store.Code{Key: key, Issued: now, Expires: expires}
		if err := tx.PutTerminal(t); err != nil {
			return err
		}
		return d.audit(tx, actor, "code.issued", serial, map[string]string{"expires": expires.Format(time.RFC3339)})
	})
	if err != nil {
		return Code{}, fmt.Errorf("issue code for %s: %w", serial, err)
	}
	return Code{Serial: serial, Code: string(raw[:4]) + "-" + string(raw[4:]), Expires: expires}, nil
}

// mayActivate: APPROVED for the first time, ACTIVE for a machine that has lost its storage.
func mayActivate(s wire.State) bool { return s == wire.StateApproved || s == wire.StateActive }

// Revoke takes every certificate of a serial off the allow list and ends its binding. The caller closes the connection.
func (d *Desk) Revoke(ctx context.Context, actor, serial, reason string) error {
	now := d.now().UTC()
	err := d.store.Update(ctx, func(tx store.Tx) error {
		t, err := tx.Terminal(serial)
		if err != nil {
			return err
		}
		if err := tx.Unbind(serial, now); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		t.Certs, t.Code, t.State, t.Since = nil, nil, wire.StateDeactivated, now
		if err := tx.PutTerminal(t); err != nil {
			return err
		}
		return d.audit(tx, actor, "terminal.deactivated", serial, map[string]string{"reason": reason})
	})
	if err != nil {
		return fmt.Errorf("revoke %s: %w", serial, err)
	}
	return nil
}

func (d *Desk) audit(tx store.Tx, actor, action, serial string, detail map[string]string) error {
	_, err := tx.AppendAudit(store.AuditEntry{Time: d.now(), Actor: actor, Action: action, Serial: serial, Detail: detail})
	return err
}
