package acquirer

import (
	"errors"
	"fmt"

	"posagent/agent/payment"
)

// FieldError says where a message is wrong and how. It never carries data: what
// stands in the field may be a card number.
type FieldError struct {
	Field  int    // ISO 8583 field; 0 is the message type, 1 the bitmap, -1 the message as a whole
	Offset int    // byte offset from the message type; -1 when packing
	Reason string // lower-case fact
}

func (e *FieldError) Error() string {
	switch {
	case e.Field < 0 && e.Offset < 0:
		return "message: " + e.Reason
	case e.Field < 0:
		return fmt.Sprintf("message at byte %d: %s", e.Offset, e.Reason)
	case e.Offset < 0:
		return fmt.Sprintf("field %d: %s", e.Field, e.Reason)
	}
	return fmt.Sprintf("field %d at byte %d: %s", e.Field, e.Offset, e.Reason)
}

// Frame errors. All of them end the connection they came over, because nothing
// behind such a frame can be trusted to begin where it seems to.
var (
	ErrFrameTruncated = errors.New("acquirer: frame ends early")
	ErrFrameOversized = errors.New("acquirer: frame longer than the profile allows")
	ErrFrameShort     = errors.New("acquirer: frame too short for header, message type and bitmap")
	ErrFrameTrailing  = errors.New("acquirer: bytes after the frame's stated length")
)

// ErrProfile reports a profile that cannot be used.
var ErrProfile = errors.New("acquirer: profile")

// ErrNotSent reports that not one byte of the request left the terminal: it was
// refused while packing, the line was busy until the context ended, or no
// connection came up. Nothing has to be undone.
var ErrNotSent = errors.New("acquirer: request not sent")

// ErrInDoubt is what every error is that is not ErrNotSent: the host may have
// moved money and must be asked to undo it. ReversalReason says why.
var ErrInDoubt = errors.New("acquirer: outcome at the host unknown")

// The ways to be in doubt; errors.Is also finds ErrInDoubt in each.
var (
	// ErrNoResponse: sent, or perhaps sent, and no reply that can be trusted came
	// in time (also when the context ended after sending). Reversal reason 98.
	ErrNoResponse error = &doubt{"no trusted reply in time", payment.ReasonNoReply}
	// ErrBadMAC: a reply matched in all fields, and its MAC is wrong or missing
	// where it is required. Reversal reason A0.
	ErrBadMAC error = &doubt{"reply with a wrong or missing MAC", payment.ReasonBadMAC}
	// ErrPartial: the host approved another amount than asked (response code 10),
	// which this terminal never offers. Reversal reason 06.
	ErrPartial error = &doubt{"reply approves another amount", payment.ReasonOther}
)

type doubt struct {
	text   string
	reason payment.Reason
}

func (d *doubt) Error() string        { return "acquirer: " + d.text }
func (d *doubt) Is(target error) bool { return target == ErrInDoubt }

// ReversalReason gives the reason that a reversal after err must carry. False
// means that there is nothing to reverse: err is nil or ErrNotSent.
func ReversalReason(err error) (payment.Reason, bool) {
	var d *doubt
	if errors.As(err, &d) {
		return d.reason, true
	}
	return "", false
}

// RefusedError is the host's no to a sign-in, echo or sign-off.
type RefusedError struct {
	What string // "sign-in", "echo", "sign-off"
	Code payment.ResponseCode
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("acquirer: host refuses %s with code %s", e.What, e.Code)
}
