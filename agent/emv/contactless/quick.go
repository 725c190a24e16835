package contactless

import (
	"bytes"
	"context"
	"fmt"

	"posagent/agent/emv"
	"posagent/agent/emv/oda"
	"posagent/agent/emv/tlv"
)

// quickRules is where kernels 3 and 7 differ.
type quickRules struct {
	// end is what a status word of GET PROCESSING OPTIONS means; others end the application with Select Next.
	end map[emv.SW]end
	// noCTQ is the order of methods that a terminal tries when a CVM is required and the card sent no CTQ.
	noCTQ []CVM
	// dates reports that an application not yet effective is refused offline.
	effective bool
}

// quick is a transaction in one command: GET PROCESSING OPTIONS gives the cryptogram, records may follow. Everything is
// read first; judge needs no card. EMV Contactless Book C-3, 2.
func (s *session) quick(ctx context.Context, rules *quickRules) error {
	if n, ok := tlv.DOLHas(s.value(0x9F38), 0x9F66); !ok || n != 4 {
		return selectNext(emv.ReasonCardData, "PDOL does not ask for the terminal's qualifiers")
	}
	data, sw, err := s.options(ctx)
	if err != nil {
		return err
	}
	if sw != emv.SWOK {
		if e, ok := rules.end[sw]; ok {
			e.cause = fmt.Errorf("GET PROCESSING OPTIONS: %v", sw)
			return &e
		}
		return selectNext(emv.ReasonCardStatus, "GET PROCESSING OPTIONS: %v", sw)
	}
	if err := s.enterQuickAnswer(data); err != nil {
		return err
	}
	if s.store.Has(0x94) {
		if err := s.readRecords(ctx); err != nil {
			return err
		}
	}
	if err := s.account(); err != nil {
		return err
	}
	s.cardIsRead()
	return s.judge(rules)
}

// enterQuickAnswer reads template 77 with cryptogram and counters. EMV Contactless Book C-3, 2.4 (mandatory data).
func (s *session) enterQuickAnswer(data []byte) error {
	body, err := tlv.Template(data, 0x77)
	if err != nil {
		return cardFault("GET PROCESSING OPTIONS: %w", err)
	}
	if err := s.enterObjects(body); err != nil {
		return cardFault("GET PROCESSING OPTIONS: %w", err)
	}
	for _, m := range [...]struct {
		tag tlv.Tag
		n   int
	}{{0x82, 2}, {0x9F36, 2}, {0x9F26, 8}} {
		if _, ok := s.store.Fixed(m.tag, m.n); !ok {
			return cardFault("GET PROCESSING OPTIONS: %v is missing", m.tag)
		}
	}
	copy(s.aip[:], s.value(0x82))
	kind, err := cryptogramKind(s.value(0x9F27), s.value(0x9F10))
	if err != nil {
		return cardFault("GET PROCESSING OPTIONS: %w", err)
	}
	atc := s.value(0x9F36)
	s.cryptogram = emv.Cryptogram{
		Type: kind, Info: byte(kind), ATC: uint16(atc[0])<<8 | uint16(atc[1]), Value: [8]byte(s.value(0x9F26)),
	}
	var info [1]byte
	if v, ok := s.store.Fixed(0x9F27, 1); ok {
		s.cryptogram.Info = v[0]
	} else {
		info[0] = byte(kind)
		s.store.Set(0x9F27, info[:], tlv.ICC)
	}
	if v, ok := s.store.Fixed(0x9F5D, 6); ok {
		s.balance = amountOf(v)
	}
	return nil
}

// cryptogramKind reads the type from the Cryptogram Information Data, or from the Card Verification Results inside the
// Issuer Application Data (length, key index, version, length 03, results: byte 2 bits 6 and 5). Both must agree. EMV
// Contactless Book C-3, 2.4; PBOC 3.0 part 12 lays 9F10 out the same.
func cryptogramKind(cid, iad []byte) (emv.CryptogramType, error) {
	kind, known := emv.CryptogramType(0xC0), false
	if len(cid) == 1 {
		kind, known = emv.CryptogramType(cid[0]&0xC0), true
	}
	if len(iad) >= 7 && iad[3] == 0x03 && int(iad[0]) >= 6 && int(iad[0]) < 0x1F {
		inside := emv.CryptogramType(iad[4] << 2 & 0xC0)
		if known && inside != kind {
			return 0, fmt.Errorf("cryptogram is %v by 9F27 and %v by 9F10", kind, inside)
		}
		kind, known = inside, true
	}
	if !known || kind == 0xC0 {
		return 0, fmt.Errorf("no cryptogram type")
	}
	return kind, nil
}

