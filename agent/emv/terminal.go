package emv

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"posagent/agent/emv/tlv"
	"posagent/agent/payment"
)

// ErrTerminal and ErrTransaction are the errors of data a kernel cannot run with; they are wrapped with the field.
var (
	ErrTerminal    = errors.New("terminal data is not valid")
	ErrTransaction = errors.New("transaction data is not valid")
)

// A TerminalType is tag 9F35: who controls the terminal, whether it is attended, and whether it can go online. EMV 4.4
// Book 4, Annex A1.
type TerminalType byte

// Attended reports whether a cashier is present.
func (t TerminalType) Attended() bool { d := t & 0x0F; return d >= 1 && d <= 3 }

// OnlineOnly reports that the terminal approves nothing by itself.
func (t TerminalType) OnlineOnly() bool { d := t & 0x0F; return d == 1 || d == 4 }

// OfflineOnly reports that the terminal has no host.
func (t TerminalType) OfflineOnly() bool { d := t & 0x0F; return d == 3 || d == 6 }

func (t TerminalType) valid() bool {
	d, g := t&0x0F, t>>4
	return d >= 1 && d <= 6 && g >= 1 && g <= 3
}

// Terminal is what a kernel knows of the terminal it runs on. Texts are ASCII; they are padded with spaces or cut to
// the length of their data object.
type Terminal struct {
	Type         TerminalType     `json:"type"`         // 9F35, for example 0x22
	Capabilities Capabilities     `json:"capabilities"` // 9F33
	Additional   [5]byte          `json:"-"`            // 9F40
	Country      string           `json:"country"`      // 9F1A: three digits of ISO 3166
	Currency     payment.Currency `json:"currency"`     // 5F2A, 5F36
	IFDSerial    string           `json:"ifd_serial"`   // 9F1E: 8 characters
	TerminalID   string           `json:"terminal_id"`  // 9F1C: 8 characters
	MerchantID   string           `json:"merchant_id"`  // 9F16: 15 characters
	MCC          string           `json:"mcc"`          // 9F15: four digits
	Acquirer     string           `json:"acquirer"`     // 9F01: up to eleven digits
}

// ATM reports a terminal that dispenses cash: EMV 4.4 Book 4, Annex A1, types 14, 15 and 16 with cash in 9F40.
func (t Terminal) ATM() bool {
	return t.Type>>4 == 1 && !t.Type.Attended() && t.Additional[0]&0x80 != 0
}

// Validate names the first field a kernel cannot run with.
func (t Terminal) Validate() error {
	switch {
	case !t.Type.valid():
		return fmt.Errorf("%w: terminal type %02X", ErrTerminal, byte(t.Type))
	case !digits(t.Country, 3):
		return fmt.Errorf("%w: country %q", ErrTerminal, t.Country)
	case !digits(t.Currency.Numeric, 3):
		return fmt.Errorf("%w: currency %q", ErrTerminal, t.Currency.Numeric)
	case t.MCC != "" && !digits(t.MCC, 4):
		return fmt.Errorf("%w: merchant category code %q", ErrTerminal, t.MCC)
	case t.Acquirer != "" && (len(t.Acquirer) > 12 || !digits(t.Acquirer, len(t.Acquirer))):
		return fmt.Errorf("%w: acquirer %q", ErrTerminal, t.Acquirer)
	}
	return nil
}

// Fill puts the terminal's data objects into a store.
func (t Terminal) Fill(s *Store) {
	s.Set(0x9F35, []byte{byte(t.Type)}, tlv.Terminal)
	s.Set(0x9F33, t.Capabilities[:], tlv.Terminal)
	s.Set(0x9F40, t.Additional[:], tlv.Terminal)
	setDigits(s, 0x9F1A, t.Country, 2)
	setDigits(s, 0x5F2A, t.Currency.Numeric, 2)
	s.Set(0x5F36, []byte{t.Currency.Exponent}, tlv.Terminal)
	setText(s, 0x9F1E, t.IFDSerial, 8)
	setText(s, 0x9F1C, t.TerminalID, 8)
	setText(s, 0x9F16, t.MerchantID, 15)
	if t.MCC != "" {
		setDigits(s, 0x9F15, t.MCC, 2)
	}
	if t.Acquirer != "" {
		setDigits(s, 0x9F01, t.Acquirer, 6)
	}
}

// A TransactionType is tag 9C: the first two digits of the processing code, ISO 8583.
type TransactionType byte

// Transaction types.
const (
	Purchase TransactionType = 0x00
	Cash     TransactionType = 0x01
	Cashback TransactionType = 0x09
	Refund   TransactionType = 0x20
	Inquiry  TransactionType = 0x31
)

