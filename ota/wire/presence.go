package wire

import "time"

// Presence is the retained word about a terminal's connection. The birth is published after the subscriptions stand;
// the will is handed to the broker in CONNECT with the same N and Online false and nothing else.
type Presence struct {
	// N is the connection number: kept in the terminal's store, one more for every connection, never reused. A
	// presence with a lower N than the fleet has seen is stale and ignored.
	N      uint64 `json:"n"`
	Online bool   `json:"online"`

	// The rest is the birth's alone.
	InstanceID string    `json:"instance_id,omitempty"` // random for each start of the process, 16 bytes hex
	BootCount  uint64    `json:"boot_count,omitempty"`  // kept in the store, one more for every start
	Model      string    `json:"model,omitempty"`
	Firmware   string    `json:"firmware,omitempty"`
	Schemas    *Schemas  `json:"schemas,omitempty"`
	State      State     `json:"state,omitempty"`
	Time       time.Time `json:"time,omitzero"` // the terminal's clock, which may be wrong
}

// Schemas says which schema numbers the terminal can read and writes.
type Schemas struct {
	Config uint32 `json:"config"`
	Event  uint32 `json:"event"`
}

func (*Presence) strict() bool { return false }

// Will is the last will of connection n.
func Will(n uint64) *Presence { return &Presence{N: n} }

// Validate implements Message.
func (m *Presence) Validate() error {
	var c checker
	c.require(m.N > 0, "n", "want 1 or more")
	if !m.Online {
		return c.err()
	}
	c.lowerHex("instance_id", m.InstanceID, NonceBytes, NonceBytes)
	c.text("model", m.Model, 1, 64)
	c.text("firmware", m.Firmware, 1, 64)
	if m.Schemas == nil {
		c.add("schemas", ErrMissing, "want config and event")
	}
	c.state("state", m.State)
	c.time("time", m.Time)
	return c.err()
}
