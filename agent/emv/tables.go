package emv

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"posagent/agent/payment"
)

// Errors of the tables a terminal is configured with.
var (
	ErrHex  = errors.New("not hexadecimal of the right length")
	ErrCAPK = errors.New("CA public key is not valid")
)

func appendHex(dst, b []byte) []byte { return fmt.Appendf(dst, "%X", b) }

func fixedHex(what string, dst, text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != len(dst) {
		return fmt.Errorf("read %s %q: %w", what, text, ErrHex)
	}
	copy(dst, b)
	return nil
}

// HexBytes is a byte string that is hexadecimal in JSON and when printed.
type HexBytes []byte

// String is the bytes in capital hexadecimal.
func (h HexBytes) String() string { return strings.ToUpper(hex.EncodeToString(h)) }

// MarshalText is String.
func (h HexBytes) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads hexadecimal.
func (h *HexBytes) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil {
		return fmt.Errorf("read %q: %w", text, ErrHex)
	}
	*h = b
	return nil
}

// An AID is an application identifier of 5 to 16 bytes. EMV 4.4 Book 1, 12.2.1.
type AID []byte

// Sizes of an AID in bytes.
const (
	MinAID = 5
	MaxAID = 16
)

// ParseAID reads an AID in hexadecimal.
func ParseAID(s string) (AID, error) {
	b, err := hex.DecodeString(s)
	if err != nil || !AID(b).Valid() {
		return nil, fmt.Errorf("read AID %q: %w", s, ErrHex)
	}
	return b, nil
}

// Valid reports whether the length is that of an AID.
func (a AID) Valid() bool { return len(a) >= MinAID && len(a) <= MaxAID }

// RID is the registered application provider identifier: the first five bytes.
func (a AID) RID() (rid RID) {
	copy(rid[:], a)
	return rid
}

// String is the AID in hexadecimal.
func (a AID) String() string { return HexBytes(a).String() }

// MarshalText is String.
func (a AID) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads hexadecimal of 5 to 16 bytes.
func (a *AID) UnmarshalText(text []byte) error {
	v, err := ParseAID(string(text))
	if err != nil {
		return err
	}
	*a = v
	return nil
}

// A RID is a registered application provider identifier.
type RID [5]byte

// String is the RID in hexadecimal.
func (r RID) String() string { return HexBytes(r[:]).String() }

// MarshalText is String.
func (r RID) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads ten hexadecimal digits.
func (r *RID) UnmarshalText(text []byte) error { return fixedHex("RID", r[:], text) }

// An ActionCode is a terminal or issuer action code: a mask over the TVR. EMV 4.4 Book 3, 10.7.
type ActionCode [5]byte

// Matches reports whether a bit is set in both.
func (a ActionCode) Matches(t TVR) bool {
	for i := range a {
		if a[i]&t[i] != 0 {
			return true
		}
	}
	return false
}

// String is the code in hexadecimal.
func (a ActionCode) String() string { return HexBytes(a[:]).String() }

// MarshalText is String.
func (a ActionCode) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads ten hexadecimal digits.
func (a *ActionCode) UnmarshalText(text []byte) error { return fixedHex("action code", a[:], text) }

// A Version is an Application Version Number, tags 9F08 and 9F09.
type Version [2]byte

// String is the version in hexadecimal.
func (v Version) String() string { return HexBytes(v[:]).String() }

// MarshalText is String.
func (v Version) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads four hexadecimal digits.
func (v *Version) UnmarshalText(text []byte) error {
	return fixedHex("application version", v[:], text)
}

// An Application is one entry of the terminal's list of applications, with the parameters that the acquirer sets for
// it. Amounts are minor units of the terminal's currency; percentages are 0 to 99.
type Application struct {
	AID              AID            `json:"aid"`
	Partial          bool           `json:"partial"` // Application Selection Indicator, Book 1, 12.3.1
	Version          Version        `json:"version"` // 9F09
	TACDefault       ActionCode     `json:"tac_default"`
	TACDenial        ActionCode     `json:"tac_denial"`
	TACOnline        ActionCode     `json:"tac_online"`
	FloorLimit       payment.Amount `json:"floor_limit"` // 9F1B, Book 3, 10.6.1
	Threshold        payment.Amount `json:"threshold"`   // biased random selection, Book 3, 10.6.2
	TargetPercent    uint8          `json:"target_percent"`
	MaxTargetPercent uint8          `json:"max_target_percent"`
	DefaultDDOL      HexBytes       `json:"default_ddol,omitempty"`
	DefaultTDOL      HexBytes       `json:"default_tdol,omitempty"`
	RiskData         HexBytes       `json:"risk_data,omitempty"` // 9F1D
}

