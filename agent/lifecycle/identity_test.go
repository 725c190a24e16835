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
	for _, name := range []string{"terminal.key", "identity.json"} {
		t.Run(name, func(t *testing.T) {
			dir, ca := t.TempDir(), newAuthority(t)
			if _, err := Open(dir, serial, ca.pool); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte("{torn"), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(dir, serial, ca.pool); !errors.Is(err, ErrDamaged) {
				t.Errorf("Open = %v, want ErrDamaged", err)
			}
			if left, err := os.ReadFile(path); err != nil || string(left) != "{torn" {
				t.Errorf("the damaged file became %q, %v", left, err)
			}
		})
	}
}
