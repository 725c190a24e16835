// Package enroll decides which machine may be a terminal of this fleet: it registers serials and binds them to one
// merchant, issues one-time activation codes, and turns a certificate request that proves code and key into a
// certificate. It holds the fleet's certificate authority.
//
// It is not the network: [Desk.Hello] and [Desk.CSR] take a message and return the answer. It is not the allow list
// either; the caller reads the terminal's certificates from the store.
//
// # Authority
//
// Two tiers. The root (P-256, 20 years) signs only intermediates; its key is written to root/root.key at first start and
// is meant to be carried away to a safe: everything works without it until the intermediate nears its end. The
// intermediate (5 years) signs terminals (90 days, common name "<tenant>/<serial>" from the fleet's own record, never from
// the request) and the fleet's server certificate (1 year, renewed at start when a third is left or a host is missing).
// An Ed25519 key signs documents.
//
// # Activation code
//
// Eight Crockford characters, 40 random bits. Only its PBKDF2 key is stored. It is bound to the serial, lives 15
// minutes, dies with the fifth wrong proof, and is used once, in the same transaction that records the certificate. The
// same key that used a code may ask again while it lives, and gets the same certificate: the answer may have been lost
// on the air.
//
// # Power cut
//
// Code use, certificate and audit entry are one transaction. Key files are written whole to a new name, synced and
// renamed; a key is on the disk before its certificate.
//
// # Decisions
//
//   - crypto/x509 instead of a certificate service: what is needed is three templates.
//   - This version's path to ACTIVE is short: registration by an administrator stands for the review (APPROVED), and the
//     proof of the code for approval and confirmation at once (ACTIVE). Applications, papers and reviewers have no
//     record here.
//   - A wrong code is counted in the store, not in memory: a restart gives no new tries.
//   - An outcome of the exchange, refusal included, is a message; an error means that the fleet itself has a problem.
package enroll
