package contact

import (
	"context"
	"errors"
	"fmt"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
)

// ErrState is the error of completing a session that is not waiting for the host.
var ErrState = errors.New("session does not wait for the host")

// Complete ends a transaction whose outcome was Online: issuer authentication, scripts and the second GENERATE AC. It
// may be called once. An approval by the host stands only when the outcome's kind is Approve; any other kind after an
// approval obliges the caller to reverse. EMV 4.4 Book 3, 10.9 to 10.11; Book 4, 6.3.8.
func (s *Session) Complete(ctx context.Context, r emv.OnlineResult) (emv.Outcome, error) {
	if s == nil || s.phase != waiting {
		return emv.Outcome{}, fmt.Errorf("complete contact transaction: %w", ErrState)
	}
	s.phase = running
	steps := []step{{"completion, unable to go online", (*Session).finishOffline}}
	if !r.UnableToGoOnline {
		if len(r.ARC) != 2 {
			s.phase = waiting
			return emv.Outcome{}, fmt.Errorf("complete contact transaction: %w: response code of %d characters",
				emv.ErrTransaction, len(r.ARC))
		}
		s.setResponseCode(r.ARC)
		scripts, err := parseScripts(r.Scripts)
		if err != nil {
			s.note("issuer scripts: %v", err)
		}
		steps = s.closing(r, scripts)
	}
	out := s.run(ctx, steps)
	if out.Kind == emv.TryAgain { // the host has answered: this is no longer a card to insert again
		out.Kind = emv.Terminated
	}
	return out, nil
}

// closing is the order of a completion after the host's answer.
func (s *Session) closing(r emv.OnlineResult, scripts []script) []step {
	return []step{
		{"issuer authentication", func(s *Session, ctx context.Context) error {
			return s.authenticateIssuer(ctx, r.IssuerAuthData)
		}},
		{"issuer scripts before the final cryptogram", func(s *Session, ctx context.Context) error {
			return s.runScripts(ctx, scripts, 0x71)
		}},
		{"completion", func(s *Session, ctx context.Context) error {
			return s.finalCryptogram(ctx, r.ARC, scripts)
		}},
	}
}

// Sizes of Issuer Authentication Data in bytes, EMV 4.4 Book 3, Annex A.
const (
	minIssuerAuth = 8
	maxIssuerAuth = 16
)

// authenticateIssuer gives the host's cryptogram to the card: with EXTERNAL AUTHENTICATE when the AIP says so, with the
// second GENERATE AC otherwise. EMV 4.4 Book 3, 6.5.4 and 10.9.
func (s *Session) authenticateIssuer(ctx context.Context, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	if len(data) < minIssuerAuth || len(data) > maxIssuerAuth {
		s.note("issuer authentication data of %d bytes", len(data))
		s.tsi.Set(emv.IssuerAuthPerformed)
		s.tvr.Set(emv.IssuerAuthFailed)
		return nil
	}
	s.store.Set(0x91, data, tlv.Issuer)
	if !s.aip.Has(emv.AIPIssuerAuth) {
		return nil
	}
	_, sw, err := s.card.send(ctx, emv.Command{CLA: 0x00, INS: emv.InsExternalAuthenticate, Data: data}, nil)
	if err != nil {
		return err
	}
	s.tsi.Set(emv.IssuerAuthPerformed)
	if sw != emv.SWOK {
		s.tvr.Set(emv.IssuerAuthFailed)
		s.note("EXTERNAL AUTHENTICATE: %v", sw)
	}
	return nil
}

// finalCryptogram is the second GENERATE AC after the host's answer, and the scripts that follow it. A script cannot
// change what was decided. EMV 4.4 Book 3, 10.10 and 10.11.
func (s *Session) finalCryptogram(ctx context.Context, arc emv.ARC, scripts []script) error {
	asked, reason := emv.AAC, emv.ReasonHostDeclined
	if arc.Approved() {
		asked, reason = emv.TC, emv.ReasonCardDeclined
	} else if arc.Referral() { // nobody calls while a card waits: Book 4, 6.3.8 lets the terminal decline
		reason = emv.ReasonReferral
	}
	if err := s.secondAC(ctx, asked); err != nil {
		return err
	}
	if err := s.runScripts(ctx, scripts, 0x72); err != nil {
		s.note("issuer scripts after the final cryptogram: %v", err)
	}
	return s.decided(asked, reason)
}

// finishOffline decides without the host's answer: the default action codes, response code Y3 or Z3. EMV 4.4 Book 3,
// 10.7; Book 4, 6.3.8 and Annex A6.
func (s *Session) finishOffline(ctx context.Context) error {
	asked := s.decideOffline()
	s.setResponseCode(emv.ARCUnableApproved)
	if asked == emv.AAC {
		s.setResponseCode(emv.ARCUnableDeclined)
	}
	if err := s.secondAC(ctx, asked); err != nil {
		return err
	}
	return s.decided(asked, emv.ReasonUnableOnline)
}

// secondAC asks for the final cryptogram, which cannot be an ARQC.
func (s *Session) secondAC(ctx context.Context, asked emv.CryptogramType) error {
	s.publish()
	if err := s.generateAC(ctx, asked, 0x8D); err != nil {
		return err
	}
	s.tsi.Set(emv.CardRiskPerformed)
	if s.cryptogram.Type == emv.ARQC {
		return terminate(emv.ReasonCryptogram, "second GENERATE AC: ARQC given")
	}
	return nil
}

// decided turns the final cryptogram into the outcome. reason is the one of a decline.
func (s *Session) decided(asked emv.CryptogramType, reason emv.Reason) error {
	switch {
	case s.badSignature:
		return &stop{emv.Decline, emv.ReasonCDAFailed, nil}
	case s.cryptogram.Type == emv.TC && s.arc == emv.ARCUnableApproved:
		return &stop{emv.Approve, emv.ReasonUnableOnline, nil}
	case s.cryptogram.Type == emv.TC:
		return &stop{emv.Approve, emv.ReasonCardApproved, nil}
	case asked == emv.TC:
		return &stop{emv.Decline, emv.ReasonCardDeclined, nil}
	}
	return &stop{emv.Decline, reason, nil}
}
