package contact

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
	"posagent/agent/payment"
)

// Bounds of the Application File Locator. EMV 4.4 Book 3, 10.2: SFIs are 1 to 30; a list of 252 bytes has 63 entries.
const (
	aflEntrySize = 4
	maxSFI       = 30
	maxEMVSFI    = 10  // files 11 to 30 are proprietary: authenticated whole, not read into the store
	maxRecords   = 128 // in one transaction: far above the largest card
	maxStatic    = 8192
)

var errAFL = errors.New("AFL is not valid")

// An aflEntry names records to read. EMV 4.4 Book 3, 10.2.
type aflEntry struct {
	sfi, first, last, authenticated uint8
}

// parseAFL checks and splits an Application File Locator.
func parseAFL(b []byte) ([]aflEntry, error) {
	if len(b) == 0 || len(b)%aflEntrySize != 0 {
		return nil, fmt.Errorf("%w: %d bytes", errAFL, len(b))
	}
	var list []aflEntry
	records := 0
	for ; len(b) > 0; b = b[aflEntrySize:] {
		e := aflEntry{b[0] >> 3, b[1], b[2], b[3]}
		switch {
		case b[0]&0x07 != 0 || e.sfi == 0 || e.sfi > maxSFI:
			return nil, fmt.Errorf("%w: SFI byte %02X", errAFL, b[0])
		case e.first == 0 || e.last < e.first:
			return nil, fmt.Errorf("%w: records %d to %d", errAFL, e.first, e.last)
		case e.authenticated > e.last-e.first+1:
			return nil, fmt.Errorf("%w: %d of %d records authenticated", errAFL, e.authenticated, e.last-e.first+1)
		}
		if records += int(e.last-e.first) + 1; records > maxRecords {
			return nil, fmt.Errorf("%w: over %d records", errAFL, maxRecords)
		}
		list = append(list, e)
	}
	return list, nil
}

func readCommand(sfi, record uint8) emv.Command {
	return emv.Command{CLA: 0x00, INS: emv.InsReadRecord, P1: record, P2: sfi<<3 | 0x04, Le: true}
}

// readApplicationData reads the records that the AFL names and gathers the static data to be authenticated. EMV 4.4
// Book 3, 10.2 and 10.3.
func (s *Session) readApplicationData(ctx context.Context) error {
	afl, _ := s.store.Value(0x94)
	list, err := parseAFL(afl)
	if err != nil {
		return &stop{emv.Terminated, emv.ReasonCardData, err}
	}
	for _, e := range list {
		for i := range e.last - e.first + 1 {
			record := e.first + i
			data, sw, err := s.card.send(ctx, readCommand(e.sfi, record), nil)
			if err != nil {
				return err
			}
			if sw != emv.SWOK {
				return terminate(emv.ReasonCardStatus, "READ RECORD %d of SFI %d: %v", record, e.sfi, sw)
			}
			if err := s.enterRecord(e.sfi, data, i < e.authenticated); err != nil {
				return terminate(emv.ReasonCardData, "record %d of SFI %d: %w", record, e.sfi, err)
			}
		}
	}
	return s.checkMandatory()
}

// enterRecord puts a record's data objects into the store and, when it is to be authenticated, its bytes behind the
// static data: in files 1 to 10 without the template's tag and length. EMV 4.4 Book 3, 10.3.
func (s *Session) enterRecord(sfi uint8, data []byte, authenticated bool) error {
	if sfi > maxEMVSFI {
		if authenticated {
			o, rest, err := tlv.Next(data)
			s.broken = s.broken || err != nil || o.Tag != 0x70 || len(rest) > 0
			s.appendStatic(data)
		}
		return nil
	}
	body, err := tlv.Template(data, 0x70)
	if err != nil {
		return err
	}
	if authenticated {
		s.appendStatic(body)
	}
	return tlv.Walk(body, func(_ int, o tlv.Object) error {
		return s.enterObject(o)
	})
}

func (s *Session) appendStatic(b []byte) {
	if len(s.static)+len(b) > maxStatic {
		s.broken = true
		return
	}
	s.static = append(s.static, b...)
}

// enterObject stores one primitive data object of a record. Redundant objects end the transaction (Book 3, 10.2); what
// only the terminal or the issuer may set is ignored, so that a card cannot write the terminal's half of the store.
func (s *Session) enterObject(o tlv.Object) error {
	if o.Tag.Constructed() {
		return nil
	}
	e, known := tlv.Lookup(o.Tag)
	if known && e.Source != tlv.ICC {
		s.note("%v is not the card's to set", o.Tag)
		return nil
	}
	if slices.Contains(fciTags, o.Tag) && s.store.Has(o.Tag) {
		return nil // the FCI said it; a record may repeat it
	}
	if s.store.Has(o.Tag) {
		return fmt.Errorf("%v occurs twice", o.Tag)
	}
	if n := len(o.Value); known && e.Max > 0 && (n < int(e.Min) || n > int(e.Max)) {
		return fmt.Errorf("%v (%s) has %d bytes", o.Tag, e.Name, n)
	}
	s.store.Set(o.Tag, o.Value, tlv.ICC)
	return nil
}

// mandatory are the data objects without which there is no transaction. EMV 4.4 Book 3, 7.2, table 30.
var mandatory = []tlv.Tag{0x5F24, 0x5A, 0x8C, 0x8D}

// checkMandatory names the first mandatory object that is missing and reads the card number, its sequence and track 2.
func (s *Session) checkMandatory() error {
	for _, t := range mandatory {
		if !s.store.Has(t) {
			return terminate(emv.ReasonCardData, "%v (%s) is missing", t, t.Name())
		}
	}
	raw, _ := s.store.Value(0x5A)
	text, ok := nibbles(raw)
	pan, err := payment.NewPAN(text)
	if !ok || err != nil {
		return terminate(emv.ReasonCardData, "5A is no card number")
	}
	s.pan = pan
	if v, ok := s.store.Fixed(0x5F34, 1); ok {
		s.sequence = fmt.Sprintf("%03X", v[0])
	}
	if _, ok := emv.ParseDate(mustValue(&s.store, 0x5F24)); !ok {
		return terminate(emv.ReasonCardData, "5F24 is no date")
	}
	return s.readTrack2()
}

// readTrack2 reads tag 57 when the card has it. Its card number must be that of 5A: the host sees both.
func (s *Session) readTrack2() error {
	raw, ok := s.store.Value(0x57)
	if !ok {
		return nil
	}
	text, ok := nibbles(raw)
	track, err := payment.NewTrack2(text)
	switch {
	case !ok || err != nil:
		return terminate(emv.ReasonCardData, "57 is no track 2")
	case track.PAN().Reveal() != s.pan.Reveal():
		return terminate(emv.ReasonCardData, "57 and 5A hold different card numbers")
	}
	s.track2 = track
	return nil
}

// nibbles spells compressed numeric data: digits, 'D' as it is, 'F' only at the end.
func nibbles(b []byte) (string, bool) {
	out := make([]byte, 0, 2*len(b))
	ended := false
	for i := range 2 * len(b) {
		switch c := b[i/2] >> (4 * (1 - uint(i)%2)) & 0x0F; {
		case c == 0x0F:
			ended = true
		case ended:
			return "", false
		case c <= 9:
			out = append(out, '0'+c)
		case c == 0x0D:
			out = append(out, 'D')
		default:
			return "", false
		}
	}
	return string(out), true
}

func mustValue(s *emv.Store, t tlv.Tag) []byte {
	v, _ := s.Value(t)
	return v
}
