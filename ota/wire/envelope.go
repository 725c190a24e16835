package wire

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"
)

// EnvelopeVersion is the version of the envelope's layout and of its signed form.
const EnvelopeVersion = 1

// DocumentType says what a signed document's payload is.
type DocumentType string

// TypeConfig is a Config.
const TypeConfig DocumentType = "config"

// Refusals of Open. Each is a different fact about the document; none says that the payload was looked at.
var (
	ErrWrongSigner = errors.New("document is signed by an unknown key")
	ErrSignature   = errors.New("document's signature does not fit")
	ErrWrongType   = errors.New("document is of another type")
	ErrWrongTenant = errors.New("document is for another tenant")
	ErrWrongSerial = errors.New("document is for another terminal")
	ErrNotYetValid = errors.New("document is not valid yet")
	ErrExpired     = errors.New("document has expired")
	ErrReplayed    = errors.New("document is older than one already seen")
)

// Envelope is a signed document on its way to one terminal. Every field but Sig is covered by the signature.
type Envelope struct {
	V         uint32       `json:"v"` // EnvelopeVersion
	Type      DocumentType `json:"type"`
	Tenant    string       `json:"tenant"`
	Serial    string       `json:"serial"`
	Revision  uint64       `json:"revision"`           // from 1, grows with every document of this type for this serial
	ID        string       `json:"id"`                 // 16 random bytes, hex
	NotBefore time.Time    `json:"not_before"`         // whole seconds, UTC
	NotAfter  time.Time    `json:"not_after,omitzero"` // absent: valid until a higher revision replaces it
	KeyID     string       `json:"key_id"`             // KeyID of the signer
	Payload   []byte       `json:"payload"`            // base64 of the exact bytes signed
	Sig       []byte       `json:"sig"`                // Ed25519, 64 bytes
}

func (*Envelope) strict() bool { return true }

// Validate implements Message. It judges the shape only; Open judges the signature.
func (m *Envelope) Validate() error {
	var c checker
	c.require(m.V == EnvelopeVersion, "v", "want %d, have %d", EnvelopeVersion, m.V)
	oneOf(&c, "type", m.Type, TypeConfig)
	c.require(ValidTenant(m.Tenant), "tenant", "want a tenant, have %s", quote(m.Tenant))
	c.serial("serial", m.Serial)
	c.require(m.Revision > 0, "revision", "want 1 or more")
	c.lowerHex("id", m.ID, NonceBytes, NonceBytes)
	c.time("not_before", m.NotBefore)
	c.require(m.NotBefore.Nanosecond() == 0, "not_before", "want whole seconds")
	if !m.NotAfter.IsZero() {
		c.time("not_after", m.NotAfter)
		c.require(m.NotAfter.Nanosecond() == 0, "not_after", "want whole seconds")
		c.require(m.NotAfter.After(m.NotBefore), "not_after", "lies before not_before")
	}
	c.lowerHex("key_id", m.KeyID, keyIDBytes, keyIDBytes)
	c.require(len(m.Payload) > 0, "payload", "is empty")
	c.require(len(m.Sig) == ed25519.SignatureSize, "sig", "want %d bytes, have %d", ed25519.SignatureSize, len(m.Sig))
	return c.err()
}

const keyIDBytes = 8

// KeyID names an Ed25519 public key: the first 8 bytes of its SHA-256, hex.
func KeyID(public ed25519.PublicKey) string {
	sum := sha256.Sum256(public)
	return hex.EncodeToString(sum[:keyIDBytes])
}

// Hash is SHA-256 of a document's payload, hex: what Reported names.
func Hash(payload []byte) string {
	sum := sha256.Sum256(payload)
	return hex.EncodeToString(sum[:])
}

