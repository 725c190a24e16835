package pinpad

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"posagent/drivers/pinpad/internal/wire"
)

// Bounds of a card's key in bytes. EMV 4.4 Book 2, 7.1 and Annex B2.1: at most
// 1984 bits; below 512 nobody issues any.
const (
	minModulus = 64
	maxModulus = 248
)

// OfflineRequest asks for a PIN that a card in the slot verifies. The pad
// enciphers it under the card's key, so that no digit reaches the terminal. EMV
// 4.4 Book 2, 7.2.
type OfflineRequest struct {
	Modulus   []byte        // of the card's RSA key, 64 to 248 bytes
	Exponent  []byte        // 3 or 65537, big endian
	Challenge [8]byte       // what the card answered to GET CHALLENGE
	Min, Max  uint8         // digits, 4 to 12; zero for 4 and 12
	Timeout   time.Duration // of the whole entry, up to 5 min; zero for 1 min
	Bypass    bool          // Enter without digits ends the entry as Bypassed
}

// Enciphered is a PIN taken for the card: the data of VERIFY, as long as the
// card's modulus. It prints masked.
type Enciphered struct{ Block []byte }

func (Enciphered) pinResult()                   {}
func (Enciphered) String() string               { return maskedBlock }
func (Enciphered) GoString() string             { return maskedBlock }
func (Enciphered) Format(s fmt.State, _ rune)   { fmt.Fprint(s, maskedBlock) }
func (Enciphered) MarshalJSON() ([]byte, error) { return json.Marshal(maskedBlock) }
func (Enciphered) LogValue() slog.Value         { return slog.StringValue(maskedBlock) }

// OfflinePIN is EnterPIN for a card instead of a host: the result is Enciphered,
// Bypassed, Cancelled or TimedOut. The pad needs no key of its own for it.
//
// Errors are those of EnterPIN; ErrRefused means that the pad does not take the
// card's key.
func (d *Dev) OfflinePIN(ctx context.Context, req OfflineRequest, dots func(n int)) (PINResult, error) {
	if err := bounds(&req.Min, &req.Max, &req.Timeout); err != nil {
		return nil, err
	}
	if n := len(req.Modulus); n < minModulus || n > maxModulus {
		return nil, fmt.Errorf("enter PIN: %w: card key of %d bytes", ErrParameter, n)
	}
	if n := len(req.Exponent); n < 1 || n > 3 {
		return nil, fmt.Errorf("enter PIN: %w: exponent of %d bytes", ErrParameter, n)
	}
	return d.take(ctx, wire.CmdOfflinePIN, uint8(len(req.Modulus)), req.Timeout, dots, func(id uint8) []byte {
		body := wire.OfflinePIN{Entry: id, Min: req.Min, Max: req.Max, Bypass: req.Bypass, Timeout: req.Timeout,
			Challenge: req.Challenge, Exponent: req.Exponent, Modulus: req.Modulus}
		data, _ := body.AppendTo(nil) // the key is bounded above
		return data
	})
}
