package judge

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
	"posagent/agent/payment"
)

// Settings are the settings a recording was made with, as far as its commands tell: the terminal's values in the data of
// GET PROCESSING OPTIONS, INTERNAL AUTHENTICATE and GENERATE AC, the selected applications, the interface, and what the
// host answered. A signature or cryptogram of the recording holds only with these.
func (s Script) Settings() Settings {
	var out Settings
	r := recovery{out: &out, values: map[tlv.Tag][]byte{}}
	for _, e := range s.Exchanges {
		cmd, err := emv.ParseCommand(e.Command)
		if err != nil {
			continue
		}
		r.command(cmd, e.Response)
		r.mask.command(e.Command) // counts cryptograms
		if data, _, err := emv.ParseResponse(e.Response); err == nil {
			r.mask.learn(data)
		}
	}
	r.settle()
	var usable Settings
	for _, k := range Keys { // what no transaction can be run with is left out
		if list, ok := out.values[k.Name]; ok {
			trial := Settings{values: maps.Clone(usable.values)}
			trial.put(k.Name, list)
			if trial.Check() == nil {
				usable = trial
			}
		}
	}
	return usable
}

// together are settings of which one that is given speaks for all: half of an answer of the host is none.
var together = [][]string{{"arc", "iad", "issuer-script", "unable"}, {"amount", "other"}}

// Fill takes over settings that have no value yet.
func (s *Settings) Fill(from Settings) {
	taken := map[string]bool{"aid": len(s.applications) > 0}
	for _, group := range together {
		given := slices.ContainsFunc(group, func(key string) bool { return s.values[key] != nil })
		for _, key := range group {
			taken[key] = given
		}
	}
	for _, k := range Keys {
		list, given := from.values[k.Name]
		if _, has := s.values[k.Name]; has || !given || taken[k.Name] {
			continue
		}
		s.put(k.Name, list)
	}
}

func (s *Settings) put(key string, list []string) {
	if s.values == nil {
		s.values = map[string][]string{}
	}
	s.values[key] = slices.Clone(list)
}

// recovery reads a script's commands.
type recovery struct {
	out    *Settings
	mask   masker
	values map[tlv.Tag][]byte
}

func (r *recovery) set(key, value string) {
	_ = r.out.Set(key, value) // the names are those of Keys: a test reads them back
}

func (r *recovery) command(cmd emv.Command, rapdu []byte) {
	_, sw, err := emv.ParseResponse(rapdu)
	switch cmd.INS {
	case emv.InsSelect:
		switch name := string(cmd.Data); {
		case name == "2PAY.SYS.DDF01":
			r.set("interface", "contactless")
		case name != "1PAY.SYS.DDF01" && emv.AID(cmd.Data).Valid() && err == nil && (sw == emv.SWOK || sw == emv.SWInvalidated):
			if aid := emv.AID(cmd.Data).String(); !slices.Contains(r.out.values["aid"], aid) {
				r.set("aid", aid)
			}
		}
	case emv.InsExternalAuthenticate:
		r.values[0x91] = cmd.Data
	case emv.InsGPO:
		r.filled(r.mask.dols[0x9F38], cmd.Data)
	case emv.InsInternalAuthenticate:
		r.filled(r.mask.dols[0x9F49], cmd.Data)
	case emv.InsGenerateAC:
		if r.mask.acs == 0 {
			r.filled(r.mask.dols[0x8C], cmd.Data)
		} else {
			r.filled(r.mask.dols[0x8D], cmd.Data)
		}
	}
}

// filled takes the values out of the filled form of a list; the first of each tag counts.
func (r *recovery) filled(dol, data []byte) {
	list, err := tlv.ParseDOL(dol)
	total := 0
	for _, e := range list {
		total += int(e.Length)
	}
	if err != nil || total > len(data) {
		return
	}
	data = data[len(data)-total:] // behind a command template
	for _, e := range list {
		v := data[:e.Length]
		data = data[e.Length:]
		if _, has := r.values[e.Tag]; !has {
			r.values[e.Tag] = v
		}
	}
}

// fixedSettings are the settings that are written as the bytes of their data object.
var fixedSettings = []struct {
	tag tlv.Tag
	n   int
	key string
}{
	{0x9F37, 4, "un"}, {0x9C, 1, "type"}, {0x9F35, 1, "terminal-type"}, {0x9F33, 3, "capabilities"},
	{0x9F40, 5, "additional"}, {0x9F66, 4, "ttq"}, {0x9F09, 2, "version"},
}

func (r *recovery) settle() {
	value := func(tag tlv.Tag, n int) []byte {
		if v := r.values[tag]; len(v) == n && !bytes.Equal(v, make([]byte, n)) {
			return v
		}
		return nil
	}
	for _, f := range fixedSettings {
		if v := value(f.tag, f.n); v != nil {
			r.set(f.key, hexText(v))
		}
	}
	if v := value(0x9F1A, 2); v != nil {
		r.set("country", hexText(v)[1:])
	}
	currency := payment.CNY
	if v := value(0x5F2A, 2); v != nil {
		code := hexText(v)[1:]
		r.set("currency", code)
		known := false
		if currency, known = payment.CurrencyByNumeric(code); !known {
			currency = payment.Currency{Numeric: code, Exponent: 2}
		}
	}
	for tag, key := range map[tlv.Tag]string{0x9F02: "amount", 0x9F03: "other"} {
		if a, err := payment.ParseMinor(hexText(value(tag, 6))); err == nil {
			r.set(key, a.Format(currency))
		}
	}
	if t, ok := emv.ParseDate(value(0x9A, 3)); ok {
		r.set("date", t.Format("2006-01-02"))
	}
	if v := value(0x9F21, 3); v != nil {
		r.set("time", fmt.Sprintf("%02X:%02X:%02X", v[0], v[1], v[2]))
	}
	if v := value(0x9F41, 4); v != nil {
		r.set("sequence", hexText(v))
	}
	r.host(value(0x8A, 2))
}

// host recovers the host's answer: the response code is in the second GENERATE AC, unless the terminal made it itself.
func (r *recovery) host(arc []byte) {
	switch code := emv.ARC(arc); {
	case code == emv.ARCUnableApproved || code == emv.ARCUnableDeclined:
		r.set("unable", "true")
	case len(arc) != 2 || code == emv.ARCOfflineApproved || code == emv.ARCOfflineDeclined:
	default:
		r.set("arc", string(arc))
		if iad := r.values[0x91]; len(iad) >= 8 {
			r.set("iad", hexText(iad))
		}
	}
}
