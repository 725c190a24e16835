package fleet_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"posagent/ota/fleet"
	"posagent/ota/fleet/enroll"
	"posagent/ota/wire"
)

// patience bounds every wait of a test for a message; it is never the expected time.
const patience = 10 * time.Second

// fleetBench is a server over one folder that may be stopped and started again.
type fleetBench struct {
	t    *testing.T
	dir  string
	now  func() time.Time
	boot string // "" before the first start: then the ports stay
	mqtt string
	s    *fleet.Server
	stop func()
}

func startFleet(t *testing.T) *fleetBench {
	t.Helper()
	b := &fleetBench{t: t, dir: t.TempDir(), now: time.Now}
	b.start()
	t.Cleanup(func() { b.stop() })
	return b
}

func (b *fleetBench) start() {
	b.t.Helper()
	s, err := fleet.Open(fleet.Options{Dir: b.dir, Tenant: "acme", BootAddr: b.boot, MQTTAddr: b.mqtt, Now: b.now})
	if err != nil {
		b.t.Fatal(err)
	}
	b.s, b.boot, b.mqtt = s, s.Addrs().Boot, s.Addrs().MQTT
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	b.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				b.t.Errorf("run: %v", err)
			}
		case <-time.After(patience):
			b.t.Error("the fleet does not end")
		}
	}
}

func (b *fleetBench) enroll(serial string) string {
	b.t.Helper()
	code, err := b.s.Enroll(context.Background(), "admin", enroll.Application{Serial: serial, Model: "vt1",
		MerchantID: "103290055410001", TerminalID: fmt.Sprintf("%08d", len(serial)*1000+int(serial[len(serial)-1]))})
	if err != nil {
		b.t.Fatal(err)
	}
	return code.Code
}

// said is one message that arrived.
type said struct {
	topic   string
	payload []byte
}

// terminal is a small honest terminal on paho.
type terminal struct {
	t      *testing.T
	b      *fleetBench
	serial string
	key    *ecdsa.PrivateKey
	cert   *wire.Certificate
	n      uint64
	client mqtt.Client
	inbox  chan said
}

func newTerminal(t *testing.T, b *fleetBench, serial string) *terminal {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x := &terminal{t: t, b: b, serial: serial, key: key}
	t.Cleanup(func() {
		if x.client != nil {
			x.client.Disconnect(0)
		}
	})
	return x
}

func (x *terminal) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(x.b.s.RootPEM())
	return pool
}

func (x *terminal) connect(addr, id string, config *tls.Config, change func(*mqtt.ClientOptions)) error {
	inbox := make(chan said, 64) // of this connection alone: an old one may still hear something
	x.inbox = inbox
	o := mqtt.NewClientOptions().AddBroker("ssl://" + addr).SetClientID(id).SetTLSConfig(config).SetProtocolVersion(4).
		SetCleanSession(true).SetAutoReconnect(false).SetConnectRetry(false).SetKeepAlive(60 * time.Second).
		SetConnectTimeout(patience).SetWriteTimeout(patience).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { inbox <- said{m.Topic(), m.Payload()} })
	if change != nil {
		change(o)
	}
	if x.client != nil {
		x.client.Disconnect(0)
	}
	x.client = mqtt.NewClient(o)
	token := x.client.Connect()
	if !token.WaitTimeout(patience) {
		return errors.New("connect: no answer")
	}
	return token.Error()
}

// subscribe returns the granted QoS, 0x80 when refused.
func (x *terminal) subscribe(filter string) byte {
	x.t.Helper()
	token := x.client.Subscribe(filter, 1, nil).(*mqtt.SubscribeToken)
	if !token.WaitTimeout(patience) {
		x.t.Fatalf("subscribe %s: no answer", filter)
	}
	for _, granted := range token.Result() { // paho names a shared filter by its last part
		return granted
	}
	x.t.Fatalf("subscribe %s: no result, %v", filter, token.Error())
	return 0
}

func (x *terminal) publish(topic string, m wire.Message) {
	x.t.Helper()
	body, err := wire.Encode(m)
	if err != nil {
		x.t.Fatal(err)
	}
	x.publishRaw(topic, body)
}

func (x *terminal) publishRaw(topic string, body []byte) {
	x.t.Helper()
	if token := x.client.Publish(topic, 1, false, body); !token.WaitTimeout(patience) || token.Error() != nil {
		x.t.Fatalf("publish %s: %v", topic, token.Error())
	}
}

// hear waits for a message on a topic and skips others.
func (x *terminal) hear(topic string, m wire.Message) {
	x.t.Helper()
	body := x.hearRaw(topic)
	if err := wire.Decode(body, m); err != nil {
		x.t.Fatalf("%s: %v\n%s", topic, err, body)
	}
}

