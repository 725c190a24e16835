package hostsim

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"posagent/agent/acquirer"
	"posagent/agent/keys"
	"posagent/agent/payment"
)

// Issuer is the card issuer behind the acquirer: it checks the cryptogram in
// field 55 and makes the issuer authentication data of the answer. arc is the
// response code that the answer will carry. ok false: the cryptogram is wrong.
type Issuer interface {
	Authorise(pan string, seq string, de55 []byte, arc [2]byte) (de55Answer []byte, ok bool, err error)
}

// Config says what the host knows. Profile is required.
type Config struct {
	Profile   *acquirer.Profile
	TMKs      map[payment.TerminalID][]byte // 16 or 24 bytes; more with Register
	Merchants map[payment.TerminalID]payment.MerchantID
	PINs      map[string]string // card number to PIN, both in digits; a wrong PIN is answered 55
	KeyLayout int               // bytes of field 62 at sign-in: 24, 40 or 60; zero: 60
	Text      string            // goes into field 63 behind the card organisation, in GBK

	Issuer Issuer           // nil: cryptograms are not checked, answers carry no field 55
	Rand   io.Reader        // where working keys are drawn from; nil: crypto/rand
	Now    func() time.Time // for fields 12, 13, 15 and the ledger; nil: time.Now
	Log    *slog.Logger     // nil: none
}

// Host is one acquirer's host. All methods may be called from several goroutines.
type Host struct {
	cfg Config
	p   *acquirer.Profile
	log *slog.Logger

	mu        sync.Mutex // guards all below
	terminals map[payment.TerminalID]*terminal
	ledger    []Entry
	index     map[key]int                   // financial requests: place in ledger
	answers   map[key]*answered             // financial requests: what was said
	unknown   map[key]bool                  // reversed before they came
	voids     map[key]key                   // voids: their original
	changed   chan struct{}                 // closed and replaced at every change of the ledger
	script    func(Request) Action          // nil: approve
	rules     []Rule                        // asked before script
	applied   func(Entry)                   // may be nil
	sequence  uint32                        // of reference numbers
	late      map[payment.TerminalID][]late // answers held back until the next one
}

// terminal is what the host keeps of each terminal.
type terminal struct {
	keys     *keys.Host
	signedIn bool
	batch    payment.Batch
}

// New makes a host. An error names the terminal whose TMK cannot be used.
func New(cfg Config) (*Host, error) {
	if cfg.Profile == nil {
		return nil, fmt.Errorf("hostsim: profile is required")
	}
	if cfg.KeyLayout == 0 {
		cfg.KeyLayout = 60
	}
	if cfg.KeyLayout != 24 && cfg.KeyLayout != 40 && cfg.KeyLayout != 60 {
		return nil, fmt.Errorf("hostsim: key layout of %d bytes", cfg.KeyLayout)
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	h := &Host{
		cfg: cfg, p: cfg.Profile, log: cfg.Log.With("subsystem", "hostsim"),
		terminals: make(map[payment.TerminalID]*terminal), index: make(map[key]int), answers: make(map[key]*answered),
		unknown: make(map[key]bool), voids: make(map[key]key), changed: make(chan struct{}),
		late: make(map[payment.TerminalID][]late),
	}
	for tid, tmk := range cfg.TMKs {
		if err := h.Register(tid, tmk); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// Register makes a terminal known, or gives a known one a new TMK, after which
// it must sign in again.
func (h *Host) Register(tid payment.TerminalID, tmk []byte) error {
	if err := tid.Check(); err != nil {
		return fmt.Errorf("hostsim: %w", err)
	}
	k, err := keys.NewHost(tmk, h.cfg.Rand)
	if err != nil {
		return fmt.Errorf("hostsim: terminal %s: %w", tid, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.terminals[tid]
	if t == nil {
		t = new(terminal)
		h.terminals[tid] = t
	}
	t.keys, t.signedIn = k, false
	return nil
}

// Script sets what decides about requests; nil approves all. It replaces the
// script before and leaves posted rules alone. It is called with the host locked
// and must not call it.
func (h *Host) Script(decide func(Request) Action) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.script = decide
}

// OnApplied sets what is called after a request has changed the ledger and
// before its answer leaves. While it does not return, the answer is held.
func (h *Host) OnApplied(hook func(Entry)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.applied = hook
}

// Ledger gives a copy of all entries in the order in which they came.
func (h *Host) Ledger() []Entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Entry(nil), h.ledger...)
}

// WaitFor returns nil as soon as cond holds for the ledger, or the context's
// error.
func (h *Host) WaitFor(ctx context.Context, cond func([]Entry) bool) error {
	for { // each turn waits for a change or the context
		h.mu.Lock()
		ledger, changed := append([]Entry(nil), h.ledger...), h.changed
		h.mu.Unlock()
		if cond(ledger) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for the ledger: %w", ctx.Err())
		}
	}
}
