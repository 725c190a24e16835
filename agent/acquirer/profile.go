package acquirer

import (
	"bytes"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/moov-io/iso8583/field"

	"posagent/agent/keys"
	"posagent/agent/payment"
)

//go:embed profiles/*.json
var builtin embed.FS

// maxProfile bounds a profile file: the largest known has 8 KiB.
const maxProfile = 64 << 10

// Names of the profile's transactions that are not a payment.Type.
const (
	txSignIn  = "sign_in"
	txSignOff = "sign_off"
	txEcho    = "echo"
)

// Profile is how one acquirer writes ISO 8583: fields, encodings, transactions,
// header and timers. It is data, read once and never changed; any number of
// links and hosts share one.
type Profile struct {
	name     string
	tpdu     [tpduSize]byte
	head     [headSize]byte
	reqByte  uint8 // byte of HEAD, counted from 1, whose low nibble is the processing requirement
	maxFrame uint16
	connect  time.Duration
	response time.Duration
	kept     bool
	mac      keys.MACAlgorithm
	match    []uint8
	entry    map[payment.EntryMode]string
	pin      pinFile
	icc      []string
	fields   [maxField + 1]*fieldRule // 2 to 64; nil: not in this profile
	tx       map[string]*transaction
	reversal []uint8
	base     [maxField + 1]field.Field
	codecs   codecs
}

// Name is the profile's name, for example "unionpay-pos".
func (p *Profile) Name() string { return p.name }

// MACAlgorithm is how field 64 is made.
func (p *Profile) MACAlgorithm() keys.MACAlgorithm { return p.mac }

// MaxFrame is the most bytes that a frame may have behind its length.
func (p *Profile) MaxFrame() uint16 { return p.maxFrame }

// Names of the file. Every key must be known and every value is checked.
type profileFile struct {
	Name           string                       `json:"name"`
	Header         headerFile                   `json:"header"`
	Timers         timersFile                   `json:"timers"`
	Connection     string                       `json:"connection"` // "kept" or "per_exchange"
	MAC            macFile                      `json:"mac"`
	Match          []uint8                      `json:"match"`
	Entry          map[payment.EntryMode]string `json:"entry"`
	PIN            pinFile                      `json:"pin"`
	ReversalICC    []string                     `json:"reversal_icc"`
	Fields         map[string]*fieldRule        `json:"fields"`
	Transactions   map[string]*transaction      `json:"transactions"`
	ReversalFields []uint8                      `json:"reversal_fields"`
}

type headerFile struct {
	TPDU            string `json:"tpdu"` // hexadecimal
	Head            string `json:"head"`
	RequirementByte uint8  `json:"requirement_byte"`
	MaxFrame        uint16 `json:"max_frame"`
}

type timersFile struct {
	Connect  string `json:"connect"`
	Response string `json:"response"`
}

type macFile struct {
	Algorithm keys.MACAlgorithm `json:"algorithm"`
}

type pinFile struct {
	Capture  string `json:"capture"`  // field 26
	Security string `json:"security"` // field 53
}

// fieldRule is how one field is written and whether a trace may show it.
type fieldRule struct {
	Name   string `json:"name"`
	Format string `json:"format"`           // n digits, z track, an printable ASCII, gbk, b bytes
	Length uint16 `json:"length"`           // exact without prefix, largest with one; digits for n and z, bytes otherwise
	Prefix string `json:"prefix,omitempty"` // LL or LLL
	Align  string `json:"align,omitempty"`  // left or right, where a count of digits can be odd
	Counts string `json:"counts,omitempty"` // "bytes": the prefix of an n field counts bytes
	Min    uint16 `json:"min,omitempty"`    // smallest length with a prefix; 1 for n and z
	Show   string `json:"show,omitempty"`   // plain or pan; hidden otherwise
}

func (r *fieldRule) packedDigits() bool { return r.Format == "n" || r.Format == "z" }

// wireSize is how many bytes a value of n characters takes.
func (r *fieldRule) wireSize(n int) int {
	if r.packedDigits() {
		n = (n + 1) / 2
	}
	return (len(r.Prefix)+1)/2 + n
}

