package pinpad

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"posagent/drivers/pinpad/internal/wire"
)

// Format is a PIN block format of ISO 9564-1.
type Format uint8

// Format0 binds the PIN to the card number.
const Format0 Format = 0

// Bounds of a PIN request. ISO 9564-1, 8.1 gives the digits; nobody stands at a
// terminal for five minutes.
const (
	minDigits  = 4
	maxDigits  = 12
	maxTimeout = 5 * time.Minute
)

// PINRequest is what the pad is asked for. It prints with the card number masked.
type PINRequest struct {
	PAN      string        // 12 to 19 digits
	Format   Format        // Format0
	Min, Max uint8         // digits, 4 to 12; zero for 4 and 12
	Timeout  time.Duration // of the whole entry, up to 5 min; zero for 1 min
	Bypass   bool          // Enter without digits ends the entry as Bypassed
}

func (r PINRequest) masked() string {
	pan := "none"
	if n := len(r.PAN); n >= 12 {
		pan = r.PAN[:6] + "..." + r.PAN[n-4:]
	}
	return fmt.Sprintf("[PIN request for %s, format %d, %d to %d digits, %s]", pan, r.Format, r.Min, r.Max, r.Timeout)
}

func (r PINRequest) String() string               { return r.masked() }
func (r PINRequest) GoString() string             { return r.masked() }
func (r PINRequest) MarshalJSON() ([]byte, error) { return json.Marshal(r.masked()) }
func (r PINRequest) LogValue() slog.Value         { return slog.StringValue(r.masked()) }

// PINResult is how an entry ended: Entered or Enciphered, Bypassed, Cancelled or
// TimedOut.
type PINResult interface{ pinResult() }

// Entered is a PIN taken. Block is enciphered under the pad's PIN key; it prints
// masked all the same.
type Entered struct{ Block [8]byte }

// Bypassed is Enter without digits, where the request allows it.
type Bypassed struct{}

// Cancelled is the Cancel key.
type Cancelled struct{}

// TimedOut is the request's Timeout passing.
type TimedOut struct{}

func (Entered) pinResult()   {}
func (Bypassed) pinResult()  {}
func (Cancelled) pinResult() {}
func (TimedOut) pinResult()  {}

const maskedBlock = "[PIN block]"

func (Entered) String() string               { return maskedBlock }
func (Entered) GoString() string             { return maskedBlock }
func (Entered) Format(s fmt.State, _ rune)   { fmt.Fprint(s, maskedBlock) }
func (Entered) MarshalJSON() ([]byte, error) { return json.Marshal(maskedBlock) }
func (Entered) LogValue() slog.Value         { return slog.StringValue(maskedBlock) }

// entry is one PIN entry between Run, which hears of it, and EnterPIN, which
// waits for it.
type entry struct {
	id      uint8
	offline uint8       // length of the block for the card; 0: the block is for the host
	dots    chan uint8  // holds one: the latest count
	end     chan pinEnd // holds one: the only end
}

type pinEnd struct {
	result PINResult
	err    error
}

func newEntry(id, offline uint8) *entry {
	return &entry{id: id, offline: offline, dots: make(chan uint8, 1), end: make(chan pinEnd, 1)}
}

// show hands a count on; a count that nobody took is replaced.
func (e *entry) show(n uint8) {
	select {
	case <-e.dots:
	default:
	}
	e.dots <- n // only Run puts counts in, and the place is free now
}

func (e *entry) finish(end pinEnd) {
	select {
	case e.end <- end:
	default:
	}
}

// EnterPIN lets the cardholder enter a PIN and waits for the end. dots is called
// from this goroutine with 0 when the pad is ready for the first digit, and then
// with the number of digits held whenever it changes; it may be nil. Before that
// first call a key pressed is an ordinary key: nobody may be asked for a PIN.
//
// Errors: ErrBusy, an entry is under way; ErrParameter; ErrNoKey, no PIN key is
// loaded; ErrTamper; ErrNoAnswer, the pad was silent or restarted; ErrProtocol;
// ErrHalted; or the context's error, after the pad was told to end the entry.
func (d *Dev) EnterPIN(ctx context.Context, req PINRequest, dots func(n int)) (PINResult, error) {
	body, err := req.fill()
	if err != nil {
		return nil, err
	}
	return d.take(ctx, wire.CmdEnterPIN, 0, body.Timeout, dots, func(id uint8) []byte {
		body.Entry = id
		data, _ := body.AppendTo(nil) // fill bounds the card number
		return data
	})
}

