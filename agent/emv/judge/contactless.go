package judge

import (
	"context"
	"fmt"
	"time"

	"posagent/agent/emv"
	"posagent/agent/emv/contactless"
	"posagent/agent/payment"
)

// maxPresentations is how often a card is presented again when it must be: the judge holds it in the field, so what
// did not work three times will not.
const maxPresentations = 3

// kernelOf says which kernel a scheme's applications belong to. EMV Contactless Book B, 3.3.2.5.
var kernelOf = map[string]contactless.KernelID{
	"A000000004": contactless.Kernel2, "A000000003": contactless.Kernel3, "A000000333": contactless.Kernel7,
}

var kernelByName = map[string]contactless.KernelID{
	"2": contactless.Kernel2, "3": contactless.Kernel3, "7": contactless.Kernel7,
}

// combinations pairs the applications with kernels and the reader's limits.
func (j *job) combinations() []contactless.Combination {
	var out []contactless.Combination
	for _, a := range j.applications {
		kernel, ok := kernelByName[j.kernel]
		if !ok {
			if kernel, ok = kernelOf[a.AID.RID().String()]; !ok {
				continue
			}
		}
		c := contactless.Combination{
			Application: a, Kernel: kernel, TTQ: contactless.TTQ{0x36, 0x00, 0x40, 0x00}, ExtendedSelection: true,
			CVMCapability: j.terminal.Capabilities[1], NoCVMCapability: 0x08, OnDeviceCVM: true, Torn: true,
			FloorLimit: limit(j.limits.floor), CVMLimit: limit(j.limits.cvm), TransactionLimit: limit(j.limits.transaction),
		}
		copy(c.TTQ[:], j.ttq)
		out = append(out, c)
	}
	return out
}

func limit(a payment.Amount) *payment.Amount {
	if a < 0 {
		return nil
	}
	return &a
}

// runContactless performs the transaction with the Entry Point and its kernels.
func (j *job) runContactless(ctx context.Context, w *watch) error {
	combinations := j.combinations()
	if len(combinations) == 0 {
		return wrong("aid", "no application belongs to kernel 2, 3 or 7: -kernel chooses one")
	}
	reader, err := contactless.New(contactless.Config{
		Terminal: j.terminal, Combinations: combinations, CAPKs: j.capks,
		Now: func() time.Time { return j.now }, Rand: j.random(), Trace: w.event,
		UI: func(u contactless.UIRequest) { w.notes = append(w.notes, "terminal: "+message(u.Message)) },
	})
	if err != nil {
		return err
	}
	out, err := reader.Begin(j.tx)
	if err != nil {
		return err
	}
	for n := range maxPresentations {
		if out.Start != contactless.StartB {
			break
		}
		if n > 0 {
			w.report.Remarks = append(w.report.Remarks, fmt.Sprintf("presented again: %s", out.Sale.Reason))
		}
		out = reader.Tap(ctx, w)
	}
	w.recordTap(out)
	if out.Kind != contactless.Online {
		return nil
	}
	w.report.Request = &Request{answerWords(j.online), hexText(out.Record), cryptogramOf(out.Sale.Cryptogram)}
	if j.online == nil {
		w.report.Remarks = append(w.report.Remarks, notAsked)
		return nil
	}
	w.recordTap(out.Complete(*j.online))
	return nil
}

// recordTap takes over what a contactless outcome says.
func (w *watch) recordTap(o contactless.Outcome) {
	r := w.report
	r.record(o.Sale, w.options.Reveal)
	r.Kernel = ""
	if o.Kernel != 0 {
		r.Kernel = fmt.Sprint(o.Kernel)
		for i := range r.Candidates {
			if r.Candidates[i].AID == r.AID {
				r.Candidates[i].Kernel = r.Kernel
			}
		}
	}
	if len(o.Record) > 0 {
		r.DE55 = hexText(o.Record)
	}
	tap := &Tap{Outcome: string(o.Kind), Start: string(o.Start), CVM: cvmWords[o.CVM], Alternate: string(o.Alternate),
		Message: message(o.OnOutcome.Message), FieldOff: o.FieldOff, Receipt: o.Receipt, Discretionary: hexText(o.Discretionary)}
	if o.Balance != nil {
		tap.Balance = fmt.Sprint(int64(*o.Balance))
	}
	r.Contactless = tap
}

// A Tap is what a contactless outcome has beside the outcome itself. EMV Contactless Book A, 6.2.
type Tap struct {
	Outcome       string `json:"outcome"`
	Start         string `json:"start"` // where the Entry Point goes on, empty for nowhere
	CVM           string `json:"cvm"`
	Alternate     string `json:"alternate_interface"`
	Message       string `json:"message"`
	FieldOff      uint16 `json:"field_off"` // units of 100 ms
	Receipt       bool   `json:"receipt"`
	Balance       string `json:"balance,omitempty"` // minor units
	Discretionary string `json:"discretionary_data"`
}

var cvmWords = map[contactless.CVM]string{
	contactless.CVMNotApplicable: "not applicable",
	contactless.CVMNone:          "no CVM required",
	contactless.CVMSignature:     "signature",
	contactless.CVMOnlinePIN:     "enciphered PIN verified online",
	contactless.CVMOnDevice:      "verified on the cardholder's device",
}

// messages are the user interface messages. EMV Contactless Book A, 9.2.
var messages = map[contactless.Message]string{
	contactless.NoMessage:           "",
	contactless.MessageApproved:     "approved",
	contactless.MessageDeclined:     "not authorised",
	contactless.MessageEnterPIN:     "please enter your PIN",
	contactless.MessagePresentCard:  "present card",
	contactless.MessageProcessing:   "processing",
	contactless.MessageRemoveCard:   "card read OK, please remove card",
	contactless.MessageInsertSwipe:  "please insert or swipe card",
	contactless.MessageOneCardOnly:  "please present one card only",
	contactless.MessageApprovedSign: "approved, please sign",
	contactless.MessageAuthorising:  "authorising, please wait",
	contactless.MessageOtherCard:    "insert, swipe or try another card",
	contactless.MessageInsert:       "please insert card",
	contactless.MessageSeePhone:     "see phone for instructions",
	contactless.MessagePresentAgain: "present card again",
}

func message(m contactless.Message) string {
	if text, ok := messages[m]; ok {
		return text
	}
	return fmt.Sprintf("message %02X", byte(m))
}

var _ emv.Card = (*watch)(nil)
