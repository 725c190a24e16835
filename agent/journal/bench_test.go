package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkEnqueueAck is one sale: durable pending, durable outcome.
func BenchmarkEnqueueAck(b *testing.B) {
	j, _ := start(b, testPath(b), Options{Key: testKey, MaxSize: largestMaxSize})
	d := testDraft(b, "")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		d.RequestID = fmt.Sprint(i)
		rec, err := j.Begin(bg, d)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := j.Finish(bg, rec.ID, approval()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEnqueueAck8 is the same with eight callers at once.
func BenchmarkEnqueueAck8(b *testing.B) {
	j, _ := start(b, testPath(b), Options{Key: testKey, MaxSize: largestMaxSize})
	draft := testDraft(b, "")
	var n atomic.Uint64
	b.SetParallelism(8) // times GOMAXPROCS
	b.RunParallel(func(pb *testing.PB) {
		d := draft
		for pb.Next() {
			d.RequestID = fmt.Sprint(n.Add(1))
			rec, err := j.Begin(bg, d)
			if err != nil {
				b.Error(err)
				return
			}
			if _, err := j.Finish(bg, rec.ID, approval()); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkTwoFdatasync is the floor: two appends of a record's size, each
// synced, on the same disk.
func BenchmarkTwoFdatasync(b *testing.B) {
	f, err := os.OpenFile(filepath.Join(b.TempDir(), "raw"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	buf := make([]byte, 600)
	var at int64
	for b.Loop() {
		for range 2 {
			if _, err := f.WriteAt(buf, at); err != nil {
				b.Fatal(err)
			}
			if err := unix.Fdatasync(int(f.Fd())); err != nil {
				b.Fatal(err)
			}
			at += int64(len(buf))
		}
	}
}
