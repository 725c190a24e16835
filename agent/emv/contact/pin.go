package contact

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"posagent/agent/emv"
	"posagent/agent/emv/oda"
	"posagent/agent/emv/tlv"
)

// maxPINTries bounds PIN entries: the card's answer counts at most 15 that are left, so a card that allows more never
// counts down.
const maxPINTries = 16

var errVerify = errors.New("only one VERIFY of a plaintext PIN may be sent")

// Status words of VERIFY, EMV 4.4 Book 3, 6.5.12.5: 63Cx counts the tries that are left.
const (
	swWrongPIN       emv.SW = 0x63C0
	swPINInvalidated emv.SW = 0x6984
)

// offlinePIN lets the card verify a PIN until it says yes, allows no more tries, or the cardholder gives up. EMV 4.4
// Book 3, 10.5.1; Book 4, 6.3.4.1.
func (s *Session) offlinePIN(ctx context.Context, m emv.CVM) (bool, error) {
	if s.bypassed {
		s.tvr.Set(emv.PINNotEntered)
		return false, nil
	}
	left, known, err := s.pinTries(ctx)
	if err != nil {
		return false, err
	}
	if known && left == 0 {
		s.tvr.Set(emv.PINTryLimitExceeded)
		return false, nil
	}
	req := emv.OfflinePINRequest{PAN: s.pan, TriesKnown: known, TriesLeft: left}
	switch m.Method() {
	case emv.CVMEncipheredPIN, emv.CVMEncipheredPINSigned:
		req.Enciphered = true
		key, ok := s.pinKey()
		if !ok {
			return false, nil
		}
		req.Key = key.PIN()
	}
	for range maxPINTries {
		sw, entered, err := s.onePIN(ctx, req)
		if err != nil || !entered {
			return false, err
		}
		switch {
		case sw == emv.SWOK:
			return true, nil
		case sw == swWrongPIN, sw == emv.SWAuthBlocked, sw == swPINInvalidated:
			s.tvr.Set(emv.PINTryLimitExceeded)
			return false, nil
		case sw&0xFFF0 != swWrongPIN:
			return false, terminate(emv.ReasonCardStatus, "VERIFY: %v", sw)
		}
		req.Wrong, req.TriesKnown, req.TriesLeft = true, true, byte(sw)&0x0F
	}
	return false, terminate(emv.ReasonCardTooMuch, "VERIFY: over %d tries", maxPINTries)
}

// pinTries reads the PIN try counter; a card need not give it. EMV 4.4 Book 3, 10.5.1; Book 4, 6.3.4.1.
func (s *Session) pinTries(ctx context.Context) (left uint8, known bool, err error) {
	cmd := emv.Command{CLA: 0x80, INS: emv.InsGetData, P1: 0x9F, P2: 0x17, Le: true}
	data, sw, err := s.card.send(ctx, cmd, nil)
	if err != nil || sw != emv.SWOK {
		return 0, false, err
	}
	v, err := tlv.Template(data, 0x9F17)
	if err != nil || len(v) != 1 {
		return 0, false, nil
	}
	return v[0], true, nil
}

// onePIN is one entry and the card's verdict on it. entered is false when the method has failed without a verdict.
func (s *Session) onePIN(ctx context.Context, req emv.OfflinePINRequest) (sw emv.SW, entered bool, err error) {
	if req.Enciphered {
		ok := false
		if req.Challenge, ok, err = s.challenge(ctx); err != nil || !ok {
			return 0, false, err
		}
	}
	gate := verifyGate{link: s.card, open: !req.Enciphered}
	req.Verify = gate.verify
	pad, _ := s.dialogue.(emv.OfflinePINPad) // supports has seen it
	out, err := pad.OfflinePIN(ctx, req)
	gate.shut()
	switch {
	case gate.err != nil: // the card is gone or the caller gave up: what the pad says of it does not matter
		return 0, false, gate.err
	case err != nil:
		return 0, false, dialogueStop(err)
	case out.Status != emv.PINEntered && gate.sent:
		return 0, false, dialogueStop(errors.New("VERIFY was sent without a PIN"))
	case out.Status != emv.PINEntered:
		s.noPIN(out.Status)
		return 0, false, nil
	case !req.Enciphered && !gate.sent:
		return 0, false, dialogueStop(errors.New("PIN entered without VERIFY"))
	case !req.Enciphered:
		return gate.sw, true, nil
	case len(out.Block) != len(req.Key.Modulus):
		return 0, false, dialogueStop(fmt.Errorf("enciphered PIN of %d bytes under a key of %d", len(out.Block), len(req.Key.Modulus)))
	}
	cmd := emv.Command{INS: emv.InsVerify, P2: emv.VerifyEnciphered, Data: out.Block}
	_, sw, err = s.card.send(ctx, cmd, nil)
	return sw, err == nil, err
}

// challenge is GET CHALLENGE. Anything but eight bytes fails the method. EMV 4.4 Book 2, 7.2, step 2.
func (s *Session) challenge(ctx context.Context) (c [8]byte, ok bool, err error) {
	data, sw, err := s.card.send(ctx, emv.Command{INS: emv.InsGetChallenge, Le: true}, nil)
	if err != nil {
		return c, false, err
	}
	if sw != emv.SWOK || len(data) != len(c) {
		s.note("GET CHALLENGE: %v with %d bytes", sw, len(data))
		return c, false, nil
	}
	return [8]byte(data), true, nil
}

// verifyGate lets exactly one VERIFY of a plaintext PIN block through to the card, and hears the answer. A pad may call it
// from a goroutine of its own.
type verifyGate struct {
	link *link
	mu   sync.Mutex // guards what follows, and the link while the pad has it
	open bool
	sent bool
	sw   emv.SW
	err  error // a *stop
}

func (g *verifyGate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = false
}

func (g *verifyGate) verify(ctx context.Context, capdu []byte) (emv.SW, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	cmd, err := emv.ParseCommand(capdu)
	if err != nil || !g.open || cmd.CLA != 0 || cmd.INS != emv.InsVerify || cmd.P1 != 0 || cmd.P2 != emv.VerifyPlain ||
		len(cmd.Data) != emv.PlainPINBlock || cmd.Le {
		return 0, errVerify
	}
	g.open, g.sent = false, true
	_, g.sw, g.err = g.link.exchange(ctx, capdu, nil)
	return g.sw, g.err
}

// pinKey is the card's PIN encipherment key: its own certificate for it, or else the card's key of dynamic
// authentication. A key that cannot be recovered fails the method. EMV 4.4 Book 2, 7.1.
func (s *Session) pinKey() (oda.Key, bool) {
	issuer, static, err := s.issuerKey()
	if err != nil {
		s.note("PIN encipherment: %v", err)
		return oda.Key{}, false
	}
	var key oda.Key
	if s.store.Has(0x9F2D) {
		key, err = oda.PINKey(issuer, s.certificate(0x9F2D, 0x9F2F, 0x9F2E), s.pan, s.now)
	} else {
		key, err = oda.ICCKey(issuer, s.certificate(0x9F46, 0x9F48, 0x9F47), s.pan, static, s.now)
	}
	if err != nil {
		s.note("PIN encipherment: %v", err)
		return oda.Key{}, false
	}
	return key, true
}
