package cardsim

import (
	"fmt"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
	"posagent/agent/payment"
)

// A tapApp is a personalised contactless application.
type tapApp struct {
	ContactlessApplication
	fci     []byte
	aip     emv.AIP
	afl     []byte
	records map[uint16][]byte
	icc     rsaKey
	key     cardKey
	pdol    []byte
	track   []byte // value of 57
	related []byte // 9F69: fDDA version, the card's unpredictable number, CTQ
	atc     uint16
	torn    []byte // the last cryptogram's answer, for RECOVER AC
}

// tapPDOL is what the cards of kernels 3 and 7 ask for: the terminal's qualifiers and the cryptogram's input.
var tapPDOL = dol(0x9F66, 0x9F02, 0x9F03, 0x9F1A, 0x95, 0x5F2A, 0x9A, 0x9C, 0x9F37)

// personaliseTap builds an application's files and signs them.
func personaliseTap(a ContactlessApplication, ring map[string]rsaKey, changedPAN bool) (*tapApp, error) {
	pan, err := payment.NewPAN(a.PAN)
	if err != nil {
		return nil, fmt.Errorf("personalise %v: %w", a.AID, err)
	}
	p := &tapApp{
		ContactlessApplication: a, atc: a.ATC, records: map[uint16][]byte{},
		key: TestIssuer().cardKey(pan, a.Sequence), icc: ring["icc-"+a.Keys], pdol: tapPDOL,
	}
	old := Application{PAN: a.PAN, Expiry: a.Expiry, ServiceCode: a.ServiceCode}
	p.track, _ = tlv.Find(old.trackRecord(), 0x57)
	if a.Kernel == 2 {
		p.pdol = dol(0x9F33, 0x9F35)
	}
	p.aip = a.profile()
	p.fci = a.controlInformation(p.pdol)
	if len(a.CTQ) == 2 || a.ODA == "dda" {
		p.related = append([]byte{0x01, 0xCA, 0x4D, 0x00, 0x07}, usual(a.CTQ, emv.HexBytes{0, 0})...)
	}
	main := p.mainRecord()
	static := append(main[:len(main):len(main)], p.aip[:]...)
	p.put(sfiMain, 1, main)
	switch {
	case a.ODA != "none":
		if err := p.certify(ring, static); err != nil {
			return nil, err
		}
		p.afl = []byte{sfiMain << 3, 1, 4, 1}
	case a.Kernel == 2:
		p.afl = []byte{sfiMain << 3, 1, 1, 1}
	}
	if changedPAN {
		p.put(sfiExtra, 1, tlv.Append(nil, 0x5A, bcdLeft("4761739001010010", 8)))
		if a.Kernel == 2 {
			p.put(sfiExtra, 1, tlv.Append(nil, 0x57, append(bcdLeft("4761739001010010", 8), 0xD3, 0x01, 0x22, 0x01)))
		}
		p.afl = append(p.afl, sfiExtra<<3, 1, 1, 0)
	}
	return p, nil
}

func (p *tapApp) put(sfi, record uint8, body []byte) {
	p.records[recordKey(sfi, record)] = tlv.Append(nil, 0x70, body)
}

// certify makes records 2 to 4: keys and certificates.
func (p *tapApp) certify(ring map[string]rsaKey, static []byte) error {
	issuer := ring["issuer-"+p.Keys]
	for _, ca := range contactlessAuthorities {
		if ca.rid != p.AID.RID() {
			continue
		}
		cert, remainder := issuerCertificate(ring[ca.key], issuer, p.PAN)
		keys := tlv.Append(nil, 0x8F, []byte{ca.index})
		keys = tlv.Append(keys, 0x9F32, issuer.E)
		keys = appendIf(keys, 0x92, remainder)
		keys = tlv.Append(keys, 0x9F4A, []byte{0x82})
		p.put(sfiMain, 3, tlv.Append(nil, 0x90, cert))
		cert, remainder = iccCertificate(issuer, p.icc, p.PAN, static)
		keys = tlv.Append(keys, 0x9F47, p.icc.E)
		keys = appendIf(keys, 0x9F48, remainder)
		p.put(sfiMain, 2, keys)
		p.put(sfiMain, 4, tlv.Append(nil, 0x9F46, cert))
		return nil
	}
	return fmt.Errorf("%w: no test CA for %v", ErrPersonality, p.AID)
}

