// Package wire defines what crosses the air between a terminal and its fleet: MQTT topics, message bodies, the
// signed-document envelope, the activation proof and the names of the life-cycle states. Both ends compile this one
// definition; nothing else in the house knows a topic name or a JSON key.
//
// It is not a transport (see agent/link and ota/fleet/broker) and it keeps no state: replay is decided by the caller,
// who keeps a high-water revision per document type and serial.
//
// # Topics
//
// A terminal that has no certificate yet speaks on the bootstrap listener (server TLS only), MQTT client id
// [BootClientID] = "boot/<serial>/<16 hex>":
//
//	boot/<serial>/hello        terminal -> fleet   Hello
//	boot/<serial>/challenge    fleet -> terminal   Challenge
//	boot/<serial>/csr          terminal -> fleet   CSR
//	boot/<serial>/certificate  fleet -> terminal   Certificate
//	boot/<serial>/refused      fleet -> terminal   Refused
//
// A terminal with a certificate speaks on the main listener (mutual TLS), MQTT client id [ClientID] =
// "<tenant>/<serial>" = common name of its certificate:
//
//	pos/v1/<tenant>/<serial>/up/presence          retained  Presence (birth after subscribing; will)
//	pos/v1/<tenant>/<serial>/up/config/reported             Reported
//	pos/v1/<tenant>/<serial>/up/event                       Event
//	pos/v1/<tenant>/<serial>/up/sync                        Sync
//	pos/v1/<tenant>/<serial>/down/config/desired  retained  Envelope of type TypeConfig around a Config
//	pos/v1/<tenant>/<serial>/down/ack                       Ack
//
// Everything is published with QoS 1. Access is two prefix rules: a terminal writes below its own "up/" and reads below
// its own "down/". Wildcard subscriptions are allowed only as [DownFilter] and [BootFilter].
//
// # Bodies
//
// Bodies are JSON objects, UTF-8, at most [MaxMessage] bytes and [MaxDepth] levels. [Decode] refuses what is larger,
// deeper, not UTF-8, has a duplicate key, a key that is not lower-case snake, a null in a known field, a number that
// does not fit, or a value that [Message.Validate] refuses. A field it does not know is refused in signed documents
// (Envelope, Config) and ignored in all other messages. Every error is a [FieldError], or a join of them, with the
// path of the field.
//
//	var hello wire.Hello
//	if err := wire.Decode(payload, &hello); err != nil { ... }   // errors.As(err, **wire.FieldError)
//	body, err := wire.Encode(&wire.Challenge{...})
//
// Money is int64 in minor units of the named currency. Times are RFC 3339. Binary values are lower-case hex, except
// certificates' DER and signatures, which are standard base64.
//
// # Activation
//
//	terminal: make P-256 key; nonceT; Hello{spki_sha256}
//	fleet:    Challenge{nonce_f, state, reasons, server_time}
//	terminal: the cashier types the code; key := CodeKey(serial, code); CSR{csr, CodeProof(key, ...)}
//	fleet:    Certificate{chain, broker, tenant, signers, state} or Refused{reason}
//
// The code itself never crosses the wire. Every answer repeats nonce_t: a terminal ignores an answer to somebody
// else's hello.
//
// # Signed documents
//
//	env, err := wire.Sign(wire.Envelope{Type: wire.TypeConfig, Payload: payload, ...}, key)
//	env, err := wire.Open(body, wire.Expect{...})     // ErrWrongSigner, ErrWrongSerial, ErrReplayed, ErrExpired ...
//	var cfg wire.Config
//	err = wire.Decode(env.Payload, &cfg)              // lists every wrong field; report wire.Hash(env.Payload)
//
// # Decisions
//
//   - The payload of an envelope is base64 of the exact signed bytes: an intermediate that reformats JSON cannot break
//     a signature, and hash and signature mean the same bytes at both ends.
//   - The signature covers a length-prefixed binary form with a domain string, not JSON: nothing to canonicalise.
//   - Unknown fields are refused in signed documents because a rule that the terminal does not know must not be
//     silently dropped; the fleet knows the terminal's schema number from its birth message. They are ignored in
//     events so that terminals and fleet can be upgraded in any order.
//   - Presence is one topic with one message for birth and will, so that the retained value is always the last word;
//     a will whose n is lower than the current connection number is stale.
//   - Tenant and serial together fit the 64 characters of an X.509 common name.
//   - An Ack can refuse an event by id: a poison message must not stop an outbox for ever.
package wire
