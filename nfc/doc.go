// Package nfc is a contactless card reader as the terminal sees it: it polls
// for one card, carries APDUs to it, and tells when it has gone.
//
// It is a contract, not a reader: package iso14443 implements it over any chip
// that sends and receives single frames. It knows nothing of payment; which
// application to select is the business of the kernel.
//
// The standards are ISO/IEC 14443-3 and -4 and, where it narrows them, EMV
// Contactless Specifications for Payment Systems, Book D (Contactless
// Communication Protocol), called Book D in comments.
//
// A caller uses a Reader:
//
//	card, err := r.Poll(ctx, nil)        // present your card
//	switch {
//	case errors.Is(err, nfc.ErrCollision): // one card only: say so, poll again
//	case err != nil: // ctx is over, or the reader has failed
//	}
//	rapdu, err := card.Transmit(ctx, capdu)
//	...
//	err = card.Removed(ctx)              // please take your card
//	err = r.Halt()
//
// # Errors
//
// ErrNoCard, ErrCollision, ErrUnsupported, ErrRemoved and ErrTransmission are
// what a caller branches on; the last wraps the detail. A context that ended
// gives its own error. Any other error is the reader's: its bus or its chip.
//
// # Goroutines and power cuts
//
// A Reader and the cards it found belong to one goroutine. Nothing is stored.
// The field is off whenever no card is active and no Poll is running.
//
// # Decisions
//
//   - Poll blocks, because the terminal waits for whichever reader is first and
//     cancels the others through their contexts.
//   - A card that speaks no APDUs is an error of its own and not silence: the
//     cardholder is told to use another card.
//   - Two cards are an error and never a choice: Book D, 9.3.
package nfc
