// Package agent assembles one terminal and runs it: parts, journal, host link,
// fleet link, operator, local control. It owns the order of start and end.
//
// It is the only package that sees devices and payments together; the small
// adapters between them live here. It decides nothing about money: package
// transaction does.
//
//	a, err := agent.New(agent.Options{Dir: dir, Serial: "PA000001", Roots: roots, Parts: parts, ...})
//	err = a.Run(ctx)       // until ctx ends
//	answer, err := a.Sale(ctx, control.SaleRequest{RequestID: "1", Amount: "12.34"})
//
// # Start
//
// Identity, configuration and journal are opened first; what a power cut left
// pending becomes an open reversal before anything else is done. The screen is up
// before the host is asked, and the host is signed on before the first customer.
//
// # Goroutines
//
// Run owns all of them. The lane is the one that owns runner, menu, card slot and
// contactless reader (while a card is awaited it lends the two to one goroutine each):
// a transaction, a configuration change and a key press in the menu never happen
// at the same time. Others hand it work through a channel. The journal's writer
// is the last to end.
//
// # What survives a power cut
//
// What journal, configuration and identity keep; the lane holds nothing that is
// not drawn from them. A damaged file ends the start with its name, and so does a
// journal that is missing beside an identity; only a damaged counter goes on, from
// the clock.
//
// # Decisions
//
// Told to stop, the terminal stops waiting for cards at once, but a request that
// is at the host is waited for: its answer is worth more than a fast end.
//
// A part whose port goes away stays lost until the terminal is started again:
// ports are opened once. Status names it, and no sale is begun without it.
//
// Cards are tapped where the configuration has the feature and the terminal the
// reader; without a reader they are inserted, and nothing else changes. Limits and
// the CVM limit come from the configuration, kernels from the RID of each AID.
package agent
