package wire

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// Sizes of the activation exchange.
const (
	NonceBytes = 16 // nonce_t and nonce_f
	// CodeLength is the number of Crockford base-32 characters of an activation code: 40 bits.
	CodeLength = 8
	// codeRounds stretches the code so that its derived key is not searched at once; about 20 ms on a terminal.
	codeRounds = 20_000
)

// CodeAlphabet is Crockford's base 32: no I, L, O, U.
const CodeAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// Hello opens an activation.
type Hello struct {
	Serial     string `json:"serial"`
	Model      string `json:"model"`
	Firmware   string `json:"firmware"`
	NonceT     string `json:"nonce_t"`     // 16 random bytes, hex
	SPKISHA256 string `json:"spki_sha256"` // SHA-256 of the SubjectPublicKeyInfo of the terminal's key, hex
}

func (*Hello) strict() bool { return false }

// Validate implements Message.
func (m *Hello) Validate() error {
	var c checker
	c.serial("serial", m.Serial)
	c.text("model", m.Model, 1, 64)
	c.text("firmware", m.Firmware, 1, 64)
	c.lowerHex("nonce_t", m.NonceT, NonceBytes, NonceBytes)
	c.lowerHex("spki_sha256", m.SPKISHA256, sha256.Size, sha256.Size)
	return c.err()
}

// Challenge answers a Hello. Reasons say what the merchant has to do, as in "licence photo unreadable".
type Challenge struct {
	NonceT     string    `json:"nonce_t"` // repeated from the Hello
	NonceF     string    `json:"nonce_f"`
	State      State     `json:"state"`
	Reasons    []string  `json:"reasons,omitempty"`
	ServerTime time.Time `json:"server_time"`
}

func (*Challenge) strict() bool { return false }

// Validate implements Message.
func (m *Challenge) Validate() error {
	var c checker
	c.lowerHex("nonce_t", m.NonceT, NonceBytes, NonceBytes)
	c.lowerHex("nonce_f", m.NonceF, NonceBytes, NonceBytes)
	c.state("state", m.State)
	c.require(len(m.Reasons) <= 32, "reasons", "want at most 32")
	for i, r := range m.Reasons {
		c.text("reasons["+strconv.Itoa(i)+"]", r, 1, 200)
	}
	c.time("server_time", m.ServerTime)
	return c.err()
}

// CSR asks for the certificate. CSR is the PKCS #10 request in DER; its subject is ignored by the fleet.
type CSR struct {
	NonceT    string `json:"nonce_t"`
	CSR       []byte `json:"csr"`
	CodeProof string `json:"code_proof"` // CodeProof, hex
}

func (*CSR) strict() bool { return false }

// Validate implements Message.
func (m *CSR) Validate() error {
	var c checker
	c.lowerHex("nonce_t", m.NonceT, NonceBytes, NonceBytes)
	c.require(len(m.CSR) > 0 && len(m.CSR) <= 8<<10, "csr", "want 1 to 8192 bytes, have %d", len(m.CSR))
	c.lowerHex("code_proof", m.CodeProof, sha256.Size, sha256.Size)
	return c.err()
}

// Signer is one key that signs documents for terminals.
type Signer struct {
	KeyID string `json:"key_id"` // KeyID(Key)
	Key   []byte `json:"key"`    // Ed25519 public key, 32 bytes
}

// Certificate ends an activation well.
type Certificate struct {
	NonceT  string   `json:"nonce_t"`
	Serial  string   `json:"serial"`
	Tenant  string   `json:"tenant"`
	Chain   string   `json:"chain"`   // PEM, leaf first, then the intermediate; never the root
	Broker  string   `json:"broker"`  // host:port of the main listener
	Signers []Signer `json:"signers"` // whose signed documents to believe
	State   State    `json:"state"`
}

func (*Certificate) strict() bool { return false }

// Validate implements Message.
func (m *Certificate) Validate() error {
	var c checker
	c.lowerHex("nonce_t", m.NonceT, NonceBytes, NonceBytes)
	c.serial("serial", m.Serial)
	c.require(ValidTenant(m.Tenant), "tenant", "want a tenant, have %s", quote(m.Tenant))
	c.require(strings.HasPrefix(m.Chain, "-----BEGIN CERTIFICATE-----") && len(m.Chain) <= 16<<10, "chain", "want PEM certificates, at most 16 KiB")
	c.hostPort("broker", m.Broker)
	c.require(len(m.Signers) >= 1 && len(m.Signers) <= 8, "signers", "want 1 to 8")
	for i, s := range m.Signers {
		at := "signers[" + strconv.Itoa(i) + "]"
		if len(s.Key) != 32 {
			c.add(at+".key", ErrInvalid, "want 32 bytes, have %d", len(s.Key))
			continue
		}
		c.require(s.KeyID == KeyID(s.Key), at+".key_id", "does not belong to the key")
	}
	c.state("state", m.State)
	return c.err()
}

// Reason says why an activation was refused. Stored and shown by terminals: names are promises.
type Reason string

