// Package durable replaces small files so that a power cut leaves the old
// content or the new one, never a mixture and never nothing.
//
// It is for the few things a terminal keeps beside its journal: its identity,
// the configuration in force, the connection number. It is not a store: one
// file is one value.
//
//	err := durable.Write(filepath.Join(dir, "identity.json"), data)
//
// What survives a power cut: after Write has returned nil, the new content.
//
// # Decisions
//
// The directory is synced after the rename (POSIX leaves the order of a rename
// and a crash open; ext4 and f2fs need it).
package durable

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// MaxFile bounds what Read takes into memory: the largest of these files is a
// configuration of 64 KiB in its envelope.
const MaxFile = 256 << 10

// ErrTooLarge reports a file above MaxFile.
var ErrTooLarge = errors.New("durable: file too large")

// Write replaces path by data with mode 0600. The directory must exist.
func Write(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	temp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("replace %s: %w", filepath.Base(path), err)
	}
	defer func() {
		if err != nil {
			os.Remove(temp.Name())
			err = fmt.Errorf("replace %s: %w", filepath.Base(path), err)
		}
	}()
	_, err = temp.Write(data)
	if err == nil {
		err = temp.Sync()
	}
	if e := temp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return err
	}
	return SyncDir(dir)
}

// SyncDir makes the names in a directory durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}

// Read gives the whole file, at most MaxFile bytes. A missing file is
// fs.ErrNotExist.
func Read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Base(path), err)
	}
	if len(data) > MaxFile {
		return nil, fmt.Errorf("read %s: %w", filepath.Base(path), ErrTooLarge)
	}
	return data, nil
}
