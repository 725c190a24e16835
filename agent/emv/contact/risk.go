package contact

import (
	"context"
	"fmt"
	"io"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
	"posagent/agent/payment"
)

// manageRisk is terminal risk management, performed when the AIP asks for it. The exception file and the merchant's wish
// count always. EMV 4.4 Book 3, 10.6.
func (s *Session) manageRisk(ctx context.Context) error {
	if s.tx.ForceOnline {
		s.tvr.Set(emv.MerchantForced)
	}
	if f := s.kernel.ExceptionFile; f != nil && f(s.pan, s.sequence) {
		s.tvr.Set(emv.OnExceptionFile)
	}
	if !s.aip.Has(emv.AIPTermRisk) {
		return nil
	}
	if err := s.checkAmount(); err != nil {
		return err
	}
	if err := s.checkVelocity(ctx); err != nil {
		return err
	}
	s.tsi.Set(emv.TermRiskPerformed)
	return nil
}

// checkAmount is the floor limit and, under it, random selection. EMV 4.4 Book 3, 10.6.1 and 10.6.2.
func (s *Session) checkAmount() error {
	amount := s.tx.Amount
	var recent payment.Amount
	if f := s.kernel.RecentAmount; f != nil {
		recent = max(0, min(f(s.pan, s.sequence), payment.MaxAmount))
	}
	if amount+recent >= s.app.FloorLimit {
		s.tvr.Set(emv.FloorLimitExceeded)
		return nil
	}
	percent := selectionPercent(s.app, amount)
	if percent == 0 {
		return nil
	}
	var b [4]byte
	if _, err := io.ReadFull(s.kernel.Rand, b[:]); err != nil {
		return &stop{emv.Terminated, emv.ReasonRandom, fmt.Errorf("draw for random selection: %w", err)}
	}
	drawn := (uint32(b[0])<<24|uint32(b[1])<<16|uint32(b[2])<<8|uint32(b[3]))%99 + 1
	if drawn <= uint32(percent) {
		s.tvr.Set(emv.SelectedRandomly)
	}
	return nil
}

// selectionPercent is the chance of a transaction under the floor limit: the target below the threshold, then rising in
// proportion to the maximum target. EMV 4.4 Book 3, 10.6.2, figure 13.
func selectionPercent(a emv.Application, amount payment.Amount) uint8 {
	if amount < a.Threshold || a.FloorLimit <= a.Threshold {
		return a.TargetPercent
	}
	span := int64(a.MaxTargetPercent) - int64(a.TargetPercent)
	over := int64(amount-a.Threshold) * span / int64(a.FloorLimit-a.Threshold)
	return uint8(int64(a.TargetPercent) + over) // at most 99: the amount is under the floor limit
}

// checkVelocity compares the card's counters with the issuer's limits of consecutive offline transactions. EMV 4.4 Book
// 3, 10.6.3.
func (s *Session) checkVelocity(ctx context.Context) error {
	lower, okL := s.store.Fixed(0x9F14, 1)
	upper, okU := s.store.Fixed(0x9F23, 1)
	if !okL || !okU {
		return nil
	}
	atc, okA, err := s.counter(ctx, 0x9F36)
	if err != nil {
		return err
	}
	last, okO, err := s.counter(ctx, 0x9F13)
	if err != nil {
		return err
	}
	if okO && last == 0 {
		s.tvr.Set(emv.NewCard)
	}
	if !okA || !okO || atc <= last {
		s.tvr.Set(emv.LowerLimitExceeded)
		s.tvr.Set(emv.UpperLimitExceeded)
		return nil
	}
	if atc-last > uint16(lower[0]) {
		s.tvr.Set(emv.LowerLimitExceeded)
	}
	if atc-last > uint16(upper[0]) {
		s.tvr.Set(emv.UpperLimitExceeded)
	}
	return nil
}

// counter reads a two-byte counter with GET DATA; a card that does not give it is no error. EMV 4.4 Book 3, 6.5.7.
func (s *Session) counter(ctx context.Context, tag tlv.Tag) (uint16, bool, error) {
	cmd := emv.Command{CLA: 0x80, INS: emv.InsGetData, P1: byte(tag >> 8), P2: byte(tag), Le: true}
	data, sw, err := s.card.send(ctx, cmd, nil)
	if err != nil || sw != emv.SWOK {
		return 0, false, err
	}
	v, err := tlv.Template(data, tag)
	if err != nil || len(v) != 2 {
		return 0, false, nil
	}
	return uint16(v[0])<<8 | uint16(v[1]), true, nil
}
