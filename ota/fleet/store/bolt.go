package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// Buckets and their keys. Serials hold no zero byte.
var (
	bucketTerminals = []byte("terminals") // serial
	bucketBindings  = []byte("bindings")  // serial: active binding
	bucketBound     = []byte("bound")     // merchant/terminal id: serial
	bucketHistory   = []byte("history")   // serial 0 version: ended binding
	bucketDesired   = []byte("desired")   // serial
	bucketEvents    = []byte("events")    // number: event
	bucketEventIDs  = []byte("event_ids") // serial 0 id: number
	bucketBySerial  = []byte("by_serial") // serial 0 number: nothing
	bucketAudit     = []byte("audit")     // seq
	bucketMeta      = []byte("meta")      // "audit_head", "schema"
	buckets         = [][]byte{bucketTerminals, bucketBindings, bucketBound, bucketHistory, bucketDesired, bucketEvents,
		bucketEventIDs, bucketBySerial, bucketAudit, bucketMeta}
)

const (
	schema     = "1"
	keySchema  = "schema"
	keyHead    = "audit_head"
	lockPeriod = 500 * time.Millisecond // for the lock of a process that is just ending
)

// Bolt is the engine of one process over one bbolt file.
type Bolt struct {
	db    *bolt.DB
	group group
}

// OpenBolt opens or creates the file. A file that another process holds, or that is not whole, is an error; nothing is
// ever recreated over it.
func OpenBolt(file string) (s *Bolt, err error) {
	defer func() {
		if r := recover(); r != nil { // bbolt panics on pages that lie
			s, err = nil, fmt.Errorf("open store %s: %w: %v", file, ErrDamaged, r)
		}
	}()
	db, err := bolt.Open(file, 0o600, &bolt.Options{Timeout: lockPeriod, FreelistType: bolt.FreelistMapType})
	if err != nil {
		var path *fs.PathError
		switch {
		case errors.Is(err, berrors.ErrTimeout):
			err = ErrInUse
		case !errors.As(err, &path):
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return nil, fmt.Errorf("open store %s: %w", file, err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		meta := tx.Bucket(bucketMeta)
		switch have := string(meta.Get([]byte(keySchema))); have {
		case schema:
			return nil
		case "":
			return meta.Put([]byte(keySchema), []byte(schema))
		default:
			return fmt.Errorf("schema %s, this version knows %s", have, schema)
		}
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", file, err), db.Close())
	}
	s = &Bolt{db: db}
	s.group.commit = s.commit
	return s, nil
}

// Close waits for running transactions.
func (s *Bolt) Close() error { return s.db.Close() }

// View implements Store.
func (s *Bolt) View(fn func(Tx) error) error {
	return closed(s.db.View(func(tx *bolt.Tx) error { return fn(boltTx{tx}) }))
}

// Update implements Store.
func (s *Bolt) Update(ctx context.Context, fn func(Tx) error) error {
	return closed(s.group.do(ctx, fn))
}

func closed(err error) error {
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	return err
}

// commit runs all updates in one transaction. When one fails it is set aside and the rest run again, so that no part of
// the failed one stays: bbolt has no savepoints. Each round has one update less.
func (s *Bolt) commit(batch []*update) {
	for len(batch) > 0 {
		bad := -1
		err := s.db.Update(func(tx *bolt.Tx) error {
			for i, u := range batch {
				if err := u.fn(boltTx{tx}); err != nil {
					bad = i
					return err
				}
			}
			return nil
		})
		if bad < 0 {
			for _, u := range batch {
				u.err = err // nil, or the commit itself failed: nobody's change is there
			}
			return
		}
		batch[bad].err = err
		batch = append(batch[:bad:bad], batch[bad+1:]...)
	}
}

func put(b *bolt.Bucket, key []byte, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	return b.Put(key, body)
}

func load(b *bolt.Bucket, key []byte, v any) error {
	body := b.Get(key)
	if body == nil {
		return ErrNotFound
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%w: record %q: %w", ErrDamaged, key, err)
	}
	return nil
}
