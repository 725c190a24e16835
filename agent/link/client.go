package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"golang.org/x/sys/unix"
)

// errTimeout reports an operation of the client that did not end in time.
var errTimeout = errors.New("no answer in time")

// inbound is a message as the handler hands it over.
type inbound struct {
	topic string
	body  []byte
	ack   func() // tells the broker; may be called when the connection is gone
}

// wires connect the handlers of a client with its session. Handlers never block.
type wires struct {
	in   chan inbound
	over chan struct{} // a message found no room in in
	lost chan error
}

func newWires() wires {
	return wires{make(chan inbound, inboundQueue), make(chan struct{}, 1), make(chan error, 1)}
}

// target is whom to connect to.
type target struct {
	addr string // host:port
	tls  *tls.Config
	dial dialer
	log  *slog.Logger
}

// dialer opens what TLS runs over; nil is TCP. Tests have a pipe.
type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// options are the settings both kinds of session share.
func (t target) options(ctx context.Context, id string, w wires) *mqtt.ClientOptions {
	o := mqtt.NewClientOptions()
	o.AddBroker("ssl://" + t.addr)
	o.SetClientID(id)
	o.SetProtocolVersion(4) // MQTT 3.1.1
	o.SetCleanSession(true)
	o.SetStore(mqtt.NewMemoryStore())
	o.SetAutoReconnect(false)
	o.SetConnectRetry(false)
	o.SetOrderMatters(true)
	o.SetAutoAckDisabled(true)
	o.SetKeepAlive(keepAlive)
	o.SetPingTimeout(10 * time.Second)
	o.SetWriteTimeout(writeTimeout)
	o.SetConnectTimeout(connectTimeout)
	o.SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return t.open(ctx) })
	o.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
		select {
		case w.in <- inbound{m.Topic(), slices.Clone(m.Payload()), m.Ack}:
		default:
			t.log.Warn("inbound queue full, message dropped", "topic", m.Topic())
			select {
			case w.over <- struct{}{}:
			default:
			}
		}
	})
	o.SetConnectionLostHandler(func(_ mqtt.Client, err error) {
		select {
		case w.lost <- err:
		default:
		}
	})
	return o
}

// open connects to the broker: TLS, with the server's certificate checked
// against the fleet's root and nothing else.
func (t target) open(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	dial := t.dial
	if dial == nil {
		// The kernel gives up on a silent peer as fast as the ping would; without it
		// a half-open connection holds written data for many minutes.
		dial = (&net.Dialer{ControlContext: userTimeout}).DialContext
	}
	host, _, err := net.SplitHostPort(t.addr)
	if err != nil {
		return nil, err
	}
	raw, err := dial(ctx, "tcp", t.addr)
	if err != nil {
		return nil, err
	}
	config := t.tls.Clone()
	if config.ServerName == "" {
		config.ServerName = host
	}
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		raw.Close()
		var untrusted *tls.CertificateVerificationError
		if errors.As(err, &untrusted) {
			return nil, fmt.Errorf("%w: %s: %w", ErrUntrusted, t.addr, err)
		}
		return nil, fmt.Errorf("TLS with %s: %w", t.addr, err)
	}
	return &guard{Conn: conn}, nil
}

// connect makes a client that is connected. The client is used once.
func connect(ctx context.Context, o *mqtt.ClientOptions) (mqtt.Client, error) {
	client := mqtt.NewClient(o)
	// Dialling and CONNECT are bounded by connectTimeout; what they say comes first.
	if err := wait(ctx, client.Connect(), connectTimeout+goodbye); err != nil {
		client.Disconnect(0)
		return nil, fmt.Errorf("connect to fleet: %w", err)
	}
	return client, nil
}

// wait ends with the token, the time or ctx, whichever is first.
func wait(ctx context.Context, token mqtt.Token, limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-token.Done():
		return token.Error()
	case <-timer.C:
		return errTimeout
	case <-ctx.Done():
		return ctx.Err()
	}
}

// publish sends one message and waits until the broker has it.
func publish(ctx context.Context, client mqtt.Client, topic string, retained bool, body []byte) error {
	err := wait(ctx, client.Publish(topic, 1, retained, body), writeTimeout)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil || err == errTimeout:
		return fmt.Errorf("publish %s: %w", topic, err)
	}
	return fmt.Errorf("publish %s: %w: %w", topic, ErrLost, err) // the library knows no other reason
}

// subscribe asks for a filter and looks at the broker's answer: a refused
// subscription completes its token without an error.
func subscribe(ctx context.Context, client mqtt.Client, filter string) error {
	token := client.Subscribe(filter, 1, nil)
	if err := wait(ctx, token, writeTimeout); err != nil {
		return fmt.Errorf("subscribe %s: %w", filter, err)
	}
	if st, ok := token.(*mqtt.SubscribeToken); ok {
		if code, answered := st.Result()[filter]; !answered || code > 2 {
			return fmt.Errorf("%w: %s: code %#x", ErrRefused, filter, code)
		}
	}
	return nil
}

func userTimeout(_ context.Context, _, _ string, c syscall.RawConn) error {
	var inner error
	err := c.Control(func(fd uintptr) {
		inner = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int((keepAlive + 10*time.Second).Milliseconds()))
	})
	return errors.Join(err, inner)
}

// LogLibrary sends what the MQTT library has to say to a log. The library has one
// log for the whole process: a program calls this once, before its first link.
func LogLibrary(log *slog.Logger) {
	mqtt.CRITICAL, mqtt.ERROR = library{log, slog.LevelError}, library{log, slog.LevelWarn}
	mqtt.WARN = library{log, slog.LevelDebug} // it warns of every ordinary end
}

// library is a logger of the MQTT library.
type library struct {
	log   *slog.Logger
	level slog.Level
}

func (l library) Println(v ...any) { l.say(strings.TrimSpace(fmt.Sprintln(v...))) }

func (l library) Printf(format string, v ...any) { l.say(strings.TrimSpace(fmt.Sprintf(format, v...))) }

func (l library) say(text string) {
	l.log.Log(context.Background(), l.level, "mqtt library", "text", text)
}
