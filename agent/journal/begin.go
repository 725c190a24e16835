package journal

import (
	"bytes"
	"context"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"posagent/agent/payment"
)

const (
	maxName  = 64   // bytes of requester and request id
	maxText  = 256  // bytes of any other text kept in a record
	maxICC   = 1024 // bytes of field 55 kept for a reversal; the wire allows 255
	headroom = 2 << 20
)

// Begin gives the transaction its trace number and makes it durable as pending.
// Only after it has returned may a byte of the request leave. Errors:
// *DuplicateError if (Requester, RequestID) is known, *FieldError for a value
// that cannot be kept, ErrFull, ErrNoSTAN, ErrFailed, ErrClosed, ErrReadOnly,
// or that of ctx if it ended before the writer took the work.
func (j *Journal) Begin(ctx context.Context, d Draft) (Record, error) {
	if err := d.check(); err != nil {
		return Record{}, err
	}
	if err := j.room(); err != nil {
		return Record{}, err
	}
	now := j.now()
	id, err := newID(now, j.rand)
	if err != nil {
		return Record{}, err
	}
	sealed, err := j.seal.sealImage(id, d.Request)
	if err != nil {
		return Record{}, err
	}
	var rec Record
	err = j.update(ctx, func(tx *bbolt.Tx) error {
		if known, err := j.byRequest(tx, d.Requester, d.RequestID); err == nil {
			return &DuplicateError{known}
		} else if err != ErrNotFound {
			return err
		}
		if tx.Size() > j.maxSize-headroom {
			return fmt.Errorf("%w: the file has reached its limit of %d bytes", ErrFull, j.maxSize)
		}
		rec = d.record(id, now)
		return j.putNew(tx, &rec, d.Request, sealed)
	})
	if err != nil {
		return Record{}, err
	}
	return rec, nil
}

// putNew writes a pending record with all its entries.
func (j *Journal) putNew(tx *bbolt.Tx, rec *Record, req payment.Request, sealed []byte) error {
	var err error
	if rec.Batch, err = j.batch(tx); err != nil {
		return err
	}
	if err := j.checkCurrency(tx, rec.Batch, rec.Currency); err != nil {
		return err
	}
	if rec.STAN, err = j.takeSTAN(tx, rec.Batch); err != nil {
		return err
	}
	records := tx.Bucket(bucketRecords)
	if rec.Seq, err = records.NextSequence(); err != nil {
		return err
	}
	key := seqKey(rec.Seq)
	if err := putRecord(tx, *rec, req.PAN, req.Track2); err != nil {
		return err
	}
	for _, put := range []struct{ bucket, key, value []byte }{
		{bucketIDs, []byte(rec.ID), key},
		{bucketRequests, requestKey(rec.Requester, rec.RequestID), key},
		{bucketSTANs, stanKey(uint32(rec.Batch), uint32(rec.STAN)), key},
		{bucketOpen, key, []byte(Pending)},
		{bucketImages, key, sealed},
	} {
		if err := tx.Bucket(put.bucket).Put(put.key, put.value); err != nil {
			return err
		}
	}
	return nil
}

// putRecord writes the record, and refuses one whose text holds the card number.
func putRecord(tx *bbolt.Tx, rec Record, pan payment.PAN, track payment.Track2) error {
	content, err := json.Marshal(rec.stored())
	if err != nil {
		return err
	}
	for _, secret := range []payment.PAN{pan, track.PAN()} {
		if digits := secret.Reveal(); digits != "" && bytes.Contains(content, []byte(digits)) {
			return &FieldError{"record", "a field holds the card number"}
		}
	}
	key := seqKey(rec.Seq)
	return tx.Bucket(bucketRecords).Put(key, encodeValue(key, content))
}

// takeSTAN gives the next trace number that no record of this batch has and
// that no open record of any batch has.
func (j *Journal) takeSTAN(tx *bbolt.Tx, batch payment.Batch) (payment.STAN, error) {
	meta := tx.Bucket(bucketMeta)
	var stan payment.STAN
	if ok, err := loadJSON(meta, metaSTAN, &stan); err != nil || !ok {
		return 0, j.corrupt("meta stan", orMissing(err))
	}
	held := map[payment.STAN]bool{}
	records := tx.Bucket(bucketRecords)
	err := tx.Bucket(bucketOpen).ForEach(func(key, _ []byte) error {
		var open struct { // nothing else is wanted of it
			STAN payment.STAN `json:"stan"`
		}
		if ok, err := loadJSON(records, key, &open); err != nil || !ok {
			seq, _ := keySeq(key)
			return j.corrupt(fmt.Sprintf("record %d", seq), orMissing(err))
		}
		held[open.STAN] = true
		return nil
	})
	if err != nil {
		return 0, err
	}
	stans := tx.Bucket(bucketSTANs)
	for range payment.MaxSTAN {
		stan = stan.Next()
		if !held[stan] && stans.Get(stanKey(uint32(batch), uint32(stan))) == nil {
			return stan, putJSON(meta, metaSTAN, stan)
		}
	}
	return 0, ErrNoSTAN
}

