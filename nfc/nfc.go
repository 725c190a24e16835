package nfc

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Reader is one antenna, whatever chip stands behind it. One goroutine owns it
// and its cards.
type Reader interface {
	// String names the part and its port.
	String() string
	// Poll looks for a card of either type until it has activated one, opts are
	// used up, or ctx ends. A card of an earlier Poll is lost. opts may be nil.
	// The error is ErrNoCard, ErrCollision, ErrUnsupported, wraps
	// ErrTransmission, or is that of ctx or of the reader; the field is then off.
	Poll(ctx context.Context, opts *PollOpts) (Card, error)
	// Field turns the carrier on or off. Off loses the card. Poll turns it on
	// by itself; turning it on before gives a card its time to start.
	Field(on bool) error
	// Halt turns the field off and the chip to rest. It may be called twice.
	Halt() error
}

// PollOpts says how long Poll goes on.
type PollOpts struct {
	// Cycles is how often both types are polled for before Poll gives
	// ErrNoCard, or the failure of the last activation; 0 polls until ctx ends.
	Cycles uint32
}

// Card is one activated card in the field.
type Card interface {
	// Type is the signal interface of the card.
	Type() Type
	// UID is the identifier that the card gave: 4, 7 or 10 bytes in type A, the
	// 4 bytes of the PUPI in type B. Phones and many cards draw it anew at each
	// activation; it says nothing about who the card is.
	UID() []byte
	// Transmit sends one command APDU and returns the whole response APDU, at
	// least 2 bytes, SW1 SW2 last. The error is ErrRemoved, wraps
	// ErrTransmission, or is that of ctx or of the reader; after it the field is
	// off and the card is lost. A command that is too short or too long is not
	// sent, and its error loses nothing.
	Transmit(ctx context.Context, capdu []byte) (rapdu []byte, err error)
	// Present asks the active card for a sign of life without disturbing it.
	// When it is false, or with an error, the card is lost.
	Present(ctx context.Context) (bool, error)
	// Removed ends the session and waits until the card has left the field
	// (Book D, 9.5). The field is then off. It may be called on a lost card.
	Removed(ctx context.Context) error
}

// Type is a signal interface of ISO/IEC 14443-2.
type Type uint8

// The types that a payment card may have.
const (
	TypeA Type = iota + 1
	TypeB
)

// String is "A" or "B".
func (t Type) String() string {
	switch t {
	case TypeA:
		return "A"
	case TypeB:
		return "B"
	}
	return fmt.Sprintf("Type(%d)", uint8(t))
}

var (
	// ErrNoCard: nothing answered.
	ErrNoCard = errors.New("no card in the field")
	// ErrCollision: more than one card answered. One card only.
	ErrCollision = errors.New("more than one card in the field")
	// ErrUnsupported: the card does not speak ISO/IEC 14443-4.
	ErrUnsupported = errors.New("card carries no APDUs")
	// ErrRemoved: the card left while it was active, or is lost.
	ErrRemoved = errors.New("card removed")
	// ErrTransmission: frames were lost, damaged or against the protocol, and
	// the recovery of the standard did not help. It wraps the detail.
	ErrTransmission = errors.New("contactless transmission failed")
)

// Timing of the field: Book D, annex A.
const (
	// FieldOff is how long the carrier stays off to reset every card: tRESET,
	// 5.1 ms to 10 ms.
	FieldOff = 6 * time.Millisecond
	// PollGuard is the unmodulated carrier before a request, in which a card
	// starts: tP, 5.1 ms to 10 ms.
	PollGuard = 5200 * time.Microsecond
)
