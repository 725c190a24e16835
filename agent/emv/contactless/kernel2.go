package contactless

import (
	"context"
	"errors"
	"fmt"

	"posagent/agent/emv"
	"posagent/agent/emv/oda"
	"posagent/agent/emv/tlv"
)

// A request is what a cryptogram was asked for.
type request struct {
	kind     emv.CryptogramType
	combined bool // with a signature
	cvm      CVM
}

// kernel2 is EMV mode with a combined signature. EMV Contactless Book C-2 v2.10. A card without EMV mode is refused:
// there is no mag-stripe mode here.
func (s *session) kernel2(ctx context.Context) error {
	if err := s.initiate2(ctx); err != nil {
		return err
	}
	if err := s.resistRelay(ctx); err != nil {
		return err
	}
	if err := s.readRecords(ctx); err != nil {
		return err
	}
	if err := s.account(); err != nil {
		return err
	}
	for _, t := range [...]tlv.Tag{0x5A, 0x5F24, 0x8C} {
		if !s.store.Has(t) {
			return cardFault("%v (%s) is missing", t, t.Name())
		}
	}
	data, ask, found, err := s.recoverTorn(ctx)
	if err != nil {
		return err
	}
	if !found {
		ask = s.prepare2()
		if data, err = s.generate2(ctx, ask); err != nil {
			return err
		}
	}
	return s.finish2(data, ask)
}

// initiate2 is GET PROCESSING OPTIONS and what the AIP decides. EMV Contactless Book C-2, S3.
func (s *session) initiate2(ctx context.Context) error {
	data, sw, err := s.options(ctx)
	if err != nil {
		return err
	}
	if sw != emv.SWOK {
		return selectNext(emv.ReasonCardStatus, "GET PROCESSING OPTIONS: %v", sw)
	}
	if v, ferr := tlv.Template(data, 0x80); ferr == nil {
		if len(v) < 6 {
			return cardFault("GET PROCESSING OPTIONS: %d bytes", len(v))
		}
		s.store.Set(0x82, v[:2], tlv.ICC)
		s.store.Set(0x94, v[2:], tlv.ICC)
	} else {
		body, err := tlv.Template(data, 0x77)
		if err == nil {
			err = s.enterObjects(body)
		}
		if err != nil {
			return cardFault("GET PROCESSING OPTIONS: %w", err)
		}
	}
	aip, ok := s.store.Fixed(0x82, 2)
	if afl := s.value(0x94); !ok || len(afl) == 0 {
		return cardFault("GET PROCESSING OPTIONS: AIP or AFL is missing")
	}
	copy(s.aip[:], aip)
	if !s.aip.Has(aipEMVMode) {
		return &end{kind: EndApplication, reason: emv.ReasonServiceRefused, cause: errors.New("the card has mag-stripe mode only")}
	}
	limit := s.combination.TransactionLimit
	if s.aip.Has(aipOnDevice) && s.combination.OnDeviceCVM && s.combination.OnDeviceLimit != nil {
		limit = s.combination.OnDeviceLimit
	}
	if limit != nil && s.r.tx.Amount >= *limit {
		return selectNext(emv.ReasonServiceRefused, "amount is over the reader contactless transaction limit")
	}
	return nil
}

// prepare2 is everything between reading and the cryptogram: processing restrictions, cardholder verification, terminal
// risk management and terminal action analysis. EMV Contactless Book C-2, S456.
func (s *session) prepare2() request {
	tx := &s.r.tx
	limit := s.combination.CVMLimit
	required := limit != nil && tx.Amount > *limit
	caps := s.r.config.Terminal.Capabilities
	caps[1] = s.combination.NoCVMCapability
	if required {
		caps[1] = s.combination.CVMCapability
	}
	s.store.Set(0x9F33, caps[:], tlv.Terminal)
	ask := request{combined: s.canCombine(caps)}
	s.checkRestrictions()
	ask.cvm = s.verifyCardholder(required)
	if s.in.floorPassed {
		s.tvr.Set(emv.FloorLimitExceeded)
	}
	if tx.ForceOnline {
		s.tvr.Set(emv.MerchantForced)
	}
	if f := s.r.config.ExceptionFile; f != nil && f(s.pan, s.sequence) {
		s.tvr.Set(emv.OnExceptionFile)
	}
	ask.kind = s.decide2(ask.combined)
	if ask.kind == emv.AAC {
		ask.combined = false
	}
	s.traceStep("terminal action analysis")
	return ask
}

