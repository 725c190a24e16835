package lifecycle

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
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

	"posagent/ota/wire"
)

const serial = "PA000001"

// authority is a one-step certification authority of this test.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test root"}, NotBefore: time.Unix(0, 0),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &authority{key, cert, pool}
}

func (a *authority) certify(t *testing.T, public any, name string, until time.Time) *wire.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
	if err != nil {
		t.Fatal(err)
	}
	signer := make(ed25519.PublicKey, ed25519.PublicKeySize)
	return &wire.Certificate{Serial: serial, Tenant: "shop", Broker: "127.0.0.1:8883", State: wire.StateActive,
		Chain:   string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		Signers: []wire.Signer{{KeyID: wire.KeyID(signer), Key: signer}}}
}

// server makes a certificate for servers.
func (a *authority) server(t *testing.T, public any, name string, until time.Time) *wire.Certificate {
	t.Helper()
	c := a.certify(t, public, name, until)
	template := &x509.Certificate{SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
	if err != nil {
		t.Fatal(err)
	}
	c.Chain = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return c
}

func repeated(c *wire.Certificate, n int) *wire.Certificate {
	c.Chain = strings.Repeat(c.Chain, n)
	return c
}

func TestKeyIsMadeOnceAndKept(t *testing.T) {
	dir, ca := t.TempDir(), newAuthority(t)
	first, err := Open(dir, serial, ca.pool)
	if err != nil {
		t.Fatal(err)
	}
	if first.State() != wire.StateInitialised {
		t.Errorf("state of a new terminal = %s", first.State())
	}
	a, _ := first.SPKISHA256()
	second, err := Open(dir, serial, ca.pool)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := second.SPKISHA256(); a != b || a == "" {
		t.Errorf("second start has key %s, first had %s", b, a)
	}
	if _, err := first.ClientCertificate(nil); !errors.Is(err, ErrNotActivated) {
		t.Errorf("ClientCertificate before activation = %v", err)
	}
}

func TestAccept(t *testing.T) {
	dir, ca, other := t.TempDir(), newAuthority(t), newAuthority(t)
	store, err := Open(dir, serial, ca.pool)
	if err != nil {
		t.Fatal(err)
	}
	hour := time.Now().Add(time.Hour)
	foreign := ca.certify(t, store.key.Public(), "shop/"+serial, hour)
	foreign.Serial = "PA000002"
	for _, row := range []struct {
		name string
		cert *wire.Certificate
	}{
		{"foreign root", other.certify(t, store.key.Public(), "shop/"+serial, hour)},
		{"foreign key", ca.certify(t, other.key.Public(), "shop/"+serial, hour)},
		{"foreign name", ca.certify(t, store.key.Public(), "shop/PA000002", hour)},
		{"foreign serial", foreign},
		{"expired", ca.certify(t, store.key.Public(), "shop/"+serial, time.Now().Add(-time.Minute))},
		{"no certificate", &wire.Certificate{Serial: serial, Tenant: "shop"}},
		{"not for clients", ca.server(t, store.key.Public(), "shop/"+serial, hour)},
		{"four certificates", repeated(ca.certify(t, store.key.Public(), "shop/"+serial, hour), 4)},
	} {
		t.Run(row.name, func(t *testing.T) {
			if err := store.Accept(row.cert, time.Now()); !errors.Is(err, ErrCertificate) {
				t.Errorf("Accept = %v, want ErrCertificate", err)
			}
			if _, ok := store.Identity(); ok {
				t.Error("a refused certificate left an identity")
			}
		})
	}
	if err := store.Accept(ca.certify(t, store.key.Public(), "shop/"+serial, hour), time.Now()); err != nil {
		t.Fatal(err)
	}
	again, err := Open(dir, serial, ca.pool)
	if err != nil {
		t.Fatal(err)
	}
	id, ok := again.Identity()
	if !ok || id.Tenant != "shop" || !MaySell(again.State()) {
		t.Errorf("identity after restart = %+v, %v", id, ok)
	}
	cert, err := again.ClientCertificate(nil)
	if err != nil || len(cert.Certificate) != 1 {
		t.Errorf("ClientCertificate = %v, %v", cert, err)
	}
}

func TestDamageIsNamedAndLeft(t *testing.T) {
	ca, now := newAuthority(t), time.Now()
	template := t.TempDir()
	store, err := Open(template, serial, ca.pool)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Accept(ca.certify(t, store.key.Public(), "shop/"+serial, now.Add(time.Hour)), now); err != nil {
		t.Fatal(err)
	}
	key, identity := read(t, template, keyFile), read(t, template, identityFile)
	foreign, err := Open(t.TempDir(), serial, ca.pool)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(p384)
	if err != nil {
		t.Fatal(err)
	}
	replace := func(old, new string) string {
		if !strings.Contains(identity, old) {
			t.Fatalf("identity lacks %q", old)
		}
		return strings.Replace(identity, old, new, 1)
	}
	for _, row := range []struct{ name, file, key, identity string }{
		{"key torn", keyFile, "{torn", identity},
		{"key empty", keyFile, "", identity},
		{"key half", keyFile, key[:len(key)/2], identity},
		{"key of another curve", keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), identity},
		{"key of another terminal", identityFile, read(t, foreign.dir, keyFile), identity},
		{"identity torn", identityFile, key, "{torn"},
		{"identity empty", identityFile, key, ""},
		{"another serial", identityFile, key, replace(serial, "PA000009")},
		{"no chain", identityFile, key, replace("BEGIN CERTIFICATE", "BEGIN RUBBISH")},
		{"chain damaged", identityFile, key, replace("MII", "MIX")},
		{"no tenant", identityFile, key, replace(`"tenant": "shop"`, `"tenant": ""`)},
		{"unknown state", identityFile, key, replace(`"ACTIVE"`, `"RICH"`)},
		{"no broker", identityFile, key, replace("127.0.0.1:8883", "")},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, keyFile, row.key)
			write(t, dir, identityFile, row.identity)
			if _, err := Open(dir, serial, ca.pool); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), row.file) {
				t.Errorf("Open = %v, want ErrDamaged that names %s", err, row.file)
			}
			if read(t, dir, keyFile) != row.key || read(t, dir, identityFile) != row.identity {
				t.Error("the damaged files were changed")
			}
		})
	}
}

