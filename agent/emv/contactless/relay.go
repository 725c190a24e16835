package contactless

import (
	"context"
	"fmt"
	"io"
	"time"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
)

// RelayLimits are the terminal's times of the relay resistance protocol, in units of 100 microseconds, and one percentage.
// A zero value takes Book C-2's defaults. EMV Contactless Book C-2, A.1 (data objects DF8132 to DF8137).
type RelayLimits struct {
	ExpectedCommand  uint16 `json:"expected_command"`  // transmission of the command, DF8134
	ExpectedResponse uint16 `json:"expected_response"` // transmission of the answer, DF8135
	MinGrace         uint16 `json:"min_grace"`         // DF8132
	MaxGrace         uint16 `json:"max_grace"`         // DF8133
	Accuracy         uint16 `json:"accuracy"`          // DF8136
	MismatchPercent  uint8  `json:"mismatch_percent"`  // DF8137
}

var defaultRelay = RelayLimits{
	ExpectedCommand: 0x12, ExpectedResponse: 0x18, MinGrace: 0x14, MaxGrace: 0x32, Accuracy: 0x12C, MismatchPercent: 50,
}

const (
	maxRelayTries = 3 // one and two retries, Book C-2, S3R1
	relayUnit     = 100 * time.Microsecond
	insRelay      = 0xEA
	relaySize     = 14
)

// relayData is the exchange as the combined signature covers it: the terminal's entropy, the card's, and the card's
// minimum, maximum and estimated times.
type relayData struct {
	bytes [relaySize]byte
	done  bool
}

// verdict is what one measured exchange says.
type relayVerdict uint8

const (
	relayFine relayVerdict = iota
	relayTooFast
	relayTooSlow
	relayDoubtful
)

// judgeRelay is pure. measured is the whole exchange; low, high and estimate are the card's times. EMV Contactless Book
// C-2, S3R1 (measured relay resistance processing time).
func (l RelayLimits) judgeRelay(measured time.Duration, low, high, estimate uint16) relayVerdict {
	spent := max(0, int64(measured/relayUnit)-int64(l.ExpectedCommand)-int64(min(l.ExpectedResponse, estimate)))
	switch {
	case spent < max(0, int64(low)-int64(l.MinGrace)):
		return relayTooFast
	case spent > int64(high)+int64(l.MaxGrace):
		return relayTooSlow
	case estimate != 0 && l.ExpectedResponse != 0 &&
		(uint32(l.ExpectedResponse)*100/uint32(estimate) < uint32(l.MismatchPercent) ||
			uint32(estimate)*100/uint32(l.ExpectedResponse) < uint32(l.MismatchPercent)),
		spent-int64(low) > int64(l.Accuracy):
		return relayDoubtful
	}
	return relayFine
}

// resistRelay measures how long the card takes for a command that needs no computing. A card that answers faster than
// it can is a relay that guesses; a slow one is tried again with new entropy. EMV Contactless Book C-2, S3 and S3R1.
func (s *session) resistRelay(ctx context.Context) error {
	if !s.aip.Has(aipRelay) {
		return nil
	}
	limits := s.combination.Relay
	if limits == (RelayLimits{}) {
		limits = defaultRelay
	}
	s.tvr.Set(tvrRelayPerformed)
	for try := 1; try <= maxRelayTries; try++ {
		measured, err := s.exchangeRelay(ctx)
		if err != nil {
			return err
		}
		d := s.relay.bytes[8:]
		two := func(i int) uint16 { return uint16(d[i])<<8 | uint16(d[i+1]) }
		switch limits.judgeRelay(measured, two(0), two(2), two(4)) {
		case relayTooFast:
			return cardFault("relay resistance: the card answered faster than it can")
		case relayTooSlow:
			s.note("relay resistance: try %d took %v", try, measured)
			if try == maxRelayTries {
				s.tvr.Set(tvrRelayLimits)
			}
			continue
		case relayDoubtful:
			s.tvr.Set(tvrRelayThreshold)
		}
		return nil
	}
	return nil
}

// exchangeRelay is one EXCHANGE RELAY RESISTANCE DATA.
func (s *session) exchangeRelay(ctx context.Context) (time.Duration, error) {
	own := s.relay.bytes[:4]
	if _, err := io.ReadFull(s.r.config.Rand, own); err != nil {
		return 0, &end{kind: EndApplication, reason: emv.ReasonRandom, cause: fmt.Errorf("draw relay resistance entropy: %w", err)}
	}
	begin := s.r.config.Ticks()
	data, sw, err := s.send(ctx, emv.Command{CLA: 0x80, INS: insRelay, Data: own, Le: true}, nil)
	measured := s.r.config.Ticks().Sub(begin)
	if err != nil {
		return 0, err
	}
	v, terr := tlv.Template(data, 0x80)
	if sw != emv.SWOK || terr != nil || len(v) != relaySize-4 {
		return 0, cardFault("EXCHANGE RELAY RESISTANCE DATA: %v, %d bytes", sw, len(v))
	}
	copy(s.relay.bytes[4:], v)
	s.relay.done = true
	return measured, nil
}