// canCombine reports whether a combined signature can be asked for, and sets the TVR when not. Certificates are opened
// after the card has left. EMV Contactless Book C-2, S456 (offline data authentication method).
func (s *session) canCombine(caps emv.Capabilities) bool {
	if !s.aip.Has(emv.AIPCDA) || !caps.Has(emv.CapCDA) {
		s.tvr.Set(emv.ODANotPerformed)
		return false
	}
	for _, t := range [...]tlv.Tag{0x8F, 0x90, 0x9F32, 0x9F46, 0x9F47} {
		if len(s.value(t)) == 0 {
			s.tvr.Set(emv.ICCDataMissing)
			s.tvr.Set(emv.CDAFailed)
			return false
		}
	}
	index := s.value(0x8F)
	if _, ok := s.r.config.CAPKs.Lookup(emv.AID(s.value(0x84)).RID(), index[0]); !ok {
		s.tvr.Set(emv.CDAFailed)
		return false
	}
	return true
}

// decide2 is terminal action analysis. Without a signature, and when the relay resistance times were exceeded, nothing is
// approved offline, whatever the action codes say. EMV Contactless Book C-2, TAA.
func (s *session) decide2(combined bool) emv.CryptogramType {
	app, t := &s.combination.Application, s.r.config.Terminal.Type
	code := func(tag tlv.Tag, otherwise byte) (c emv.ActionCode) {
		if v, ok := s.store.Fixed(tag, 5); ok {
			return emv.ActionCode(v)
		}
		return emv.ActionCode{otherwise, otherwise, otherwise, otherwise, otherwise}
	}
	trusted := combined && !s.tvr.Has(tvrRelayLimits)
	switch {
	case s.r.tx.Type == emv.Refund, app.TACDenial.Matches(s.tvr), code(0x9F0E, 0).Matches(s.tvr):
		return emv.AAC
	case t.OfflineOnly():
		if !trusted || app.TACDefault.Matches(s.tvr) || code(0x9F0D, 0xFF).Matches(s.tvr) {
			return emv.AAC
		}
		return emv.TC
	case !trusted, t.OnlineOnly(), s.in.ttq.Has(TTQOnlineRequired),
		app.TACOnline.Matches(s.tvr), code(0x9F0F, 0xFF).Matches(s.tvr):
		return emv.ARQC
	}
	return emv.TC
}

// generate2 is GENERATE AC. A card that leaves the field now may be asked again later. EMV Contactless Book C-2, S9, S11.
func (s *session) generate2(ctx context.Context, ask request) ([]byte, error) {
	s.publish()
	dol := s.value(0x8C)
	filled, err := tlv.FillDOL(s.cdol[:0], dol, s.store.Value)
	if err != nil {
		return nil, cardFault("CDOL1: %w", err)
	}
	s.cdolLen = uint8(len(filled))
	p1 := byte(ask.kind)
	if ask.combined {
		p1 |= 0x10
	}
	data, sw, err := s.send(ctx, emv.Command{CLA: 0x80, INS: emv.InsGenerateAC, P1: p1, Data: filled, Le: true}, dol)
	var e *end
	if errors.As(err, &e) && e.kind == TryAgain {
		s.tear(ask)
	}
	if err != nil {
		return nil, err
	}
	if sw != emv.SWOK {
		return nil, &end{kind: EndApplication, reason: emv.ReasonCardStatus, cause: fmt.Errorf("GENERATE AC: %v", sw)}
	}
	return data, nil
}

// finish2 reads the cryptogram, lets the card go and verifies. EMV Contactless Book C-2, S910.
func (s *session) finish2(data []byte, ask request) error {
	a, err := s.parseCryptogram(data)
	if err != nil {
		return cardFault("GENERATE AC: %w", err)
	}
	got := emv.CryptogramType(a.cid & 0xC0)
	if rank(got) < 0 || rank(got) > rank(ask.kind) {
		return &end{kind: Declined, reason: emv.ReasonCryptogram, cause: fmt.Errorf("GENERATE AC: %v asked for, %v given", ask.kind, got)}
	}
	s.cryptogram = emv.Cryptogram{Type: got, Info: a.cid, ATC: a.atc}
	s.cardIsRead()
	if ask.combined && got != emv.AAC {
		if err := s.combinedSignature(&a); err != nil {
			s.note("CDA: %v", err)
			s.tvr.Set(emv.CDAFailed)
			return &end{kind: Declined, reason: emv.ReasonCDAFailed, cause: err}
		}
		s.traceStep("offline data authentication")
	}
	if !a.hasAC {
		return cardFault("GENERATE AC: no cryptogram")
	}
	s.cryptogram.Value = a.ac
	s.store.Set(0x9F26, a.ac[:], tlv.ICC)
	return s.decided2(got, ask)
}

