package journal

import (
	"context"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"posagent/agent/payment"
)

const (
	defaultLimit = 100
	maxLimit     = 1000 // records of one List; bounds memory
)

// Record gives the record with this id, or ErrNotFound.
func (j *Journal) Record(id string) (Record, error) {
	return j.one(func(tx *bbolt.Tx) (Record, error) { return j.byID(tx, id) })
}

// ByRequest gives what became of a requester's request, or ErrNotFound.
func (j *Journal) ByRequest(requester, requestID string) (Record, error) {
	return j.one(func(tx *bbolt.Tx) (Record, error) { return j.byRequest(tx, requester, requestID) })
}

// BySTAN gives the record with this voucher number in this batch, or
// ErrNotFound.
func (j *Journal) BySTAN(batch payment.Batch, stan payment.STAN) (Record, error) {
	return j.one(func(tx *bbolt.Tx) (Record, error) {
		return j.byIndex(tx, bucketSTANs, stanKey(uint32(batch), uint32(stan)))
	})
}

// Last gives the newest record, or ErrNotFound.
func (j *Journal) Last() (Record, error) {
	return j.one(func(tx *bbolt.Tx) (Record, error) {
		key, _ := tx.Bucket(bucketRecords).Cursor().Last()
		if key == nil {
			return Record{}, ErrNotFound
		}
		return j.load(tx, key)
	})
}

// List gives records, newest first.
func (j *Journal) List(o ListOptions) ([]Record, error) {
	limit := o.Limit
	if limit <= 0 {
		limit = defaultLimit
	}
	limit = min(limit, maxLimit)
	var out []Record
	err := j.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketRecords).Cursor()
		key, _ := c.Last()
		if o.Before > 0 {
			if k, _ := c.Seek(seqKey(o.Before)); k != nil {
				key, _ = c.Prev()
			} else {
				key, _ = c.Last()
			}
		}
		for ; key != nil && len(out) < limit; key, _ = c.Prev() {
			rec, err := j.load(tx, key)
			if err != nil {
				return err
			}
			if (o.Batch == 0 || rec.Batch == o.Batch) && (len(o.States) == 0 || slices.Contains(o.States, rec.State)) {
				out = append(out, rec)
			}
		}
		return nil
	})
	return out, err
}

// Batch gives the current batch number.
func (j *Journal) Batch() (payment.Batch, error) {
	var b payment.Batch
	err := j.view(func(tx *bbolt.Tx) (err error) {
		b, err = j.batch(tx)
		return err
	})
	return b, err
}

// SetBatch makes b the batch of the transactions to come. Open transactions
// keep the batch they were begun in.
func (j *Journal) SetBatch(ctx context.Context, b payment.Batch) error {
	if b == 0 || b > 999_999 {
		return &FieldError{"batch", fmt.Sprintf("%d is not 1 to 999999", uint32(b))}
	}
	return j.update(ctx, func(tx *bbolt.Tx) error { return putJSON(tx.Bucket(bucketMeta), metaBatch, b) })
}

func (j *Journal) batch(tx *bbolt.Tx) (payment.Batch, error) {
	var b payment.Batch
	if ok, err := loadJSON(tx.Bucket(bucketMeta), metaBatch, &b); err != nil || !ok {
		return 0, j.corrupt("meta batch", orMissing(err))
	}
	return b, nil
}

func (j *Journal) one(f func(*bbolt.Tx) (Record, error)) (Record, error) {
	var rec Record
	err := j.view(func(tx *bbolt.Tx) (err error) {
		rec, err = f(tx)
		return err
	})
	return rec, err
}

func (j *Journal) byID(tx *bbolt.Tx, id string) (Record, error) {
	rec, err := j.byIndex(tx, bucketIDs, []byte(id))
	if err == nil && rec.ID != id {
		return Record{}, j.corrupt("index of record "+id, fmt.Errorf("leads to %s", rec.ID))
	}
	return rec, err
}

func (j *Journal) byRequest(tx *bbolt.Tx, requester, id string) (Record, error) {
	return j.byIndex(tx, bucketRequests, requestKey(requester, id))
}

func (j *Journal) byIndex(tx *bbolt.Tx, bucket, key []byte) (Record, error) {
	if len(key) == 0 || len(key) > bbolt.MaxKeySize {
		return Record{}, ErrNotFound
	}
	seq := tx.Bucket(bucket).Get(key)
	if seq == nil {
		return Record{}, ErrNotFound
	}
	return j.load(tx, seq)
}

// load reads the record under a sequence key that something has named.
func (j *Journal) load(tx *bbolt.Tx, key []byte) (Record, error) {
	seq, err := keySeq(key)
	if err != nil {
		return Record{}, j.corrupt("index", err)
	}
	raw := tx.Bucket(bucketRecords).Get(key)
	if raw == nil {
		return Record{}, j.corrupt(fmt.Sprintf("record %d", seq), fmt.Errorf("missing"))
	}
	rec, err := decodeRecord(key, raw)
	if err == nil && rec.Seq != seq {
		err = fmt.Errorf("calls itself %d", rec.Seq)
	}
	if err != nil {
		return Record{}, j.corrupt(fmt.Sprintf("record %d", seq), err)
	}
	return rec, nil
}

func decodeRecord(key, raw []byte) (Record, error) {
	var in stored
	if err := decodeJSON(key, raw, &in); err != nil {
		return Record{}, err
	}
	return in.record()
}
