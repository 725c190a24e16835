package transaction_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"posagent/agent/acquirer"
	"posagent/agent/acquirer/hostsim"
	"posagent/agent/emv"
	"posagent/agent/emv/cardsim"
	"posagent/agent/emv/contact"
	"posagent/agent/journal"
	"posagent/agent/keys"
	"posagent/agent/operator"
	"posagent/agent/payment"
	"posagent/agent/transaction"
)

const (
	tid = payment.TerminalID("10000001")
	mid = payment.MerchantID("898100000000001")
	pin = "1234"
)

var (
	tmk       = []byte("tmk of the tests") // made for these tests
	deviceKey = bytes.Repeat([]byte{7}, 32)
)

// world is one terminal and its host: real kernel, virtual card, real journal,
// real host link over a pipe, and a host with books of its own. Everything runs
// in a bubble of virtual time.
type world struct {
	t       *testing.T
	path    string
	journal *journal.Journal
	options journal.Options
	host    *hostsim.Host
	runner  *transaction.Runner
	set     transaction.Settings
	slot    *slot
	field   *field // nil: the terminal has no contactless reader
	pad     *pad
	keys    *store
	buttons chan operator.Key
	pipes   *pipes
	logged  bytes.Buffer // guarded by logMu
	logMu   sync.Mutex

	endJournal func()

	screens  []string // names, in order
	lines    []string // of all screens
	printed  []journal.Record
	printErr error
	foreign  []string
	sent     []string          // message types, in order
	onScreen map[string]func() // called on the runner's goroutine, once for each time
	onSend   map[string]func() // by message type, before its first byte leaves
	judge    hostScript        // nil approves
	alter    func(transaction.Host) transaction.Host
	asked    []hostsim.Request // guarded by logMu
}

type hostScript func(hostsim.Request) hostsim.Action

// inWorld runs f in a bubble with a terminal that has never been used.
func inWorld(t *testing.T, tune func(*world, *hostsim.Config), f func(*testing.T, *world)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal.db")
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, path: path, onScreen: map[string]func(){}, onSend: map[string]func(){}, buttons: make(chan operator.Key, 32)}
		w.options = journal.Options{Key: deviceKey, Now: time.Now}
		w.startHost(tune)
		w.slot, w.pipes.down = newSlot(), false
		w.set = settings(t)
		w.start()
		f(t, w)
		w.agree()
		w.noSecrets()
	})
}

func settings(t *testing.T) transaction.Settings {
	t.Helper()
	capks, err := emv.NewCAPKs(cardsim.CAPKs()...)
	if err != nil {
		t.Fatal(err)
	}
	return transaction.Settings{TerminalID: tid, MerchantID: mid, Currency: payment.CNY, Max: 100_000, Operator: "01",
		Kernel: &contact.Kernel{
			Terminal: emv.Terminal{Type: 0x21, Capabilities: emv.Capabilities{0x20, 0x78, 0xC0}, Country: "156", Currency: payment.CNY,
				IFDSerial: "00000001", TerminalID: string(tid), MerchantID: string(mid), MCC: "5411"},
			Applications: cardsim.Applications(), CAPKs: capks,
			Now: func() time.Time { return time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC) },
		}}
}

func (w *world) startHost(tune func(*world, *hostsim.Config)) {
	profile, err := acquirer.Builtin("unionpay-pos")
	if err != nil {
		w.t.Fatal(err)
	}
	pins := map[string]string{}
	for _, number := range numbers() {
		pins[number] = pin
	}
	cfg := hostsim.Config{Profile: profile, TMKs: map[payment.TerminalID][]byte{tid: tmk}, PINs: pins, Issuer: issuer{cardsim.TestIssuer()}, Now: time.Now}
	if tune != nil {
		tune(w, &cfg)
	}
	if w.host, err = hostsim.New(cfg); err != nil {
		w.t.Fatal(err)
	}
	w.host.Script(func(r hostsim.Request) hostsim.Action {
		w.logMu.Lock()
		defer w.logMu.Unlock()
		w.asked = append(w.asked, r)
		if w.judge == nil {
			return hostsim.Action{}
		}
		return w.judge(r)
	})
	w.pipes = &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.host.Serve(ctx, w.pipes) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("host ended with %v", err)
		}
	})
}

