package acquirer_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"posagent/agent/acquirer"
	"posagent/agent/acquirer/hostsim"
	"posagent/agent/keys"
	"posagent/agent/payment"
)

const (
	tid = payment.TerminalID("10000001")
	mid = payment.MerchantID("898100000000001")
	pan = "6226097318460046" // synthetic, in a test range
	pin = "1234"
)

// tmk is a key made for these tests.
var tmk = []byte("\x31\x32\x34\x37\x38\x3b\x3d\x3e\x51\x52\x54\x57\x58\x5b\x5d\x5e")

// when is what every clock of these tests says.
var when = time.Date(2026, 5, 20, 14, 3, 9, 0, time.UTC)

func now() time.Time { return when }

func profileText(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile("profiles/unionpay-pos.json")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// profile is unionpay-pos with pairs of text replaced.
func profile(t testing.TB, replace ...string) *acquirer.Profile {
	t.Helper()
	p, err := acquirer.LoadProfile(strings.NewReader(strings.NewReplacer(replace...).Replace(profileText(t))))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var kept = []string{`"per_exchange"`, `"kept"`}

// pipes is a listener on net.Pipe: all of it stays inside a synctest bubble.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// world is one terminal's link and one host, with a wire between them.
type world struct {
	t       testing.TB
	host    *hostsim.Host
	link    *acquirer.Link
	pad     *keys.Software
	cfg     acquirer.Config
	foreign []string
	trace   []string
	stan    payment.STAN
	taps    *tap
}

// tap records what crosses the wire.
type tap struct {
	mu      sync.Mutex
	out, in bytes.Buffer
}

type tapped struct {
	net.Conn
	t *tap
}

func (c tapped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.t.mu.Lock()
	defer c.t.mu.Unlock()
	c.t.in.Write(b[:n])
	return n, err
}

func (c tapped) Write(b []byte) (int, error) {
	c.t.mu.Lock()
	c.t.out.Write(b)
	c.t.mu.Unlock()
	return c.Conn.Write(b)
}

// start runs a host and a signed-in link until the test ends.
func start(t *testing.T, p *acquirer.Profile, tune func(*hostsim.Config)) *world {
	t.Helper()
	w := &world{t: t, taps: new(tap)}
	hc := hostsim.Config{
		Profile: p, TMKs: map[payment.TerminalID][]byte{tid: tmk}, PINs: map[string]string{pan: pin},
		Rand: rand.NewChaCha8([32]byte{1}), Now: now, Text: "交易成功",
	}
	if tune != nil {
		tune(&hc)
	}
	var err error
	if w.host, err = hostsim.New(hc); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	ln := newPipes()
	go func() { done <- w.host.Serve(ctx, ln) }()
	if w.pad, err = keys.NewSoftware(tmk); err != nil {
		t.Fatal(err)
	}
	w.cfg = acquirer.Config{
		Profile: p, Addr: "host:1", TerminalID: tid, MerchantID: mid, Keys: w.pad, Now: now, Batch: 7,
		OnForeign: func(reason, description string) {
			w.foreign = append(w.foreign, reason)
			w.noSecret(description)
		},
		OnTrace: func(_, description string) { w.noSecret(description); w.trace = append(w.trace, description) },
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := ln.dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return tapped{c, w.taps}, nil
		},
	}
	if w.link, err = acquirer.New(w.cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = w.link.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve = %v", err)
		}
	})
	return w
}

func (w *world) noSecret(text string) {
	w.t.Helper()
	flat := strings.ReplaceAll(text, " ", "")
	for _, secret := range []string{pan, pan[6:12], hex.EncodeToString([]byte(pan)), "2512201"} {
		if strings.Contains(flat, secret) {
			w.t.Errorf("a description shows %q:\n%s", secret, text)
		}
	}
}

func (w *world) signIn() *world {
	w.t.Helper()
	w.stan = w.stan.Next()
	if _, err := w.link.SignIn(w.t.Context(), w.stan); err != nil {
		w.t.Fatalf("SignIn: %v", err)
	}
	return w
}

// icc is chip data of a sale as a kernel gives it, with CVM results for "no CVM".
const icc = "9F2608A1B2C3D4E5F60718" + "9F2701809F101307010103A0A802010A0100000000007AF3B2C1" +
	"9F37040102030495050000000000" + "9A032605209C01009F02060000000012345F2A020156820239009F1A020156" +
	"9F360200019F34031F0302" + "9F3303E0F0C8"

func (w *world) sale(withPIN bool) payment.Request {
	w.t.Helper()
	w.stan = w.stan.Next()
	chip, err := hex.DecodeString(icc)
	if err != nil {
		w.t.Fatal(err)
	}
	number, _ := payment.NewPAN(pan)
	track, err := payment.NewTrack2(pan + "D25122010000012345678")
	if err != nil {
		w.t.Fatal(err)
	}
	r := payment.Request{
		Type: payment.Sale, Amount: 1234, Currency: payment.CNY, STAN: w.stan, Batch: 7, Time: when,
		TerminalID: tid, MerchantID: mid, Operator: "01",
		Entry: payment.Chip, PAN: number, Expiry: "2512", PANSequence: "001", Track2: track, ICC: chip,
	}
	if withPIN {
		r.ICC = bytes.Replace(chip, []byte{0x1F, 0x03, 0x02}, []byte{0x42, 0x03, 0x00}, 1)
		block, err := w.pad.PINBlock(w.t.Context(), []byte(pin), pan)
		if err != nil {
			w.t.Fatal(err)
		}
		if r.PINBlock, err = payment.NewPINBlock(block[:]); err != nil {
			w.t.Fatal(err)
		}
	}
	return r
}

// peer is a host of one function: what comes back for a request, each element
// one write.
func (w *world) peer(answer func(acquirer.Frame) [][]byte) *acquirer.Link {
	w.t.Helper()
	cfg := w.cfg
	cfg.Dial = func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			frames := acquirer.NewFrameReader(far, cfg.Profile.MaxFrame())
			for f, err := frames.Next(); err == nil; f, err = frames.Next() {
				for _, b := range answer(f) {
					if _, err := far.Write(b); err != nil {
						return
					}
				}
			}
			_, _ = io.Copy(io.Discard, far)
		}()
		return near, nil
	}
	link, err := acquirer.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return link
}

// traced counts the descriptions of a direction.
func (w *world) traced(mti string) (n int) {
	for _, d := range w.trace {
		if strings.Contains(d, "message type "+mti+"\n") {
			n++
		}
	}
	return n
}
