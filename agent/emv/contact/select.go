package contact

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
)

// Bounds of application selection.
const (
	maxSelectNext = 32 // SELECT NEXT for one AID of the terminal; no card has that many applications of one scheme
	maxCandidates = 64
)

// A candidate is an application in common, with the terminal's entry that matched it.
type candidate struct {
	emv.Candidate
	app emv.Application
}

// openApplication builds the candidate list, lets it be narrowed to one application, selects it and starts it. An
// application that refuses is struck from the list and the next is tried. EMV 4.4 Book 1, 12.3 and 12.4; Book 3, 10.1.
func (s *Session) openApplication(ctx context.Context) error {
	list, err := s.candidates(ctx)
	if err != nil {
		return err
	}
	sortByPriority(list)
	if s.kernel.Trace != nil {
		s.kernel.Trace(emv.CandidatesEvent{Candidates: forDialogue(list)})
	}
	again := false
	for len(list) > 0 { // ends: every turn but the last strikes a candidate
		i, err := s.choose(ctx, list, again)
		if err != nil {
			return err
		}
		ok, err := s.finalSelect(ctx, list[i])
		if err != nil {
			return err
		}
		if ok {
			if ok, err = s.initiate(ctx); err != nil || ok {
				return err
			}
		}
		s.note("application %v is struck from the candidate list", list[i].AID)
		list, again = slices.Delete(list, i, i+1), true
	}
	if s.blocked {
		return &stop{emv.NotAccepted, emv.ReasonAppBlocked, fmt.Errorf("the application in common is blocked")}
	}
	return &stop{emv.NotAccepted, emv.ReasonNoApplication, fmt.Errorf("no application in common")}
}

// candidates tries the directory first and the terminal's list then. EMV 4.4 Book 1, 12.3.1.
func (s *Session) candidates(ctx context.Context) ([]candidate, error) {
	list, err := s.readPSE(ctx)
	if err != nil || len(list) > 0 {
		return list, err
	}
	return s.tryAIDs(ctx)
}

// matches finds the terminal's entry for a name: the whole name, or its beginning where the entry's Application
// Selection Indicator permits. EMV 4.4 Book 1, 12.3.1.
func (s *Session) matches(name emv.AID) (emv.Application, bool) {
	var found emv.Application
	ok := false
	for _, a := range s.kernel.Applications {
		switch {
		case bytes.Equal(a.AID, name):
			return a, true
		case a.Partial && bytes.HasPrefix(name, a.AID) && (!ok || len(a.AID) > len(found.AID)):
			found, ok = a, true
		}
	}
	return found, ok
}

func selectCommand(name []byte, next bool) emv.Command {
	c := emv.Command{CLA: 0x00, INS: emv.InsSelect, P1: 0x04, Data: name, Le: true}
	if next {
		c.P2 = 0x02
	}
	return c
}

// tryAIDs selects every application of the terminal's list. EMV 4.4 Book 1, 12.3.3.
func (s *Session) tryAIDs(ctx context.Context) ([]candidate, error) {
	var list []candidate
	for _, app := range s.kernel.Applications {
		next := false
		for range 1 + maxSelectNext {
			data, sw, err := s.card.send(ctx, selectCommand(app.AID, next), nil)
			if err != nil {
				return nil, err
			}
			if sw == emv.SWNotSupported && !next {
				return nil, s.blockedCard() // step 2: the card is blocked or does not know SELECT
			}
			if sw != emv.SWOK && !sw.Warning() {
				break
			}
			s.blocked = s.blocked || sw == emv.SWInvalidated // Book 1, 12.3.3: a blocked application is no candidate
			f, err := parseFCI(data)
			if err != nil || !bytes.HasPrefix(f.name, app.AID) {
				if next || sw != emv.SWOK {
					break
				}
				s.note("SELECT %v: FCI is not usable: %v", app.AID, err)
				break
			}
			whole := bytes.Equal(f.name, app.AID) // steps 4 to 6: the name decides, not its length
			if seen(list, f.name) {
				break // a card that finds the same application again has no other
			}
			if sw == emv.SWOK && (whole || app.Partial) && len(list) < maxCandidates {
				list = append(list, fromFCI(f, app))
			}
			if whole {
				break
			}
			next = true
		}
	}
	return list, nil
}

func (s *Session) blockedCard() error {
	s.blocked = true
	return &stop{emv.NotAccepted, emv.ReasonCardBlocked, fmt.Errorf("SELECT: 6A81, the card is blocked")}
}

