package lifecycle

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"time"

	"posagent/agent/durable"
	"posagent/ota/wire"
)

// Files of the store.
const (
	keyFile      = "terminal.key"  // PKCS #8 in PEM
	identityFile = "identity.json" // Identity
)

// Errors a caller branches on.
var (
	ErrNotActivated = errors.New("lifecycle: terminal is not activated")
	ErrDamaged      = errors.New("lifecycle: identity is damaged")
	ErrCertificate  = errors.New("lifecycle: certificate refused")
)

// Identity is what the fleet gave the terminal at activation.
type Identity struct {
	Serial  string        `json:"serial"`
	Tenant  string        `json:"tenant"`
	Broker  string        `json:"broker"` // host:port
	Chain   string        `json:"chain"`  // PEM, leaf first
	Signers []wire.Signer `json:"signers"`
	State   wire.State    `json:"state"`
}

// MaySell reports whether new sales are allowed in a state. Everything else a
// terminal does (reversals, uploads, reports) goes on in every state.
func MaySell(s wire.State) bool { return s == wire.StateActive || s == wire.StateTesting }

// Store keeps the terminal's key and identity in a directory.
type Store struct {
	dir    string
	serial string
	roots  *x509.CertPool
	key    *ecdsa.PrivateKey

	mu       sync.Mutex // guards identity
	identity *Identity
}

// Open reads key and identity, and makes the key at first start. roots are the
// fleet's root certificates, the only ones the terminal believes. A key or an
// identity that cannot be read is ErrDamaged and is left as it is.
func Open(dir, serial string, roots *x509.CertPool) (*Store, error) {
	if !wire.ValidSerial(serial) {
		return nil, fmt.Errorf("open identity: serial %q is not a serial number", serial)
	}
	s := &Store{dir: dir, serial: serial, roots: roots}
	data, err := durable.Read(s.path(identityFile))
	first := errors.Is(err, fs.ErrNotExist)
	if err != nil && !first {
		return nil, fmt.Errorf("open identity: %w", err)
	}
	if err := s.loadKey(first); err != nil {
		return nil, fmt.Errorf("open identity: %w", err)
	}
	if first {
		return s, nil
	}
	var id Identity
	if err := json.Unmarshal(data, &id); err != nil {
		return nil, fmt.Errorf("open identity: %w: %s: %w", ErrDamaged, identityFile, err)
	}
	if err := s.check(&id); err != nil {
		return nil, fmt.Errorf("open identity: %w: %s: %w", ErrDamaged, identityFile, err)
	}
	s.identity = &id
	return s, nil
}

// check judges what is stored. Dates and the authority are not looked at: an
// expired certificate is the business of whoever connects, and no reason not to
// start.
func (s *Store) check(id *Identity) error {
	leaf, _, err := parseChain(id.Chain)
	switch {
	case id.Serial != s.serial:
		return fmt.Errorf("it is of terminal %q, this is %q", id.Serial, s.serial)
	case !wire.ValidTenant(id.Tenant):
		return fmt.Errorf("tenant %q is none", id.Tenant)
	case !id.State.Known():
		return fmt.Errorf("state %q is unknown", id.State)
	case id.Broker == "" || len(id.Signers) == 0:
		return errors.New("broker or signers are missing")
	case err != nil:
		return err
	case !s.key.PublicKey.Equal(leaf.PublicKey):
		return errors.New("its certificate is for another key than terminal.key")
	}
	return nil
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }

// loadKey reads the key; only at first start may there be none, and one is made.
func (s *Store) loadKey(first bool) error {
	data, err := durable.Read(s.path(keyFile))
	if errors.Is(err, fs.ErrNotExist) {
		if !first {
			return fmt.Errorf("%w: %s is missing, but %s is there", ErrDamaged, keyFile, identityFile)
		}
		return s.makeKey()
	}
	if err != nil {
		return err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return fmt.Errorf("%w: %s is not PEM", ErrDamaged, keyFile)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrDamaged, keyFile, err)
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok || ec.Curve != elliptic.P256() {
		return fmt.Errorf("%w: %s is not a P-256 key", ErrDamaged, keyFile)
	}
	s.key = ec
	return nil
}

