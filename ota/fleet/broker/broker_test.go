package broker

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"posagent/ota/wire"
)

const patience = 10 * time.Second

// authority is a one-tier authority of the tests.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	pair := a.issue("test root", nil)
	a.key, a.cert = pair.PrivateKey.(*ecdsa.PrivateKey), pair.Leaf
	return a
}

func (a *authority) issue(name string, change func(*x509.Certificate)) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}, BasicConstraintsValid: true, IsCA: a.cert == nil,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	if change != nil {
		change(c)
	}
	parent, signer := c, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

type house struct {
	*Broker
	t         *testing.T
	authority *authority
	mu        sync.Mutex // guards allowed
	allowed   map[Fingerprint]bool
	refused   chan error
	received  chan Message
}

func newHouse(t *testing.T, change func(*Options)) *house {
	t.Helper()
	h := &house{t: t, authority: newAuthority(t), allowed: map[Fingerprint]bool{}, refused: make(chan error, 100), received: make(chan Message, 100)}
	server := h.authority.issue("server", nil)
	roots := x509.NewCertPool()
	roots.AddCert(h.authority.cert)
	o := Options{Tenant: "acme", BootAddr: "127.0.0.1:0", MainAddr: "127.0.0.1:0", Roots: roots,
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &server, nil },
		Allowed: func(_ string, f Fingerprint) bool {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.allowed[f]
		},
		Receive: func(m Message) { h.received <- m },
		Refused: func(_, _ string, err error) { h.refused <- err }}
	if change != nil {
		change(&o)
	}
	b, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	h.Broker = b
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Error("the broker does not end")
		}
	})
	return h
}

func (h *house) terminal(serial string, change func(*x509.Certificate)) tls.Certificate {
	c := h.authority.issue("acme/"+serial, change)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.allowed[sha256.Sum256(c.Leaf.Raw)] = true
	return c
}

func (h *house) config(certs ...tls.Certificate) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(h.authority.cert)
	return &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: certs}
}

func (h *house) dial(addr, id string, config *tls.Config) (mqtt.Client, error) {
	o := mqtt.NewClientOptions().AddBroker("ssl://" + addr).SetClientID(id).SetTLSConfig(config).SetProtocolVersion(4).
		SetAutoReconnect(false).SetConnectTimeout(patience)
	c := mqtt.NewClient(o)
	h.t.Cleanup(func() { c.Disconnect(0) })
	token := c.Connect()
	if !token.WaitTimeout(patience) {
		return c, errors.New("no answer")
	}
	return c, token.Error()
}

func (h *house) wantRefused(kind error) {
	h.t.Helper()
	select {
	case err := <-h.refused:
		if !errors.Is(err, kind) {
			h.t.Errorf("refused with %v, want %v", err, kind)
		}
	case <-time.After(patience):
		h.t.Errorf("nobody was refused, want %v", kind)
	}
}

// TestTypedRefusals: each wrong certificate has its own error.
func TestTypedRefusals(t *testing.T) {
	h := newHouse(t, nil)
	_, main := h.Addrs()
	good := h.terminal("VT-0001", nil)
	stranger := newAuthority(t).issue("acme/VT-0001", nil)
	for _, row := range []struct {
		name string
		cert []tls.Certificate
		id   string
		kind error
	}{
		{"none", nil, "acme/VT-0001", ErrHandshake},
		{"foreign authority", []tls.Certificate{stranger}, "acme/VT-0001", ErrHandshake},
		{"expired", []tls.Certificate{h.terminal("VT-0001", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })}, "acme/VT-0001", ErrHandshake},
		{"not listed", []tls.Certificate{h.authority.issue("acme/VT-0001", nil)}, "acme/VT-0001", ErrNotListed},
		{"another tenant", []tls.Certificate{h.authority.issue("other/VT-0001", nil)}, "other/VT-0001", ErrTenant},
		{"name of another kind", []tls.Certificate{h.authority.issue("www.example", nil)}, "www.example", ErrClientID},
		{"another serial", []tls.Certificate{good}, "acme/VT-0002", ErrClientID},
		{"bootstrap id", []tls.Certificate{good}, "boot/VT-0001/0123456789abcdef", ErrClientID},
	} {
		t.Run(row.name, func(t *testing.T) {
			if _, err := h.dial(main.String(), row.id, h.config(row.cert...)); err == nil {
				t.Error("let in")
			}
			h.wantRefused(row.kind)
		})
	}
	if _, err := h.dial(main.String(), "acme/VT-0001", h.config(good)); err != nil {
		t.Error(err)
	}
}