func (s *session) decided2(got emv.CryptogramType, ask request) error {
	switch {
	case s.r.tx.Type == emv.Refund:
		return &end{kind: Online}
	case got == emv.TC:
		return &end{kind: Approved, reason: emv.ReasonCardApproved, cvm: ask.cvm}
	case got == emv.ARQC && !s.r.config.Terminal.Type.OfflineOnly():
		return &end{kind: Online, cvm: ask.cvm}
	case s.seePhone():
		return &end{kind: TryAgain, reason: emv.ReasonCardDeclined, phone: true}
	case ask.kind == emv.AAC:
		return &end{kind: Declined, reason: emv.ReasonTerminalDeclined}
	}
	return &end{kind: Declined, reason: emv.ReasonCardDeclined}
}

// seePhone reads POS Cardholder Interaction Information: the holder must act on the device. EMV Contactless Book C-2,
// A.1 (DF4B), mask 00030F.
func (s *session) seePhone() bool {
	v, ok := s.store.Fixed(0xDF4B, 3)
	return ok && (v[1]&0x03 != 0 || v[2]&0x0F != 0)
}

// rank orders cryptograms: a card may lower the terminal's decision.
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

// An acAnswer is the answer to GENERATE AC or RECOVER AC.
type acAnswer struct {
	cid    byte
	atc    uint16
	hasAC  bool
	ac     [8]byte
	sdad   []byte // in the answer: valid until the next command
	hashed []byte // the objects but 9F4B, as sent
}

var errAC = errors.New("answer is not valid")

// parseCryptogram reads template 77, or 80 when no signature is in it. EMV 4.4 Book 3, 6.5.5.4; Book 2, 6.6.1.
func (s *session) parseCryptogram(data []byte) (a acAnswer, err error) {
	if v, ferr := tlv.Template(data, 0x80); ferr == nil {
		if len(v) < 11 || len(v) > 11+32 {
			return a, fmt.Errorf("%w: format 1 of %d bytes", errAC, len(v))
		}
		a = acAnswer{cid: v[0], atc: uint16(v[1])<<8 | uint16(v[2]), hasAC: true, ac: [8]byte(v[3:11])}
		s.store.Set(0x9F27, v[:1], tlv.ICC)
		s.store.Set(0x9F36, v[1:3], tlv.ICC)
		s.store.Set(0x9F10, v[11:], tlv.ICC)
		return a, nil
	}
	body, err := tlv.Template(data, 0x77)
	if err != nil {
		return a, err
	}
	if dup, twice := tlv.Duplicate(body); twice {
		return a, fmt.Errorf("%w: %v occurs twice", errAC, dup)
	}
	a.hashed = s.hashed[:0]
	for rest := body; len(rest) > 0; {
		o, next, err := tlv.Next(rest)
		if err != nil {
			return a, err
		}
		if o.Tag == 0x9F4B {
			a.sdad = o.Value
		} else {
			a.hashed = append(a.hashed, rest[:len(rest)-len(next)]...)
		}
		rest = next
	}
	if err := s.enterObjects(body); err != nil {
		return a, err
	}
	cid, okC := s.store.Fixed(0x9F27, 1)
	atc, okA := s.store.Fixed(0x9F36, 2)
	if !okC || !okA {
		return a, fmt.Errorf("%w: 9F27 or 9F36 is missing", errAC)
	}
	a.cid, a.atc = cid[0], uint16(atc[0])<<8|uint16(atc[1])
	if v, ok := s.store.Fixed(0x9F26, 8); ok {
		a.hasAC, a.ac = true, [8]byte(v)
	}
	return a, nil
}

// combinedSignature verifies CDA with the relay resistance exchange in it. EMV 4.4 Book 2, 6.6.2; EMV Contactless Book
// C-2, S910 (CDA).
func (s *session) combinedSignature(a *acAnswer) error {
	key, err := s.cardKey()
	if err != nil {
		return err
	}
	parts := [3][]byte{s.pdol[:s.pdolLen], s.cdol[:s.cdolLen], a.hashed}
	c := oda.Combined{UN: s.un, CID: a.cid, Hashed: parts[:]}
	if s.relay.done {
		c.After = s.relay.bytes[:]
	}
	number, ac, err := c.Verify(key, a.sdad)
	if err != nil {
		return err
	}
	a.ac, a.hasAC = ac, true
	s.store.Set(0x9F4C, number, tlv.ICC)
	return nil
}
