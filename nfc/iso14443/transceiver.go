package iso14443

import (
	"context"
	"errors"
	"fmt"
	"time"

	"posagent/nfc"
)

// Transceiver sends one frame and receives one: a reader chip, or a simulated
// field. Parity, start and end of frame are its business; checks (CRC), guard
// times and everything above are not. One goroutine uses it.
type Transceiver interface {
	// String names the part and its port.
	String() string
	// Limits says what the part can do. It does not change.
	Limits() Limits
	// Field turns the carrier on or off, at once.
	Field(on bool) error
	// Tune sets modulation, coding and rates of the frames that follow.
	Tune(m Mode) error
	// Exchange sends f and returns the answer. wait is from the end of f to the
	// start of the answer, at least; a frame that has begun is received to its
	// end. Nothing in time is ErrTimeout. Something that is not a frame, has
	// wrong parity or is too long for the part is ErrGarbled. A collision of
	// type A is not an error but told in the Reply. Any other error is that of
	// ctx or of the part. Reply.Data holds until the next call.
	Exchange(ctx context.Context, f Frame, wait time.Duration) (Reply, error)
	// Halt turns the carrier off and the part to rest. It may be called twice.
	Halt() error
}

var (
	// ErrTimeout: no answer began in time.
	ErrTimeout = errors.New("no answer in time")
	// ErrGarbled: something was received, but not as it was sent.
	ErrGarbled = errors.New("garbled frame")
)

// Limits of a Transceiver.
type Limits struct {
	// MaxRate is the fastest rate in both directions.
	MaxRate Rate
	// MaxFrame is the longest frame it can receive in bytes, check included: 16
	// at least; Book D, 5.7.1.3, has 256.
	MaxFrame uint16
}

// Mode is how frames look on air.
type Mode struct {
	Type nfc.Type
	// Send is the rate to the card, Receive that from it.
	Send, Receive Rate
}

// Rate is a bit rate, coded as DRI and DSI are: ISO/IEC 14443-4, table 6.
type Rate uint8

// Rates that a reader here may use.
const (
	Rate106 Rate = iota // fc/128
	Rate212             // fc/64
	Rate424             // fc/32
)

// String is the rate in kbit/s.
func (r Rate) String() string {
	switch r {
	case Rate106:
		return "106"
	case Rate212:
		return "212"
	case Rate424:
		return "424"
	}
	return fmt.Sprintf("Rate(%d)", uint8(r))
}

// Frame goes from reader to card, bytes in order, least significant bit first.
type Frame struct {
	Data []byte
	// LastBits is how many bits of the last byte are sent, 1 to 7; 0 means 8.
	LastBits uint8
	// Align is the bit of the first byte of Reply.Data in which the answer
	// begins, 0 to 7: it completes a byte that the frame has split
	// (ISO/IEC 14443-3, 6.2.3.2).
	Align uint8
}

// Reply is the answer to a Frame.
type Reply struct {
	// Data begins at bit Align of the first byte; bits below are 0.
	Data []byte
	// LastBits is how many bits of the last byte belong to the answer, counted
	// from bit 0; 0 means 8.
	LastBits uint8
	// Collided says that at CollisionBit, counted from bit 0 of Data[0], one
	// card sent 0 and another 1. Bits from there on have no meaning. Type A only.
	Collided     bool
	CollisionBit uint16
}
