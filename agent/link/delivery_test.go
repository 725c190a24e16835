package link

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"posagent/ota/wire"
)

func TestEventsAreSentUntilAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBroker(t)
		x := newTerminal(t, b, 3)
		x.run()
		var e wire.Event
		sent := map[string][]time.Time{}
		for range 6 { // nobody acknowledges: each comes twice on the same connection
			s := b.hear(wire.UpEvent, &e)
			sent[e.ID] = append(sent[e.ID], s.at)
		}
		for id, at := range sent {
			if len(at) != 2 || at[1].Sub(at[0]) < resendAfter || at[1].Sub(at[0]) > 2*resendAfter {
				t.Errorf("%s was sent at %v", id, at)
			}
		}
		if len(sent) != 3 || x.outbox.len() != 3 || x.number != 1 {
			t.Fatalf("sent %v, outbox %d, connections %d", sent, x.outbox.len(), x.number)
		}
		// One stored, one refused for good: both leave; the third goes on.
		b.tell(wire.DownAck, &wire.Ack{IDs: []string{"e0000"}, Refused: []wire.RefusedEvent{{ID: "e0001", Reason: "no"}}})
		if b.hear(wire.UpEvent, &e); e.ID != "e0002" {
			t.Errorf("after the acknowledgement %s is sent", e.ID)
		}
		if x.outbox.len() != 1 || !slices.Equal(x.outbox.acked, []string{"e0000", "e0001"}) {
			t.Errorf("outbox holds %d, acknowledged %v", x.outbox.len(), x.outbox.acked)
		}
		// A new connection sends at once what the old one could not get rid of.
		b.cut()
		var p wire.Presence
		birth := b.hear(wire.UpPresence, &p)
		if s := b.hear(wire.UpEvent, &e); e.ID != "e0002" || s.at.Sub(birth.at) > time.Second {
			t.Errorf("new connection sends %s after %v", e.ID, s.at.Sub(birth.at))
		}
		b.tell(wire.DownAck, &wire.Ack{IDs: []string{"e0002", "e0002", "unknown"}})
		x.outbox.add()
		if b.hear(wire.UpEvent, &e); e.ID != "e0003" {
			t.Errorf("a new event is %s", e.ID)
		}
	})
}

func TestWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const events = 100
		b := startBroker(t)
		x := newTerminal(t, b, events)
		x.run()
		var order []string
		drain := func() {
			synctest.Wait()
			for len(b.said) > 0 {
				s := b.next()
				var e wire.Event
				if s.topic == wire.Topic(tenant, serial, wire.UpEvent) && wire.Decode(s.body, &e) == nil {
					order = append(order, e.ID)
				}
			}
		}
		var p wire.Presence
		b.hear(wire.UpPresence, &p)
		drain()
		if len(order) != Window {
			t.Fatalf("%d events on their way, want %d", len(order), Window)
		}
		for n := range events {
			b.tell(wire.DownAck, &wire.Ack{IDs: []string{order[n]}})
			drain()
			if want := min(Window+n+1, events); len(order) != want {
				t.Fatalf("after %d acknowledgements %d were sent, want %d", n+1, len(order), want)
			}
		}
		if !slices.IsSorted(order) || x.outbox.len() != 0 || x.number != 1 {
			t.Errorf("order %v, outbox %d, connections %d", order, x.outbox.len(), x.number)
		}
	})
}

// TestWindowInOneBreath: acknowledgements that come while events go out find room.
func TestWindowInOneBreath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const events = 300
		b := startBroker(t)
		x := newTerminal(t, b, events)
		x.run()
		seen := map[string]int{}
		for len(seen) < events {
			var e wire.Event
			b.hear(wire.UpEvent, &e)
			seen[e.ID]++
			b.tell(wire.DownAck, &wire.Ack{IDs: []string{e.ID}})
		}
		synctest.Wait()
		for id, n := range seen {
			if n != 1 {
				t.Errorf("%s was sent %d times", id, n)
			}
		}
		if x.outbox.len() != 0 || x.number != 1 {
			t.Errorf("outbox %d, connections %d", x.outbox.len(), x.number)
		}
	})
}

