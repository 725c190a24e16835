package contactless

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
)

// A Reader is the contactless application of one terminal: Begin a sale, then Tap until it ends. It belongs to one
// goroutine.
type Reader struct {
	config Config
	fixed  []object // the terminal's data objects, made once
	keys   keyCache
	torn   tornLog

	state      state
	taps       uint8
	tx         emv.Transaction
	indicators [maxCombinations]indicators
	list       [maxCandidates]candidate
	count      int
	at         int // next candidate
	s          session
}

// String says where the reader stands and nothing of a card.
func (r *Reader) String() string { return "contactless.Reader at " + string(r.state) }

// Format is String for every verb: fmt would print the card's data otherwise.
func (r *Reader) Format(f fmt.State, _ rune) { fmt.Fprint(f, r.String()) }

// Begin starts a sale: Start A, pre-processing. The outcome is Ready, or TryAnotherInterface when no combination may take
// this transaction. An error means that the transaction cannot be used. EMV Contactless Book B, 3.1.
func (r *Reader) Begin(tx emv.Transaction) (Outcome, error) {
	if r.config.Autorun != nil {
		tx = *r.config.Autorun
	}
	if err := tx.Validate(); err != nil {
		return Outcome{}, fmt.Errorf("begin contactless transaction: %w", err)
	}
	r.tx, r.taps, r.state = tx, 0, stateA
	r.dropExpired()
	allowed := false
	one := unit(r.config.Terminal.Currency)
	for i := range r.config.Combinations {
		r.indicators[i] = r.config.Combinations[i].preprocess(tx, one)
		allowed = allowed || !r.indicators[i].notAllowed
	}
	if !allowed {
		r.step(evRefused)
		return r.outcome(&end{kind: TryAnotherInterface, reason: emv.ReasonNoApplication}), nil
	}
	r.step(evReady)
	return Outcome{Kind: Ready, Start: StartB, OnOutcome: UIRequest{Message: MessagePresentCard, Status: ReadyToRead}}, nil
}

func (r *Reader) step(e event) { r.state, _ = next(r.state, e) }

var errNotReady = errors.New("no sale is waiting for a card")

// Tap runs one presentation of a card that has just been activated: Start B to D. The outcome is final unless its Start
// is StartB. EMV Contactless Book B, 3.3 to 3.5.
func (r *Reader) Tap(ctx context.Context, card emv.Card) Outcome {
	if r.state != stateB || card == nil {
		return r.outcome(&end{kind: EndApplication, reason: emv.ReasonWrongState, cause: errNotReady})
	}
	if r.taps++; r.taps > maxTaps {
		r.step(evWorn)
		return r.outcome(&end{kind: TryAnotherInterface, reason: emv.ReasonCardTooMuch})
	}
	r.step(evTapped)
	bounded, cancel := context.WithTimeout(ctx, r.config.CardTime)
	defer cancel()
	s := &r.s
	s.begin(card, ctx)
	defer s.forget()
	if err := s.draw(); err != nil {
		r.step(evFault)
		return r.outcome(err)
	}
	r.count, r.at = 0, 0
	err := r.readDirectory(bounded)
	for range maxSteps {
		if err != nil {
			return r.failed(err)
		}
		if err = r.choose(bounded); err != nil {
			continue
		}
		r.step(evChosen)
		err = s.runKernel(bounded)
		var e *end
		if errors.As(err, &e) && e.kind == SelectNext {
			s.note("kernel: %v", err)
			r.step(evSelectNext)
			err = nil
		}
	}
	r.state = stateEnded
	return r.outcome(&end{kind: EndApplication, reason: emv.ReasonCardTooMuch})
}

// failed moves on from the end of a tap.
func (r *Reader) failed(err error) Outcome {
	o := r.outcome(err)
	switch {
	case o.Kind == TryAgain && r.state == stateC:
		r.step(evLost)
	case o.Kind == TryAgain:
		r.step(evTryAgain)
	case r.state == stateC && r.at >= r.count:
		r.step(evEmpty)
	case r.state == stateC:
		r.step(evFault)
	default:
		r.step(evFinal)
	}
	return o
}

// readDirectory selects the PPSE and makes the candidate list. EMV Contactless Book B, 3.3.2.
func (r *Reader) readDirectory(ctx context.Context) error {
	s := &r.s
	data, sw, err := s.send(ctx, emv.Command{INS: emv.InsSelect, P1: 0x04, Data: ppseBytes, Le: true}, nil)
	if err != nil {
		return err
	}
	if sw != emv.SWOK {
		return &end{kind: EndApplication, reason: emv.ReasonNoApplication, cause: fmt.Errorf("SELECT PPSE: %v", sw)}
	}
	var room [maxEntries]dirEntry
	entries, err := parsePPSE(data, room[:0])
	if err != nil {
		return cardFault("%w", err)
	}
	r.candidates(entries)
	if trace := r.config.Trace; trace != nil {
		var list []emv.Candidate
		for _, c := range r.list[:r.count] {
			list = append(list, emv.Candidate{AID: bytes.Clone(c.name[:c.nameLen]), Priority: c.priority & 0x0F})
		}
		trace(emv.CandidatesEvent{Candidates: list})
	}
	return nil
}

