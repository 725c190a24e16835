// Package house puts a whole house together in one process: a virtual terminal
// with every part at the other end of its wires, an acquirer's host, and a fleet
// manager with its broker. The laboratory, its demonstration and the end-to-end
// tests all live in this house.
//
//	h, err := house.Open(house.Options{Dir: dir})
//	go h.Run(ctx)
//	err = h.Activate(ctx)                  // code, certificate, configuration, sign-in
//	h.Press("1", "1", "2", "3", "4", "enter")
//	h.Insert("online-pin")
//
// Nothing is short-circuited: keys go through the PIN pad's serial line, the card
// through characters on a half-duplex line, the sale through TCP to the host, the
// configuration through MQTT with mutual TLS, the receipt through ESC/POS bytes.
//
// # Decisions
//
// It lies under cmd/lab because it is the only place that sees terminal, host
// simulator and fleet together, which no package of the house itself may.
//
// The master key of the PIN pad, the cards and their authority were made for
// tests and are worth nothing elsewhere.
package house
