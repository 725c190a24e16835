package icc

import (
	"context"
	"errors"
	"fmt"
)

// Reader is one contact card slot, whatever part stands behind it. One
// goroutine owns it.
type Reader interface {
	// String names the part and its port.
	String() string
	// Present says whether a card is in the slot now.
	Present(ctx context.Context) (bool, error)
	// Wait blocks until a card is in the slot (present) or the slot is empty.
	// It ends with ctx.Err() soon after ctx does.
	Wait(ctx context.Context, present bool) error
	// Activate powers the contacts, resets the card and returns its answer.
	// On an active card it is a new cold reset. The error is ErrNoCard,
	// ErrRemoved, ErrMute, or wraps ErrTransmission; an answer that breaks a
	// rule also wraps *ATRError. After an error the contacts are without power.
	Activate(ctx context.Context) (*ATR, error)
	// Transmit sends one short command APDU (4 to 261 bytes) and returns the
	// whole response APDU, 2 to MaxResponse bytes, SW1 SW2 last. 61xx and 6Cxx
	// of T=0 are dealt with inside. The error is ErrInactive, ErrRemoved, wraps
	// ErrTransmission, or is a *CommandError when the command itself is wrong
	// and nothing was sent. After ErrRemoved and ErrTransmission the contacts
	// are without power, save for ErrResynched.
	Transmit(ctx context.Context, capdu []byte) (rapdu []byte, err error)
	// Deactivate takes the power away in the order of EMV Book 1, 6.1.5. It is
	// harmless when no card is active.
	Deactivate() error
	// Halt deactivates and releases the pins. It may be called twice.
	Halt() error
}

var (
	// ErrNoCard: the slot is empty.
	ErrNoCard = errors.New("no card in the slot")
	// ErrRemoved: the card left while it was active.
	ErrRemoved = errors.New("card removed")
	// ErrMute: the card is there but did not begin an answer to reset. A card
	// inserted the wrong way round looks the same.
	ErrMute = errors.New("card is mute")
	// ErrTransmission: characters were lost, damaged or against the protocol,
	// and the recovery of the standard did not help. It wraps the detail.
	ErrTransmission = errors.New("card transmission failed")
	// ErrResynched comes with ErrTransmission under ISO rules in T=1: whether the
	// card carried the command out is unknown, but it is still active.
	ErrResynched = errors.New("command lost, blocks resynchronised")
	// ErrInactive: Transmit without a successful Activate before it.
	ErrInactive = errors.New("card is not active")
)

// Causes wrapped by ErrTransmission, for reports and tests.
var (
	errTimeout   = errors.New("time-out")
	errEcho      = errors.New("echo differs from what was sent")
	errParity    = errors.New("parity error")
	errStray     = errors.New("character after the end of the answer")
	errProcedure = errors.New("procedure byte")
	errBlock     = errors.New("block")
	errBound     = errors.New("bound exceeded")
)

// failed wraps cause as a transmission error met while doing something.
// Causes that are sentinels of their own pass through.
func failed(doing string, cause error) error {
	for _, own := range []error{ErrNoCard, ErrRemoved, ErrMute, ErrInactive, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(cause, own) {
			return fmt.Errorf("%s: %w", doing, cause)
		}
	}
	if errors.Is(cause, ErrTransmission) {
		return fmt.Errorf("%s: %w", doing, cause)
	}
	return fmt.Errorf("%s: %w: %w", doing, ErrTransmission, cause)
}
