// Package cardsim is a virtual payment card: personalised applications that answer command APDUs, with a certification
// authority, issuer and card keys of its own.
//
// It knows nothing of readers. An ICC reader's simulator drives it through ATR, Reset and Transmit; Direct turns it into
// an emv.Card. It is not a model of any product: its data layout, its keys and its card numbers were made for tests.
//
//	card, err := cardsim.Open("dda-online")
//	kernel.CAPKs, err = emv.NewCAPKs(cardsim.CAPKs()...)
//	kernel.Applications = cardsim.Applications()
//	session, out, err := kernel.Start(ctx, cardsim.Direct(card), tx, dialogue)
//
// A personality is JSON (see Personality); personalities/*.json are embedded and Names lists them. What a card decides
// and which faults it has is part of it; faults can also be switched on while it runs.
//
// A card does real cryptography: RSA certificates and signatures of EMV 4.4 Book 2, 5 and 6, application cryptograms with
// 3DES session keys (Book 2, Annex A1: option A, common session key derivation) and ARPC method 1 (Book 2, 8.2.1).
// Issuer is the issuer's side of the same: the host simulator uses it, and it needs no card.
//
// A card verifies PINs, in plain and enciphered under its own or a separate key, counts wrong ones, and obeys the scripts
// that block card or application and unblock the PIN. The PIN of every card here that has one is 1234.
//
// Contactless is the same for a card in the field: a PPSE and applications of kernels 2, 3 and 7 with fDDA, CDA, relay
// resistance and torn transactions. OpenContactless, ContactlessNames and InField are its Open, Names and Direct; its
// personalities are personalities/contactless/*.json.
//
// A card remembers its transaction counter, PIN tries, blocks and script count over Reset, as a chip does, and forgets
// them with the value. A Card may be used from several goroutines; commands are answered one at a time.
//
// # Decisions
//
//   - Keys are embedded and not made at start, which would take seconds. keys.json is written by
//     `go test ./agent/emv/cardsim -run TestKeys -keygen`.
//   - Certificates are made when a card is opened, from the personality's data: changing the JSON never leaves a stale
//     signature.
//   - The layouts force both certificate remainders: an issuer modulus too long for its certificate and a card modulus
//     too long for its own.
package cardsim
