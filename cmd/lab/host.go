package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"posagent/agent/durable"
	"posagent/agent/payment"
	"posagent/cmd/internal/options"
	"posagent/cmd/lab/house"
	"posagent/ota/wire"
)

const hostUsage = `lab host runs the acquirer's host simulator until SIGTERM or SIGINT.

It signs terminals on, checks MAC, PIN and cryptogram, approves, and keeps its own
ledger. To give a terminal in another process somebody to ask:

  lab host -listen 127.0.0.1:8583 -ledger 127.0.0.1:8581 -write-config config.json
  fleetctl config push PA000001 config.json

The configuration names this host, merchant ` + house.MerchantID + `, the first -terminal, and
the applications and authority keys of the laboratory's cards. Then watch the books
and spoil an answer:

  curl http://127.0.0.1:8581/ledger
  curl -d '{"action":"decline","code":"51"}' http://127.0.0.1:8581/script
  curl -d '{"action":"drop"}' http://127.0.0.1:8581/script

A rule is for the next request: approve, decline, lose, close_before, drop,
close_after, delay, late, duplicate, wrong_mac, no_mac, forge_stan, truncate, cut,
garbage, dribble; with mti, amount, delay_ms and times if wanted.

Nothing survives the end of this program: ledger and keys live in memory. Keys and
cards were made for tests. Every flag is also an environment variable (-listen:
LAB_HOST_LISTEN) and a key of the JSON file named by -config.

Flags:
`

// useError is a wrong flag or setting: the program ends with status 2.
type useError struct{ error }

func (e useError) Unwrap() error { return e.error }

// parse fills fs; anything wrong with it is a useError, a plea for help is
// flag.ErrHelp.
func parse(fs *flag.FlagSet, usage, prefix string, args []string) error {
	fs.Usage = func() { fmt.Fprint(fs.Output(), usage); fs.PrintDefaults() }
	err := options.Parse(fs, prefix, args, os.LookupEnv)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return err
	}
	return useError{fmt.Errorf("%s: %w", fs.Name(), err)}
}

// knownTerminal is one -terminal.
type knownTerminal struct {
	id  payment.TerminalID
	tmk []byte
}

// parseTerminal reads TID or TID=TMK, the key as hex.
func parseTerminal(text string) (knownTerminal, error) {
	id, key, given := strings.Cut(text, "=")
	t := knownTerminal{payment.TerminalID(id), house.TMK}
	if err := t.id.Check(); err != nil {
		return t, err
	}
	if !given {
		return t, nil
	}
	var err error
	if t.tmk, err = hex.DecodeString(key); err != nil || (len(t.tmk) != 16 && len(t.tmk) != 24) {
		return t, errors.New("TMK: want 16 or 24 bytes as hex")
	}
	return t, nil
}

// hostReady is what -ready says.
type hostReady struct {
	ISO8583 string `json:"iso8583"` // host:port
	Ledger  string `json:"ledger"`  // URL
}