var ppseBytes = []byte(ppseName)

// choose is final combination selection: SELECT the next candidate until one answers. EMV Contactless Book B, 3.3.3.
func (r *Reader) choose(ctx context.Context) error {
	s := &r.s
	for r.at < r.count {
		c := &r.list[r.at]
		r.at++
		s.enter(c)
		data, sw, err := s.send(ctx, emv.Command{INS: emv.InsSelect, P1: 0x04, Data: c.name[:c.nameLen], Le: true}, nil)
		if err != nil {
			return err
		}
		if sw != emv.SWOK {
			s.note("SELECT: %v", sw)
			continue
		}
		if err := s.enterFCI(data, c.name[:c.nameLen]); err != nil {
			s.note("SELECT: %v", err)
			continue
		}
		return nil
	}
	return &end{kind: EndApplication, reason: emv.ReasonNoApplication}
}

// enterFCI reads the answer to SELECT. Its DF name must be what was selected, or begin with it.
func (s *session) enterFCI(b, selected []byte) error {
	body, err := tlv.Template(b, 0x6F)
	if err != nil {
		return fmt.Errorf("read FCI: %w", err)
	}
	var name []byte
	err = tlv.Walk(body, func(depth int, o tlv.Object) error {
		switch {
		case depth == 0 && o.Tag == 0x84:
			name = o.Value
		case o.Tag.Constructed():
		case o.Tag == 0x50, o.Tag == 0x9F12, o.Tag == 0x9F11, o.Tag == 0x9F38, o.Tag == 0x5F2D:
			if s.store.Has(o.Tag) {
				return fmt.Errorf("%v occurs twice", o.Tag)
			}
			s.store.Set(o.Tag, o.Value, tlv.ICC)
		}
		return nil
	})
	switch {
	case err != nil:
		return fmt.Errorf("read FCI: %w", err)
	case !emv.AID(name).Valid() || !bytes.HasPrefix(name, selected):
		return fmt.Errorf("read FCI: the card answers for another application")
	}
	s.store.Set(0x84, name, tlv.ICC)
	return nil
}

// runKernel is Start D. EMV Contactless Book B, 3.4.
func (s *session) runKernel(ctx context.Context) error {
	switch s.combination.Kernel {
	case Kernel2:
		return s.kernel2(ctx)
	case Kernel7:
		return s.kernel7(ctx)
	}
	return s.kernel3(ctx)
}

// draw takes the unpredictable number of this presentation.
func (s *session) draw() error {
	if _, err := io.ReadFull(s.r.config.Rand, s.un[:]); err != nil {
		return &end{kind: EndApplication, reason: emv.ReasonRandom, cause: fmt.Errorf("draw unpredictable number: %w", err)}
	}
	return nil
}

// outcome turns the end of a tap into the value for the caller. EMV Contactless Book B, 3.5.
func (r *Reader) outcome(err error) Outcome {
	var e *end
	if !errors.As(err, &e) {
		e = &end{kind: EndApplication, reason: emv.ReasonCardData, cause: err}
	}
	o := Outcome{Kind: e.kind, CVM: e.cvm, OnOutcome: resultMessage(e.kind, e.cvm)}
	o.Sale.Kind, o.Sale.Reason, o.Sale.Cause = kinds[e.kind], e.reason, e.cause
	switch e.kind {
	case TryAgain:
		o.Start = StartB
		if e.phone {
			o.OnOutcome = UIRequest{Message: MessageSeePhone, Status: NotReady, Hold: holdSeePhone}
			o.OnRestart = UIRequest{Message: MessageSeePhone, Status: ReadyToRead}
			o.FieldOff = fieldOffSeePhone
			break
		}
		o.OnRestart = UIRequest{Message: MessagePresentAgain, Status: ReadyToRead}
	case TryAnotherInterface:
		o.Alternate = ContactInterface
	case Approved:
		o.Receipt, o.RemovalTimeout = true, removalTimeout
	case Online:
		o.Receipt, o.RemovalTimeout = e.cvm == CVMSignature, removalTimeout
	}
	r.s.fill(&o)
	return o
}

// Forget drops what a Reader keeps between sales: torn transactions and issuer keys. Call it when the list of CA keys or
// the binding to a merchant changes.
func (r *Reader) Forget() {
	r.torn, r.keys = tornLog{}, keyCache{}
}
