package journal

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"posagent/agent/payment"
)

// MaxProblems bounds the problems that one Report lists.
const MaxProblems = 100

// Verify reads everything and reports what does not agree: records that cannot
// be read, a trace number used twice in a batch, totals that are not the sum of
// the records, open records missing from the queue or without their reversal
// image, indexes and outbox entries that lead nowhere, and damage of the file's
// own structure. The error is for a journal that cannot be read at all.
func (j *Journal) Verify(ctx context.Context) (Report, error) {
	v := &verifier{
		j: j, report: Report{ByState: map[State]uint64{}},
		totals: map[payment.Batch]Totals{}, stans: map[[2]uint32]string{}, open: map[string]State{},
	}
	if err := j.still(v.structure); err != nil {
		return v.report, err
	}
	err := j.view(func(tx *bbolt.Tx) error {
		for _, step := range []func(context.Context, *bbolt.Tx) error{v.records, v.queue, v.sums, v.outbox} {
			if err := step(ctx, tx); err != nil {
				return err
			}
		}
		return nil
	})
	return v.report, err
}

type verifier struct {
	j      *Journal
	report Report
	totals map[payment.Batch]Totals
	stans  map[[2]uint32]string // batch, STAN -> record id
	open   map[string]State     // sequence key -> state, of records that are open
}

func (v *verifier) problem(format string, args ...any) {
	if len(v.report.Problems) < MaxProblems {
		v.report.Problems = append(v.report.Problems, fmt.Sprintf(format, args...))
	}
}

// structure uses bbolt's own check.
func (v *verifier) structure(tx *bbolt.Tx) {
	for err := range tx.Check() {
		v.problem("file structure: %v", err)
	}
}

// still runs look while nobody writes: bbolt's check compares the pages with the
// list of free ones, which a writer changes under it (bbolt v1.5.0, Tx.Check). It
// holds the writer's lock and writes nothing.
func (j *Journal) still(look func(*bbolt.Tx)) error {
	if j.readOnly {
		return j.view(func(tx *bbolt.Tx) error { look(tx); return nil })
	}
	if err := j.broken.Load(); err != nil {
		return *err
	}
	err := guard(j.path, "read", func() error {
		tx, err := j.db.Begin(true)
		if err != nil {
			return err
		}
		defer tx.Rollback() //nolint:errcheck // nothing was changed
		look(tx)
		return nil
	}, j.breaks)
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	return err
}

func (v *verifier) records(ctx context.Context, tx *bbolt.Tx) error {
	return tx.Bucket(bucketRecords).ForEach(func(key, _ []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		v.report.Records++
		rec, err := v.j.load(tx, key)
		if err != nil {
			v.problem("%v", err)
			return nil
		}
		v.record(tx, string(key), rec)
		return nil
	})
}

func (v *verifier) record(tx *bbolt.Tx, key string, rec Record) {
	v.report.ByState[rec.State]++
	t := v.totals[rec.Batch]
	t.Batch, t.Currency = rec.Batch, rec.Currency
	t.add(rec)
	v.totals[rec.Batch] = t
	if rec.State.Open() {
		v.open[key] = rec.State
	}
	number := [2]uint32{uint32(rec.Batch), uint32(rec.STAN)}
	if other := v.stans[number]; other != "" {
		v.problem("records %s and %s both have STAN %s in batch %s", other, rec.ID, rec.STAN, rec.Batch)
	}
	v.stans[number] = rec.ID
	for _, index := range []struct {
		name        string
		bucket, key []byte
	}{
		{"id", bucketIDs, []byte(rec.ID)},
		{"request", bucketRequests, requestKey(rec.Requester, rec.RequestID)},
		{"STAN", bucketSTANs, stanKey(number[0], number[1])},
	} {
		if string(tx.Bucket(index.bucket).Get(index.key)) != key {
			v.problem("record %s is not found by its %s", rec.ID, index.name)
		}
	}
	if n := len(rec.Changes); n == 0 || rec.Changes[n-1].State != rec.State {
		v.problem("record %s is %s, but its last change says otherwise", rec.ID, rec.State)
	}
}

// queue compares the open records with the queue and the sealed images.
func (v *verifier) queue(_ context.Context, tx *bbolt.Tx) error {
	open, images := tx.Bucket(bucketOpen), tx.Bucket(bucketImages)
	for key, state := range v.open {
		rec, err := v.j.load(tx, []byte(key))
		if err != nil {
			return err
		}
		if State(open.Get([]byte(key))) != state {
			v.problem("record %s is %s, but not in that queue", rec.ID, state)
		}
		if _, _, err := v.j.seal.openImage(rec.ID, images.Get([]byte(key))); err != nil {
			v.problem("record %s has no readable reversal image: %v", rec.ID, err)
		}
	}
	for _, b := range []struct {
		name   string
		bucket *bbolt.Bucket
	}{{"queue entry", open}, {"reversal image", images}} {
		err := b.bucket.ForEach(func(key, _ []byte) error {
			if _, ok := v.open[string(key)]; !ok {
				v.problem("%s %x belongs to no open record", b.name, key)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) sums(_ context.Context, tx *bbolt.Tx) error {
	stored := 0
	err := tx.Bucket(bucketTotals).ForEach(func(key, raw []byte) error {
		stored++
		var t Totals
		if err := decodeJSON(key, raw, &t); err != nil {
			v.problem("totals %x: %v", key, err)
			return nil
		}
		if want := v.totals[t.Batch]; t != want {
			v.problem("totals of batch %s are %+v, the records give %+v", t.Batch, t, want)
		}
		return nil
	})
	if stored != len(v.totals) {
		v.problem("%d batches have totals, %d have records", stored, len(v.totals))
	}
	return err
}

func (v *verifier) outbox(_ context.Context, tx *bbolt.Tx) error {
	index := tx.Bucket(bucketOutboxIDs)
	err := tx.Bucket(bucketOutbox).ForEach(func(key, raw []byte) error {
		v.report.Outbox++
		e, err := v.j.decodeOutbox(key, raw)
		if err != nil {
			v.problem("%v", err)
			return nil
		}
		if string(index.Get([]byte(e.ID))) != string(key) {
			v.problem("outbox entry %s is not found by its id", e.ID)
		}
		if _, err := v.j.byID(tx, e.RecordID); err != nil {
			v.problem("outbox entry %s: %v", e.ID, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return index.ForEach(func(id, seq []byte) error {
		if tx.Bucket(bucketOutbox).Get(seq) == nil {
			v.problem("outbox id %s leads nowhere", id)
		}
		return nil
	})
}
