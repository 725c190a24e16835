package journal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"posagent/agent/payment"
)

// TestVerifyFinds spoils one thing at a time behind the journal's back.
func TestVerifyFinds(t *testing.T) {
	for _, row := range []struct {
		name  string
		spoil func(*bbolt.Tx) error
		want  string
	}{
		{"totals", func(tx *bbolt.Tx) error {
			return putJSON(tx.Bucket(bucketTotals), batchKey(1), Totals{Batch: 1, Currency: payment.CNY, SaleCount: 9})
		}, "totals of batch 000001"},
		{"totals gone", func(tx *bbolt.Tx) error { return tx.Bucket(bucketTotals).Delete(batchKey(1)) }, "batches have totals"},
		{"queue entry gone", func(tx *bbolt.Tx) error { return tx.Bucket(bucketOpen).Delete(seqKey(2)) }, "not in that queue"},
		{"queue entry too many", func(tx *bbolt.Tx) error { return tx.Bucket(bucketOpen).Put(seqKey(1), []byte(Pending)) }, "belongs to no open record"},
		{"image gone", func(tx *bbolt.Tx) error { return tx.Bucket(bucketImages).Delete(seqKey(2)) }, "no readable reversal image"},
		{"image left", func(tx *bbolt.Tx) error { return tx.Bucket(bucketImages).Put(seqKey(1), []byte("x")) }, "belongs to no open record"},
		{"index", func(tx *bbolt.Tx) error { return tx.Bucket(bucketSTANs).Delete(stanKey(1, 1)) }, "not found by its STAN"},
		{"outbox", func(tx *bbolt.Tx) error { return tx.Bucket(bucketOutbox).Delete(seqKey(1)) }, "leads nowhere"},
		{"record", func(tx *bbolt.Tx) error {
			raw := bytes.Clone(tx.Bucket(bucketRecords).Get(seqKey(1)))
			raw[len(raw)/2] ^= 1
			return tx.Bucket(bucketRecords).Put(seqKey(1), raw)
		}, "record 1: checksum is wrong"},
		{"STAN used twice", func(tx *bbolt.Tx) error {
			rec, err := decodeRecord(seqKey(2), tx.Bucket(bucketRecords).Get(seqKey(2)))
			rec.STAN = 1
			return errors.Join(err, putRecord(tx, rec, payment.PAN{}, payment.Track2{}))
		}, "both have STAN 000001"},
	} {
		t.Run(row.name, func(t *testing.T) {
			j, _ := start(t, testPath(t), testOptions())
			finish(t, j, begin(t, j, "1").ID, approval())
			begin(t, j, "2")
			sound(t, j)
			if err := j.update(bg, row.spoil); err != nil {
				t.Fatal(err)
			}
			rep, err := j.Verify(bg)
			if err != nil || !strings.Contains(strings.Join(rep.Problems, "\n"), row.want) {
				t.Errorf("problems = %q, %v; want %q", rep.Problems, err, row.want)
			}
		})
	}
}

