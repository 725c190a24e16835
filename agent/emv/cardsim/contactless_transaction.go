package cardsim

import (
	"bytes"
	"crypto/sha1"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
)

// processingOptions is GET PROCESSING OPTIONS: for kernels 3 and 7 it is the whole transaction.
func (c *Contactless) processingOptions(a *tapApp, cmd emv.Command) ([]byte, emv.SW) {
	if len(a.GPOStatus) == 2 {
		return nil, emv.SW(a.GPOStatus[0])<<8 | emv.SW(a.GPOStatus[1])
	}
	body, err := tlv.Template(cmd.Data, 0x83)
	if c.options != nil || a.atc == 0xFFFF {
		return nil, emv.SWConditions
	}
	if err != nil || len(body) != total(a.pdol) {
		return nil, emv.SWWrongLength
	}
	a.atc++
	c.options = append([]byte{}, body...)
	if a.Kernel != 2 {
		return c.quick(a)
	}
	out := tlv.Append(nil, 0x82, a.aip[:])
	return tlv.Append(nil, 0x77, tlv.Append(out, 0x94, a.afl)), emv.SWOK
}

// value looks up what the terminal filled a list with, and the card's own objects.
func (a *tapApp) value(list, data []byte) func(tlv.Tag) ([]byte, bool) {
	return (&app{aip: a.aip, atc: a.atc}).terminalValues(list, data)
}

// kind is the card's decision: never more than the terminal allows. kernels 3 and 7 ask for an online cryptogram in TTQ.
func (c *Contactless) kind(a *tapApp, asked emv.CryptogramType) emv.CryptogramType {
	switch {
	case c.faults[FaultUpgrade] > 0:
		return emv.TC
	case a.Decide == "decline" || asked == emv.AAC:
		return emv.AAC
	case a.Decide == "online":
		return emv.ARQC
	}
	return asked
}

// issuerData is 9F10, laid out as the contact cards' one.
func issuerData(kind emv.CryptogramType) []byte {
	return []byte{0x07, 0x01, 0x01, 0x03, byte(kind)>>6<<4 | 1, 0x00, 0x00, 0x00}
}

// mac is the application cryptogram.
func (a *tapApp) mac(kind emv.CryptogramType, value func(tlv.Tag) ([]byte, bool)) ([8]byte, bool) {
	data, err := cryptogramData(func(t tlv.Tag) ([]byte, bool) {
		if t == 0x9F10 {
			return issuerData(kind), true
		}
		return value(t)
	})
	return a.key.session(a.atc).mac(data), err == nil
}

// quick answers with a cryptogram and, when it has a key, a signature over the transaction (fDDA, version 01).
func (c *Contactless) quick(a *tapApp) ([]byte, emv.SW) {
	value := a.value(a.pdol, c.options)
	asked := emv.TC
	if ttq, _ := value(0x9F66); ttq[1]&0x80 != 0 {
		asked = emv.ARQC
	}
	kind := c.kind(a, asked)
	ac, ok := a.mac(kind, value)
	if !ok {
		return nil, emv.SWConditions
	}
	atc := []byte{byte(a.atc >> 8), byte(a.atc)}
	out := tlv.Append(nil, 0x82, a.aip[:])
	if len(a.afl) > 0 {
		out = tlv.Append(out, 0x94, a.afl)
	}
	out = tlv.Append(out, 0x9F36, atc)
	out = tlv.Append(out, 0x9F26, ac[:])
	out = tlv.Append(out, 0x9F10, issuerData(kind))
	out = tlv.Append(out, 0x57, a.track)
	out = tlv.Append(out, 0x5F34, number(a.Sequence, 1))
	if a.SendCID {
		out = tlv.Append(out, 0x9F27, []byte{byte(kind)})
	}
	if len(a.CTQ) > 0 {
		out = tlv.Append(out, 0x9F6C, a.CTQ)
	}
	if len(a.Offline) > 0 {
		out = tlv.Append(out, 0x9F5D, a.Offline)
	}
	if a.ODA == "dda" && kind == emv.TC {
		terminal := bytes.Clone(mustHave(value, 0x9F37))
		terminal = append(terminal, mustHave(value, 0x9F02)...)
		terminal = append(terminal, mustHave(value, 0x5F2A)...)
		terminal = append(terminal, a.related...)
		out = tlv.Append(out, 0x9F4B, c.sign(a, append([]byte{2}, atc...), terminal))
	}
	return tlv.Append(nil, 0x77, out), emv.SWOK
}

