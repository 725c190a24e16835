// Package pn532 is the PN532 contactless reader chip on a serial line as an
// nfc.Reader.
//
// It is not a block protocol: the chip runs ISO/IEC 14443-4 by itself, and this
// package gives it whole APDUs. The source is the PN532 user manual, UM0701-02,
// whose sections comments name.
//
//	r, err := pn532.New(port, nil)
//	card, err := r.Poll(ctx, nil)
//	rapdu, err := card.Transmit(ctx, capdu)
//	err = card.Removed(ctx)
//	err = r.Halt()
//
// # Wiring
//
// HSU: TX, RX and ground, 8N1, both interface selection pins low. The chip
// begins at 115200 baud; the driver raises that to Opts.MaxBaud. Nothing else is
// needed: the chip is woken, and set up again after a reset, over the line.
//
// # Recovery
//
// A command that was not acknowledged is sent again, but an APDU never is: the
// card may have had it. A response that was damaged is asked for again with
// NACK, when its command was acknowledged; otherwise the chip might repeat an
// earlier one. One that then equals the response before it is not taken: what
// was damaged may have been an error frame. After anything irregular the chip must first return a number
// that it was not given before (Diagnose), so that no late answer is taken for
// one to the next command. A chip that does not is set up anew.
//
// # Bounds
//
// A command is tried three times. A response is awaited 60 ms, a list of cards
// 400 ms, and an APDU (each part of 262 bytes of one) four times the waiting
// time of the card and 3 s, at most Opts.MaxWait. A response is at most 4 KiB
// and SW1 SW2.
//
// # Errors
//
// Those of package nfc. nfc.ErrTransmission wraps a Status of the chip, ErrChip,
// or what was wrong with a frame. Poll gives ErrChip when the chip is dumb.
//
// # Limits
//
// The sum over a frame misses two flips of the same bit in opposite directions,
// and other faults that come in pairs; nothing above it in the chip's protocol
// finds them. A command byte 0 that is lost and made good by a later one is
// found only by a chip that reads the postamble.
//
// The chip does not tell a collision of type B: two such cards are no card. A
// card of type A that is in the field beside an active one is not noticed. Rates
// are changed for type A only. Frames on air have 64 bytes.
//
// # Goroutines and power cuts
//
// None; a Dev and its cards belong to one goroutine. Nothing is stored. Halt
// leaves the field off and the chip asleep; a process that dies leaves the field
// as it was, and the next use turns it off first.
//
// # Decisions
//
//   - The chip's own protocol machine, not raw frames through it: one exchange on
//     the line for each APDU, and its waiting times are not ours to keep.
//   - Type B is asked for before type A, so that the usual card needs no second
//     question.
//   - What differs between HSU, I2C and SPI is behind one internal interface.
//   - A byte too many after a frame that could hide a doubled 0 is waited for,
//     and parts of commands are cut so that the chip has no such frame.
package pn532
