package fleet

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"posagent/ota/fleet/broker"
	"posagent/ota/fleet/console"
	"posagent/ota/fleet/enroll"
	"posagent/ota/fleet/store"
)

// ErrNotLoopback says that the administrator's address is reachable from outside.
var ErrNotLoopback = errors.New("address is not loopback")

// Options of a server. Only Dir is needed.
type Options struct {
	Dir      string // keys, store and token; made when missing
	Tenant   string // "default" when empty
	BootAddr string // bootstrap listener, "127.0.0.1:0" when empty
	MQTTAddr string // main listener, "127.0.0.1:0" when empty
	HTTPAddr string // administration, loopback only, "127.0.0.1:0" when empty
	// Hosts are the names and addresses that terminals use; the first is told to them as the broker. When empty, the
	// host of MQTTAddr, or 127.0.0.1 if that is a wildcard.
	Hosts []string
	Log   *slog.Logger     // nil discards
	Now   func() time.Time // nil is time.Now
}

// Addrs are where a server listens, host:port.
type Addrs struct{ Boot, MQTT, HTTP string }

// Server is an open fleet manager.
type Server struct {
	opts      Options
	log       *slog.Logger
	now       func() time.Time
	store     store.Store
	authority *enroll.Authority
	desk      *enroll.Desk
	broker    *broker.Broker
	web       net.Listener
	token     string
	out       chan outgoing
	stopped   chan struct{} // closed when the publisher has ended

	mu      sync.RWMutex // guards allowed
	allowed map[string][]broker.Fingerprint
}

// Open reads or makes everything in o.Dir and binds the ports. The caller runs Run, or Close.
func Open(o Options) (s *Server, err error) {
	fill(&o)
	s = &Server{opts: o, log: o.Log.With("subsystem", "fleet"), now: o.Now, out: make(chan outgoing, outbox),
		stopped: make(chan struct{}), allowed: map[string][]broker.Fingerprint{}}
	defer func() {
		if err != nil {
			s.Close()
			s, err = nil, fmt.Errorf("open fleet in %s: %w", o.Dir, err)
		}
	}()
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return s, err
	}
	if s.token, err = readToken(s.TokenFile()); err != nil {
		return s, err
	}
	db, err := store.OpenBolt(filepath.Join(o.Dir, "fleet.db"))
	if err != nil {
		return s, err
	}
	s.store = db
	if s.authority, err = enroll.OpenAuthority(filepath.Join(o.Dir, "ca"), o.Hosts, o.Now); err != nil {
		return s, err
	}
	s.desk = enroll.NewDesk(s.store, s.authority, o.Tenant, s.advertised, o.Now)
	if err = s.wakeUp(); err != nil {
		return s, err
	}
	if s.web, err = listenLoopback(o.HTTPAddr); err != nil {
		return s, err
	}
	s.broker, err = broker.Open(broker.Options{Tenant: o.Tenant, BootAddr: o.BootAddr, MainAddr: o.MQTTAddr,
		Certificate: s.authority.ServerCertificate, Roots: s.authority.Roots(), Allowed: s.isAllowed,
		Receive: s.receive, Gone: s.gone, Refused: s.refused, Now: o.Now})
	return s, err
}

func fill(o *Options) {
	if o.Tenant == "" {
		o.Tenant = "default"
	}
	for _, addr := range []*string{&o.BootAddr, &o.MQTTAddr, &o.HTTPAddr} {
		if *addr == "" {
			*addr = "127.0.0.1:0"
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if len(o.Hosts) == 0 {
		host, _, _ := net.SplitHostPort(o.MQTTAddr)
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		o.Hosts = []string{host}
	}
}

func listenLoopback(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for administration: %w", err)
	}
	if a, ok := l.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		return nil, errors.Join(fmt.Errorf("listen for administration on %s: %w", addr, ErrNotLoopback), l.Close())
	}
	return l, nil
}

// readToken reads the administrator's token, or makes one: 32 random bytes as hex, readable by the owner alone.
func readToken(file string) (string, error) {
	body, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		raw := make([]byte, 32)
		rand.Read(raw) // never fails
		body = []byte(hex.EncodeToString(raw) + "\n")
		err = enroll.WriteFile(file, body, 0o600) // whole or not at all
	}
	if err != nil {
		return "", fmt.Errorf("administrator's token: %w", err)
	}
	token := strings.TrimSpace(string(body))
	if len(token) < 32 {
		return "", fmt.Errorf("administrator's token: %s holds %d characters, want 32 or more", file, len(token))
	}
	return token, nil
}

// wakeUp builds the allow list and marks every terminal offline.
func (s *Server) wakeUp() error {
	return s.store.Update(context.Background(), func(tx store.Tx) error {
		return each(tx, func(t store.Terminal) error {
			s.allow(t)
			if t.Presence == nil || !t.Presence.Online {
				return nil
			}
			t.Presence.Online = false
			return tx.PutTerminal(t)
		})
	})
}

// each visits every terminal.
func each(tx store.Tx, visit func(store.Terminal) error) error {
	for after := ""; ; {
		list, err := tx.Terminals(after, store.MaxList)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, t := range list {
			if err := visit(t); err != nil {
				return err
			}
		}
		after = list[len(list)-1].Serial
	}
}

func (s *Server) allow(t store.Terminal) {
	var list []broker.Fingerprint
	for _, c := range t.Certs {
		var f broker.Fingerprint
		if n, err := hex.Decode(f[:], []byte(c.Fingerprint)); err == nil && n == len(f) {
			list = append(list, f)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.allowed[t.Serial] = list
}

func (s *Server) isAllowed(serial string, f broker.Fingerprint) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Contains(s.allowed[serial], f)
}

// TokenFile is the file of the administrator's token.
func (s *Server) TokenFile() string { return filepath.Join(s.opts.Dir, "admin.token") }

// Token is the administrator's token.
func (s *Server) Token() string { return s.token }

// RootFile is the file of the root certificate that terminals pin.
func (s *Server) RootFile() string { return s.authority.RootFile() }

// RootPEM is the root certificate.
func (s *Server) RootPEM() []byte { return s.authority.RootPEM() }

// Tenant is whose fleet it is.
func (s *Server) Tenant() string { return s.opts.Tenant }

// Addrs are the bound addresses.
func (s *Server) Addrs() Addrs {
	boot, main := s.broker.Addrs()
	return Addrs{Boot: boot.String(), MQTT: main.String(), HTTP: s.web.Addr().String()}
}

// advertised is the main listener as terminals reach it.
func (s *Server) advertised() string {
	_, main := s.broker.Addrs()
	_, port, _ := net.SplitHostPort(main.String())
	return net.JoinHostPort(s.opts.Hosts[0], port)
}

// httpTimes bound an administrator's request and the end of the server.
const (
	httpHeaderTime = 10 * time.Second
	httpTime       = 30 * time.Second
	endTime        = 5 * time.Second
)

// Run serves until ctx ends and then closes everything. It returns nil after ctx, or the first failure.
func (s *Server) Run(ctx context.Context) error {
	defer s.Close()
	if err := s.publishAll(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// The publisher outlives broker and HTTP server, which hand messages to it.
	pubctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var publisher, servers sync.WaitGroup
	publisher.Go(func() { s.publish(pubctx) })
	servers.Go(func() {
		if err := s.broker.Serve(ctx); err != nil {
			cancel(err)
		}
	})
	web := &http.Server{Handler: console.New(s, s.token, s.log), ReadHeaderTimeout: httpHeaderTime, ReadTimeout: httpTime,
		WriteTimeout: httpTime, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn)}
	servers.Go(func() {
		if err := web.Serve(s.web); !errors.Is(err, http.ErrServerClosed) {
			cancel(fmt.Errorf("serve administration: %w", err))
		}
	})
	addrs := s.Addrs()
	s.log.Info("fleet is open", "tenant", s.opts.Tenant, "boot", addrs.Boot, "mqtt", addrs.MQTT, "http", addrs.HTTP)
	<-ctx.Done()
	end, done := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer done()
	if err := web.Shutdown(end); err != nil {
		web.Close()
	}
	servers.Wait()
	stop()
	publisher.Wait()
	s.log.Info("fleet is closed")
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("run fleet: %w", err)
	}
	return nil
}

// Close frees ports and store of a server that is not running. It may be called twice.
func (s *Server) Close() error {
	var errs []error
	if s.broker != nil {
		if err := s.broker.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.web != nil {
		if err := s.web.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	return errors.Join(errs...)
}

// refused logs what the broker turned away.
func (s *Server) refused(remote, serial string, err error) {
	s.log.Warn("connection refused", "remote", remote, "serial", serial, "err", err)
}
