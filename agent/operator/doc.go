// Package operator is the dialogue with cashier and cardholder: what the keys
// mean, what the screen says, in Chinese and English.
//
// It has two halves. Machine is a pure state machine over key presses: it turns
// "1, 1 2 3 4, Enter" into a request to sell for 12.34 and yields a Screen value
// at every step. Desk is what a running transaction talks to: it shows progress,
// waits for a decision, counts PIN dots and notices the Cancel key.
//
// It is not a renderer (agent/screen draws a Screen), not a PIN pad (digits of a
// PIN never come here, only their count), and it takes no payment decision.
//
//	m := operator.NewMachine(operator.Chinese, payment.CNY, limits)
//	m, act := m.Step(operator.Press(operator.Key1))   // amount entry
//	...
//	if act.Kind == operator.ActSale { run(act.Amount) }
//
// # Texts
//
// Every text for people lives in the catalogue of this package, in both
// languages, and ends with what to do next. A test holds every entry against
// that rule.
//
// # Decisions
//
// The Screen carries a stable Name beside its texts, so that a test, a recording
// or a screen reader can say where the terminal is without reading pixels.
//
// Amounts are typed in minor units, as the trade does: 1 2 3 4 is 12.34.
package operator
