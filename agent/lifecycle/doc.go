// Package lifecycle knows who a terminal is and how far it has come: its key,
// its certificate, its fleet, its state between factory and scrap heap.
//
// The key pair is made on the terminal at first start and never leaves it. An
// activation ends with a certificate of the fleet for that key; from then on the
// identity is whole and the terminal speaks mutual TLS.
//
// It is not the exchange itself (agent/link carries the bootstrap messages) and
// not the reviewer (ota/fleet decides the state; the terminal keeps and shows
// what it was told).
//
//	store, err := lifecycle.Open(dir, "PA000001", roots)
//	hello := store.SPKISHA256()
//	csr, err := store.CSR()
//	err = store.Accept(certificate) // from the fleet
//	if lifecycle.MaySell(store.State()) { ... }
//
// What survives a power cut: the key once Open has returned, the identity once
// Accept has returned nil. Both are replaced whole or not at all.
//
// # Decisions
//
// A damaged identity file is an error that names the file; the terminal does not
// make itself a new key, because the fleet would take it for a clone.
package lifecycle