// Reasons of refusal.
const (
	ReasonUnknownSerial Reason = "unknown_serial" // no such terminal in this fleet
	ReasonNotApproved   Reason = "not_approved"   // the state of the Challenge says what is missing
	ReasonNoCode        Reason = "no_code"        // no code was issued, or it is used up
	ReasonCodeWrong     Reason = "code_wrong"     // tries_left says how often it may be typed again
	ReasonCodeExpired   Reason = "code_expired"
	ReasonCodeLocked    Reason = "code_locked" // too many wrong tries: ask for a new code
	ReasonCodeUsed      Reason = "code_used"
	ReasonCSR           Reason = "csr_invalid"  // not a P-256 request that proves possession of its key
	ReasonKey           Reason = "key_mismatch" // the key is not the one of the Hello
	ReasonRate          Reason = "rate_limited" // wait retry_after_s
	ReasonProtocol      Reason = "protocol"     // a message that does not fit here; say hello again
	ReasonInternal      Reason = "internal"     // the fleet's own trouble; try again later
)

var reasons = []Reason{ReasonUnknownSerial, ReasonNotApproved, ReasonNoCode, ReasonCodeWrong, ReasonCodeExpired,
	ReasonCodeLocked, ReasonCodeUsed, ReasonCSR, ReasonKey, ReasonRate, ReasonProtocol, ReasonInternal}

// Refused ends a step of an activation badly. NonceT is empty when the fleet could not read it.
type Refused struct {
	NonceT      string `json:"nonce_t,omitempty"`
	Reason      Reason `json:"reason"`
	Detail      string `json:"detail,omitempty"` // for the log, English
	TriesLeft   uint32 `json:"tries_left,omitempty"`
	RetryAfterS uint32 `json:"retry_after_s,omitempty"` // seconds
}

func (*Refused) strict() bool { return false }

// Validate implements Message.
func (m *Refused) Validate() error {
	var c checker
	c.lowerHex("nonce_t", m.NonceT, 0, NonceBytes)
	oneOf(&c, "reason", m.Reason, reasons...)
	c.text("detail", m.Detail, 0, 200)
	return c.err()
}

// Error lets a terminal hand a refusal on as an error.
func (m *Refused) Error() string { return "activation refused: " + string(m.Reason) }

// NormaliseCode takes a code as a person types it: case, spaces and hyphens are ignored, O is 0, I and L are 1.
func NormaliseCode(typed string) (string, error) {
	var b strings.Builder
	for _, r := range strings.ToUpper(typed) {
		switch {
		case r == ' ' || r == '-':
		case r == 'O':
			b.WriteByte('0')
		case r == 'I' || r == 'L':
			b.WriteByte('1')
		case r < 0x80 && strings.IndexByte(CodeAlphabet, byte(r)) >= 0:
			b.WriteByte(byte(r))
		default:
			return "", &FieldError{Path: "code", Kind: ErrInvalid, Detail: "want letters and digits without U"}
		}
	}
	if b.Len() != CodeLength {
		return "", &FieldError{Path: "code", Kind: ErrInvalid, Detail: fmt.Sprintf("want %d characters, have %d", CodeLength, b.Len())}
	}
	return b.String(), nil
}

// CodeKey derives the 32-byte proof key of an activation code for one serial: PBKDF2-HMAC-SHA256 (RFC 8018). The fleet
// stores this key in place of the code.
func CodeKey(serial, code string) ([]byte, error) {
	code, err := NormaliseCode(code)
	if err != nil {
		return nil, err
	}
	key, err := pbkdf2.Key(sha256.New, code, []byte("posagent/v1/activation-code\x00"+serial), codeRounds, 32)
	if err != nil {
		return nil, fmt.Errorf("derive code key: %w", err)
	}
	return key, nil
}

// CodeProof is HMAC-SHA256(key, domain || nonceF || nonceT || spki), in hex; nonces and spki are the hex strings of
// Hello and Challenge. It proves knowledge of the code for this key pair and this exchange only.
func CodeProof(key []byte, nonceF, nonceT, spkiSHA256 string) (string, error) {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("posagent/v1/code-proof\x00"))
	for _, part := range []struct {
		name, hex string
		size      int
	}{{"nonce_f", nonceF, NonceBytes}, {"nonce_t", nonceT, NonceBytes}, {"spki_sha256", spkiSHA256, sha256.Size}} {
		raw, err := hex.DecodeString(part.hex)
		if err != nil || len(raw) != part.size {
			return "", &FieldError{Path: part.name, Kind: ErrInvalid, Detail: fmt.Sprintf("want %d bytes as hex", part.size)}
		}
		mac.Write(raw)
	}
	return hex.EncodeToString(mac.Sum(nil)), nil
}

func (c *checker) state(path string, s State) {
	c.require(s.Known(), path, "want a life-cycle state, have %s", quote(string(s)))
}

func (c *checker) hostPort(path, s string) {
	if s == "" {
		c.add(path, ErrMissing, "want host:port")
		return
	}
	host, port, err := net.SplitHostPort(s)
	n, perr := strconv.ParseUint(port, 10, 16)
	ok := err == nil && perr == nil && n > 0 && host != "" && len(host) <= 253 &&
		only(host, func(b byte) bool { return alnum(b) || b == '-' || b == '.' || b == ':' })
	c.require(ok, path, "want host:port, have %s", quote(s))
}

func base64Clean(s string) bool {
	_, err := base64.StdEncoding.Strict().DecodeString(s)
	return err == nil
}
