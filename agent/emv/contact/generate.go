package contact

import (
	"context"
	"fmt"

	"posagent/agent/emv"
	"posagent/agent/emv/oda"
	"posagent/agent/emv/tlv"
)

// An acResponse is the answer to GENERATE AC. EMV 4.4 Book 3, 6.5.5.4; Book 2, 6.6.1.
type acResponse struct {
	cid    byte
	atc    uint16
	ac     []byte // absent under a combined signature
	iad    []byte
	sdad   []byte
	hashed []byte // format 2: the objects but 9F4B, as sent
}

// Combined Dynamic Data Authentication is asked for in P1. EMV 4.4 Book 3, 6.5.5.2, table 12.
const askCDA = 0x10

// Bits of the Cryptogram Information Data. EMV 4.4 Book 3, 6.5.5.4, table 14.
const (
	cidType             = 0xC0
	cidReason           = 0x07
	cidServiceForbidden = 0x01
)

// parseAC reads format 1 (template 80) or format 2 (template 77).
func parseAC(data []byte) (acResponse, error) {
	var r acResponse
	if v, err := tlv.Template(data, 0x80); err == nil {
		if len(v) < 11 || len(v) > 11+32 {
			return r, fmt.Errorf("format 1 of %d bytes", len(v))
		}
		return acResponse{cid: v[0], atc: uint16(v[1])<<8 | uint16(v[2]), ac: v[3:11], iad: v[11:]}, nil
	}
	body, err := tlv.Template(data, 0x77)
	if err != nil {
		return r, err
	}
	if dup, twice := tlv.Duplicate(body); twice {
		return r, fmt.Errorf("%v occurs twice", dup)
	}
	for rest := body; len(rest) > 0; {
		o, next, err := tlv.Next(rest)
		if err != nil {
			return r, err
		}
		raw := rest[:len(rest)-len(next)]
		rest = next
		switch o.Tag {
		case 0x9F4B:
			r.sdad = o.Value
			continue
		case 0x9F27:
			if len(o.Value) != 1 {
				return r, fmt.Errorf("9F27 of %d bytes", len(o.Value))
			}
			r.cid = o.Value[0]
		case 0x9F36:
			if len(o.Value) != 2 {
				return r, fmt.Errorf("9F36 of %d bytes", len(o.Value))
			}
			r.atc = uint16(o.Value[0])<<8 | uint16(o.Value[1])
		case 0x9F26:
			if len(o.Value) != 8 {
				return r, fmt.Errorf("9F26 of %d bytes", len(o.Value))
			}
			r.ac = o.Value
		case 0x9F10:
			if len(o.Value) > 32 {
				return r, fmt.Errorf("9F10 of %d bytes", len(o.Value))
			}
			r.iad = o.Value
		}
		r.hashed = append(r.hashed, raw...)
	}
	for _, t := range []tlv.Tag{0x9F27, 0x9F36} {
		if _, ok := tlv.Find(body, t); !ok {
			return r, fmt.Errorf("%v (%s) is missing", t, t.Name())
		}
	}
	if r.ac == nil && r.sdad == nil {
		return r, fmt.Errorf("no cryptogram")
	}
	return r, nil
}

// generateAC asks for a cryptogram with the filled list and verifies the combined signature when one was asked for. It
// refuses a type above the one asked for: AAC < ARQC < TC. EMV 4.4 Book 3, 6.5.5 and 9.3.
func (s *Session) generateAC(ctx context.Context, asked emv.CryptogramType, list tlv.Tag) error {
	dol, _ := s.store.Value(list)
	if err := s.prepareTCHash(dol); err != nil {
		return err
	}
	filled, err := tlv.FillDOL(nil, dol, s.store.Value)
	if err != nil {
		return terminate(emv.ReasonCardData, "%v: %w", list, err)
	}
	hashed := [][]byte{s.pdolData, filled}
	if list == 0x8C {
		s.cdol1Data = filled
	} else {
		hashed = [][]byte{s.pdolData, s.cdol1Data, filled}
	}
	combined := s.method == odaCDA && asked != emv.AAC && !s.tvr.Has(emv.CDAFailed)
	cmd := emv.Command{CLA: 0x80, INS: emv.InsGenerateAC, P1: byte(asked), Data: filled, Le: true}
	if combined {
		cmd.P1 |= askCDA
	}
	data, sw, err := s.card.send(ctx, cmd, dol)
	if err != nil {
		return err
	}
	if sw != emv.SWOK {
		return terminate(emv.ReasonCardStatus, "GENERATE AC: %v", sw)
	}
	r, err := parseAC(data)
	if err != nil {
		return terminate(emv.ReasonCardData, "GENERATE AC: %w", err)
	}
	got := emv.CryptogramType(r.cid & cidType)
	if rank(got) > rank(asked) || rank(got) < 0 {
		return terminate(emv.ReasonCryptogram, "GENERATE AC: %v asked for, %v given", asked, got)
	}
	return s.enterAC(r, combined && got != emv.AAC, hashed)
}

