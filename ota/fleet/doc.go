// Package fleet is the fleet manager: it activates terminals, tells each what it shall be (a signed configuration),
// hears what it is and what happened, and keeps an audit trail. It knows terminals only through ota/wire.
//
// It is not in the payment path: a shop sells while the fleet is down.
//
//	s, err := fleet.Open(fleet.Options{Dir: dir, Log: log})   // makes authority and token at first start, binds ports
//	fmt.Println(s.Addrs(), s.RootFile(), s.TokenFile())
//	err = s.Run(ctx)                                          // until ctx ends; closes everything
//
// # Flows
//
//	activation     boot/hello -> challenge -> csr -> certificate | refused     (package enroll)
//	configuration  PushConfig: validate, check the binding, next revision, sign, store, audit -> retained down/config/desired
//	               terminal -> up/config/reported -> stored, audited when it changes
//	presence       birth -> stored, desired published again; will or lost connection -> offline; a stale number is ignored
//	event          up/event -> stored once by id -> down/ack after the write is durable
//	sync           up/sync -> desired published again
//
// # Power cut
//
// What a terminal was told or promised is in the store before it is sent: an ack follows the durable event, a retained
// configuration its durable record, a certificate its record on the allow list. At start the retained messages are
// published again from the store, and every terminal counts as offline until its next birth.
//
// # Goroutines
//
// Run owns four: broker, HTTP server, publisher and the one that ends them. Messages are handled on the broker's
// connection goroutines, each waiting for its own durable write: that is the back-pressure, and the store groups their
// commits. Only the publisher calls Broker.Publish.
//
// # Decisions
//
//   - A message that cannot be read is dropped and logged, except an event whose id can be read: that one is refused by
//     id, so that it does not block the terminal's outbox for ever.
//   - The configuration must name the merchant and terminal id of the active binding: one machine, one code.
//   - The revision is the fleet's to give; it never goes back, also not over a re-activation.
//   - The administrator's HTTP port is bound to loopback and nothing else, because it has no TLS of its own.
//   - There are no commands, rollouts, users or retention of old events in this version.
package fleet