func (s *Store) makeKey() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make terminal key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("make terminal key: %w", err)
	}
	if err := durable.Write(s.path(keyFile), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})); err != nil {
		return fmt.Errorf("keep terminal key: %w", err)
	}
	s.key = key
	return nil
}

// Serial is the terminal's serial number.
func (s *Store) Serial() string { return s.serial }

// Roots are the fleet roots the terminal believes.
func (s *Store) Roots() *x509.CertPool { return s.roots }

// Identity gives a copy of the identity; false before activation.
func (s *Store) Identity() (Identity, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.identity == nil {
		return Identity{}, false
	}
	return *s.identity, true
}

// State is the life-cycle state the terminal was last told; INITIALISED before
// activation.
func (s *Store) State() wire.State {
	if id, ok := s.Identity(); ok {
		return id.State
	}
	return wire.StateInitialised
}

// SPKISHA256 is the SHA-256 of the public key in SubjectPublicKeyInfo form, hex:
// the fingerprint a person compares and the proof of the code binds.
func (s *Store) SPKISHA256() (string, error) {
	der, err := x509.MarshalPKIXPublicKey(s.key.Public())
	if err != nil {
		return "", fmt.Errorf("encode public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}

// CSR gives a PKCS #10 request in DER, signed with the terminal's key.
func (s *Store) CSR() ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: s.serial}}, s.key)
	if err != nil {
		return nil, fmt.Errorf("make certificate request: %w", err)
	}
	return der, nil
}

// Accept checks the fleet's certificate and keeps the identity: it must be for
// this serial and this key, and chain to a root the terminal believes. Anything
// else is ErrCertificate and changes nothing.
func (s *Store) Accept(c *wire.Certificate, now time.Time) error {
	id := Identity{Serial: c.Serial, Tenant: c.Tenant, Broker: c.Broker, Chain: c.Chain, Signers: c.Signers, State: c.State}
	if err := s.check(&id); err != nil {
		return fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	leaf, rest, err := parseChain(c.Chain)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	if want := wire.ClientID(c.Tenant, c.Serial); leaf.Subject.CommonName != want {
		return fmt.Errorf("%w: its name is %q, want %q", ErrCertificate, leaf.Subject.CommonName, want)
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: s.roots, Intermediates: rest, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	data, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return fmt.Errorf("keep identity: %w", err)
	}
	if err := durable.Write(s.path(identityFile), data); err != nil {
		return fmt.Errorf("keep identity: %w", err)
	}
	s.mu.Lock()
	s.identity = &id
	s.mu.Unlock()
	return nil
}

// ClientCertificate gives the certificate for mutual TLS, in the shape of
// tls.Config.GetClientCertificate, so that a renewal needs no restart.
func (s *Store) ClientCertificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	id, ok := s.Identity()
	if !ok {
		return nil, ErrNotActivated
	}
	cert := &tls.Certificate{PrivateKey: crypto.Signer(s.key)}
	rest := []byte(id.Chain)
	for range maxChain {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		cert.Certificate = append(cert.Certificate, block.Bytes)
	}
	return cert, nil
}

// maxChain bounds the certificates of one chain: leaf, intermediate and one spare.
const maxChain = 3

func parseChain(chain string) (leaf *x509.Certificate, rest *x509.CertPool, err error) {
	rest = x509.NewCertPool()
	data := []byte(chain)
	for n := 0; ; n++ {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if n == maxChain {
			return nil, nil, fmt.Errorf("more than %d certificates in the chain", maxChain)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, nil, fmt.Errorf("parse certificate: %w", err)
		}
		if leaf == nil {
			leaf = cert
			continue
		}
		rest.AddCert(cert)
	}
	if leaf == nil {
		return nil, nil, errors.New("no certificate in the chain")
	}
	return leaf, rest, nil
}
