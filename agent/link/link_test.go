package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"posagent/ota/wire"
)

// outbox is a caller's outbox in memory.
type outbox struct {
	mu     sync.Mutex
	events []*wire.Event
	signal chan struct{}
	acked  []string
}

func newOutbox(n int) *outbox {
	o := &outbox{signal: make(chan struct{}, 1)}
	for range n {
		o.add()
	}
	return o
}

func (o *outbox) add() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, &wire.Event{ID: fmt.Sprintf("e%04d", len(o.events)+len(o.acked)), Schema: wire.EventSchema, Kind: wire.EventDevice,
		LocalTime: time.Now(), Device: &wire.DeviceEvent{Code: "test", Severity: "info"}})
	select {
	case o.signal <- struct{}{}:
	default:
	}
}

func (o *outbox) Next(_ context.Context, max int) ([]*wire.Event, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.events[:min(max, len(o.events))]), nil
}

func (o *outbox) Acked(_ context.Context, ack *wire.Ack) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	ids := slices.Clone(ack.IDs)
	for _, r := range ack.Refused {
		ids = append(ids, r.ID)
	}
	o.events = slices.DeleteFunc(o.events, func(e *wire.Event) bool { return slices.Contains(ids, e.ID) })
	o.acked = append(o.acked, ids...)
	return nil
}

func (o *outbox) Signal() <-chan struct{} { return o.signal }

func (o *outbox) len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.events)
}

// terminal is a link with everything around it.
type terminal struct {
	*Link
	t       *testing.T
	outbox  *outbox
	number  uint64
	numbers []time.Time // when each connection number was taken
	desired func([]byte) wire.Reported
}

func newTerminal(t *testing.T, b *broker, events int) *terminal {
	x := &terminal{t: t, outbox: newOutbox(events)}
	x.Link = New(Options{Tenant: tenant, Serial: serial, Broker: "fleet.test:8883", TLS: &tls.Config{RootCAs: b.roots}, Outbox: x.outbox, dial: b.dial,
		Number: func() (uint64, error) {
			x.number++
			x.numbers = append(x.numbers, time.Now())
			return x.number, nil
		},
		Birth: func() *wire.Presence {
			return &wire.Presence{InstanceID: strings.Repeat("ab", 16), BootCount: 1, Model: "vt1", Firmware: "1", Schemas: &wire.Schemas{Config: 1, Event: 1},
				State: wire.StateActive, Time: time.Now()}
		},
		Desired: func(body []byte) wire.Reported { return x.desired(body) },
	})
	return x
}

// run starts the link and gives what ends it and waits for the end.
func (x *terminal) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- x.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			x.t.Errorf("Run = %v", err)
		}
		if x.Online() {
			x.t.Error("online after the end")
		}
	})
	x.t.Cleanup(stop)
	return stop
}

func TestLifeOfAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBroker(t)
		x := newTerminal(t, b, 0)
		stop := x.run()
		if s := b.next(); s.what != "subscribed" || s.client != wire.ClientID(tenant, serial) {
			t.Fatalf("first comes %+v, want the subscription", s)
		}
		var p wire.Presence
		if s := b.hear(wire.UpPresence, &p); p.N != 1 || !p.Online || !s.retain || p.InstanceID == "" {
			t.Fatalf("birth is %+v, retained %v", p, s.retain)
		}
		synctest.Wait()
		if !x.Online() {
			t.Error("not online after the birth")
		}

		// A cut is told by the will, an orderly end by the terminal itself.
		b.cut()
		will := b.next()
		if err := wire.Decode(will.body, &p); will.what != "will" || err != nil || p.N != 1 || p.Online {
			t.Fatalf("after the cut comes %+v %+v, %v", will, p, err)
		}
		synctest.Wait()
		if x.Online() {
			t.Error("online after the cut")
		}
		if b.hear(wire.UpPresence, &p); p.N != 2 || !p.Online {
			t.Fatalf("second birth is %+v", p)
		}
		stop()
		if s := b.hear(wire.UpPresence, &p); p.N != 2 || p.Online || !s.retain {
			t.Errorf("goodbye is %+v", p)
		}
		if s := b.next(); s.what != "gone" {
			t.Errorf("after the goodbye comes %+v", s)
		}
	})
}

func TestConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBroker(t)
		x := newTerminal(t, b, 0)
		hash := strings.Repeat("0a", 32)
		x.desired = func(body []byte) wire.Reported {
			return wire.Reported{Revision: uint64(len(body)), Hash: hash, State: wire.ReportedAccepted}
		}
		if err := b.server.Publish(wire.Topic(tenant, serial, wire.DownDesired), []byte("seven.."), true, 1); err != nil {
			t.Fatal(err)
		}
		x.Report(wire.Reported{Revision: 3, Hash: hash, State: wire.ReportedApplied}) // before there is a connection
		x.run()
		var got []uint64
		for range 2 {
			var r wire.Reported
			if s := b.hear(wire.UpReported, &r); s.retain {
				t.Error("a report is retained")
			}
			got = append(got, r.Revision)
		}
		slices.Sort(got)
		if !slices.Equal(got, []uint64{3, 7}) {
			t.Errorf("reported revisions %v, want 3 and 7", got)
		}
		// The retained document comes again after every connection.
		b.cut()
		var r wire.Reported
		if b.hear(wire.UpReported, &r); r.Revision != 7 {
			t.Errorf("after the cut revision %d is reported", r.Revision)
		}
	})
}