func seen(list []candidate, name emv.AID) bool {
	return slices.ContainsFunc(list, func(c candidate) bool { return bytes.Equal(c.AID, name) })
}

func fromFCI(f fci, app emv.Application) candidate {
	return candidate{named(f.name, f.label, f.preferred, f.codeTable, f.priority), app}
}

// named makes a candidate of what a directory entry or an FCI says. EMV 4.4 Book 1, 12.2.3, table 48: priority indicator.
func named(name, label, preferred []byte, codeTable, priority byte) emv.Candidate {
	c := emv.Candidate{
		AID: bytes.Clone(name), Label: printable(label), Priority: priority & 0x0F, Confirm: priority&0x80 != 0,
	}
	if c.Label == "" {
		c.Label = c.AID.String()
	}
	if codeTable == 1 {
		c.Preferred = printable(preferred)
	}
	return c
}

// sortByPriority orders by the priority indicator; applications without one come last, in the order they were found.
// EMV 4.4 Book 1, 12.4.
func sortByPriority(list []candidate) {
	rank := func(c candidate) uint8 {
		if c.Priority == 0 {
			return 16
		}
		return c.Priority
	}
	slices.SortStableFunc(list, func(a, b candidate) int { return cmp.Compare(rank(a), rank(b)) })
}

func forDialogue(list []candidate) []emv.Candidate {
	out := make([]emv.Candidate, len(list))
	for i, c := range list {
		out[i] = c.Candidate
	}
	return out
}

// choose asks the cardholder when there is a choice, when the only application wants a confirmation, and after an
// application refused. EMV 4.4 Book 1, 12.4, steps 2 to 4.
func (s *Session) choose(ctx context.Context, list []candidate, again bool) (int, error) {
	if len(list) == 1 && !list[0].Confirm && !again {
		return 0, nil
	}
	i, err := s.dialogue.SelectApplication(ctx, forDialogue(list))
	if err != nil {
		return 0, dialogueStop(err)
	}
	if i < 0 || i >= len(list) {
		return 0, dialogueStop(fmt.Errorf("application %d of %d was chosen", i, len(list)))
	}
	return i, nil
}

// finalSelect selects the chosen application. A refusal is not the end: the application is struck. EMV 4.4 Book 1, 12.4,
// step 5. The DF name must be the chosen one in full.
func (s *Session) finalSelect(ctx context.Context, c candidate) (bool, error) {
	data, sw, err := s.card.send(ctx, selectCommand(c.AID, false), nil)
	if err != nil {
		return false, err
	}
	if sw != emv.SWOK {
		s.blocked = s.blocked || sw == emv.SWInvalidated
		s.note("final SELECT of %v: %v", c.AID, sw)
		return false, nil
	}
	f, err := parseFCI(data)
	if err != nil {
		s.note("final SELECT of %v: %v", c.AID, err)
		return false, nil
	}
	if !bytes.Equal(f.name, c.AID) {
		s.note("final SELECT of %v: the card selected %v", c.AID, f.name)
		return false, nil
	}
	s.app, s.name, s.fci = c.app, c.AID, bytes.Clone(f.whole)
	s.enterFCI(f)
	return true, nil
}

// fciTags are the data objects an FCI may carry that a transaction uses.
var fciTags = []tlv.Tag{0x50, 0x87, 0x5F2D, 0x9F11, 0x9F12, 0x9F38, 0x9F4D, 0x42, 0x5F55, 0x5F56}

// enterFCI puts the application's data objects into the store. Book 1, 12.4; Book 3, 10.1.
func (s *Session) enterFCI(f fci) {
	for _, t := range fciTags {
		if v, ok := tlv.Find(s.fci, t); ok {
			s.store.Set(t, v, tlv.ICC)
		}
	}
	s.store.Set(0x84, f.name, tlv.ICC)
	s.store.Set(0x9F06, f.name, tlv.Terminal)
	s.store.Set(0x9F09, s.app.Version[:], tlv.Terminal)
	limit := emv.BCD(0, 4)
	if n := uint64(s.app.FloorLimit); n <= 0xFFFFFFFF {
		limit = []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
	}
	s.store.Set(0x9F1B, limit, tlv.Terminal)
	if len(s.app.RiskData) > 0 {
		s.store.Set(0x9F1D, s.app.RiskData, tlv.Terminal)
	}
}
