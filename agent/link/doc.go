// Package link is the terminal's one MQTT connection to its fleet: the session,
// the will, the subscription, and the delivery of what the terminal has to say.
//
// The library is a transport only. What must not be lost lives in the caller's
// outbox and leaves it when the fleet has acknowledged it by id, never because a
// publish was accepted. Sessions are clean: after every connection the terminal
// subscribes again, says who it is, and the fleet's retained documents arrive.
//
// It is not needed to sell: payments never wait for it.
//
//	l := link.New(link.Options{Identity: id, TLS: cfg, Outbox: outbox, ...})
//	err := l.Run(ctx) // until ctx ends
//	certificate, err := link.Activate(ctx, link.BootOptions{...}) // once in a terminal's life
//
// # Goroutines
//
// Run owns the session: it alone calls the MQTT client, and acknowledges a message
// to the broker when what it asks for is durable. Handlers of the client copy and
// push to a bounded channel, nothing else; what finds no room there is dropped,
// and the fleet is asked to say again what it wants of this terminal.
//
// # Limits
//
// MQTT 3.1.1 over TLS. The keep-alive is 60 s and does not learn the network's
// time-outs. A packet longer than the longest message ends the connection.
//
// # Decisions
//
// A new client for every attempt, no automatic reconnection: the library's
// back-off has no jitter, and a client must not be used again after Disconnect.
// The wait is drawn evenly from zero to a ceiling that doubles from 2 s to
// 5 min. After a session that had stood the ceiling is at least Options.Spread,
// because a fleet that goes down takes all its terminals with it, and must not be
// met by all of them at once when it comes back.
//
// One event goes out, then whatever has come in is taken: a full outbox never
// keeps acknowledgements waiting until they find no room.
//
// The guard on the wire exists because the library reserves whatever length a
// packet claims, and indexes by the number of codes in a SUBACK.
package link
