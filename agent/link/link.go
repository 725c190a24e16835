package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

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
)

// Window is how many events may be on their way without acknowledgement.
const Window = 32

// inboundQueue bounds messages between the client's handler and the session.
const inboundQueue = 32

// Errors of a session.
var (
	ErrLost    = errors.New("link: connection lost")
	ErrRefused = errors.New("link: fleet refused the subscription")
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

// Options of a link. All fields but Log are needed.
type Options struct {
	Tenant, Serial, Broker string
	TLS                    *tls.Config // with GetClientCertificate and the fleet's root
	Outbox                 Outbox
	// Number gives the next connection number; it is durable before it is used.
	Number func() (uint64, error)
	// Birth describes the terminal; N and Online are filled in.
	Birth func() *wire.Presence
	// Desired takes the body of a desired configuration; it must not block for
	// long. What it returns is reported.
	Desired func(body []byte) wire.Reported
	Log     *slog.Logger
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
		err := l.session(ctx)
		l.online.Store(false)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(began) > backoffCap {
			ceiling = backoffBase // it stood for a while: begin gently again
		}
		wait := rand.N(ceiling)
		l.o.Log.Info("fleet not connected", "err", err, "retry_in", wait.Round(time.Millisecond))
		ceiling = min(2*ceiling, backoffCap)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

type inbound struct {
	topic string
	body  []byte
}

func (l *Link) session(ctx context.Context) error {
	n, err := l.o.Number()
	if err != nil {
		return fmt.Errorf("take connection number: %w", err)
	}
	will, err := wire.Encode(wire.Will(n))
	if err != nil {
		return fmt.Errorf("make will: %w", err)
	}
	in := make(chan inbound, inboundQueue)
	lost := make(chan error, 1)
	co := clientOptions(l.o.Broker, wire.ClientID(l.o.Tenant, l.o.Serial), l.o.TLS, in, lost, l.o.Log)
	co.SetBinaryWill(wire.Topic(l.o.Tenant, l.o.Serial, wire.UpPresence), will, 1, true)
	client := mqtt.NewClient(co)
	if err := wait(ctx, client.Connect(), connectTimeout); err != nil {
		client.Disconnect(0)
		return fmt.Errorf("connect to fleet: %w", err)
	}
	defer client.Disconnect(uint(goodbye.Milliseconds()))
	if err := subscribe(ctx, client, wire.DownFilter(l.o.Tenant, l.o.Serial)); err != nil {
		return err
	}
	birth := l.o.Birth()
	birth.N, birth.Online = n, true
	if err := l.publish(ctx, client, wire.UpPresence, true, birth); err != nil {
		return err
	}
	l.online.Store(true)
	l.o.Log.Info("fleet connected", "broker", l.o.Broker, "connection", n)
	err = l.serve(ctx, client, in, lost)
	if ctx.Err() != nil { // an orderly end says so; a crash leaves it to the will
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
		defer cancel()
		if err := l.publish(late, client, wire.UpPresence, true, wire.Will(n)); err != nil {
			l.o.Log.Debug("goodbye not said", "err", err)
		}
	}
	return err
}

// serve moves messages until the connection or ctx ends.
func (l *Link) serve(ctx context.Context, client mqtt.Client, in <-chan inbound, lost <-chan error) error {
	flight := map[string]time.Time{} // event id -> when it was sent
	again := time.NewTicker(resendAfter)
	defer again.Stop()
	for {
		if err := l.send(ctx, client, flight); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-lost:
			return fmt.Errorf("%w: %w", ErrLost, err)
		case <-l.o.Outbox.Signal():
		case <-again.C:
			for id, sent := range flight {
				if time.Since(sent) >= resendAfter {
					delete(flight, id)
				}
			}
		case r := <-l.reports:
			if err := l.publish(ctx, client, wire.UpReported, false, &r); err != nil {
				return err
			}
		case m := <-in:
			if err := l.receive(ctx, client, m, flight); err != nil {
				return err
			}
		}
	}
}

// send publishes what the outbox holds and is not on its way already.
func (l *Link) send(ctx context.Context, client mqtt.Client, flight map[string]time.Time) error {
	events, err := l.o.Outbox.Next(ctx, Window)
	if err != nil {
		return fmt.Errorf("read outbox: %w", err)
	}
	for _, e := range events {
		if _, sent := flight[e.ID]; sent {
			continue
		}
		if err := l.publish(ctx, client, wire.UpEvent, false, e); err != nil {
			return err
		}
		flight[e.ID] = time.Now()
	}
	return nil
}

func (l *Link) receive(ctx context.Context, client mqtt.Client, m inbound, flight map[string]time.Time) error {
	tenant, serial, leaf, err := wire.ParseTopic(m.topic)
	if err != nil || tenant != l.o.Tenant || serial != l.o.Serial {
		l.o.Log.Warn("message on a foreign topic ignored", "topic", m.topic)
		return nil
	}
	switch leaf {
	case wire.DownDesired:
		r := l.o.Desired(m.body)
		l.o.Log.Info("configuration received", "revision", r.Revision, "state", r.State, "path", r.Path, "reason", r.Reason)
		return l.publish(ctx, client, wire.UpReported, false, &r)
	case wire.DownAck:
		var ack wire.Ack
		if err := wire.Decode(m.body, &ack); err != nil {
			l.o.Log.Warn("acknowledgement ignored", "err", err)
			return nil
		}
		if err := l.o.Outbox.Acked(ctx, &ack); err != nil {
			return fmt.Errorf("keep acknowledgement: %w", err)
		}
		for _, id := range ack.IDs {
			delete(flight, id)
		}
		for _, r := range ack.Refused {
			delete(flight, r.ID)
		}
	default:
		l.o.Log.Warn("message not for terminals ignored", "topic", m.topic)
	}
	return nil
}

func (l *Link) publish(ctx context.Context, client mqtt.Client, leaf wire.Leaf, retained bool, m wire.Message) error {
	body, err := wire.Encode(m)
	if err != nil {
		// A message that is none must not stop the others for ever.
		l.o.Log.Error("message not sent", "leaf", leaf, "err", err)
		return nil
	}
	if err := wait(ctx, client.Publish(wire.Topic(l.o.Tenant, l.o.Serial, leaf), 1, retained, body), writeTimeout); err != nil {
		return fmt.Errorf("publish %s: %w", leaf, err)
	}
	return nil
}
