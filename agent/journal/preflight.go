package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// The layout of a bbolt 1.x file, as far as it must be believed before it is
// mapped. Numbers are in the byte order of the processor that wrote them, which
// is little on every terminal.
//
//	page header   id u64, flags u16, count u16, overflow u32
//	meta          magic, version, pageSize, flags u32; root page, root sequence,
//	              freelist page, pages in use, transaction id u64; FNV-1a u64
//	branch item   position, key length u32; page u64
//	leaf item     flags, position, key length, value length u32
//	bucket value  root page, sequence u64; if root is 0 a page follows
//
// A position counts from the start of its item.
const (
	boltMagic      = 0xED0CDAED
	boltVersion    = 2
	boltHeaderLen  = 16
	boltMetaLen    = 64
	boltItemLen    = 16
	boltBucketLen  = 16
	boltBranch     = 0x01
	boltLeaf       = 0x02
	boltBucketFlag = 0x01
	boltNoFreelist = ^uint64(0)

	maxDepth = 32 // levels of tree and nested buckets; a sound journal has six
)

// boltMeta is one meta page.
type boltMeta struct {
	root, freelist, pages, txid uint64
}

// preflight reads every page that bbolt will follow and reports the first that
// cannot be what it is named for. note is not empty if one of the two meta
// pages is invalid, which is what a torn last write leaves.
func preflight(f *os.File) (note string, err error) {
	damaged := func(what string, err error) (string, error) {
		return "", &CorruptError{f.Name(), what, err}
	}
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("check journal: %w", err)
	}
	if !info.Mode().IsRegular() {
		return damaged("file", errors.New("not a regular file"))
	}
	if info.Size() < 4*pageSize {
		return damaged("file", fmt.Errorf("%d bytes is shorter than any journal", info.Size()))
	}
	var metas []boltMeta
	var metaErr error
	for i := range int64(2) {
		m, err := readMeta(f, i)
		if err != nil {
			metaErr = errors.Join(metaErr, fmt.Errorf("page %d: %w", i, err))
			continue
		}
		metas = append(metas, m)
	}
	switch len(metas) {
	case 0:
		return damaged("both meta pages", metaErr)
	case 1:
		note = metaErr.Error()
	case 2:
		if metas[1].txid > metas[0].txid {
			metas[0] = metas[1]
		}
	}
	m := metas[0]
	if m.pages > uint64(info.Size())/pageSize {
		return damaged("file", fmt.Errorf("%d bytes, but %d pages of %d are in use: cut short", info.Size(), m.pages, pageSize))
	}
	w := &walker{f: f, pages: m.pages, seen: make([]bool, m.pages)}
	if err := w.page(m.root, 0, nil, nil); err != nil {
		return damaged("tree", err)
	}
	if m.freelist != boltNoFreelist {
		return damaged("freelist", fmt.Errorf("page %d, but a journal keeps none", m.freelist))
	}
	return note, nil
}

func readMeta(f io.ReaderAt, page int64) (boltMeta, error) {
	var b [boltHeaderLen + boltMetaLen]byte
	if _, err := f.ReadAt(b[:], page*pageSize); err != nil {
		return boltMeta{}, err
	}
	m := b[boltHeaderLen:]
	sum := fnv.New64a()
	sum.Write(m[:boltMetaLen-8])
	switch {
	case u32(m, 0) != boltMagic:
		return boltMeta{}, errors.New("not a bbolt meta page")
	case u32(m, 4) != boltVersion:
		return boltMeta{}, fmt.Errorf("bbolt version %d, want %d", u32(m, 4), boltVersion)
	case u64(m, 56) != sum.Sum64():
		return boltMeta{}, errChecksum
	case u32(m, 8) != pageSize:
		return boltMeta{}, fmt.Errorf("page size %d, want %d", u32(m, 8), pageSize)
	}
	return boltMeta{root: u64(m, 16), freelist: u64(m, 32), pages: u64(m, 40), txid: u64(m, 48)}, nil
}

func u16(b []byte, at int) uint16 { return binary.NativeEndian.Uint16(b[at:]) }
func u32(b []byte, at int) uint32 { return binary.NativeEndian.Uint32(b[at:]) }
func u64(b []byte, at int) uint64 { return binary.NativeEndian.Uint64(b[at:]) }

