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
// Run owns the session: it alone calls the MQTT client. Handlers of the client
// copy and push to a bounded channel, nothing else.
//
// # Decisions
//
// A new client for every attempt, no automatic reconnection: the library's
// back-off has no jitter, and a client must not be used again after Disconnect.
// The wait is drawn evenly from zero to a ceiling that doubles from 2 s to
// 5 min, so that a fleet that comes back is not met by all terminals at once.
package link
