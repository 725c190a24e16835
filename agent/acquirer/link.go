package acquirer

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"time"

	"posagent/agent/keys"
	"posagent/agent/payment"
)

// Config is what a Link needs to know. Profile, Addr, TerminalID, MerchantID and
// Keys are required.
type Config struct {
	Profile    *Profile
	Addr       string         // host:port
	TPDU       [tpduSize]byte // of requests; all zero: the profile's
	Head       [headSize]byte // of requests; all zero: the profile's
	TerminalID payment.TerminalID
	MerchantID payment.MerchantID
	Operator   string        // two digits for field 63.1 of the sign-in; empty: 01
	Batch      payment.Batch // for messages before the first sign-in; zero: 1

	ResponseTimeout time.Duration // from the first byte sent to the whole answer; zero: the profile's
	ConnectTimeout  time.Duration // zero: the profile's

	Dial func(ctx context.Context, network, addr string) (net.Conn, error) // nil: TCP
	Keys keys.Store
	Log  *slog.Logger     // nil: none
	Now  func() time.Time // calendar, for the year of host times; nil: time.Now

	// OnForeign hears of every message that came and was not the answer, masked.
	// OnTrace hears of every message sent ("out") and received ("in"), masked. Both
	// are called while the line is held and must not call the Link.
	OnForeign func(reason, description string)
	OnTrace   func(direction, description string)
}

// Link is the terminal's line to one acquirer host. Its methods may be called
// from several goroutines; one request is in flight at a time, the others wait.
type Link struct {
	cfg Config
	p   *Profile
	log *slog.Logger

	// line holds one token: who has put it in owns everything below.
	line   chan struct{}
	conn   net.Conn
	frames *FrameReader
	batch  payment.Batch
}

// New checks cfg and connects to nothing yet.
func New(cfg Config) (*Link, error) {
	if cfg.Profile == nil || cfg.Addr == "" || cfg.Keys == nil {
		return nil, fmt.Errorf("acquirer: profile, address and keys are required")
	}
	if err := cfg.TerminalID.Check(); err != nil {
		return nil, fmt.Errorf("acquirer: %w", err)
	}
	if err := cfg.MerchantID.Check(); err != nil {
		return nil, fmt.Errorf("acquirer: %w", err)
	}
	if cfg.Operator == "" {
		cfg.Operator = "01"
	}
	if !digits(cfg.Operator, 2) {
		return nil, fmt.Errorf("acquirer: operator %q is not two digits", cfg.Operator)
	}
	cfg.defaults()
	l := &Link{cfg: cfg, p: cfg.Profile, log: cfg.Log.With("subsystem", "acquirer"), line: make(chan struct{}, 1), batch: cfg.Batch}
	return l, nil
}

func (c *Config) defaults() {
	if c.TPDU == [tpduSize]byte{} {
		c.TPDU = c.Profile.tpdu
	}
	if c.Head == [headSize]byte{} {
		c.Head = c.Profile.head
	}
	if c.Batch == 0 {
		c.Batch = 1
	}
	if c.ResponseTimeout <= 0 {
		c.ResponseTimeout = c.Profile.response
	}
	if c.ConnectTimeout <= 0 {
		c.ConnectTimeout = c.Profile.connect
	}
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// acquire takes the line; the caller gives it back with release.
func (l *Link) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotSent, err)
	}
	select {
	case l.line <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: the line is busy: %w", ErrNotSent, ctx.Err())
	}
}

func (l *Link) release() { <-l.line }

// Close waits for the exchange in flight and closes a kept connection. The Link
// may be used again.
func (l *Link) Close() error {
	l.line <- struct{}{}
	defer l.release()
	l.hangUp()
	return nil
}

// hangUp closes the connection, if there is one.
func (l *Link) hangUp() {
	if l.conn != nil {
		_ = l.conn.Close() // nothing is owed to a connection that is given up
		l.conn, l.frames = nil, nil
	}
}

// Authorize sends a financial request and gives the host's answer, matched and
// with its MAC verified. A decline is an answer, not an error. r's terminal and
// merchant may be empty and are then the Link's.
//
// ErrNotSent: nothing left the terminal. Every other error is ErrInDoubt
// (ErrNoResponse, ErrBadMAC, ErrPartial): the caller must reverse, with the
// reason that ReversalReason gives.
func (l *Link) Authorize(ctx context.Context, r payment.Request) (payment.Response, error) {
	if err := l.own(&r); err != nil {
		return payment.Response{}, fmt.Errorf("%w: %w", ErrNotSent, err)
	}
	m, err := l.p.financial(r)
	if err != nil {
		return payment.Response{}, fmt.Errorf("%w: make %s: %w", ErrNotSent, r.Type, err)
	}
	return l.ask(ctx, asked{m: m, mac: m.Has(macField)})
}

// Reverse sends a reversal and gives the host's answer, whose code ends it if
// ReversalDone says so. After any error the reversal is still owed and is sent
// again, unchanged.
func (l *Link) Reverse(ctx context.Context, rev payment.Reversal) (payment.Response, error) {
	if err := l.own(&rev.Request); err != nil {
		return payment.Response{}, fmt.Errorf("%w: %w", ErrNotSent, err)
	}
	rev.Request = rev.Request.ForReversal()
	m, err := l.p.reverse(rev)
	if err != nil {
		return payment.Response{}, fmt.Errorf("%w: make reversal: %w", ErrNotSent, err)
	}
	return l.ask(ctx, asked{m: m, mac: m.Has(macField), reversal: true})
}

// own fills in who speaks, and refuses to speak for another terminal.
func (l *Link) own(r *payment.Request) error {
	if r.TerminalID == "" {
		r.TerminalID = l.cfg.TerminalID
	}
	if r.MerchantID == "" {
		r.MerchantID = l.cfg.MerchantID
	}
	if r.TerminalID != l.cfg.TerminalID || r.MerchantID != l.cfg.MerchantID {
		return fmt.Errorf("request of terminal %s at merchant %s on the line of %s at %s",
			r.TerminalID, r.MerchantID, l.cfg.TerminalID, l.cfg.MerchantID)
	}
	return nil
}

func (l *Link) ask(ctx context.Context, a asked) (payment.Response, error) {
	if err := l.acquire(ctx); err != nil {
		return payment.Response{}, err
	}
	defer l.release()
	f, r, err := l.exchange(ctx, a)
	if err != nil {
		return payment.Response{}, err
	}
	resp := l.response(f, r)
	if r.Text(39) == codePartial && r.Text(4) != a.m.Text(4) {
		return resp, ErrPartial
	}
	return resp, nil
}
