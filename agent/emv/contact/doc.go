// Package contact is a contact level 2 kernel: one transaction with a chip card in a reader, from application selection
// to the final cryptogram. EMV 4.4 Books 1 (12), 2 (5, 6), 3 (6, 7, 9, 10) and 4 (6); section numbers of EMV 4.3 are the
// same where none is named.
//
// It is not approved by any scheme or laboratory. It drives no reader and no PIN pad: the card is an emv.Card, the
// cardholder is an emv.Dialogue. It does not talk to the host: it pauses with outcome Online and is completed.
//
//	k := contact.Kernel{Terminal: terminal, Applications: apps, CAPKs: capks}
//	session, out, err := k.Start(ctx, card, tx, dialogue)
//	if err != nil { ... }                // the caller's configuration
//	if out.Kind == emv.Online {          // out.DE55, out.Track2, out.PINBlock go to the host
//		out, err = session.Complete(ctx, result)
//	}
//	switch out.Kind { ... }              // Approve is the only approval
//
// One file holds one step: pse.go and select.go (Book 1, 12), initiate.go (Book 3, 10.1), records.go (10.2),
// authenticate.go (10.3), restrictions.go (10.4), cvm.go and pin.go (10.5), risk.go (10.6), action.go (10.7), generate.go (10.8),
// online.go (10.9 and 10.11), scripts.go (10.10). kernel.go holds their order, exchange.go the bounds on the card.
//
// # A card cannot hold the terminal
//
// Everything a card drives is bounded: SELECT NEXT, directory records, AFL records, commands, response bytes and the
// time it takes to answer. The caller's context ends a transaction at any command. A card that breaks a rule ends it
// with Terminated, one that falls silent with TryAgain, and no input makes the kernel panic. A card cannot set the data
// objects that belong to terminal or issuer.
//
// # What survives
//
// Nothing: the kernel writes nothing, and wipes its data store when a transaction ends. No goroutine is started.
//
// # PINs
//
// No digit reaches the kernel. An online PIN comes as an enciphered block. An offline PIN needs a dialogue that is also an
// emv.OfflinePINPad: the pad sends the plaintext VERIFY itself, through a gate that lets one such command pass and is shut
// afterwards, or returns the block it has enciphered under the card's key. Without such a dialogue the terminal does not
// support offline PIN.
//
// # The magnetic stripe
//
// Outcome.Fallback is data for the acquirer's rule, not permission: it is true when the chip could not be used before an
// application was opened and nothing was blocked, refused or cancelled.
//
// # Limits
//
// Referrals are declines with a reason of their own. The terminal's transaction log is the caller's: it is asked through
// hooks. Extended data authentication (XDA) and elliptic curves of EMV are absent. Data authentication with SM2 is in
// package oda and is not chosen by this kernel.
//
// # Decisions
//
//   - A step sets TVR and TSI itself and they are published after it; nothing is collected for later.
//   - The DF name is compared in full after every SELECT: comparing lengths lets a card answer for another application.
//   - Track 2 with another card number than 5A ends the transaction: the host would see two cards.
//   - CVM results tell of the last method that was performed; a method that is not recognised or not supported was not
//     (Book 4, Annex A4), so that a list of nothing else ends with 3F0001.
//   - PIN entry that was bypassed once is bypassed for the whole transaction (Book 4, 6.3.4.3 permits it).
//   - A VERIFY answered by anything but 9000, 63Cx, 6983 and 6984 ends the transaction (Book 3, 6.3.5).
//   - INTERNAL AUTHENTICATE that fails with a status word ends the transaction (Book 3, 6.3.5); a signature that is wrong
//     only sets the TVR.
//   - A wrong combined signature is never approved and never sent to the host; the card is told with an AAC (Book 2, 6.6.2).
package contact
