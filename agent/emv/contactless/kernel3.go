package contactless

import (
	"context"

	"posagent/agent/emv"
)

// kernel3 is qVSDC. EMV Contactless Book C-3 v2.10. What is its own: 6984 asks for another interface, 6986 for a look at
// the telephone, and a terminal that needs a CVM of a card without CTQ tries a signature first.
func (s *session) kernel3(ctx context.Context) error { return s.quick(ctx, &kernel3Rules) }

var kernel3Rules = quickRules{
	end: map[emv.SW]end{
		0x6984:           {kind: TryAnotherInterface, reason: emv.ReasonServiceRefused},
		emv.SWConditions: {kind: SelectNext, reason: emv.ReasonServiceRefused},
		0x6986:           {kind: TryAgain, reason: emv.ReasonServiceRefused, phone: true},
	},
	noCTQ: []CVM{CVMSignature, CVMOnlinePIN},
}
