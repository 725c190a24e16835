//go:build linux

package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"posagent/agent/journal"
	"posagent/agent/lifecycle"
	"posagent/cmd/lab/house"
	"posagent/ota/fleet/console"
	"posagent/ota/wire"
)

// authority makes a certificate authority, and gives its certificate also as PEM.
func authority(t *testing.T, name string) (*x509.Certificate, *ecdsa.PrivateKey, string) {
	t.Helper()
	cert, key, der := issue(t, nil, nil, &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return cert, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// issue signs a certificate for a new key; without parent it signs itself.
func issue(t *testing.T, parent *x509.Certificate, signer *ecdsa.PrivateKey, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(1), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key, der
}

// A terminal that was given another fleet's root does not believe this fleet, and
// gives it neither code nor key.
func TestForeignFleet(t *testing.T) {
	s := openShop(t)
	real := s.root
	_, _, root := authority(t, "another fleet")
	s.root = s.path("other.pem")
	if err := os.WriteFile(s.root, []byte(root), 0o600); err != nil {
		t.Fatal(err)
	}
	s.startTerminal()
	code := s.enroll(house.Serial, house.TerminalID)
	r := run(t, t.Context(), "terminalctl", "-control", s.sock, "activate", code)
	if r.status != 1 || !strings.Contains(r.err, "certificate signed by unknown authority") {
		t.Errorf("activation at a foreign fleet: %v", r)
	}
	if _, err := os.Stat(s.path("terminal/identity.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the terminal has taken an identity: %v", err)
	}
	s.terminald.stop()

	// With the right root the same code is still good: it was never sent.
	s.root = real
	s.startTerminal()
	s.ctl("activate", code)
	s.terminald.stop()

	// Once activated, it does not talk to a broker of another root either.
	s.root = s.path("other.pem")
	s.startTerminal()
	s.wait("the terminal has refused the broker", func() bool {
		return strings.Contains(s.terminald.log.String(), "certificate signed by unknown authority")
	})
	if st, err := s.terminal.Status(t.Context()); err != nil || st.FleetOnline {
		t.Errorf("status %+v, %v; want it offline", st, err)
	}
	s.stop()
}

// The broker lets nobody in who has no certificate of this fleet, whatever name
// the certificate carries.
func TestForeignClient(t *testing.T) {
	s := openShop(t)
	s.startTerminal()
	s.activate()
	s.terminald.stop()
	s.terminald = nil
	text, err := os.ReadFile(s.root)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	life, err := lifecycle.Open(s.path("terminal"), house.Serial, roots)
	if err != nil {
		t.Fatal(err)
	}
	own, err := life.ClientCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	id, _ := life.Identity()
	name := wire.ClientID(id.Tenant, id.Serial)
	leaf := func() *x509.Certificate {
		return &x509.Certificate{Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	}
	ca, caKey, _ := authority(t, "another fleet")
	_, key, der := issue(t, ca, caKey, leaf())
	foreign := &tls.Certificate{Certificate: [][]byte{der, ca.Raw}, PrivateKey: key}
	_, key, der = issue(t, nil, nil, leaf())
	self := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	for _, row := range []struct {
		name string
		cert *tls.Certificate
		in   bool
	}{{"another fleet's certificate", foreign, false}, {"its own authority", self, false}, {"no certificate", &tls.Certificate{}, false}, {"the terminal's own", own, true}} {
		t.Run(row.name, func(t *testing.T) {
			config := &tls.Config{RootCAs: roots, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return row.cert, nil }}
			client := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("ssl://" + s.mqtt).SetClientID(name).SetTLSConfig(config).
				SetConnectRetry(false).SetAutoReconnect(false).SetConnectTimeout(5 * time.Second))
			token := client.Connect()
			token.Wait()
			defer client.Disconnect(0)
			if in := token.Error() == nil; in != row.in {
				t.Errorf("connected: %v (%v); want %v", in, token.Error(), row.in)
			}
		})
	}
	s.wait("fleetd has logged the refusals", func() bool { return strings.Count(s.fleetd.log.String(), "connection refused") >= 3 })
}

// A journal that is torn is a clear error that names the file. The file is left
// as it is, and when it is whole again nothing is lost.
func TestTornJournal(t *testing.T) {
	s := openShop(t)
	s.startTerminal()
	s.activate()
	a, _ := s.sale("online-pin", "12.34", "only")
	if a.Outcome != "approved" {
		t.Fatalf("sale: %+v", a)
	}
	s.events()
	s.terminald.stop()
	path := s.path("terminal/journal.db")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name   string
		damage func([]byte) []byte
	}{
		{"empty", func([]byte) []byte { return nil }},
		{"cut short", func(b []byte) []byte { return b[:4*4096] }},
		{"cut inside a page", func(b []byte) []byte { return b[:4*4096+100] }},
		{"both meta pages torn", func(b []byte) []byte { clear(b[:2*4096]); return b }},
		{"pages of nothing", func(b []byte) []byte { clear(b[2*4096:]); return b }},
		{"not a journal", func([]byte) []byte { return bytes.Repeat([]byte("this is no journal\n"), 4096) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			torn := row.damage(bytes.Clone(whole))
			if err := os.WriteFile(path, torn, 0o600); err != nil {
				t.Fatal(err)
			}
			r := run(t, t.Context(), "terminald", "-config", s.path("terminald.json"), "-state", s.path("terminal"), "-fleet-root", s.root, "-fleet", s.boot)
			if r.status != 1 || !strings.Contains(r.err, path+" is damaged") || strings.Contains(r.err, "goroutine ") {
				t.Errorf("terminald on a torn journal: %v; want status 1 and the file's name", r)
			}
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, torn) {
				t.Errorf("the torn journal was changed (%v)", err)
			}
		})
	}
	// One bit of one record: the terminal runs, and says which record it is.
	bit := bytes.Clone(whole)
	at := bytes.Index(bit, []byte(a.Record.RRN))
	if at < 0 {
		t.Fatal("the record is not in the file")
	}
	for ; at >= 0; at = bytes.Index(bit, []byte(a.Record.RRN)) { // older copies of the page too
		bit[at] ^= 1
	}
	s.restore(path, bit)
	for _, args := range [][]string{{"journal"}, {"journal", "verify"}} {
		r := run(t, t.Context(), "terminalctl", append([]string{"-control", s.sock}, args...)...)
		if r.status != 1 || !strings.Contains(r.out+r.err, "damaged: record 1: ") {
			t.Errorf("%v with a flipped bit: %v; want status 1 and the record named", args, r)
		}
	}
	s.terminald.stop()

	s.restore(path, whole)
	s.waitReady()
	s.verify()
	s.agree(s.tear())
	s.stop()
}

