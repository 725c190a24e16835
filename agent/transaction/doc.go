// Package transaction runs one payment from the presented card to the printed
// receipt. It is the place where kernel, host, journal and operator meet.
//
// The run is a straight line; each step hands one value on:
//
//	card in the slot or in the field, whichever is first -> emv.Outcome (ARQC, PIN)
//	  -> journal: pending      durable before a byte leaves for the host
//	  -> host: 0200 / 0210
//	  -> card: issuer authentication, second GENERATE AC (in the slot only)
//	  -> journal: final        one commit: result, totals, reversal, outbox
//	  -> receipt
//
// Every end that is not the host's clear answer and the card's agreement is a
// reversal, written down before it is sent. Open reversals go out before the next
// sale; as long as one is open, nothing is sold.
//
// It is not a state machine of its own: the stored state of a transaction is the
// journal's, and what a restart finds there is all that counts.
//
//	runner := &transaction.Runner{Journal: j, Host: link, Card: reader, PIN: pad, Desk: desk, Print: print}
//	err := runner.Recover(ctx) // once, before the first sale
//	outcome := runner.Sale(ctx, settings, transaction.Sale{Requester: "operator", RequestID: id, Amount: 1234})
//
// What survives a power cut: everything the journal has accepted. Cancelling the
// context never loses a journal write: durable steps run detached from it.
//
// # Decisions
//
// One goroutine runs transactions, one at a time; a Runner is not safe for more.
// The terminal has one card slot and at most one contactless reader.
//
// A card in the slot and one in the field are waited for at once; the first wins
// and the other wait is cancelled. If both come together the slot wins: it takes
// intent to insert. Two cards in the field are none. A card of the last sale, in
// the slot or on the reader, must be away before the next card counts.
//
// Contactless kernels run as a terminal that always asks the host. A card that
// approves by itself all the same is not believed: nothing is sold. After the tap
// the card is away, so the host's answer is the outcome, and there is no card to
// refuse it.
//
// A card that the host approved and that then refuses, or is pulled, is reversed
// with reason 06 (UnionPay POS profile): the cardholder holds no proof.
//
// What could not be written down is not forgotten while the process lives: a
// record that stayed pending because the disk failed is reversed before the next
// sale, without waiting for a restart.
//
// A host's remark that the journal refuses (it holds the card number, or is too
// long) is dropped and the outcome kept: the money has moved.
//
// The host link's working keys are taken anew after 99, A0 and 77, after an answer
// with a wrong MAC, when the header asks for it, and when the PIN pad says that it
// has lost them.
//
// A PIN that the card verifies is taken enciphered only: the digits stay in the
// PIN pad. A plaintext offline PIN counts as not supported, and the kernel goes on
// to the card's next method.
//
// The card has no power while the receipt is printed, so that it may be pulled.
//
// Told to stop, a runner stops up to the moment before the record is made; what
// has a record is ended, and only a reversal that is owed is left to the next
// start.
//
// A receipt that cannot be printed undoes nothing. The sale stands and the
// receipt can be printed later.
package transaction
