package wire

import (
	"crypto/sha256"
	"strconv"
)

// ReportedState is what became of a desired configuration.
type ReportedState string

// Reported states. Accepted: authentic, valid and stored, waits for an idle moment. The other three are final for that
// hash.
const (
	ReportedAccepted   ReportedState = "accepted"
	ReportedApplied    ReportedState = "applied"
	ReportedRejected   ReportedState = "rejected"
	ReportedRolledBack ReportedState = "rolled_back"
)

// Reported answers a desired configuration. For a document that could not be opened Revision may be 0 and Hash empty.
type Reported struct {
	Revision uint64        `json:"revision"`
	Hash     string        `json:"hash"` // Hash of the payload
	State    ReportedState `json:"state"`
	Path     string        `json:"path,omitempty"`   // first wrong field, as in FieldError.Path
	Reason   string        `json:"reason,omitempty"` // for rejected and rolled_back
	// What is in force now, whatever became of Revision; 0 and empty before the first configuration.
	CurrentRevision uint64 `json:"current_revision"`
	CurrentHash     string `json:"current_hash,omitempty"`
}

func (*Reported) strict() bool { return false }

// Validate implements Message.
func (m *Reported) Validate() error {
	var c checker
	oneOf(&c, "state", m.State, ReportedAccepted, ReportedApplied, ReportedRejected, ReportedRolledBack)
	bad := m.State == ReportedRejected || m.State == ReportedRolledBack
	hashLow := sha256.Size
	if m.State == ReportedRejected {
		hashLow = 0
	} else {
		c.require(m.Revision > 0, "revision", "want 1 or more")
	}
	c.lowerHex("hash", m.Hash, hashLow, sha256.Size)
	c.text("path", m.Path, 0, 200)
	reasonLow := 0
	if bad {
		reasonLow = 1
	}
	c.text("reason", m.Reason, reasonLow, 500)
	c.lowerHex("current_hash", m.CurrentHash, 0, sha256.Size)
	return c.err()
}

// Want is one thing that a terminal asks for again.
type Want string

// WantConfig asks for the retained desired configuration.
const WantConfig Want = "config"

// Sync asks the fleet to say again what it wants of this terminal.
type Sync struct {
	Want []Want `json:"want"`
}

func (*Sync) strict() bool { return false }

// Validate implements Message. A want that this version does not know is no error: the fleet skips it.
func (m *Sync) Validate() error {
	var c checker
	c.require(len(m.Want) >= 1 && len(m.Want) <= 8, "want", "want 1 to 8 entries, have %d", len(m.Want))
	for i, w := range m.Want {
		c.ascii("want["+strconv.Itoa(i)+"]", string(w), 1, 32)
	}
	return c.err()
}
