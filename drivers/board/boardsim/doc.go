// Package boardsim is a terminal without hardware: every part of a board
// profile is simulated at the other end of the same wires, and a person or a
// test acts on the parts as one acts on a real terminal.
//
// It is not a shortcut past the drivers: board.Open opens the simulated buses as
// it opens the machine's, and every byte goes through them.
//
//	sim := boardsim.New(&boardsim.Opts{Secure: module})
//	go sim.Run(ctx)
//	parts, err := board.Open(ctx, sim.Profile(), sim.Buses())
//	sim.Slot.Insert(card)             // a card goes in
//	sim.Tap(card)                     // or is held to the antenna
//	sim.PINPad.Press(pinpad.Key1)     // a finger on a key
//	sheet := sim.Paper.Tear()         // the receipt is torn off
//	png.Encode(w, sim.Panel.Image())  // what the display shows
//
// # Two forms
//
// New is the model "posagent-sim" in this process: a bare card slot at character
// level, PIN pad, printer, panel and PN532 on bussim buses. Everything obeys
// virtual time.
//
// NewPTY is for a terminal in another process: the card slot behind a TDA8029,
// PIN pad, printer and PN532 on pseudo-terminals, reached by the paths in the
// profile that it writes to board.json. It has no panel.
//
// # Killed processes
//
// In both forms the terminal may close its ends and open them again, or die:
// the parts keep their state (card in the slot, keys in the pad, paper half
// printed), and what they say meanwhile is lost.
//
// # Goroutines
//
// Run blocks and serves all parts until its context ends; it may be called
// again afterwards. The simulators may be used from any goroutine.
//
// # Limits
//
// Pseudo-terminals pass bytes at once and know no parity. A part on one gives
// up what the terminal does not read within 100 ms.
//
// # Decisions
//
//   - Own buses instead of periph's registries: two boards may stand side by
//     side in one test.
//   - This process keeps the slave of each pseudo-terminal open: a master whose
//     last slave was closed gives an I/O error for good.
package boardsim
