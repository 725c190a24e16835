// Package storetest is the conformance suite of package store: every engine passes it.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"posagent/ota/fleet/store"
	"posagent/ota/wire"
)

var at = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// Run runs the suite. open gives the engine over one and the same storage each time within one test; t is the test.
func Run(t *testing.T, open func(t *testing.T) func() store.Store) {
	for _, row := range []struct {
		name string
		test func(t *testing.T, reopen func() store.Store)
	}{
		{"terminals", terminals},
		{"a failed update leaves nothing", rollback},
		{"concurrent updates all hold", concurrent},
		{"one binding wins", bindRace},
		{"binding history", bindHistory},
		{"events once, also after reopening", events},
		{"desired", desired},
		{"audit chain", audit},
		{"cancelled update", cancelled},
	} {
		t.Run(row.name, func(t *testing.T) { row.test(t, open(t)) })
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func update(t *testing.T, s store.Store, fn func(store.Tx) error) {
	t.Helper()
	must(t, s.Update(context.Background(), fn))
}

func terminals(t *testing.T, reopen func() store.Store) {
	s := reopen()
	update(t, s, func(tx store.Tx) error {
		for i := range 5 {
			if err := tx.PutTerminal(store.Terminal{Serial: fmt.Sprintf("VT-%04d", i), State: wire.StateApproved, Since: at}); err != nil {
				return err
			}
		}
		return nil
	})
	must(t, s.Close())
	s = reopen()
	defer s.Close()
	must(t, s.View(func(tx store.Tx) error {
		if v, err := tx.Terminal("VT-0003"); err != nil || v.State != wire.StateApproved || !v.Since.Equal(at) {
			t.Errorf("got %+v, %v", v, err)
		}
		if _, err := tx.Terminal("VT-9999"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("missing terminal: %v", err)
		}
		for _, row := range []struct {
			after string
			limit int
			want  []string
		}{
			{"", 2, []string{"VT-0000", "VT-0001"}},
			{"VT-0001", 2, []string{"VT-0002", "VT-0003"}},
			{"VT-00015", 1, []string{"VT-0002"}},
			{"VT-0004", 2, nil},
		} {
			list, err := tx.Terminals(row.after, row.limit)
			var got []string
			for _, v := range list {
				got = append(got, v.Serial)
			}
			if err != nil || !slices.Equal(got, row.want) {
				t.Errorf("after %q limit %d: got %v, want %v, %v", row.after, row.limit, got, row.want, err)
			}
		}
		return nil
	}))
}

func rollback(t *testing.T, reopen func() store.Store) {
	s := reopen()
	defer s.Close()
	wrong := errors.New("wrong")
	err := s.Update(context.Background(), func(tx store.Tx) error {
		must(t, tx.PutTerminal(store.Terminal{Serial: "VT-0001"}))
		return wrong
	})
	if !errors.Is(err, wrong) {
		t.Errorf("got %v", err)
	}
	must(t, s.View(func(tx store.Tx) error {
		if _, err := tx.Terminal("VT-0001"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a part stayed: %v", err)
		}
		return nil
	}))
}

// concurrent mixes good and failing updates: a failing one must not undo or spoil another of its group.
func concurrent(t *testing.T, reopen func() store.Store) {
	s := reopen()
	defer s.Close()
	const n = 64
	wrong := errors.New("wrong")
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			err := s.Update(context.Background(), func(tx store.Tx) error {
				v, err := tx.Terminal("VT-0001")
				if err != nil && !errors.Is(err, store.ErrNotFound) {
					return err
				}
				v.Serial = "VT-0001"
				v.DesiredRevision++
				if err := tx.PutTerminal(v); err != nil {
					return err
				}
				if i%4 == 0 {
					return wrong
				}
				return nil
			})
			if bad := i%4 == 0; bad != errors.Is(err, wrong) || !bad && err != nil {
				t.Errorf("update %d: %v", i, err)
			}
		})
	}
	all.Wait()
	must(t, s.View(func(tx store.Tx) error {
		v, err := tx.Terminal("VT-0001")
		if err != nil || v.DesiredRevision != n*3/4 {
			t.Errorf("got %d, want %d, %v", v.DesiredRevision, n*3/4, err)
		}
		return nil
	}))
}

