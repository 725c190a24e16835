package receipt

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"posagent/agent/journal"
	"posagent/agent/payment"
	"posagent/printer"
)

// ErrNoOutcome reports a record that is still pending: there is nothing to
// certify.
var ErrNoOutcome = errors.New("receipt: the transaction has no outcome yet")

// FieldError reports a value that may not or cannot be printed. It never
// carries the value of the card number.
type FieldError struct{ Field, Why string }

func (e *FieldError) Error() string { return "receipt: " + e.Field + ": " + e.Why }

// Header is what the merchant's configuration puts on every slip.
type Header struct {
	NameZH, NameEN string         // merchant name; at least one
	Address        string         //
	Lines          []string       // above the receipt, centred
	Footer         []string       // below it, centred
	Acquirer       string         // used if the host names none
	Test           bool           // marks every slip as worth nothing
	QR             bool           // prints the record id as a code
	NoCVMLimit     payment.Amount // up to here neither PIN nor signature is asked; 0: not stated
	Width          int            // paper in dots; 0: 58 mm paper
}

// Bounds of a header, so that a configuration cannot use up the roll.
const (
	maxLines   = 8
	maxLineLen = 400 // bytes
	maxReprint = 999
)

func (h Header) check() error {
	if h.NameZH == "" && h.NameEN == "" {
		return &FieldError{"merchant name", "missing"}
	}
	if len(h.Lines) > maxLines || len(h.Footer) > maxLines {
		return &FieldError{"header", fmt.Sprintf("more than %d lines", maxLines)}
	}
	for _, s := range append(append([]string{h.NameZH, h.NameEN, h.Address, h.Acquirer}, h.Lines...), h.Footer...) {
		if len(s) > maxLineLen {
			return &FieldError{"header", fmt.Sprintf("a line of %d bytes, at most %d", len(s), maxLineLen)}
		}
	}
	return nil
}

// Compose gives the receipt of a record with an outcome. reprint is 0 for the
// first print of this copy and then counts from 1. Errors: ErrNoOutcome,
// *FieldError, *printer.InvalidError.
func Compose(rec journal.Record, h Header, c Copy, l Lang, reprint int) (*printer.Document, error) {
	if rec.State == journal.Pending || !rec.State.Known() {
		return nil, fmt.Errorf("%w: record %s is %q", ErrNoOutcome, rec.ID, string(rec.State))
	}
	if err := errors.Join(l.check(), h.check()); err != nil {
		return nil, err
	}
	if reprint < 0 || reprint > maxReprint {
		return nil, &FieldError{"reprint", fmt.Sprintf("%d is not 0 to %d", reprint, maxReprint)}
	}
	card, err := cardText(rec.MaskedPAN, c)
	if err != nil {
		return nil, err
	}
	s := newSlip(printer.Payment, h, l)
	s.top(c, reprint)
	s.merchant(rec)
	s.transaction(rec, card)
	s.amount(rec)
	s.outcome(rec)
	s.chip(rec)
	s.verification(rec, c)
	s.bottom(reprint)
	if h.QR {
		s.doc.QR(rec.ID)
	}
	return s.end()
}

// masked is a card number as a merchant copy may show it (first six, last four).
var masked = regexp.MustCompile(`^[0-9]{6}(\*{2,9})([0-9]{4})$`)

// cardText gives the card number as the copy may show it.
func cardText(number string, c Copy) (string, error) {
	if c != Merchant && c != Cardholder {
		return "", &FieldError{"copy", fmt.Sprintf("%q is unknown", string(c))}
	}
	if number == "" {
		return "", nil
	}
	m := masked.FindStringSubmatch(number)
	if m == nil {
		return "", &FieldError{"card number", "not masked to first six and last four digits"}
	}
	if c == Cardholder {
		return "******" + m[1] + m[2], nil
	}
	return number, nil
}

// slip is a document being written in one language.
type slip struct {
	doc *printer.Document
	h   Header
	l   Lang
}

func newSlip(kind printer.Kind, h Header, l Lang) *slip {
	doc := printer.NewDocument(kind)
	if h.Width != 0 {
		doc.Width = h.Width
	}
	return &slip{doc, h, l}
}

// pair adds a labelled value, and nothing if there is no value.
func (s *slip) pair(label word, value string) { s.pairStyled(label, value, printer.Style{}) }

