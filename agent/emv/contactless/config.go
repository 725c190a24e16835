package contactless

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"posagent/agent/emv"
	"posagent/agent/payment"
)

// A KernelID is a kernel's short identifier. EMV Contactless Book B, 3.3.2.5.
type KernelID uint8

// The kernels of this package.
const (
	Kernel2 KernelID = 2
	Kernel3 KernelID = 3
	Kernel7 KernelID = 7
)

// A Combination is an AID with a kernel and what the acquirer allows for it. A limit that is nil is not present. Amounts
// are minor units. EMV Contactless Book A, 5.2 to 5.8.
type Combination struct {
	Application emv.Application       `json:"application"` // AID, ASI, version; TACs and risk data for kernel 2
	Kernel      KernelID              `json:"kernel"`
	Types       []emv.TransactionType `json:"types,omitempty"` // none: all
	TTQ         TTQ                   `json:"ttq"`

	StatusCheck       bool `json:"status_check"`       // a sale of one unit of currency asks for an online cryptogram
	RefuseZero        bool `json:"refuse_zero"`        // Zero Amount Allowed flag present and 0
	ExtendedSelection bool `json:"extended_selection"` // append 9F29 to the AID

	TransactionLimit *payment.Amount `json:"transaction_limit,omitempty"` // at or above: not allowed
	OnDeviceLimit    *payment.Amount `json:"on_device_limit,omitempty"`   // kernel 2: the same for devices that verify their holder
	FloorLimit       *payment.Amount `json:"floor_limit,omitempty"`       // above: online; absent: Application.FloorLimit
	CVMLimit         *payment.Amount `json:"cvm_limit,omitempty"`         // at or above: CVM required (kernel 2: above)

	CVMCapability   byte        `json:"cvm_capability"`    // kernel 2: 9F33 byte 2 when a CVM is required
	NoCVMCapability byte        `json:"no_cvm_capability"` // kernel 2: 9F33 byte 2 otherwise
	OnDeviceCVM     bool        `json:"on_device_cvm"`     // kernel 2: the terminal accepts on-device verification
	Relay           RelayLimits `json:"relay"`             // kernel 2
	Torn            bool        `json:"torn"`              // kernel 2: recover torn transactions
}

// Config is what a Reader is made of. Hooks may be nil.
type Config struct {
	Terminal     emv.Terminal
	Combinations []Combination // at most maxCombinations
	CAPKs        emv.CAPKs
	Now          func() time.Time // nil: time.Now. The calendar, in the terminal's zone
	Ticks        func() time.Time // nil: time.Now. Measures the relay resistance exchange and ages torn transactions
	Rand         io.Reader        // nil: crypto/rand
	Trace        emv.Trace
	UI           func(UIRequest)  // what must be shown while the card is in the field
	Autorun      *emv.Transaction // of a terminal that always asks for the same, Book A, 5.1

	// ExceptionFile reports a card on the terminal's list of lost cards.
	ExceptionFile func(pan payment.PAN, sequence string) bool
	// Revoked is the certification revocation list, EMV 4.4 Book 2, 5.1.2.
	Revoked func(rid emv.RID, index uint8, serial [3]byte) bool

	CardTime time.Duration // of one tap; 0: DefaultCardTime
}

// Bounds.
const (
	maxCombinations = 32
	maxTaps         = 8  // presentations of cards for one sale
	maxAPDUs        = 80 // of one tap: 32 selections, 32 records and 16 for the transaction
	maxSteps        = 96 // Start C and D in one tap: each candidate takes two
	maxRecords      = 32 // of one application
	maxStatic       = 4096
	maxCardBytes    = 16 << 10 // of all responses of one tap

	// DefaultCardTime bounds the time one tap waits for the card. A real one takes half a second.
	DefaultCardTime = 5 * time.Second
)

// ErrConfiguration is the error of a Reader that cannot run; it is wrapped with the field.
var ErrConfiguration = errors.New("contactless configuration is not valid")

// New makes a Reader. The error wraps ErrConfiguration or emv.ErrTerminal.
func New(c Config) (*Reader, error) {
	if err := c.Terminal.Validate(); err != nil {
		return nil, fmt.Errorf("make contactless reader: %w", err)
	}
	if len(c.Combinations) == 0 || len(c.Combinations) > maxCombinations {
		return nil, fmt.Errorf("make contactless reader: %w: %d combinations", ErrConfiguration, len(c.Combinations))
	}
	for i := range c.Combinations {
		if field, bad := c.Combinations[i].wrong(); bad {
			return nil, fmt.Errorf("make contactless reader: %w: combinations[%d].%s", ErrConfiguration, i, field)
		}
	}
	if c.Autorun != nil {
		if err := c.Autorun.Validate(); err != nil {
			return nil, fmt.Errorf("make contactless reader: autorun: %w", err)
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Ticks == nil {
		c.Ticks = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.CardTime <= 0 {
		c.CardTime = DefaultCardTime
	}
	r := &Reader{config: c, state: stateEnded}
	r.s.r = r
	r.s.static = make([]byte, 0, maxStatic)
	r.fixed = terminalObjects(c.Terminal)
	return r, nil
}

func (c *Combination) wrong() (string, bool) {
	limits := []struct {
		name string
		v    *payment.Amount
	}{{"transaction_limit", c.TransactionLimit}, {"on_device_limit", c.OnDeviceLimit}, {"floor_limit", c.FloorLimit}, {"cvm_limit", c.CVMLimit}}
	for _, l := range limits {
		if l.v != nil && (*l.v < 0 || *l.v > payment.MaxAmount) {
			return l.name, true
		}
	}
	switch {
	case !c.Application.AID.Valid():
		return "application.aid", true
	case c.Kernel != Kernel2 && c.Kernel != Kernel3 && c.Kernel != Kernel7:
		return "kernel", true
	case c.Kernel != Kernel2 && (!c.TTQ.Has(TTQEMVMode) || c.TTQ.Has(TTQMagstripe)):
		return "ttq", true
	}
	return "", false
}
