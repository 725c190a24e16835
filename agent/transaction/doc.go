// Package transaction runs one payment from the presented card to the printed
// receipt. It is the place where kernel, host, journal and operator meet.
//
// The run is a straight line; each step hands one value on:
//
//	card in the slot -> emv.Outcome (ARQC, online PIN)
//	  -> journal: pending      durable before a byte leaves for the host
//	  -> host: 0200 / 0210
//	  -> card: issuer authentication, second GENERATE AC
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
// The terminal is its card slot, and there is one.
//
// A card that the host approved and that then refuses, or is pulled, is reversed
// with reason 06 (UnionPay POS profile): the cardholder holds no proof.
//
// A receipt that cannot be printed undoes nothing. The sale stands and the
// receipt can be printed later.
package transaction
