package agent

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"posagent/agent/acquirer"
	"posagent/agent/config"
	"posagent/agent/durable"
	"posagent/agent/journal"
	"posagent/agent/keys"
	"posagent/agent/lifecycle"
	"posagent/agent/link"
	"posagent/agent/operator"
	"posagent/agent/telemetry"
	"posagent/agent/transaction"
	"posagent/drivers/board"
	"posagent/drivers/pinpad"
	"posagent/ota/wire"
)

// Options of a terminal. Dir, Serial, Roots, Boot and Parts are needed.
type Options struct {
	Dir     string // state: key, identity, configuration, journal
	Serial  string
	Version string
	Roots   *x509.CertPool // the fleet's root, the only one believed
	Boot    string         // host:port of the fleet's bootstrap listener
	Parts   *board.Parts
	Log     *slog.Logger
	Now     func() time.Time // calendar; nil: time.Now

	// OnScreen hears of every screen; it must not block. OnHost hears of every
	// host message, masked.
	OnScreen func(operator.Screen)
	OnHost   func(direction, description string)
}

// Agent is one terminal.
type Agent struct {
	o       Options
	log     *slog.Logger
	life    *lifecycle.Store
	conf    *config.Store
	journal *journal.Journal
	runner  *transaction.Runner
	link    atomic.Pointer[link.Link]

	keys      chan operator.Key
	jobs      chan func(context.Context)
	staged    chan struct{} // a configuration waits to be applied
	activated chan struct{} // the identity is whole
	stopped   chan struct{} // the lane has ended
	started   time.Time
	instance  string // random for each start
	boots     uint64

	lane lane

	mu     sync.Mutex // guards what follows: what others may know of the lane
	screen operator.Screen
	facts  facts
	lost   map[board.Part]error // parts whose ports went away
}

// facts are what the lane tells others about itself.
type facts struct {
	ready    bool
	why      string
	signedIn bool
	open     int
	paper    bool
	config   *config.Snapshot
}

// errJournalGone is the refusal to begin a new journal on a terminal that has
// one: trace numbers would come again, and open reversals would be forgotten.
var errJournalGone = errors.New("the journal of an activated terminal is missing: bring the file back, or remove identity.json and activate the terminal anew, in a new batch at the host")

// New opens what a terminal keeps. Run starts it; Close must be called if Run is
// not. Errors name the file that is damaged; nothing is repaired by deleting.
func New(o Options) (*Agent, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.OnScreen == nil {
		o.OnScreen = func(operator.Screen) {}
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open terminal: %w", err)
	}
	a := &Agent{o: o, log: o.Log, started: o.Now(), keys: make(chan operator.Key, 32), jobs: make(chan func(context.Context)),
		staged: make(chan struct{}, 1), activated: make(chan struct{}, 1), stopped: make(chan struct{})}
	if err := a.open(); err != nil {
		return nil, fmt.Errorf("open terminal: %w", err)
	}
	a.wire()
	return a, nil
}

func (a *Agent) open() error {
	var err error
	if a.life, err = lifecycle.Open(a.o.Dir, a.o.Serial, a.o.Roots); err != nil {
		return err
	}
	a.conf, err = config.Open(a.o.Dir, a.verifyConfig, func(c *wire.Config) error {
		_, err := newWork(c, a.o.Serial)
		return err
	})
	if errors.Is(err, config.ErrDamaged) {
		a.log.Error("configuration is damaged; waiting for the fleet to send it again", "err", err)
	} else if err != nil {
		return err
	}
	if a.boots, err = a.count("boots"); err != nil {
		return err
	}
	var random [16]byte
	if _, err := rand.Read(random[:]); err != nil {
		return err
	}
	a.instance = hex.EncodeToString(random[:])
	key, err := deviceKey(filepath.Join(a.o.Dir, "device.key"))
	if err != nil {
		return err
	}
	path := filepath.Join(a.o.Dir, "journal.db")
	if _, ok := a.life.Identity(); ok {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %s", errJournalGone, path)
		}
	}
	a.journal, err = journal.Open(path, journal.Options{Key: key, Log: a.log.With("subsystem", "journal"), Now: a.o.Now})
	return err
}

// wire makes the runner and the desk; the host comes with the configuration.
func (a *Agent) wire() {
	desk := &operator.Desk{Keys: a.keys, Show: a.show, Lang: func() operator.Lang { return a.lane.menu.Lang }, Status: a.statusLine}
	a.runner = &transaction.Runner{Journal: a.journal, Desk: desk, Print: a.printRecord, Log: a.log.With("subsystem", "transaction"), Now: a.o.Now}
	desk.Amount = a.runner.Amount
	if a.o.Parts.ICC != nil {
		a.runner.Card = slot{a.o.Parts.ICC}
	}
	if a.o.Parts.NFC != nil {
		a.runner.Field = field{a.o.Parts.NFC}
	}
	if a.o.Parts.PINPad != nil {
		a.runner.PIN = pad{a.o.Parts.PINPad}
	}
	a.lane.menu = operator.NewMachine(operator.Chinese, currencyOf(a.conf.Current()), 0)
}

// Close lets go of the journal when Run was never called.
func (a *Agent) Close() error { return a.journal.Close() }

// deviceKey reads the key that seals card numbers in the journal, and makes it
// at first start.
func deviceKey(path string) ([]byte, error) {
	key, err := durable.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		key = make([]byte, 32)
		if _, err := rand.Read(key); err != nil {
			return nil, fmt.Errorf("make device key: %w", err)
		}
		return key, durable.Write(path, key)
	}
	if err == nil && len(key) != 32 {
		err = fmt.Errorf("device.key has %d bytes, want 32", len(key))
	}
	return key, err
}

