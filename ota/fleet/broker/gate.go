package broker

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"sync"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"posagent/ota/wire"
)

// gate is the hook that lets terminals in and takes what they say.
type gate struct {
	mqtt.HookBase
	b *Broker

	mu   sync.Mutex // guards live
	live map[string]*mqtt.Client
}

// ID implements mqtt.Hook.
func (g *gate) ID() string { return "fleet" }

var provided = []byte{mqtt.OnConnect, mqtt.OnConnectAuthenticate, mqtt.OnACLCheck, mqtt.OnSessionEstablished,
	mqtt.OnPublish, mqtt.OnWill, mqtt.OnWillSent, mqtt.OnDisconnect}

// Provides implements mqtt.Hook.
func (g *gate) Provides(b byte) bool { return bytes.IndexByte(provided, b) >= 0 }

// OnConnect judges CONNECT. The error ends the connection; the terminal sees CONNACK 2 (identifier rejected) or 5 (not
// authorised), MQTT 3.1.1, 3.2.2.3.
func (g *gate) OnConnect(cl *mqtt.Client, pk packets.Packet) error {
	var serial string
	var err error
	if boot(cl) {
		serial, err = g.admitBoot(cl, pk)
	} else {
		serial, err = g.admitMain(cl, pk)
	}
	if err == nil {
		if c, ok := cl.Net.Conn.(*conn); ok {
			c.client = cl.ID
		}
		return nil
	}
	g.b.opts.Refused(remote(cl), serial, err)
	code := packets.ErrBadUsernameOrPassword // the name mochi gives to return code 5
	if errors.Is(err, ErrClientID) || errors.Is(err, wire.ErrTopic) {
		code = packets.ErrClientIdentifierNotValid
	}
	return errors.Join(err, g.b.server.SendConnack(cl, code, false, nil))
}

func (g *gate) admitBoot(cl *mqtt.Client, pk packets.Packet) (string, error) {
	serial, _, err := wire.ParseBootClientID(cl.ID)
	if err != nil {
		return "", err
	}
	if pk.Connect.WillFlag {
		return serial, fmt.Errorf("%w: a will while bootstrapping", ErrProtocol)
	}
	return serial, common(pk)
}

func (g *gate) admitMain(cl *mqtt.Client, pk packets.Packet) (string, error) {
	serial, print, err := g.identity(cl)
	if err != nil {
		return "", err
	}
	name := wire.ClientID(g.b.opts.Tenant, serial)
	if cl.ID != name {
		return serial, fmt.Errorf("%w: client id %q, certificate %q", ErrClientID, cl.ID, name)
	}
	if !g.b.opts.Allowed(serial, print) {
		return serial, fmt.Errorf("%w: %x", ErrNotListed, print[:8])
	}
	if pk.Connect.WillFlag && pk.Connect.WillTopic != wire.Topic(g.b.opts.Tenant, serial, wire.UpPresence) {
		return serial, fmt.Errorf("%w: will on %.80q", ErrProtocol, pk.Connect.WillTopic)
	}
	return serial, common(pk)
}

// identity reads serial and fingerprint off the certificate that the handshake has verified.
func (g *gate) identity(cl *mqtt.Client) (serial string, print Fingerprint, err error) {
	c, ok := cl.Net.Conn.(*conn)
	if !ok {
		return "", print, fmt.Errorf("%w: no TLS", ErrHandshake)
	}
	certs := c.tls.ConnectionState().PeerCertificates
	if len(certs) == 0 {
		return "", print, fmt.Errorf("%w: no certificate", ErrHandshake)
	}
	tenant, serial, err := wire.ParseClientID(certs[0].Subject.CommonName)
	if err != nil {
		return "", print, fmt.Errorf("%w: %w", ErrClientID, err)
	}
	if tenant != g.b.opts.Tenant {
		return serial, print, fmt.Errorf("%w: %q", ErrTenant, tenant)
	}
	return serial, sha256.Sum256(certs[0].Raw), nil
}

func common(pk packets.Packet) error {
	switch {
	case pk.ProtocolVersion != 4:
		return fmt.Errorf("%w: protocol level %d", ErrProtocol, pk.ProtocolVersion)
	case !pk.Connect.Clean:
		return fmt.Errorf("%w: clean session is off", ErrProtocol)
	case pk.Connect.Keepalive == 0 || pk.Connect.Keepalive > maxKeepalive:
		return fmt.Errorf("%w: keepalive %d s, want 1 to %d", ErrProtocol, pk.Connect.Keepalive, maxKeepalive)
	}
	return nil
}

