package broker

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"posagent/ota/wire"
)

// Bounds of a connection.
const (
	BootTime     = 60 * time.Second // a bootstrap connection's whole life
	ConnectTime  = 15 * time.Second // TLS handshake and CONNECT
	maxKeepalive = 1800             // seconds
	// maxPacket is a body, its topic and the fixed header.
	maxPacket     = wire.MaxMessage + wire.MaxTopic + 64
	maxInflight   = 256
	writesPending = 128
	buffer        = 512 // bytes, read and write, per connection
	never         = 365 * 24 * 3600
)

// Reasons to refuse a connection, given to Options.Refused wrapped with the detail.
var (
	ErrProtocol  = errors.New("not MQTT 3.1.1 with a clean session, a keepalive and a will of its own")
	ErrClientID  = errors.New("client id is not the certificate's name")
	ErrTenant    = errors.New("certificate is of another tenant")
	ErrNotListed = errors.New("certificate is not on the allow list")
	ErrHandshake = errors.New("TLS handshake failed")
	ErrTooMany   = errors.New("too many connections")
	ErrForbidden = errors.New("topic is not this terminal's to use")
)

// Fingerprint is SHA-256 of a certificate's DER.
type Fingerprint = [sha256.Size]byte

// Message is what a terminal said.
type Message struct {
	Boot    bool   // on the bootstrap listener
	Client  string // MQTT client id: tells two bootstrap connections of one serial apart
	Serial  string
	Leaf    wire.Leaf
	Payload []byte
	Remote  string // address without port
}

// Options say where and for whom.
type Options struct {
	Tenant      string
	BootAddr    string // host:port
	MainAddr    string // host:port
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	Roots       *x509.CertPool // of terminals' certificates
	// Allowed says whether this certificate may speak for this serial now. It must not block.
	Allowed func(serial string, f Fingerprint) bool
	// Receive takes a message; it returns when the message may be acknowledged to the terminal's MQTT client.
	Receive func(Message)
	// Gone tells that a main connection has ended. Nil is allowed.
	Gone func(serial string)
	// Refused tells of a connection or topic that was refused. Serial may be empty. It must not block; nil is allowed.
	Refused func(remote, serial string, err error)
	// MaxMain and MaxBoot bound the connections of each listener; 0 is 20,000 and 512.
	MaxMain, MaxBoot int
	// BootPerMinute bounds new bootstrap connections of one address; 0 is 120.
	BootPerMinute int
	Now           func() time.Time // nil is time.Now; for certificates
}

// Broker is an open broker.
type Broker struct {
	opts       Options
	server     *mqtt.Server
	gate       *gate
	boot, main *listener
}

// Open binds both listeners. Nothing is accepted before Serve, but Publish works, so that retained documents are in
// place when the first terminal is let in.
func Open(o Options) (*Broker, error) {
	if !wire.ValidTenant(o.Tenant) {
		return nil, fmt.Errorf("open broker: tenant %q is not valid", o.Tenant)
	}
	if o.MaxMain == 0 {
		o.MaxMain = 20_000
	}
	if o.MaxBoot == 0 {
		o.MaxBoot = 512
	}
	if o.BootPerMinute == 0 {
		o.BootPerMinute = 120
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Refused == nil {
		o.Refused = func(string, string, error) {}
	}
	if o.Gone == nil {
		o.Gone = func(string) {}
	}
	b := &Broker{opts: o}
	if err := b.listen(); err != nil {
		return nil, fmt.Errorf("open broker: %w", err)
	}
	if err := b.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("open broker: %w", err), b.Close())
	}
	return b, nil
}

