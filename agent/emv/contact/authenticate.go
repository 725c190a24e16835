package contact

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"posagent/agent/emv"
	"posagent/agent/emv/oda"
	"posagent/agent/emv/tlv"
)

// odaMethod is the offline data authentication of this transaction.
type odaMethod uint8

const (
	odaNone odaMethod = iota
	odaSDA
	odaDDA
	odaCDA
)

// failure is the TVR bit of a method that failed.
func (m odaMethod) failure() emv.TVRBit {
	switch m {
	case odaSDA:
		return emv.SDAFailed
	case odaDDA:
		return emv.DDAFailed
	default:
		return emv.CDAFailed
	}
}

// chooseODA takes the strongest method that card and terminal share. EMV 4.4 Book 3, 10.3.
func chooseODA(aip emv.AIP, caps emv.Capabilities) odaMethod {
	switch {
	case aip.Has(emv.AIPCDA) && caps.Has(emv.CapCDA):
		return odaCDA
	case aip.Has(emv.AIPDDA) && caps.Has(emv.CapDDA):
		return odaDDA
	case aip.Has(emv.AIPSDA) && caps.Has(emv.CapSDA):
		return odaSDA
	}
	return odaNone
}

// authenticateData is offline data authentication; of CDA only the recovery of the card's key, its signature comes with
// the cryptogram. Failure is a TVR bit and never ends the transaction: action codes decide. EMV 4.4 Book 3, 10.3; Book
// 4, 6.3.2.
func (s *Session) authenticateData(ctx context.Context) error {
	s.method = chooseODA(s.aip, s.kernel.Terminal.Capabilities)
	if s.method == odaNone {
		s.tvr.Set(emv.ODANotPerformed)
		return nil
	}
	if s.method == odaSDA {
		s.tvr.Set(emv.SDASelected)
	}
	s.tsi.Set(emv.ODAPerformed)
	if !s.odaDataPresent() {
		s.tvr.Set(emv.ICCDataMissing) // Book 3, 7.5
		s.odaFailed("data objects are missing")
		return nil
	}
	issuer, static, err := s.issuerKey()
	if err != nil {
		s.odaFailed("%v", err)
		return nil
	}
	if s.method == odaSDA {
		code, err := oda.Static(issuer, mustValue(&s.store, 0x93), static)
		if err != nil {
			s.odaFailed("%v", err)
			return nil
		}
		s.store.Set(0x9F45, code[:], tlv.ICC)
		return nil
	}
	key, err := oda.ICCKey(issuer, s.certificate(0x9F46, 0x9F48, 0x9F47), s.pan, static, s.now)
	if err != nil {
		s.odaFailed("%v", err)
		return nil
	}
	s.iccKey = key
	if s.method == odaCDA {
		return nil
	}
	return s.dynamic(ctx)
}

// odaFailed sets the method's TVR bit.
func (s *Session) odaFailed(format string, args ...any) {
	s.tvr.Set(s.method.failure())
	s.note("offline data authentication: "+format, args...)
}

// odaDataPresent reports whether the card gave what the method needs. EMV 4.4 Book 3, 7.2, tables 31 and 32.
func (s *Session) odaDataPresent() bool {
	need := []tlv.Tag{0x8F, 0x90, 0x9F32, 0x9F46, 0x9F47}
	if s.method == odaSDA {
		need = []tlv.Tag{0x8F, 0x90, 0x9F32, 0x93}
	}
	for _, t := range need {
		if !s.store.Has(t) {
			s.note("%v (%s) is missing", t, t.Name())
			return false
		}
	}
	return true
}

func (s *Session) certificate(body, remainder, exponent tlv.Tag) oda.Certificate {
	return oda.Certificate{
		Body: mustValue(&s.store, body), Remainder: mustValue(&s.store, remainder), Exponent: mustValue(&s.store, exponent),
	}
}

// recoveredIssuer is what issuerKey found, for the steps after the first that needs it.
type recoveredIssuer struct {
	done   bool
	key    oda.Key
	static []byte
	err    error
}

// issuerKey recovers the issuer's public key and completes the static data: with a Static Data Authentication Tag List,
// which may name only the AIP, the AIP is appended. EMV 4.4 Book 2, 5.1.1, 5.2 and 5.3; Book 3, 10.3.
func (s *Session) issuerKey() (oda.Key, []byte, error) {
	if !s.issuer.done {
		key, static, err := s.recoverIssuer()
		s.issuer = recoveredIssuer{true, key, static, err}
	}
	return s.issuer.key, s.issuer.static, s.issuer.err
}

func (s *Session) recoverIssuer() (key oda.Key, static []byte, err error) {
	if s.broken {
		return key, nil, errors.New("a record to be authenticated is not a template 70")
	}
	static = s.static
	if list, ok := s.store.Value(0x9F4A); ok {
		if !bytes.Equal(list, []byte{0x82}) {
			return key, nil, errors.New("tag list names more than the AIP")
		}
		static = append(static[:len(static):len(static)], s.aip[:]...)
	}
	index, ok := s.store.Fixed(0x8F, 1)
	if !ok {
		return key, nil, errors.New("no CA public key index")
	}
	ca, ok := s.kernel.CAPKs.Lookup(s.name.RID(), index[0])
	if !ok {
		return key, nil, fmt.Errorf("no CA public key %v %02X", s.name.RID(), index[0])
	}
	authority := oda.Authority{Key: ca, Now: s.now, Revoked: s.kernel.Revoked}
	key, err = oda.IssuerKey(authority, s.certificate(0x90, 0x92, 0x9F32), s.pan)
	return key, static, err
}

// dynamic is INTERNAL AUTHENTICATE. The list must ask for the unpredictable number. EMV 4.4 Book 2, 6.5; Book 3, 6.5.9.
func (s *Session) dynamic(ctx context.Context) error {
	ddol, ok := s.store.Value(0x9F49)
	if !ok {
		ddol = s.app.DefaultDDOL
	}
	if n, ok := tlv.DOLHas(ddol, 0x9F37); !ok || n != 4 {
		s.odaFailed("DDOL does not ask for the unpredictable number")
		return nil
	}
	data, err := tlv.FillDOL(nil, ddol, s.store.Value)
	if err != nil {
		s.odaFailed("DDOL: %v", err)
		return nil
	}
	cmd := emv.Command{CLA: 0x00, INS: emv.InsInternalAuthenticate, Data: data, Le: true}
	resp, sw, err := s.card.send(ctx, cmd, ddol)
	if err != nil {
		return err
	}
	if sw != emv.SWOK {
		return terminate(emv.ReasonCardStatus, "INTERNAL AUTHENTICATE: %v", sw)
	}
	sdad, err := tlv.Template(resp, 0x80)
	if err != nil {
		body, err := tlv.Template(resp, 0x77)
		if err != nil {
			return terminate(emv.ReasonCardData, "INTERNAL AUTHENTICATE: %w", err)
		}
		sdad, _ = tlv.Find(body, 0x9F4B)
	}
	number, err := oda.Dynamic(s.iccKey, sdad, data)
	if err != nil {
		s.odaFailed("%v", err)
		return nil
	}
	s.store.Set(0x9F4C, number, tlv.ICC)
	return nil
}