// restore starts the terminal on a journal.
func (s *shop) restore(path string, content []byte) {
	s.t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.startTerminal()
}

// A configuration with one bad field is refused whole, and the one before stays
// in force: the fleet refuses what no terminal can use, the terminal what it
// cannot.
func TestBadConfig(t *testing.T) {
	s := openShop(t)
	s.startTerminal()
	s.activate()
	push := func(change func(*wire.Config)) result {
		c := s.config()
		change(&c)
		s.write(s.path("bad.json"), c)
		return run(t, t.Context(), "fleetctl", "-addr", s.fleet, "-dir", s.path("fleet"), "config", "push", house.Serial, s.path("bad.json"))
	}
	for _, row := range []struct {
		path   string
		change func(*wire.Config)
	}{
		{"receipt.copies", func(c *wire.Config) { c.Receipt.Copies = 9 }},
		{"acquirer.primary", func(c *wire.Config) { c.Acquirer.Primary = "nowhere" }},
		{"aids[0].tac_denial", func(c *wire.Config) { c.AIDs[0].TACDenial = "001" }},
	} {
		if r := push(row.change); r.status != 1 || !strings.Contains(r.err, row.path+": ") {
			t.Errorf("fleet, %s: %v; want status 1 and the path", row.path, r)
		}
	}
	revision := uint64(1)
	for _, row := range []struct {
		path   string
		change func(*wire.Config)
	}{
		{"acquirer.key_form", func(c *wire.Config) { c.Acquirer.KeyForm = "001" }},
		{"acquirer.mac", func(c *wire.Config) { c.Acquirer.MAC = "x919" }},
		{"currency", func(c *wire.Config) { c.Currency = "999" }},
	} {
		if r := push(row.change); r.status != 0 {
			t.Errorf("push of a bad %s: %v; want the fleet to take it", row.path, r)
			continue
		}
		revision++
		var one console.Terminal
		s.wait("the terminal has judged revision "+row.path, func() bool {
			s.decode(s.fleetctl("terminals", house.Serial), &one)
			return one.Reported != nil && one.Reported.Revision == revision
		})
		if one.Reported.State != wire.ReportedRejected || one.Reported.Path != row.path || one.Reported.Reason == "" || one.InSync {
			t.Errorf("%s: reported %+v; want it rejected with path and reason", row.path, one.Reported)
		}
		if st := s.waitReady(); st.Config != 1 {
			t.Errorf("%s: revision %d is in force; want 1", row.path, st.Config)
		}
	}
	// A restart does not forget which one is good.
	s.terminald.stop()
	s.startTerminal()
	s.waitReady()
	if a, _ := s.sale("no-cvm", "3.00", "with the old one"); a.Outcome != "approved" || a.Record.State != journal.Approved {
		t.Errorf("sale with the old configuration: %+v", a)
	}
	s.agree(s.tear())
	s.stop()
	if left, _ := filepath.Glob(s.path("terminal/.*")); left != nil {
		t.Errorf("temporary files are left: %q", left)
	}
}