// NextSTAN takes a trace number for a message that is no transaction (sign-in,
// echo, settlement).
func (j *Journal) NextSTAN(ctx context.Context) (payment.STAN, error) {
	var stan payment.STAN
	err := j.update(ctx, func(tx *bbolt.Tx) error {
		batch, err := j.batch(tx)
		if err != nil {
			return err
		}
		stan, err = j.takeSTAN(tx, batch)
		return err
	})
	if err != nil {
		return 0, err
	}
	return stan, nil
}

// room refuses a transaction whose outcome could not be kept.
func (j *Journal) room() error {
	if j.minFree < 0 {
		return nil
	}
	free, err := j.free()
	if err != nil {
		return err
	}
	if free < j.minFree {
		return fmt.Errorf("%w: %d bytes free on the disk, %d needed", ErrFull, free, j.minFree)
	}
	return nil
}

func (d Draft) record(id string, now time.Time) Record {
	r := d.Request
	rec := Record{
		ID: id, State: Pending, Requester: d.Requester, RequestID: d.RequestID,
		Type: r.Type, Amount: r.Amount, Currency: r.Currency, Time: r.Time,
		TerminalID: r.TerminalID, MerchantID: r.MerchantID, Operator: r.Operator,
		Entry: r.Entry, MaskedPAN: r.PAN.Masked(), PANSequence: r.PANSequence,
		PINEntered: !r.PINBlock.IsZero(), CVM: d.CVM, EMV: d.EMV.copy(),
		Changes: []Change{{State: Pending, Time: now}},
	}
	if r.Original != nil {
		o := *r.Original
		rec.Original = &o
	}
	return rec
}

func (e *EMV) copy() *EMV {
	if e == nil {
		return nil
	}
	c := *e
	return &c
}

// check refuses what could not be reversed or found again.
func (d Draft) check() error {
	r := d.Request
	if err := checkName("requester", d.Requester); err != nil {
		return err
	}
	if err := checkName("request id", d.RequestID); err != nil {
		return err
	}
	if _, err := r.Amount.Digits12(); err != nil {
		return fmt.Errorf("keep amount: %w", err)
	}
	if err := r.TerminalID.Check(); err != nil {
		return fmt.Errorf("keep terminal id: %w", err)
	}
	if err := r.MerchantID.Check(); err != nil {
		return fmt.Errorf("keep merchant id: %w", err)
	}
	_, known := payment.CurrencyByNumeric(r.Currency.Numeric)
	switch {
	case !known:
		return &FieldError{"currency", fmt.Sprintf("unknown code %q", r.Currency.Numeric)}
	case r.STAN != 0 || r.Batch != 0:
		return &FieldError{"stan", "already given; the journal gives it"}
	case !r.Type.Reversible() && r.Type != payment.BalanceInquiry:
		return &FieldError{"type", fmt.Sprintf("%q can be neither reversed nor forgotten", string(r.Type))}
	case r.Time.IsZero():
		return &FieldError{"time", "missing"}
	case r.Entry == "":
		return &FieldError{"entry mode", "missing"}
	case r.PAN.IsZero() && r.Entry != payment.QR:
		return &FieldError{"card number", "missing"}
	case len(r.ICC) > maxICC:
		return &FieldError{"chip data", fmt.Sprintf("%d bytes, at most %d", len(r.ICC), maxICC)}
	}
	if err := checkText("operator", r.Operator, "expiry", r.Expiry, "card sequence", r.PANSequence, "cvm", d.CVM); err != nil {
		return err
	}
	return d.EMV.check()
}

func (e *EMV) check() error {
	if e == nil {
		return nil
	}
	return checkText("AID", e.AID, "label", e.Label, "preferred name", e.PreferredName, "cryptogram", e.Cryptogram,
		"CID", e.CID, "ATC", e.ATC, "TVR", e.TVR, "TSI", e.TSI, "CVM results", e.CVMResults, "ARC", e.ARC,
		"unpredictable number", e.UN, "AIP", e.AIP, "issuer application data", e.IAD)
}

func checkName(field, s string) error {
	if s == "" || len(s) > maxName || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' }) {
		return &FieldError{field, fmt.Sprintf("%d bytes; want 1 to %d printable", len(s), maxName)}
	}
	return nil
}

// checkText takes pairs of field name and text.
func checkText(pairs ...string) error {
	for i := 0; i+1 < len(pairs); i += 2 {
		if n := len(pairs[i+1]); n > maxText {
			return &FieldError{pairs[i], fmt.Sprintf("%d bytes, at most %d", n, maxText)}
		}
	}
	return nil
}

// idEncoding keeps the order of the bytes it writes.
var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// newID gives 26 characters: 48 bits of milliseconds, 80 bits of randomness.
func newID(now time.Time, rand io.Reader) (string, error) {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16)
	if _, err := io.ReadFull(rand, b[6:]); err != nil {
		return "", fmt.Errorf("make record id: %w", err)
	}
	return idEncoding.EncodeToString(b[:]), nil
}
