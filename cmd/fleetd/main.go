// Fleetd is the fleet manager: it activates terminals, tells each its configuration, and hears its events.
//
// A first start needs no configuration: it makes its certificate authority and the administrator's token in its folder
// and prints where it listens. Settings come from flags, else from the environment (FLEETD_DIR, FLEETD_BOOT ...), else
// from a JSON file named by -config.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"posagent/ota/fleet"
)

const teaching = `fleetd: fleet manager for payment terminals

usage: fleetd [flags]

First start, and then a terminal:

    fleetd -dir /var/lib/fleetd
    fleetctl -dir /var/lib/fleetd enroll -serial VT-0001 -model vt1 -merchant 103290055410001 -terminal 10000001
    fleetctl -dir /var/lib/fleetd config push VT-0001 config.json

The first prints root.pem, which the terminal pins, and the bootstrap address; the second prints a code that is typed
on the terminal within 15 minutes. Move DIR/ca/root/root.key to a safe: fleetd does not need it.

SIGTERM or SIGINT ends fleetd cleanly. Exit status: 0 ended, 1 failed, 2 wrong usage.

Each flag NAME may be given as FLEETD_NAME in the environment or as "name" in the -config file (a JSON object of
strings); a flag goes before the environment, the environment before the file.

flags:
`

// settings by flag name.
type settings map[string]*string

func main() {
	switch err := run(os.Args[1:], os.Getenv); {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "fleetd:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("fleetd: wrong usage; fleetd -h explains")

func run(args []string, env func(string) string) error {
	fs := flag.NewFlagSet("fleetd", flag.ContinueOnError)
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), teaching)
		fs.PrintDefaults()
	}
	set := settings{
		"dir":    fs.String("dir", "fleet-data", "`folder` of keys, store and token; made when missing"),
		"tenant": fs.String("tenant", "default", "whose fleet it is: a-z, 0-9 and hyphens"),
		"boot":   fs.String("boot", "127.0.0.1:8882", "`address` where terminals without a certificate are activated (TLS)"),
		"mqtt":   fs.String("mqtt", "127.0.0.1:8883", "`address` where terminals are connected (mutual TLS)"),
		"http":   fs.String("http", "127.0.0.1:8880", "loopback `address` of administration and page"),
		"hosts":  fs.String("hosts", "", "comma-separated `names` by which terminals reach fleetd, the first is told to them"),
		"log":    fs.String("log", "info", "debug, info, warn or error"),
	}
	file := fs.String("config", env("FLEETD_CONFIG"), "JSON `file` of settings")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("%w: unexpected %q", errUsage, fs.Arg(0))
	}
	if err := set.complete(fs, env, *file); err != nil {
		return err
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(*set["log"])); err != nil {
		return fmt.Errorf("%w: log level %q", errUsage, *set["log"])
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return serve(ctx, set, log)
}

// complete fills what no flag has set from the environment, then from the file.
func (set settings) complete(fs *flag.FlagSet, env func(string) string, file string) error {
	from := map[string]string{}
	if file != "" {
		body, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("read settings: %w", err)
		}
		if err := json.Unmarshal(body, &from); err != nil {
			return fmt.Errorf("read settings %s: %w", file, err)
		}
		for name := range from {
			if set[name] == nil {
				return fmt.Errorf("read settings %s: %q is no setting", file, name)
			}
		}
	}
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for name, value := range set {
		if given[name] {
			continue
		}
		if v := env("FLEETD_" + strings.ToUpper(name)); v != "" {
			*value = v
		} else if v, ok := from[name]; ok {
			*value = v
		}
	}
	return nil
}

func serve(ctx context.Context, set settings, log *slog.Logger) error {
	o := fleet.Options{Dir: *set["dir"], Tenant: *set["tenant"], BootAddr: *set["boot"], MQTTAddr: *set["mqtt"], HTTPAddr: *set["http"], Log: log}
	for name := range strings.SplitSeq(*set["hosts"], ",") {
		if name = strings.TrimSpace(name); name != "" {
			o.Hosts = append(o.Hosts, name)
		}
	}
	s, err := fleet.Open(o)
	if err != nil {
		return err
	}
	a := s.Addrs()
	fmt.Printf("page       http://%s/\nbootstrap  %s\nmqtt       %s\ntoken      %s\nroot       %s\n", a.HTTP, a.Boot, a.MQTT, s.TokenFile(), s.RootFile())
	return s.Run(ctx)
}
