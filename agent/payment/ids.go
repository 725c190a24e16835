package payment

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrID reports an identifier of the wrong length or alphabet.
var ErrID = errors.New("payment: not an identifier")

// STAN is the system trace audit number, 1 to 999999 (ISO 8583 field 11). On
// Chinese receipts it is the voucher number. Zero means "none yet".
type STAN uint32

// MaxSTAN is the last trace number before the counter begins again at 1.
const MaxSTAN STAN = 999_999

// Next is the trace number after s: 999999 is followed by 1.
func (s STAN) Next() STAN {
	if s >= MaxSTAN {
		return 1
	}
	return s + 1
}

// String gives six digits.
func (s STAN) String() string { return fmt.Sprintf("%06d", uint32(s)) }

// ParseSTAN reads one to six digits, 1 to 999999.
func ParseSTAN(text string) (STAN, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 0 || n > uint64(MaxSTAN) {
		return 0, fmt.Errorf("%w: STAN %q", ErrID, text)
	}
	return STAN(n), nil
}

// Batch is the batch number, 1 to 999999 (UnionPay field 60.2).
type Batch uint32

// String gives six digits.
func (b Batch) String() string { return fmt.Sprintf("%06d", uint32(b)) }

// Next is the batch number after b: 999999 is followed by 1.
func (b Batch) Next() Batch {
	if b >= 999_999 {
		return 1
	}
	return b + 1
}

// TerminalID is the acquirer's name of the terminal, 8 characters (field 41).
type TerminalID string

// MerchantID is the acquirer's name of the merchant, 15 characters (field 42).
type MerchantID string

// RRN is the retrieval reference number the host gives, 12 characters (field 37).
type RRN string

// AuthCode is the authorisation identification response, 6 characters (field 38).
type AuthCode string

// Check reports whether the terminal id has its length and alphabet.
func (t TerminalID) Check() error { return checkID("terminal id", string(t), 8) }

// Check reports whether the merchant id has its length and alphabet.
func (m MerchantID) Check() error { return checkID("merchant id", string(m), 15) }

func checkID(what, s string, n int) error {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	if len(s) != n || strings.Trim(s, alphabet) != "" {
		return fmt.Errorf("%w: %s %q is not %d letters or digits", ErrID, what, s, n)
	}
	return nil
}

// ResponseCode is the host's verdict, two characters (field 39).
type ResponseCode string

// Approved reports whether the code is one of those that mean "money moved":
// 00, 10 (partial), 11 (VIP) and the A2, A4, A5, A6 family (approved, confirm
// with the issuer) of the UnionPay POS profile. Unknown codes are declines.
func (c ResponseCode) Approved() bool {
	switch c {
	case "00", "10", "11", "A2", "A4", "A5", "A6":
		return true
	}
	return false
}

// ReversalDone reports whether a host's answer to a reversal ends it: 00 undone,
// 25 no such original, 12 nothing to undo (UnionPay POS profile).
func (c ResponseCode) ReversalDone() bool { return c == "00" || c == "25" || c == "12" }
