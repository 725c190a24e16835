// Package contactless is the contactless half of a terminal's card acceptance: the Entry Point with its pre-processing,
// directory and outcomes, and the kernels 2, 3 and 7. EMV Contactless Specifications v2.10 and v2.11, Books A, B, C-2, C-3
// and C-7, as far as they are publicly known; EMV 4.4 where those books refer to it.
//
// It is not approved by any scheme or laboratory. It drives no radio: the card is an emv.Card that is already activated,
// and polling, the field, screen and lamps are the caller's, told through Outcome and UIRequest.
//
//	r, err := contactless.New(contactless.Config{Terminal: terminal, Combinations: list, CAPKs: capks})
//	out, err := r.Begin(tx)                 // Start A: out.Kind is Ready, or the sale must use another interface
//	for out.Kind == contactless.Ready || out.Start == contactless.StartB {
//		card := ...                         // poll the field
//		out = r.Tap(ctx, card)              // Start B to D
//	}
//	if out.Kind == contactless.Online {     // out.Record goes to the host
//		out = out.Complete(emv.OnlineResult{ARC: arc})
//	}
//
// One file holds one thing: states.go (restart points), preprocess.go (Book B, 3.1), ppse.go (3.3), entry.go (3.2 to 3.5),
// outcome.go (Book A, 6), kernel3.go and kernel7.go over quick.go, kernel2.go with relay.go, torn.go and cvmlist.go,
// authenticate.go (keys and their cache), exchange.go (bounds on the card).
//
// # Bounds
//
// A card drives nothing without a bound: commands, response bytes and time of one tap, directory entries, records,
// relay resistance retries, restarts. No input makes the package panic. A card cannot set what the terminal set. Only a
// verified signature over the transaction approves offline, and in kernel 2 only within the times of relay resistance,
// whatever the action codes say.
//
// # In the field and after it
//
// A kernel first reads everything it needs, then says "card read OK, remove card" through Config.UI, then verifies
// signatures. Issuer keys are cached by RID, index, day, issuer digits and hash of the certificate, at most 16 of them;
// expiry and revocation are checked at every use all the same. A Reader preallocates what a transaction needs.
//
// # What survives
//
// Nothing on disk. A Reader keeps the key cache and, for kernel 2, the log of torn transactions: at most eight, each for
// at most five minutes, and wiped when it is dropped. A Reader belongs to one goroutine; none is started.
//
// # Limits
//
// No issuer update after the host's answer (two presentments), no mag-stripe mode, no data storage, no kernel 1, 4, 5, 6
// or 8, no domestic kernel identifiers (directory entries that ask for one are skipped). Kernels 3 and 7 verify a signature
// only for an offline approval, not for an online request, and leave Application Usage Control to the issuer. Kernel 7 is built from what is
// public: RID A000000333, the qPBOC flow of PBOC 3.0 part 12 and its tags; the scheme's own book is not public, and SM
// algorithms are refused with DF69 = 00. A refund only learns the account: whatever cryptogram the card gives but a TC,
// the host decides.
//
// # Decisions
//
//   - A card may lower the terminal's decision and not raise it: a TC although an online cryptogram was asked for is
//     declined, in every kernel.
//   - fDDA version 00 signs the terminal's number alone, without amount and currency: it is refused.
//   - A torn cryptogram is recovered only for the same sale: same type, amounts and sequence number. Book C-2 leaves a
//     changed amount to the terminal; here it never carries an old approval to a new amount.
//   - A lost card is worth a bounded number of further taps, then another interface.
//   - The kernels of Books C-3 and C-7 share one flow, and each states its differences as a table in its own file.
package contactless