// take runs one PIN entry; command gives the body of cmd for its number.
func (d *Dev) take(ctx context.Context, cmd wire.Cmd, offline uint8, timeout time.Duration, dots func(n int), command func(id uint8) []byte) (PINResult, error) {
	select {
	case d.entering <- struct{}{}:
		defer func() { <-d.entering }()
	default:
		return nil, fmt.Errorf("enter PIN: %w", ErrBusy)
	}
	d.entryID++ // guarded by entering
	if d.entryID == 0 {
		d.entryID = 1
	}
	e := newEntry(d.entryID, offline)
	if _, err := d.do(ctx, &call{steps: []step{{cmd, command(d.entryID)}}, entry: e}); err != nil {
		if ctx.Err() != nil {
			d.cancelEntry(ctx, e)
		}
		return nil, fmt.Errorf("enter PIN: %w", err)
	}
	if dots != nil {
		dots(0) // the pad takes digits from now on
	}
	result, err := d.await(ctx, e, timeout, dots)
	if err != nil {
		return nil, fmt.Errorf("enter PIN: %w", err)
	}
	return result, nil
}

// fill checks the request and puts the defaults in. Errors name the field and
// never the card number.
func (r PINRequest) fill() (wire.PINRequest, error) {
	if err := bounds(&r.Min, &r.Max, &r.Timeout); err != nil {
		return wire.PINRequest{}, err
	}
	switch {
	case len(r.PAN) < 12 || len(r.PAN) > 19 || !allDigits(r.PAN):
		return wire.PINRequest{}, fmt.Errorf("enter PIN: %w: card number of %d characters", ErrParameter, len(r.PAN))
	case r.Format != Format0:
		return wire.PINRequest{}, fmt.Errorf("enter PIN: %w: format %d", ErrParameter, r.Format)
	}
	return wire.PINRequest{Format: uint8(r.Format), Min: r.Min, Max: r.Max, Bypass: r.Bypass,
		Timeout: r.Timeout, PAN: []byte(r.PAN)}, nil
}

// bounds puts the defaults in and checks what every PIN entry has.
func bounds(least, most *uint8, timeout *time.Duration) error {
	if *least == 0 {
		*least = minDigits
	}
	if *most == 0 {
		*most = maxDigits
	}
	if *timeout == 0 {
		*timeout = time.Minute
	}
	switch {
	case *least < minDigits || *most > maxDigits || *least > *most:
		return fmt.Errorf("enter PIN: %w: %d to %d digits", ErrParameter, *least, *most)
	case *timeout < time.Second || *timeout > maxTimeout:
		return fmt.Errorf("enter PIN: %w: timeout %s", ErrParameter, *timeout)
	}
	return nil
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// entrySlack is how much longer than the pad's own time-out its result may take:
// all tries of a message and some.
const entrySlack = 3 * time.Second

func (d *Dev) await(ctx context.Context, e *entry, timeout time.Duration, dots func(n int)) (PINResult, error) {
	guard := time.NewTimer(timeout + entrySlack)
	defer guard.Stop()
	for {
		select {
		case n := <-e.dots:
			if dots != nil {
				dots(int(n))
			}
		case end := <-e.end:
			return end.result, end.err
		case <-ctx.Done():
			d.cancelEntry(ctx, e)
			return nil, ctx.Err()
		case <-guard.C:
			d.cancelEntry(ctx, e)
			return nil, fmt.Errorf("%w: no result within %s", ErrNoAnswer, timeout+entrySlack)
		}
	}
}

// cancelWait bounds how long a caller that gives up waits for the pad.
const cancelWait = 2 * time.Second

// cancelEntry tells the pad to end the entry. That it has ended already, or that
// the pad is silent, changes nothing for the caller.
func (d *Dev) cancelEntry(ctx context.Context, e *entry) {
	if d.runEnd() == nil {
		return
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), cancelWait)
	defer stop()
	_, _ = d.do(ctx, &call{steps: []step{{wire.CmdCancel, []byte{e.id}}}})
}