// pairStyled puts a value that does not fit beside its label on a line of its
// own, so that it stays in one piece.
func (s *slip) pairStyled(label word, value string, style printer.Style) {
	name := label.in(s.l)
	switch {
	case value == "":
	case columns(name)+1+columns(value) <= s.doc.Dots()/printer.ColumnDots:
		s.doc.PairStyled(name, value, style)
	default:
		style.Align = printer.Right
		s.doc.Line(name).Styled(value, style)
	}
}

// columns is the width of a text on paper; a Chinese character takes two. It
// only chooses between two layouts that are both whole.
func columns(text string) int {
	n := 0
	for _, r := range text {
		if n++; r >= 0x1100 {
			n++
		}
	}
	return n
}

var (
	strong = printer.Style{Bold: true, Align: printer.Center}
	large  = printer.Style{Bold: true, Width: 2, Height: 2, Align: printer.Center}
	mark   = printer.Style{Bold: true, Invert: true, Align: printer.Center}
)

// marks stand above and below everything else.
func (s *slip) marks(reprint int) {
	if s.h.Test {
		s.doc.Styled(" "+wTest.in(s.l)+" ", mark)
	}
	if reprint > 0 {
		s.doc.Styled(" "+wReprint.in(s.l)+" "+strconv.Itoa(reprint)+" ", mark)
	}
}

func (s *slip) top(c Copy, reprint int) {
	s.marks(reprint)
	s.doc.Styled(wSlip.lines(s.l), large)
	for _, line := range s.h.Lines {
		s.doc.Center(line)
	}
	name := wMerchantCopy
	if c == Cardholder {
		name = wCardCopy
	}
	s.doc.Styled(name.in(s.l), strong).Rule()
}

func (s *slip) bottom(reprint int) {
	s.doc.Rule()
	for _, line := range s.h.Footer {
		s.doc.Center(line)
	}
	s.marks(reprint)
}

// end closes the piece of paper and judges it.
func (s *slip) end() (*printer.Document, error) {
	s.doc.Cut()
	if err := s.doc.Validate(); err != nil {
		return nil, err
	}
	return s.doc, nil
}

// merchant is the first block of JR/T 0001-2001, section 8.
func (s *slip) merchant(rec journal.Record) {
	s.doc.Line(wMerchant.in(s.l)).Styled(word{s.h.NameZH, s.h.NameEN}.lines(s.l), printer.Style{Bold: true})
	if s.h.Address != "" {
		s.doc.Line(s.h.Address)
	}
	s.pair(wMID, string(rec.MerchantID))
	s.pair(wTID, string(rec.TerminalID))
	s.pair(wOperator, rec.Operator)
	acquirer := rec.Acquirer
	if acquirer == "" {
		acquirer = s.h.Acquirer
	}
	s.pair(wAcquirer, acquirer)
	s.pair(wIssuer, rec.Issuer)
	s.pair(wCardOrg, rec.CardOrg)
	s.doc.Dashes()
}

// transaction is the second block.
func (s *slip) transaction(rec journal.Record, card string) {
	if card != "" {
		s.pairStyled(wCard, card, printer.Style{Bold: true})
		s.pair(wSequence, rec.PANSequence)
	}
	s.pair(wEntry, named(entries, rec.Entry, s.l))
	s.pairStyled(wType, named(types, rec.Type, s.l), printer.Style{Bold: true})
	s.pair(wBatch, rec.Batch.String())
	s.pair(wVoucher, rec.STAN.String())
	s.pair(wAuth, string(rec.AuthCode))
	s.pair(wReference, string(rec.RRN))
	s.pair(wTime, timeText(rec.Time))
	if o := rec.Original; o != nil {
		s.pair(wOrigBatch, o.Batch.String())
		s.pair(wOrigVouch, o.STAN.String())
		s.pair(wOrigRef, string(o.RRN))
		s.pair(wOrigAuth, string(o.AuthCode))
	}
	s.doc.Dashes()
}

// amount stands alone in double size. What flows back carries a minus sign.
func (s *slip) amount(rec journal.Record) {
	if rec.Type == payment.BalanceInquiry {
		return
	}
	amount := rec.Amount
	if rec.Type == payment.Void || rec.Type == payment.Refund {
		amount = -amount
	}
	s.doc.Line(wAmount.in(s.l))
	s.doc.Styled(rec.Currency.Alpha+" "+amount.Format(rec.Currency),
		printer.Style{Bold: true, Width: 2, Height: 2, Align: printer.Right})
}