// signed is the form that is signed: a domain, then every field with a four-byte length, numbers as eight bytes.
func (m *Envelope) signed() []byte {
	b := []byte("posagent/v1/signed-document\x00")
	number := func(v uint64) { b = binary.BigEndian.AppendUint64(b, v) }
	bytes := func(v []byte) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
		b = append(b, v...)
	}
	number(uint64(m.V))
	bytes([]byte(m.Type))
	bytes([]byte(m.Tenant))
	bytes([]byte(m.Serial))
	number(m.Revision)
	bytes([]byte(m.ID))
	number(uint64(m.NotBefore.Unix()))
	if m.NotAfter.IsZero() {
		number(0)
	} else {
		number(uint64(m.NotAfter.Unix()))
	}
	bytes([]byte(m.KeyID))
	bytes(m.Payload)
	return b
}

// Sign fills KeyID and Sig of e, whose other fields are set, and validates the whole. Times are cut to seconds.
func Sign(e Envelope, key ed25519.PrivateKey) (*Envelope, error) {
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok || len(key) != ed25519.PrivateKeySize {
		return nil, errors.New("sign document: not an Ed25519 key")
	}
	e.V = EnvelopeVersion
	e.KeyID = KeyID(public)
	e.NotBefore = e.NotBefore.UTC().Truncate(time.Second)
	if !e.NotAfter.IsZero() {
		e.NotAfter = e.NotAfter.UTC().Truncate(time.Second)
	}
	e.Sig = ed25519.Sign(key, e.signed())
	if err := e.Validate(); err != nil {
		return nil, fmt.Errorf("sign document: %w", err)
	}
	return &e, nil
}

// Expect is what the reader of a signed document insists on.
type Expect struct {
	Type    DocumentType
	Tenant  string
	Serial  string
	Signers []Signer // as received in Certificate
	// Now is judged against not_before and not_after. A terminal whose clock is not to be trusted leaves it zero and
	// relies on the revision alone.
	Now time.Time
	// After is the highest revision already accepted; a lower one is ErrReplayed. The same one is allowed: a retained
	// document arrives again at every connection. The caller compares its Hash with the one it holds.
	After uint64
}

// Open decodes body as an Envelope and returns it when it is authentic and meant for the reader. Errors: a FieldError
// for a malformed envelope, else one of the sentinels above, wrapped with what was found.
func Open(body []byte, want Expect) (*Envelope, error) {
	var e Envelope
	if err := Decode(body, &e); err != nil {
		return nil, fmt.Errorf("open document: %w", err)
	}
	if err := e.verify(want); err != nil {
		return nil, fmt.Errorf("open document: %w", err)
	}
	return &e, nil
}

// verify checks the signature first: nothing else said in a forged document is worth an answer.
func (m *Envelope) verify(want Expect) error {
	i := slices.IndexFunc(want.Signers, func(s Signer) bool { return s.KeyID == m.KeyID })
	if i < 0 || len(want.Signers[i].Key) != ed25519.PublicKeySize {
		return fmt.Errorf("%w: key_id %s", ErrWrongSigner, m.KeyID)
	}
	if !ed25519.Verify(want.Signers[i].Key, m.signed(), m.Sig) {
		return fmt.Errorf("%w: key_id %s", ErrSignature, m.KeyID)
	}
	switch {
	case m.Type != want.Type:
		return fmt.Errorf("%w: type %s, want %s", ErrWrongType, m.Type, want.Type)
	case m.Tenant != want.Tenant:
		return fmt.Errorf("%w: tenant %s, want %s", ErrWrongTenant, m.Tenant, want.Tenant)
	case m.Serial != want.Serial:
		return fmt.Errorf("%w: serial %s, want %s", ErrWrongSerial, m.Serial, want.Serial)
	case m.Revision < want.After:
		return fmt.Errorf("%w: revision %d, have %d", ErrReplayed, m.Revision, want.After)
	case !want.Now.IsZero() && want.Now.Before(m.NotBefore):
		return fmt.Errorf("%w: not_before %s", ErrNotYetValid, m.NotBefore.Format(time.RFC3339))
	case !want.Now.IsZero() && !m.NotAfter.IsZero() && want.Now.After(m.NotAfter):
		return fmt.Errorf("%w: not_after %s", ErrExpired, m.NotAfter.Format(time.RFC3339))
	}
	return nil
}