func (x *terminal) hearRaw(topic string) []byte {
	x.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case s := <-x.inbox:
			if s.topic == topic {
				return s.payload
			}
		case <-deadline:
			x.t.Fatalf("nothing on %s", topic)
		}
	}
}

func random(n int) string {
	raw := make([]byte, n)
	rand.Read(raw)
	return hex.EncodeToString(raw)
}

// activate goes through the exchange with code. It sets cert, or returns the refusal.
func (x *terminal) activate(code string) *wire.Refused {
	x.t.Helper()
	if err := x.connect(x.b.s.Addrs().Boot, wire.BootClientID(x.serial, random(8)), &tls.Config{RootCAs: x.roots()}, nil); err != nil {
		x.t.Fatal(err)
	}
	if q := x.subscribe(wire.BootFilter(x.serial)); q != 1 {
		x.t.Fatalf("subscription refused: %x", q)
	}
	spki, err := enroll.SPKI(x.key.Public())
	if err != nil {
		x.t.Fatal(err)
	}
	nonceT := random(wire.NonceBytes)
	x.publish(wire.BootTopic(x.serial, wire.BootHello), &wire.Hello{Serial: x.serial, Model: "vt1", Firmware: "1", NonceT: nonceT, SPKISHA256: spki})
	var challenge wire.Challenge
	if r := x.answer(wire.BootChallenge, &challenge); r != nil {
		return r
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, x.key)
	if err != nil {
		x.t.Fatal(err)
	}
	key, err := wire.CodeKey(x.serial, code)
	if err != nil {
		x.t.Fatal(err)
	}
	proof, err := wire.CodeProof(key, challenge.NonceF, nonceT, spki)
	if err != nil {
		x.t.Fatal(err)
	}
	x.publish(wire.BootTopic(x.serial, wire.BootCSR), &wire.CSR{NonceT: nonceT, CSR: der, CodeProof: proof})
	var cert wire.Certificate
	if r := x.answer(wire.BootCertificate, &cert); r != nil {
		return r
	}
	x.cert = &cert
	return nil
}

func (x *terminal) answer(leaf wire.Leaf, m wire.Message) *wire.Refused {
	x.t.Helper()
	select {
	case s := <-x.inbox:
		if s.topic == wire.BootTopic(x.serial, wire.BootRefused) {
			var r wire.Refused
			if err := wire.Decode(s.payload, &r); err != nil {
				x.t.Fatal(err)
			}
			return &r
		}
		if s.topic != wire.BootTopic(x.serial, leaf) {
			x.t.Fatalf("got %s, want %s", s.topic, leaf)
		}
		if err := wire.Decode(s.payload, m); err != nil {
			x.t.Fatal(err)
		}
	case <-time.After(patience):
		x.t.Fatalf("no %s", leaf)
	}
	return nil
}

func (x *terminal) tls(chain string) *tls.Config {
	x.t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(x.key)
	if err != nil {
		x.t.Fatal(err)
	}
	pair, err := tls.X509KeyPair([]byte(chain), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err != nil {
		x.t.Fatal(err)
	}
	return &tls.Config{RootCAs: x.roots(), Certificates: []tls.Certificate{pair}}
}

func (x *terminal) topic(leaf wire.Leaf) string { return wire.Topic("acme", x.serial, leaf) }

// up connects to the main listener, subscribes and gives birth.
func (x *terminal) up() {
	x.t.Helper()
	x.n++
	will, err := wire.Encode(wire.Will(x.n))
	if err != nil {
		x.t.Fatal(err)
	}
	err = x.connect(x.cert.Broker, wire.ClientID("acme", x.serial), x.tls(x.cert.Chain), func(o *mqtt.ClientOptions) {
		o.SetBinaryWill(x.topic(wire.UpPresence), will, 1, true)
	})
	if err != nil {
		x.t.Fatal(err)
	}
	if q := x.subscribe(wire.DownFilter("acme", x.serial)); q != 1 {
		x.t.Fatalf("subscription refused: %x", q)
	}
	x.publish(x.topic(wire.UpPresence), &wire.Presence{N: x.n, Online: true, InstanceID: strings.Repeat("ab", 16), BootCount: 1,
		Model: "vt1", Firmware: "1.2.3", Schemas: &wire.Schemas{Config: 1, Event: 1}, State: wire.StateActive, Time: time.Now()})
}

// activated returns a terminal that has been through everything and is connected.
func activated(t *testing.T, b *fleetBench, serial string) *terminal {
	t.Helper()
	x := newTerminal(t, b, serial)
	if r := x.activate(b.enroll(serial)); r != nil {
		t.Fatalf("activation: %v", r)
	}
	x.up()
	return x
}

// eventually waits until ok, which asks the server, is true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}
