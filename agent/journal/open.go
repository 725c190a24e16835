package journal

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"

	"posagent/agent/payment"
)

const (
	fileMode        = 0o600
	pageSize        = 4096      // fixed, so that a file opens on kernels with larger pages
	growStep        = 1 << 20   // bytes the file grows by
	initialMmap     = 8 << 20   // bytes mapped at open; a reader never blocks a writer below this
	defaultMaxSize  = 64 << 20  // bytes
	largestMaxSize  = 512 << 20 // bytes; fits the address space of a 32-bit terminal
	defaultMinFree  = 1 << 20   // bytes of disk: some hundred commits
	defaultLockWait = 2 * time.Second
	lockPoll        = 20 * time.Millisecond
)

// Open opens the journal at path, or makes one if there is no file. Errors:
// ErrLocked, ErrKey, *CorruptError, *VersionError, *FieldError, or one of the
// file system. A damaged file is left untouched.
func Open(path string, o Options) (*Journal, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := create(path, o); err != nil {
			return nil, fmt.Errorf("make journal: %w", err)
		}
	} else if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	return open(path, o, false)
}

// OpenReadOnly opens an existing journal for inspection. Any number of readers
// may have it open, but no writer beside them.
func OpenReadOnly(path string, o Options) (*Journal, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	return open(path, o, true)
}

func (o *Options) fill() error {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.FirstSTAN == 0 {
		o.FirstSTAN = 1
	}
	if o.FirstBatch == 0 {
		o.FirstBatch = 1
	}
	if o.MaxSize == 0 {
		o.MaxSize = defaultMaxSize
	}
	if o.MinFree == 0 {
		o.MinFree = defaultMinFree
	}
	if o.LockWait == 0 {
		o.LockWait = defaultLockWait
	}
	switch {
	case len(o.Key) != keyLen:
		return fmt.Errorf("%w: %d bytes, want %d", ErrKey, len(o.Key), keyLen)
	case o.FirstSTAN > payment.MaxSTAN:
		return &FieldError{"FirstSTAN", "above 999999"}
	case o.FirstBatch > 999_999:
		return &FieldError{"FirstBatch", "above 999999"}
	case o.MaxSize < growStep || o.MaxSize > largestMaxSize:
		return &FieldError{"MaxSize", "not between 1 MiB and 512 MiB"}
	}
	return nil
}

func open(path string, o Options, readOnly bool) (*Journal, error) {
	seal, err := newSealer(o.Key, o.Rand)
	if err != nil {
		return nil, err
	}
	j := &Journal{
		path: path, readOnly: readOnly, seal: seal, log: o.Log, now: o.Now, rand: o.Rand,
		maxSize: o.MaxSize, minFree: o.MinFree,
		ops: make(chan *op), stopped: make(chan struct{}), outbox: make(chan struct{}, 1),
	}
	j.free = j.diskFree
	if j.db, j.file, err = openBolt(path, o, readOnly); err != nil {
		return nil, err
	}
	if err := j.check(); err != nil {
		return nil, errors.Join(err, j.Close())
	}
	if n, err := j.outboxLen(); err == nil && n > 0 {
		j.signalOutbox()
	}
	return j, nil
}

// openBolt locks and checks the file and only then lets bbolt map it.
func openBolt(path string, o Options, readOnly bool) (db *bbolt.DB, file *os.File, err error) {
	mmap := int(min(int64(initialMmap), o.MaxSize))
	opts := &bbolt.Options{
		Timeout: o.LockWait, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType,
		PageSize: pageSize, InitialMmapSize: mmap, MaxSize: int(o.MaxSize),
		NoStatistics: true, ReadOnly: readOnly,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := openLocked(name, flag&^os.O_CREATE, mode, readOnly, o.LockWait)
			if err != nil {
				return nil, err
			}
			note, err := preflight(f)
			if err != nil {
				f.Close()
				return nil, err
			}
			if note != "" {
				o.Log.Warn("journal file has a torn meta page", "path", path, "note", note)
			}
			file = f
			return f, nil
		},
	}
	err = guard(path, "file", func() error {
		db, err = bbolt.Open(path, fileMode, opts)
		return err
	}, func(error) { file.Close() })
	var corrupt *CorruptError
	switch {
	case err == nil:
		db.AllocSize = growStep
		return db, file, nil
	case errors.Is(err, ErrLocked), errors.As(err, &corrupt), errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return nil, nil, err
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, nil, fmt.Errorf("%w: %s", ErrLocked, path)
	case isInvalid(err):
		return nil, nil, &CorruptError{path, "file", err}
	}
	return nil, nil, fmt.Errorf("open journal: %w", err)
}

func isInvalid(err error) bool {
	return errors.Is(err, bolterrors.ErrInvalid) || errors.Is(err, bolterrors.ErrChecksum) ||
		errors.Is(err, bolterrors.ErrVersionMismatch) || errors.Is(err, bolterrors.ErrInvalidMapping)
}

