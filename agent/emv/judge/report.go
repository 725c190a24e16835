package judge

import (
	"encoding/hex"
	"fmt"
	"strings"

	"posagent/agent/emv"
)

// A Report is one transaction, explained. Its JSON names are stable. Secrets are masked unless it was run with
// Options.Reveal.
type Report struct {
	Interface   string      `json:"interface"` // "contact" or "contactless"
	Kernel      string      `json:"kernel"`    // "contact", "2", "3" or "7"; empty when none was started
	Terminal    Terminal    `json:"terminal"`
	Candidates  []Candidate `json:"candidates"`
	AID         string      `json:"aid"` // of the selected application
	Label       string      `json:"label"`
	PAN         string      `json:"pan"`
	Sequence    string      `json:"pan_sequence"`
	Expiry      string      `json:"expiry"` // YYMM
	APDUs       []APDU      `json:"apdus"`
	Steps       []Step      `json:"steps"`
	Request     *Request    `json:"request,omitempty"` // to the host, when there was one
	TVR         Bits        `json:"tvr"`
	TSI         Bits        `json:"tsi"`
	CVM         CVM         `json:"cvm"`
	Cryptogram  *Cryptogram `json:"cryptogram"` // the last one; null when the card gave none
	ARC         string      `json:"arc"`
	Scripts     string      `json:"script_results"`
	Language    string      `json:"language"` // of the cardholder: two letters each, in order
	Fallback    bool        `json:"fallback"` // the magnetic stripe may be read instead
	Outcome     string      `json:"outcome"`
	Reason      string      `json:"reason"`
	Meaning     string      `json:"meaning"`           // outcome and reason in words
	Cause       string      `json:"cause,omitempty"`   // what exactly the card did
	DE55        string      `json:"de55"`              // data objects for the host, after the last step
	Remarks     []string    `json:"remarks,omitempty"` // of the judge, for example on the script
	Contactless *Tap        `json:"contactless,omitempty"`
}

// Terminal is what a run depends on and a reader of the report cannot see elsewhere.
type Terminal struct {
	Type         string `json:"type"`
	Capabilities Bits   `json:"capabilities"`
	Amount       string `json:"amount"`
	Other        string `json:"other"`
	Currency     string `json:"currency"`
	Country      string `json:"country"`
	Date         string `json:"date"`
	Time         string `json:"time"`
	UN           string `json:"unpredictable_number"`
}

// Bits is a bit field with its set bits in words.
type Bits struct {
	Hex   string   `json:"hex"`
	Words []string `json:"words"`
}

func bitField(b []byte, words []string) Bits {
	if words == nil {
		words = []string{}
	}
	return Bits{hexText(b), words}
}

// A Candidate is an application that card and terminal have in common.
type Candidate struct {
	AID       string `json:"aid"`
	Label     string `json:"label"`
	Preferred string `json:"preferred,omitempty"`
	Priority  uint8  `json:"priority"`
	Confirm   bool   `json:"confirm"`
	Kernel    string `json:"kernel,omitempty"`
}

// An APDU is one command and its answer.
type APDU struct {
	Number   uint32   `json:"number"` // from 1
	Name     string   `json:"name"`   // of the command, with what its parameters mean
	Command  string   `json:"command"`
	Response string   `json:"response"` // without the status word
	SW       string   `json:"sw"`       // empty: the card did not answer
	Meaning  string   `json:"meaning"`  // of the status word
	Error    string   `json:"error,omitempty"`
	Objects  []Object `json:"objects,omitempty"` // of the response, with Options.Explain
}

// A Step is one step of the standard's transaction and the registers right after it.
type Step struct {
	Name    string   `json:"name"`
	Section string   `json:"section"`
	APDUs   uint32   `json:"apdus"` // how many had been exchanged at its end
	Notes   []string `json:"notes"`
	TVR     Bits     `json:"tvr"`
	TSI     Bits     `json:"tsi"`
}

// Request is the online request of the transaction.
type Request struct {
	Answer     string      `json:"answer"` // in words
	DE55       string      `json:"de55"`
	Cryptogram *Cryptogram `json:"cryptogram"`
}

// CVM is the CVM Results in words.
type CVM struct {
	Hex       string `json:"hex"`
	Method    string `json:"method"`
	Condition string `json:"condition"`
	Result    string `json:"result"`
}

// Cryptogram is what GENERATE AC or GET PROCESSING OPTIONS returned.
type Cryptogram struct {
	Type  string `json:"type"` // AAC, TC or ARQC
	Info  string `json:"cid"`
	ATC   uint16 `json:"atc"`
	Value string `json:"value"`
}

func cryptogramOf(c emv.Cryptogram) *Cryptogram {
	if c == (emv.Cryptogram{}) {
		return nil
	}
	return &Cryptogram{c.Type.String(), fmt.Sprintf("%02X", c.Info), c.ATC, hexText(c.Value[:])}
}

func cvmOf(r emv.CVMResults) CVM {
	out := CVM{Hex: hexText(r[:]), Method: r.CVM().String(), Condition: cvmCondition(r[1]), Result: cvmResult(r[2])}
	if r.CVM() == emv.CVMNotPerformed || r == (emv.CVMResults{}) {
		out.Method, out.Condition = emv.CVMNotPerformed.String(), ""
	}
	return out
}

func cvmResult(b byte) string {
	switch emv.CVMResult(b) {
	case emv.ResultUnknown:
		return "unknown"
	case emv.ResultFailed:
		return "failed"
	case emv.ResultSuccessful:
		return "successful"
	}
	return fmt.Sprintf("RFU %02X", b)
}

// record takes over what an outcome says.
func (r *Report) record(o emv.Outcome, reveal bool) {
	r.AID, r.Label, r.Sequence, r.Expiry = o.AID.String(), o.Label, o.PANSequence, o.Expiry
	r.PAN = o.PAN.Masked()
	if reveal {
		r.PAN = o.PAN.Reveal()
	}
	r.TVR, r.TSI = bitField(o.TVR[:], o.TVR.Words()), bitField(o.TSI[:], o.TSI.Words())
	r.CVM, r.Cryptogram = cvmOf(o.CVM), cryptogramOf(o.Cryptogram)
	r.ARC, r.Scripts, r.DE55 = string(o.ARC), hexText(o.ScriptResults), hexText(o.DE55)
	r.Outcome, r.Reason = string(o.Kind), string(o.Reason)
	r.Language, r.Fallback = o.Language, o.Fallback
	r.Meaning = meaning(o.Kind, o.Reason)
	r.Cause = ""
	if o.Cause != nil {
		r.Cause = o.Cause.Error()
	}
}

// hexText is bytes in capital hexadecimal.
func hexText(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }
