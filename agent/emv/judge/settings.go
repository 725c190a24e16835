package judge

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"posagent/agent/emv"
	"posagent/agent/payment"
)

// ErrSetting is wrapped by every *SettingError.
var ErrSetting = errors.New("setting is not valid")

// A SettingError names the setting that cannot be used.
type SettingError struct {
	Key    string
	Reason string
}

func (e *SettingError) Error() string { return e.Key + ": " + e.Reason }
func (e *SettingError) Unwrap() error { return ErrSetting }

func wrong(key, format string, args ...any) error {
	return &SettingError{key, fmt.Sprintf(format, args...)}
}

// Settings are what a transaction is run with: values under the names that Keys lists. The zero Settings give a
// purchase of 1.00 at an attended terminal that can go online. A Settings is not safe for use by two goroutines.
type Settings struct {
	values       map[string][]string
	applications []emv.Application
	capks        []emv.CAPK
}

// Set gives a setting a value; for those that Key.Many marks, another value. The error is a *SettingError for an unknown
// name. Values are checked when the transaction is run, or by Check.
func (s *Settings) Set(key, value string) error {
	i := slices.IndexFunc(Keys, func(k Key) bool { return k.Name == key })
	if i < 0 {
		return wrong(key, "no such setting")
	}
	if s.values == nil {
		s.values = map[string][]string{}
	}
	if Keys[i].Many {
		s.values[key] = append(s.values[key], value)
	} else {
		s.values[key] = []string{value}
	}
	return nil
}

// Check finds the first setting that cannot be used. The error is a *SettingError.
func (s Settings) Check() error {
	_, err := s.job()
	return err
}

// Interface says which interface the settings choose: "contact" or "contactless".
func (s Settings) Interface() string { return s.value("interface", "contact") }

func (s Settings) value(key, otherwise string) string {
	if v := s.values[key]; len(v) > 0 {
		return v[len(v)-1]
	}
	return otherwise
}

// A job is checked settings.
type job struct {
	contactless  bool
	kernel       string // "", "2", "3" or "7"
	terminal     emv.Terminal
	tx           emv.Transaction
	now          time.Time // zero: the clock
	un           []byte    // nil: random
	applications []emv.Application
	capks        emv.CAPKs
	limits       limits
	ttq          []byte            // nil: made of the terminal's abilities
	online       *emv.OnlineResult // nil: nobody answers, the run ends at the request
	pin          pinPlan
	choose       uint32 // candidate, counted from 1
}

// limits of the contactless reader in minor units; -1 is none.
type limits struct {
	floor, cvm, transaction payment.Amount
}

// reading collects the first error, so that the table of settings reads straight.
type reading struct {
	s   Settings
	j   *job
	app emv.Application // what -aid entries share
	err error
}

func (r *reading) fail(key, format string, args ...any) {
	if r.err == nil {
		r.err = wrong(key, format, args...)
	}
}

// bytes reads n bytes of hexadecimal; n 0 takes any number. It returns nil when the setting is absent.
func (r *reading) bytes(key string, n int) []byte {
	text := r.s.value(key, "")
	if text == "" {
		return nil
	}
	b, err := Hex(text)
	switch {
	case err != nil:
		r.fail(key, "%v", err)
		return nil
	case n > 0 && len(b) != n:
		r.fail(key, "%d bytes; want %d", len(b), n)
		return nil
	}
	return b
}

func (r *reading) amount(key, otherwise string) payment.Amount {
	text := r.s.value(key, otherwise)
	a, err := payment.ParseDecimal(text, r.j.terminal.Currency)
	if err != nil {
		r.fail(key, "%q is not an amount such as 12.34 with %d decimals", text, r.j.terminal.Currency.Exponent)
	}
	return a
}

func (r *reading) number(key string, otherwise, most uint32) uint32 {
	text := r.s.value(key, "")
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n > uint64(most) {
		r.fail(key, "%q is not a number up to %d", text, most)
	}
	return uint32(n)
}

func (r *reading) yes(key string) bool {
	switch text := r.s.value(key, "false"); text {
	case "true":
		return true
	case "false":
		return false
	default:
		r.fail(key, "%q is neither true nor false", text)
		return false
	}
}

// job checks everything.
func (s Settings) job() (job, error) {
	var j job
	r := &reading{s: s, j: &j}
	r.kernel()
	r.terminal()
	r.transaction()
	r.moment()
	r.tables()
	r.contactless()
	r.answer()
	r.cardholder()
	return j, r.err
}

func (r *reading) kernel() {
	switch text := r.s.Interface(); text {
	case "contact":
	case "contactless":
		r.j.contactless = true
	default:
		r.fail("interface", "%q is neither contact nor contactless", text)
	}
	r.j.kernel = r.s.value("kernel", "")
	if !slices.Contains([]string{"", "2", "3", "7"}, r.j.kernel) {
		r.fail("kernel", "%q is not 2, 3 or 7", r.j.kernel)
	}
	if r.j.kernel != "" && !r.j.contactless {
		r.fail("kernel", "belongs to the contactless interface")
	}
}

func (r *reading) terminal() {
	t := &r.j.terminal
	code := r.s.value("currency", "156")
	known := false
	if t.Currency, known = payment.CurrencyByNumeric(code); !known {
		if t.Currency, known = payment.CurrencyByAlpha(strings.ToUpper(code)); !known {
			if !digits(code, 3) {
				r.fail("currency", "%q is neither three digits nor a code this terminal knows", code)
			}
			t.Currency = payment.Currency{Numeric: code, Alpha: code, Exponent: 2}
		}
	}
	t.Currency.Exponent = uint8(r.number("exponent", uint32(t.Currency.Exponent), 4))
	if t.Country = r.s.value("country", "156"); len(t.Country) == 4 {
		t.Country = strings.TrimPrefix(t.Country, "0") // as 9F1A writes it
	}
	if b := r.bytes("terminal-type", 1); b != nil {
		t.Type = emv.TerminalType(b[0])
	} else {
		t.Type = 0x22
	}
	t.Capabilities = emv.Capabilities{0xE0, 0xF8, 0xC8}
	copy(t.Capabilities[:], r.bytes("capabilities", 3))
	t.Additional = [5]byte{0xF0, 0x00, 0xF0, 0xA0, 0x01}
	copy(t.Additional[:], r.bytes("additional", 5))
	t.IFDSerial = r.s.value("ifd-serial", "00000001")
	t.TerminalID = r.s.value("terminal-id", "12345678")
	t.MerchantID = r.s.value("merchant-id", "123456789012345")
	t.MCC = r.s.value("mcc", "5411")
	t.Acquirer = r.s.value("acquirer", "")
	if err := t.Validate(); r.err == nil && err != nil {
		r.err = fmt.Errorf("%w: %w", ErrSetting, err)
	}
}

func digits(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789") == ""
}

func (r *reading) transaction() {
	x := &r.j.tx
	if b := r.bytes("type", 1); b != nil {
		x.Type = emv.TransactionType(b[0])
	}
	x.Amount = r.amount("amount", "1")
	x.Other = r.amount("other", "0")
	x.Sequence = r.number("sequence", 1, 99_999_999)
	x.ForceOnline = r.yes("force-online")
	if err := x.Validate(); r.err == nil && err != nil {
		r.err = fmt.Errorf("%w: %w", ErrSetting, err)
	}
}

// moment reads date, time and unpredictable number. A date without a time is noon; a time without a date is today's.
func (r *reading) moment() {
	day, clock := r.s.value("date", ""), r.s.value("time", "")
	if day != "" || clock != "" {
		if day == "" {
			day = time.Now().Format(time.DateOnly)
		}
		if clock == "" {
			clock = "12:00:00"
		}
		now, err := time.ParseInLocation(time.DateTime, day+" "+clock, time.UTC)
		if err != nil {
			key := "date"
			if _, derr := time.Parse(time.DateOnly, day); derr == nil {
				key = "time"
			}
			r.fail(key, "want a date such as 2026-03-14 and a time such as 15:09:26")
		}
		r.j.now = now
	}
	r.j.un = r.bytes("un", 4)
}

// answer reads what the host says to an online request.
func (r *reading) answer() {
	arc, iad, unable := r.s.value("arc", ""), r.bytes("iad", 0), r.yes("unable")
	var scripts []byte
	for _, text := range r.s.values["issuer-script"] {
		b, err := Hex(text)
		if err != nil || len(b) == 0 || b[0] != 0x71 && b[0] != 0x72 {
			r.fail("issuer-script", "want the whole template 71 or 72 as hexadecimal")
		}
		scripts = append(scripts, b...)
	}
	switch {
	case unable && (arc != "" || iad != nil || scripts != nil):
		r.fail("unable", "a host that is not reached answers nothing: leave arc, iad and issuer-script out")
	case unable:
		r.j.online = &emv.OnlineResult{UnableToGoOnline: true}
	case arc == "" && (iad != nil || scripts != nil):
		r.fail("arc", "an answer with iad or issuer-script needs a response code")
	case arc == "":
	case len(arc) != 2:
		r.fail("arc", "%q is not two characters", arc)
	default:
		r.j.online = &emv.OnlineResult{ARC: emv.ARC(arc), IssuerAuthData: iad, Scripts: scripts}
	}
}