// walker visits each page of the tree once.
type walker struct {
	f     io.ReaderAt
	pages uint64
	seen  []bool
}

// page reads page id with its overflow and checks it and all below it. Its keys
// lie at or above low and below high; nil is no bound.
func (w *walker) page(id uint64, depth int, low, high []byte) error {
	if depth > maxDepth {
		return fmt.Errorf("page %d: deeper than %d levels", id, maxDepth)
	}
	if id < 2 || id >= w.pages {
		return fmt.Errorf("page %d: outside the %d pages in use", id, w.pages)
	}
	buf := make([]byte, pageSize)
	if _, err := w.f.ReadAt(buf, int64(id)*pageSize); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	if got := u64(buf, 0); got != id {
		return fmt.Errorf("page %d: calls itself page %d", id, got)
	}
	over := uint64(u32(buf, 12))
	if over >= w.pages-id {
		return fmt.Errorf("page %d: %d overflow pages reach beyond the file", id, over)
	}
	for p := id; p <= id+over; p++ {
		if w.seen[p] {
			return fmt.Errorf("page %d: in use twice", p)
		}
		w.seen[p] = true
	}
	if over > 0 {
		buf = make([]byte, (over+1)*pageSize)
		if _, err := w.f.ReadAt(buf, int64(id)*pageSize); err != nil {
			return fmt.Errorf("page %d: %w", id, err)
		}
	}
	if err := w.content(buf, depth, low, high); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

// content checks the items of one branch or leaf page, also of one that lies
// inside a bucket's value.
func (w *walker) content(buf []byte, depth int, low, high []byte) error {
	flags, count := u16(buf, 8), int(u16(buf, 10))
	if flags != boltBranch && flags != boltLeaf {
		return fmt.Errorf("flags %#x are neither branch nor leaf", flags)
	}
	end := boltHeaderLen + count*boltItemLen
	if end > len(buf) || (flags == boltBranch && count == 0) {
		return fmt.Errorf("%d items do not fit", count)
	}
	keys, values := make([][]byte, count+1), make([][]byte, count)
	keys[count] = high
	for i := range count {
		item := boltHeaderLen + i*boltItemLen
		pos, klen, vlen := u32(buf, item), u32(buf, item+4), uint32(0)
		if flags == boltLeaf {
			pos, klen, vlen = u32(buf, item+4), u32(buf, item+8), u32(buf, item+12)
		}
		from := uint64(item) + uint64(pos)
		to := from + uint64(klen) + uint64(vlen)
		if from < uint64(end) || to > uint64(len(buf)) {
			return fmt.Errorf("item %d lies outside its page", i)
		}
		keys[i], values[i] = buf[from:from+uint64(klen)], buf[from+uint64(klen):to]
		if i > 0 && bytes.Compare(keys[i-1], keys[i]) >= 0 || bytes.Compare(keys[i], low) < 0 || high != nil && bytes.Compare(keys[i], high) >= 0 {
			return fmt.Errorf("item %d is out of order", i)
		}
	}
	for i := range count {
		item := boltHeaderLen + i*boltItemLen
		if flags == boltBranch {
			if err := w.page(u64(buf, item+8), depth+1, keys[i], keys[i+1]); err != nil {
				return err
			}
		} else if err := w.bucket(u32(buf, item), values[i], depth); err != nil {
			return err
		}
	}
	return nil
}

// bucket follows a leaf item to the tree below it, if it is a bucket.
func (w *walker) bucket(flags uint32, value []byte, depth int) error {
	switch {
	case flags == 0:
		return nil
	case flags != boltBucketFlag:
		return fmt.Errorf("item flags %#x are unknown", flags)
	case len(value) < boltBucketLen:
		return fmt.Errorf("bucket of %d bytes", len(value))
	}
	if root := u64(value, 0); root != 0 {
		return w.page(root, depth+1, nil, nil)
	}
	inline := value[boltBucketLen:]
	if len(inline) < boltHeaderLen {
		return fmt.Errorf("inline bucket of %d bytes", len(inline))
	}
	if depth >= maxDepth {
		return fmt.Errorf("deeper than %d levels", maxDepth)
	}
	return w.content(inline, depth+1, nil, nil)
}
