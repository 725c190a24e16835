package store

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"
)

type boltTx struct{ tx *bolt.Tx }

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func under(serial string, rest []byte) []byte {
	return append(append([]byte(serial), 0), rest...)
}

func limited(limit int) int {
	if limit <= 0 || limit > MaxList {
		return MaxList
	}
	return limit
}

func (t boltTx) Terminal(serial string) (Terminal, error) {
	var v Terminal
	if err := load(t.tx.Bucket(bucketTerminals), []byte(serial), &v); err != nil {
		return Terminal{}, fmt.Errorf("terminal %s: %w", serial, err)
	}
	return v, nil
}

func (t boltTx) PutTerminal(v Terminal) error {
	return put(t.tx.Bucket(bucketTerminals), []byte(v.Serial), v)
}

func (t boltTx) Terminals(after string, limit int) ([]Terminal, error) {
	c := t.tx.Bucket(bucketTerminals).Cursor()
	var list []Terminal
	for k, body := seekAfter(c, []byte(after)); k != nil && len(list) < limited(limit); k, body = c.Next() {
		var v Terminal
		if err := json.Unmarshal(body, &v); err != nil {
			return nil, fmt.Errorf("%w: terminal %q: %w", ErrDamaged, k, err)
		}
		list = append(list, v)
	}
	return list, nil
}

func seekAfter(c *bolt.Cursor, after []byte) (k, v []byte) {
	if len(after) == 0 {
		return c.First()
	}
	if k, v = c.Seek(after); bytes.Equal(k, after) {
		return c.Next()
	}
	return k, v
}

func (t boltTx) Bind(b Binding) error {
	active, bound := t.tx.Bucket(bucketBindings), t.tx.Bucket(bucketBound)
	if active.Get([]byte(b.Serial)) != nil {
		return fmt.Errorf("serial %s: %w", b.Serial, ErrBound)
	}
	code := []byte(b.MerchantID + "/" + b.TerminalID)
	if holder := bound.Get(code); holder != nil {
		return fmt.Errorf("merchant %s, terminal id %s: %w: serial %s", b.MerchantID, b.TerminalID, ErrBound, holder)
	}
	b.Version = t.lastBinding(b.Serial) + 1
	b.Until = time.Time{}
	if err := bound.Put(code, []byte(b.Serial)); err != nil {
		return err
	}
	return put(active, []byte(b.Serial), b)
}

func (t boltTx) lastBinding(serial string) uint64 {
	c := t.tx.Bucket(bucketHistory).Cursor()
	last := uint64(0)
	for k, _ := c.Seek(under(serial, nil)); bytes.HasPrefix(k, under(serial, nil)); k, _ = c.Next() {
		last = binary.BigEndian.Uint64(k[len(k)-8:])
	}
	return last
}

func (t boltTx) Binding(serial string) (Binding, error) {
	var b Binding
	if err := load(t.tx.Bucket(bucketBindings), []byte(serial), &b); err != nil {
		return Binding{}, fmt.Errorf("binding of %s: %w", serial, err)
	}
	return b, nil
}

func (t boltTx) Unbind(serial string, at time.Time) error {
	b, err := t.Binding(serial)
	if err != nil {
		return err
	}
	b.Until = at
	return errors.Join(
		put(t.tx.Bucket(bucketHistory), under(serial, number(b.Version)), b),
		t.tx.Bucket(bucketBound).Delete([]byte(b.MerchantID+"/"+b.TerminalID)),
		t.tx.Bucket(bucketBindings).Delete([]byte(serial)))
}

func (t boltTx) Desired(serial string) (Desired, error) {
	var d Desired
	if err := load(t.tx.Bucket(bucketDesired), []byte(serial), &d); err != nil {
		return Desired{}, fmt.Errorf("desired of %s: %w", serial, err)
	}
	return d, nil
}

func (t boltTx) PutDesired(serial string, d Desired) error {
	return put(t.tx.Bucket(bucketDesired), []byte(serial), d)
}

func (t boltTx) AddEvent(e Event) (bool, error) {
	ids, events := t.tx.Bucket(bucketEventIDs), t.tx.Bucket(bucketEvents)
	id := under(e.Serial, []byte(e.Event.ID))
	if ids.Get(id) != nil {
		return false, nil
	}
	n, err := events.NextSequence()
	if err != nil {
		return false, err
	}
	e.Number = n
	return true, errors.Join(
		ids.Put(id, number(n)),
		t.tx.Bucket(bucketBySerial).Put(under(e.Serial, number(n)), nil),
		put(events, number(n), e))
}

func (t boltTx) event(n uint64) (Event, error) {
	var e Event
	if err := load(t.tx.Bucket(bucketEvents), number(n), &e); err != nil {
		return Event{}, fmt.Errorf("event %d: %w", n, err)
	}
	return e, nil
}

// eventKeys is the bucket and key prefix that lists events of one serial, or of all.
func (t boltTx) eventKeys(serial string) (*bolt.Cursor, []byte) {
	if serial == "" {
		return t.tx.Bucket(bucketEvents).Cursor(), nil
	}
	return t.tx.Bucket(bucketBySerial).Cursor(), under(serial, nil)
}

func (t boltTx) Events(serial string, after uint64, limit int) ([]Event, error) {
	c, prefix := t.eventKeys(serial)
	var list []Event
	k, _ := seekAfter(c, append(bytes.Clone(prefix), number(after)...))
	for ; k != nil && bytes.HasPrefix(k, prefix) && len(list) < limited(limit); k, _ = c.Next() {
		e, err := t.event(binary.BigEndian.Uint64(k[len(prefix):]))
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, nil
}

func (t boltTx) LastEvents(serial string, limit int) ([]Event, error) {
	c, prefix := t.eventKeys(serial)
	var list []Event
	// Past the last key of the prefix, then one back.
	k, _ := c.Seek(append(bytes.Clone(prefix), number(^uint64(0))...))
	if k == nil {
		k, _ = c.Last()
	} else {
		k, _ = c.Prev()
	}
	for ; k != nil && bytes.HasPrefix(k, prefix) && len(list) < limited(limit); k, _ = c.Prev() {
		e, err := t.event(binary.BigEndian.Uint64(k[len(prefix):]))
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, nil
}

func (t boltTx) AppendAudit(e AuditEntry) (AuditEntry, error) {
	head, err := t.AuditHead()
	if err != nil {
		return AuditEntry{}, err
	}
	if e, err = e.link(head); err != nil {
		return AuditEntry{}, err
	}
	return e, errors.Join(
		put(t.tx.Bucket(bucketAudit), number(e.Seq), e),
		put(t.tx.Bucket(bucketMeta), []byte(keyHead), AuditHead{Seq: e.Seq, Hash: e.Hash}))
}

func (t boltTx) Audit(after uint64, limit int) ([]AuditEntry, error) {
	c := t.tx.Bucket(bucketAudit).Cursor()
	var list []AuditEntry
	for k, body := seekAfter(c, number(after)); k != nil && len(list) < limited(limit); k, body = c.Next() {
		var e AuditEntry
		if err := json.Unmarshal(body, &e); err != nil {
			return nil, fmt.Errorf("%w: audit entry %x: %w", ErrDamaged, k, err)
		}
		list = append(list, e)
	}
	return list, nil
}

func (t boltTx) AuditHead() (AuditHead, error) {
	var head AuditHead
	err := load(t.tx.Bucket(bucketMeta), []byte(keyHead), &head)
	if errors.Is(err, ErrNotFound) {
		return AuditHead{}, nil
	}
	return head, err
}
