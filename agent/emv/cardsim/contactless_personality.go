package cardsim

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
	"posagent/agent/payment"
)

//go:embed personalities/contactless/*.json
var embeddedContactless embed.FS

// A ContactlessPersonality is everything that makes one contactless card: what JSON holds. Byte strings are hexadecimal.
type ContactlessPersonality struct {
	Name         string                   `json:"name"`
	About        string                   `json:"about"` // what the card will do, in one sentence
	Applications []ContactlessApplication `json:"applications"`
	Faults       map[Fault]uint32         `json:"faults,omitempty"`
}

// A ContactlessApplication is one application behind the PPSE.
type ContactlessApplication struct {
	AID      emv.AID      `json:"aid"`
	Label    string       `json:"label"`
	Priority uint8        `json:"priority"`            // tag 87
	KernelID emv.HexBytes `json:"kernel_id,omitempty"` // 9F2A in the directory; empty: none
	Extended emv.HexBytes `json:"extended,omitempty"`  // 9F29 in the directory
	Kernel   uint8        `json:"kernel"`              // 2, 3 or 7: how the application works

	PAN         string   `json:"pan"`
	Sequence    string   `json:"sequence"`
	Expiry      emv.Date `json:"expiry"`
	Effective   emv.Date `json:"effective"`
	Holder      string   `json:"holder"`
	ServiceCode string   `json:"service_code"`
	Country     string   `json:"country"`
	Currency    string   `json:"currency"`

	Keys      string       `json:"keys"`          // "a" or "b"
	ODA       string       `json:"oda"`           // "none", "dda" (fDDA, kernels 3 and 7) or "cda" (kernel 2)
	Decide    string       `json:"decide"`        // "terminal", "online" or "decline"
	GPOStatus emv.HexBytes `json:"gpo,omitempty"` // status word of GET PROCESSING OPTIONS, two bytes; empty: 9000
	CTQ       emv.HexBytes `json:"ctq,omitempty"` // 9F6C, two bytes; empty: none
	SendCID   bool         `json:"send_cid"`      // 9F27 in the answer of kernels 3 and 7
	Offline   emv.HexBytes `json:"offline_amount,omitempty"`
	CVMList   emv.HexBytes `json:"cvm_list,omitempty"`
	AUC       emv.HexBytes `json:"auc,omitempty"`
	IAC       [3]string    `json:"iac"`                 // default, denial, online; empty: none
	OnDevice  bool         `json:"on_device,omitempty"` // AIP: on-device cardholder verification
	Relay     *RelayTimes  `json:"relay,omitempty"`
	DRDOL     emv.HexBytes `json:"drdol,omitempty"` // 9F51: the card recovers torn cryptograms
	ATC       uint16       `json:"atc"`
	codes     [3]emv.ActionCode
}

// RelayTimes are the timings a card states in a relay resistance exchange, in units of 100 microseconds.
type RelayTimes struct {
	Min      uint16 `json:"min"`
	Max      uint16 `json:"max"`
	Estimate uint16 `json:"estimate"`
}

// Faults of contactless cards; the others are those of contact cards.
const (
	FaultEndlessPPSE Fault = "endless-ppse" // a full directory of applications that cannot be selected
	FaultHuge        Fault = "huge"         // every answer has 64 KiB
	FaultTornAt      Fault = "torn-at"      // the answer to the card's nth command is lost, once in its life
	FaultWrongRelay  Fault = "wrong-relay"  // the signature covers other timings than the card stated
)

var contactlessFaults = []Fault{
	FaultWrongSDAD, FaultSilentAfter, FaultLyingLength, FaultChangedPAN, FaultUpgrade,
	FaultEndlessPPSE, FaultHuge, FaultTornAt, FaultWrongRelay,
}

// ContactlessNames lists the embedded contactless personalities.
func ContactlessNames() []string {
	files, err := fs.Glob(embeddedContactless, "personalities/contactless/*.json")
	if err != nil {
		return nil
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(strings.TrimPrefix(f, "personalities/contactless/"), ".json")
	}
	return files
}

