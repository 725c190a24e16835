// Package broker is the fleet's MQTT broker: mochi embedded behind two listeners. The bootstrap listener has server TLS
// only and serves "boot/<serial>/..." to terminals without a certificate; the main listener demands a certificate of the
// fleet's own authority and serves "pos/v1/<tenant>/<serial>/...".
//
// It is not a general broker. Terminals do not talk to each other: what a terminal publishes goes to [Options.Receive]
// and nowhere else, and the only retained messages are the fleet's own.
//
//	b, err := broker.Open(broker.Options{...})   // binds both listeners
//	go b.Serve(ctx)                              // until ctx ends
//	err = b.Publish(serial, wire.DownDesired, body, true)
//	b.Kick(serial)                               // after a revocation
//
// # Who gets in
//
// Main listener: TLS 1.3, certificate under Options.Roots, MQTT 3.1.1, clean session, client id equal to the
// certificate's common name "<tenant>/<serial>", tenant equal to ours, certificate allowed by [Options.Allowed], keepalive
// 1 to 1800 s, will on the own presence topic or none. A refusal after TLS is CONNACK 2 or 5 and a typed error to
// [Options.Refused]. Bootstrap listener: client id "boot/<serial>/<nonce>", no will, at most [BootTime] per connection,
// at most Options.BootPerMinute connections per address.
//
// # Power cut
//
// Nothing is stored here. The caller publishes the retained documents again at start.
//
// # Goroutines
//
// Serve owns the listeners' and connections' goroutines and returns when all have ended. Receive runs on the
// connection's goroutine and may block: that connection waits, the others do not. Publish must not be called from
// Receive; hand the message to a worker.
//
// # Decisions
//
//   - Mochi v2.7.9 with its traps avoided: MaximumMessageExpiryInterval 0, because its default deletes retained messages
//     after 24 h; 128 pending writes per client and 512-byte buffers for memory; a packet size bound; QoS 1 at most; no
//     bolt hook (one fsync per packet).
//   - Mochi checks neither the will's topic against the access list nor applies a deadline before CONNECT, and an idle
//     client may send keepalive 0: this package does all three.
//   - MQTT 5 is refused: a delayed will, session expiry and topic aliases are surface that no terminal of ours uses.
//   - Only clean sessions: the server's truth is in the store, a session kept for a dead terminal is a leak.
//   - What a terminal publishes is not routed or retained, so that the late will of a taken-over connection cannot
//     replace a newer birth, and $SYS and foreign topics cannot be fed.
//   - Mochi logs whole packets; its log is discarded, and what matters is reported through Refused.
package broker
