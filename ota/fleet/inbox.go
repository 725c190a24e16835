package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"posagent/ota/fleet/broker"
	"posagent/ota/fleet/enroll"
	"posagent/ota/fleet/store"
	"posagent/ota/wire"
)

// receive takes one message on the goroutine of its connection. What it writes is durable when it returns; the broker
// acknowledges after that.
func (s *Server) receive(m broker.Message) {
	ctx := context.Background() // a write that has begun is carried through
	var err error
	switch {
	case m.Boot:
		err = s.activate(ctx, m)
	case m.Leaf == wire.UpPresence:
		err = s.presence(ctx, m)
	case m.Leaf == wire.UpReported:
		err = s.reported(ctx, m)
	case m.Leaf == wire.UpEvent:
		err = s.event(ctx, m)
	case m.Leaf == wire.UpSync:
		err = s.sync(m)
	}
	if err != nil {
		s.log.Warn("message not taken", "serial", m.Serial, "leaf", m.Leaf, "remote", m.Remote, "err", err)
	}
}

// activate runs one step of the exchange and queues the answer.
func (s *Server) activate(ctx context.Context, m broker.Message) error {
	peer := enroll.Peer{Client: m.Client, Serial: m.Serial, Remote: m.Remote}
	var answer wire.Message
	var err error
	switch m.Leaf {
	case wire.BootHello:
		var hello wire.Hello
		if err = wire.Decode(m.Payload, &hello); err == nil {
			answer, err = s.desk.Hello(ctx, peer, &hello)
		}
	case wire.BootCSR:
		var csr wire.CSR
		if err = wire.Decode(m.Payload, &csr); err == nil {
			answer, err = s.desk.CSR(ctx, peer, &csr)
		}
	}
	leaf := wire.BootRefused
	switch v := answer.(type) {
	case nil:
		refused := &wire.Refused{Reason: wire.ReasonProtocol}
		if list := wire.FieldErrors(err); len(list) > 0 {
			refused.Detail = clip(list[0].Error(), 200)
		}
		answer = refused
	case *wire.Challenge:
		leaf = wire.BootChallenge
	case *wire.Certificate:
		leaf = wire.BootCertificate
		err = errors.Join(err, s.certified(m.Serial))
	case *wire.Refused:
		s.log.Info("activation refused", "serial", m.Serial, "remote", m.Remote, "reason", v.Reason)
	}
	body, eerr := wire.Encode(answer)
	if eerr != nil {
		return errors.Join(err, eerr)
	}
	s.send(outgoing{boot: true, serial: m.Serial, leaf: leaf, body: body})
	return err
}

// certified lets the new certificate in, closes a connection of the old one and places the desired configuration.
func (s *Server) certified(serial string) error {
	var t store.Terminal
	err := s.store.View(func(tx store.Tx) (err error) {
		t, err = tx.Terminal(serial)
		return err
	})
	if err != nil {
		return err
	}
	s.log.Info("terminal activated", "serial", serial)
	s.allow(t)
	s.broker.Kick(serial)
	s.offer(serial)
	return nil
}

// presence follows births and wills. A connection number below the last one is stale: a will of a connection that was
// replaced long ago.
func (s *Server) presence(ctx context.Context, m broker.Message) error {
	var p wire.Presence
	if err := wire.Decode(m.Payload, &p); err != nil {
		return err
	}
	stale := false
	err := s.store.Update(ctx, func(tx store.Tx) error {
		t, err := tx.Terminal(m.Serial)
		if err != nil {
			return err
		}
		last := t.Presence
		if stale = last != nil && p.N < last.N; stale {
			return nil
		}
		switch {
		case p.Online:
			t.Presence = &p
		case last != nil:
			last.N, last.Online = p.N, false
		default:
			t.Presence = &p
		}
		t.LastSeen = s.now().UTC()
		return tx.PutTerminal(t)
	})
	if err != nil || stale {
		return err
	}
	s.log.Debug("presence", "serial", m.Serial, "n", p.N, "online", p.Online)
	if p.Online {
		s.offer(m.Serial)
	}
	return nil
}

