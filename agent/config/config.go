package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"posagent/agent/durable"
	"posagent/ota/wire"
)

// Files of the store.
const (
	currentFile = "config-current.json"
	stagedFile  = "config-staged.json"
)

// Errors a caller branches on.
var (
	ErrNothingStaged = errors.New("config: nothing is staged")
	ErrDamaged       = errors.New("config: stored configuration is damaged")
)

// Snapshot is one configuration, whole and never changed.
type Snapshot struct {
	wire.Config
	Hash string // of the payload as signed
}

// Verifier opens a signed configuration: package wire with the identity of this
// terminal. after is the lowest revision to accept.
type Verifier func(body []byte, after uint64) (*wire.Envelope, error)

// Check is this terminal's own judgement of a configuration that is authentic
// and well formed: whether it can work under it. Its error is best a
// *wire.FieldError with the path of the field.
type Check func(*wire.Config) error

// Store holds the configuration of one terminal. Stage and Apply are safe to
// call from different goroutines; Current never waits.
type Store struct {
	dir     string
	open    Verifier
	check   Check
	current atomic.Pointer[Snapshot]

	mu     sync.Mutex // guards staged and the files
	staged *Snapshot
}

// Open reads what is in force and what is staged. A damaged file is ErrDamaged:
// the terminal must not sell under half a configuration, and the fleet sends the
// desired one again at the next connection.
func Open(dir string, open Verifier, check Check) (*Store, error) {
	s := &Store{dir: dir, open: open, check: check}
	current, err := s.read(currentFile)
	if current != nil {
		s.current.Store(current)
	}
	staged, stagedErr := s.read(stagedFile)
	if staged != nil && (current == nil || staged.Revision > current.Revision) {
		s.staged = staged
	}
	return s, errors.Join(err, stagedErr)
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }

func (s *Store) read(name string) (*Snapshot, error) {
	body, err := durable.Read(s.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open configuration: %w", err)
	}
	snapshot, err := s.verify(body, 0)
	if err != nil {
		return nil, fmt.Errorf("open configuration: %w: %s: %w", ErrDamaged, name, err)
	}
	return snapshot, nil
}

func (s *Store) verify(body []byte, after uint64) (*Snapshot, error) {
	env, err := s.open(body, after)
	if err != nil {
		return nil, err
	}
	snapshot := &Snapshot{Hash: wire.Hash(env.Payload)}
	if err := wire.Decode(env.Payload, &snapshot.Config); err != nil {
		return snapshot, err
	}
	if snapshot.Revision != env.Revision {
		return snapshot, &wire.FieldError{Path: "revision", Kind: wire.ErrInvalid, Detail: "differs from its envelope"}
	}
	return snapshot, s.check(&snapshot.Config)
}

// Current is the configuration in force, nil before the first one.
func (s *Store) Current() *Snapshot { return s.current.Load() }

// Staged reports whether a configuration waits to be applied.
func (s *Store) Staged() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.staged != nil
}

// Stage verifies and validates a desired configuration and keeps it for Apply.
// The report is what the fleet is told: accepted, applied (it is in force
// already) or rejected with path and reason. A revision below the one in force,
// or below the one staged, is a replay and rejected.
func (s *Store) Stage(body []byte) wire.Reported {
	s.mu.Lock()
	defer s.mu.Unlock()
	current, newest := s.current.Load(), s.current.Load()
	if s.staged != nil {
		newest = s.staged
	}
	var after uint64
	if newest != nil {
		after = newest.Revision
	}
	next, err := s.verify(body, after)
	if next == nil {
		return s.report(wire.Reported{State: wire.ReportedRejected}, err)
	}
	r := wire.Reported{Revision: next.Revision, Hash: next.Hash, State: wire.ReportedRejected}
	if err == nil && newest != nil && next.Revision == newest.Revision {
		if next.Hash != newest.Hash {
			return s.report(r, &wire.FieldError{Path: "revision", Kind: wire.ErrInvalid, Detail: "is known with other content"})
		}
		r.State = wire.ReportedApplied
		if newest != current {
			r.State = wire.ReportedAccepted
		}
		return s.report(r, nil)
	}
	if err == nil && current != nil {
		err = sameBinding(current, next)
	}
	if err == nil {
		err = durable.Write(s.path(stagedFile), body)
	}
	if err != nil {
		return s.report(r, err)
	}
	s.staged = next
	r.State = wire.ReportedAccepted
	return s.report(r, nil)
}

// sameBinding refuses a configuration that makes the terminal another one for
// the acquirer: reversals of the old one could no longer be sent.
func sameBinding(current, next *Snapshot) error {
	const detail = "another one needs a new activation, not a configuration"
	switch {
	case next.Merchant.ID != current.Merchant.ID:
		return &wire.FieldError{Path: "merchant.id", Kind: wire.ErrInvalid, Detail: detail}
	case next.TerminalID != current.TerminalID:
		return &wire.FieldError{Path: "terminal_id", Kind: wire.ErrInvalid, Detail: detail}
	}
	return nil
}

// Apply puts the staged configuration in force, in one step. Before the step the
// old one is in force, after it the new one, also across a power cut. An error
// means that nothing has changed. A directory that could not be synced is told in
// the report's reason: after a power cut the old one may be back, until the fleet
// sends the new one again.
func (s *Store) Apply() (wire.Reported, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.staged == nil {
		return wire.Reported{}, ErrNothingStaged
	}
	if err := os.Rename(s.path(stagedFile), s.path(currentFile)); err != nil {
		return wire.Reported{}, fmt.Errorf("apply configuration: %w", err)
	}
	next := s.staged
	s.staged = nil
	s.current.Store(next)
	err := durable.SyncDir(s.dir)
	return s.report(wire.Reported{Revision: next.Revision, Hash: next.Hash, State: wire.ReportedApplied}, err), nil
}

// report adds what is in force and why something was refused.
func (s *Store) report(r wire.Reported, err error) wire.Reported {
	if c := s.current.Load(); c != nil {
		r.CurrentRevision, r.CurrentHash = c.Revision, c.Hash
	}
	if err != nil {
		if fields := wire.FieldErrors(err); len(fields) > 0 {
			r.Path = fields[0].Path
		}
		r.Reason = cut(err.Error(), 500)
	}
	return r
}

// cut shortens a reason to n bytes at a character boundary and puts a space for
// what a report may not hold: a join of errors has one line for each.
func cut(s string, n int) string {
	out := make([]rune, 0, len(s))
	size := 0
	for _, r := range s {
		if unicode.IsControl(r) || r == utf8.RuneError {
			r = ' '
		}
		if size += utf8.RuneLen(r); size > n {
			break
		}
		out = append(out, r)
	}
	return string(out)
}
