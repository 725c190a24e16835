// Fleetctl speaks to fleetd's administration: it registers terminals, pushes configurations and shows what happened.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"posagent/ota/fleet/console"
	"posagent/ota/fleet/enroll"
)

const teaching = `fleetctl: speak to fleetd

usage: fleetctl [flags] command

commands:
    enroll -serial S -model M -merchant ID -terminal ID   register a terminal, print its activation code
    code SERIAL                                           a new activation code
    terminals [SERIAL]                                    list, or one in detail
    config push SERIAL FILE                               make FILE the desired configuration; - is standard input
    revoke SERIAL REASON                                  deactivate a terminal
    events [SERIAL]                                       the last events
    audit                                                 the audit trail

FILE is a configuration as in "fleetctl -json terminals SERIAL", field "desired", without schema and revision.
Exit status: 0 done, 1 refused or failed, 2 wrong usage.

flags:
`

var errUsage = errors.New("fleetctl: wrong usage; fleetctl -h explains")

type ctl struct {
	*console.Client
	out  io.Writer
	json bool
}

func main() {
	switch err := run(context.Background(), os.Args[1:], os.Stdout); {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "fleetctl:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("fleetctl", flag.ContinueOnError)
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), teaching)
		fs.PrintDefaults()
	}
	env := func(name, or string) string {
		if v := os.Getenv(name); v != "" {
			return v
		}
		return or
	}
	addr := fs.String("addr", env("FLEETCTL_ADDR", "http://127.0.0.1:8880"), "`URL` of fleetd's administration (FLEETCTL_ADDR)")
	dir := fs.String("dir", env("FLEETCTL_DIR", "fleet-data"), "`folder` of fleetd, for its admin.token (FLEETCTL_DIR)")
	asJSON := fs.Bool("json", false, "print JSON")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage
	}
	if fs.NArg() == 0 {
		return errUsage
	}
	if asksHelp(fs.Args()) {
		fs.SetOutput(out)
		fs.Usage()
		return flag.ErrHelp
	}
	token, err := os.ReadFile(filepath.Join(*dir, "admin.token"))
	if err != nil {
		return fmt.Errorf("read token (-dir names fleetd's folder): %w", err)
	}
	c := ctl{Client: console.NewClient(*addr, strings.TrimSpace(string(token))), out: out, json: *asJSON}
	return c.command(ctx, fs.Arg(0), fs.Args()[1:])
}

// asksHelp reports whether somebody asks a command how it is used; the one page explains them all.
func asksHelp(args []string) bool {
	return slices.ContainsFunc(args, func(a string) bool { return a == "-h" || a == "-help" || a == "--help" })
}

// command runs one command; an unknown one or a wrong number of arguments is errUsage.
func (c ctl) command(ctx context.Context, name string, args []string) error {
	switch n := len(args); {
	case name == "enroll":
		return c.enroll(ctx, args)
	case name == "code" && n == 1:
		code, err := c.IssueCode(ctx, args[0])
		return c.show(err, code, c.code(code))
	case name == "terminals" && n == 0:
		list, err := c.Client.Terminals(ctx)
		return c.show(err, list, lines(list))
	case name == "terminals" && n == 1:
		t, err := c.Terminal(ctx, args[0])
		return c.show(err, t, lines([]console.Terminal{t}))
	case name == "config" && n == 3 && args[0] == "push":
		return c.push(ctx, args[1], args[2])
	case name == "revoke" && n == 2:
		err := c.Revoke(ctx, args[0], args[1])
		return c.show(err, struct{}{}, args[0]+" is deactivated\n")
	case name == "events" && n <= 1:
		list, err := c.LastEvents(ctx, strings.Join(args, ""), 50)
		return c.show(err, list, eventLines(list))
	case name == "audit" && n == 0:
		return c.audit(ctx)
	}
	return errUsage
}

func (c ctl) enroll(ctx context.Context, args []string) error {
	var a enroll.Application
	fs := flag.NewFlagSet("enroll", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // the error says what was wrong, once
	fs.StringVar(&a.Serial, "serial", "", "serial number")
	fs.StringVar(&a.Model, "model", "", "model")
	fs.StringVar(&a.MerchantID, "merchant", "", "merchant id, 15 digits")
	fs.StringVar(&a.TerminalID, "terminal", "", "terminal id, 8 letters or digits")
	if err := fs.Parse(args); err != nil || fs.NArg() > 0 {
		if err != nil {
			return fmt.Errorf("%w: enroll: %w", errUsage, err)
		}
		return errUsage
	}
	code, err := c.Enroll(ctx, a)
	return c.show(err, code, c.code(code))
}

func (c ctl) push(ctx context.Context, serial, file string) error {
	read := os.ReadFile
	if file == "-" {
		read = func(string) ([]byte, error) { return io.ReadAll(os.Stdin) }
	}
	document, err := read(file)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	p, err := c.PushConfig(ctx, serial, document)
	return c.show(err, p, fmt.Sprintf("%s shall have revision %d, %.12s\n", p.Serial, p.Revision, p.Hash))
}
