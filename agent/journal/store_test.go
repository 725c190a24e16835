package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"posagent/agent/payment"
)

func TestSTANWrapsAndSkips(t *testing.T) {
	o := testOptions()
	o.FirstSTAN, o.FirstBatch = payment.MaxSTAN, 7
	j, _ := start(t, testPath(t), o)
	last := begin(t, j, "999999") // stays open
	finish(t, j, begin(t, j, "1").ID, approval())
	if free, err := j.NextSTAN(bg); err != nil || free != 2 {
		t.Fatalf("NextSTAN = %s, %v", free, err)
	}
	for _, row := range []struct {
		name  string
		batch payment.Batch
		from  payment.STAN // last given
		want  payment.STAN
	}{
		{"same batch skips every used one", 7, 999_998, 2},
		{"next batch skips the open one", 8, 999_998, 1},
		{"next batch may use a closed one again", 8, 2, 3},
	} {
		err := j.update(bg, func(tx *bbolt.Tx) error {
			return errors.Join(putJSON(tx.Bucket(bucketMeta), metaSTAN, row.from), putJSON(tx.Bucket(bucketMeta), metaBatch, row.batch))
		})
		if err != nil {
			t.Fatal(err)
		}
		rec := begin(t, j, row.name)
		if rec.STAN != row.want || rec.Batch != row.batch {
			t.Errorf("%s: STAN %s in batch %s, want %s", row.name, rec.STAN, rec.Batch, row.want)
		}
	}
	if rec, err := j.BySTAN(7, payment.MaxSTAN); err != nil || rec.ID != last.ID {
		t.Errorf("BySTAN = %s, %v", rec.ID, err)
	}
	sound(t, j)
}

func TestSetBatch(t *testing.T) {
	path := testPath(t)
	j, stop := start(t, path, testOptions())
	old := begin(t, j, "old")
	if err := j.SetBatch(bg, 2); err != nil {
		t.Fatal(err)
	}
	stop()
	j, _ = start(t, path, testOptions())
	if b, err := j.Batch(); err != nil || b != 2 {
		t.Fatalf("batch = %s, %v", b, err)
	}
	finish(t, j, begin(t, j, "new").ID, approval())
	finish(t, j, old.ID, approval())
	for b := payment.Batch(1); b <= 2; b++ {
		if tot, err := j.Totals(b); err != nil || tot.SaleCount != 1 {
			t.Errorf("totals of batch %s = %+v, %v", b, tot, err)
		}
	}
	for _, bad := range []payment.Batch{0, 1_000_000} {
		if err := j.SetBatch(bg, bad); err == nil {
			t.Errorf("batch %d accepted", bad)
		}
	}
	sound(t, j)
}

func TestList(t *testing.T) {
	j, _ := start(t, testPath(t), testOptions())
	for i := range 7 {
		rec := begin(t, j, fmt.Sprint(i))
		if i%2 == 0 {
			finish(t, j, rec.ID, approval())
		}
		if i == 3 {
			if err := j.SetBatch(bg, 2); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, row := range []struct {
		name string
		o    ListOptions
		want string // sequence numbers
	}{
		{"all", ListOptions{}, "[7 6 5 4 3 2 1]"},
		{"limit", ListOptions{Limit: 2}, "[7 6]"},
		{"before", ListOptions{Before: 4, Limit: 2}, "[3 2]"},
		{"before the first", ListOptions{Before: 1}, "[]"},
		{"before beyond the end", ListOptions{Before: 99, Limit: 1}, "[7]"},
		{"state", ListOptions{States: []State{Pending}}, "[6 4 2]"},
		{"batch", ListOptions{Batch: 2}, "[7 6 5]"},
		{"batch and state", ListOptions{Batch: 1, States: []State{Approved, Declined}}, "[3 1]"},
	} {
		got, err := j.List(row.o)
		seqs := []uint64{}
		for _, r := range got {
			seqs = append(seqs, r.Seq)
		}
		if err != nil || fmt.Sprint(seqs) != row.want {
			t.Errorf("%s = %v, %v; want %s", row.name, seqs, err, row.want)
		}
	}
	for name, err := range map[string]error{
		"id":         func() error { _, err := j.Record("nobody"); return err }(),
		"empty id":   func() error { _, err := j.Record(""); return err }(),
		"request":    func() error { _, err := j.ByRequest("operator", "nobody"); return err }(),
		"endless id": func() error { _, err := j.Record(strings.Repeat("x", 1<<16)); return err }(),
		"STAN":       func() error { _, err := j.BySTAN(1, 99); return err }(),
	} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("by %s: %v", name, err)
		}
	}
}