// outcome says it when no money is due, and why.
func (s *slip) outcome(rec journal.Record) {
	o, bad := outcomes[rec.State]
	if bad {
		s.doc.Rule().Styled(o.title.lines(s.l), large).Styled(o.meaning.lines(s.l), strong)
	}
	s.pair(wCode, string(rec.Code))
	if bad {
		s.pair(wRevReason, named(reasons, rec.Reason, s.l))
		s.pair(wRevCode, string(rec.ReversalCode))
		if rec.State == journal.Reversed {
			s.pair(wRevTime, timeText(rec.Entered(journal.Reversed).In(rec.Time.Location())))
		}
	}
	s.pair(wHostText, rec.HostText)
}

// chip is what EMV asks to be printed of a chip transaction.
func (s *slip) chip(rec journal.Record) {
	e := rec.EMV
	if e == nil {
		return
	}
	s.doc.Dashes()
	s.plain("AID", e.AID)
	name := e.PreferredName
	if name == "" {
		name = e.Label
	}
	s.pair(wApp, name)
	s.plain(cryptogramName(e.CID), e.Cryptogram)
	s.plain("TVR", e.TVR)
	s.plain("TSI", e.TSI)
	s.plain("ATC", e.ATC)
	s.plain("ARC", arcText(e.ARC))
	s.pair(wCVM, named(cvms, rec.CVM, s.l))
}

// plain adds a value whose label is a name of the standard in every language.
func (s *slip) plain(label, value string) { s.pair(word{label, label}, value) }

// cryptogramName tells from the cryptogram information data (9F27, EMV 4.4 Book
// 3, table 15) what kind of cryptogram the card gave last.
func cryptogramName(cid string) string {
	switch {
	case len(cid) != 2:
	case cid[0] >= '4' && cid[0] <= '7':
		return "TC"
	case cid[0] == '8' || cid[0] == '9' || strings.ContainsRune("ABab", rune(cid[0])):
		return "ARQC"
	case cid[0] >= '0' && cid[0] <= '3':
		return "AAC"
	}
	return "AC"
}

// arcText gives the authorisation response code (8A) as its two characters if
// it is hex of two printable ones.
func arcText(arc string) string {
	n, err := strconv.ParseUint(arc, 16, 16)
	hi, lo := byte(n>>8), byte(n)
	if err != nil || len(arc) != 4 || hi < '0' || hi > 'Z' || lo < '0' || lo > 'Z' {
		return arc
	}
	return string([]byte{hi, lo})
}

// verification is the signature line, or why there is none.
func (s *slip) verification(rec journal.Record, c Copy) {
	if rec.State != journal.Approved || rec.Type == payment.BalanceInquiry {
		return
	}
	s.doc.Dashes()
	switch {
	case rec.CVM == journal.CVMOnlinePIN, rec.CVM == journal.CVMOfflinePIN, rec.PINEntered:
		s.doc.Line(wPIN.lines(s.l))
		return
	case rec.CVM == journal.CVMDevice:
		s.doc.Line(wDevice.lines(s.l))
		return
	case rec.CVM == journal.CVMNone:
		s.doc.Line(s.noCVM(rec).lines(s.l))
		return
	}
	if c == Merchant {
		s.doc.Line(wSignature.in(s.l)).Blank(2).Rule().Line(wAgree.lines(s.l))
	}
}

func (s *slip) noCVM(rec journal.Record) word {
	limit := s.h.NoCVMLimit
	if limit <= 0 || rec.Amount > limit {
		return wNoCVM
	}
	text := rec.Currency.Alpha + " " + limit.Format(rec.Currency)
	return word{fmt.Sprintf(wNoCVMBelow.zh, text), fmt.Sprintf(wNoCVMBelow.en, text)}
}

// named gives the word of a stored name, or the name itself if there is none.
func named[K ~string](words map[K]word, key K, l Lang) string {
	if w, ok := words[key]; ok {
		return w.in(l)
	}
	return string(key)
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format("2006/01/02 15:04:05")
}