// Transaction is what the cashier asked for. Amount includes Other; Other is the cashback part.
type Transaction struct {
	Type        TransactionType
	Amount      payment.Amount // 9F02
	Other       payment.Amount // 9F03
	Sequence    uint32         // 9F41: the last eight digits are used
	ForceOnline bool           // the merchant wants the host to decide
}

// Validate names the first field a kernel cannot run with.
func (x Transaction) Validate() error {
	if _, err := x.Amount.Digits12(); err != nil {
		return fmt.Errorf("%w: amount: %w", ErrTransaction, err)
	}
	if _, err := x.Other.Digits12(); err != nil {
		return fmt.Errorf("%w: other amount: %w", ErrTransaction, err)
	}
	if x.Other > x.Amount {
		return fmt.Errorf("%w: other amount exceeds the amount", ErrTransaction)
	}
	if x.Type&0x0F > 9 || x.Type>>4 > 9 {
		return fmt.Errorf("%w: type %02X", ErrTransaction, byte(x.Type))
	}
	return nil
}

// Fill puts the transaction's data objects into a store. un is the unpredictable number, 9F37.
func (x Transaction) Fill(s *Store, now time.Time, un [4]byte) {
	amount := BCD(uint64(x.Amount), 6)
	other := BCD(uint64(x.Other), 6)
	s.Set(0x9F02, amount, tlv.Terminal)
	s.Set(0x9F03, other, tlv.Terminal)
	s.Set(0x81, binary4(uint64(x.Amount)), tlv.Terminal)
	s.Set(0x9F04, binary4(uint64(x.Other)), tlv.Terminal)
	s.Set(0x9C, []byte{byte(x.Type)}, tlv.Terminal)
	s.Set(0x9A, DateBCD(now), tlv.Terminal)
	h, m, sec := now.Clock()
	s.Set(0x9F21, BCD(uint64(h)*10000+uint64(m)*100+uint64(sec), 3), tlv.Terminal)
	s.Set(0x9F37, un[:], tlv.Terminal)
	s.Set(0x9F41, BCD(uint64(x.Sequence), 4), tlv.Terminal)
	s.Set(0x9F39, []byte{0x05}, tlv.Terminal) // POS entry mode: chip
}

// binary4 is an amount in four bytes; one that does not fit is all ones (Book 3, Annex A: 81 is then not usable).
func binary4(n uint64) []byte {
	if n > 0xFFFFFFFF {
		n = 0xFFFFFFFF
	}
	return []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}

// BCD is the last 2n digits of v, two digits a byte.
func BCD(v uint64, n uint8) []byte {
	out := make([]byte, n)
	for i := int(n) - 1; i >= 0; i-- {
		out[i] = byte(v%10) | byte(v/10%10)<<4
		v /= 100
	}
	return out
}

// DateBCD is YYMMDD as three bytes, the form of 9A, 5F24 and 5F25.
func DateBCD(t time.Time) []byte {
	y, m, d := t.Date()
	return BCD(uint64(y%100)*10000+uint64(m)*100+uint64(d), 3)
}

// ParseDate reads YYMMDD as three bytes of BCD into a day in UTC. EMV 4.4 Book 4, 6.7.3: years 00 to 49 are 2000 to
// 2049, years 50 to 99 are 1950 to 1999.
func ParseDate(b []byte) (time.Time, bool) {
	if len(b) != 3 {
		return time.Time{}, false
	}
	var v [3]int
	for i, c := range b {
		if c>>4 > 9 || c&0x0F > 9 {
			return time.Time{}, false
		}
		v[i] = int(c>>4)*10 + int(c&0x0F)
	}
	year := 2000 + v[0]
	if v[0] >= 50 {
		year = 1900 + v[0]
	}
	t := time.Date(year, time.Month(v[1]), v[2], 0, 0, 0, 0, time.UTC)
	return t, t.Month() == time.Month(v[1]) && t.Day() == v[2]
}

func digits(s string, n int) bool {
	if len(s) != n {
		return false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

func setDigits(s *Store, tag tlv.Tag, text string, n uint8) {
	v, err := strconv.ParseUint(text, 10, 64)
	if err == nil {
		s.Set(tag, BCD(v, n), tlv.Terminal)
	}
}

func setText(s *Store, tag tlv.Tag, text string, n int) {
	b := make([]byte, n)
	for i := range b {
		b[i] = ' '
	}
	copy(b, text)
	s.Set(tag, b, tlv.Terminal)
}
