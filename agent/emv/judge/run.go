package judge

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"posagent/agent/emv"
)

// Options say how a run is told.
type Options struct {
	Reveal  bool // show card number, track data, name and PIN data: for test cards only
	Explain bool // take every response apart
}

// Run performs one transaction with card and tells it. The card has been activated. What card and cardholder do is in
// the report; the error is a *SettingError or wraps ErrSetting.
func Run(ctx context.Context, card emv.Card, s Settings, o Options) (*Report, error) {
	j, err := s.job()
	if err != nil {
		return nil, err
	}
	if j.now.IsZero() {
		j.now = time.Now()
	}
	if j.un == nil {
		j.un = make([]byte, 4)
		if _, err := rand.Read(j.un); err != nil {
			return nil, fmt.Errorf("draw unpredictable number: %w", err)
		}
	}
	w := &watch{card: card, options: o, mask: masker{reveal: o.Reveal}, report: newReport(&j)}
	if j.contactless {
		err = j.runContactless(ctx, w)
	} else {
		err = j.runContact(ctx, w)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSetting, err)
	}
	if r, ok := card.(interface{ Mismatch() *MismatchError }); ok && r.Mismatch() != nil {
		w.report.Remarks = append(w.report.Remarks, r.Mismatch().Error())
	}
	return w.report, nil
}

func newReport(j *job) *Report {
	t := j.terminal
	r := &Report{
		Interface: "contact", Candidates: []Candidate{}, APDUs: []APDU{}, Steps: []Step{},
		Terminal: Terminal{
			Type: fmt.Sprintf("%02X", byte(t.Type)), Capabilities: bitField(t.Capabilities[:], t.Capabilities.Words()),
			Amount: j.tx.Amount.Format(t.Currency), Other: j.tx.Other.Format(t.Currency),
			Currency: t.Currency.Numeric, Country: t.Country,
			Date: j.now.Format(time.DateOnly), Time: j.now.Format(time.TimeOnly), UN: hexText(j.un),
		},
	}
	if j.contactless {
		r.Interface = "contactless"
	}
	r.record(emv.Outcome{}, false)
	return r
}

// source gives the unpredictable number first, which is what every kernel draws first, and then bytes that follow from
// it: a run can be repeated.
type source struct {
	un    []byte
	block [sha256.Size]byte
	count uint64
	at    int
}

func (s *source) Read(p []byte) (int, error) {
	if len(s.un) > 0 {
		n := copy(p, s.un)
		s.un = s.un[n:]
		return n, nil
	}
	for i := range p {
		if s.at%sha256.Size == 0 {
			s.block = sha256.Sum256(binary.BigEndian.AppendUint64(s.block[:], s.count))
			s.count++
		}
		p[i] = s.block[s.at%sha256.Size]
		s.at++
	}
	return len(p), nil
}

func (j *job) random() io.Reader {
	return &source{un: append([]byte(nil), j.un...), block: sha256.Sum256(j.un)}
}

// watch sits between kernel and card and writes down what both do.
type watch struct {
	card    emv.Card
	options Options
	mask    masker
	report  *Report
	notes   []string // since the last step
}

// Transmit implements emv.Card.
func (w *watch) Transmit(ctx context.Context, capdu []byte) ([]byte, error) {
	a := APDU{Number: uint32(len(w.report.APDUs)) + 1, Name: commandName(capdu), Command: w.mask.command(capdu)}
	rapdu, err := w.card.Transmit(ctx, capdu)
	data, sw, perr := emv.ParseResponse(rapdu)
	switch {
	case err != nil:
		a.Meaning, a.Error = "no answer", err.Error()
	case perr != nil:
		a.Meaning, a.Error = "not an answer", perr.Error()
	default:
		a.Response, a.SW, a.Meaning = w.mask.response(data), sw.String(), statusMeaning(sw)
		w.mask.learn(data)
		if w.options.Explain && len(data) > 0 {
			a.Objects, _ = Objects(data, w.options.Reveal)
		}
	}
	w.report.APDUs = append(w.report.APDUs, a)
	return rapdu, err
}

// event is the kernels' trace.
func (w *watch) event(e emv.Event) {
	switch e := e.(type) {
	case emv.StepEvent:
		if w.notes == nil {
			w.notes = []string{}
		}
		w.report.Steps = append(w.report.Steps, Step{
			Name: e.Step, Section: sections[e.Step], APDUs: uint32(len(w.report.APDUs)), Notes: w.notes,
			TVR: bitField(e.TVR[:], e.TVR.Words()), TSI: bitField(e.TSI[:], e.TSI.Words()),
		})
		w.notes = nil
	case emv.CandidatesEvent:
		w.report.Candidates = []Candidate{}
		for _, c := range e.Candidates {
			w.report.Candidates = append(w.report.Candidates,
				Candidate{AID: c.AID.String(), Label: c.Label, Preferred: c.Preferred, Priority: c.Priority, Confirm: c.Confirm})
		}
	case emv.NoteEvent:
		w.notes = append(w.notes, e.Text)
	}
}
