package payment

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// MaxAmount is the largest amount a host message can carry: twelve digits of
// minor units (ISO 8583:1987, field 4, n12).
const MaxAmount Amount = 999_999_999_999

// ErrAmount reports text that is not an amount, or an amount out of range.
var ErrAmount = errors.New("payment: not an amount")

// Amount is a sum of money in minor units of some currency (fen, cent, yen).
type Amount int64

// Currency is one row of ISO 4217 as far as a terminal needs it.
type Currency struct {
	Numeric  string // three digits, as in field 49 and tag 5F2A
	Alpha    string // three letters
	Exponent uint8  // digits after the decimal point
	Symbol   string // as printed on a receipt
}

// Currencies the terminal can be configured for.
var (
	CNY = Currency{"156", "CNY", 2, "¥"}
	HKD = Currency{"344", "HKD", 2, "HK$"}
	JPY = Currency{"392", "JPY", 0, "¥"}
	USD = Currency{"840", "USD", 2, "$"}
	EUR = Currency{"978", "EUR", 2, "€"}
)

var currencies = []Currency{CNY, HKD, JPY, USD, EUR}

// CurrencyByNumeric finds a currency by its three-digit code.
func CurrencyByNumeric(code string) (Currency, bool) {
	for _, c := range currencies {
		if c.Numeric == code {
			return c, true
		}
	}
	return Currency{}, false
}

// CurrencyByAlpha finds a currency by its three-letter code.
func CurrencyByAlpha(code string) (Currency, bool) {
	for _, c := range currencies {
		if c.Alpha == code {
			return c, true
		}
	}
	return Currency{}, false
}

// ParseMinor reads digits as minor units: "1234" is 12.34 in a currency of
// exponent 2. It is what a keypad produces.
func ParseMinor(digits string) (Amount, error) {
	if digits == "" || len(digits) > 12 || strings.Trim(digits, "0123456789") != "" {
		return 0, fmt.Errorf("%w: %q is not 1 to 12 digits", ErrAmount, digits)
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %q", ErrAmount, digits)
	}
	return Amount(n), nil
}

// ParseDecimal reads decimal text in major units ("12.34", "12.3", "12") without
// ever going through a float. More digits than the currency has are refused, not
// rounded.
func ParseDecimal(text string, c Currency) (Amount, error) {
	whole, frac, dot := strings.Cut(text, ".")
	if whole == "" || (dot && frac == "") || len(frac) > int(c.Exponent) {
		return 0, fmt.Errorf("%w: %q in %s", ErrAmount, text, c.Alpha)
	}
	return ParseMinor(whole + frac + strings.Repeat("0", int(c.Exponent)-len(frac)))
}

// Format gives the amount in major units: 1234 is "12.34" in CNY, "1234" in JPY.
func (a Amount) Format(c Currency) string {
	sign, n := "", int64(a)
	if n < 0 {
		sign, n = "-", -n
	}
	if c.Exponent == 0 {
		return sign + strconv.FormatInt(n, 10)
	}
	digits := fmt.Sprintf("%0*d", int(c.Exponent)+1, n)
	cut := len(digits) - int(c.Exponent)
	return sign + digits[:cut] + "." + digits[cut:]
}

// Digits12 gives the amount as twelve digits, the form of field 4 and of tag
// 9F02 before packing. An amount out of range is an error.
func (a Amount) Digits12() (string, error) {
	if a < 0 || a > MaxAmount {
		return "", fmt.Errorf("%w: %d does not fit twelve digits", ErrAmount, int64(a))
	}
	return fmt.Sprintf("%012d", int64(a)), nil
}