func TestOutbox(t *testing.T) {
	path := testPath(t)
	j, stop := start(t, path, testOptions())
	select {
	case <-j.OutboxSignal():
		t.Error("signal of an empty outbox")
	default:
	}
	for i := range 3 {
		finish(t, j, begin(t, j, fmt.Sprint(i)).ID, approval())
	}
	<-j.OutboxSignal()
	got, err := j.Outbox(bg, 2)
	if err != nil || len(got) != 2 || got[0].Seq != 1 || got[1].Seq != 2 {
		t.Fatalf("outbox = %+v, %v", got, err)
	}
	if err := j.Acked(bg, got[1].ID, "nobody", "", got[1].ID); err != nil {
		t.Fatal(err)
	}
	if err := j.Acked(bg); err != nil {
		t.Fatal(err)
	}
	stop()
	j, _ = start(t, path, testOptions())
	<-j.OutboxSignal()
	left, err := j.Outbox(bg, 1000)
	if err != nil || len(left) != 2 || left[0].ID != got[0].ID || left[1].Seq != 3 {
		t.Errorf("outbox after an acknowledgement = %+v, %v", left, err)
	}
	if none, err := j.Outbox(bg, 0); err != nil || len(none) != 0 {
		t.Errorf("outbox of none = %+v, %v", none, err)
	}
	sound(t, j)
}

func TestLocked(t *testing.T) {
	path := testPath(t)
	_, stop := start(t, path, testOptions())
	for name, open := range map[string]func(string, Options) (*Journal, error){"writer": Open, "reader": OpenReadOnly} {
		if _, err := open(path, testOptions()); !errors.Is(err, ErrLocked) {
			t.Errorf("second %s: %v", name, err)
		}
	}
	stop()
	start(t, path, testOptions())
}