// LoadContactless returns an embedded contactless personality by name.
func LoadContactless(name string) (ContactlessPersonality, error) {
	b, err := embeddedContactless.ReadFile("personalities/contactless/" + name + ".json")
	if err != nil {
		return ContactlessPersonality{}, fmt.Errorf("load contactless personality %q: %w", name, err)
	}
	return ParseContactless(b)
}

// ParseContactless reads a personality. Unknown fields are errors.
func ParseContactless(b []byte) (ContactlessPersonality, error) {
	var p ContactlessPersonality
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return ContactlessPersonality{}, fmt.Errorf("%w: %w", ErrPersonality, err)
	}
	return p, p.validate()
}

func (p ContactlessPersonality) validate() error {
	if p.Name == "" || len(p.Applications) == 0 || len(p.Applications) > 4 {
		return fmt.Errorf("%w: %q: name or number of applications", ErrPersonality, p.Name)
	}
	for f := range p.Faults {
		if !known(string(f), contactlessFaults) {
			return fmt.Errorf("%w: %s: fault %q", ErrPersonality, p.Name, f)
		}
	}
	for i := range p.Applications {
		if field, bad := p.Applications[i].wrong(); bad {
			return fmt.Errorf("%w: %s: applications[%d].%s", ErrPersonality, p.Name, i, field)
		}
	}
	return nil
}

// wrong names the first field that no application can have, and reads the action codes.
func (a *ContactlessApplication) wrong() (string, bool) {
	pan, err := payment.NewPAN(a.PAN)
	switch {
	case !a.AID.Valid():
		return "aid", true
	case err != nil || !pan.Luhn():
		return "pan", true
	case len(a.Label) == 0 || len(a.Label) > 16:
		return "label", true
	case a.Kernel != 2 && a.Kernel != 3 && a.Kernel != 7:
		return "kernel", true
	case a.Expiry.IsZero():
		return "expiry", true
	case len(a.ServiceCode) != 3:
		return "service_code", true
	case !known(a.Keys, []string{"a", "b"}):
		return "keys", true
	case a.ODA != "none" && (a.ODA != "cda" || a.Kernel != 2) && (a.ODA != "dda" || a.Kernel == 2):
		return "oda", true
	case !known(a.Decide, []string{"terminal", "online", "decline"}):
		return "decide", true
	case len(a.GPOStatus) != 0 && len(a.GPOStatus) != 2:
		return "gpo", true
	case len(a.CTQ) != 0 && len(a.CTQ) != 2:
		return "ctq", true
	case len(a.Extended) > 5 || len(a.KernelID) > 8:
		return "extended", true
	}
	for i, text := range a.IAC {
		if text == "" {
			continue
		}
		if a.codes[i].UnmarshalText([]byte(text)) != nil {
			return "iac", true
		}
	}
	if _, err := tlv.ParseDOL(a.DRDOL); err != nil {
		return "drdol", true
	}
	return "", false
}

// contactlessAuthorities are the RIDs of the kernels beside those of the contact cards, under the same test keys.
var contactlessAuthorities = []struct {
	rid   emv.RID
	index uint8
	key   string
}{
	{emv.RID{0xA0, 0x00, 0x00, 0x00, 0x03}, 0xF3, "ca-a"},
	{emv.RID{0xA0, 0x00, 0x00, 0x00, 0x04}, 0xF4, "ca-b"},
	{emv.RID{0xA0, 0x00, 0x00, 0x03, 0x33}, 0xF1, "ca-a"},
}

// ContactlessCAPKs are CAPKs and the keys of RIDs A000000003 and A000000004, all made for tests.
func ContactlessCAPKs() []emv.CAPK {
	ring, err := keyRing()
	if err != nil {
		panic(err) // an embedded file that tests read: impossible
	}
	out := CAPKs()
	for _, a := range contactlessAuthorities[:2] {
		k := emv.CAPK{
			RID: a.rid, Index: a.index, Modulus: ring[a.key].N, Exponent: ring[a.key].E,
			Expiry: emv.Date{Time: time.Date(2049, 12, 31, 0, 0, 0, 0, time.UTC)},
		}
		sum := k.Sum()
		k.Checksum = sum[:]
		out = append(out, k)
	}
	return out
}