// judge is what the terminal makes of a card that is away. EMV Contactless Book C-3, 2.5 to 2.8.
func (s *session) judge(rules *quickRules) error {
	tx, kind := &s.r.tx, s.cryptogram.Type
	ctq, hasCTQ := s.qualifiers()
	cash := tx.Type == emv.Cash
	back := tx.Type == emv.Cashback || tx.Other > 0
	listed := s.r.config.ExceptionFile != nil && s.r.config.ExceptionFile(s.pan, s.sequence)
	switch {
	case s.in.ttq.Has(TTQContact) && (cash && ctq.Has(CTQCashSwitch) || back && ctq.Has(CTQCashbackSwitch)):
		return &end{kind: TryAnotherInterface, reason: emv.ReasonServiceRefused}
	case listed:
		return &end{kind: Declined, reason: emv.ReasonTerminalDeclined, cause: fmt.Errorf("card is on the exception file")}
	case kind == emv.TC && s.in.ttq.Has(TTQOnlineRequired):
		return &end{kind: Declined, reason: emv.ReasonCryptogram, cause: fmt.Errorf("TC although an online cryptogram was asked for")}
	case tx.Type == emv.Refund:
		return &end{kind: Online}
	case kind == emv.AAC:
		return &end{kind: Declined, reason: emv.ReasonCardDeclined}
	}
	if kind == emv.TC {
		if e := s.judgeOffline(rules, ctq); e != nil {
			if e.kind != Online {
				return e
			}
			kind = emv.ARQC // the card lets a failure go online
		}
	}
	cvm, err := s.quickCVM(rules, ctq, hasCTQ, kind)
	if err != nil {
		return err
	}
	s.cvm = cvmResults(cvm)
	if kind == emv.TC {
		return &end{kind: Approved, reason: emv.ReasonCardApproved, cvm: cvm}
	}
	if s.in.ttq.Has(TTQOfflineOnly) {
		return &end{kind: Declined, reason: emv.ReasonUnableOnline}
	}
	return &end{kind: Online, cvm: cvm}
}

func (s *session) qualifiers() (ctq CTQ, ok bool) {
	v, ok := s.store.Fixed(0x9F6C, 2)
	copy(ctq[:], v)
	return ctq, ok
}

// judgeOffline is processing restrictions and fDDA for a TC; nil lets it stand. EMV Contactless Book C-3, 2.5 and 2.6.
func (s *session) judgeOffline(rules *quickRules, ctq CTQ) *end {
	online := !s.in.ttq.Has(TTQOfflineOnly)
	today := dayNumber(s.value(0x9A))
	if v, ok := s.store.Fixed(0x5F24, 3); !ok || dayNumber(v) < today {
		if ctq.Has(CTQExpiredOnline) && online {
			return &end{kind: Online}
		}
		return &end{kind: Declined, reason: emv.ReasonTerminalDeclined, cause: fmt.Errorf("application has expired")}
	}
	if v, ok := s.store.Fixed(0x5F25, 3); ok && rules.effective && dayNumber(v) > today {
		return &end{kind: Declined, reason: emv.ReasonTerminalDeclined, cause: fmt.Errorf("application is not yet effective")}
	}
	err := s.fDDA()
	s.traceStep("offline data authentication")
	if err == nil {
		return nil
	}
	s.note("fDDA: %v", err)
	switch {
	case ctq.Has(CTQODAFailOnline) && online:
		return &end{kind: Online}
	case ctq.Has(CTQODAFailSwitch) && s.in.ttq.Has(TTQContact):
		return &end{kind: TryAnotherInterface, reason: emv.ReasonTerminalDeclined, cause: err}
	}
	return &end{kind: Declined, reason: emv.ReasonTerminalDeclined, cause: err}
}