// TestDamage truncates and flips the file in many places: opening it and
// reading everything ends in a typed error or in the truth, never in a panic,
// and never changes the file that could not be opened.
func TestDamage(t *testing.T) {
	path := testPath(t)
	j, stop := start(t, path, testOptions())
	for i := range 40 {
		rec := begin(t, j, fmt.Sprint(i))
		if i%3 != 0 {
			finish(t, j, rec.ID, approval())
		}
	}
	stop()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	used := 0 // bytes in use; what lies behind is empty
	for i, b := range whole {
		if b != 0 {
			used = i + 1
		}
	}
	rng := rand.New(rand.NewSource(1))
	refused := 0
	try := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		err := readAll(path)
		if err == nil {
			return
		}
		refused++
		var corrupt *CorruptError
		var version *VersionError
		if !errors.As(err, &corrupt) && !errors.As(err, &version) && !errors.Is(err, ErrKey) {
			t.Errorf("%s: untyped error %T: %v", name, err, err)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, b) {
			t.Errorf("%s: the damaged file was changed", name)
		}
	}
	for _, n := range []int{0, 1, 16, 80, 4095, 4096, 8191, 8192, 3 * 4096, 4*4096 - 1, used / 2, used - 4096} {
		before := refused
		try(fmt.Sprintf("cut to %d", n), whole[:n])
		if refused == before {
			t.Errorf("a file cut to %d of %d bytes was accepted", n, used)
		}
	}
	try("zeros", make([]byte, len(whole)))
	try("text", bytes.Repeat([]byte("not a journal\n"), 4096))
	for i := range 400 {
		b := bytes.Clone(whole)
		at, bit := rng.Intn(used), byte(1)<<rng.Intn(8)
		b[at] ^= bit
		if i%4 == 0 { // a torn sector
			at = at / 512 * 512
			rng.Read(b[at : at+512])
		}
		try(fmt.Sprintf("damage %d at %d", i, at), b)
	}
	if refused < 100 {
		t.Errorf("only %d of 414 damages were noticed", refused)
	}
	for page := range used / 4096 { // every page header
		b := bytes.Clone(whole)
		rng.Read(b[page*4096 : page*4096+64])
		try(fmt.Sprintf("header of page %d", page), b)
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := readAll(path); err != nil {
		t.Errorf("the whole file: %v", err)
	}
}

// readAll opens the journal and reads whatever there is to read.
func readAll(path string) error {
	j, err := OpenReadOnly(path, testOptions())
	if err != nil {
		return err
	}
	defer j.Close()
	rep, err := j.Verify(bg)
	if err != nil {
		return err
	}
	if len(rep.Problems) > 0 {
		return j.corrupt("verify", errors.New(rep.Problems[0]))
	}
	if _, err := j.List(ListOptions{Limit: maxLimit}); err != nil {
		return err
	}
	if _, err := j.Reversals(bg); err != nil {
		return err
	}
	_, err = j.Outbox(bg, maxOutbox)
	return err
}

// TestShrunkWhileOpen: another program cuts the file short under the map. The
// fault becomes an error, not the end of the process.
func TestShrunkWhileOpen(t *testing.T) {
	path := testPath(t)
	j, stop := start(t, path, testOptions())
	begin(t, j, "r")
	stop()
	r, err := OpenReadOnly(path, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		var corrupt *CorruptError
		if _, err := r.Last(); !errors.As(err, &corrupt) {
			t.Errorf("error = %v", err)
		}
	}
	if err := r.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// TestWriterFaults: the same under the writer. Callers hear of it, Run ends.
func TestWriterFaults(t *testing.T) {
	path := testPath(t)
	j, err := Open(path, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- j.Run(bg) }()
	begin(t, j, "r")
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
	var corrupt *CorruptError
	if _, err := j.Begin(bg, testDraft(t, "s")); !errors.As(err, &corrupt) {
		t.Errorf("Begin: %v", err)
	}
	if err := <-done; !errors.As(err, &corrupt) {
		t.Errorf("Run: %v", err)
	}
	if _, err := j.Begin(bg, testDraft(t, "u")); !errors.As(err, &corrupt) {
		t.Errorf("Begin after Run: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func FuzzPreflight(f *testing.F) {
	path := testPath(f)
	j, stop := start(f, path, testOptions())
	begin(f, j, "r")
	stop()
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	whole = whole[:min(len(whole), 1<<17)]
	f.Add(whole, uint32(4096*3+8), uint32(0x0badc0de))
	f.Add(whole[:9000], uint32(16), uint32(0))
	f.Fuzz(func(t *testing.T, b []byte, at, with uint32) {
		if len(b) >= 4 {
			copy(b[at%uint32(len(b)-3):], []byte{byte(with), byte(with >> 8), byte(with >> 16), byte(with >> 24)})
		}
		p := filepath.Join(t.TempDir(), "j")
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(p)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := preflight(file); err != nil {
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) {
				t.Errorf("untyped error: %v", err)
			}
			return
		}
		// What passes must not hurt bbolt.
		_ = readAll(p)
	})
}
