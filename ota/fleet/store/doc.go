// Package store keeps what the fleet knows: terminals, bindings, desired configurations, events and the audit trail.
// It is one interface, [Store], with one conformance suite (package storetest) that every engine passes. The engine
// here is [Bolt], one bbolt file of one process.
//
// It is not a cache and holds no rule of the life cycle: it offers atomic read-modify-write and the two promises that
// must hold under race, which are that a serial has one active binding and that an event is stored once.
//
//	s, err := store.OpenBolt(filepath.Join(dir, "fleet.db"))
//	err = s.Update(ctx, func(tx store.Tx) error {
//		t, err := tx.Terminal(serial)
//		...
//		return tx.PutTerminal(t)
//	})
//
// # Power cut
//
// Update returns after the change is on the disk. What it has not returned for is either wholly there or not at all.
//
// # Goroutines
//
// None. Callers of Update queue; the first of them commits for all who wait, then hands over to the next in the queue:
// many small updates share one fsync and no update waits for a timer.
//
// # Decisions
//
//   - Functions passed to Update may run more than once (when another function of the same group fails, the group is
//     rolled back and the others run again) and so assign their results only from the transaction.
//   - Records are JSON, because a person with the inspection tool of bbolt must be able to read them in ten years.
//   - The audit trail is a hash chain whose head is stored apart, so that a changed, removed, reordered or cut-off entry
//     is found by [VerifyAudit]. Somebody who can rewrite the whole file can rewrite the chain; the printed head is what
//     an auditor keeps elsewhere.
//   - Nothing is ever deleted here: events and audit grow with the business. A retention rule needs a policy first.
package store
