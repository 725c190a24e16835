package enroll

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"posagent/ota/wire"
)

// Lives of certificates.
const (
	rootLife         = 20 * 365 * 24 * time.Hour
	intermediateLife = 5 * 365 * 24 * time.Hour
	serverLife       = 365 * 24 * time.Hour
	LeafLife         = 90 * 24 * time.Hour
	backdate         = time.Hour // for clocks that run behind
)

// ErrAuthority says that a key or certificate file is missing, unreadable or does not fit the others.
var ErrAuthority = errors.New("certificate authority is not whole")

// Authority is the fleet's certificate authority and document signer.
type Authority struct {
	dir    string
	now    func() time.Time
	root   *x509.Certificate
	inter  *x509.Certificate
	key    crypto.Signer // of inter
	signer ed25519.PrivateKey

	mu     sync.RWMutex // guards server
	server *tls.Certificate
}

// OpenAuthority reads the authority from dir, or makes it when dir holds none. Hosts are the DNS names and IP addresses
// of the server certificate.
func OpenAuthority(dir string, hosts []string, now func() time.Time) (*Authority, error) {
	a := &Authority{dir: dir, now: now}
	if err := os.MkdirAll(filepath.Join(dir, "root"), 0o700); err != nil {
		return nil, fmt.Errorf("open authority: %w", err)
	}
	for _, step := range []func() error{a.openTiers, a.openSigner, func() error { return a.openServer(hosts) }} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("open authority in %s: %w", dir, err)
		}
	}
	return a, nil
}

// RootFile is the file of the root certificate, which every terminal pins.
func (a *Authority) RootFile() string { return filepath.Join(a.dir, "root.pem") }

// Roots is a pool of the root certificate alone.
func (a *Authority) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.root)
	return pool
}

// RootPEM is the root certificate.
func (a *Authority) RootPEM() []byte { return certPEM(a.root.Raw) }

// Signer is the document signing key.
func (a *Authority) Signer() ed25519.PrivateKey { return a.signer }

// Signers is what terminals are told at activation.
func (a *Authority) Signers() []wire.Signer {
	public := a.signer.Public().(ed25519.PublicKey)
	return []wire.Signer{{KeyID: wire.KeyID(public), Key: public}}
}

// ServerCertificate fits tls.Config.GetCertificate.
func (a *Authority) ServerCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.server, nil
}

func (a *Authority) openTiers() error {
	interFile, interKey := filepath.Join(a.dir, "intermediate.pem"), filepath.Join(a.dir, "intermediate.key")
	if missing(a.RootFile()) {
		if !missing(interFile) { // a new root would disown every terminal
			return fmt.Errorf("%w: intermediate.pem is here, root.pem is not", ErrAuthority)
		}
		if err := a.makeRoot(); err != nil {
			return err
		}
	}
	var err error
	if a.root, err = readCert(a.RootFile()); err != nil {
		return err
	}
	if missing(interFile) {
		if err := a.makeIntermediate(interFile, interKey); err != nil {
			return err
		}
	}
	if a.inter, err = readCert(interFile); err != nil {
		return err
	}
	if a.key, err = readKey(interKey); err != nil {
		return err
	}
	if err := a.inter.CheckSignatureFrom(a.root); err != nil {
		return fmt.Errorf("%w: intermediate.pem is not signed by root.pem: %w", ErrAuthority, err)
	}
	if !sameKey(a.inter.PublicKey, a.key.Public()) {
		return fmt.Errorf("%w: intermediate.key does not fit intermediate.pem", ErrAuthority)
	}
	return nil
}

func (a *Authority) rootKeyFile() string { return filepath.Join(a.dir, "root", "root.key") }

func (a *Authority) makeRoot() error {
	key, err := makeKey(a.rootKeyFile())
	if err != nil {
		return err
	}
	t := a.template("posagent fleet root", rootLife)
	t.IsCA, t.MaxPathLen, t.KeyUsage = true, 1, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return fmt.Errorf("make root certificate: %w", err)
	}
	return WriteFile(a.RootFile(), certPEM(der), 0o644)
}

