// Package hostsim is an acquirer's host for tests, laboratory and demonstration:
// it speaks the profiles of package acquirer, signs terminals on with fresh
// working keys, checks MAC and PIN, authorises by script, keeps a ledger of its
// own, and misbehaves on demand.
//
// It is never part of a terminal, and it is not independent of one: it packs
// with the same codec, so agreement with it proves behaviour, not the format.
//
//	host, err := hostsim.New(hostsim.Config{Profile: profile,
//		TMKs: map[payment.TerminalID][]byte{"12345678": tmk}, Issuer: issuer})
//	host.Script(func(r hostsim.Request) hostsim.Action {
//		if r.Amount == 5100 {
//			return hostsim.Action{Kind: hostsim.Decline, Code: "51"}
//		}
//		return hostsim.Action{}
//	})
//	err = host.Serve(ctx, listener)
//
// # The ledger
//
// A financial request becomes one entry, in the state applied or declined. A
// reversal finds its original by terminal, batch and trace number and turns it to
// reversed; a void turns its original to voided. A request repeated with the same
// trace number gets the same answer again and has no second effect; another
// request under a used trace number is answered 94. A reversal of what never came
// is answered 25, and the original, should it come later, is refused.
//
// # What survives a power cut
//
// Nothing: ledger and keys live in memory.
//
// # Goroutines
//
// Serve starts one for each connection and one for each answer that is sent
// late, and waits for all of them. OnApplied is called on the connection's, which
// stops until it returns.
//
// # Decisions
//
// Faults are actions of one request, chosen when it comes in; so a test names the
// request and what shall go wrong with it, and needs no clock. An answer that is
// late without a delay is sent when the terminal next asks for something, just
// before the answer to that: the order in which a late 0210 meets a 0400.
//
// The PIN expected of a card is part of the configuration. A card that is not
// listed may have any PIN that its block can be opened to.
package hostsim