// fddaVersion is the only version of fDDA that signs amount and currency.
const fddaVersion = 0x01

// fDDA verifies the dynamic signature over UN, amount, currency and the card's authentication related data (9F69). EMV
// Contactless Book C-3, Annex C (fDDA version 01).
func (s *session) fDDA() error {
	related := s.value(0x9F69)
	sdad := s.value(0x9F4B)
	ctq, hasCTQ := s.qualifiers()
	switch {
	case !s.aip.Has(emv.AIPDDA):
		return fmt.Errorf("%w: the card does not support it", oda.ErrFailed)
	case len(sdad) == 0:
		return errMissing
	case len(related) < 5 || len(related) > 16 || related[0] != fddaVersion:
		return fmt.Errorf("%w: card authentication related data is not of version 01", oda.ErrFailed)
	case len(related) >= 7 && hasCTQ && !bytes.Equal(related[5:7], ctq[:]):
		return fmt.Errorf("%w: qualifiers are not the signed ones", oda.ErrFailed)
	}
	key, err := s.cardKey()
	if err != nil {
		return err
	}
	var room [4 + 6 + 2 + 16]byte
	b := append(room[:0], s.un[:]...)
	b = append(b, s.value(0x9F02)...)
	b = append(b, s.value(0x5F2A)...)
	number, err := oda.Dynamic(key, sdad, append(b, related...))
	if err != nil {
		return err
	}
	s.store.Set(0x9F4C, number, tlv.ICC)
	return nil
}

// quickCVM is cardholder verification. EMV Contactless Book C-3, 2.7 (CVM processing).
func (s *session) quickCVM(rules *quickRules, ctq CTQ, hasCTQ bool, kind emv.CryptogramType) (CVM, error) {
	required := s.in.ttq.Has(TTQCVMRequired)
	supported := func(c CVM) bool {
		return c == CVMOnlinePIN && s.in.ttq.Has(TTQOnlinePIN) && kind == emv.ARQC || c == CVMSignature && s.in.ttq.Has(TTQSignature)
	}
	refuse := func(why string) error {
		return &end{kind: Declined, reason: emv.ReasonTerminalDeclined, cause: fmt.Errorf("cardholder verification: %s", why)}
	}
	if !hasCTQ {
		if !required {
			return CVMNone, nil
		}
		for _, c := range rules.noCTQ {
			if supported(c) {
				return c, nil
			}
		}
		return "", refuse("required, and no method in common")
	}
	if ctq.Has(CTQOnlinePIN) && s.in.ttq.Has(TTQOnlinePIN) {
		if kind != emv.ARQC {
			return "", refuse("the card wants an online PIN and gave a TC")
		}
		return CVMOnlinePIN, nil
	}
	if ctq.Has(CTQConsumerDevice) {
		related := s.value(0x9F69)
		switch {
		case len(related) >= 7 && bytes.Equal(related[5:7], ctq[:]):
			return CVMOnDevice, nil
		case len(related) == 0 && kind == emv.ARQC:
			return CVMOnDevice, nil
		}
		return "", refuse("the device's claim is not confirmed by its authentication data")
	}
	if ctq.Has(CTQSignature) && supported(CVMSignature) {
		return CVMSignature, nil
	}
	if required || ctq.Has(CTQOnlinePIN) || ctq.Has(CTQSignature) {
		return "", refuse("required, and no method in common")
	}
	return CVMNone, nil
}

// cvmResults are the CVM Results that stand for a method where a kernel has no CVM list.
func cvmResults(c CVM) emv.CVMResults {
	switch c {
	case CVMOnlinePIN:
		return emv.CVMResults{byte(emv.CVMOnlinePIN), 0, byte(emv.ResultUnknown)}
	case CVMSignature:
		return emv.CVMResults{byte(emv.CVMSignature), 0, byte(emv.ResultUnknown)}
	case CVMNone:
		return emv.CVMResults{byte(emv.CVMNone), 0, byte(emv.ResultSuccessful)}
	}
	return emv.CVMResults{byte(emv.CVMNotPerformed), 0, byte(emv.ResultSuccessful)}
}