// openLocked opens the file and takes its lock (exclusive for a writer, shared
// for a reader), waiting at most wait for another process. The lock belongs to
// the open file, so that bbolt's own locking of it afterwards is at once.
func openLocked(name string, flag int, mode os.FileMode, shared bool, wait time.Duration) (*os.File, error) {
	f, err := os.OpenFile(name, flag, mode)
	if err != nil {
		return nil, err
	}
	how := unix.LOCK_EX
	if shared {
		how = unix.LOCK_SH
	}
	for deadline := time.Now().Add(wait); ; time.Sleep(lockPoll) {
		err = unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if err != unix.EWOULDBLOCK && err != unix.EINTR {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
		if time.Now().After(deadline) {
			f.Close()
			return nil, fmt.Errorf("%w: %s", ErrLocked, name)
		}
	}
}

// create makes a new file under another name, and gives it its name only when
// it is whole and synced. A lock on the directory keeps a second process out.
func create(path string, o Options) (err error) {
	dir, err := openLocked(filepath.Dir(path), os.O_RDONLY, 0, false, o.LockWait)
	if err != nil {
		return err
	}
	defer dir.Close()
	if _, err := os.Lstat(path); err == nil {
		return nil // another process was first
	}
	temp := path + ".new"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(temp)
		}
	}()
	seal, err := newSealer(o.Key, o.Rand)
	if err != nil {
		return err
	}
	check, err := seal.seal(formatName, string(metaKeyCheck), []byte(formatName))
	if err != nil {
		return err
	}
	db, err := bbolt.Open(temp, fileMode, &bbolt.Options{
		Timeout: o.LockWait, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType,
		PageSize: pageSize, NoStatistics: true,
	})
	if err != nil {
		return noRoom(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		meta := tx.Bucket(bucketMeta)
		return errors.Join(
			putJSON(meta, metaFormat, formatName),
			putJSON(meta, metaVersion, schemaVersion),
			putJSON(meta, metaKeyCheck, check),
			putJSON(meta, metaSTAN, (o.FirstSTAN+payment.MaxSTAN-2)%payment.MaxSTAN+1),
			putJSON(meta, metaBatch, o.FirstBatch),
		)
	})
	if err = errors.Join(err, db.Sync(), db.Close()); err != nil {
		return noRoom(err)
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return dir.Sync()
}

// check reads what says that this file is a journal of ours, of a version we
// know and under our key.
func (j *Journal) check() error {
	return j.view(func(tx *bbolt.Tx) error {
		for _, name := range buckets {
			if tx.Bucket(name) == nil {
				return j.corrupt("bucket "+string(name), errors.New("missing"))
			}
		}
		meta := tx.Bucket(bucketMeta)
		var format string
		var version uint32
		var sealed []byte
		for _, row := range []struct {
			key []byte
			to  any
		}{{metaFormat, &format}, {metaVersion, &version}, {metaKeyCheck, &sealed}} {
			if ok, err := loadJSON(meta, row.key, row.to); err != nil || !ok {
				return j.corrupt("meta "+string(row.key), orMissing(err))
			}
		}
		if format != formatName {
			return j.corrupt("meta format", fmt.Errorf("%q is not a journal", format))
		}
		if version > schemaVersion {
			return &VersionError{j.path, version, schemaVersion}
		}
		plain, err := j.seal.open(formatName, string(metaKeyCheck), sealed)
		if err != nil || !bytes.Equal(plain, []byte(formatName)) {
			return fmt.Errorf("%w: %s", ErrKey, j.path)
		}
		return nil
	})
}

func orMissing(err error) error {
	if err == nil {
		return errors.New("missing")
	}
	return err
}

// Close releases the file. End Run first; work that comes later gets ErrClosed.
func (j *Journal) Close() error {
	if j.broken.Load() != nil {
		// bbolt may have died with its locks held; letting go of the file is all
		// that is safe.
		return j.file.Close()
	}
	return guard(j.path, "close", j.db.Close, j.breaks)
}

// guard runs f and turns a panic of bbolt, or a fault in its memory map (a disk
// that cannot deliver a page, a file cut short by another program), into an
// error, which it also hands to broken: bbolt is not to be called again.
func guard(path, what string, f func() error, broken func(error)) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = &CorruptError{path, what, fmt.Errorf("%v", p)}
			broken(err)
		}
	}()
	return f()
}

// breaks remembers the first error after which bbolt may hold locks for ever.
func (j *Journal) breaks(err error) { j.broken.CompareAndSwap(nil, &err) }

func (j *Journal) corrupt(what string, err error) error {
	return &CorruptError{j.path, what, err}
}

func (j *Journal) view(f func(tx *bbolt.Tx) error) error {
	if err := j.broken.Load(); err != nil {
		return *err
	}
	err := guard(j.path, "read", func() error { return j.db.View(f) }, j.breaks)
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	return err
}

// diskFree gives the bytes an ordinary user may still write beside the journal.
func (j *Journal) diskFree() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(j.path, &st); err != nil {
		return 0, fmt.Errorf("free space at %s: %w", j.path, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

// noRoom wraps the errors of a full disk or file in ErrFull.
func noRoom(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG) || errors.Is(err, bolterrors.ErrMaxSizeReached) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}
