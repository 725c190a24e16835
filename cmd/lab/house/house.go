package house

import (
	"context"
	"crypto/x509"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"posagent/agent"
	"posagent/agent/acquirer"
	"posagent/agent/acquirer/hostsim"
	"posagent/agent/durable"
	"posagent/agent/emv"
	"posagent/agent/emv/cardsim"
	"posagent/agent/keys"
	"posagent/agent/operator"
	"posagent/agent/payment"
	"posagent/drivers/board"
	"posagent/drivers/board/boardsim"
	"posagent/drivers/pinpad"
	"posagent/ota/fleet"
	"posagent/ota/fleet/enroll"
	"posagent/ota/wire"
)

// Who lives in the house. The numbers are of test ranges.
const (
	Serial     = "LAB-0001"
	TerminalID = "10000001"
	MerchantID = "103290055410001"
	// CardPIN is what the cards of the laboratory expect.
	CardPIN = "1234"
)

// TMK is the terminal master key of every PIN pad here, made for tests.
var TMK = []byte("posagent test-mk")

//go:embed config.json
var configJSON []byte

// Options of a house.
type Options struct {
	Dir             string // state of terminal and fleet
	Log             *slog.Logger
	ResponseTimeout time.Duration // of the host link; zero: 10 s
	Language        wire.Language // of screen and receipt; "": Chinese
	OnScreen        func(operator.Screen)
	OnHost          func(direction, description string)
}

// House is one terminal, one host, one fleet.
type House struct {
	o     Options
	Board *boardsim.Board
	Agent *agent.Agent
	Host  *hostsim.Host
	Fleet *fleet.Server

	hostListener net.Listener
	parts        *board.Parts
}

// Open builds everything and starts nothing but listeners.
func Open(o Options) (*House, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.ResponseTimeout <= 0 {
		o.ResponseTimeout = 10 * time.Second
	}
	if o.Language == "" {
		o.Language = wire.Chinese
	}
	h := &House{o: o}
	if err := errors.Join(h.openServers(), h.openTerminal()); err != nil {
		return nil, fmt.Errorf("open house: %w", errors.Join(err, h.Close()))
	}
	return h, nil
}

// ports are where the servers of a house listen. They are kept with it: an
// activated terminal knows them and finds them again.
type ports struct{ Host, Boot, MQTT string }

func (h *House) openServers() error {
	if err := os.MkdirAll(h.o.Dir, 0o700); err != nil {
		return err
	}
	file := filepath.Join(h.o.Dir, "ports.json")
	at := ports{"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"}
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, &at)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read %s: %w", file, err)
	}
	if h.Host, err = NewHost(h.o.Log); err != nil {
		return err
	}
	if h.hostListener, err = net.Listen("tcp", at.Host); err != nil {
		return err
	}
	h.Fleet, err = fleet.Open(fleet.Options{Dir: filepath.Join(h.o.Dir, "fleet"), BootAddr: at.Boot, MQTTAddr: at.MQTT, Log: h.o.Log})
	if err != nil {
		return err
	}
	data, err = json.Marshal(ports{h.HostAddr(), h.Fleet.Addrs().Boot, h.Fleet.Addrs().MQTT})
	if err != nil {
		return err
	}
	return durable.Write(file, data)
}

// NewHost makes an acquirer's host that knows the laboratory's terminals.
func NewHost(log *slog.Logger) (*hostsim.Host, error) {
	profile, err := acquirer.Builtin("unionpay-pos")
	if err != nil {
		return nil, err
	}
	return hostsim.New(hostsim.Config{Profile: profile, Issuer: issuer{cardsim.TestIssuer()}, Log: log.With("subsystem", "host"),
		TMKs: map[payment.TerminalID][]byte{TerminalID: TMK}, PINs: pins()})
}

// pins are the PINs of all cards, by number.
func pins() map[string]string {
	all := map[string]string{}
	for _, name := range cardsim.Names() {
		if p, err := cardsim.Load(name); err == nil {
			for _, app := range p.Applications {
				all[app.PAN] = CardPIN
			}
		}
	}
	for _, name := range cardsim.ContactlessNames() {
		if p, err := cardsim.LoadContactless(name); err == nil {
			for _, app := range p.Applications {
				all[app.PAN] = CardPIN
			}
		}
	}
	return all
}

