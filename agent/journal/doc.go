// Package journal keeps every transaction of the terminal, durably and exactly
// once: the record, the queue of reversals, the batch totals, the trace number
// and the outbox of events, in one bbolt file.
//
// It is not a policy: it never decides whether to sell, reverse or settle. It
// answers what happened, what is still open, and refuses what would contradict
// what it has already promised. It knows payment values only; no kernel, host
// message, device or fleet.
//
// # Use
//
//	j, err := journal.Open(path, journal.Options{Key: deviceKey})
//	go j.Run(ctx)                               // owns the one writer
//	open, err := j.Recover(ctx)                 // pending after a cut -> reversing
//	rec, err := j.Begin(ctx, journal.Draft{...})   // PENDING is on disk now
//	// ... only now may the first byte leave, with rec.STAN and rec.Batch
//	rec, err = j.Finish(ctx, rec.ID, journal.Result{Event: journal.Approve, Response: resp})
//	// ... only now may "approved" be shown
//	revs, err := j.Reversals(ctx)               // to be sent before the next online sale
//	rec, err = j.ReversalDone(ctx, rec.ID, "00")
//
// # What survives a power cut
//
// Whatever a method has returned without error. Begin, Finish, ReversalDone and
// the others return after their bbolt transaction has been synced; each arrow of
// the state diagram in states.go is one such transaction, so that a cut leaves
// either all of it (state, totals, queue, outbox) or nothing.
//
//	cut before Begin returned   nothing was sent; the record may or may not exist
//	cut after Begin returned    the record is pending; Recover makes it reversing
//	cut after Finish returned   the outcome stands; the receipt may be reprinted
//	cut during a reversal       it is still in the queue and is repeated
//
// # Concurrency
//
// Run owns the only writer and blocks until its context ends. Other methods may
// be called from any goroutine. A writing method waits for Run to take its work;
// from then on it ignores its context until the disk has answered. Reading
// methods take a consistent snapshot and do not wait for the writer.
//
// # Secrets
//
// Track 2 and PIN block are never written. The card number, its expiry and the
// chip data, needed for a reversal only, are sealed together with AES-256-GCM
// under the device key (additional data: record id and field name) while the
// record is pending or reversing, and deleted in the transaction that closes it.
// Deleted means unreferenced: the sealed bytes stay in a free page of the file
// until that page is used again, and are useless without the key. The record
// itself holds the first six and last four digits.
//
// # Limits
//
// One file serves one binding of terminal and merchant. All records of a batch
// have one currency. Refunds are refused: a refund is an advice that is repeated
// until it is accepted, which is a queue of its own. An invalid meta page is
// what a torn last write leaves; the file then opens at the transaction before
// it, which is the last one acknowledged, and a warning is logged.
//
// # Decisions
//
// bbolt with NoFreelistSync and a map freelist: two fdatasync per commit and a
// full scan at open, which a file of this size affords. Own group commit instead
// of bbolt's Batch, whose 10 ms delay a sale would feel twice.
//
// The file is checked page by page, under its lock, before bbolt sees it: bbolt
// answers a damaged page with a panic in a goroutine of its own, or with a bus
// error, and neither can be recovered by a caller. Values carry a CRC-32C of key
// and content, so that a flipped bit inside a record is found when it is read.
//
// A new file is built under another name, synced and renamed. An empty file at
// the path is therefore always damage, never a fresh start. A damaged file is
// reported with its cause and left as it is.
//
// A commit that fails for any reason but a full disk ends Run with that error:
// after a failed sync nobody knows what is on disk until the file is opened anew.
package journal