// A Date is a calendar day that JSON writes as 2030-12-31.
type Date struct{ Time time.Time }

// IsZero reports that there is no date.
func (d Date) IsZero() bool { return d.Time.IsZero() }

// MarshalText is the day in ISO 8601; the zero Date is empty.
func (d Date) MarshalText() ([]byte, error) {
	if d.IsZero() {
		return nil, nil
	}
	return []byte(d.Time.Format(time.DateOnly)), nil
}

// UnmarshalText reads MarshalText.
func (d *Date) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*d = Date{}
		return nil
	}
	t, err := time.Parse(time.DateOnly, string(text))
	if err != nil {
		return fmt.Errorf("read date: %w", err)
	}
	*d = Date{t}
	return nil
}

// A CAPK is a certification authority public key. EMV 4.4 Book 2, 11.2.1; Book 4, 12.1 for what the terminal stores.
type CAPK struct {
	RID      RID      `json:"rid"`
	Index    uint8    `json:"index"`
	Modulus  HexBytes `json:"modulus"`
	Exponent HexBytes `json:"exponent"` // 03 or 010001
	Expiry   Date     `json:"expiry"`   // last day of use; zero means none
	Checksum HexBytes `json:"checksum"` // SHA-1 over RID, index, modulus and exponent
}

// Sizes of a modulus in bytes, EMV 4.4 Book 2, 11.1 and Annex D: at most 1984 bits; the lower bound keeps certificate
// arithmetic inside the block.
const (
	MinModulus = 64
	MaxModulus = 248
)

// Sum is the checksum that belongs to the key.
func (k CAPK) Sum() [sha1.Size]byte {
	h := sha1.New()
	h.Write(k.RID[:])
	h.Write([]byte{k.Index})
	h.Write(k.Modulus)
	h.Write(k.Exponent)
	return [sha1.Size]byte(h.Sum(nil))
}

// Verify checks sizes, exponent and checksum. The error wraps ErrCAPK and names the field.
func (k CAPK) Verify() error {
	sum := k.Sum()
	switch {
	case len(k.Modulus) < MinModulus || len(k.Modulus) > MaxModulus:
		return fmt.Errorf("%w: %v %02X modulus: %d bytes", ErrCAPK, k.RID, k.Index, len(k.Modulus))
	case k.Modulus[0]&0x80 == 0 || k.Modulus[len(k.Modulus)-1]&1 == 0:
		return fmt.Errorf("%w: %v %02X modulus: top bit clear or even", ErrCAPK, k.RID, k.Index)
	case !bytes.Equal(k.Exponent, []byte{3}) && !bytes.Equal(k.Exponent, []byte{1, 0, 1}):
		return fmt.Errorf("%w: %v %02X exponent: %v", ErrCAPK, k.RID, k.Index, k.Exponent)
	case !bytes.Equal(sum[:], k.Checksum):
		return fmt.Errorf("%w: %v %02X checksum does not match", ErrCAPK, k.RID, k.Index)
	}
	return nil
}

// CAPKs is a terminal's table of CA public keys. The zero table is empty.
type CAPKs struct{ keys []CAPK }

// NewCAPKs verifies every key and makes a table of them. Two keys of one RID and index are an error.
func NewCAPKs(keys ...CAPK) (CAPKs, error) {
	var t CAPKs
	for _, k := range keys {
		if err := k.Verify(); err != nil {
			return CAPKs{}, err
		}
		if _, ok := t.Lookup(k.RID, k.Index); ok {
			return CAPKs{}, fmt.Errorf("%w: %v %02X twice", ErrCAPK, k.RID, k.Index)
		}
		t.keys = append(t.keys, k)
	}
	return t, nil
}

// Lookup returns the key of a RID and index.
func (t CAPKs) Lookup(rid RID, index uint8) (CAPK, bool) {
	for _, k := range t.keys {
		if k.RID == rid && k.Index == index {
			return k, true
		}
	}
	return CAPK{}, false
}

// Len is the number of keys.
func (t CAPKs) Len() int { return len(t.keys) }