func (b *Broker) listen() error {
	base := tls.Config{GetCertificate: b.opts.Certificate, MinVersion: tls.VersionTLS13, Time: b.opts.Now}
	bootTLS, mainTLS := base.Clone(), base.Clone()
	mainTLS.ClientAuth, mainTLS.ClientCAs = tls.RequireAndVerifyClientCert, b.opts.Roots
	boot, err := net.Listen("tcp", b.opts.BootAddr)
	if err != nil {
		return err
	}
	main, err := net.Listen("tcp", b.opts.MainAddr)
	if err != nil {
		return errors.Join(err, boot.Close())
	}
	b.boot = newListener("boot", boot, bootTLS, b.opts.MaxBoot, b.opts.Refused)
	b.boot.life, b.boot.perMinute = BootTime, b.opts.BootPerMinute
	b.main = newListener("main", main, mainTLS, b.opts.MaxMain, b.opts.Refused)
	return nil
}

// Addrs are the bound addresses.
func (b *Broker) Addrs() (boot, main net.Addr) { return b.boot.inner.Addr(), b.main.inner.Addr() }

// prepare sets mochi up; its constructor starts nothing.
func (b *Broker) prepare() error {
	caps := mqtt.NewDefaultServerCapabilities()
	caps.MaximumMessageExpiryInterval = 0
	caps.MaximumSessionExpiryInterval = 0
	caps.MaximumClientWritesPending = writesPending
	caps.MaximumPacketSize = maxPacket
	caps.MaximumInflight = maxInflight
	caps.ReceiveMaximum = maxInflight
	caps.TopicAliasMaximum = 0
	caps.SharedSubAvailable = 0
	caps.SubIDAvailable = 0
	caps.MinimumProtocolVersion = 4
	caps.MaximumQos = 1
	b.server = mqtt.New(&mqtt.Options{
		Capabilities: caps, ClientNetReadBufferSize: buffer, ClientNetWriteBufferSize: buffer,
		Logger: slog.New(slog.DiscardHandler), SysTopicResendInterval: never, InlineClient: true,
	})
	b.gate = &gate{b: b, live: map[string]*mqtt.Client{}}
	b.boot.left, b.main.left = b.gate.repair, b.gate.repair
	if err := b.server.AddHook(b.gate, nil); err != nil {
		return err
	}
	return nil
}

// Serve lets terminals in until ctx ends, then closes every connection and returns when all have ended. It returns nil
// after ctx.
func (b *Broker) Serve(ctx context.Context) error {
	for _, l := range []*listener{b.boot, b.main} {
		if err := b.server.AddListener(l); err != nil {
			return fmt.Errorf("serve broker: %w", err)
		}
	}
	if err := b.server.Serve(); err != nil {
		return fmt.Errorf("serve broker: %w", err)
	}
	<-ctx.Done()
	err := b.server.Close()
	b.boot.wait()
	b.main.wait()
	if err != nil {
		return fmt.Errorf("close broker: %w", err)
	}
	return nil
}

// Close frees the listeners of a broker that was never served.
func (b *Broker) Close() error { return errors.Join(b.boot.inner.Close(), b.main.inner.Close()) }

// Publish sends body to one terminal with QoS 1. A retained message replaces the last one of its topic.
func (b *Broker) Publish(serial string, leaf wire.Leaf, body []byte, retain bool) error {
	if err := b.server.Publish(wire.Topic(b.opts.Tenant, serial, leaf), body, retain, 1); err != nil {
		return fmt.Errorf("publish %s to %s: %w", leaf, serial, err)
	}
	return nil
}

// PublishBoot sends body to a terminal on the bootstrap listener.
func (b *Broker) PublishBoot(serial string, leaf wire.Leaf, body []byte) error {
	if err := b.server.Publish(wire.BootTopic(serial, leaf), body, false, 1); err != nil {
		return fmt.Errorf("publish %s to %s: %w", leaf, serial, err)
	}
	return nil
}

// Kick closes the live connection of a serial, if there is one.
func (b *Broker) Kick(serial string) {
	if cl := b.gate.client(wire.ClientID(b.opts.Tenant, serial)); cl != nil {
		cl.Stop(packets.ErrNotAuthorized)
	}
}

// Connected says whether a serial has a live connection on the main listener.
func (b *Broker) Connected(serial string) bool {
	cl := b.gate.client(wire.ClientID(b.opts.Tenant, serial))
	return cl != nil && !cl.Closed()
}
