package journal

import (
	"context"

	"go.etcd.io/bbolt"
)

// maxOutbox bounds the entries of one Outbox call.
const maxOutbox = 256

// Outbox gives the oldest entries not yet acknowledged, at most max (at most
// 256). They stay until Acked, so that a lost acknowledgement means a second
// delivery with the same id, never a lost event.
func (j *Journal) Outbox(ctx context.Context, max int) ([]OutboxEntry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var out []OutboxEntry
	err := j.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketOutbox).Cursor()
		for key, raw := c.First(); key != nil && len(out) < min(max, maxOutbox); key, raw = c.Next() {
			e, err := j.decodeOutbox(key, raw)
			if err != nil {
				return err
			}
			out = append(out, e)
		}
		return nil
	})
	return out, err
}

// Acked removes the entries with these ids. Unknown ids are ignored: an
// acknowledgement may come twice.
func (j *Journal) Acked(ctx context.Context, ids ...string) error {
	if len(ids) == 0 {
		return nil
	}
	return j.update(ctx, func(tx *bbolt.Tx) error {
		outbox, index := tx.Bucket(bucketOutbox), tx.Bucket(bucketOutboxIDs)
		for _, id := range ids {
			if id == "" {
				continue
			}
			seq := index.Get([]byte(id))
			if seq == nil {
				continue
			}
			if err := outbox.Delete(seq); err != nil {
				return err
			}
			if err := index.Delete([]byte(id)); err != nil {
				return err
			}
		}
		return nil
	})
}

// OutboxSignal is sent to, never closed, when the outbox has grown, and at Open
// if it is not empty. It holds at most one signal; read the outbox until it is
// empty after each.
func (j *Journal) OutboxSignal() <-chan struct{} { return j.outbox }

// putOutbox adds an entry for the state the record has entered.
func (j *Journal) putOutbox(tx *bbolt.Tx, rec Record) error {
	b := tx.Bucket(bucketOutbox)
	seq, err := b.NextSequence()
	if err != nil {
		return err
	}
	e := OutboxEntry{ID: rec.ID + "/" + string(rec.State), Kind: string(rec.State), RecordID: rec.ID}
	if err := putJSON(b, seqKey(seq), e); err != nil {
		return err
	}
	tx.OnCommit(j.signalOutbox)
	return tx.Bucket(bucketOutboxIDs).Put([]byte(e.ID), seqKey(seq))
}

func (j *Journal) decodeOutbox(key, raw []byte) (OutboxEntry, error) {
	var e OutboxEntry
	seq, err := keySeq(key)
	if err == nil {
		err = decodeJSON(key, raw, &e)
	}
	if err != nil {
		return e, j.corrupt("outbox", err)
	}
	e.Seq = seq
	return e, nil
}

func (j *Journal) outboxLen() (n uint64, err error) {
	err = j.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketOutbox).Cursor()
		if key, _ := c.First(); key != nil {
			n = 1
		}
		return nil
	})
	return n, err
}
