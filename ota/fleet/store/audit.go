package store

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ErrTampered says that the audit chain does not hold. The wrapping error names the entry.
var ErrTampered = errors.New("audit trail was changed")

// AuditEntry is one thing that somebody or something did.
type AuditEntry struct {
	Seq    uint64            `json:"seq"` // from 1, without gap
	Time   time.Time         `json:"time"`
	Actor  string            `json:"actor"`  // "admin", "terminal", "system"
	Action string            `json:"action"` // "terminal.registered", "config.pushed" ...
	Serial string            `json:"serial,omitempty"`
	Detail map[string]string `json:"detail,omitempty"` // never a secret
	Prev   string            `json:"prev"`             // Hash of the entry before, 64 zeros for the first
	Hash   string            `json:"hash"`
}

// AuditHead is the last entry's number and hash; Seq 0 for an empty trail.
type AuditHead struct {
	Seq  uint64 `json:"seq"`
	Hash string `json:"hash"`
}

var noHash = hex.EncodeToString(make([]byte, sha256.Size))

// sum is SHA-256 over the entry's JSON without Hash; encoding/json orders map keys.
func (e AuditEntry) sum() (string, error) {
	e.Hash = ""
	e.Time = e.Time.UTC()
	body, err := json.Marshal(e)
	if err != nil {
		return "", fmt.Errorf("hash audit entry: %w", err)
	}
	sum := sha256.Sum256(append([]byte("posagent/v1/audit\x00"), body...))
	return hex.EncodeToString(sum[:]), nil
}

// link places e after head.
func (e AuditEntry) link(head AuditHead) (AuditEntry, error) {
	e.Seq, e.Prev, e.Time = head.Seq+1, head.Hash, e.Time.UTC()
	if head.Seq == 0 {
		e.Prev = noHash
	}
	var err error
	e.Hash, err = e.sum()
	return e, err
}

// VerifyAudit walks the whole chain of s. It returns the head, or ErrTampered naming the first entry that does not fit.
func VerifyAudit(s Store) (AuditHead, error) {
	var at AuditHead
	err := s.View(func(tx Tx) error {
		at = AuditHead{Hash: noHash}
		for {
			list, err := tx.Audit(at.Seq, MaxList)
			if err != nil {
				return fmt.Errorf("%w: after entry %d: %w", ErrTampered, at.Seq, err)
			}
			if len(list) == 0 {
				break
			}
			for _, e := range list {
				if at, err = follow(at, e); err != nil {
					return err
				}
			}
		}
		head, err := tx.AuditHead()
		if err != nil {
			return err
		}
		if head.Seq != at.Seq || at.Seq > 0 && head.Hash != at.Hash {
			return fmt.Errorf("%w: the chain ends at entry %d, its head is %d", ErrTampered, at.Seq, head.Seq)
		}
		return nil
	})
	return at, err
}

func follow(at AuditHead, e AuditEntry) (AuditHead, error) {
	sum, err := e.sum()
	switch {
	case err != nil:
		return at, err
	case e.Seq != at.Seq+1:
		return at, fmt.Errorf("%w: entry %d is missing", ErrTampered, at.Seq+1)
	case e.Prev != at.Hash:
		return at, fmt.Errorf("%w: entry %d does not follow entry %d", ErrTampered, e.Seq, at.Seq)
	case e.Hash != sum:
		return at, fmt.Errorf("%w: entry %d", ErrTampered, e.Seq)
	}
	return AuditHead{Seq: e.Seq, Hash: e.Hash}, nil
}
