package contactless

// The Entry Point's restart points. EMV Contactless Book B, 2.1, figure 2-1:
//
//	A --ready--> B --tapped--> C --chosen--> D --final--> ended
//	             ^             |  ^          | |
//	             +----lost-----+  +-selectnext |
//	             +----------tryagain-----------+
//
// A ends when no combination is allowed, B when the cardholder has tried too often, C when no candidate is left.

type state string

const (
	stateA     state = "A"
	stateB     state = "B"
	stateC     state = "C"
	stateD     state = "D"
	stateEnded state = "ended"
)

type event string

const (
	evReady      event = "ready"      // a combination is allowed
	evRefused    event = "refused"    // none is
	evTapped     event = "tapped"     // a card is in the field
	evWorn       event = "worn"       // too many taps
	evChosen     event = "chosen"     // an application is selected
	evEmpty      event = "empty"      // no candidate is left
	evLost       event = "lost"       // the card left the field
	evFault      event = "fault"      // the card broke a rule
	evSelectNext event = "selectnext" // kernel outcome Select Next
	evTryAgain   event = "tryagain"   // kernel outcome Try Again
	evFinal      event = "final"      // any other kernel outcome
)

var transitions = []struct {
	from state
	on   event
	to   state
}{
	{stateA, evReady, stateB},
	{stateA, evRefused, stateEnded},
	{stateB, evTapped, stateC},
	{stateB, evWorn, stateEnded},
	{stateC, evChosen, stateD},
	{stateC, evEmpty, stateEnded},
	{stateC, evLost, stateB},
	{stateC, evFault, stateEnded},
	{stateD, evSelectNext, stateC},
	{stateD, evTryAgain, stateB},
	{stateD, evFinal, stateEnded},
}

// next is pure.
func next(s state, e event) (state, bool) {
	for _, t := range transitions {
		if t.from == s && t.on == e {
			return t.to, true
		}
	}
	return stateEnded, false
}
