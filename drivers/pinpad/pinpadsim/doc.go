// Package pinpadsim is a secure PIN pad at the other end of a serial line: it
// speaks the protocol of package pinpad as bytes, has a keyboard that Press
// presses, and keeps digits of a PIN inside.
//
// It holds no keys itself: what does is a Secure, given by whoever builds the pad.
// A PIN for a card it enciphers for real, under the key that came with the
// request (EMV 4.4 Book 2, 7.2).
//
//	pad := pinpadsim.New(&pinpadsim.Opts{Secure: module, Serial: "PP000001"})
//	go pad.Serve(ctx, line.Wire())
//	pad.Press(pinpad.Key1)
//
// # State
//
// Keys, PIN entry, session and counters belong to the Device and survive the end
// of Serve: a terminal that was killed finds the pad as it left it. PowerCycle
// forgets everything but the keys.
//
// # Faults
//
// Faults loses or breaks the next frames that the pad sends, or makes its answers
// late. Tamper opens the case: keys are wiped. Faults of single bytes belong to
// the line.
//
// # Goroutines
//
// Serve blocks and waits for its own reader. All other methods may be called from
// any goroutine.
//
// # Decisions
//
// The pad takes its keys' errors by a method KeyFault, so that it can tell a
// missing key from a wrong check value without knowing the package of either.
package pinpadsim
