// Package e2e proves the whole house from card to fleet, in both of its forms: in
// one process (package cmd/lab/house), and as the programs that people run, each a
// process of its own, speaking over TCP, MQTT, unix sockets and pseudo-terminals.
//
//	go test ./build/e2e
//	go test ./build/e2e -run TestRandomKills -v -seed 42    # the same kills again
//
// What is proven here is agreement: after whatever was done to the terminal, its
// journal, the host's ledger, the receipts on paper and the events at the fleet
// tell the same story (house.Agree), and no log, file or message carries a card
// number.
//
// # Decisions
//
// The programs are built once per run by the go command that runs the tests, and
// they are given nothing that a person could not give them: flags, environment,
// files, signals, and the two local interfaces of the simulators.
//
// Tests wait for conditions, never for time. The one timer is the moment of a
// random kill, which is random anyway; its seed is printed.
package e2e
