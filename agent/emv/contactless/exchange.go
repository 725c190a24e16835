package contactless

import (
	"context"
	"errors"
	"fmt"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
)

// link is the card under the bounds of one tap.
type link struct {
	card   emv.Card
	caller context.Context // without the tap's deadline: tells a caller who gave up from a slow card
	trace  emv.Trace
	apdus  uint32
	bytes  uint32
	buf    [5 + emv.MaxCommandData + 1]byte
}

// send transmits one command. dol is the list its data was filled from, for masking in the trace. The data is valid
// until the next call. An error is an *end: a card that is lost is worth another tap, one over its bounds is not.
func (s *session) send(ctx context.Context, cmd emv.Command, dol []byte) ([]byte, emv.SW, error) {
	l := &s.link
	tooMuch := func(what string, n int) error {
		return &end{kind: EndApplication, reason: emv.ReasonCardTooMuch, cause: fmt.Errorf("over %d %s", n, what)}
	}
	if l.apdus++; l.apdus > maxAPDUs {
		return nil, 0, tooMuch("commands", maxAPDUs)
	}
	capdu, err := cmd.AppendTo(l.buf[:0])
	if err != nil {
		return nil, 0, cardFault("%w", err)
	}
	if ctx.Err() != nil {
		return nil, 0, s.lost(ctx.Err())
	}
	rapdu, err := l.card.Transmit(ctx, capdu)
	if len(rapdu) > emv.MaxResponseData+2 {
		return nil, 0, tooMuch("bytes in one answer", emv.MaxResponseData)
	}
	data, sw, perr := emv.ParseResponse(rapdu)
	if err == nil {
		err = perr
	}
	if l.trace != nil {
		l.trace(emv.APDUEvent{Command: emv.MaskCommand(capdu, dol), Response: emv.MaskResponse(data), SW: sw, Err: err})
	}
	if err != nil {
		return nil, 0, s.lost(err)
	}
	if l.bytes += uint32(len(rapdu)); l.bytes > maxCardBytes {
		return nil, 0, tooMuch("bytes of answers", maxCardBytes)
	}
	return data, sw, nil
}

// lost is the end of a tap whose card did not answer, or whose caller gave up.
func (s *session) lost(err error) error {
	switch caller := s.link.caller.Err(); {
	case errors.Is(caller, context.DeadlineExceeded):
		return &end{kind: EndApplication, reason: emv.ReasonTimeout, cause: caller}
	case caller != nil:
		return &end{kind: EndApplication, reason: emv.ReasonCancelled, cause: caller}
	case errors.Is(err, context.DeadlineExceeded):
		return &end{kind: EndApplication, reason: emv.ReasonCardTooMuch, cause: errors.New("the card's time is used up")}
	}
	return &end{kind: TryAgain, reason: emv.ReasonCardMute, cause: fmt.Errorf("%w: %w", errLost, err)}
}

// options sends GET PROCESSING OPTIONS with the filled PDOL. EMV 4.4 Book 3, 6.5.8.
func (s *session) options(ctx context.Context) ([]byte, emv.SW, error) {
	pdol := s.value(0x9F38)
	filled, err := tlv.FillDOL(s.pdol[:0], pdol, s.store.Value)
	if err != nil {
		return nil, 0, selectNext(emv.ReasonCardData, "PDOL: %w", err)
	}
	s.pdolLen = uint8(len(filled))
	var room [4 + tlv.MaxDOL]byte
	data := tlv.Append(room[:0], 0x83, filled)
	return s.send(ctx, emv.Command{CLA: 0x80, INS: emv.InsGPO, Data: data, Le: true}, pdol)
}

// readRecords reads what the AFL names and gathers the static data to be authenticated. EMV 4.4 Book 3, 10.2, 10.3.
func (s *session) readRecords(ctx context.Context) error {
	var list [tlv.MaxDOL]byte
	afl := list[:copy(list[:], s.value(0x94))]
	if err := checkAFL(afl); err != nil {
		return cardFault("%w", err)
	}
	for ; len(afl) > 0; afl = afl[4:] {
		sfi := afl[0] >> 3
		for i := range afl[2] - afl[1] + 1 {
			cmd := emv.Command{INS: emv.InsReadRecord, P1: afl[1] + i, P2: sfi<<3 | 0x04, Le: true}
			data, sw, err := s.send(ctx, cmd, nil)
			if err != nil {
				return err
			}
			if sw != emv.SWOK {
				return &end{kind: EndApplication, reason: emv.ReasonCardStatus, cause: fmt.Errorf("READ RECORD: %v", sw)}
			}
			if err := s.enterRecord(sfi, data, i < afl[3]); err != nil {
				return cardFault("record %d of SFI %d: %w", cmd.P1, sfi, err)
			}
		}
	}
	return nil
}

var errAFL = errors.New("AFL is not valid")

// checkAFL checks a whole Application File Locator: SFI 1 to 30, records in order, at most maxRecords of them.
func checkAFL(b []byte) error {
	if len(b)%4 != 0 || len(b) > tlv.MaxDOL {
		return fmt.Errorf("%w: %d bytes", errAFL, len(b))
	}
	records := 0
	for ; len(b) > 0; b = b[4:] {
		sfi, first, last := b[0]>>3, b[1], b[2]
		if b[0]&0x07 != 0 || sfi == 0 || sfi > 30 || first == 0 || last < first || last == 0xFF || b[3] > last-first+1 {
			return fmt.Errorf("%w: entry % X", errAFL, b[:4])
		}
		if records += int(last-first) + 1; records > maxRecords {
			return fmt.Errorf("%w: over %d records", errAFL, maxRecords)
		}
	}
	return nil
}

// enterRecord puts a record's objects into the store. EMV 4.4 Book 3, 10.2 and 10.3.
func (s *session) enterRecord(sfi uint8, data []byte, authenticated bool) error {
	body, err := tlv.Template(data, 0x70)
	if sfi > 10 { // proprietary: authenticated whole, not read
		s.broken = s.broken || authenticated && err != nil
		if authenticated {
			s.appendStatic(data)
		}
		return nil
	}
	if err != nil {
		return err
	}
	if authenticated {
		s.appendStatic(body)
	}
	return s.enterObjects(body)
}

func (s *session) appendStatic(b []byte) {
	if len(s.static)+len(b) > maxStatic {
		s.broken = true
		return
	}
	s.static = append(s.static, b...)
}

// enterObjects stores the primitive objects of a record or an answer.
func (s *session) enterObjects(body []byte) error {
	return tlv.Walk(body, func(_ int, o tlv.Object) error { return s.enterObject(o) })
}

// enterObject stores one object of the card. What only the terminal may set is ignored; a second value under one tag is
// an error, but for the same value again, which phones do send.
func (s *session) enterObject(o tlv.Object) error {
	if o.Tag.Constructed() {
		return nil
	}
	e, known := tlv.Lookup(o.Tag)
	if known && e.Source != tlv.ICC || s.store.Source(o.Tag) == tlv.Terminal {
		return nil
	}
	if old, ok := s.store.Value(o.Tag); ok {
		if string(old) != string(o.Value) {
			return fmt.Errorf("%v occurs twice", o.Tag)
		}
		return nil
	}
	if n := len(o.Value); known && e.Max > 0 && (n < int(e.Min) || n > int(e.Max)) {
		return fmt.Errorf("%v (%s) has %d bytes", o.Tag, e.Name, n)
	}
	s.store.Set(o.Tag, o.Value, tlv.ICC)
	return nil
}