func TestReadOnly(t *testing.T) {
	path := testPath(t)
	if _, err := OpenReadOnly(path, testOptions()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	j, stop := start(t, path, testOptions())
	rec := finish(t, j, begin(t, j, "r").ID, Result{Event: Reverse, Reason: payment.ReasonNoReply})
	stop()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := OpenReadOnly(path, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	second, err := OpenReadOnly(path, testOptions())
	if err != nil {
		t.Fatalf("second reader: %v", err)
	}
	second.Close()
	if got, err := r.Record(rec.ID); err != nil || got.State != Reversing {
		t.Errorf("record = %+v, %v", got, err)
	}
	sound(t, r)
	for name, err := range map[string]error{
		"Begin":  func() error { _, err := r.Begin(bg, testDraft(t, "x")); return err }(),
		"Finish": func() error { _, err := r.Finish(bg, rec.ID, approval()); return err }(),
		"Run":    r.Run(bg),
		"Acked":  r.Acked(bg, "x"),
	} {
		if !errors.Is(err, ErrReadOnly) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.Close()
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("reading changed the file: %v", err)
	}
}

func TestClosed(t *testing.T) {
	j, stop := start(t, testPath(t), testOptions())
	rec := begin(t, j, "r") // the writer runs
	if err := j.Run(bg); !errors.Is(err, ErrRunning) {
		t.Errorf("second Run: %v", err)
	}
	stop()
	if _, err := j.Begin(bg, testDraft(t, "late")); !errors.Is(err, ErrClosed) {
		t.Errorf("Begin: %v", err)
	}
	if _, err := j.Record(rec.ID); !errors.Is(err, ErrClosed) {
		t.Errorf("Record: %v", err)
	}
	if _, err := j.Verify(bg); !errors.Is(err, ErrClosed) {
		t.Errorf("Verify: %v", err)
	}
}

// TestContext: a context counts until the writer has taken the work.
func TestContext(t *testing.T) {
	j, err := Open(testPath(t), testOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	over, cancel := context.WithCancel(bg)
	cancel()
	if _, err := j.Begin(over, testDraft(t, "r")); !errors.Is(err, context.Canceled) {
		t.Errorf("Begin with an ended context: %v", err)
	}
	// No writer runs, so the work is still the caller's when the context ends.
	waiting, cancel := context.WithCancel(bg)
	got := make(chan error)
	go func() { _, err := j.Begin(waiting, testDraft(t, "r")); got <- err }()
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("Begin without a writer: %v", err)
	}
	// Work that the writer has taken ends with the disk, not with the context.
	taken, cancel := context.WithCancel(bg)
	go func() {
		got <- j.update(taken, func(tx *bbolt.Tx) error { cancel(); return putJSON(tx.Bucket(bucketMeta), metaSTAN, 41) })
	}()
	ctx, stop := context.WithCancel(bg)
	done := make(chan error)
	go func() { done <- j.Run(ctx) }()
	if err := <-got; err != nil {
		t.Errorf("taken work: %v", err)
	}
	if rec := begin(t, j, "r"); rec.STAN != 42 {
		t.Errorf("STAN = %s, want 000042: the taken work was lost", rec.STAN)
	}
	stop()
	<-done
}

func TestFull(t *testing.T) {
	t.Run("disk", func(t *testing.T) {
		j, _ := start(t, testPath(t), testOptions())
		rec := begin(t, j, "r")
		j.free = func() (int64, error) { return defaultMinFree - 1, nil }
		if _, err := j.Begin(bg, testDraft(t, "no room")); !errors.Is(err, ErrFull) {
			t.Errorf("Begin: %v", err)
		}
		finish(t, j, rec.ID, approval()) // what was begun can always be ended
		sound(t, j)
	})
	t.Run("limit", func(t *testing.T) {
		o := testOptions()
		o.MaxSize = 3 << 20
		j, _ := start(t, testPath(t), o)
		open := begin(t, j, "open")
		err := j.update(bg, func(tx *bbolt.Tx) error { // as large as half a year of records
			b, err := tx.CreateBucket([]byte("ballast"))
			if err != nil {
				return err
			}
			return b.Put([]byte("x"), make([]byte, 1100<<10))
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := j.Begin(bg, testDraft(t, "no room")); !errors.Is(err, ErrFull) {
			t.Errorf("Begin: %v", err)
		}
		finish(t, j, open.ID, approval())
		sound(t, j)
	})
	t.Run("commit", func(t *testing.T) {
		o := testOptions()
		o.MaxSize = 1 << 20
		j, _ := start(t, testPath(t), o)
		err := j.update(bg, func(tx *bbolt.Tx) error {
			return tx.Bucket(bucketMeta).Put([]byte("x"), make([]byte, 2<<20))
		})
		if !errors.Is(err, ErrFull) {
			t.Errorf("commit: %v", err)
		}
		if err := j.SetBatch(bg, 2); err != nil { // the writer goes on
			t.Errorf("after a full commit: %v", err)
		}
	})
}

// TestWriteFails: after an error that leaves the disk unknown nothing more is
// written, everybody is told, and what was acknowledged is there on reopening.
func TestWriteFails(t *testing.T) {
	path := testPath(t)
	var out bytes.Buffer
	o := testOptions()
	o.Log = slog.New(slog.NewTextHandler(&out, nil))
	j, stop := start(t, path, o)
	rec := begin(t, j, "r")
	file := fileOf(t, path)
	broken, err := os.Open(os.DevNull) // not open for writing
	if err != nil {
		t.Fatal(err)
	}
	keep, err := unix.Dup(file)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(keep)
	if err := unix.Dup2(int(broken.Fd()), file); err != nil {
		t.Fatal(err)
	}
	broken.Close()
	if _, err := j.Finish(bg, rec.ID, approval()); !errors.Is(err, ErrFailed) {
		t.Errorf("Finish: %v", err)
	}
	if err := unix.Dup2(keep, file); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Finish(bg, rec.ID, approval()); !errors.Is(err, ErrFailed) {
		t.Errorf("Finish after the failure: %v", err)
	}
	unix.Close(keep)
	stop()
	if !strings.Contains(out.String(), "journal write failed") {
		t.Errorf("log is silent: %s", out.String())
	}
	j, _ = start(t, path, testOptions())
	if got, err := j.Record(rec.ID); err != nil || got.State != Pending {
		t.Errorf("record = %s, %v", got.State, err)
	}
	sound(t, j)
}

// fileOf gives the descriptor under which this process has path open.
func fileOf(t *testing.T, path string) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("needs /proc: ", err)
	}
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && to == path {
			var fd int
			if _, err := fmt.Sscan(e.Name(), &fd); err != nil {
				t.Fatal(err)
			}
			return fd
		}
	}
	t.Fatal("the journal's file is not open")
	return -1
}

func TestOpenRefuses(t *testing.T) {
	path := testPath(t)
	j, stop := start(t, path, testOptions())
	begin(t, j, "r")
	stop()
	bad := func(change func(*Options)) Options { o := testOptions(); change(&o); return o }
	for _, row := range []struct {
		name string
		o    Options
		want error
	}{
		{"no key", bad(func(o *Options) { o.Key = nil }), ErrKey},
		{"short key", bad(func(o *Options) { o.Key = testKey[:31] }), ErrKey},
		{"another key", bad(func(o *Options) { o.Key = []byte(strings.Repeat("k", 32)) }), ErrKey},
	} {
		if _, err := Open(path, row.o); !errors.Is(err, row.want) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
	for name, o := range map[string]Options{
		"MaxSize":    bad(func(o *Options) { o.MaxSize = 4096 }),
		"FirstSTAN":  bad(func(o *Options) { o.FirstSTAN = 1_000_000 }),
		"FirstBatch": bad(func(o *Options) { o.FirstBatch = 1_000_000 }),
	} {
		var field *FieldError
		if _, err := Open(path, o); !errors.As(err, &field) || field.Field != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "no", "journal.db"), testOptions()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing directory: %v", err)
	}
}

func TestNewerVersion(t *testing.T) {
	path := testPath(t)
	j, stop := start(t, path, testOptions())
	err := j.update(bg, func(tx *bbolt.Tx) error { return putJSON(tx.Bucket(bucketMeta), metaVersion, schemaVersion+1) })
	if err != nil {
		t.Fatal(err)
	}
	stop()
	var ve *VersionError
	if _, err := Open(path, testOptions()); !errors.As(err, &ve) || ve.Have != schemaVersion+1 {
		t.Errorf("error = %v", err)
	}
}

// TestHalfMade: a cut while the file was being made leaves only the other name.
func TestHalfMade(t *testing.T) {
	path := testPath(t)
	if err := os.WriteFile(path+".new", []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	j, _ := start(t, path, testOptions())
	begin(t, j, "r")
	if _, err := os.Stat(path + ".new"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("leftover is still there: %v", err)
	}
}

func TestAge(t *testing.T) {
	j, _ := start(t, testPath(t), testOptions())
	rec := begin(t, j, "r")
	if got := rec.Age(rec.Entered(Pending).Add(time.Minute)); got != time.Minute {
		t.Errorf("age = %v", got)
	}
	if (Record{}).Age(testTime) != 0 || !(Record{}).Entered(Pending).IsZero() {
		t.Error("an empty record has an age")
	}
}
