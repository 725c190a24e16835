package enroll

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"posagent/ota/fleet/store"
	"posagent/ota/wire"
)

var start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

type bench struct {
	t     *testing.T
	desk  *Desk
	store store.Store
	clock *clock
}

func newBench(t *testing.T) *bench {
	t.Helper()
	dir := t.TempDir()
	c := &clock{t: start}
	s, err := store.OpenBolt(filepath.Join(dir, "fleet.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	a, err := OpenAuthority(filepath.Join(dir, "ca"), []string{"127.0.0.1", "fleet.example"}, c.now)
	if err != nil {
		t.Fatal(err)
	}
	return &bench{t: t, store: s, clock: c, desk: NewDesk(s, a, "acme", func() string { return "127.0.0.1:8883" }, c.now)}
}

var application = Application{Serial: "VT-0001", Model: "vt1", MerchantID: "103290055410001", TerminalID: "10000001"}

func (b *bench) code() string {
	b.t.Helper()
	c, err := b.desk.IssueCode(context.Background(), "admin", "VT-0001")
	if err != nil {
		b.t.Fatal(err)
	}
	return c.Code
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func request(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "evil/VT-9999"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// activate says hello and asks for a certificate with the code, as peer.
func (b *bench) activate(peer Peer, key *ecdsa.PrivateKey, code string) wire.Message {
	b.t.Helper()
	spki, err := SPKI(key.Public())
	if err != nil {
		b.t.Fatal(err)
	}
	nonceT := strings.Repeat("0a", wire.NonceBytes)
	answer, err := b.desk.Hello(context.Background(), peer, &wire.Hello{Serial: peer.Serial, Model: "vt1", Firmware: "1", NonceT: nonceT, SPKISHA256: spki})
	if err != nil {
		b.t.Fatal(err)
	}
	challenge, ok := answer.(*wire.Challenge)
	if !ok {
		return answer
	}
	proofKey, err := wire.CodeKey(peer.Serial, code)
	if err != nil {
		b.t.Fatal(err)
	}
	proof, err := wire.CodeProof(proofKey, challenge.NonceF, nonceT, spki)
	if err != nil {
		b.t.Fatal(err)
	}
	answer, err = b.desk.CSR(context.Background(), peer, &wire.CSR{NonceT: nonceT, CSR: request(b.t, key), CodeProof: proof})
	if err != nil {
		b.t.Fatal(err)
	}
	return answer
}

var peer = Peer{Client: "boot/VT-0001/0123456789abcdef", Serial: "VT-0001", Remote: "192.0.2.1"}

func (b *bench) register() {
	b.t.Helper()
	if err := b.desk.Register(context.Background(), "admin", application); err != nil {
		b.t.Fatal(err)
	}
}

func wantRefused(t *testing.T, m wire.Message, reason wire.Reason) *wire.Refused {
	t.Helper()
	r, ok := m.(*wire.Refused)
	if !ok || r.Reason != reason {
		t.Fatalf("got %+v, want refused %s", m, reason)
	}
	return r
}

func wantCertificate(t *testing.T, m wire.Message) *wire.Certificate {
	t.Helper()
	c, ok := m.(*wire.Certificate)
	if !ok {
		t.Fatalf("got %+v, want a certificate", m)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestActivation(t *testing.T) {
	b := newBench(t)
	wantRefused(t, b.activate(peer, newKey(t), "0000-0000"), wire.ReasonUnknownSerial)
	b.register()
	key := newKey(t)
	wantRefused(t, b.activate(peer, key, "0000-0000"), wire.ReasonNoCode)
	code := b.code()
	c := wantCertificate(t, b.activate(peer, key, strings.ToLower(code)))
	if c.State != wire.StateActive || c.Tenant != "acme" || c.Serial != "VT-0001" || c.Broker != "127.0.0.1:8883" {
		t.Errorf("got %+v", c)
	}
	pair, err := tls.X509KeyPair([]byte(c.Chain), mustKeyPEM(t, key))
	if err != nil {
		t.Fatal(err)
	}
	inters := x509.NewCertPool()
	inter, _ := x509.ParseCertificate(pair.Certificate[1])
	inters.AddCert(inter)
	_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: b.desk.authority.Roots(), Intermediates: inters, CurrentTime: start,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		t.Error(err)
	}
	if cn := pair.Leaf.Subject.CommonName; cn != "acme/VT-0001" {
		t.Errorf("common name %q was taken from the request", cn)
	}
	if life := pair.Leaf.NotAfter.Sub(start); life != LeafLife {
		t.Errorf("life %s", life)
	}

	t.Run("the same key may ask again", func(t *testing.T) {
		if again := wantCertificate(t, b.activate(peer, key, code)); again.Chain != c.Chain {
			t.Error("another certificate was issued")
		}
	})
	t.Run("another key may not", func(t *testing.T) {
		wantRefused(t, b.activate(peer, newKey(t), code), wire.ReasonCodeUsed)
	})
	t.Run("a new code replaces the machine", func(t *testing.T) {
		wantCertificate(t, b.activate(peer, newKey(t), b.code()))
		terminal := b.terminal()
		if len(terminal.Certs) != 1 || terminal.Certs[0].Chain == c.Chain {
			t.Error("the old certificate is still allowed")
		}
	})
	t.Run("revoked", func(t *testing.T) {
		if err := b.desk.Revoke(context.Background(), "admin", "VT-0001", "test"); err != nil {
			t.Fatal(err)
		}
		if terminal := b.terminal(); len(terminal.Certs) != 0 || terminal.State != wire.StateDeactivated {
			t.Errorf("got %+v", terminal)
		}
		wantRefused(t, b.activate(peer, key, code), wire.ReasonNotApproved)
		if _, err := b.desk.IssueCode(context.Background(), "admin", "VT-0001"); !errors.Is(err, ErrState) {
			t.Errorf("got %v", err)
		}
		b.register() // a deactivated terminal may begin again
	})
	if _, err := store.VerifyAudit(b.store); err != nil {
		t.Error(err)
	}
}

func (b *bench) terminal() (v store.Terminal) {
	b.t.Helper()
	err := b.store.View(func(tx store.Tx) (err error) {
		v, err = tx.Terminal("VT-0001")
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

func mustKeyPEM(t *testing.T, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	if err := writeKey(file, key); err != nil {
		t.Fatal(err)
	}
	body, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestCodeIsNotStored(t *testing.T) {
	b := newBench(t)
	b.register()
	code := b.code()
	if stored := string(b.terminal().Code.Key); strings.Contains(stored, code) || strings.Contains(stored, strings.ReplaceAll(code, "-", "")) {
		t.Error("the code itself is stored")
	}
}

func TestWrongCodeLocks(t *testing.T) {
	b := newBench(t)
	b.register()
	code := b.code()
	wrong := "0000-0000"
	key := newKey(t)
	for left := uint32(4); left >= 1; left-- {
		if r := wantRefused(t, b.activate(peer, key, wrong), wire.ReasonCodeWrong); r.TriesLeft != left {
			t.Errorf("tries left %d, want %d", r.TriesLeft, left)
		}
	}
	wantRefused(t, b.activate(peer, key, wrong), wire.ReasonCodeLocked)
	wantRefused(t, b.activate(peer, key, code), wire.ReasonCodeLocked)
	wantCertificate(t, b.activate(peer, key, b.code()))
}

func TestExpiredCode(t *testing.T) {
	b := newBench(t)
	b.register()
	code := b.code()
	b.clock.add(CodeLife)
	wantCertificate(t, b.activate(peer, newKey(t), code))
	code = b.code()
	b.clock.add(CodeLife + time.Second)
	wantRefused(t, b.activate(peer, newKey(t), code), wire.ReasonCodeExpired)
}

func TestBadRequests(t *testing.T) {
	b := newBench(t)
	b.register()
	code := b.code()
	key, nonceT := newKey(t), strings.Repeat("0a", wire.NonceBytes)
	spki, _ := SPKI(key.Public())
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	good := request(t, key)
	forged := append([]byte(nil), good...)
	forged[len(forged)-1] ^= 1
	for _, row := range []struct {
		name   string
		csr    []byte
		nonceT string
		reason wire.Reason
	}{
		{"not DER", []byte("hello"), nonceT, wire.ReasonCSR},
		{"P-384", request(t, p384), nonceT, wire.ReasonCSR},
		{"RSA", request(t, rsaKey), nonceT, wire.ReasonCSR},
		{"forged signature", forged, nonceT, wire.ReasonCSR},
		{"another key than in hello", request(t, newKey(t)), nonceT, wire.ReasonKey},
		{"another hello's nonce", good, strings.Repeat("0b", wire.NonceBytes), wire.ReasonProtocol},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := peer
			answer, err := b.desk.Hello(context.Background(), p, &wire.Hello{Serial: p.Serial, Model: "m", Firmware: "f", NonceT: nonceT, SPKISHA256: spki})
			if err != nil {
				t.Fatal(err)
			}
			proofKey, _ := wire.CodeKey(p.Serial, code)
			proof, _ := wire.CodeProof(proofKey, answer.(*wire.Challenge).NonceF, nonceT, spki)
			got, err := b.desk.CSR(context.Background(), p, &wire.CSR{NonceT: row.nonceT, CSR: row.csr, CodeProof: proof})
			if err != nil {
				t.Fatal(err)
			}
			wantRefused(t, got, row.reason)
		})
	}
	if tries := b.terminal().Code.Tries; tries != 0 {
		t.Errorf("%d tries were counted", tries)
	}
	t.Run("no hello", func(t *testing.T) {
		got, err := b.desk.CSR(context.Background(), Peer{Client: "boot/VT-0001/ffffffffffffffff", Serial: "VT-0001"}, &wire.CSR{NonceT: nonceT, CSR: good})
		if err != nil {
			t.Fatal(err)
		}
		wantRefused(t, got, wire.ReasonProtocol)
	})
}

func TestRateLimit(t *testing.T) {
	b := newBench(t)
	b.register()
	for range perSerial {
		b.activate(Peer{Client: "x", Serial: "VT-0002", Remote: "192.0.2.9"}, newKey(t), "0000-0000")
	}
	wantRefused(t, b.activate(Peer{Client: "x", Serial: "VT-0002", Remote: "192.0.2.9"}, newKey(t), "0000-0000"), wire.ReasonRate)
	wantCertificate(t, b.activate(peer, newKey(t), b.code())) // another serial is not hurt
	b.clock.add(time.Minute)
	wantRefused(t, b.activate(Peer{Client: "x", Serial: "VT-0002", Remote: "192.0.2.9"}, newKey(t), "0000-0000"), wire.ReasonUnknownSerial)
}

// TestCodeRace: two machines with the same code at the same moment, one certificate.
func TestCodeRace(t *testing.T) {
	b := newBench(t)
	b.register()
	code := b.code()
	var all sync.WaitGroup
	results := make(chan wire.Message, 8)
	for i := range 8 {
		key := newKey(t)
		all.Go(func() {
			results <- b.activate(Peer{Client: fmt.Sprint("boot/", i), Serial: "VT-0001", Remote: "192.0.2.1"}, key, code)
		})
	}
	all.Wait()
	close(results)
	certificates := 0
	for m := range results {
		if _, ok := m.(*wire.Certificate); ok {
			certificates++
			continue
		}
		wantRefused(t, m, wire.ReasonCodeUsed)
	}
	if certificates != 1 {
		t.Errorf("%d certificates", certificates)
	}
}

func TestRegisterRefuses(t *testing.T) {
	b := newBench(t)
	b.register()
	for _, row := range []struct {
		name string
		app  Application
		err  error
		path string
	}{
		{"same serial", Application{"VT-0001", "m", "103290055410002", "10000002"}, store.ErrBound, ""},
		{"same terminal id", Application{"VT-0002", "m", "103290055410001", "10000001"}, store.ErrBound, ""},
		{"serial", Application{"V/1", "m", "103290055410001", "10000001"}, ErrField, "serial"},
		{"merchant", Application{"VT-0002", "m", "10329005541000A", "10000001"}, ErrField, "merchant_id"},
		{"terminal id", Application{"VT-0002", "m", "103290055410001", "1000000"}, ErrField, "terminal_id"},
	} {
		err := b.desk.Register(context.Background(), "admin", row.app)
		if !errors.Is(err, row.err) || !strings.Contains(err.Error(), row.path) {
			t.Errorf("%s: got %v", row.name, err)
		}
	}
}

func TestAuthority(t *testing.T) {
	dir := t.TempDir()
	now := func() time.Time { return start }
	first, err := OpenAuthority(dir, []string{"127.0.0.1"}, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "root", "root.key")); err != nil { // carried away
		t.Fatal(err)
	}
	again, err := OpenAuthority(dir, []string{"127.0.0.1"}, now)
	if err != nil {
		t.Fatal(err)
	}
	if string(first.RootPEM()) != string(again.RootPEM()) || first.Signers()[0].KeyID != again.Signers()[0].KeyID {
		t.Error("a second start made new keys")
	}
	a, _ := first.ServerCertificate(nil)
	c, _ := again.ServerCertificate(nil)
	if !a.Leaf.Equal(c.Leaf) {
		t.Error("a second start made a new server certificate")
	}
	wider, err := OpenAuthority(dir, []string{"127.0.0.1", "fleet.example"}, now)
	if err != nil {
		t.Fatal(err)
	}
	if w, _ := wider.ServerCertificate(nil); w.Leaf.VerifyHostname("fleet.example") != nil {
		t.Error("a new host is not in the server certificate")
	}
	later, err := OpenAuthority(dir, []string{"127.0.0.1"}, func() time.Time { return start.Add(300 * 24 * time.Hour) })
	if err != nil {
		t.Fatal(err)
	}
	if l, _ := later.ServerCertificate(nil); !l.Leaf.NotAfter.After(start.Add(400 * 24 * time.Hour)) {
		t.Error("an old server certificate is kept")
	}
	for _, row := range []struct{ name, file, body string }{
		{"missing root", "root.pem", ""},
		{"damaged intermediate", "intermediate.pem", "x"},
		{"missing intermediate key", "intermediate.key", ""},
		{"damaged signer", "signer.key", "x"},
	} {
		t.Run(row.name, func(t *testing.T) {
			copied := t.TempDir()
			if err := os.CopyFS(filepath.Join(copied, "ca"), os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(copied, "ca", row.file)
			if row.body == "" {
				err = os.Remove(file)
			} else {
				err = os.WriteFile(file, []byte(row.body), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := OpenAuthority(filepath.Join(copied, "ca"), []string{"127.0.0.1"}, now); !errors.Is(err, ErrAuthority) {
				t.Errorf("got %v", err)
			}
		})
	}
	info, err := os.Stat(filepath.Join(dir, "intermediate.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file mode %v, %v", info.Mode(), err)
	}
}