// appendIf appends a data object that is not empty.
func appendIf(dst []byte, tag tlv.Tag, value []byte) []byte {
	if len(value) == 0 {
		return dst
	}
	return tlv.Append(dst, tag, value)
}

// entry is the application's directory entry. EMV Contactless Book B, 3.3.1, table 3-2.
func (a ContactlessApplication) entry() []byte {
	e := tlv.Append(nil, 0x4F, a.AID)
	e = tlv.Append(e, 0x50, []byte(a.Label))
	e = tlv.Append(e, 0x87, []byte{a.Priority})
	if len(a.KernelID) > 0 {
		e = tlv.Append(e, 0x9F2A, a.KernelID)
	}
	if len(a.Extended) > 0 {
		e = tlv.Append(e, 0x9F29, a.Extended)
	}
	return e
}

// Bits of the AIP that only contactless cards have. EMV Contactless Book C-2, A.1.16.
const (
	aipOnDevice = 0x02 // byte 1
	aipEMVMode  = 0x80 // byte 2
	aipRelay    = 0x01 // byte 2
)

func (a ContactlessApplication) profile() (aip emv.AIP) {
	set := func(is bool, byteAt int, b byte) {
		if is {
			aip[byteAt] |= b
		}
	}
	set(a.ODA != "none", 0, byte(emv.AIPDDA&0xFF))
	two := a.Kernel == 2
	set(two, 0, byte(emv.AIPCV&0xFF))
	set(two, 1, aipEMVMode)
	set(a.ODA == "cda", 0, byte(emv.AIPCDA&0xFF))
	set(two && a.OnDevice, 0, aipOnDevice)
	set(two && a.Relay != nil, 1, aipRelay)
	return aip
}

func (a ContactlessApplication) controlInformation(pdol []byte) []byte {
	prop := tlv.Append(nil, 0x50, []byte(a.Label))
	prop = tlv.Append(prop, 0x87, []byte{a.Priority})
	prop = tlv.Append(prop, 0x9F38, pdol)
	prop = tlv.Append(prop, 0x5F2D, []byte("zhen"))
	name := append(a.AID[:len(a.AID):len(a.AID)], a.Extended...)
	body := tlv.Append(nil, 0x84, name)
	return tlv.Append(nil, 0x6F, tlv.Append(body, 0xA5, prop))
}

// mainRecord is the authenticated record.
func (p *tapApp) mainRecord() []byte {
	out := tlv.Append(nil, 0x5F24, emv.DateBCD(p.Expiry.Time))
	out = tlv.Append(out, 0x5A, bcdLeft(p.PAN, (len(p.PAN)+1)/2))
	if !p.Effective.IsZero() {
		out = tlv.Append(out, 0x5F25, emv.DateBCD(p.Effective.Time))
	}
	out = tlv.Append(out, 0x5F28, number(p.Country, 2))
	out = tlv.Append(out, 0x9F07, usual(p.AUC, usualAUC))
	if p.Kernel != 2 {
		if len(p.related) > 0 {
			out = tlv.Append(out, 0x9F69, p.related)
		}
		return out
	}
	out = tlv.Append(out, 0x5F34, number(p.Sequence, 1))
	out = tlv.Append(out, 0x57, p.track)
	out = tlv.Append(out, 0x9F42, number(p.Currency, 2))
	out = tlv.Append(out, 0x9F08, []byte{0x00, 0x20})
	out = tlv.Append(out, 0x8E, usual(p.CVMList, usualCVMList))
	for i, t := range []tlv.Tag{0x9F0D, 0x9F0E, 0x9F0F} {
		out = tlv.Append(out, t, p.codes[i][:])
	}
	out = tlv.Append(out, 0x8C, usualCDOL1)
	if len(p.DRDOL) > 0 {
		out = tlv.Append(out, 0x9F51, p.DRDOL)
	}
	return out
}
