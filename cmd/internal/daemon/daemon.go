// Package daemon is the body of terminald: its settings and its run. The
// laboratory starts the same body as a process of its own, to kill it.
package daemon

import (
	"context"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"posagent/agent"
	"posagent/agent/control"
	"posagent/agent/link"
	"posagent/drivers/board"
	"posagent/ota/wire"
)

// Settings of a terminal process.
type Settings struct {
	Serial string // serial number of the terminal
	Board  string // name of a built-in profile, or a file
	State  string // directory of key, configuration and journal
	Root   string // PEM file with the fleet's root certificate
	Fleet  string // host:port of the fleet's bootstrap listener
	Socket string // for terminalctl; "": control.sock in State
}

// Flags adds the settings to a flag set.
func (s *Settings) Flags(fs *flag.FlagSet) {
	fs.StringVar(&s.Serial, "serial", "", "serial `number` of this terminal, 4 to 39 letters, digits and hyphens")
	fs.StringVar(&s.Board, "board", "", "board profile: the `name` of a built-in one, or a JSON file")
	fs.StringVar(&s.State, "state", "/var/lib/terminald", "`directory` of key, configuration and journal")
	fs.StringVar(&s.Root, "fleet-root", "", "PEM `file` with the fleet's root certificate")
	fs.StringVar(&s.Fleet, "fleet", "", "`host:port` of the fleet's bootstrap listener")
	fs.StringVar(&s.Socket, "control", "", "unix `socket` for terminalctl (default control.sock in the state directory)")
}

// SettingError reports a setting that no terminal can start with.
type SettingError struct {
	Name string // of the flag, without its hyphen
	Err  error
}

func (e *SettingError) Error() string { return "-" + e.Name + ": " + e.Err.Error() }

func (e *SettingError) Unwrap() error { return e.Err }

// load checks the settings and reads the files they name. Errors: *SettingError.
func (s *Settings) load() (*x509.CertPool, *board.Profile, error) {
	if !wire.ValidSerial(s.Serial) {
		return nil, nil, &SettingError{"serial", fmt.Errorf("%q is not 4 to 39 letters, digits and hyphens", s.Serial)}
	}
	_, port, err := net.SplitHostPort(s.Fleet)
	if n, badPort := strconv.ParseUint(port, 10, 16); err != nil || badPort != nil || n == 0 {
		return nil, nil, &SettingError{"fleet", fmt.Errorf("%q is not host:port", s.Fleet)}
	}
	root, err := os.ReadFile(s.Root)
	if err != nil {
		return nil, nil, &SettingError{"fleet-root", err}
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(root) {
		return nil, nil, &SettingError{"fleet-root", fmt.Errorf("no certificate in %s", s.Root)}
	}
	profile, err := board.Load(s.Board)
	if err != nil {
		return nil, nil, &SettingError{"board", err}
	}
	return roots, profile, nil
}

// Run runs the terminal until ctx ends. A *SettingError says that it could not
// start with these settings.
func Run(ctx context.Context, s Settings, version string, log *slog.Logger) error {
	began := time.Now()
	link.LogLibrary(log.With("subsystem", "mqtt"))
	roots, profile, err := s.load()
	if err != nil {
		return err
	}
	parts, err := board.Open(ctx, profile, nil)
	if err != nil {
		return fmt.Errorf("open board: %w", err)
	}
	defer parts.Halt() //nolint:errcheck // the process ends
	for part, why := range parts.Missing {
		log.Warn("part missing", "part", part, "err", why)
	}
	a, err := agent.New(agent.Options{Serial: s.Serial, Dir: s.State, Boot: s.Fleet, Version: version, Roots: roots, Parts: parts, Log: log})
	if err != nil {
		return err
	}
	if s.Socket == "" {
		s.Socket = filepath.Join(s.State, "control.sock")
	}
	listener, err := control.Listen(s.Socket)
	if err != nil {
		return errors.Join(err, a.Close())
	}
	log.Info("terminal started", "serial", s.Serial, "version", version, "board", profile.Model, "took", time.Since(began).Round(time.Millisecond))
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.Run(ctx) })
	group.Go(func() error { return control.Serve(ctx, listener, a, log) })
	return group.Wait()
}