// transaction is one row of the profile's table of messages.
type transaction struct {
	MTI        string  `json:"mti"`
	Processing string  `json:"processing,omitempty"` // field 3
	Condition  string  `json:"condition,omitempty"`  // field 25
	F60        string  `json:"f60"`                  // digits, with {batch} for field 60.2
	MAC        bool    `json:"mac,omitempty"`
	Reversal   string  `json:"reversal,omitempty"` // message type of the reversal; empty: never reversed
	Fields     []uint8 `json:"fields"`
}

// Builtin gives a profile that comes with the program. ErrProfile: no such name.
func Builtin(name string) (*Profile, error) {
	b, err := builtin.ReadFile("profiles/" + name + ".json")
	if err != nil {
		return nil, fmt.Errorf("%w: no profile named %q", ErrProfile, name)
	}
	return LoadProfile(bytes.NewReader(b))
}

// LoadProfile reads a profile and compiles it. Unknown keys, values out of range
// and rows that contradict each other are ErrProfile, with the place.
func LoadProfile(r io.Reader) (*Profile, error) {
	var f profileFile
	dec := json.NewDecoder(io.LimitReader(r, maxProfile))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProfile, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: something follows the object", ErrProfile)
	}
	p, err := f.compile()
	if err != nil {
		return nil, fmt.Errorf("%w %q: %w", ErrProfile, f.Name, err)
	}
	return p, nil
}

func (f *profileFile) compile() (*Profile, error) {
	p := &Profile{
		name: f.Name, reqByte: f.Header.RequirementByte, maxFrame: f.Header.MaxFrame, mac: f.MAC.Algorithm,
		match: f.Match, entry: f.Entry, pin: f.PIN, icc: f.ReversalICC, tx: f.Transactions, reversal: f.ReversalFields,
	}
	for _, step := range []func(*Profile) error{f.header, f.limits, f.rules, f.messages} {
		if err := step(p); err != nil {
			return nil, err
		}
	}
	p.compileSpec()
	return p, nil
}

func (f *profileFile) header(p *Profile) error {
	if err := hexInto(p.tpdu[:], f.Header.TPDU); err != nil {
		return fmt.Errorf("header.tpdu: %w", err)
	}
	if err := hexInto(p.head[:], f.Header.Head); err != nil {
		return fmt.Errorf("header.head: %w", err)
	}
	if p.reqByte < 1 || p.reqByte > headSize {
		return fmt.Errorf("header.requirement_byte: %d is not 1 to %d", p.reqByte, headSize)
	}
	if p.maxFrame < 256 || p.maxFrame > 8192 {
		return fmt.Errorf("header.max_frame: %d is not 256 to 8192", p.maxFrame)
	}
	return nil
}

func hexInto(dst []byte, text string) error {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(dst) {
		return fmt.Errorf("%q is not %d bytes in hexadecimal", text, len(dst))
	}
	copy(dst, b)
	return nil
}

func (f *profileFile) limits(p *Profile) (err error) {
	if p.connect, err = timer(f.Timers.Connect); err != nil {
		return fmt.Errorf("timers.connect: %w", err)
	}
	if p.response, err = timer(f.Timers.Response); err != nil {
		return fmt.Errorf("timers.response: %w", err)
	}
	switch f.Connection {
	case "kept", "per_exchange":
		p.kept = f.Connection == "kept"
	default:
		return fmt.Errorf("connection: %q is not kept or per_exchange", f.Connection)
	}
	switch p.mac {
	case keys.MACCUPECB, keys.MACX919:
	default:
		return fmt.Errorf("mac.algorithm: %q is unknown", p.mac)
	}
	if !digits(p.pin.Capture, 2) || !digits(p.pin.Security, 16) {
		return fmt.Errorf("pin: capture is not 2 digits or security not 16")
	}
	for mode, code := range p.entry {
		if !digits(code, 2) {
			return fmt.Errorf("entry.%s: %q is not 2 digits", mode, code)
		}
	}
	for _, tag := range p.icc {
		if b, err := hex.DecodeString(tag); err != nil || len(b) == 0 || len(b) > 2 {
			return fmt.Errorf("reversal_icc: %q is not a tag", tag)
		}
	}
	return nil
}

// timer reads a duration between a tenth of a second and five minutes.
func timer(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 100*time.Millisecond || d > 5*time.Minute {
		return 0, fmt.Errorf("%q is not 100ms to 5m", text)
	}
	return d, nil
}

func digits(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789") == ""
}
