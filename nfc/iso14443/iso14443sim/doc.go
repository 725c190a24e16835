// Package iso14443sim is a field with contactless cards in it, at the other end
// of the air: the frames that a reader of package iso14443 gets are the ones
// that cards would send, with time, collisions and faults.
//
// It is not a card application: the Card inside a PICC answers APDUs, and any
// value with two methods will do. It is not a reader's mock either: it takes
// frames, never calls of a higher layer.
//
//	air := iso14443sim.NewAir(nil)
//	air.Place(iso14443sim.NewPICC(card, nil))
//	reader, err := iso14443.New(air, nil)
//	c, err := reader.Poll(ctx, nil)
//
// Air is the carrier and an ideal reader chip on it. PICC is one card: it starts
// 5 ms after the carrier, loses its state when that is off, walks the states of
// ISO/IEC 14443-3 (IDLE, READY, ACTIVE, HALT) and then speaks the block
// protocol of ISO/IEC 14443-4. It is silent where the standard has it silent: on
// a wrong check, on a frame longer than it takes, on a frame that comes before
// the guard time is over, and while it is thinking.
//
// # Time
//
// Frames take the time that their bits take at the rate in force, cards answer
// after their own delay. Time is plain package time: a testing/synctest bubble
// makes it virtual.
//
// # Faults
//
// A Plan is asked before each frame of the reader, by number, what goes wrong
// with it and with its answer, so a run repeats exactly.
//
// # Goroutines
//
// None. Place, Remove and SetPlan may be called from any goroutine.
//
// # Limits
//
// Answers that overlap only in part are garbled as a whole. A type A card does
// not hear type B, and the other way round. No CID, no NAD, no slots.
//
// # Decisions
//
//   - The protocol machines are written apart from the reader's and share only
//     the codecs: a wire has one definition, its two ends do not.
package iso14443sim
