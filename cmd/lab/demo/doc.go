// Package demo runs the laboratory without a person: it presses the keys, moves
// the cards, tears the paper, spoils the network, and says what happened step by
// step. It ends by comparing the four accounts of every transaction: journal,
// host ledger, receipts and fleet events.
//
//	report, err := demo.Run(ctx, demo.Options{Out: os.Stdout, Dir: "build/out/demo"})
//	// report.OK: every step passed and all four agree
//
// # Decisions
//
// Its last act is a second terminal in a process of its own, killed with SIGKILL
// between request and answer: a cut that an orderly program cannot simulate.
package demo
