// Package payment holds the nouns of a card payment: amounts, card numbers,
// trace numbers, identifiers, and the request and response that cross the host
// link.
//
// It is a leaf: it imports the standard library only and knows no device, no
// kernel, no store and no wire. Every other room of the terminal speaks in
// these words, so that one value can be handed on once, from the keypad to the
// receipt, without being renamed.
//
// It is not a validator of business rules. It refuses what cannot be the thing
// it is named for (a card number of three digits, a trace number of zero) and
// nothing else.
//
//	amt, err := payment.ParseMinor("1234") // 12.34 in CNY
//	pan, err := payment.NewPAN("6226097318460046")
//	fmt.Println(amt.Format(payment.CNY), pan) // 12.34 622609******0046
//
// # Secrets
//
// PAN, Track2 and PINBlock mask themselves in String, Format, MarshalJSON and
// LogValue. Reveal is the one way out; it is meant for packing a host message,
// for the kernel, for keys and for sealing into the journal, and can be found
// with grep.
//
// # Decisions
//
// Amounts are int64 in minor units with the currency beside them, never floats:
// twelve digits (ISO 8583 field 4) fit with room to spare, also on 32-bit
// processors.
//
// Identifiers that are numbers on the wire but names in life (terminal,
// merchant, RRN) are strings; the trace number and the batch number are counted
// by the terminal and therefore integers of fixed width.
package payment