func bindRace(t *testing.T, reopen func() store.Store) {
	s := reopen()
	defer s.Close()
	const n = 16
	var all sync.WaitGroup
	won := make(chan string, 2*n)
	for i := range n {
		merchant := fmt.Sprintf("%015d", i)
		all.Go(func() { // one serial, many merchants
			err := s.Update(context.Background(), func(tx store.Tx) error {
				return tx.Bind(store.Binding{Serial: "VT-0001", MerchantID: merchant, TerminalID: "10000001", From: at})
			})
			if err == nil {
				won <- "serial"
			} else if !errors.Is(err, store.ErrBound) {
				t.Error(err)
			}
		})
		all.Go(func() { // one terminal id, many serials
			err := s.Update(context.Background(), func(tx store.Tx) error {
				return tx.Bind(store.Binding{Serial: fmt.Sprintf("VX-%04d", i), MerchantID: "999999999999999", TerminalID: "20000001", From: at})
			})
			if err == nil {
				won <- "terminal id"
			} else if !errors.Is(err, store.ErrBound) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	close(won)
	count := map[string]int{}
	for w := range won {
		count[w]++
	}
	if count["serial"] != 1 || count["terminal id"] != 1 {
		t.Errorf("winners %v, want one each", count)
	}
}

func bindHistory(t *testing.T, reopen func() store.Store) {
	s := reopen()
	defer s.Close()
	for version := uint64(1); version <= 3; version++ {
		update(t, s, func(tx store.Tx) error {
			return tx.Bind(store.Binding{Serial: "VT-0001", MerchantID: "103290055410001", TerminalID: "10000001", From: at})
		})
		must(t, s.View(func(tx store.Tx) error {
			b, err := tx.Binding("VT-0001")
			if err != nil || b.Version != version {
				t.Errorf("got version %d, want %d, %v", b.Version, version, err)
			}
			return nil
		}))
		update(t, s, func(tx store.Tx) error { return tx.Unbind("VT-0001", at) })
	}
	err := s.Update(context.Background(), func(tx store.Tx) error { return tx.Unbind("VT-0001", at) })
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("second unbind: %v", err)
	}
}

func event(serial string, i int) store.Event {
	return store.Event{Serial: serial, Received: at, Event: wire.Event{ID: fmt.Sprint("e-", i), Schema: 1, Kind: wire.EventDevice, LocalTime: at,
		Device: &wire.DeviceEvent{Code: "x", Severity: "info"}}}
}

func events(t *testing.T, reopen func() store.Store) {
	s := reopen()
	add := func(serial string, i int) (added bool) {
		t.Helper()
		update(t, s, func(tx store.Tx) (err error) {
			added, err = tx.AddEvent(event(serial, i))
			return err
		})
		return added
	}
	for i := range 3 {
		if !add("VT-0001", i) || !add("VT-00010", i) {
			t.Errorf("event %d is not new", i)
		}
	}
	must(t, s.Close())
	s = reopen()
	defer s.Close()
	if add("VT-0001", 1) {
		t.Error("an event was stored twice")
	}
	must(t, s.View(func(tx store.Tx) error {
		for _, row := range []struct {
			name   string
			list   func() ([]store.Event, error)
			want   []string
			serial string
		}{
			{"all", func() ([]store.Event, error) { return tx.Events("", 0, 0) }, []string{"e-0", "e-0", "e-1", "e-1", "e-2", "e-2"}, ""},
			{"one", func() ([]store.Event, error) { return tx.Events("VT-0001", 0, 0) }, []string{"e-0", "e-1", "e-2"}, "VT-0001"},
			{"after", func() ([]store.Event, error) { return tx.Events("VT-0001", 1, 0) }, []string{"e-1", "e-2"}, "VT-0001"},
			{"last", func() ([]store.Event, error) { return tx.LastEvents("", 3) }, []string{"e-2", "e-2", "e-1"}, ""},
			{"last of one", func() ([]store.Event, error) { return tx.LastEvents("VT-0001", 2) }, []string{"e-2", "e-1"}, "VT-0001"},
			{"last of the highest", func() ([]store.Event, error) { return tx.LastEvents("VT-00010", 2) }, []string{"e-2", "e-1"}, "VT-00010"},
			{"last of nobody", func() ([]store.Event, error) { return tx.LastEvents("VT-0", 2) }, nil, ""},
		} {
			list, err := row.list()
			var got []string
			for _, e := range list {
				got = append(got, e.Event.ID)
				if row.serial != "" && e.Serial != row.serial {
					t.Errorf("%s: event of %s", row.name, e.Serial)
				}
			}
			if err != nil || !slices.Equal(got, row.want) {
				t.Errorf("%s: got %v, want %v, %v", row.name, got, row.want, err)
			}
		}
		return nil
	}))
}

func desired(t *testing.T, reopen func() store.Store) {
	s := reopen()
	update(t, s, func(tx store.Tx) error {
		return tx.PutDesired("VT-0001", store.Desired{Revision: 4, Envelope: []byte("{}"), At: at})
	})
	must(t, s.Close())
	s = reopen()
	defer s.Close()
	must(t, s.View(func(tx store.Tx) error {
		d, err := tx.Desired("VT-0001")
		if err != nil || d.Revision != 4 || string(d.Envelope) != "{}" {
			t.Errorf("got %+v, %v", d, err)
		}
		if _, err := tx.Desired("VT-0002"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("got %v", err)
		}
		return nil
	}))
}

func audit(t *testing.T, reopen func() store.Store) {
	s := reopen()
	for i := range 5 {
		update(t, s, func(tx store.Tx) error {
			_, err := tx.AppendAudit(store.AuditEntry{Time: at, Actor: "admin", Action: "test", Detail: map[string]string{"i": fmt.Sprint(i), "a": "b"}})
			return err
		})
	}
	must(t, s.Close())
	s = reopen()
	defer s.Close()
	head, err := store.VerifyAudit(s)
	if err != nil || head.Seq != 5 {
		t.Errorf("got %+v, %v", head, err)
	}
}

func cancelled(t *testing.T, reopen func() store.Store) {
	s := reopen()
	defer s.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	ran := false
	err := s.Update(ctx, func(store.Tx) error { ran = true; return nil })
	if !errors.Is(err, context.Canceled) || ran {
		t.Errorf("got %v, ran %t", err, ran)
	}
	update(t, s, func(tx store.Tx) error { return tx.PutTerminal(store.Terminal{Serial: "VT-0001"}) })
}
