package journal

import (
	"context"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"posagent/agent/payment"
)

// Options of Open. Only Key is required.
type Options struct {
	Key        []byte           // device key, 32 bytes; seals card numbers
	Log        *slog.Logger     // nil: silent
	Now        func() time.Time // calendar; nil: time.Now
	Rand       io.Reader        // record ids and nonces; nil: crypto/rand
	FirstSTAN  payment.STAN     // first trace number of a new file; 0: 1
	FirstBatch payment.Batch    // batch of a new file; 0: 1
	MaxSize    int64            // largest file in bytes; 0: 64 MiB, at least 1 MiB
	MinFree    int64            // Begin refuses below this many free bytes on the disk; 0: 1 MiB, negative: no check
	LockWait   time.Duration    // how long to wait for another process to let go; 0: 2 s
}

// Journal is an open journal file.
type Journal struct {
	path     string
	db       *bbolt.DB
	file     *os.File              // the one db has open
	broken   atomic.Pointer[error] // set when bbolt has panicked
	readOnly bool
	seal     *sealer
	log      *slog.Logger
	now      func() time.Time
	rand     io.Reader
	maxSize  int64
	minFree  int64
	free     func() (int64, error) // free bytes on the journal's disk

	ops     chan *op      // to Run, unbuffered: what is taken is answered
	stopped chan struct{} // closed by Run when it takes no more
	running atomic.Bool
	mu      sync.Mutex // guards failure
	failure error      // why Run ended, if the disk failed
	outbox  chan struct{}
}

// Draft is a transaction about to be sent.
type Draft struct {
	Request   payment.Request // STAN and Batch zero: Begin gives them
	Requester string          // 1 to 64 bytes
	RequestID string          // 1 to 64 bytes
	EMV       *EMV            // what the chip has said so far, or nil
	CVM       string          // how the cardholder was verified, if known
}

// Result is how a transaction came out.
type Result struct {
	Event    Event            // Approve, Decline, NothingSent or Reverse
	Response payment.Response // the host's answer; zero if there was none
	EMV      *EMV             // the chip's last word, or nil to keep the draft's
	CVM      string           // empty keeps the draft's
	Reason   payment.Reason   // required for Reverse
}

// OpenReversal is a reversal to be sent: the record, and the image the host
// link packs.
type OpenReversal struct {
	Record   Record
	Reversal payment.Reversal
}

// OutboxEntry tells that a record has entered a state that somebody outside
// wants to know. ID is the same however often the entry is delivered.
type OutboxEntry struct {
	Seq      uint64 `json:"-"`
	ID       string `json:"id"`        // record id "/" state
	Kind     string `json:"kind"`      // the state entered, as in State
	RecordID string `json:"record_id"` //
}

// ListOptions select records. Zero values select everything.
type ListOptions struct {
	Batch  payment.Batch
	States []State
	Before uint64 // only records with a lower Seq; 0: from the newest
	Limit  int    // at most this many; 0: 100, at most 1000
}

// Totals are the sums of one batch, derived from its records.
type Totals struct {
	Batch         payment.Batch    `json:"batch"`
	Currency      payment.Currency `json:"currency"` // written as its numeric code; zero before the first record
	SaleCount     uint32           `json:"sale_count"`
	SaleAmount    payment.Amount   `json:"sale_amount"`
	VoidCount     uint32           `json:"void_count"`
	VoidAmount    payment.Amount   `json:"void_amount"`
	DeclinedCount uint32           `json:"declined_count"`
	ReversedCount uint32           `json:"reversed_count"`
}

// Report is what Verify found. An empty Problems means all is well.
type Report struct {
	Records  uint64           `json:"records"`
	ByState  map[State]uint64 `json:"by_state"`
	Outbox   uint64           `json:"outbox"`
	Problems []string         `json:"problems"` // at most MaxProblems
}

// Reader is the reading half of a Journal: all that inspection needs, on an open
// terminal and on a file alike.
type Reader interface {
	Record(id string) (Record, error)
	ByRequest(requester, requestID string) (Record, error)
	BySTAN(batch payment.Batch, stan payment.STAN) (Record, error)
	List(ListOptions) ([]Record, error)
	Last() (Record, error)
	Batch() (payment.Batch, error)
	Totals(payment.Batch) (Totals, error)
	Verify(context.Context) (Report, error)
}

var _ Reader = (*Journal)(nil)
