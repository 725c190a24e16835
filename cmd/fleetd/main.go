// Command fleetd is the fleet manager: it activates terminals, tells each its configuration, and hears its events. A
// first start needs no configuration.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"posagent/cmd/internal/options"
	"posagent/ota/fleet"
)

const usage = `fleetd manages payment terminals until SIGTERM or SIGINT.

A first start needs nothing: it makes its certificate authority and the
administrator's token in its folder and prints where it listens.

  fleetd -dir /var/lib/fleetd
  fleetctl -dir /var/lib/fleetd enroll -serial PA000001 -model vt1 \
           -merchant 103290055410001 -terminal 10000001
  fleetctl -dir /var/lib/fleetd config push PA000001 config.json

The terminal gets root.pem and the bootstrap address; the code that enroll prints
is typed on it within 15 minutes. Then carry ca/root/root.key to a safe: fleetd
works without it.

Terminals that are not on this machine need -boot and -mqtt on a reachable
address and -hosts with the name or address they know fleetd by. Administration
stays on loopback.

Every flag is also an environment variable (-dir: FLEETD_DIR) and a key of the
JSON file named by -config. Exit status: 0 ended, 1 failed, 2 wrong usage.

Flags:
`

type settings struct {
	fleet.Options
	hosts string
}

func main() {
	fs := flag.NewFlagSet("fleetd", flag.ContinueOnError)
	var s settings
	fs.StringVar(&s.Dir, "dir", "fleet-data", "`folder` of keys, store and token; made when missing")
	fs.StringVar(&s.Tenant, "tenant", "default", "whose fleet it is: 1 to 24 of a-z, 0-9 and hyphens")
	fs.StringVar(&s.BootAddr, "boot", "127.0.0.1:8884", "`address` where terminals are activated (TLS)")
	fs.StringVar(&s.MQTTAddr, "mqtt", "127.0.0.1:8883", "`address` where activated terminals connect (mutual TLS)")
	fs.StringVar(&s.HTTPAddr, "http", "127.0.0.1:8880", "loopback `address` of administration and page")
	fs.StringVar(&s.hosts, "hosts", "", "comma-separated `names` of this machine for terminals; the first is told to them")
	logger := options.Logging(fs)
	fs.Usage = func() { fmt.Fprint(fs.Output(), usage); fs.PrintDefaults() }
	switch err := options.Parse(fs, "FLEETD", os.Args[1:], os.LookupEnv); {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, "fleetd:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, s, logger(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "fleetd:", err)
		os.Exit(1)
	}
}

// run opens the fleet, says where it is, and serves until ctx ends.
func run(ctx context.Context, s settings, log *slog.Logger, out io.Writer) error {
	o := s.Options
	o.Log = log
	for name := range strings.SplitSeq(s.hosts, ",") {
		if name = strings.TrimSpace(name); name != "" {
			o.Hosts = append(o.Hosts, name)
		}
	}
	f, err := fleet.Open(o)
	if err != nil {
		return err
	}
	a := f.Addrs()
	if _, err := fmt.Fprintf(out, "page       http://%s/\nbootstrap  %s\nmqtt       %s\ntoken      %s\nroot       %s\n",
		a.HTTP, a.Boot, a.MQTT, f.TokenFile(), f.RootFile()); err != nil {
		return errors.Join(fmt.Errorf("say where fleetd is: %w", err), f.Close())
	}
	return f.Run(ctx)
}
