package cardsim

import (
	"bytes"
	"crypto/sha1"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
)

// processingOptions is GET PROCESSING OPTIONS. EMV 4.4 Book 3, 6.5.8.
func (c *Card) processingOptions(a *app, cmd emv.Command) ([]byte, emv.SW) {
	if c.run.started || a.atc == 0xFFFF {
		return nil, emv.SWConditions
	}
	body, err := tlv.Template(cmd.Data, 0x83)
	if err != nil || len(body) != total(a.PDOL) {
		return nil, emv.SWWrongLength
	}
	a.atc++
	c.run = run{started: true, pdolData: bytes.Clone(body)}
	if a.Format == 1 {
		return tlv.Append(nil, 0x80, append(a.aip[:], a.afl...)), emv.SWOK
	}
	out := tlv.Append(nil, 0x82, a.aip[:])
	return tlv.Append(nil, 0x77, tlv.Append(out, 0x94, a.afl)), emv.SWOK
}

// total is how many bytes a data object list asks for.
func total(list []byte) int {
	n := 0
	entries, err := tlv.ParseDOL(list)
	if err != nil {
		return -1
	}
	for _, e := range entries {
		n += int(e.Length)
	}
	return n
}

// dynamicNumber is the ICC Dynamic Number: different in every transaction, eight bytes.
func (a *app) dynamicNumber() []byte {
	k := a.key.session(a.atc)
	n := des3(k, [8]byte{0xDD})
	return append([]byte{8}, n[:]...)
}

// sdad signs, and spoils the signature when the fault is on.
func (c *Card) sdad(a *app, dynamic, terminal []byte) []byte {
	if c.faults[FaultBareDynamic] > 0 {
		dynamic = bytes.Clone(dynamic[1:])
		dynamic[0] |= 0x80 // never a length
	}
	s := dynamicSignature(a.icc, dynamic, terminal)
	if c.faults[FaultWrongSDAD] > 0 {
		s[len(s)/2] ^= 0x01
	}
	return s
}

// internalAuthenticate is DDA. EMV 4.4 Book 3, 6.5.9.
func (c *Card) internalAuthenticate(a *app, cmd emv.Command) ([]byte, emv.SW) {
	if !c.run.started || c.run.cryptograms > 0 || a.ODA != "dda" && a.ODA != "cda" {
		return nil, emv.SWConditions
	}
	if len(cmd.Data) != total(usualDDOL) {
		return nil, emv.SWWrongLength
	}
	s := c.sdad(a, a.dynamicNumber(), cmd.Data)
	if a.Format == 1 {
		return tlv.Append(nil, 0x80, s), emv.SWOK
	}
	return tlv.Append(nil, 0x77, tlv.Append(nil, 0x9F4B, s)), emv.SWOK
}

// externalAuthenticate verifies an ARPC, once. EMV 4.4 Book 3, 6.5.4.
func (c *Card) externalAuthenticate(a *app, cmd emv.Command) ([]byte, emv.SW) {
	if a.IssuerAuth != "external" || c.run.cryptograms != 1 || c.run.authTried {
		return nil, emv.SWConditions
	}
	if !c.authenticate(a, cmd.Data) {
		return nil, emv.SWAuthFailed
	}
	return nil, emv.SWOK
}

// authenticate checks Issuer Authentication Data: ARPC and response code.
func (c *Card) authenticate(a *app, data []byte) bool {
	c.run.authTried = true
	if len(data) < 10 {
		return false
	}
	want := a.key.session(a.atc).arpc(c.run.arqc, emv.ARC(data[8:10]))
	c.run.authOK = bytes.Equal(want[:], data[:8])
	return c.run.authOK
}

// generateAC is GENERATE AC, first and second. EMV 4.4 Book 3, 6.5.5 and 9.
func (c *Card) generateAC(a *app, cmd emv.Command) ([]byte, emv.SW) {
	list := a.cdol1
	if c.run.cryptograms == 1 {
		list = a.cdol2
	}
	switch {
	case !c.run.started || c.run.cryptograms > 1:
		return nil, emv.SWConditions
	case len(cmd.Data) != total(list):
		return nil, emv.SWWrongLength
	}
	asked := emv.CryptogramType(cmd.P1 & 0xC0)
	if asked == 0xC0 {
		return nil, emv.SWWrongP1P2
	}
	value := a.terminalValues(list, cmd.Data)
	var kind emv.CryptogramType
	if c.run.cryptograms == 0 {
		kind = a.first(asked)
		c.run.cdol1Data = bytes.Clone(cmd.Data)
	} else {
		kind = c.second(a, asked, value)
	}
	if c.faults[FaultUpgrade] > 0 {
		kind = emv.TC
	}
	c.run.cryptograms++
	return c.cryptogram(a, cmd, kind, value)
}

