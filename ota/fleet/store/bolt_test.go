package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"posagent/ota/fleet/store"
	"posagent/ota/fleet/store/storetest"
)

func TestBolt(t *testing.T) {
	storetest.Run(t, func(t *testing.T) func() store.Store {
		file := filepath.Join(t.TempDir(), "fleet.db")
		return func() store.Store {
			s, err := store.OpenBolt(file)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
	})
}

func TestAuditTamperingIsFound(t *testing.T) {
	edit := func(tx *bolt.Tx, key byte, old, new string) error {
		b := tx.Bucket([]byte("audit"))
		k := []byte{0, 0, 0, 0, 0, 0, 0, key}
		body := string(b.Get(k))
		i := len(body)
		for j := range body {
			if len(body[j:]) >= len(old) && body[j:j+len(old)] == old {
				i = j
				break
			}
		}
		if i == len(body) {
			return fmt.Errorf("%s holds no %s", body, old)
		}
		return b.Put(k, []byte(body[:i]+new+body[i+len(old):]))
	}
	remove := func(tx *bolt.Tx, key byte) error {
		return tx.Bucket([]byte("audit")).Delete([]byte{0, 0, 0, 0, 0, 0, 0, key})
	}
	for _, row := range []struct {
		name   string
		tamper func(tx *bolt.Tx) error
		err    error
	}{
		{"untouched", func(*bolt.Tx) error { return nil }, nil},
		{"actor changed", func(tx *bolt.Tx) error { return edit(tx, 2, `"admin"`, `"nobody"`) }, store.ErrTampered},
		{"detail changed", func(tx *bolt.Tx) error { return edit(tx, 3, `"n":"3"`, `"n":"4"`) }, store.ErrTampered},
		{"time changed", func(tx *bolt.Tx) error { return edit(tx, 1, `2026`, `2025`) }, store.ErrTampered},
		{"removed", func(tx *bolt.Tx) error { return remove(tx, 3) }, store.ErrTampered},
		{"cut off", func(tx *bolt.Tx) error { return remove(tx, 4) }, store.ErrTampered},
		{"not JSON", func(tx *bolt.Tx) error { return edit(tx, 2, `{`, `[`) }, store.ErrTampered},
	} {
		t.Run(row.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "fleet.db")
			s, err := store.OpenBolt(file)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 4 {
				err := s.Update(context.Background(), func(tx store.Tx) error {
					_, err := tx.AppendAudit(store.AuditEntry{Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Actor: "admin",
						Action: "test", Detail: map[string]string{"n": fmt.Sprint(i + 1)}})
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			s.Close()
			db, err := bolt.Open(file, 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Update(row.tamper); err != nil {
				t.Fatal(err)
			}
			db.Close()
			if s, err = store.OpenBolt(file); err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if _, err := store.VerifyAudit(s); !errors.Is(err, row.err) {
				t.Errorf("got %v, want %v", err, row.err)
			}
		})
	}
}

func TestOpenRefusesWhatIsNoStore(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good.db")
	s, err := store.OpenBolt(good)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	whole, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string][]byte{
		"text":      []byte("this is not a database, not even a small one"),
		"zeros":     make([]byte, 64<<10),
		"cut":       whole[:5000],
		"both meta": append(make([]byte, 8192), whole[8192:]...),
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "fleet.db")
			if err := os.WriteFile(file, body, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := store.OpenBolt(file)
			if err == nil {
				s.Close()
			}
			if !errors.Is(err, store.ErrDamaged) {
				t.Errorf("got %v", err)
			}
			if after, _ := os.ReadFile(file); string(after) != string(body) {
				t.Error("the file was changed")
			}
		})
	}
	if _, err := store.OpenBolt(filepath.Join(t.TempDir(), "missing", "fleet.db")); err == nil || errors.Is(err, store.ErrDamaged) {
		t.Errorf("missing folder: %v", err)
	}
}

func TestUpdateAfterClose(t *testing.T) {
	s, err := store.OpenBolt(filepath.Join(t.TempDir(), "fleet.db"))
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	for range 2 {
		err = s.Update(context.Background(), func(store.Tx) error { return nil })
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("got %v", err)
		}
	}
}

func BenchmarkUpdateGrouped(b *testing.B) {
	s, err := store.OpenBolt(filepath.Join(b.TempDir(), "fleet.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.SetParallelism(256)
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if err := s.Update(context.Background(), func(tx store.Tx) error {
				return tx.PutTerminal(store.Terminal{Serial: fmt.Sprint("VT-", i%1000)})
			}); err != nil {
				b.Error(err)
			}
		}
	})
}