// makeIntermediate needs the root's key, which is on the machine only at the first start and at a renewal.
func (a *Authority) makeIntermediate(file, keyFile string) error {
	rootKey, err := readKey(a.rootKeyFile())
	if err != nil {
		return err
	}
	key, err := makeKey(keyFile)
	if err != nil {
		return err
	}
	t := a.template("posagent fleet intermediate", intermediateLife)
	t.IsCA, t.MaxPathLenZero, t.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	der, err := x509.CreateCertificate(rand.Reader, t, a.root, key.Public(), rootKey)
	if err != nil {
		return fmt.Errorf("make intermediate certificate: %w", err)
	}
	return WriteFile(file, certPEM(der), 0o644)
}

func (a *Authority) openSigner() error {
	file := filepath.Join(a.dir, "signer.key")
	if missing(file) {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return fmt.Errorf("make signer key: %w", err)
		}
		if err := writeKey(file, key); err != nil {
			return err
		}
	}
	key, err := readKey(file)
	if err != nil {
		return err
	}
	signer, ok := key.(ed25519.PrivateKey)
	if !ok {
		return fmt.Errorf("%w: signer.key is not Ed25519", ErrAuthority)
	}
	a.signer = signer
	return nil
}

// openServer keeps the server certificate while it names all hosts and a third of its life is left.
func (a *Authority) openServer(hosts []string) error {
	certFile, keyFile := filepath.Join(a.dir, "server.pem"), filepath.Join(a.dir, "server.key")
	if missing(keyFile) {
		if _, err := makeKey(keyFile); err != nil {
			return err
		}
	}
	key, err := readKey(keyFile)
	if err != nil {
		return err
	}
	cert, err := readCert(certFile)
	fits := err == nil && sameKey(cert.PublicKey, key.Public()) && cert.CheckSignatureFrom(a.inter) == nil &&
		cert.NotAfter.Sub(a.now()) > serverLife/3 && a.now().After(cert.NotBefore)
	for _, host := range hosts {
		fits = fits && cert.VerifyHostname(host) == nil
	}
	if !fits {
		if cert, err = a.makeServer(certFile, hosts, key); err != nil {
			return err
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.server = &tls.Certificate{Certificate: [][]byte{cert.Raw, a.inter.Raw}, PrivateKey: key, Leaf: cert}
	return nil
}

func (a *Authority) makeServer(file string, hosts []string, key crypto.Signer) (*x509.Certificate, error) {
	t := a.template("posagent fleet", serverLife)
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.inter, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("make server certificate: %w", err)
	}
	if err := WriteFile(file, certPEM(der), 0o644); err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// Issue signs a terminal's certificate: leaf and intermediate as PEM.
func (a *Authority) Issue(tenant, serial string, public crypto.PublicKey) (leaf *x509.Certificate, chain string, err error) {
	t := a.template(wire.ClientID(tenant, serial), LeafLife)
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if t.NotAfter.After(a.inter.NotAfter) {
		return nil, "", fmt.Errorf("issue certificate: %w: the intermediate ends on %s", ErrAuthority, a.inter.NotAfter.Format(time.DateOnly))
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.inter, public, a.key)
	if err != nil {
		return nil, "", fmt.Errorf("issue certificate: %w", err)
	}
	if leaf, err = x509.ParseCertificate(der); err != nil {
		return nil, "", fmt.Errorf("issue certificate: %w", err)
	}
	return leaf, string(slices.Concat(certPEM(der), certPEM(a.inter.Raw))), nil
}

func (a *Authority) template(name string, life time.Duration) *x509.Certificate {
	number := make([]byte, 16)
	rand.Read(number) // never fails
	number[0] &= 0x7f // positive
	now := a.now()
	return &x509.Certificate{SerialNumber: new(big.Int).SetBytes(number), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(life), BasicConstraintsValid: true}
}