// gone marks a terminal offline whose connection ended without a will. The birth of a newer connection wins: it comes
// after that connection is there.
func (s *Server) gone(serial string) {
	err := s.store.Update(context.Background(), func(tx store.Tx) error {
		t, err := tx.Terminal(serial)
		if err != nil || t.Presence == nil || !t.Presence.Online || s.broker.Connected(serial) {
			return err
		}
		t.Presence.Online = false
		t.LastSeen = s.now().UTC()
		return tx.PutTerminal(t)
	})
	if err != nil {
		s.log.Warn("offline mark not stored", "serial", serial, "err", err)
	}
}

// reported stores what became of a configuration, and audits it when it is news.
func (s *Server) reported(ctx context.Context, m broker.Message) error {
	var r wire.Reported
	if err := wire.Decode(m.Payload, &r); err != nil {
		return err
	}
	return s.store.Update(ctx, func(tx store.Tx) error {
		t, err := tx.Terminal(m.Serial)
		if err != nil {
			return err
		}
		news := t.Reported == nil || *t.Reported != r
		now := s.now().UTC()
		t.Reported, t.ReportedAt, t.LastSeen = &r, now, now
		if err := tx.PutTerminal(t); err != nil || !news {
			return err
		}
		return s.audit(tx, "terminal", "config."+string(r.State), m.Serial, map[string]string{
			"revision": decimal(r.Revision), "hash": r.Hash, "path": r.Path, "reason": r.Reason})
	})
}

// event stores an event once and acknowledges it, new or known. One that is refused leaves the terminal's outbox too.
func (s *Server) event(ctx context.Context, m broker.Message) error {
	var e wire.Event
	if err := wire.Decode(m.Payload, &e); err != nil {
		return errors.Join(err, s.refuseEvent(m, err))
	}
	err := s.store.Update(ctx, func(tx store.Tx) error {
		_, err := tx.AddEvent(store.Event{Serial: m.Serial, Received: s.now().UTC(), Event: e})
		return err
	})
	if err != nil {
		return err // no ack: the terminal sends it again
	}
	return s.ack(m.Serial, &wire.Ack{IDs: []string{e.ID}})
}

// refuseEvent finds the id of an event that is otherwise not readable and refuses it by that.
func (s *Server) refuseEvent(m broker.Message, cause error) error {
	var only struct {
		ID string `json:"id"`
	}
	if len(m.Payload) > wire.MaxMessage || json.Unmarshal(m.Payload, &only) != nil {
		return nil
	}
	list := wire.FieldErrors(cause)
	if len(list) == 0 {
		return nil
	}
	return s.ack(m.Serial, &wire.Ack{Refused: []wire.RefusedEvent{{ID: only.ID, Path: clip(list[0].Path, 200), Reason: clip(list[0].Error(), 500)}}})
}

func (s *Server) ack(serial string, a *wire.Ack) error {
	body, err := wire.Encode(a)
	if err != nil {
		return err
	}
	s.send(outgoing{serial: serial, leaf: wire.DownAck, body: body})
	return nil
}

func (s *Server) sync(m broker.Message) error {
	var want wire.Sync
	if err := wire.Decode(m.Payload, &want); err != nil {
		return err
	}
	if slices.Contains(want.Want, wire.WantConfig) {
		s.offer(m.Serial)
	}
	return nil
}

func (s *Server) audit(tx store.Tx, actor, action, serial string, detail map[string]string) error {
	_, err := tx.AppendAudit(store.AuditEntry{Time: s.now(), Actor: actor, Action: action, Serial: serial, Detail: detail})
	return err
}

// clip cuts at a character, at most n bytes.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && text[n]&0xC0 == 0x80 {
		n--
	}
	return text[:n]
}
