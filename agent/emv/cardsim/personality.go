package cardsim

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
	"posagent/agent/payment"
)

//go:embed personalities/*.json
var embedded embed.FS

// ErrPersonality is the error of a personality that no card can be made of; it is wrapped with the field.
var ErrPersonality = errors.New("card personality is not valid")

// A Personality is everything that makes one card: what JSON holds. Byte strings are hexadecimal.
type Personality struct {
	Name         string           `json:"name"`
	About        string           `json:"about"`    // what the card will do, in one sentence
	Protocol     string           `json:"protocol"` // "T=0" or "T=1"
	ATR          emv.HexBytes     `json:"atr,omitempty"`
	PSE          bool             `json:"pse"`               // has the directory 1PAY.SYS.DDF01
	Blocked      string           `json:"blocked,omitempty"` // "card": SELECT answers 6A81 for ever
	Applications []Application    `json:"applications"`
	Faults       map[Fault]uint32 `json:"faults,omitempty"`
}

// An Application is one payment application of a card. Empty data object lists, CVM list and usage control take
// ordinary values.
type Application struct {
	AID       emv.AID `json:"aid"`
	Label     string  `json:"label"`
	Preferred string  `json:"preferred,omitempty"`
	Priority  uint8   `json:"priority"` // tag 87: bit 8 asks for confirmation

	PAN         string   `json:"pan"` // from a test range
	Sequence    string   `json:"sequence"`
	Expiry      emv.Date `json:"expiry"`
	Effective   emv.Date `json:"effective"`
	Holder      string   `json:"holder"`
	ServiceCode string   `json:"service_code"` // three digits
	Country     string   `json:"country"`
	Currency    string   `json:"currency"`

	ODA        string         `json:"oda"`         // "none", "sda", "dda" or "cda"
	Keys       string         `json:"keys"`        // "a" or "b": which issuer and card keys
	IssuerAuth string         `json:"issuer_auth"` // "external", "gac2" or "none"
	Decide     string         `json:"decide"`      // first cryptogram: "terminal", "online" or "decline"
	Final      string         `json:"final"`       // second cryptogram: "terminal" or "decline"
	Format     uint8          `json:"format"`      // response format 1 or 2
	CVMList    emv.HexBytes   `json:"cvm_list,omitempty"`
	AUC        emv.HexBytes   `json:"auc,omitempty"`
	IACDefault emv.ActionCode `json:"iac_default"`
	IACDenial  emv.ActionCode `json:"iac_denial"`
	IACOnline  emv.ActionCode `json:"iac_online"`
	PDOL       emv.HexBytes   `json:"pdol,omitempty"`
	CDOL1      emv.HexBytes   `json:"cdol1,omitempty"`
	CDOL2      emv.HexBytes   `json:"cdol2,omitempty"`
	LowerLimit *uint8         `json:"lower_limit,omitempty"` // 9F14, with UpperLimit 9F23
	UpperLimit *uint8         `json:"upper_limit,omitempty"`
	LastOnline uint16         `json:"last_online"` // 9F13
	ATC        uint16         `json:"atc"`

	PIN       string `json:"pin,omitempty"`        // four to twelve digits that the card verifies itself
	PINTries  *uint8 `json:"pin_tries,omitempty"`  // wrong ones it takes; 0 is a blocked PIN; absent is 3
	PINHidden bool   `json:"pin_hidden,omitempty"` // GET DATA does not give the try counter
	PINKey    string `json:"pin_key,omitempty"`    // for enciphered PINs: "icc", or "own" with a certificate of its own
	Blocked   bool   `json:"blocked,omitempty"`    // SELECT answers 6283
}

// A Fault is something a card does wrong, by name. Its number is a count where the fault needs one; 1 otherwise.
type Fault string

// The faults.
const (
	FaultWrongSDAD         Fault = "wrong-sdad"          // one bit of every dynamic signature is flipped
	FaultSilentAfter       Fault = "silent-after"        // no answer after the first n-1 commands
	FaultEndlessSelectNext Fault = "endless-select-next" // every SELECT NEXT finds another application
	FaultLyingLength       Fault = "lying-length"        // records say 64 KiB
	FaultChangedPAN        Fault = "changed-pan"         // a second record holds another card number
	FaultUpgrade           Fault = "upgrade"             // answers TC whatever was asked for
	FaultEndlessPSE        Fault = "endless-pse"         // the directory has every record that is asked for
	FaultNestedTemplates   Fault = "nested-templates"    // records are templates in templates in templates
	FaultChangingRecords   Fault = "changing-records"    // no record is read twice alike
	FaultRefuseScript      Fault = "refuse-script"       // issuer script commands are answered 6982
	FaultBareDynamic       Fault = "bare-dynamic-number" // the ICC Dynamic Number is signed without its length
)

var allFaults = []Fault{
	FaultWrongSDAD, FaultSilentAfter, FaultEndlessSelectNext, FaultLyingLength, FaultChangedPAN, FaultUpgrade, FaultEndlessPSE,
	FaultNestedTemplates, FaultChangingRecords, FaultRefuseScript, FaultBareDynamic,
}

// Names lists the embedded personalities.
func Names() []string {
	files, err := fs.Glob(embedded, "personalities/*.json")
	if err != nil {
		return nil
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(strings.TrimPrefix(f, "personalities/"), ".json")
	}
	return files
}

