// Package emv holds what every chip kernel of the terminal shares: the card as an interface, command and response
// APDUs, the data store of one transaction, the bit fields of EMV in words, terminal data with its application and
// public key tables, and the outcome a kernel ends with.
//
// It is not a kernel. The contact kernel is agent/emv/contact; offline data authentication is agent/emv/oda; the
// virtual card to test them with is agent/emv/cardsim. It is not approved by any scheme or laboratory: it implements
// the flow of EMV 4.4 Books 1, 3 and 4, nothing more is claimed.
//
//	k := contact.Kernel{Terminal: terminal, Applications: apps, CAPKs: keys, Now: time.Now, Rand: rand.Reader}
//	session, out, err := k.Start(ctx, card, emv.Transaction{Amount: 1234, Sequence: 7}, dialogue)
//	if err == nil && out.Kind == emv.Online {
//		out, err = session.Complete(ctx, emv.OnlineResult{ARC: "00", IssuerAuthData: tag91})
//	}
//
// A kernel is a function of card, terminal data, transaction, clock and random source. Nothing here touches a device,
// a network or a disk, nothing is kept between transactions, and no goroutine is started.
//
// # Secrets
//
// The store holds the PAN, track 2 and the cardholder name, because the kernel must compute with them. Store and Value
// mask them when printed, Outcome carries them as payment.PAN and payment.Track2, which mask themselves, and trace
// events are masked before the hook sees them. DE 55 never holds 5A or 57.
//
// # Decisions
//
//   - An outcome is not an error. A declined sale, a removed card, a card that lies and a cancelled PIN are Outcomes. An
//     error means that the caller used the kernel wrongly.
//   - Bits have a type for each field (TVRBit, TSIBit, AIPBit ...), so that a TSI bit cannot be set in a TVR.
//   - Tables are plain values that marshal to JSON as hexadecimal, so that a terminal's configuration can carry them.
package emv