// issuer is the cards' issuer behind the host.
type issuer struct{ cardsim.Issuer }

// Authorise implements hostsim.Issuer.
func (i issuer) Authorise(number, sequence string, de55 []byte, arc [2]byte) ([]byte, bool, error) {
	pan, err := payment.NewPAN(number)
	if err != nil {
		return nil, false, err
	}
	if err := i.VerifyARQC(pan, sequence, de55); errors.Is(err, cardsim.ErrCryptogram) {
		return nil, false, nil
	} else if err != nil {
		return nil, false, err
	}
	data, err := i.ARPC(pan, sequence, de55, emv.ARC(arc[:]))
	if err != nil {
		return nil, false, err
	}
	return append([]byte{0x91, byte(len(data))}, data...), true, nil
}

// Secure is the secure module of a PIN pad that holds the laboratory's key.
func Secure() (*keys.Module, error) {
	software, err := keys.NewSoftware(TMK)
	if err != nil {
		return nil, err
	}
	return software.Module(), nil
}

func (h *House) openTerminal() error {
	module, err := Secure()
	if err != nil {
		return err
	}
	h.Board = boardsim.New(&boardsim.Opts{Secure: module})
	if h.parts, err = board.Open(context.Background(), h.Board.Profile(), h.Board.Buses()); err != nil {
		return err
	}
	for part, why := range h.parts.Missing {
		return fmt.Errorf("part %s: %w", part, why)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(h.Fleet.RootPEM())
	h.Agent, err = agent.New(agent.Options{Dir: filepath.Join(h.o.Dir, "terminal"), Serial: Serial, Version: "lab", Roots: roots,
		Boot: h.Fleet.Addrs().Boot, Parts: h.parts, Log: h.o.Log.With("part", "terminal"), OnScreen: h.o.OnScreen, OnHost: h.o.OnHost})
	return err
}

// Close frees what Open took, when Run was never called.
func (h *House) Close() error {
	var errs []error
	if h.Agent != nil {
		errs = append(errs, h.Agent.Close())
	}
	if h.parts != nil {
		errs = append(errs, h.parts.Halt())
	}
	if h.Fleet != nil {
		errs = append(errs, h.Fleet.Close())
	}
	if h.hostListener != nil {
		errs = append(errs, h.hostListener.Close())
	}
	return errors.Join(errs...)
}

// Run runs the house until ctx ends: the terminal first down, then its parts and
// the servers, so that it can say goodbye.
func (h *House) Run(ctx context.Context) error {
	outer, endServers := context.WithCancel(context.WithoutCancel(ctx))
	defer endServers()
	servers, outer := errgroup.WithContext(outer)
	servers.Go(func() error { return h.Host.Serve(outer, h.hostListener) })
	servers.Go(func() error { return h.Fleet.Run(outer) })
	servers.Go(func() error { return h.Board.Run(outer) })
	terminal, ctx := errgroup.WithContext(ctx)
	terminal.Go(func() error { return h.Agent.Run(ctx) })
	terminal.Go(func() error { // a server that fails ends the terminal too
		select {
		case <-outer.Done():
			return errors.New("a server of the house has ended")
		case <-ctx.Done():
			return nil
		}
	})
	err := terminal.Wait()
	err = errors.Join(err, h.parts.Halt())
	endServers()
	return errors.Join(err, servers.Wait())
}

// HostAddr is where the host listens.
func (h *House) HostAddr() string { return h.hostListener.Addr().String() }

// Config is the configuration of a laboratory terminal at a host.
func Config(terminalID, hostAddr string, timeout time.Duration, lang wire.Language) (wire.Config, error) {
	var c wire.Config
	if err := json.Unmarshal(configJSON, &c); err != nil {
		return c, fmt.Errorf("read embedded configuration: %w", err)
	}
	c.TerminalID, c.Merchant.ID, c.Language = terminalID, MerchantID, lang
	c.Acquirer.Primary, c.Acquirer.ResponseTimeoutMS = hostAddr, uint32(timeout.Milliseconds())
	for _, app := range applications() {
		c.AIDs = append(c.AIDs, wire.AID{AID: app.AID.String(), Label: "TEST", Partial: app.Partial, Version: app.Version.String(),
			TACDefault: app.TACDefault.String(), TACDenial: app.TACDenial.String(), TACOnline: app.TACOnline.String(),
			FloorLimit: int64(app.FloorLimit), DDOL: app.DefaultDDOL.String(), TDOL: app.DefaultTDOL.String()})
	}
	for _, k := range cardsim.ContactlessCAPKs() {
		c.CAPKs = append(c.CAPKs, wire.CAPK{RID: k.RID.String(), Index: fmt.Sprintf("%02X", k.Index), Modulus: k.Modulus.String(),
			Exponent: k.Exponent.String(), Expiry: k.Expiry.Time.Format(time.DateOnly), Checksum: k.Checksum.String()})
	}
	return c, nil
}

// applications are those of the cards, inserted and tapped.
func applications() []emv.Application {
	all := cardsim.Applications()
	for _, aid := range []emv.AID{{0xA0, 0x00, 0x00, 0x00, 0x03, 0x10, 0x10}, {0xA0, 0x00, 0x00, 0x00, 0x04, 0x10, 0x10}} {
		app := all[0]
		app.AID = aid
		all = append(all, app)
	}
	return all
}

// Enroll registers a terminal at the fleet and gives its one-time code.
func (h *House) Enroll(ctx context.Context, serial, terminalID string) (string, error) {
	code, err := h.Fleet.Enroll(ctx, "lab", enroll.Application{Serial: serial, Model: "posagent-sim", MerchantID: MerchantID, TerminalID: terminalID})
	return code.Code, err
}

// PushConfig makes the laboratory's configuration the desired one of a terminal.
func (h *House) PushConfig(ctx context.Context, serial, terminalID string) error {
	c, err := Config(terminalID, h.HostAddr(), h.o.ResponseTimeout, h.o.Language)
	if err == nil {
		_, err = h.Fleet.PushConfig(ctx, "lab", serial, c)
	}
	return err
}

// Activate takes the terminal from its first start to its first sign-in.
func (h *House) Activate(ctx context.Context) error {
	code, err := h.Enroll(ctx, Serial, TerminalID)
	if err != nil {
		return err
	}
	if err := h.Agent.Activate(ctx, code); err != nil {
		return err
	}
	if err := h.PushConfig(ctx, Serial, TerminalID); err != nil {
		return err
	}
	return h.WaitReady(ctx)
}

// WaitReady waits until the terminal can sell.
func (h *House) WaitReady(ctx context.Context) error {
	return Until(ctx, func() bool { s := h.Agent.Status(); return s.Ready && s.SignedIn })
}

// Until waits for a condition of the running house.
func Until(ctx context.Context, condition func() bool) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// Press presses keys of the terminal's keyboard.
func (h *House) Press(names ...string) error {
	for _, name := range names {
		k, ok := pinpad.ParseKey(name)
		if !ok {
			return fmt.Errorf("no key %q", name)
		}
		h.Board.PINPad.Press(k)
	}
	return nil
}

// Insert puts a card of the wallet into the slot.
func (h *House) Insert(name string) error {
	card, err := cardsim.Open(name)
	if err != nil {
		return err
	}
	h.Board.Slot.Insert(card)
	return nil
}

// Tap holds a card of the contactless wallet to the reader, in place of one that
// is held there.
func (h *House) Tap(name string) error {
	card, err := cardsim.OpenContactless(name)
	if err != nil {
		return err
	}
	h.Board.Tap(card)
	return nil
}

// Untap takes the card from the reader, if there is one.
func (h *House) Untap() { h.Board.Untap() }

// Screen waits until the terminal shows one of the screens, and gives its name.
func (h *House) Screen(ctx context.Context, names ...string) (string, error) {
	var last string
	err := Until(ctx, func() bool {
		last = h.Agent.Screen().Name
		for _, n := range names {
			if n == last {
				return true
			}
		}
		return false
	})
	if err != nil {
		err = fmt.Errorf("wait for screen %v, it shows %q: %w", names, last, err)
	}
	return last, err
}

// Panel is what the terminal's display shows, as its dots.
func (h *House) Panel() image.Image { return h.Board.Panel.Image() }

// TempDir makes a directory for a house that is thrown away.
func TempDir() (string, func(), error) {
	dir, err := os.MkdirTemp("", "posagent-lab-*")
	return dir, func() { os.RemoveAll(dir) }, err
}
