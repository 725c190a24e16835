package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"posagent/agent/payment"
)

// maxNote bounds the note of a reversal attempt, in bytes.
const maxNote = 200

// Finish gives a pending record its outcome: state, totals, reversal queue and
// outbox in one transaction. The sealed card data goes with it, unless the
// record is to be reversed. Errors: ErrNotFound, *StateError if the record has
// an outcome already, *FieldError, and those of the writer.
func (j *Journal) Finish(ctx context.Context, id string, res Result) (Record, error) {
	if err := res.check(); err != nil {
		return Record{}, err
	}
	return j.change(ctx, id, func(_ *bbolt.Tx, rec *Record) error {
		if res.Event == Reverse && !rec.Type.Reversible() {
			return &StateError{rec.ID, rec.State, res.Event}
		}
		if err := j.enter(rec, res.Event); err != nil {
			return err
		}
		rec.take(res)
		return nil
	})
}

func (res Result) check() error {
	switch res.Event {
	case Approve, Decline, NothingSent:
	case Reverse:
		if res.Reason == "" {
			return &FieldError{"reason", "missing for a reversal"}
		}
	default:
		return &FieldError{"event", fmt.Sprintf("%q ends no transaction", string(res.Event))}
	}
	r := res.Response
	if err := checkText("response code", string(r.Code), "reference number", string(r.RRN), "authorisation code", string(r.AuthCode),
		"issuer", r.Issuer, "acquirer", r.Acquirer, "card organisation", r.CardOrg, "host text", r.Text,
		"cvm", res.CVM, "reason", string(res.Reason)); err != nil {
		return err
	}
	return res.EMV.check()
}

// take copies what the result knows into the record.
func (r *Record) take(res Result) {
	resp := res.Response
	r.Code, r.RRN, r.AuthCode, r.HostTime = resp.Code, resp.RRN, resp.AuthCode, resp.HostTime
	r.Issuer, r.Acquirer, r.CardOrg, r.HostText = resp.Issuer, resp.Acquirer, resp.CardOrg, resp.Text
	r.Reason = res.Reason
	if res.EMV != nil {
		r.EMV = res.EMV.copy()
	}
	if res.CVM != "" {
		r.CVM = res.CVM
	}
}

