package fleet

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"posagent/ota/fleet/console"
	"posagent/ota/fleet/enroll"
	"posagent/ota/fleet/store"
	"posagent/ota/wire"
)

// Errors of PushConfig. Besides these a wire.FieldError list for a configuration that is not valid, and
// store.ErrNotFound.
var (
	ErrBinding  = console.ErrBinding
	ErrRevision = console.ErrRevision
)

// clockSkew is how far a terminal's clock may run behind the fleet's for a fresh document.
const clockSkew = 10 * time.Minute

// Enroll registers a terminal and issues its first activation code. The code is shown once and kept nowhere.
func (s *Server) Enroll(ctx context.Context, actor string, a enroll.Application) (enroll.Code, error) {
	if err := s.desk.Register(ctx, actor, a); err != nil {
		return enroll.Code{}, err
	}
	return s.desk.IssueCode(ctx, actor, a.Serial)
}

// IssueCode gives a registered terminal a new activation code.
func (s *Server) IssueCode(ctx context.Context, actor, serial string) (enroll.Code, error) {
	return s.desk.IssueCode(ctx, actor, serial)
}

// Revoke deactivates a terminal and closes its connection.
func (s *Server) Revoke(ctx context.Context, actor, serial, reason string) error {
	if err := s.desk.Revoke(ctx, actor, serial, reason); err != nil {
		return err
	}
	s.allow(store.Terminal{Serial: serial})
	s.broker.Kick(serial)
	s.log.Info("terminal deactivated", "serial", serial, "by", actor, "reason", reason)
	return nil
}

// PushConfig makes cfg the desired configuration of serial. Schema 0 and revision 0 are filled; any other revision must
// be above the last one, by maxLeap at most. It returns when the document is durable; delivery follows when the terminal is there.
func (s *Server) PushConfig(ctx context.Context, actor, serial string, cfg wire.Config) (store.Desired, error) {
	if cfg.Schema == 0 {
		cfg.Schema = wire.ConfigSchema
	}
	var d store.Desired
	err := s.store.Update(ctx, func(tx store.Tx) error {
		t, err := tx.Terminal(serial)
		if err != nil {
			return err
		}
		b, err := tx.Binding(serial)
		if err != nil {
			return err
		}
		if d, err = s.signConfig(cfg, t, b); err != nil {
			return err
		}
		d.By = actor
		t.DesiredRevision, t.DesiredHash = d.Revision, d.Hash
		return errors.Join(tx.PutDesired(serial, d), tx.PutTerminal(t),
			s.audit(tx, actor, "config.pushed", serial, map[string]string{"revision": decimal(d.Revision), "hash": d.Hash}))
	})
	if err != nil {
		return store.Desired{}, fmt.Errorf("push configuration to %s: %w", serial, err)
	}
	s.log.Info("configuration pushed", "serial", serial, "revision", d.Revision, "by", actor)
	s.offer(serial)
	return d, nil
}

// maxLeap bounds how far a given revision may be above the last one: a slip must not use up the numbers, because a
// terminal never goes back.
const maxLeap = 1 << 20

// signConfig makes the document that follows t's last one.
func (s *Server) signConfig(cfg wire.Config, t store.Terminal, b store.Binding) (store.Desired, error) {
	switch {
	case cfg.Revision == 0:
		cfg.Revision = t.DesiredRevision + 1
	case cfg.Revision <= t.DesiredRevision:
		return store.Desired{}, fmt.Errorf("%w: revision %d, last is %d", ErrRevision, cfg.Revision, t.DesiredRevision)
	case cfg.Revision-t.DesiredRevision > maxLeap:
		return store.Desired{}, fmt.Errorf("%w: revision %d is more than %d above the last, %d", ErrRevision, cfg.Revision, maxLeap, t.DesiredRevision)
	}
	payload, err := wire.Encode(&cfg)
	if err != nil {
		return store.Desired{}, err
	}
	if cfg.Merchant.ID != b.MerchantID {
		return store.Desired{}, fmt.Errorf("%w: merchant.id is %s, bound is %s", ErrBinding, cfg.Merchant.ID, b.MerchantID)
	}
	if cfg.TerminalID != b.TerminalID {
		return store.Desired{}, fmt.Errorf("%w: terminal_id is %s, bound is %s", ErrBinding, cfg.TerminalID, b.TerminalID)
	}
	id := make([]byte, wire.NonceBytes)
	rand.Read(id) // never fails
	now := s.now().UTC()
	env, err := wire.Sign(wire.Envelope{Type: wire.TypeConfig, Tenant: s.opts.Tenant, Serial: t.Serial, Revision: cfg.Revision,
		ID: hex.EncodeToString(id), NotBefore: now.Add(-clockSkew), Payload: payload}, s.authority.Signer())
	if err != nil {
		return store.Desired{}, err
	}
	body, err := wire.Encode(env)
	if err != nil {
		return store.Desired{}, err
	}
	return store.Desired{Revision: cfg.Revision, Hash: wire.Hash(payload), Envelope: body, At: now}, nil
}

// Terminals lists by serial, after the named one.
func (s *Server) Terminals(after string, limit int) (list []store.Terminal, err error) {
	err = s.store.View(func(tx store.Tx) error {
		list, err = tx.Terminals(after, limit)
		return err
	})
	return list, err
}

// Terminal returns one terminal with its active binding and desired document, either nil when there is none. An unknown
// serial is store.ErrNotFound.
func (s *Server) Terminal(serial string) (t store.Terminal, b *store.Binding, d *store.Desired, err error) {
	err = s.store.View(func(tx store.Tx) error {
		if t, err = tx.Terminal(serial); err != nil {
			return err
		}
		if v, err := tx.Binding(serial); err == nil {
			b = &v
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if v, err := tx.Desired(serial); err == nil {
			d = &v
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return nil
	})
	return t, b, d, err
}

// Events lists in the order stored, after number after; "" is every serial.
func (s *Server) Events(serial string, after uint64, limit int) (list []store.Event, err error) {
	err = s.store.View(func(tx store.Tx) error {
		list, err = tx.Events(serial, after, limit)
		return err
	})
	return list, err
}

// LastEvents lists the newest first.
func (s *Server) LastEvents(serial string, limit int) (list []store.Event, err error) {
	err = s.store.View(func(tx store.Tx) error {
		list, err = tx.LastEvents(serial, limit)
		return err
	})
	return list, err
}

// Audit lists the trail, after entry number after.
func (s *Server) Audit(after uint64, limit int) (list []store.AuditEntry, err error) {
	err = s.store.View(func(tx store.Tx) error {
		list, err = tx.Audit(after, limit)
		return err
	})
	return list, err
}

// VerifyAudit walks the whole trail; store.ErrTampered when it does not hold.
func (s *Server) VerifyAudit() (store.AuditHead, error) { return store.VerifyAudit(s.store) }

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }
