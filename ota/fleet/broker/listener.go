package broker

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/listeners"
)

// maxAddresses bounds the table that counts connections per address; when it is full, new addresses wait for the next
// minute.
const maxAddresses = 10_000

// listener is a listeners.Listener that bounds what a stranger can hold: connections at once, connections per minute,
// time to say CONNECT, time to live.
type listener struct {
	id        string
	inner     net.Listener
	config    *tls.Config
	life      time.Duration // 0 is without end
	perMinute int           // 0 is without bound
	refused   func(remote, serial string, err error)
	left      func(client string) // called when mochi is done with a connection
	slots     chan struct{}

	mu     sync.Mutex // guards what follows
	closed bool
	open   map[*conn]struct{}
	counts map[string]int
	minute time.Time
	group  sync.WaitGroup
}

func newListener(id string, inner net.Listener, config *tls.Config, most int, refused func(string, string, error)) *listener {
	return &listener{id: id, inner: inner, config: config, refused: refused, slots: make(chan struct{}, most),
		open: map[*conn]struct{}{}, counts: map[string]int{}}
}

// conn is a TLS connection that leaves its listener's books when it closes.
type conn struct {
	net.Conn // the same as tls
	tls      *tls.Conn
	client   string // MQTT client id, once CONNECT is admitted; set and read on the connection's goroutine
	once     sync.Once
	done     func()
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.once.Do(c.done)
	return c.Conn.Close()
}

// Init implements listeners.Listener; the port is bound already. From here wait waits for Serve.
func (l *listener) Init(*slog.Logger) error {
	l.group.Add(1)
	return nil
}

// ID implements listeners.Listener.
func (l *listener) ID() string { return l.id }

// Address implements listeners.Listener.
func (l *listener) Address() string { return l.inner.Addr().String() }

// Protocol implements listeners.Listener.
func (l *listener) Protocol() string { return "tls" }

// Serve implements listeners.Listener.
func (l *listener) Serve(establish listeners.EstablishFn) {
	defer l.group.Done()
	for {
		raw, err := l.inner.Accept()
		if err != nil {
			if l.ended() {
				return
			}
			time.Sleep(50 * time.Millisecond) // out of file descriptors: let some close
			continue
		}
		if err := l.admit(raw); err != nil {
			l.refused(address(raw), "", err)
			raw.Close()
			continue
		}
		l.group.Go(func() { l.serve(raw, establish) })
	}
}

func address(c net.Conn) string {
	host, _, err := net.SplitHostPort(c.RemoteAddr().String())
	if err != nil {
		return c.RemoteAddr().String()
	}
	return host
}

func (l *listener) ended() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// admit takes a slot, or says why not.
func (l *listener) admit(raw net.Conn) error {
	if err := l.count(address(raw)); err != nil {
		return err
	}
	select {
	case l.slots <- struct{}{}:
		return nil
	default:
		return fmt.Errorf("%w: %d at once", ErrTooMany, cap(l.slots))
	}
}

func (l *listener) count(addr string) error {
	if l.perMinute == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.minute) >= time.Minute {
		l.minute = now
		clear(l.counts)
	}
	_, known := l.counts[addr]
	if l.counts[addr] >= l.perMinute || !known && len(l.counts) >= maxAddresses {
		return fmt.Errorf("%w: more than %d a minute", ErrTooMany, l.perMinute)
	}
	l.counts[addr]++
	return nil
}

func (l *listener) serve(raw net.Conn, establish listeners.EstablishFn) {
	t := tls.Server(raw, l.config)
	c := &conn{Conn: t, tls: t}
	c.done = func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.open, c)
		<-l.slots
	}
	defer c.Close()
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.open[c] = struct{}{}
	l.mu.Unlock()

	if l.life > 0 {
		timer := time.AfterFunc(l.life, func() { c.Close() })
		defer timer.Stop()
	}
	// Mochi sets its own deadline after CONNECT; until then this one holds.
	if err := c.SetDeadline(time.Now().Add(ConnectTime)); err != nil {
		return
	}
	if err := t.HandshakeContext(context.Background()); err != nil {
		l.refused(address(raw), "", fmt.Errorf("%w: %w", ErrHandshake, err))
		return
	}
	_ = establish(l.id, c) // its error says how the connection ended; the hook has told what matters
	if c.client != "" {
		l.left(c.client)
	}
}

// Close implements listeners.Listener. It closes every connection itself: mochi knows only those past CONNECT.
func (l *listener) Close(closeClients listeners.CloseFn) {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.inner.Close()
	closeClients(l.id)
	l.mu.Lock()
	open := make([]*conn, 0, len(l.open))
	for c := range l.open {
		open = append(open, c)
	}
	l.mu.Unlock()
	for _, c := range open {
		c.Close()
	}
}

func (l *listener) wait() { l.group.Wait() }