// TestTakeOver: after many take-overs at once the last connection still gets what is published.
func TestTakeOver(t *testing.T) {
	h := newHouse(t, nil)
	_, main := h.Addrs()
	cert := h.terminal("VT-0001", nil)
	for range 20 {
		if _, err := h.dial(main.String(), "acme/VT-0001", h.config(cert)); err != nil {
			t.Fatal(err)
		}
	}
	last, err := h.dial(main.String(), "acme/VT-0001", h.config(cert))
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan struct{}, 10)
	if token := last.Subscribe(wire.DownFilter("acme", "VT-0001"), 1, func(mqtt.Client, mqtt.Message) { got <- struct{}{} }); !token.WaitTimeout(patience) {
		t.Fatal("no answer")
	}
	for range 5 {
		if err := h.Publish("VT-0001", wire.DownAck, []byte("{}"), false); err != nil {
			t.Fatal(err)
		}
		select {
		case <-got:
		case <-time.After(patience):
			t.Fatal("the last connection hears nothing")
		}
	}
	if !h.Connected("VT-0001") || h.Connected("VT-0002") {
		t.Error("connected is wrong")
	}
}

// TestRepair plays the loss by mochi: the client's entry and subscriptions are gone although it lives.
func TestRepair(t *testing.T) {
	h := newHouse(t, nil)
	_, main := h.Addrs()
	c, err := h.dial(main.String(), "acme/VT-0001", h.config(h.terminal("VT-0001", nil)))
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan struct{}, 10)
	if token := c.Subscribe(wire.DownFilter("acme", "VT-0001"), 1, func(mqtt.Client, mqtt.Message) { got <- struct{}{} }); !token.WaitTimeout(patience) {
		t.Fatal("no answer")
	}
	h.server.Clients.Delete("acme/VT-0001")
	h.server.Topics.Unsubscribe(wire.DownFilter("acme", "VT-0001"), "acme/VT-0001")
	h.gate.repair("acme/VT-0001")
	if err := h.Publish("VT-0001", wire.DownAck, []byte("{}"), false); err != nil {
		t.Fatal(err)
	}
	select {
	case <-got:
	case <-time.After(patience):
		t.Error("not repaired")
	}
}

func TestBounds(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.BootPerMinute, o.MaxMain = 3, 1 })
	boot, main := h.Addrs()
	for i := range 3 {
		if _, err := h.dial(boot.String(), wire.BootClientID("VT-0001", fmt.Sprintf("%016x", i)), h.config()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.dial(boot.String(), wire.BootClientID("VT-0001", "ffffffffffffffff"), h.config()); err == nil {
		t.Error("a fourth bootstrap connection in a minute is let in")
	}
	h.wantRefused(ErrTooMany)
	cert := h.terminal("VT-0001", nil)
	if _, err := h.dial(main.String(), "acme/VT-0001", h.config(cert)); err != nil {
		t.Fatal(err)
	}
	if _, err := h.dial(main.String(), "acme/VT-0001", h.config(cert)); err == nil {
		t.Error("more connections than allowed")
	}
	h.wantRefused(ErrTooMany)
}

// TestTooLargePacket: a packet beyond the bound ends the connection before its body is read.
func TestTooLargePacket(t *testing.T) {
	h := newHouse(t, nil)
	_, main := h.Addrs()
	config := h.config(h.terminal("VT-0001", nil))
	c, err := tls.Dial("tcp", main.String(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	connect := []byte{0x10, 0, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, 12}
	connect = append(connect, "acme/VT-0001"...)
	connect[1] = byte(len(connect) - 2)
	if _, err := c.Write(connect); err != nil {
		t.Fatal(err)
	}
	ack := make([]byte, 4)
	if _, err := io.ReadFull(c, ack); err != nil || ack[0] != 0x20 || ack[3] != 0 {
		t.Fatalf("CONNACK % x, %v", ack, err)
	}
	if _, err := c.Write([]byte{0x32, 0xff, 0xff, 0xff, 0x7f}); err != nil { // PUBLISH of 256 MiB
		t.Fatal(err)
	}
	if n, err := c.Read(ack); err == nil {
		t.Errorf("still open: % x", ack[:n])
	}
}

// TestEndClosesTheSilent: connections that never say anything do not hold up the end, which newHouse waits for.
func TestEndClosesTheSilent(t *testing.T) {
	h := newHouse(t, nil)
	boot, main := h.Addrs()
	for _, addr := range []string{boot.String(), main.String()} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	c, err := tls.Dial("tcp", boot.String(), h.config()) // past the handshake, without CONNECT
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	// The broker has taken the connection over when it waits for CONNECT: its
	// library counts connections without a lock against its own end.
	c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the broker spoke before CONNECT")
	}
}
