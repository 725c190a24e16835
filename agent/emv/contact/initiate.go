package contact

import (
	"bytes"
	"context"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
)

// initiate is GET PROCESSING OPTIONS. ok is false when the card refuses this application (6985) and another may be
// chosen. EMV 4.4 Book 3, 6.5.8 and 10.1.
func (s *Session) initiate(ctx context.Context) (ok bool, err error) {
	pdol, _ := s.store.Value(0x9F38)
	filled, err := tlv.FillDOL(nil, pdol, s.store.Value)
	if err != nil {
		return false, terminate(emv.ReasonCardData, "PDOL: %w", err)
	}
	s.pdolData = filled
	cmd := emv.Command{CLA: 0x80, INS: emv.InsGPO, Data: tlv.Append(nil, 0x83, filled), Le: true}
	data, sw, err := s.card.send(ctx, cmd, pdol)
	if err != nil {
		return false, err
	}
	switch sw {
	case emv.SWOK:
		s.opened = true
	case emv.SWConditions:
		s.forgetApplication()
		return false, nil
	default:
		return false, terminate(emv.ReasonCardStatus, "GET PROCESSING OPTIONS: %v", sw)
	}
	aip, afl, err := parseOptions(data)
	if err != nil {
		return false, err
	}
	copy(s.aip[:], aip)
	s.store.Set(0x82, aip, tlv.ICC)
	s.store.Set(0x94, afl, tlv.ICC)
	return true, nil
}

// parseOptions reads AIP and AFL in format 1 (template 80) or format 2 (template 77). EMV 4.4 Book 3, 6.5.8.4.
func parseOptions(data []byte) (aip, afl []byte, err error) {
	if v, ferr := tlv.Template(data, 0x80); ferr == nil {
		if len(v) < 2 {
			return nil, nil, terminate(emv.ReasonCardData, "GET PROCESSING OPTIONS: AIP is missing")
		}
		aip, afl = v[:2], v[2:]
	} else {
		body, err := tlv.Template(data, 0x77)
		if err != nil {
			return nil, nil, terminate(emv.ReasonCardData, "GET PROCESSING OPTIONS: %w", err)
		}
		if dup, twice := tlv.Duplicate(body); twice {
			return nil, nil, terminate(emv.ReasonCardData, "GET PROCESSING OPTIONS: %v occurs twice", dup)
		}
		aip, _ = tlv.Find(body, 0x82)
		afl, _ = tlv.Find(body, 0x94)
	}
	if len(aip) != 2 || len(afl) == 0 {
		return nil, nil, terminate(emv.ReasonCardData, "GET PROCESSING OPTIONS: AIP of %d bytes, AFL of %d", len(aip), len(afl))
	}
	return aip, afl, nil
}

// forgetApplication takes back what the refused application's FCI put into the store.
func (s *Session) forgetApplication() {
	fresh := emv.Store{}
	s.kernel.Terminal.Fill(&fresh)
	un, _ := s.store.Value(0x9F37)
	s.tx.Fill(&fresh, s.now, [4]byte(bytes.Clone(un)))
	s.store.Wipe()
	s.store = fresh
	s.name, s.fci, s.pdolData = nil, nil, nil
	s.publish()
}
