package judge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"posagent/agent/emv"
	"posagent/agent/payment"
)

// maxJSON bounds a settings or CAPK file in bytes: a scheme publishes a dozen keys of a kilobyte.
const maxJSON = 1 << 20

// schemes are the registered application providers a foreign card most often belongs to: UnionPay, Visa, Mastercard,
// American Express, JCB, Discover.
var schemes = []string{"A000000333", "A000000003", "A000000004", "A000000025", "A000000065", "A000000152"}

// tables reads the list of applications and the CA public keys.
func (r *reading) tables() {
	a := &r.app
	a.Version = emv.Version{0x00, 0x02}
	copy(a.Version[:], r.bytes("version", 2))
	a.TACDefault, a.TACDenial, a.TACOnline = emv.ActionCode{0xDC, 0x40, 0, 0xA8, 0}, emv.ActionCode{0, 0x10, 0, 0, 0}, emv.ActionCode{0xDC, 0x40, 0x04, 0xF8, 0}
	copy(a.TACDefault[:], r.bytes("tac-default", 5))
	copy(a.TACDenial[:], r.bytes("tac-denial", 5))
	copy(a.TACOnline[:], r.bytes("tac-online", 5))
	a.FloorLimit = r.amount("floor-limit", "500")
	a.Threshold = r.amount("random-threshold", "0")
	a.TargetPercent = uint8(r.number("random-target", 0, 99))
	a.MaxTargetPercent = uint8(r.number("random-max", uint32(a.TargetPercent), 99))
	a.DefaultDDOL, a.DefaultTDOL = emv.HexBytes{0x9F, 0x37, 0x04}, emv.HexBytes{0x9F, 0x02, 0x06}
	if b := r.bytes("ddol", 0); b != nil {
		a.DefaultDDOL = b
	}
	if b := r.bytes("tdol", 0); b != nil {
		a.DefaultTDOL = b
	}
	a.RiskData = r.bytes("risk-data", 0)

	r.j.applications = slices.Clone(r.s.applications)
	aids := r.s.values["aid"]
	if len(aids) == 0 && len(r.j.applications) == 0 {
		aids = schemes
	}
	for _, text := range aids {
		name, how, given := strings.Cut(text, "/")
		aid, err := emv.ParseAID(strings.ReplaceAll(name, " ", ""))
		if err != nil || given && how != "exact" {
			r.fail("aid", "%q is not 5 to 16 bytes of hexadecimal, with /exact or without", text)
			continue
		}
		one := *a
		one.AID, one.Partial = aid, !given
		r.j.applications = append(r.j.applications, one)
	}
	keys, err := emv.NewCAPKs(r.s.capks...)
	if err != nil {
		r.fail("capks", "%v", err)
	}
	r.j.capks = keys
}

// contactless reads the reader's limits.
func (r *reading) contactless() {
	r.j.limits = limits{floor: -1, cvm: r.amount("cvm-limit", "1000"), transaction: -1}
	if r.s.value("floor-limit", "") != "" {
		r.j.limits.floor = r.amount("floor-limit", "")
	}
	if r.s.value("transaction-limit", "") != "" {
		r.j.limits.transaction = r.amount("transaction-limit", "")
	}
	r.j.ttq = r.bytes("ttq", 4)
	if r.j.limits.transaction > payment.MaxAmount {
		r.fail("transaction-limit", "over twelve digits")
	}
}

// ReadJSON takes settings from a JSON object. Its names are those of Keys, values being text, numbers or switches, and
// lists where a setting may be repeated; "applications" holds whole entries of emv.Application and "capks" whole CA
// public keys. The error is a *SettingError or that of in.
func (s *Settings) ReadJSON(in io.Reader) error {
	b, err := readBounded(in)
	if err != nil {
		return err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(b, &all); err != nil {
		return wrong("settings", "not a JSON object: %v", err)
	}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		raw := all[key]
		switch key {
		case "applications":
			if err := strict(raw, &s.applications); err != nil {
				return wrong(key, "%v", err)
			}
			continue
		case "capks":
			if err := s.addCAPKs(raw); err != nil {
				return err
			}
			continue
		}
		texts, err := jsonTexts(raw)
		if err != nil {
			return wrong(key, "%v", err)
		}
		for _, text := range texts {
			if err := s.Set(key, text); err != nil {
				return err
			}
		}
	}
	return nil
}

// ReadCAPKs takes CA public keys from a JSON list, or from an object that holds it under "capks". Each has rid, index,
// modulus and exponent; a checksum, where there is one, must fit. The error is a *SettingError or that of in.
func (s *Settings) ReadCAPKs(in io.Reader) error {
	b, err := readBounded(in)
	if err != nil {
		return err
	}
	var object struct {
		CAPKs json.RawMessage `json:"capks"`
	}
	if json.Unmarshal(b, &object) == nil && object.CAPKs != nil {
		b = object.CAPKs
	}
	return s.addCAPKs(b)
}

func (s *Settings) addCAPKs(raw []byte) error {
	var keys []emv.CAPK
	if err := strict(raw, &keys); err != nil {
		return wrong("capks", "%v", err)
	}
	for _, k := range keys {
		if len(k.Checksum) == 0 {
			sum := k.Sum()
			k.Checksum = sum[:]
		}
		s.capks = append(s.capks, k)
	}
	if _, err := emv.NewCAPKs(s.capks...); err != nil {
		return wrong("capks", "%v", err)
	}
	return nil
}

func readBounded(in io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(in, maxJSON+1))
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	if len(b) > maxJSON {
		return nil, wrong("settings", "over %d bytes", maxJSON)
	}
	return b, nil
}

func strict(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if d.More() {
		return errors.New("something follows the value")
	}
	return nil
}

// jsonTexts turns a JSON scalar, or a list of them, into texts.
func jsonTexts(raw json.RawMessage) ([]string, error) {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil || list == nil {
		list = []json.RawMessage{raw}
	}
	var out []string
	for _, one := range list {
		var text string
		if err := json.Unmarshal(one, &text); err == nil && string(one) != "null" {
			out = append(out, text)
			continue
		}
		var number json.Number
		var yes bool
		switch {
		case json.Unmarshal(one, &yes) == nil && string(one) != "null":
			out = append(out, fmt.Sprint(yes))
		case json.Unmarshal(one, &number) == nil && number != "":
			out = append(out, number.String())
		default:
			return nil, errors.New("want text, a number, true or false")
		}
	}
	return out, nil
}