// start opens the journal and makes a runner, as a start of the terminal does.
func (w *world) start() {
	w.t.Helper()
	log := slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if w.journal, err = journal.Open(w.path, w.options); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	j := w.journal
	go func() { done <- j.Run(ctx) }()
	w.endJournal = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("journal ended with %v", err)
		}
		if err := j.Close(); err != nil {
			w.t.Errorf("journal closed with %v", err)
		}
	})
	w.t.Cleanup(w.endJournal)
	software, err := keys.NewSoftware(tmk)
	if err != nil {
		w.t.Fatal(err)
	}
	w.keys = &store{Software: software}
	w.pad = &pad{keys: software}
	batch, err := w.journal.Batch()
	if err != nil {
		w.t.Fatal(err)
	}
	profile, err := acquirer.Builtin("unionpay-pos")
	if err != nil {
		w.t.Fatal(err)
	}
	link, err := acquirer.New(acquirer.Config{Profile: profile, Addr: "host:1", TerminalID: tid, MerchantID: mid, Batch: batch, Keys: w.keys,
		Log: log, Dial: w.dial, ResponseTimeout: 30 * time.Second, OnForeign: func(reason, _ string) { w.foreign = append(w.foreign, reason) }})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { link.Close() })
	w.runner = &transaction.Runner{Journal: w.journal, Host: link, Card: w.slot, PIN: w.pad, Log: log, Now: time.Now,
		Print: func(_ context.Context, r journal.Record) error {
			if w.slot.powered {
				w.t.Error("the card still has power while the receipt is printed")
			}
			w.printed = append(w.printed, r)
			return w.printErr
		}}
	if w.field != nil {
		w.runner.Field = w.field
	}
	if w.alter != nil {
		w.runner.Host = w.alter(link)
	}
	w.runner.Desk = &operator.Desk{Keys: w.buttons, Show: w.show, Lang: func() operator.Lang { return operator.English },
		Status: func() operator.Status { return operator.Status{} }, Amount: w.runner.Amount}
	if err := w.runner.Recover(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

// restart ends the terminal at once and starts it anew over the same journal.
func (w *world) restart() {
	w.t.Helper()
	w.endJournal()
	w.start()
}

// Write implements io.Writer for the log.
func (w *world) Write(b []byte) (int, error) {
	w.logMu.Lock()
	defer w.logMu.Unlock()
	return w.logged.Write(b)
}

func (w *world) show(s operator.Screen) {
	w.screens = append(w.screens, s.Name)
	w.lines = append(w.lines, s.Lines...)
	if strings.HasPrefix(s.Title, "[") {
		w.t.Errorf("screen %q has no text", s.Name)
	}
	for _, line := range append(s.Lines, s.Title) {
		w.noSecret("screen "+s.Name, line)
	}
	if hook := w.onScreen[s.Name]; hook != nil {
		hook()
	}
}

// sell runs a sale of 12.34 with a card that is put in when it is asked for and
// taken out when its removal is asked for.
func (w *world) sell(ctx context.Context, id, card string) transaction.Outcome {
	w.t.Helper()
	if card != "" && w.onScreen["insert_card"] == nil {
		w.onScreen["insert_card"] = func() { w.slot.insert(open(w.t, card)) }
		defer delete(w.onScreen, "insert_card")
	}
	if w.onScreen["remove_card"] == nil {
		w.onScreen["remove_card"] = w.slot.remove
	}
	out := w.runner.Sale(ctx, w.set, transaction.Sale{Requester: "test", RequestID: id, Amount: 1234})
	if out.Name == "" {
		w.t.Error("the outcome has no name")
	}
	return out
}

func open(t *testing.T, name string) *cardsim.Card {
	t.Helper()
	c, err := cardsim.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// count says how many messages of a type the host was asked to work on.
func (w *world) count(mti string) (n int) {
	w.logMu.Lock()
	defer w.logMu.Unlock()
	for _, r := range w.asked {
		if r.MTI == mti {
			n++
		}
	}
	return n
}

// agree compares the host's books with the journal (host.md 7.4, I3 and I8): the
// host moved money for a trace number if and only if the journal says approved.
func (w *world) agree() {
	w.t.Helper()
	records, err := w.journal.List(journal.ListOptions{Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	type key struct {
		batch payment.Batch
		stan  payment.STAN
	}
	booked := map[key]hostsim.Entry{}
	for _, e := range w.host.Ledger() {
		booked[key{e.Batch, e.STAN}] = e
	}
	var sum payment.Amount
	for _, rec := range records {
		k := key{rec.Batch, rec.STAN}
		e, seen := booked[k]
		delete(booked, k)
		applied := seen && e.State == hostsim.Applied
		ok := true
		switch rec.State {
		case journal.Approved:
			ok = applied && e.Amount == rec.Amount && e.RRN == rec.RRN && e.AuthCode == rec.AuthCode && e.PAN == rec.MaskedPAN
			sum += rec.Amount
		case journal.Declined:
			ok = !applied
		case journal.NotSent:
			ok = !seen
		case journal.Reversed:
			ok = !applied
		case journal.Pending:
			ok = false
		}
		if !ok {
			w.t.Errorf("journal has %s %s, host has %+v (seen %v)", rec.STAN, rec.State, e, seen)
		}
	}
	for _, e := range booked {
		w.t.Errorf("the host has an entry that the journal knows nothing of: %+v", e)
	}
	report, err := w.journal.Verify(context.Background())
	if err != nil || len(report.Problems) > 0 {
		w.t.Errorf("journal is not sound: %v %v", report.Problems, err)
	}
	batch, err := w.journal.Batch()
	if err != nil {
		w.t.Fatal(err)
	}
	if totals, err := w.journal.Totals(batch); err != nil || totals.SaleAmount != sum {
		w.t.Errorf("totals say %d, approved records %d, %v", totals.SaleAmount, sum, err)
	}
}

func (w *world) noSecrets() {
	w.t.Helper()
	w.logMu.Lock()
	logged := w.logged.String()
	w.logMu.Unlock()
	w.noSecret("log", logged)
	records, err := w.journal.List(journal.ListOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, rec := range records {
		text, err := rec.MarshalJSON()
		if err != nil {
			w.t.Fatal(err)
		}
		w.noSecret("record", string(text))
	}
}

func (w *world) noSecret(where, text string) {
	w.t.Helper()
	for _, number := range numbers() {
		if strings.Contains(text, number) {
			w.t.Errorf("%s holds a card number", where)
		}
	}
}

// numbers are the card numbers of the virtual cards.
var numbers = sync.OnceValue(func() (all []string) {
	for _, name := range cardsim.Names() {
		p, err := cardsim.Load(name)
		if err != nil {
			panic(err) // an embedded file
		}
		for _, app := range p.Applications {
			all = append(all, app.PAN)
		}
	}
	for _, name := range cardsim.ContactlessNames() {
		p, err := cardsim.LoadContactless(name)
		if err != nil {
			panic(err) // an embedded file
		}
		for _, app := range p.Applications {
			all = append(all, app.PAN)
		}
	}
	return all
})
