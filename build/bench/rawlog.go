package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// recordSize is the length in bytes of what a raw log keeps of one state of a
// sale: about a journal record.
const recordSize = 600

// rawFile writes records one behind the other and syncs: the least that a durable
// record costs on a disk. It keeps no order, no index and no sums, and nothing
// could be found in it again.
type rawFile struct {
	file *os.File
	at   int64
	wrap int64 // start again here; 0: never, the file grows
	buf  []byte
}

// newRawFile makes a log. With laid > 0 the file has that many bytes from the
// beginning, so that a sync writes no metadata.
func newRawFile(path string, laid int64) (*rawFile, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if laid > 0 {
		if _, err := f.Write(make([]byte, laid)); err != nil {
			f.Close()
			return nil, err
		}
		if err := f.Sync(); err != nil {
			f.Close()
			return nil, err
		}
	}
	return &rawFile{file: f, wrap: laid, buf: make([]byte, 0, maxRawGroup*recordSize)}, nil
}

// write makes n records durable with one sync.
func (r *rawFile) write(n int) error {
	buf := r.buf[:n*recordSize]
	if r.wrap > 0 && r.at+int64(len(buf)) > r.wrap {
		r.at = 0
	}
	if _, err := r.file.WriteAt(buf, r.at); err != nil {
		return fmt.Errorf("write raw log: %w", err)
	}
	if err := unix.Fdatasync(int(r.file.Fd())); err != nil {
		return fmt.Errorf("sync raw log: %w", err)
	}
	r.at += int64(len(buf))
	return nil
}

// maxRawGroup is the most records one sync of a rawLog takes.
const maxRawGroup = 64

// rawLog is a raw file for several writers: one goroutine takes all records that
// wait and makes them durable together.
type rawLog struct {
	file *rawFile
	ops  chan chan error
}

// run writes until ops is closed.
func (l *rawLog) run() {
	group := make([]chan error, 0, maxRawGroup)
	for first := range l.ops {
		group = append(group[:0], first)
		for more := true; more && len(group) < maxRawGroup; {
			select {
			case next, ok := <-l.ops:
				if more = ok; ok {
					group = append(group, next)
				}
			default:
				more = false
			}
		}
		err := l.file.write(len(group))
		for _, done := range group {
			done <- err
		}
	}
}

// append makes one record durable. done is the caller's, with room for one.
func (l *rawLog) append(done chan error) error {
	l.ops <- done
	return <-done
}
