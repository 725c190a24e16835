package cardsim

import (
	"fmt"
	"strconv"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
	"posagent/agent/payment"
)

// An app is a personalised application: its files as READ RECORD gives them, its keys and its counters.
type app struct {
	Application
	fci     []byte
	aip     emv.AIP
	afl     []byte
	records map[uint16][]byte // SFI in the high byte, record number in the low
	icc     rsaKey
	key     cardKey
	pan     payment.PAN
	cdol1   []byte
	cdol2   []byte
	atc     uint16
	last    uint16

	pinPairKey rsaKey // of PIN encipherment; empty when there is none
	tries      uint8
	blocked    bool
}

// Where the records lie. SFI 1 is not authenticated; record 1 of SFI 2 is.
const (
	sfiTrack = 1
	sfiMain  = 2
	sfiExtra = 3
	sfiPIN   = 4
)

// recordKey is the map key of a record.
func recordKey(sfi, record uint8) uint16 { return uint16(sfi)<<8 | uint16(record) }

// personalise builds an application's files and signs them.
func personalise(a Application, ring map[string]rsaKey, changedPAN bool) (*app, error) {
	pan, err := payment.NewPAN(a.PAN)
	if err != nil {
		return nil, fmt.Errorf("personalise %v: %w", a.AID, err)
	}
	p := &app{
		Application: a, pan: pan, atc: a.ATC, last: a.LastOnline,
		records: map[uint16][]byte{},
		key:     TestIssuer().cardKey(pan, a.Sequence),
		icc:     ring["icc-"+a.Keys],
		cdol1:   usual(a.CDOL1, usualCDOL1),
		cdol2:   usual(a.CDOL2, usualCDOL2),
	}
	if a.IssuerAuth == "gac2" && len(a.CDOL2) == 0 {
		p.cdol2 = append(append([]byte(nil), p.cdol2...), 0x91, 0x0A)
	}
	p.blocked = a.Blocked
	if a.PIN != "" {
		p.tries = usualTries
		if a.PINTries != nil {
			p.tries = *a.PINTries
		}
		p.pinPairKey = p.pinPair(ring)
	}
	p.aip = a.profile()
	p.fci = a.controlInformation()
	main := a.mainRecord()
	static := append(append([]byte(nil), main...), p.aip[:]...)
	p.put(sfiTrack, 1, a.trackRecord())
	p.put(sfiMain, 1, main)
	lists := tlv.Append(nil, 0x8C, p.cdol1)
	lists = tlv.Append(lists, 0x8D, p.cdol2)
	lists = tlv.Append(lists, 0x9F4A, []byte{0x82})
	if a.ODA == "dda" || a.ODA == "cda" {
		lists = tlv.Append(lists, 0x9F49, usualDDOL)
	}
	p.put(sfiMain, 2, lists)
	p.afl = []byte{sfiTrack << 3, 1, 1, 0, sfiMain << 3, 1, 2, 1}
	if a.ODA != "none" {
		if err := p.certify(ring, static); err != nil {
			return nil, err
		}
		p.afl = []byte{sfiTrack << 3, 1, 1, 0, sfiMain << 3, 1, 5, 1}
	}
	if a.PINKey == "own" {
		p.certifyPIN(ring["issuer-"+a.Keys])
	}
	if changedPAN {
		p.put(sfiExtra, 1, tlv.Append(nil, 0x5A, bcdLeft("4761739001010010", 8)))
		p.afl = append(p.afl, sfiExtra<<3, 1, 1, 0)
	}
	return p, nil
}

func (p *app) put(sfi, record uint8, body []byte) {
	p.records[recordKey(sfi, record)] = tlv.Append(nil, 0x70, body)
}

// certify makes records 3 to 5: keys and certificates. Book 2, 5.1 and 6.1.
func (p *app) certify(ring map[string]rsaKey, static []byte) error {
	issuer := ring["issuer-"+p.Keys]
	at := -1
	for i, a := range authorities {
		if a.rid == p.AID.RID() {
			at = i
		}
	}
	if at < 0 {
		return fmt.Errorf("%w: no test CA for %v", ErrPersonality, p.AID)
	}
	cert, remainder := issuerCertificate(ring[authorities[at].key], issuer, p.PAN)
	keys := tlv.Append(nil, 0x8F, []byte{authorities[at].index})
	keys = tlv.Append(keys, 0x9F32, issuer.E)
	if len(remainder) > 0 {
		keys = tlv.Append(keys, 0x92, remainder)
	}
	p.put(sfiMain, 4, tlv.Append(nil, 0x90, cert))
	if p.ODA == "sda" {
		p.put(sfiMain, 3, keys)
		p.put(sfiMain, 5, tlv.Append(nil, 0x93, staticSignature(issuer, static)))
		return nil
	}
	cert, remainder = iccCertificate(issuer, p.icc, p.PAN, static)
	keys = tlv.Append(keys, 0x9F47, p.icc.E)
	if len(remainder) > 0 {
		keys = tlv.Append(keys, 0x9F48, remainder)
	}
	p.put(sfiMain, 3, keys)
	p.put(sfiMain, 5, tlv.Append(nil, 0x9F46, cert))
	return nil
}

