package judge

import (
	"context"
	"fmt"
	"time"

	"posagent/agent/emv"
	"posagent/agent/emv/contact"
)

// runContact performs the transaction with the contact kernel.
func (j *job) runContact(ctx context.Context, w *watch) error {
	w.report.Kernel = "contact"
	k := contact.Kernel{
		Terminal: j.terminal, Applications: j.applications, CAPKs: j.capks,
		Now: func() time.Time { return j.now }, Rand: j.random(), Trace: w.event,
	}
	session, out, err := k.Start(ctx, w, j.tx, cardholder{j})
	if err != nil {
		return err
	}
	w.report.record(out, w.options.Reveal)
	if out.Kind != emv.Online {
		return nil
	}
	w.report.Request = &Request{answerWords(j.online), hexText(out.DE55), cryptogramOf(out.Cryptogram)}
	if j.online == nil {
		w.report.Remarks = append(w.report.Remarks, notAsked)
		return nil
	}
	if out, err = session.Complete(ctx, *j.online); err != nil {
		return err
	}
	w.report.record(out, w.options.Reveal)
	return nil
}

const notAsked = "the host was not asked: -arc 00 would let it approve, -unable would let it be out of reach"

// answerWords is the host's answer in words.
func answerWords(a *emv.OnlineResult) string {
	switch {
	case a == nil:
		return "not asked"
	case a.UnableToGoOnline:
		return "out of reach"
	}
	text := "response code " + string(a.ARC)
	if a.ARC.Approved() {
		text += ", approved"
	}
	if n := len(a.IssuerAuthData); n > 0 {
		text += fmt.Sprintf(", %d bytes of issuer authentication data", n)
	}
	if n := len(a.Scripts); n > 0 {
		text += fmt.Sprintf(", %d bytes of issuer scripts", n)
	}
	return text
}