// terminalValues looks up what the terminal filled a list with, and the card's own data objects.
func (a *app) terminalValues(list, data []byte) func(tlv.Tag) ([]byte, bool) {
	return func(t tlv.Tag) ([]byte, bool) {
		switch t {
		case 0x82:
			return a.aip[:], true
		case 0x9F36:
			return []byte{byte(a.atc >> 8), byte(a.atc)}, true
		}
		entries, err := tlv.ParseDOL(list)
		if err != nil {
			return nil, false
		}
		rest := data
		for _, e := range entries {
			v := rest[:e.Length]
			rest = rest[e.Length:]
			if e.Tag == t {
				return v, true
			}
		}
		return nil, false
	}
}

// first is card action analysis at the first cryptogram. EMV 4.4 Book 3, 10.8: never more than asked for.
func (a *app) first(asked emv.CryptogramType) emv.CryptogramType {
	switch {
	case a.Decide == "decline" || asked == emv.AAC:
		return emv.AAC
	case a.Decide == "online":
		return emv.ARQC
	}
	return asked
}

// second is card action analysis at the second cryptogram: an approval of the host needs its authentication when the
// card has a method for it. EMV 4.4 Book 3, 10.11.
func (c *Card) second(a *app, asked emv.CryptogramType, value func(tlv.Tag) ([]byte, bool)) emv.CryptogramType {
	if data, ok := value(0x91); ok && a.IssuerAuth == "gac2" && !bytes.Equal(data, make([]byte, len(data))) {
		c.authenticate(a, data)
	}
	arc, _ := value(0x8A)
	offline := string(arc) == string(emv.ARCUnableApproved) || string(arc) == string(emv.ARCUnableDeclined)
	if a.Final == "decline" || asked != emv.TC || a.IssuerAuth != "none" && !c.run.authOK && !offline {
		return emv.AAC
	}
	if c.run.authOK {
		a.last = a.atc
	}
	return emv.TC
}

// issuerApplicationData is tag 9F10: length, key index, cryptogram version and three bytes of card verification results
// in a layout of these cards' own.
func (c *Card) issuerApplicationData(kind emv.CryptogramType) []byte {
	var cvr [3]byte
	cvr[0] = byte(kind)>>6<<4 | c.run.cryptograms
	if c.run.authTried && !c.run.authOK {
		cvr[1] |= 0x08
	}
	if c.run.scriptsBegan {
		cvr[2] |= 0x10
	}
	return []byte{0x07, 0x01, 0x01, 0x03, cvr[0], cvr[1], cvr[2], 0x00}
}

// cryptogram computes the cryptogram and writes the response, with a combined signature when asked for.
func (c *Card) cryptogram(a *app, cmd emv.Command, kind emv.CryptogramType, value func(tlv.Tag) ([]byte, bool)) ([]byte, emv.SW) {
	iad := c.issuerApplicationData(kind)
	data, err := cryptogramData(func(t tlv.Tag) ([]byte, bool) {
		if t == 0x9F10 {
			return iad, true
		}
		return value(t)
	})
	if err != nil {
		return nil, emv.SWConditions
	}
	ac := a.key.session(a.atc).mac(data)
	if kind == emv.ARQC {
		c.run.arqc = ac
	}
	atc := []byte{byte(a.atc >> 8), byte(a.atc)}
	if a.Format == 1 {
		out := append([]byte{byte(kind)}, atc...)
		out = append(out, ac[:]...)
		return tlv.Append(nil, 0x80, append(out, iad...)), emv.SWOK
	}
	out := tlv.Append(nil, 0x9F27, []byte{byte(kind)})
	out = tlv.Append(out, 0x9F36, atc)
	if cmd.P1&0x10 == 0 || a.ODA != "cda" || kind == emv.AAC {
		out = tlv.Append(out, 0x9F26, ac[:])
		return tlv.Append(nil, 0x77, tlv.Append(out, 0x9F10, iad)), emv.SWOK
	}
	tail := tlv.Append(nil, 0x9F10, iad)
	s := c.sdad(a, c.combined(a, cmd, kind, ac, out, tail), unpredictable(value))
	out = tlv.Append(out, 0x9F4B, s)
	return tlv.Append(nil, 0x77, append(out, tail...)), emv.SWOK
}

// combined is the ICC dynamic data of a combined signature. EMV 4.4 Book 2, 6.6.1, tables 18 and 19.
func (c *Card) combined(a *app, cmd emv.Command, kind emv.CryptogramType, ac [8]byte, before, after []byte) []byte {
	h := sha1.New()
	h.Write(c.run.pdolData)
	h.Write(c.run.cdol1Data)
	if c.run.cryptograms == 2 {
		h.Write(cmd.Data)
	}
	h.Write(before)
	h.Write(after)
	d := append(a.dynamicNumber(), byte(kind))
	d = append(d, ac[:]...)
	return h.Sum(d)
}

func unpredictable(value func(tlv.Tag) ([]byte, bool)) []byte {
	un, _ := value(0x9F37)
	return un
}
