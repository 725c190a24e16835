package link

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"posagent/ota/wire"
)

const (
	tenant = "shop"
	serial = "PA000001"
	// patience bounds a wait for a message, in the virtual time of a bubble.
	patience = 10 * time.Minute
)

// broker is a fleet's broker whose messages a test reads and writes: a real MQTT
// broker behind real TLS over pipes, so that all of it lives in a bubble.
type broker struct {
	t      *testing.T
	server *mqtt.Server
	authority
	said   chan said
	refuse bool // subscriptions

	conns  chan net.Conn
	closed chan struct{}
	mu     sync.Mutex // guards far
	far    []net.Conn
}

// said is something that happened at the broker, in order.
type said struct {
	what   string // "subscribed", "publish", "will", "gone"
	client string
	topic  string
	body   []byte
	retain bool
	at     time.Time
}

func startBroker(t *testing.T) *broker {
	t.Helper()
	b := &broker{t: t, authority: newAuthority(t), said: make(chan said, 4096), conns: make(chan net.Conn), closed: make(chan struct{})}
	b.server = mqtt.New(&mqtt.Options{InlineClient: true, Logger: slog.New(slog.DiscardHandler)})
	if err := b.server.AddHook(&ears{b: b}, nil); err != nil {
		t.Fatal(err)
	}
	if err := b.server.AddListener(listeners.NewNet("pipe", b)); err != nil {
		t.Fatal(err)
	}
	if err := b.server.Serve(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.Close()
		b.cut()
		synctest.Wait() // the broker counts a connection that begins while it closes
		b.server.Close()
	})
	return b
}

// Accept, Close and Addr make the broker its own net.Listener.
func (b *broker) Accept() (net.Conn, error) {
	select {
	case c := <-b.conns:
		return c, nil
	case <-b.closed:
		return nil, net.ErrClosed
	}
}

func (b *broker) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-b.closed:
	default:
		close(b.closed)
	}
	return nil
}

func (b *broker) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (b *broker) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	b.mu.Lock()
	b.far = append(b.far, far)
	b.mu.Unlock()
	select {
	case b.conns <- tls.Server(far, &tls.Config{Certificates: []tls.Certificate{b.certificate}}):
		return near, nil
	case <-b.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// cut pulls the cable of every connection.
func (b *broker) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.far {
		c.Close()
	}
	b.far = nil
}

// tell publishes to the terminal.
func (b *broker) tell(leaf wire.Leaf, m wire.Message) {
	b.t.Helper()
	body, err := wire.Encode(m)
	if err != nil {
		b.t.Fatal(err)
	}
	b.tellRaw(wire.Topic(tenant, serial, leaf), body)
}

func (b *broker) tellRaw(topic string, body []byte) {
	b.t.Helper()
	if err := b.server.Publish(topic, body, false, 1); err != nil {
		b.t.Fatal(err)
	}
}

// next gives what happens next.
func (b *broker) next() said {
	b.t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case s := <-b.said:
		return s
	case <-timer.C:
		b.t.Fatal("the terminal says nothing")
	}
	return said{}
}

// hear waits for a message on a leaf, passes over everything else, and decodes it.
func (b *broker) hear(leaf wire.Leaf, m wire.Message) said {
	b.t.Helper()
	for {
		s := b.next()
		if s.what != "publish" || s.topic != wire.Topic(tenant, serial, leaf) {
			continue
		}
		if err := wire.Decode(s.body, m); err != nil {
			b.t.Fatalf("%s: %v\n%s", leaf, err, s.body)
		}
		return s
	}
}

// ears is the hook that hears everything.
type ears struct {
	mqtt.HookBase
	b *broker
}

func (e *ears) ID() string { return "ears" }

func (e *ears) Provides(b byte) bool {
	return bytes.IndexByte([]byte{mqtt.OnConnectAuthenticate, mqtt.OnACLCheck, mqtt.OnSubscribed, mqtt.OnPublish, mqtt.OnWillSent, mqtt.OnDisconnect}, b) >= 0
}

func (e *ears) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return true }

func (e *ears) OnACLCheck(_ *mqtt.Client, _ string, write bool) bool { return write || !e.b.refuse }

func (e *ears) OnSubscribed(cl *mqtt.Client, _ packets.Packet, _ []byte) {
	e.b.said <- said{what: "subscribed", client: cl.ID, at: time.Now()}
}

func (e *ears) OnPublish(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	if !cl.Net.Inline {
		e.b.said <- said{"publish", cl.ID, pk.TopicName, bytes.Clone(pk.Payload), pk.FixedHeader.Retain, time.Now()}
	}
	return pk, nil
}

func (e *ears) OnWillSent(cl *mqtt.Client, pk packets.Packet) {
	e.b.said <- said{"will", cl.ID, pk.TopicName, bytes.Clone(pk.Payload), pk.FixedHeader.Retain, time.Now()}
}

func (e *ears) OnDisconnect(cl *mqtt.Client, _ error, _ bool) {
	e.b.said <- said{what: "gone", client: cl.ID, at: time.Now()}
}

// authority is a certification authority with one server certificate.
type authority struct {
	roots       *x509.CertPool
	certificate tls.Certificate
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test root"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(240 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		DNSNames: []string{"fleet.test"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return authority{pool, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}}
}
