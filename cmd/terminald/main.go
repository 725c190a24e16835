// Command terminald is the terminal agent: the daemon that runs on a smart POS.
// It drives printer, card reader and PIN pad, takes payments against an acquirer
// over ISO 8583, and is managed by a fleet over MQTT.
package main

import (
	"context"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"posagent/agent"
	"posagent/agent/control"
	"posagent/cmd/internal/options"
	"posagent/drivers/board"
)

// version is set by the linker for releases.
var version = "0.1.0-dev"

const usage = `terminald runs a payment terminal until SIGTERM or SIGINT.

A first start needs four things: a serial number, a board profile that says which
part is on which port, the fleet's root certificate and its bootstrap address:

  terminald -serial PA000001 -board /etc/posagent/board.json \
            -fleet-root /etc/posagent/root.pem -fleet fleet.example:8884

It makes its key, waits to be activated (terminalctl activate CODE), takes its
configuration from the fleet, and then sells. What a power cut left without an
outcome is reversed before the next sale.

Every flag is also an environment variable (-fleet-root: TERMINALD_FLEET_ROOT)
and a key of the JSON file named by -config.

Flags:
`

type settings struct {
	serial, board, state, root, fleet, socket string
}

func main() {
	fs := flag.NewFlagSet("terminald", flag.ContinueOnError)
	var s settings
	fs.StringVar(&s.serial, "serial", "", "serial `number` of this terminal, 4 to 39 letters, digits and hyphens")
	fs.StringVar(&s.board, "board", "", "board profile: the `name` of a built-in one, or a JSON file")
	fs.StringVar(&s.state, "state", "/var/lib/terminald", "`directory` of key, configuration and journal")
	fs.StringVar(&s.root, "fleet-root", "", "PEM `file` with the fleet's root certificate")
	fs.StringVar(&s.fleet, "fleet", "", "`host:port` of the fleet's bootstrap listener")
	fs.StringVar(&s.socket, "control", "", "unix `socket` for terminalctl (default control.sock in the state directory)")
	logger := options.Logging(fs)
	fs.Usage = func() { fmt.Fprint(fs.Output(), usage); fs.PrintDefaults() }
	switch err := options.Parse(fs, "TERMINALD", os.Args[1:], os.LookupEnv); {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "terminald:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	log := logger()
	if err := run(ctx, s, agent.Options{Serial: s.serial, Dir: s.state, Boot: s.fleet, Version: version, Log: log}); err != nil {
		log.Error("terminal ended", "err", err)
		os.Exit(1)
	}
	log.Info("terminal ended")
}

func run(ctx context.Context, s settings, o agent.Options) error {
	began := time.Now()
	root, err := os.ReadFile(s.root)
	if err != nil {
		return fmt.Errorf("read fleet root (-fleet-root): %w", err)
	}
	o.Roots = x509.NewCertPool()
	if !o.Roots.AppendCertsFromPEM(root) {
		return fmt.Errorf("read fleet root: no certificate in %s", s.root)
	}
	profile, err := board.Load(s.board)
	if err != nil {
		return fmt.Errorf("load board profile (-board): %w", err)
	}
	if o.Parts, err = board.Open(ctx, profile, nil); err != nil {
		return fmt.Errorf("open board: %w", err)
	}
	defer o.Parts.Halt() //nolint:errcheck // the process ends
	for part, why := range o.Parts.Missing {
		o.Log.Warn("part missing", "part", part, "err", why)
	}
	a, err := agent.New(o)
	if err != nil {
		return err
	}
	if s.socket == "" {
		s.socket = filepath.Join(s.state, "control.sock")
	}
	listener, err := control.Listen(s.socket)
	if err != nil {
		return errors.Join(err, a.Close())
	}
	o.Log.Info("terminal started", "serial", s.serial, "version", version, "board", profile.Model, "took", time.Since(began).Round(time.Millisecond))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.Run(ctx) })
	group.Go(func() error { return control.Serve(ctx, listener, a, o.Log) })
	return group.Wait()
}