// profile is the AIP.
func (a Application) profile() (aip emv.AIP) {
	set := func(b emv.AIPBit) { aip[0] |= byte(b) }
	set(emv.AIPCV)
	set(emv.AIPTermRisk)
	if a.IssuerAuth == "external" {
		set(emv.AIPIssuerAuth)
	}
	switch a.ODA {
	case "sda":
		set(emv.AIPSDA)
	case "dda":
		set(emv.AIPDDA)
	case "cda":
		set(emv.AIPDDA)
		set(emv.AIPCDA)
	}
	return aip
}

// controlInformation is the answer to SELECT. EMV 4.4 Book 1, 11.3.4, table 45.
func (a Application) controlInformation() []byte {
	var prop []byte
	prop = tlv.Append(prop, 0x50, []byte(a.Label))
	prop = tlv.Append(prop, 0x87, []byte{a.Priority})
	if len(a.PDOL) > 0 {
		prop = tlv.Append(prop, 0x9F38, a.PDOL)
	}
	prop = tlv.Append(prop, 0x5F2D, []byte("zhen"))
	if a.Preferred != "" {
		prop = tlv.Append(prop, 0x9F11, []byte{1})
		prop = tlv.Append(prop, 0x9F12, []byte(a.Preferred))
	}
	body := tlv.Append(nil, 0x84, a.AID)
	body = tlv.Append(body, 0xA5, prop)
	return tlv.Append(nil, 0x6F, body)
}

func (a Application) trackRecord() []byte {
	track := a.PAN + "D" + a.Expiry.Time.Format("0601") + a.ServiceCode + "0000000000"
	packed := make([]byte, (len(track)+1)/2)
	for i := range 2 * len(packed) {
		d := byte(0x0F)
		if i < len(track) {
			if d = track[i] - '0'; track[i] == 'D' {
				d = 0x0D
			}
		}
		packed[i/2] |= d << (4 * (1 - uint(i)%2))
	}
	out := tlv.Append(nil, 0x57, packed)
	if a.Holder != "" {
		out = tlv.Append(out, 0x5F20, []byte(a.Holder))
	}
	return out
}

// mainRecord is the authenticated record.
func (a Application) mainRecord() []byte {
	out := tlv.Append(nil, 0x5A, bcdLeft(a.PAN, (len(a.PAN)+1)/2))
	if a.Sequence != "" {
		out = tlv.Append(out, 0x5F34, number(a.Sequence, 1))
	}
	out = tlv.Append(out, 0x5F24, emv.DateBCD(a.Expiry.Time))
	if !a.Effective.IsZero() {
		out = tlv.Append(out, 0x5F25, emv.DateBCD(a.Effective.Time))
	}
	out = tlv.Append(out, 0x5F28, number(a.Country, 2))
	out = tlv.Append(out, 0x5F30, number(a.ServiceCode, 2))
	out = tlv.Append(out, 0x9F42, number(a.Currency, 2))
	out = tlv.Append(out, 0x9F07, usual(a.AUC, usualAUC))
	out = tlv.Append(out, 0x9F08, []byte{0x00, 0x20})
	out = tlv.Append(out, 0x8E, usual(a.CVMList, usualCVMList))
	out = tlv.Append(out, 0x9F0D, a.IACDefault[:])
	out = tlv.Append(out, 0x9F0E, a.IACDenial[:])
	out = tlv.Append(out, 0x9F0F, a.IACOnline[:])
	if a.LowerLimit != nil && a.UpperLimit != nil {
		out = tlv.Append(out, 0x9F14, []byte{*a.LowerLimit})
		out = tlv.Append(out, 0x9F23, []byte{*a.UpperLimit})
	}
	return out
}

// number packs digits right-justified; text that is no number is zero.
func number(digits string, n uint8) []byte {
	v, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		v = 0
	}
	return emv.BCD(v, n)
}