func TestReportNeverBlocks(t *testing.T) {
	l := New(Options{})
	for range 2 * cap(l.reports) {
		l.Report(wire.Reported{})
	}
}

func TestRefusedSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBroker(t)
		b.refuse = true
		x := newTerminal(t, b, 1)
		if stood, err := x.session(t.Context()); stood || !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "down/#") {
			t.Errorf("session = %v, %v; want ErrRefused", stood, err)
		}
		synctest.Wait()
		for len(b.said) > 0 {
			if s := b.next(); s.what == "publish" {
				t.Errorf("said %s on a connection without ears", s.topic)
			}
		}
	})
}

// TestWrongServer runs over TCP: a handshake that fails needs a wire with room.
func TestWrongServer(t *testing.T) {
	fleet := newAuthority(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{fleet.certificate}})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil {
				t.Error("the terminal spoke to the wrong server")
			}
			c.Close()
		}
	}()
	defer func() { l.Close(); <-served }()
	for _, row := range []struct {
		name   string
		config *tls.Config
	}{
		{"another authority", &tls.Config{RootCAs: newAuthority(t).roots, ServerName: "fleet.test"}},
		{"another name", &tls.Config{RootCAs: fleet.roots}},
	} {
		x := newTerminal(t, &broker{}, 1)
		x.o.dial, x.o.TLS, x.o.Broker = nil, row.config, l.Addr().String()
		if stood, err := x.session(t.Context()); stood || !errors.Is(err, ErrUntrusted) || !strings.Contains(err.Error(), x.o.Broker) {
			t.Errorf("%s: %v, %v; want ErrUntrusted with the address", row.name, stood, err)
		}
		_, err := Activate(t.Context(), BootOptions{Addr: x.o.Broker, TLS: x.o.TLS, Serial: serial, Code: "00000000"})
		if !errors.Is(err, ErrUntrusted) {
			t.Errorf("%s: Activate = %v, want ErrUntrusted", row.name, err)
		}
	}
}

// TestBackoff: a fleet that is away is asked less and less often, never in step,
// never more rarely than every five minutes.
func TestBackoff(t *testing.T) {
	for _, row := range []struct {
		name  string
		alter func(*Options)
	}{
		{"no network", func(o *Options) {
			o.dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("refused") }
		}},
		{"no connection number", func(o *Options) {
			number := o.Number
			o.Number = func() (uint64, error) { number(); return 0, errors.New("disk") }
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newTerminal(t, &broker{}, 0)
				row.alter(&x.o)
				began := time.Now()
				stop := x.run()
				time.Sleep(3 * time.Hour) // of the bubble
				stop()
				if n := len(x.numbers); n < 40 || n > 160 {
					t.Errorf("%d attempts in three hours", n)
				}
				for i := 1; i < len(x.numbers); i++ {
					wait, ceiling := x.numbers[i].Sub(x.numbers[i-1]), min(backoffBase<<min(i-1, 10), backoffCap)
					if wait > ceiling {
						t.Errorf("attempt %d came %v after the last, want at most %v", i, wait, ceiling)
					}
				}
				if !x.numbers[0].Equal(began) {
					t.Error("the first attempt waits")
				}
			})
		})
	}
}

// TestSpread: terminals that a fleet has dropped come back over a minute.
func TestSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBroker(t)
		x := newTerminal(t, b, 0)
		x.run()
		var p wire.Presence
		b.hear(wire.UpPresence, &p)
		var longest time.Duration
		for range 5 {
			cut := time.Now()
			b.cut()
			wait := b.hear(wire.UpPresence, &p).at.Sub(cut)
			longest = max(longest, wait)
			if wait > DefaultSpread+time.Second {
				t.Errorf("came back after %v", wait)
			}
		}
		if longest < 2*backoffBase { // chance of it: one in 700,000
			t.Errorf("came back within %v every time", longest)
		}
	})
}

// TestEndWhileConnecting: the end does not wait for a network that is silent.
func TestEndWhileConnecting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newTerminal(t, &broker{}, 0)
		x.o.dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		stop := x.run()
		synctest.Wait()
		began := time.Now()
		stop()
		if d := time.Since(began); d > time.Second {
			t.Errorf("the end took %v", d)
		}
	})
}

// TestHalfOpen: a broker that falls silent is found out by the ping.
func TestHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBroker(t)
		x := newTerminal(t, b, 0)
		var dead atomic.Bool
		dial := x.o.dial
		x.o.dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dial(ctx, network, addr)
			return deaf{c, &dead}, err
		}
		stop := x.run()
		var p wire.Presence
		b.hear(wire.UpPresence, &p)
		synctest.Wait()
		dead.Store(true)
		time.Sleep(2 * keepAlive) // of the bubble
		if x.Online() {
			t.Error("still online behind a dead line")
		}
		stop()
	})
}

// deaf is a connection on which nothing comes in any more once dead is set.
type deaf struct {
	net.Conn
	dead *atomic.Bool
}

func (c deaf) Read(b []byte) (int, error) {
	for {
		n, err := c.Conn.Read(b)
		if err != nil || !c.dead.Load() {
			return n, err
		}
	}
}
