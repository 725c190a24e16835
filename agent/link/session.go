package link

import (
	"context"
	"fmt"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"posagent/ota/wire"
)

// session is one connection that stands.
type session struct {
	*Link
	client mqtt.Client
	wires
	flight map[string]time.Time // event id -> when it was sent
	queue  []*wire.Event        // read from the outbox, not yet sent
	stale  bool                 // the outbox may hold more than queue and flight
}

// session connects, and serves until the connection or ctx ends. stood reports
// that the fleet had accepted it.
func (l *Link) session(ctx context.Context) (stood bool, err error) {
	n, err := l.o.Number()
	if err != nil {
		return false, fmt.Errorf("take connection number: %w", err)
	}
	will, err := wire.Encode(wire.Will(n))
	if err != nil {
		return false, fmt.Errorf("make will: %w", err)
	}
	s := &session{Link: l, wires: newWires(), flight: map[string]time.Time{}, stale: true}
	co := target{l.o.Broker, l.o.TLS, l.o.dial, l.o.Log}.options(ctx, wire.ClientID(l.o.Tenant, l.o.Serial), s.wires)
	co.SetBinaryWill(wire.Topic(l.o.Tenant, l.o.Serial, wire.UpPresence), will, 1, true)
	if s.client, err = connect(ctx, co); err != nil {
		return false, err
	}
	defer s.client.Disconnect(uint(goodbye.Milliseconds()))
	if err := subscribe(ctx, s.client, wire.DownFilter(l.o.Tenant, l.o.Serial)); err != nil {
		return false, err
	}
	stood, err = s.live(ctx, n)
	l.online.Store(false)
	if ctx.Err() != nil { // an orderly end says so; a crash leaves it to the will
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
		defer cancel()
		if err := s.publish(late, wire.UpPresence, true, wire.Will(n)); err != nil {
			l.o.Log.Debug("goodbye not said", "err", err)
		}
	}
	return stood, err
}

// live is a session from the birth on.
func (s *session) live(ctx context.Context, n uint64) (stood bool, err error) {
	birth := s.o.Birth()
	birth.N, birth.Online = n, true
	if err := s.publish(ctx, wire.UpPresence, true, birth); err != nil {
		return false, err
	}
	s.online.Store(true)
	s.o.Log.Info("fleet connected", "broker", s.o.Broker, "connection", n)
	return true, s.serve(ctx)
}

// ready is a channel that is always ready.
var ready = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// serve moves messages until the connection or ctx ends: one out, then whatever
// has come in, so that a full outbox never keeps an acknowledgement waiting.
func (s *session) serve(ctx context.Context) error {
	again := time.NewTicker(resendAfter)
	defer again.Stop()
	for {
		more, err := s.sendOne(ctx)
		if err != nil {
			return err
		}
		var goOn <-chan struct{}
		if more {
			goOn = ready
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-s.lost:
			return fmt.Errorf("%w: %w", ErrLost, err)
		case m := <-s.in:
			err = s.receive(ctx, m)
		case <-s.over:
			// What was dropped may have been a configuration.
			err = s.publish(ctx, wire.UpSync, false, &wire.Sync{Want: []wire.Want{wire.WantConfig}})
		case r := <-s.reports:
			err = s.publish(ctx, wire.UpReported, false, &r)
		case <-s.o.Outbox.Signal():
			s.stale = true
		case <-again.C:
			s.forget()
		case <-goOn:
		}
		if err != nil {
			return err
		}
	}
}

// sendOne publishes the next event that is not on its way already, and reports
// whether there may be another. Events are read Window at a time from the oldest
// on, and again when one has left: so no more than Window are ever on their way.
func (s *session) sendOne(ctx context.Context) (more bool, err error) {
	if len(s.queue) == 0 && s.stale {
		s.stale = false
		events, err := s.o.Outbox.Next(ctx, Window)
		if err != nil {
			return false, fmt.Errorf("read outbox: %w", err)
		}
		for _, e := range events {
			if _, sent := s.flight[e.ID]; !sent {
				s.queue = append(s.queue, e)
			}
		}
	}
	if len(s.queue) == 0 {
		return false, nil
	}
	e := s.queue[0]
	s.queue = s.queue[1:]
	s.flight[e.ID] = time.Now()
	return len(s.queue) > 0 || s.stale, s.publish(ctx, wire.UpEvent, false, e)
}

// forget lets events be sent again whose acknowledgement has not come.
func (s *session) forget() {
	for id, sent := range s.flight {
		if time.Since(sent) >= resendAfter {
			delete(s.flight, id)
			s.stale = true
		}
	}
}

// receive takes one message, and acknowledges it to the broker when what it asks
// for is durable.
func (s *session) receive(ctx context.Context, m inbound) error {
	defer m.ack()
	tenant, serial, leaf, err := wire.ParseTopic(m.topic)
	if err != nil || tenant != s.o.Tenant || serial != s.o.Serial {
		s.o.Log.Warn("message on a foreign topic ignored", "topic", m.topic)
		return nil
	}
	switch leaf {
	case wire.DownDesired:
		r := s.o.Desired(m.body)
		s.o.Log.Info("configuration received", "revision", r.Revision, "state", r.State, "path", r.Path, "reason", r.Reason)
		return s.publish(ctx, wire.UpReported, false, &r)
	case wire.DownAck:
		var ack wire.Ack
		if err := wire.Decode(m.body, &ack); err != nil {
			s.o.Log.Warn("acknowledgement ignored", "err", err)
			return nil
		}
		return s.acked(ctx, &ack)
	}
	s.o.Log.Warn("message not for terminals ignored", "topic", m.topic)
	return nil
}

func (s *session) acked(ctx context.Context, ack *wire.Ack) error {
	if err := s.o.Outbox.Acked(ctx, ack); err != nil {
		return fmt.Errorf("keep acknowledgement: %w", err)
	}
	for _, id := range ack.IDs {
		delete(s.flight, id)
	}
	for _, r := range ack.Refused {
		delete(s.flight, r.ID)
	}
	s.stale = true
	return nil
}

func (s *session) publish(ctx context.Context, leaf wire.Leaf, retained bool, m wire.Message) error {
	body, err := wire.Encode(m)
	if err != nil {
		// A message that is none must not stop the others for ever.
		s.o.Log.Error("message not sent", "leaf", leaf, "err", err)
		return nil
	}
	return publish(ctx, s.client, wire.Topic(s.o.Tenant, s.o.Serial, leaf), retained, body)
}
