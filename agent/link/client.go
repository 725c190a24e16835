package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"syscall"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"golang.org/x/sys/unix"
)

// errTimeout reports an operation of the client that did not end in time.
var errTimeout = errors.New("no answer in time")

// clientOptions are the settings both kinds of session share.
func clientOptions(broker, id string, tlsConfig *tls.Config, in chan<- inbound, lost chan<- error, log *slog.Logger) *mqtt.ClientOptions {
	o := mqtt.NewClientOptions()
	o.AddBroker("ssl://" + broker)
	o.SetClientID(id)
	o.SetTLSConfig(tlsConfig)
	o.SetProtocolVersion(4) // MQTT 3.1.1
	o.SetCleanSession(true)
	o.SetStore(mqtt.NewMemoryStore())
	o.SetAutoReconnect(false)
	o.SetConnectRetry(false)
	o.SetOrderMatters(true)
	o.SetKeepAlive(keepAlive)
	o.SetPingTimeout(10 * time.Second)
	o.SetWriteTimeout(writeTimeout)
	o.SetConnectTimeout(connectTimeout)
	// The kernel gives up on a silent peer as fast as the ping would; without it
	// a half-open connection holds written data for many minutes.
	o.SetDialer(&net.Dialer{Timeout: connectTimeout, ControlContext: userTimeout})
	o.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
		select {
		case in <- inbound{m.Topic(), slices.Clone(m.Payload())}:
		default:
			// The fleet says it again: desired is retained, an acknowledgement
			// answers the event sent once more.
			log.Warn("inbound queue full, message dropped", "topic", m.Topic())
		}
	})
	o.SetConnectionLostHandler(func(_ mqtt.Client, err error) {
		select {
		case lost <- err:
		default:
		}
	})
	return o
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

// subscribe asks for a filter and looks at the broker's answer: a refused
// subscription completes its token without an error.
func subscribe(ctx context.Context, client mqtt.Client, filter string) error {
	token := client.Subscribe(filter, 1, nil)
	if err := wait(ctx, token, writeTimeout); err != nil {
		return fmt.Errorf("subscribe %s: %w", filter, err)
	}
	if st, ok := token.(*mqtt.SubscribeToken); ok {
		if code := st.Result()[filter]; code > 2 {
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
