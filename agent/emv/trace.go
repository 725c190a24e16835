package emv

import (
	"strings"

	"posagent/agent/emv/tlv"
)

// A Trace receives the events of a kernel as they happen, in the kernel's goroutine. Events hold no secret.
type Trace func(Event)

// An Event is one of APDUEvent, StepEvent, CandidatesEvent and NoteEvent.
type Event interface{ event() }

// APDUEvent is one exchange with the card: hexadecimal text in which secret bytes are "**".
type APDUEvent struct {
	Command  string
	Response string
	SW       SW
	Err      error // the card did not answer
}

// StepEvent tells that a step of the transaction has ended, and the registers right after it.
type StepEvent struct {
	Step string // in the standard's words
	TVR  TVR
	TSI  TSI
}

// CandidatesEvent is the candidate list before the final selection.
type CandidatesEvent struct{ Candidates []Candidate }

// NoteEvent is a decision in words, for example which action code matched.
type NoteEvent struct{ Text string }

func (APDUEvent) event()       {}
func (StepEvent) event()       {}
func (CandidatesEvent) event() {}
func (NoteEvent) event()       {}

const hexDigits = "0123456789ABCDEF"

func writeHex(w *strings.Builder, b []byte) {
	for _, c := range b {
		w.WriteByte(hexDigits[c>>4])
		w.WriteByte(hexDigits[c&15])
	}
}

func writeStars(w *strings.Builder, n int) {
	for range n {
		w.WriteString("**")
	}
}

// MaskCommand is a command APDU in hexadecimal. The data of VERIFY and PIN CHANGE is hidden, and so is what dol, the
// list the data was filled from, names as secret.
func MaskCommand(capdu, dol []byte) string {
	var w strings.Builder
	cmd, err := ParseCommand(capdu)
	if err != nil {
		writeStars(&w, len(capdu))
		return w.String()
	}
	head := len(capdu) - len(cmd.Data)
	if cmd.Le {
		head--
	}
	writeHex(&w, capdu[:head])
	switch {
	case cmd.INS == InsVerify || cmd.INS == InsPINChange:
		writeStars(&w, len(cmd.Data))
	case len(dol) > 0:
		maskFilled(&w, cmd.Data, dol)
	default:
		writeHex(&w, cmd.Data)
	}
	if cmd.Le {
		writeHex(&w, capdu[len(capdu)-1:])
	}
	return w.String()
}

// maskFilled writes the filled form of a DOL. A command template (83 L) before it, as in GPO, is written as it is.
func maskFilled(w *strings.Builder, data, dol []byte) {
	list, err := tlv.ParseDOL(dol)
	total := 0
	for _, e := range list {
		total += int(e.Length)
	}
	if err != nil || total > len(data) {
		writeStars(w, len(data))
		return
	}
	writeHex(w, data[:len(data)-total])
	data = data[len(data)-total:]
	for _, e := range list {
		if n := int(e.Length); Secret(e.Tag) {
			writeStars(w, n)
		} else {
			writeHex(w, data[:n])
		}
		data = data[e.Length:]
	}
}

// MaskResponse is the data of a response in hexadecimal with the values of secret data objects hidden. Data that is not
// well-formed TLV is hidden whole, because it could be anything.
func MaskResponse(data []byte) string {
	var w strings.Builder
	if tlv.Check(data) != nil {
		writeStars(&w, len(data))
		return w.String()
	}
	maskTLV(&w, data, 0)
	return w.String()
}

func maskTLV(w *strings.Builder, data []byte, depth int) {
	for len(data) > 0 && depth < tlv.MaxDepth {
		o, rest, err := tlv.Next(data)
		if err != nil || o.Tag == 0 {
			writeHex(w, data[:len(data)-len(rest)])
			return
		}
		head := len(data) - len(rest) - len(o.Value)
		writeHex(w, data[:head])
		switch {
		case Secret(o.Tag):
			writeStars(w, len(o.Value))
		case o.Tag.Constructed():
			maskTLV(w, o.Value, depth+1)
		default:
			writeHex(w, o.Value)
		}
		data = rest
	}
}
