package journal

import (
	"errors"
	"fmt"
)

// Errors a caller branches on. Those of a full disk or a lock keep the cause
// beneath them.
var (
	// ErrLocked reports that another process has the journal open.
	ErrLocked = errors.New("journal: in use by another process")
	// ErrClosed reports a call after Close or after Run has ended.
	ErrClosed = errors.New("journal: closed")
	// ErrFull reports that the disk, or the file's size limit, leaves no room
	// for another transaction. Nothing was written.
	ErrFull = errors.New("journal: no room for another record")
	// ErrFailed reports that a write failed and its effect is unknown until the
	// journal is opened again.
	ErrFailed = errors.New("journal: write failed, reopen to learn what is on disk")
	// ErrReadOnly reports a writing call on a journal from OpenReadOnly.
	ErrReadOnly = errors.New("journal: opened read-only")
	// ErrNotFound reports that no record has the given identity.
	ErrNotFound = errors.New("journal: no such record")
	// ErrKey reports a device key of the wrong length, or another key than the
	// one the journal was made with.
	ErrKey = errors.New("journal: not the device key of this journal")
	// ErrNoSTAN reports that every trace number of the batch is taken.
	ErrNoSTAN = errors.New("journal: every trace number of the batch is used")
	// ErrRunning reports a second Run on the same journal.
	ErrRunning = errors.New("journal: Run was already called")
)

// CorruptError reports damage: a torn, truncated or altered file. The file is
// left as it was found.
type CorruptError struct {
	Path string
	What string // the damaged part, for example "page 7" or "record 12"
	Err  error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("journal: %s is damaged: %s: %v", e.Path, e.What, e.Err)
}

func (e *CorruptError) Unwrap() error { return e.Err }

// VersionError reports a journal written by a newer version of this package.
type VersionError struct {
	Path        string
	Have, Known uint32
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("journal: %s has schema version %d, this program knows up to %d", e.Path, e.Have, e.Known)
}

// DuplicateError reports that the requester has already used this request id.
// Record is what became of it.
type DuplicateError struct{ Record Record }

func (e *DuplicateError) Error() string {
	return fmt.Sprintf("journal: request %q of %q is already record %s (%s)", e.Record.RequestID, e.Record.Requester, e.Record.ID, e.Record.State)
}

// StateError reports an event that the record's state does not allow.
type StateError struct {
	ID    string
	State State
	Event Event
}

func (e *StateError) Error() string {
	return fmt.Sprintf("journal: record %s is %s, %s is not possible", e.ID, e.State, e.Event)
}

// FieldError reports a value that cannot be kept. It never carries the value of
// a secret field.
type FieldError struct {
	Field string
	Why   string
}

func (e *FieldError) Error() string { return "journal: " + e.Field + ": " + e.Why }