// Load returns an embedded personality by name.
func Load(name string) (Personality, error) {
	b, err := embedded.ReadFile("personalities/" + name + ".json")
	if err != nil {
		return Personality{}, fmt.Errorf("load personality %q: %w", name, err)
	}
	return Parse(b)
}

// Open makes a card of an embedded personality.
func Open(name string) (*Card, error) {
	p, err := Load(name)
	if err != nil {
		return nil, err
	}
	return New(p)
}

// Parse reads a personality. Unknown fields are errors.
func Parse(b []byte) (Personality, error) {
	var p Personality
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return Personality{}, fmt.Errorf("%w: %w", ErrPersonality, err)
	}
	return p, p.validate()
}

func (p Personality) validate() error {
	switch {
	case p.Name == "":
		return fmt.Errorf("%w: name is empty", ErrPersonality)
	case p.Protocol != "T=0" && p.Protocol != "T=1":
		return fmt.Errorf("%w: %s: protocol %q", ErrPersonality, p.Name, p.Protocol)
	case len(p.Applications) == 0 || len(p.Applications) > 9:
		return fmt.Errorf("%w: %s: %d applications", ErrPersonality, p.Name, len(p.Applications))
	}
	if p.Blocked != "" && p.Blocked != "card" {
		return fmt.Errorf("%w: %s: blocked %q", ErrPersonality, p.Name, p.Blocked)
	}
	for f := range p.Faults {
		if !known(string(f), allFaults) {
			return fmt.Errorf("%w: %s: fault %q", ErrPersonality, p.Name, f)
		}
	}
	for i, a := range p.Applications {
		if field, bad := a.wrong(); bad {
			return fmt.Errorf("%w: %s: applications[%d].%s", ErrPersonality, p.Name, i, field)
		}
	}
	return nil
}

// wrong names the first field that no application can have.
func (a Application) wrong() (string, bool) {
	pan, err := payment.NewPAN(a.PAN)
	switch {
	case !a.AID.Valid():
		return "aid", true
	case err != nil || !pan.Luhn():
		return "pan", true
	case len(a.Label) == 0 || len(a.Label) > 16:
		return "label", true
	case a.Expiry.IsZero():
		return "expiry", true
	case len(a.ServiceCode) != 3:
		return "service_code", true
	case !known(a.ODA, []string{"none", "sda", "dda", "cda"}):
		return "oda", true
	case !known(a.Keys, []string{"a", "b"}):
		return "keys", true
	case !known(a.IssuerAuth, []string{"external", "gac2", "none"}):
		return "issuer_auth", true
	case !known(a.Decide, []string{"terminal", "online", "decline"}):
		return "decide", true
	case !known(a.Final, []string{"terminal", "decline"}):
		return "final", true
	case a.Format != 1 && a.Format != 2:
		return "format", true
	case a.ODA == "cda" && a.Format != 2:
		return "format", true
	case a.PIN != "" && (len(a.PIN) < 4 || len(a.PIN) > 12 || strings.Trim(a.PIN, "0123456789") != ""):
		return "pin", true
	case a.PINTries != nil && *a.PINTries > 15:
		return "pin_tries", true
	case !known(a.PINKey, []string{"", "icc", "own"}) || a.PINKey != "" && (a.PIN == "" || a.ODA != "dda" && a.ODA != "cda"):
		return "pin_key", true
	}
	for _, d := range []struct {
		name string
		list emv.HexBytes
	}{{"pdol", a.PDOL}, {"cdol1", a.CDOL1}, {"cdol2", a.CDOL2}} {
		if _, err := tlv.ParseDOL(d.list); err != nil {
			return d.name, true
		}
	}
	return "", false
}

func known[T ~string](s string, list []T) bool {
	for _, k := range list {
		if string(k) == s {
			return true
		}
	}
	return false
}

// Ordinary values of what a personality leaves empty.
var (
	atrT0        = emv.HexBytes{0x3B, 0x65, 0x00, 0x00, 0x50, 0x4F, 0x53, 0x41, 0x47}
	atrT1        = emv.HexBytes{0x3B, 0xE0, 0x00, 0x00, 0x81, 0x31, 0x20, 0x45, 0x35}
	usualCDOL1   = dol(0x9F02, 0x9F03, 0x9F1A, 0x95, 0x5F2A, 0x9A, 0x9C, 0x9F37, 0x9F35, 0x9F34)
	usualCDOL2   = append(dol(0x8A), usualCDOL1...)
	usualAUC     = emv.HexBytes{0xFF, 0xC0}
	usualCVMList = emv.HexBytes{0, 0, 0, 0, 0, 0, 0, 0, 0x1F, 0x00}
	usualDDOL    = dol(0x9F37)
)

// dol builds a data object list with the dictionary's lengths.
func dol(tags ...tlv.Tag) emv.HexBytes {
	var out []byte
	for _, t := range tags {
		e, _ := tlv.Lookup(t)
		out = append(t.AppendTo(out), e.Max)
	}
	return out
}

func usual(v, otherwise emv.HexBytes) emv.HexBytes {
	if len(v) == 0 {
		return otherwise
	}
	return v
}