// Recover is the first call after Open: whatever a power cut left pending is
// put into the reversal queue, because the host may have seen it. A balance
// inquiry, which moved no money, is declined instead. It gives the records it
// changed, oldest first.
func (j *Journal) Recover(ctx context.Context) ([]Record, error) {
	var changed []Record
	err := j.update(ctx, func(tx *bbolt.Tx) error {
		changed = changed[:0]
		keys, err := openKeys(tx, Pending)
		if err != nil {
			return err
		}
		for _, key := range keys {
			rec, err := j.load(tx, key)
			if err != nil {
				return err
			}
			event := Reverse
			if !rec.Type.Reversible() {
				event = Decline
			}
			if err := j.enter(&rec, event); err != nil {
				return err
			}
			rec.Reason = payment.ReasonNoReply
			if err := j.putChanged(tx, rec); err != nil {
				return err
			}
			changed = append(changed, rec)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return changed, nil
}

// Reversals gives the reversals that the host has yet to accept, oldest first,
// with the card number unsealed. If the image of one cannot be read, the others
// are given beside the *CorruptError.
func (j *Journal) Reversals(ctx context.Context) ([]OpenReversal, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var out []OpenReversal
	var damaged error
	err := j.view(func(tx *bbolt.Tx) error {
		keys, err := openKeys(tx, Reversing)
		if err != nil {
			return err
		}
		for _, key := range keys {
			rec, err := j.load(tx, key)
			if err != nil {
				return err
			}
			pan, im, err := j.seal.openImage(rec.ID, tx.Bucket(bucketImages).Get(key))
			if err != nil {
				damaged = errors.Join(damaged, j.corrupt("reversal image of record "+rec.ID, err))
				continue
			}
			out = append(out, OpenReversal{rec, rec.reversal(pan, im)})
		}
		return nil
	})
	return out, errors.Join(err, damaged)
}

func (r Record) reversal(pan payment.PAN, im image) payment.Reversal {
	return payment.Reversal{
		Request: payment.Request{
			Type: r.Type, Amount: r.Amount, Currency: r.Currency, STAN: r.STAN, Batch: r.Batch, Time: r.Time,
			TerminalID: r.TerminalID, MerchantID: r.MerchantID, Operator: r.Operator, Entry: r.Entry,
			PAN: pan, Expiry: im.Expiry, PANSequence: r.PANSequence, ICC: im.ICC, Original: r.Original,
		},
		Reason: r.Reason, AuthCode: r.AuthCode,
	}
}

// ReversalTried notes that a reversal was sent and not accepted. The record
// stays in the queue, however often.
func (j *Journal) ReversalTried(ctx context.Context, id, note string) error {
	if len(note) > maxNote {
		note = note[:maxNote]
	}
	_, err := j.change(ctx, id, func(_ *bbolt.Tx, rec *Record) error {
		if _, ok := next(rec.State, Tried); !ok {
			return &StateError{rec.ID, rec.State, Tried}
		}
		rec.ReversalTries++
		rec.LastTry, rec.LastTryNote = j.now(), note
		return nil
	})
	return err
}

// ReversalDone ends a reversal that the host has answered with code. A code
// that does not end a reversal is a *FieldError: the record stays in the queue.
func (j *Journal) ReversalDone(ctx context.Context, id string, code payment.ResponseCode) (Record, error) {
	if !code.ReversalDone() {
		return Record{}, &FieldError{"reversal code", fmt.Sprintf("%q does not end a reversal", string(code))}
	}
	return j.change(ctx, id, func(_ *bbolt.Tx, rec *Record) error {
		rec.ReversalCode = code
		return j.enter(rec, ReverseEnded)
	})
}

// MarkPrinted counts one printed copy, named as the receipt names it.
func (j *Journal) MarkPrinted(ctx context.Context, id, copy string) error {
	if err := checkName("copy", copy); err != nil {
		return err
	}
	_, err := j.change(ctx, id, func(_ *bbolt.Tx, rec *Record) error {
		if rec.Copies == nil {
			rec.Copies = map[string]uint32{}
		}
		rec.Copies[copy]++
		return nil
	})
	return err
}

// enter moves the record along the table and notes when.
func (j *Journal) enter(rec *Record, e Event) error {
	to, ok := next(rec.State, e)
	if !ok {
		return &StateError{rec.ID, rec.State, e}
	}
	rec.State = to
	rec.Changes = append(rec.Changes, Change{to, e, j.now()})
	return nil
}

// change loads a record, lets f alter it and writes it with everything that
// follows from its new state.
func (j *Journal) change(ctx context.Context, id string, f func(*bbolt.Tx, *Record) error) (Record, error) {
	var rec Record
	err := j.update(ctx, func(tx *bbolt.Tx) error {
		var err error
		if rec, err = j.byID(tx, id); err != nil {
			return err
		}
		before := rec.State
		if err := f(tx, &rec); err != nil {
			return err
		}
		if rec.State == before {
			return putRecord(tx, rec, payment.PAN{}, payment.Track2{})
		}
		return j.putChanged(tx, rec)
	})
	if err != nil {
		return Record{}, err
	}
	return rec, nil
}

// putChanged writes a record that has entered a state: the record, its place
// among the open ones, the totals and the outbox.
func (j *Journal) putChanged(tx *bbolt.Tx, rec Record) error {
	key := seqKey(rec.Seq)
	open, images := tx.Bucket(bucketOpen), tx.Bucket(bucketImages)
	// An image that cannot be read must not keep an outcome from the disk; the
	// number it holds is then simply not looked for in the record.
	pan, _, _ := j.seal.openImage(rec.ID, images.Get(key))
	err := putRecord(tx, rec, pan, payment.Track2{})
	if err != nil {
		return err
	}
	if rec.State.Open() {
		err = open.Put(key, []byte(rec.State))
	} else {
		err = errors.Join(open.Delete(key), images.Delete(key))
	}
	if err != nil {
		return err
	}
	if err := j.addTotals(tx, rec); err != nil {
		return err
	}
	return j.putOutbox(tx, rec)
}

// openKeys gives the sequence keys of the open records in state s, oldest first.
func openKeys(tx *bbolt.Tx, s State) ([][]byte, error) {
	var keys [][]byte
	err := tx.Bucket(bucketOpen).ForEach(func(key, state []byte) error {
		if State(state) == s {
			keys = append(keys, slices.Clone(key))
		}
		return nil
	})
	return keys, err
}

// Age gives how long the record has been in its present state.
func (r Record) Age(now time.Time) time.Duration {
	if len(r.Changes) == 0 {
		return 0
	}
	return now.Sub(r.Changes[len(r.Changes)-1].Time)
}
