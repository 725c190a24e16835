// Package iso14443 makes an nfc.Reader of anything that sends and receives
// single frames: it polls, settles who is in the field, activates the card and
// carries APDUs in blocks.
//
// It is no chip driver: a chip is a Transceiver. It is not a kernel either:
// APDUs pass through unread.
//
// The standards are ISO/IEC 14443-3:2018 (requests, anticollision, CRC_A and
// CRC_B), ISO/IEC 14443-4:2018 (RATS, PPS, block protocol, called ISO-DEP) and
// EMV Contactless Specifications for Payment Systems, Book D version 2.6, whose
// narrower rules are the default.
//
// A caller gives a Transceiver and uses the nfc.Reader:
//
//	r, err := iso14443.New(chip, nil)
//	card, err := r.Poll(ctx, nil)
//	rapdu, err := card.Transmit(ctx, capdu)
//	err = card.Removed(ctx)
//	err = r.Halt()
//
// # One tap
//
//	WUPA - HLTA - WUPB - WUPA     one card of one type, or nfc.ErrCollision
//	anticollision and SELECT      one to three cascade levels, UID of 4, 7, 10
//	RATS - ATS - SFGT - PPS       frame sizes, waiting times, 212 or 424 kbit/s
//	I-blocks                      APDUs, chained both ways, S(WTX), R(NAK)
//	reset - WUPA until silence    Removed
//
// Type B takes WUPB - WUPA - WUPB - ATTRIB in place of the first three.
//
// # Bounds
//
// A frame of the activation, and a block, is sent three times at most. An APDU
// takes at most 256 extensions of the waiting time and 30 s, plus the waiting
// time that is running then (4.95 s at most); a response is at most 4 KiB and
// SW1 SW2. Anticollision takes 33 frames a level, three levels. Poll and Removed
// last as long as their context.
//
// # Errors
//
// Those of package nfc. An error that wraps nfc.ErrTransmission also wraps
// ErrTimeout, ErrGarbled, a *FormatError that names the field, or says which
// bound was met. When a card falls silent, the field is reset and asked: if
// somebody still answers it is nfc.ErrTransmission, otherwise nfc.ErrRemoved.
//
// # Limits
//
// CRC_A misses one in 256 frames that lost exactly their last byte, should a
// chip not notice that either; nothing above it can.
//
// No CID and no NAD, frames of 256 bytes at most. Collisions of type B are never
// settled in slots. No proprietary type, no type F, no S(PARAMETERS).
//
// # Goroutines and power cuts
//
// None of its own; a Reader belongs to one goroutine. Nothing is stored.
//
// # Decisions
//
//   - PPS is used although Book D does without it: 424 kbit/s takes three
//     quarters off the air time. A card that fails in it is activated again at
//     106 kbit/s within the same Poll. Opts.MaxRate says no.
//   - A block with a right check that the protocol does not allow ends the
//     session, as Book D, 10.3.5.4 has it, and is never repaired: the next block
//     might be the answer to another command.
//   - Once a card has asked for more time it cannot have its block sent again: a
//     command must not be carried out twice.
//   - The guard time before a frame is kept here and counted from the return of
//     Exchange, so that a chip's driver needs none.
//   - The codecs of ATS, ATQB and blocks are exported, so that iso14443sim
//     speaks the same wire by the same definition.
package iso14443
