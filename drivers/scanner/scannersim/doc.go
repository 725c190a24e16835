// Package scannersim is a serial scan engine at the other end of a line: bytes,
// a trigger input, a reading light that takes its time, and codes that are held
// before it and taken away.
//
// It reads no pictures: what is shown is text. Which commands it knows and how it
// packs codes is the same data that the driver is given, but the state behind
// them is its own.
//
//	engine := scannersim.New(&scannersim.Opts{Framing: framing, Commands: commands})
//	go engine.Serve(ctx, line.Wire())
//	engine.Show("281234567890123456")
//
// # State
//
// Light, enabled symbologies, what is shown and counts belong to the Device and
// survive the end of Serve. PowerCycle forgets what commands have set.
//
// # Faults
//
// Faults cuts, doubles or precedes frames by noise, loses acknowledgements, refuses,
// or is mute. Faults of single bytes and a wrong speed belong to the line.
//
// # Goroutines
//
// Serve blocks and waits for its own reader. All other methods may be called from
// any goroutine.
//
// # Decisions
//
// A good read ends a trigger by command, and puts the light out, as hand-held
// engines do; a trigger by pin lights for as long as it is held, reading once.
package scannersim