// rank orders the types: a card may lower the terminal's decision and not raise it. EMV 4.4 Book 3, 9.3.
func rank(t emv.CryptogramType) int8 {
	switch t {
	case emv.AAC:
		return 0
	case emv.ARQC:
		return 1
	case emv.TC:
		return 2
	}
	return -1
}

// enterAC puts the response into the store. Under a combined signature the cryptogram comes out of it.
func (s *Session) enterAC(r acResponse, combined bool, hashed [][]byte) error {
	s.cryptogram = emv.Cryptogram{Type: emv.CryptogramType(r.cid & cidType), Info: r.cid, ATC: r.atc}
	if combined {
		un := mustValue(&s.store, 0x9F37)
		c := oda.Combined{UN: [4]byte(un), CID: r.cid, Hashed: append(hashed, r.hashed)}
		number, ac, err := c.Verify(s.iccKey, r.sdad)
		if err != nil {
			s.odaFailed("%v", err)
			s.badSignature = true
		} else {
			s.store.Set(0x9F4C, number, tlv.ICC)
			r.ac = ac[:]
		}
	}
	if len(r.ac) == 8 {
		s.cryptogram.Value = [8]byte(r.ac)
	} else if !s.badSignature {
		return terminate(emv.ReasonCardData, "GENERATE AC: no cryptogram outside a signature that was not asked for")
	}
	s.store.Set(0x9F27, []byte{r.cid}, tlv.ICC)
	s.store.Set(0x9F36, []byte{byte(r.atc >> 8), byte(r.atc)}, tlv.ICC)
	s.store.Set(0x9F26, s.cryptogram.Value[:], tlv.ICC)
	if len(r.iad) > 0 {
		s.store.Set(0x9F10, r.iad, tlv.ICC)
	}
	return nil
}

// firstCryptogram is card action analysis: the first GENERATE AC and what follows from it. EMV 4.4 Book 3, 10.8; Book 4,
// 6.3.7. It always ends this part of the transaction.
func (s *Session) firstCryptogram(ctx context.Context) error {
	if err := s.generateAC(ctx, s.asked, 0x8C); err != nil {
		return err
	}
	s.tsi.Set(emv.CardRiskPerformed)
	s.publish()
	if s.badSignature {
		return s.refuseSignature(ctx)
	}
	switch s.cryptogram.Type {
	case emv.TC:
		return &stop{emv.Approve, emv.ReasonCardApproved, nil}
	case emv.ARQC:
		if s.kernel.Terminal.Type.OfflineOnly() {
			return s.finishOffline(ctx)
		}
		s.arc = ""
		return &stop{emv.Online, emv.ReasonNone, nil}
	}
	return s.declined()
}

// declined says why there is an AAC.
func (s *Session) declined() error {
	s.setResponseCode(emv.ARCOfflineDeclined)
	switch {
	case s.cryptogram.Info&cidReason == cidServiceForbidden:
		return &stop{emv.NotAccepted, emv.ReasonServiceRefused, nil}
	case s.asked == emv.AAC:
		return &stop{emv.Decline, emv.ReasonTerminalDeclined, nil}
	}
	return &stop{emv.Decline, emv.ReasonCardDeclined, nil}
}

// refuseSignature ends a transaction whose combined signature is wrong: never an approval, never a request to the host.
// A card that gave an ARQC is told with a second GENERATE AC. EMV 4.4 Book 2, 6.6.2; Book 4, 6.3.7.
func (s *Session) refuseSignature(ctx context.Context) error {
	given := s.cryptogram.Type
	s.setResponseCode(emv.ARCOfflineDeclined)
	if given == emv.ARQC {
		if err := s.generateAC(ctx, emv.AAC, 0x8D); err != nil {
			s.note("second GENERATE AC after a wrong signature: %v", err)
		}
	}
	return &stop{emv.Decline, emv.ReasonCDAFailed, nil}
}
