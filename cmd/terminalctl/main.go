// Command terminalctl operates the terminal on this machine: it speaks to
// terminald over its unix socket. Its emv command explains a chip card and needs
// no terminald.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"posagent/agent/control"
)

const usage = `terminalctl [-control SOCKET] [-json] COMMAND

  status                   where the terminal stands: state, parts, host, fleet, totals
  activate CODE            activate the terminal with the fleet's one-time code
  sale AMOUNT [-id ID]     sell for AMOUNT (12.34); the same ID never sells twice
  journal [list|show ID|verify] [-n N] [-state S]
                           records, newest first; one record by id or trace number;
                           totals recomputed and everything checked
  reprint [ID]             print a record again, the last one without ID
  selftest                 check every part; exit status 1 if one fails
  emv run                  perform one transaction with a recorded card or a PC/SC reader,
                           explained; emv run -h
  emv decode HEX           read EMV data in words; emv decode -h

Exit status: 0 done or approved, 1 failed or not approved, 2 wrong use. emv run ends
with 0 whatever the outcome.

Flags:
`

// Exit statuses, as the usage text says.
const (
	exitDone   = 0
	exitFailed = 1
	exitUse    = 2
)

// cli is one run of the program.
type cli struct {
	client *control.Client
	json   bool
	out    io.Writer
}

// errFailed ends with status 1 without a further word: the output said it.
var errFailed = errors.New("failed")

type useError struct{ text string }

func (e useError) Error() string { return e.text }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	code := execute(ctx, os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// execute is the whole program: arguments to exit status.
func execute(ctx context.Context, args []string, env func(string) (string, bool), out, complaints io.Writer) int {
	path, ok := env("TERMINALD_CONTROL")
	if !ok {
		path = "/var/lib/terminald/control.sock"
	}
	fs := flag.NewFlagSet("terminalctl", flag.ContinueOnError)
	fs.SetOutput(complaints)
	socket := fs.String("control", path, "unix `socket` of terminald (environment TERMINALD_CONTROL)")
	asJSON := fs.Bool("json", false, "print JSON")
	help := func(w io.Writer) {
		fs.SetOutput(w)
		fmt.Fprint(w, usage)
		fs.PrintDefaults()
	}
	fs.Usage = func() {}
	err := fs.Parse(args)
	if err == nil {
		c := &cli{client: control.Dial(*socket), json: *asJSON, out: out}
		err = c.run(ctx, fs.Args())
	} else if !errors.Is(err, flag.ErrHelp) {
		return exitUse // the flag set has said why
	}
	var wrong useError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, flag.ErrHelp):
		help(out)
		return exitDone
	case errors.As(err, &wrong):
		fmt.Fprintf(complaints, "terminalctl: %v (terminalctl -h shows how)\n", err)
		return exitUse
	case !errors.Is(err, errFailed):
		fmt.Fprintln(complaints, "terminalctl:", err)
	}
	return exitFailed
}

func (c *cli) run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return useError{"no command"}
	}
	commands := map[string]func(context.Context, []string) error{
		"status": c.status, "activate": c.activate, "sale": c.sale, "journal": c.journal, "reprint": c.reprint, "selftest": c.selftest,
		"emv": c.emv,
	}
	command, ok := commands[args[0]]
	if !ok {
		return useError{fmt.Sprintf("unknown command %q", args[0])}
	}
	return command(ctx, args[1:])
}

// flags parses flags that may stand before and after at most max arguments.
func flags(fs *flag.FlagSet, args []string, max int) ([]string, error) {
	fs.SetOutput(io.Discard)
	var rest []string
	for len(args) > 0 {
		if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
			return nil, err
		} else if err != nil {
			return nil, useError{fs.Name() + ": " + err.Error()}
		}
		if args = fs.Args(); len(args) > 0 {
			rest, args = append(rest, args[0]), args[1:]
		}
	}
	if len(rest) > max {
		return nil, useError{fmt.Sprintf("%s: too many arguments: %s", fs.Name(), strings.Join(rest, " "))}
	}
	return rest, nil
}

func (c *cli) print(v any) error {
	enc := json.NewEncoder(c.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
