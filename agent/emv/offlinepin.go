package emv

import (
	"context"

	"posagent/agent/payment"
)

// An OfflinePINPad is a Dialogue that can also let a card verify a PIN. A kernel asks its dialogue for it by type
// assertion: without it the terminal does not support offline PIN, whatever 9F33 says.
//
// The PIN stays on the pad's side. For a plaintext PIN the pad builds the VERIFY command and sends it through the
// request; for an enciphered one it returns the block that the kernel then sends. EMV 4.4 Book 3, 10.5.1; Book 2, 7.
type OfflinePINPad interface {
	// OfflinePIN takes one PIN. It returns ErrCancelled and ErrTimeout for what the cardholder does, and any other
	// error when asking itself failed.
	OfflinePIN(ctx context.Context, request OfflinePINRequest) (OfflinePINOutcome, error)
}

// An OfflinePINRequest asks for one PIN entry.
type OfflinePINRequest struct {
	PAN payment.PAN

	// TriesKnown tells that the card has said how many entries are left, in TriesLeft, this one included. 1 is the last
	// (Book 4, 6.3.4.1: the cardholder must be told).
	TriesKnown bool
	TriesLeft  uint8
	Wrong      bool // the PIN before this one was wrong

	// Enciphered selects what follows. False: the pad sends VERIFY with a plaintext block through Verify, once.
	Enciphered bool

	// Verify sends one VERIFY command (00 20 00 80 08 and the plaintext PIN block) to the card and returns its status. It
	// refuses any other command, and everything after the first or after OfflinePIN has returned. The kernel neither
	// keeps nor traces the block.
	Verify func(ctx context.Context, capdu []byte) (SW, error)

	// Key and Challenge are what an enciphered block is made of, see oda.EncipherPIN.
	Key       PINKey
	Challenge [8]byte // of GET CHALLENGE
}

// A PINKey is the RSA key PINs for a card are enciphered under: the card's PIN encipherment key or its own key, as the
// card's certificates say. EMV 4.4 Book 2, 7.1. The slices belong to the kernel and are valid during the call.
type PINKey struct {
	Modulus  []byte
	Exponent []byte
}

// OfflinePINOutcome is what came of the entry. The card's verdict is not in it: the kernel has heard it itself.
type OfflinePINOutcome struct {
	Status PINStatus
	Block  []byte // of an enciphered PIN: as long as the key's modulus
}

// PlainPINBlock is the length of a plaintext PIN block in bytes: control and length, up to twelve digits and filler.
// EMV 4.4 Book 3, 6.5.12.
const PlainPINBlock = 8

// Qualifiers of VERIFY, P2. EMV 4.4 Book 3, 6.5.12, table 23.
const (
	VerifyPlain      byte = 0x80
	VerifyEnciphered byte = 0x88
)
