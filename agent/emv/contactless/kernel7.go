package contactless

import (
	"context"

	"posagent/agent/emv"
)

// kernel7 is QuickPass, RID A000000333. The scheme's book (C-7) is not public; this is the flow of qPBOC, PBOC 3.0 part
// 12, as publicly known: the shape of qVSDC with the same tags 9F66, 9F6C, 9F69, 9F5D and fDDA 01.
//
// What differs from kernel 3: 6984 and 6985 let the next application be tried as far as there is one, no status word
// sends the holder to his telephone, an application that is not yet effective is refused offline, a card without CTQ
// above the CVM limit pays with an online PIN first, and DF69 (SM algorithms) and DF60 are answered with 00.
func (s *session) kernel7(ctx context.Context) error { return s.quick(ctx, &kernel7Rules) }

var kernel7Rules = quickRules{
	end: map[emv.SW]end{
		0x6984:           {kind: SelectNext, reason: emv.ReasonServiceRefused},
		emv.SWConditions: {kind: SelectNext, reason: emv.ReasonServiceRefused},
	},
	noCTQ:     []CVM{CVMOnlinePIN, CVMSignature},
	effective: true,
}
