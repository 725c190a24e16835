package link

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"posagent/ota/wire"
)

// Times of the session.
const (
	backoffBase    = 2 * time.Second
	backoffCap     = 5 * time.Minute
	keepAlive      = 60 * time.Second
	connectTimeout = 30 * time.Second
	writeTimeout   = 10 * time.Second
	// resendAfter is how long an event may stay unacknowledged before it is sent
	// again on the same connection.
	resendAfter = 30 * time.Second
	// goodbye bounds the polite end of a session.
	goodbye = 2 * time.Second
	// DefaultSpread is over how long the terminals of a fleet come back when it
	// has closed the connections of all of them.
	DefaultSpread = 60 * time.Second
)

// Window is how many events may be on their way without acknowledgement.
const Window = 32

// inboundQueue bounds messages between the client's handler and the session.
const inboundQueue = 32

// Errors of a connection.
var (
	ErrLost      = errors.New("link: connection lost")
	ErrRefused   = errors.New("link: fleet refused the subscription")
	ErrUntrusted = errors.New("link: the server is not this fleet")
)

// Outbox holds what the fleet must learn. Its entries survive a power cut.
type Outbox interface {
	// Next gives at most max events, oldest first.
	Next(ctx context.Context, max int) ([]*wire.Event, error)
	// Acked takes events off: stored by the fleet, or refused for good.
	Acked(ctx context.Context, ack *wire.Ack) error
	// Signal tells that there is something new.
	Signal() <-chan struct{}
}

// Options of a link. All fields but Spread and Log are needed.
type Options struct {
	Tenant, Serial, Broker string
	TLS                    *tls.Config // with GetClientCertificate and the fleet's root
	Outbox                 Outbox
	// Number gives the next connection number; it is durable before it is used.
	Number func() (uint64, error)
	// Birth describes the terminal; N and Online are filled in.
	Birth func() *wire.Presence
	// Desired takes the body of a desired configuration and returns when it is
	// durable or refused; it must not block for long. What it returns is reported.
	Desired func(body []byte) wire.Reported
	Spread  time.Duration // upper end of the first wait after a session was lost; zero: DefaultSpread
	Log     *slog.Logger

	dial dialer
}

// Link keeps one session with the fleet.
type Link struct {
	o       Options
	online  atomic.Bool
	reports chan wire.Reported
}

// New makes a link; Run starts it.
func New(o Options) *Link {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Spread <= 0 {
		o.Spread = DefaultSpread
	}
	return &Link{o: o, reports: make(chan wire.Reported, 8)}
}

// Online reports whether a session stands.
func (l *Link) Online() bool { return l.online.Load() }

// Report queues a report about a configuration for the running session. It never
// blocks; a report that finds no room is dropped, because the next connection
// asks for the configuration again and reports anew.
func (l *Link) Report(r wire.Reported) {
	select {
	case l.reports <- r:
	default:
		l.o.Log.Warn("report dropped", "revision", r.Revision, "state", r.State)
	}
}

// Run keeps a session until ctx ends, and returns nil then.
func (l *Link) Run(ctx context.Context) error {
	ceiling := backoffBase
	for {
		began := time.Now()
		stood, err := l.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(began) > backoffCap {
			ceiling = backoffBase // it stood for a while: begin gently again
		}
		wait := rand.N(ceiling)
		if stood { // a fleet that goes down takes every terminal with it
			wait = rand.N(max(ceiling, l.o.Spread))
		}
		l.o.Log.Info("fleet not connected", "err", err, "retry_in", wait.Round(time.Millisecond))
		ceiling = min(2*ceiling, backoffCap)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}