// TestNoNewKeyForAnOldIdentity: a terminal that has lost its key is not to make
// itself another one.
func TestNoNewKeyForAnOldIdentity(t *testing.T) {
	dir, ca, now := t.TempDir(), newAuthority(t), time.Now()
	store, err := Open(dir, serial, ca.pool)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Accept(ca.certify(t, store.key.Public(), "shop/"+serial, now.Add(time.Hour)), now); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, keyFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, serial, ca.pool); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), keyFile) {
		t.Errorf("Open = %v, want ErrDamaged that names %s", err, keyFile)
	}
	if _, err := os.Stat(filepath.Join(dir, keyFile)); err == nil {
		t.Error("a new key was made")
	}
}

// TestExpiredIdentityStillStarts: a terminal whose certificate ran out sells and
// reverses; only the fleet will not have it.
func TestExpiredIdentityStillStarts(t *testing.T) {
	dir, ca, now := t.TempDir(), newAuthority(t), time.Now()
	store, err := Open(dir, serial, ca.pool)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Accept(ca.certify(t, store.key.Public(), "shop/"+serial, now.Add(-time.Minute)), now.Add(-time.Hour+time.Minute)); err != nil {
		t.Fatal(err)
	}
	if again, err := Open(dir, serial, ca.pool); err != nil || !MaySell(again.State()) {
		t.Errorf("Open = %v", err)
	}
}

func TestSecretsOfTheDirectory(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir, serial, newAuthority(t).pool); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, keyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%s has mode %v, %v", keyFile, info.Mode(), err)
	}
	for _, bad := range []string{"", "x", "../../etc", "a/b", strings.Repeat("A", 40)} {
		if _, err := Open(dir, bad, nil); err == nil {
			t.Errorf("serial %q is taken", bad)
		}
	}
}

func TestMaySell(t *testing.T) {
	for _, s := range wire.States {
		if want := s == wire.StateActive || s == wire.StateTesting; MaySell(s) != want {
			t.Errorf("MaySell(%s) = %v", s, !want)
		}
	}
}

func TestRequestIsOfThisKey(t *testing.T) {
	store, err := Open(t.TempDir(), serial, newAuthority(t).pool)
	if err != nil {
		t.Fatal(err)
	}
	der, err := store.CSR()
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil || csr.CheckSignature() != nil || !store.key.PublicKey.Equal(csr.PublicKey) || csr.Subject.CommonName != serial {
		t.Errorf("request is %+v, %v", csr, err)
	}
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