func (a *Agent) verifyConfig(body []byte, after uint64) (*wire.Envelope, error) {
	id, ok := a.life.Identity()
	if !ok {
		return nil, lifecycle.ErrNotActivated
	}
	return wire.Open(body, wire.Expect{Type: wire.TypeConfig, Tenant: id.Tenant, Serial: id.Serial, Signers: id.Signers, After: after})
}

// Run runs the terminal until ctx ends. It returns nil then; another error means
// that the terminal cannot go on (the journal's disk failed).
func (a *Agent) Run(ctx context.Context) error {
	defer a.journal.Close()
	// The journal's writer outlives everything that writes.
	keepCtx, endJournal := context.WithCancel(context.WithoutCancel(ctx))
	defer endJournal()
	written := make(chan error, 1)
	go func() { written <- a.journal.Run(keepCtx) }()

	group, ctx := errgroup.WithContext(ctx)
	if dev := a.o.Parts.PINPad; dev != nil {
		group.Go(func() error { return pumpKeys(ctx, dev.Keys(), a.keys) })
		group.Go(func() error { return a.runPad(keepCtx, ctx, dev) })
	}
	group.Go(func() error { return a.runLane(ctx) })
	group.Go(func() error { return a.runLink(ctx) })
	group.Go(func() error {
		select {
		case err := <-written:
			written <- err
			return err
		case <-ctx.Done():
			return nil
		}
	})
	err := group.Wait()
	endJournal()
	return errors.Join(err, <-written)
}

// runPad serves the PIN pad until the lane has ended: a transaction that is
// being ended still needs its MAC.
func (a *Agent) runPad(keep, ctx context.Context, dev *pinpad.Dev) error {
	padCtx, end := context.WithCancel(keep)
	defer end()
	done := make(chan error, 1)
	go func() { done <- dev.Run(padCtx) }()
	select {
	case err := <-done:
		if ctx.Err() == nil {
			a.lose(board.PINPad, err)
		}
		<-a.stopped
	case <-a.stopped:
		end()
		<-done
	}
	return nil
}

// runLink keeps the connection to the fleet from the moment the terminal is
// activated. It never ends the terminal: payments do not need it.
func (a *Agent) runLink(ctx context.Context) error {
	id, ok := a.life.Identity()
	for !ok {
		select {
		case <-ctx.Done():
			return nil
		case <-a.activated:
			id, ok = a.life.Identity()
		}
	}
	outbox := telemetry.New(a.journal, a.log.With("subsystem", "telemetry"))
	l := link.New(link.Options{
		Tenant: id.Tenant, Serial: id.Serial, Broker: id.Broker, Outbox: outbox,
		TLS:    &tls.Config{RootCAs: a.o.Roots, GetClientCertificate: a.life.ClientCertificate, MinVersion: tls.VersionTLS13},
		Number: func() (uint64, error) { return a.count("connections") },
		Birth:  a.birth,
		Desired: func(body []byte) wire.Reported {
			r := a.conf.Stage(body)
			if r.State == wire.ReportedAccepted {
				signal(a.staged)
			}
			return r
		},
		Log: a.log.With("subsystem", "link"),
	})
	a.link.Store(l)
	return l.Run(ctx)
}

func (a *Agent) birth() *wire.Presence {
	return &wire.Presence{InstanceID: a.instance, BootCount: a.boots, Model: a.o.Parts.Model, Firmware: a.o.Version,
		Schemas: &wire.Schemas{Config: wire.ConfigSchema, Event: wire.EventSchema}, State: a.life.State(), Time: a.o.Now()}
}

// Activate runs the bootstrap exchange with a one-time code and keeps the
// identity. A refusal of the fleet is a *wire.Refused.
func (a *Agent) Activate(ctx context.Context, code string) error {
	if _, ok := a.life.Identity(); ok {
		return errActivated
	}
	spki, err := a.life.SPKISHA256()
	if err != nil {
		return err
	}
	certificate, err := link.Activate(ctx, link.BootOptions{
		Addr: a.o.Boot, TLS: &tls.Config{RootCAs: a.o.Roots, MinVersion: tls.VersionTLS13}, Serial: a.o.Serial,
		Model: a.o.Parts.Model, Firmware: a.o.Version, SPKISHA256: spki, CSR: a.life.CSR, Code: code, Log: a.log.With("subsystem", "link"),
	})
	if err != nil {
		return err
	}
	if err := a.life.Accept(certificate, a.o.Now()); err != nil {
		return err
	}
	a.log.Info("activated", "tenant", certificate.Tenant, "state", certificate.State)
	signal(a.activated)
	return nil
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// newHost makes the link to the acquirer of a configuration.
func (a *Agent) newHost(w *work) (*acquirer.Link, error) {
	batch, err := a.journal.Batch()
	if err != nil {
		return nil, err
	}
	return acquirer.New(acquirer.Config{
		Profile: w.profile, Addr: w.config.Acquirer.Primary, TPDU: w.tpdu, Head: w.head,
		TerminalID: w.settings.TerminalID, MerchantID: w.settings.MerchantID, Operator: w.settings.Operator, Batch: batch,
		ResponseTimeout: time.Duration(w.config.Acquirer.ResponseTimeoutMS) * time.Millisecond,
		ConnectTimeout:  time.Duration(w.config.Acquirer.ConnectTimeoutMS) * time.Millisecond,
		Dial:            w.dial, Keys: keys.OnPad(a.o.Parts.PINPad), Log: a.log, Now: a.o.Now, OnTrace: a.o.OnHost,
		OnForeign: func(reason, description string) {
			a.log.Warn("foreign message from the host ignored", "reason", reason)
		},
	})
}
