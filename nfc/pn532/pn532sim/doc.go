// Package pn532sim is a PN532 at the other end of its serial line: it takes
// bytes and gives bytes, and has an antenna on a field of iso14443sim.
//
// It is no card: those are placed on the field. It is no mock of the driver
// either: frames, times and states are the chip's.
//
//	air := iso14443sim.NewAir(nil)
//	chip := pn532sim.New(air, nil)
//	go chip.Serve(ctx, line.Wire())
//	air.Place(iso14443sim.NewPICC(card, nil))
//
// The source is the PN532 user manual, UM0701-02: frames and ACK (6.2.1), NACK
// for the last response, an ACK or a new command that ends a running one, the
// error frame, sleep and wake-up, the speed of the line, and the commands of
// package pn532.
//
// # State
//
// A chip sleeps at 115200 baud when it is made and after Reset. It wakes at a
// 55, and takes commands of the radio only after SAMConfiguration. State
// survives a new Serve. When the wire has SetBaud, the chip says at which speed
// it listens.
//
// # Goroutines
//
// Serve blocks until the wire ends or its context does, and waits for what it
// has started. One Serve at a time; Reset and SetFaults may be called from any
// goroutine.
//
// # Limits
//
// A command in parts (MI) goes on air when its last part is there; a real chip
// sends each part at once. Two targets may be listed, but none of two can be
// spoken to: no CID. HSU only. A frame whose postamble is not 00 is ignored,
// which the manual does not say.
//
// # Decisions
//
//   - Frames on air are at most 64 bytes, the FIFO of the chip's radio.
//   - The radio is an iso14443.Reader on the field, told apart by what went over
//     the air: the chip reports what it heard.
package pn532sim
