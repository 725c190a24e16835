package judge

import (
	"fmt"
	"io"
	"strings"
)

// wide is how many bytes of hexadecimal stand in one line of text.
const wide = 32

// page writes lines and keeps the first error.
type page struct {
	out io.Writer
	err error
}

func (p *page) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.out, format+"\n", args...)
	}
}

// hex writes hexadecimal in lines of wide bytes behind a mark.
func (p *page) hex(indent, mark, text string) {
	for first := true; first || text != ""; first = false {
		n := min(len(text), 2*wide)
		p.line("%s%s %s", indent, mark, text[:n])
		text, mark = text[n:], strings.Repeat(" ", len(mark))
	}
}

// bits writes a bit field, a word of it a line.
func (p *page) bits(indent, name string, b Bits) {
	p.line("%s%s %s", indent, name, b.Hex)
	for _, w := range b.Words {
		p.line("%s    - %s", indent, w)
	}
}

// WriteText writes the report for people: the transaction in the order it happened, then what came of it.
func (r *Report) WriteText(out io.Writer) error {
	p := &page{out: out}
	p.head(r)
	done, last := uint32(0), Step{}
	for _, s := range r.Steps {
		p.line("")
		p.line("%s", title(s.Name, s.Section))
		for ; done < s.APDUs && done < uint32(len(r.APDUs)); done++ {
			p.apdu(r.APDUs[done])
		}
		if len(r.Candidates) > 0 && s.Name == r.Steps[0].Name {
			p.candidates(r.Candidates)
		}
		for _, n := range s.Notes {
			p.line("  note: %s", n)
		}
		if s.TVR.Hex != last.TVR.Hex {
			p.bits("  ", "TVR", s.TVR)
		}
		if s.TSI.Hex != last.TSI.Hex {
			p.bits("  ", "TSI", s.TSI)
		}
		last = s
	}
	if len(r.Steps) == 0 && len(r.Candidates) > 0 {
		p.candidates(r.Candidates)
	}
	if done < uint32(len(r.APDUs)) {
		p.line("")
		p.line("after the last step")
	}
	for ; done < uint32(len(r.APDUs)); done++ {
		p.apdu(r.APDUs[done])
	}
	p.result(r)
	return p.err
}

func title(name, section string) string {
	if section == "" {
		return "== " + name
	}
	return "== " + name + "  (" + section + ")"
}

func (p *page) head(r *Report) {
	t := r.Terminal
	p.line("%s transaction of %s (other %s) in currency %s, country %s, terminal type %s", r.Interface, t.Amount, t.Other, t.Currency, t.Country, t.Type)
	p.line("%s %s, unpredictable number %s", t.Date, t.Time, t.UN)
	p.bits("", "terminal capabilities", t.Capabilities)
}

func (p *page) apdu(a APDU) {
	p.line("  %d. %s", a.Number, a.Name)
	p.hex("     ", ">", a.Command)
	if a.SW == "" {
		p.line("     < %s: %s", a.Meaning, a.Error)
		return
	}
	if a.Response != "" {
		p.hex("     ", "<", a.Response)
	}
	p.line("     < %s %s", a.SW, a.Meaning)
	p.objects("       ", a.Objects)
}

func (p *page) candidates(list []Candidate) {
	p.line("  candidates")
	for i, c := range list {
		text := strings.TrimRight(fmt.Sprintf("    %d. %s %s", i+1, c.AID, c.Label), " ")
		if c.Preferred != "" {
			text += " (" + c.Preferred + ")"
		}
		if c.Priority != 0 {
			text += fmt.Sprintf(", priority %d", c.Priority)
		}
		if c.Confirm {
			text += ", must be confirmed"
		}
		if c.Kernel != "" {
			text += ", kernel " + c.Kernel
		}
		p.line("%s", text)
	}
}

func (p *page) result(r *Report) {
	p.line("")
	p.line("== result")
	row := func(name, value string) {
		if value != "" {
			p.line("%-13s %s", name, value)
		}
	}
	row("application", strings.TrimSpace(r.AID+" "+r.Label))
	card := r.PAN
	if r.Sequence != "" {
		card += ", sequence " + r.Sequence
	}
	if r.Expiry != "" {
		card += ", expires " + r.Expiry
	}
	row("card", card)
	p.bits("", fmt.Sprintf("%-13s", "TVR"), r.TVR)
	p.bits("", fmt.Sprintf("%-13s", "TSI"), r.TSI)
	cvm := r.CVM.Hex + " " + r.CVM.Method
	if r.CVM.Condition != "" {
		cvm += ", " + r.CVM.Condition
	}
	if r.Contactless == nil || r.CVM.Hex != "000000" { // kernels 3 and 7 have no CVM Results
		row("CVM", cvm+": "+r.CVM.Result)
	}
	if q := r.Request; q != nil {
		if q.Cryptogram != nil {
			row("request", q.Cryptogram.text())
		}
		row("answer", q.Answer)
	}
	if r.Cryptogram != nil {
		row("cryptogram", r.Cryptogram.text())
	}
	row("response code", r.ARC)
	row("scripts", r.Scripts)
	row("languages", r.Language)
	if r.Fallback {
		row("fallback", "the magnetic stripe may be read instead")
	}
	if r.DE55 != "" {
		p.hex("", fmt.Sprintf("%-13s", "DE 55"), r.DE55)
	}
	if c := r.Contactless; c != nil {
		row("kernel", r.Kernel)
		row("entry point", strings.TrimSpace(c.Outcome+" "+c.Start))
		row("verification", c.CVM)
		row("message", c.Message)
		row("other way", c.Alternate)
		row("balance", c.Balance)
	}
	for _, text := range r.Remarks {
		row("remark", text)
	}
	row("cause", r.Cause)
	row("outcome", r.Outcome)
	row("reason", r.Reason)
	row("meaning", r.Meaning)
}

func (c Cryptogram) text() string {
	return fmt.Sprintf("%s %s, CID %s, ATC %d", c.Type, c.Value, c.Info, c.ATC)
}