// OnConnectAuthenticate has nothing left to judge.
func (g *gate) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return true }

// OnSessionEstablished looks at the allow list again: a revocation between CONNECT and now found nobody to close.
func (g *gate) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	g.mu.Lock()
	g.live[cl.ID] = cl
	g.mu.Unlock()
	g.repair(cl.ID)
	if boot(cl) {
		return
	}
	if serial, print, err := g.identity(cl); err != nil || !g.b.opts.Allowed(serial, print) {
		cl.Stop(packets.ErrNotAuthorized)
	}
}

func (g *gate) client(id string) *mqtt.Client {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.live[id]
}

// repair puts a live client back into mochi's tables. When a connection takes over another, mochi's goroutine of the old
// one may remove the new one's entry and subscriptions (v2.7.9 server.go, attachClient: IsTakenOver is read before it is
// set). It is called after either has passed that point.
func (g *gate) repair(id string) {
	cl := g.client(id)
	if cl == nil || cl.Closed() {
		return
	}
	if known, ok := g.b.server.Clients.Get(id); !ok || known != cl {
		g.b.server.Clients.Add(cl)
	}
	for _, sub := range cl.State.Subscriptions.GetAll() {
		g.b.server.Topics.Subscribe(id, sub)
	}
}

// OnACLCheck is two prefix rules: write below the own "up/", read below the own "down/". It sees subscriptions' filters,
// publications' topics and every delivery.
func (g *gate) OnACLCheck(cl *mqtt.Client, topic string, write bool) bool {
	if g.may(cl, topic, write) {
		return true
	}
	g.b.opts.Refused(remote(cl), "", fmt.Errorf("%w: client %.80q, topic %.80q, write %t", ErrForbidden, cl.ID, topic, write))
	return false
}

func (g *gate) may(cl *mqtt.Client, topic string, write bool) bool {
	if boot(cl) {
		own, _, err := wire.ParseBootClientID(cl.ID)
		if err != nil {
			return false
		}
		if !write && topic == wire.BootFilter(own) {
			return true
		}
		serial, leaf, err := wire.ParseBootTopic(topic)
		return err == nil && serial == own && leaf.FromTerminal() == write
	}
	_, own, err := wire.ParseClientID(cl.ID)
	if err != nil {
		return false
	}
	if !write && topic == wire.DownFilter(g.b.opts.Tenant, own) {
		return true
	}
	tenant, serial, leaf, err := wire.ParseTopic(topic)
	return err == nil && tenant == g.b.opts.Tenant && serial == own && leaf.FromTerminal() == write
}

// OnPublish takes what a terminal says. The message goes no further inside mochi; PUBACK follows.
func (g *gate) OnPublish(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	if cl.Net.Inline {
		return pk, nil
	}
	g.receive(cl, pk.TopicName, pk.Payload)
	return pk, packets.CodeSuccessIgnore
}

// OnWill keeps the will from being retained: only the fleet decides whether it is stale.
func (g *gate) OnWill(_ *mqtt.Client, will mqtt.Will) (mqtt.Will, error) {
	will.Retain = false
	return will, nil
}

// OnWillSent hands the will over.
func (g *gate) OnWillSent(cl *mqtt.Client, pk packets.Packet) {
	g.receive(cl, pk.TopicName, pk.Payload)
}

// OnDisconnect follows the will. A connection that was replaced is not gone.
func (g *gate) OnDisconnect(cl *mqtt.Client, _ error, _ bool) {
	g.mu.Lock()
	current := g.live[cl.ID] == cl
	if current {
		delete(g.live, cl.ID)
	}
	g.mu.Unlock()
	if !current || boot(cl) {
		return
	}
	if _, serial, err := wire.ParseClientID(cl.ID); err == nil {
		g.b.opts.Gone(serial)
	}
}

func (g *gate) receive(cl *mqtt.Client, topic string, payload []byte) {
	m := Message{Boot: boot(cl), Client: cl.ID, Payload: payload, Remote: remote(cl)}
	var err error
	if m.Boot {
		m.Serial, m.Leaf, err = wire.ParseBootTopic(topic)
	} else {
		_, m.Serial, m.Leaf, err = wire.ParseTopic(topic)
	}
	if err == nil {
		g.b.opts.Receive(m)
	}
}

func boot(cl *mqtt.Client) bool { return cl.Net.Listener == "boot" }

func remote(cl *mqtt.Client) string {
	host, _, err := net.SplitHostPort(cl.Net.Remote)
	if err != nil {
		return cl.Net.Remote
	}
	return host
}