func mustHave(value func(tlv.Tag) ([]byte, bool), t tlv.Tag) []byte {
	v, _ := value(t)
	return v
}

// sign makes Signed Dynamic Application Data and spoils it when the fault is on.
func (c *Contactless) sign(a *tapApp, dynamic, terminal []byte) []byte {
	s := dynamicSignature(a.icc, dynamic, terminal)
	if c.faults[FaultWrongSDAD] > 0 {
		s[len(s)/2] ^= 0x01
	}
	return s
}

// relayResistance is EXCHANGE RELAY RESISTANCE DATA. EMV Contactless Book C-2, 5.3: at most three in a transaction.
func (c *Contactless) relayResistance(a *tapApp, cmd emv.Command) ([]byte, emv.SW) {
	if a.Relay == nil || c.options == nil || len(cmd.Data) != 4 || c.relays >= 3 {
		return nil, emv.SWConditions
	}
	c.relays++
	entropy := des3(a.key.session(a.atc), [8]byte{0xEA, byte(c.relays)})
	out := append([]byte{}, entropy[:4]...)
	for _, v := range []uint16{a.Relay.Min, a.Relay.Max, a.Relay.Estimate} {
		out = append(out, byte(v>>8), byte(v))
	}
	c.relay = append(bytes.Clone(cmd.Data), out...)
	return tlv.Append(nil, 0x80, out), emv.SWOK
}

// generateAC is GENERATE AC of kernel 2: one in a transaction.
func (c *Contactless) generateAC(a *tapApp, cmd emv.Command) ([]byte, emv.SW) {
	asked := emv.CryptogramType(cmd.P1 & 0xC0)
	switch {
	case a.Kernel != 2 || c.options == nil || c.done || asked == 0xC0:
		return nil, emv.SWConditions
	case len(cmd.Data) != total(usualCDOL1):
		return nil, emv.SWWrongLength
	}
	c.done = true
	value := a.value(usualCDOL1, cmd.Data)
	kind := c.kind(a, asked)
	ac, ok := a.mac(kind, value)
	if !ok {
		return nil, emv.SWConditions
	}
	out := tlv.Append(nil, 0x9F27, []byte{byte(kind)})
	out = tlv.Append(out, 0x9F36, []byte{byte(a.atc >> 8), byte(a.atc)})
	tail := tlv.Append(nil, 0x9F10, issuerData(kind))
	if cmd.P1&0x10 == 0 || a.ODA != "cda" || kind == emv.AAC {
		out = tlv.Append(out, 0x9F26, ac[:])
	} else {
		out = tlv.Append(out, 0x9F4B, c.sign(a, c.combined(a, cmd, kind, ac, out, tail), mustHave(value, 0x9F37)))
	}
	a.torn = tlv.Append(nil, 0x77, append(out, tail...))
	return a.torn, emv.SWOK
}

// combined is the ICC dynamic data of a combined signature, with the relay resistance exchange at its end. EMV 4.4 Book
// 2, 6.6.1; EMV Contactless Book C-2, relay resistance.
func (c *Contactless) combined(a *tapApp, cmd emv.Command, kind emv.CryptogramType, ac [8]byte, before, after []byte) []byte {
	h := sha1.New()
	h.Write(c.options)
	h.Write(cmd.Data)
	h.Write(before)
	h.Write(after)
	d := (&app{key: a.key, atc: a.atc}).dynamicNumber()
	d = append(d, byte(kind))
	d = h.Sum(append(d, ac[:]...))
	if c.faults[FaultWrongRelay] > 0 && len(c.relay) > 0 {
		return append(append(d, c.relay[:12]...), 0, 0)
	}
	return append(d, c.relay...)
}

// recoverAC gives the cryptogram of a torn transaction again.
func (a *tapApp) recoverAC(cmd emv.Command) ([]byte, emv.SW) {
	if len(a.DRDOL) == 0 || a.torn == nil || len(cmd.Data) != total(a.DRDOL) {
		return nil, emv.SWConditions
	}
	return a.torn, emv.SWOK
}