// runHost is "lab host". It returns nil when ctx has ended.
func runHost(ctx context.Context, args []string, log *slog.Logger) error {
	fs := flag.NewFlagSet("lab host", flag.ContinueOnError)
	listen := fs.String("listen", "127.0.0.1:0", "`address` for ISO 8583 over TCP")
	ledger := fs.String("ledger", "127.0.0.1:0", "loopback `address` for books and rules over HTTP")
	ready := fs.String("ready", "", "JSON `file` to write the addresses to once they can be reached")
	write := fs.String("write-config", "", "`file` for the configuration that brings a terminal to this host")
	timeout := fs.Duration("response-timeout", 10*time.Second, "response timer of that configuration")
	var terminals []knownTerminal
	fs.Func("terminal", "terminal `id` known here, or ID=TMK with the key as hex; may be repeated (default "+house.TerminalID+")", func(s string) error {
		t, err := parseTerminal(s)
		terminals = append(terminals, t)
		return err
	})
	logger := options.Logging(fs)
	if err := parse(fs, hostUsage, "LAB_HOST", args); err != nil {
		return err
	}
	if logFlags(fs) {
		log = logger()
	}
	host, err := house.NewHost(log)
	if err != nil {
		return err
	}
	for _, t := range terminals {
		if err := host.Register(t.id, t.tmk); err != nil {
			return useError{fmt.Errorf("-terminal: %w", err)}
		}
	}
	if len(terminals) == 0 {
		terminals = []knownTerminal{{id: house.TerminalID}}
	}
	lines, err := net.Listen("tcp", *listen)
	if err != nil {
		return fmt.Errorf("open -listen: %w", err)
	}
	books, err := listenLocal(*ledger)
	if err != nil {
		lines.Close()
		return fmt.Errorf("open -ledger: %w", err)
	}
	at := hostReady{lines.Addr().String(), "http://" + books.Addr().String()}
	err = errors.Join(writeConfig(*write, string(terminals[0].id), at.ISO8583, *timeout), writeReady(*ready, at))
	if err != nil {
		return errors.Join(err, lines.Close(), books.Close())
	}
	log.Info("host is open", "iso8583", at.ISO8583, "ledger", at.Ledger)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return host.Serve(ctx, lines) })
	group.Go(func() error { return serveHTTP(ctx, books, host.LedgerHandler(), log) })
	err = group.Wait()
	log.Info("host is closed")
	return err
}

// logFlags reports whether a flag of options.Logging was given: only then does it
// replace the logger of the whole program.
func logFlags(fs *flag.FlagSet) bool {
	given := false
	fs.Visit(func(f *flag.Flag) { given = given || strings.HasPrefix(f.Name, "log-") })
	return given
}

func writeConfig(path, terminalID, host string, timeout time.Duration) error {
	if path == "" {
		return nil
	}
	c, err := house.Config(terminalID, host, timeout, wire.Chinese)
	if err == nil {
		err = writeJSON(path, c)
	}
	if err != nil {
		return fmt.Errorf("write -write-config: %w", err)
	}
	return nil
}

func writeReady(path string, v any) error {
	if path == "" {
		return nil
	}
	if err := writeJSON(path, v); err != nil {
		return fmt.Errorf("write -ready: %w", err)
	}
	return nil
}

// writeJSON puts the file there whole or not at all: who waits for it reads no
// half.
func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return durable.Write(path, append(text, '\n'))
}

// listenLocal listens where only this machine can reach: on loopback, or, when
// the address has a slash, on a unix socket. A socket that nobody answers on is
// replaced.
func listenLocal(addr string) (net.Listener, error) {
	if strings.Contains(addr, "/") {
		return listenSocket(addr)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	if tcp, ok := l.Addr().(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
		l.Close()
		return nil, useError{fmt.Errorf("%s is not loopback", addr)}
	}
	return l, nil
}

func listenSocket(path string) (net.Listener, error) {
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		conn.Close()
		return nil, fmt.Errorf("another program answers on %s", path)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	return net.Listen("unix", path)
}

// serveHTTP answers until ctx ends.
func serveHTTP(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	server := &http.Server{Handler: localOnly(h), ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		BaseContext: func(net.Listener) context.Context { return ctx }}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := server.Shutdown(late); err != nil {
		server.Close()
	}
	<-done
	return nil
}

// localOnly refuses what a browser was talked into by a page from elsewhere: a
// foreign name for this machine, or a request that another origin sends.
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			name = r.Host
		}
		ip := net.ParseIP(strings.Trim(name, "[]"))
		local := slices.Contains([]string{"localhost", "board"}, name) || ip != nil && ip.IsLoopback()
		if site := r.Header.Get("Sec-Fetch-Site"); !local || site != "" && site != "same-origin" && site != "none" {
			http.Error(w, "not from here", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
