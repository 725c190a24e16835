// Command terminald is the terminal agent: the daemon that runs on a smart POS.
// It drives printer, card reader and PIN pad, takes payments against an acquirer
// over ISO 8583, and is managed by a fleet over MQTT.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"posagent/cmd/internal/daemon"
	"posagent/cmd/internal/options"
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

func main() {
	fs := flag.NewFlagSet("terminald", flag.ContinueOnError)
	var s daemon.Settings
	s.Flags(fs)
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
	err := daemon.Run(ctx, s, version, log)
	var wrong *daemon.SettingError
	switch {
	case errors.As(err, &wrong):
		fmt.Fprintf(os.Stderr, "terminald: %v (terminald -h shows how)\n", err)
		os.Exit(2)
	case err != nil:
		log.Error("terminal ended", "err", err)
		os.Exit(1)
	}
	log.Info("terminal ended")
}
