package journal

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"

	"go.etcd.io/bbolt"
)

// Buckets. The names are stored and promised.
var (
	bucketMeta      = []byte("meta")       // name -> value
	bucketRecords   = []byte("records")    // seq -> Record
	bucketIDs       = []byte("ids")        // record id -> seq
	bucketRequests  = []byte("requests")   // requester 0 request id -> seq
	bucketSTANs     = []byte("stans")      // batch, stan -> seq
	bucketOpen      = []byte("open")       // seq -> state name: pending and reversing, nothing else
	bucketImages    = []byte("images")     // seq -> sealed reversal image, for open records
	bucketTotals    = []byte("totals")     // batch -> Totals
	bucketOutbox    = []byte("outbox")     // outbox seq -> OutboxEntry
	bucketOutboxIDs = []byte("outbox_ids") // entry id -> outbox seq

	buckets = [][]byte{bucketMeta, bucketRecords, bucketIDs, bucketRequests, bucketSTANs,
		bucketOpen, bucketImages, bucketTotals, bucketOutbox, bucketOutboxIDs}
)

// Names in the meta bucket.
var (
	metaFormat   = []byte("format")
	metaVersion  = []byte("version")
	metaKeyCheck = []byte("key_check") // a known text sealed with the device key
	metaSTAN     = []byte("stan")      // last trace number given
	metaBatch    = []byte("batch")     // current batch
)

const (
	formatName    = "posagent journal"
	schemaVersion = 1
	valueVersion  = 1 // first byte of every value
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errChecksum = errors.New("checksum is wrong")

// encodeValue wraps content as it is stored: one version byte, CRC-32C of key
// and content (4 bytes, big endian), content.
func encodeValue(key, content []byte) []byte {
	out := make([]byte, 5, 5+len(content))
	out[0] = valueVersion
	binary.BigEndian.PutUint32(out[1:], valueSum(key, content))
	return append(out, content...)
}

// decodeValue gives the content, which aliases v.
func decodeValue(key, v []byte) ([]byte, error) {
	if len(v) < 5 {
		return nil, fmt.Errorf("value of %d bytes is too short", len(v))
	}
	if v[0] != valueVersion {
		return nil, fmt.Errorf("unknown value version %d", v[0])
	}
	if binary.BigEndian.Uint32(v[1:5]) != valueSum(key, v[5:]) {
		return nil, errChecksum
	}
	return v[5:], nil
}

func valueSum(key, content []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, content)
}

func putJSON(b *bbolt.Bucket, key []byte, v any) error {
	content, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.Put(key, encodeValue(key, content))
}

// loadJSON reads the value of key into v; false if there is none.
func loadJSON(b *bbolt.Bucket, key []byte, v any) (bool, error) {
	raw := b.Get(key)
	if raw == nil {
		return false, nil
	}
	return true, decodeJSON(key, raw, v)
}

func decodeJSON(key, raw []byte, v any) error {
	content, err := decodeValue(key, raw)
	if err != nil {
		return err
	}
	return json.Unmarshal(content, v)
}

func seqKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

func keySeq(k []byte) (uint64, error) {
	if len(k) != 8 {
		return 0, fmt.Errorf("sequence number of %d bytes", len(k))
	}
	return binary.BigEndian.Uint64(k), nil
}

func batchKey(batch uint32) []byte { return binary.BigEndian.AppendUint32(nil, batch) }

func stanKey(batch, stan uint32) []byte {
	return binary.BigEndian.AppendUint32(batchKey(batch), stan)
}

func requestKey(requester, id string) []byte { return []byte(requester + "\x00" + id) }
