package journal

import (
	"encoding/json"
	"fmt"

	"go.etcd.io/bbolt"

	"posagent/agent/payment"
)

type plainTotals Totals

// MarshalJSON writes the currency as its three-digit code.
func (t Totals) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		plainTotals
		Currency string `json:"currency"`
	}{plainTotals(t), t.Currency.Numeric})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (t *Totals) UnmarshalJSON(b []byte) error {
	var in struct {
		plainTotals
		Currency string `json:"currency"`
	}
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	cur, ok := payment.CurrencyByNumeric(in.Currency)
	if !ok && in.Currency != "" {
		return &FieldError{"currency", fmt.Sprintf("unknown code %q", in.Currency)}
	}
	*t = Totals(in.plainTotals)
	t.Currency = cur
	return nil
}

// Net is what the merchant is owed: sales less voids, in minor units.
func (t Totals) Net() payment.Amount { return t.SaleAmount - t.VoidAmount }

// add counts one record that has reached a final state. Open records and those
// that never left the terminal count nowhere.
func (t *Totals) add(rec Record) {
	switch rec.State {
	case Approved:
		switch rec.Type {
		case payment.Sale:
			t.SaleCount++
			t.SaleAmount += rec.Amount
		case payment.Void:
			t.VoidCount++
			t.VoidAmount += rec.Amount
		}
	case Declined:
		t.DeclinedCount++
	case Reversed:
		t.ReversedCount++
	}
}

// Totals gives the sums of a batch. A batch without records has none.
func (j *Journal) Totals(b payment.Batch) (Totals, error) {
	t := Totals{Batch: b}
	err := j.view(func(tx *bbolt.Tx) (err error) {
		t, err = j.totals(tx, b)
		return err
	})
	return t, err
}

func (j *Journal) totals(tx *bbolt.Tx, b payment.Batch) (Totals, error) {
	t := Totals{Batch: b}
	if _, err := loadJSON(tx.Bucket(bucketTotals), batchKey(uint32(b)), &t); err != nil {
		return t, j.corrupt(fmt.Sprintf("totals of batch %s", b), err)
	}
	return t, nil
}

// checkCurrency keeps a batch in one currency; its first record decides.
func (j *Journal) checkCurrency(tx *bbolt.Tx, b payment.Batch, cur payment.Currency) error {
	t, err := j.totals(tx, b)
	if err != nil {
		return err
	}
	switch t.Currency.Numeric {
	case cur.Numeric:
		return nil
	case "":
		t.Currency = cur
		return putJSON(tx.Bucket(bucketTotals), batchKey(uint32(b)), t)
	}
	return &FieldError{"currency", fmt.Sprintf("batch %s is in %s, not %s", b, t.Currency.Alpha, cur.Alpha)}
}

func (j *Journal) addTotals(tx *bbolt.Tx, rec Record) error {
	t, err := j.totals(tx, rec.Batch)
	if err != nil {
		return err
	}
	before := t
	if t.add(rec); t == before {
		return nil
	}
	return putJSON(tx.Bucket(bucketTotals), batchKey(uint32(rec.Batch)), t)
}