// TestBrokerIsToldWhenDurable: a configuration is acknowledged to the broker when
// it is kept, and not before.
func TestBrokerIsToldWhenDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBroker(t)
		x := newTerminal(t, b, 0)
		kept := make(chan struct{})
		x.desired = func([]byte) wire.Reported {
			<-kept
			return wire.Reported{State: wire.ReportedRejected, Reason: "no"}
		}
		x.run()
		var p wire.Presence
		b.hear(wire.UpPresence, &p)
		b.tellRaw(wire.Topic(tenant, serial, wire.DownDesired), []byte("{}"))
		cl, ok := b.server.Clients.Get(wire.ClientID(tenant, serial))
		if !ok {
			t.Fatal("the broker does not know the terminal")
		}
		synctest.Wait()
		if n := cl.State.Inflight.Len(); n != 1 {
			t.Errorf("%d messages on their way while the configuration is being kept, want 1", n)
		}
		close(kept)
		synctest.Wait()
		if n := cl.State.Inflight.Len(); n != 0 {
			t.Errorf("%d messages unacknowledged after it is kept", n)
		}
	})
}

// TestOverflowAsksAgain: a terminal that is busy drops what it cannot hold, and
// then asks for the configuration again, which may have been among it.
func TestOverflowAsksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBroker(t)
		x := newTerminal(t, b, 0)
		busy := make(chan struct{})
		x.desired = func([]byte) wire.Reported {
			<-busy
			return wire.Reported{Revision: 1, Hash: strings.Repeat("0a", 32), State: wire.ReportedApplied}
		}
		x.run()
		var p wire.Presence
		b.hear(wire.UpPresence, &p)
		for range 3 * inboundQueue {
			b.tellRaw(wire.Topic(tenant, serial, wire.DownDesired), []byte("{}"))
		}
		synctest.Wait() // the handler has taken or dropped all of them and did not block
		close(busy)
		var s wire.Sync
		if b.hear(wire.UpSync, &s); !slices.Equal(s.Want, []wire.Want{wire.WantConfig}) {
			t.Errorf("asks for %v", s.Want)
		}
		if x.number != 1 {
			t.Errorf("%d connections", x.number)
		}
	})
}

func TestHandlerNeverBlocks(t *testing.T) {
	w := newWires()
	o := target{addr: "fleet.test:1", log: newTerminal(t, &broker{}, 0).o.Log}.options(t.Context(), "x", w)
	for range 2 * inboundQueue {
		o.DefaultPublishHandler(nil, message{topic: "t"})
		o.OnConnectionLost(nil, errors.New("lost"))
	}
	if len(w.in) != inboundQueue || len(w.over) != 1 || len(w.lost) != 1 {
		t.Errorf("%d messages, %d overflows, %d losses", len(w.in), len(w.over), len(w.lost))
	}
}

// message is a message of the library.
type message struct {
	mqtt.Message
	topic string
}

func (m message) Topic() string   { return m.topic }
func (m message) Payload() []byte { return nil }
func (m message) Ack()            {}

func TestRubbishIsIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBroker(t)
		x := newTerminal(t, b, 1)
		x.run()
		var e wire.Event
		b.hear(wire.UpEvent, &e)
		ack := wire.Topic(tenant, serial, wire.DownAck)
		for _, body := range [][]byte{nil, []byte("rubbish"), []byte("{}"), []byte(`{"ids":[]}`), bytes.Repeat([]byte("["), 40_000),
			bytes.Repeat([]byte("x"), wire.MaxMessage), []byte(`{"ids":["` + strings.Repeat("x", 65) + `"]}`)} {
			b.tellRaw(ack, body)
		}
		b.tellRaw(wire.Topic(tenant, serial, "down/unknown"), []byte(`{"ids":["e0000"]}`))
		b.tellRaw("pos/v1/"+tenant+"/"+serial+"/down/ack/more", []byte(`{"ids":["e0000"]}`))
		b.tell(wire.DownAck, &wire.Ack{IDs: []string{"other"}})
		synctest.Wait()
		if x.outbox.len() != 1 || x.number != 1 || !x.Online() {
			t.Fatalf("outbox %d, connections %d, online %v", x.outbox.len(), x.number, x.Online())
		}
		s := &session{Link: x.Link, flight: map[string]time.Time{}}
		for _, topic := range []string{wire.Topic(tenant, "PA000002", wire.DownAck), wire.Topic("rival", serial, wire.DownAck), "x", "",
			wire.Topic(tenant, serial, wire.UpEvent)} {
			if err := s.receive(t.Context(), inbound{topic, []byte(`{"ids":["e0000"]}`), func() {}}); err != nil || x.outbox.len() != 1 {
				t.Errorf("topic %q: %v, outbox %d", topic, err, x.outbox.len())
			}
		}
		// A packet beyond every message ends the connection; the next one is sound.
		b.tellRaw(ack, make([]byte, maxPacket))
		var p wire.Presence
		if b.hear(wire.UpPresence, &p); p.N != 2 {
			t.Errorf("connection %d", p.N)
		}
	})
}
