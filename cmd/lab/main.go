// Command lab is the laboratory: a virtual terminal with its parts, an acquirer's
// host and a fleet manager in one process, with a page to play with them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"posagent/agent/vterm"
	"posagent/cmd/internal/daemon"
	"posagent/cmd/internal/options"
	"posagent/cmd/lab/demo"
	"posagent/cmd/lab/house"
	"posagent/ota/wire"
)

const usage = `lab [COMMAND] [FLAGS]: a payment terminal on your desk

  lab          start terminal, host and fleet, and serve a page on loopback where
               you see the screen, press the keys, insert a card and watch the paper
  lab demo     the same without a person: every step told, receipts kept, exit
               status 0 only if journal, host, paper and fleet agree
  lab host     the acquirer's host as a program of its own
  lab board    a simulated board for a terminald in another process
  lab card     a virtual payment card in the virtual PC/SC reader of vsmartcard
  lab terminal a terminald of the laboratory, for lab demo to kill

Each command explains itself with -h. Nothing here is worth money: cards, keys
and authorities were made for tests.

Flags of plain lab:
`

const demoUsage = `lab demo runs terminal, host and fleet without a person: it activates, sells by
chip with online PIN, offline PIN and none, taps below and above the CVM limit, is
declined by host and card, loses an answer, refuses hostile cards and a bad
configuration, kills a terminal process between request and answer, and ends by
comparing journal, host ledger, receipts and fleet events.

It prints each step as it happens; exit status 0 only if all four agree.

Flags:
`

const terminalUsage = `lab terminal is terminald under the laboratory's name: lab demo starts it as a
process of its own and kills it. terminald -h explains its flags.

Flags:
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	name, args := "", os.Args[1:]
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		name, args = args[0], args[1:]
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	commands := map[string]func(context.Context, []string, *slog.Logger) error{
		"": runPage, "demo": runDemo, "host": runHost, "board": runBoard, "card": runCard, "terminal": runTerminal,
	}
	run, ok := commands[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "lab: unknown command %q (lab -h shows all)\n", name)
		os.Exit(2)
	}
	err := run(ctx, args, log)
	var wrong useError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.As(err, &wrong):
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

// language adds the flag of screen and paper.
func language(fs *flag.FlagSet) *wire.Language {
	lang := wire.Chinese
	fs.Func("lang", "`language` of screen and paper at start: zh or en (default zh)", func(s string) error {
		lang = wire.Language(s)
		if lang != wire.Chinese && lang != wire.English {
			return errors.New("want zh or en")
		}
		return nil
	})
	return &lang
}

func runDemo(ctx context.Context, args []string, log *slog.Logger) error {
	fs := flag.NewFlagSet("lab demo", flag.ContinueOnError)
	file := fs.String("json", "", "write steps, journal, host_ledger, receipts and events to this `file`")
	dir := fs.String("out", filepath.Join("build", "out", "demo"), "`folder` for receipt.png and the receipts' texts")
	verbose := fs.Bool("v", false, "log what terminal, host and fleet do")
	lang := language(fs)
	if err := parse(fs, demoUsage, "LAB_DEMO", args); err != nil {
		return err
	}
	if !*verbose {
		log = slog.New(slog.DiscardHandler)
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	report, err := demo.Run(ctx, demo.Options{Out: os.Stdout, Dir: *dir, Language: *lang, Log: log, Program: []string{program, "terminal"}})
	if report != nil && *file != "" {
		err = errors.Join(err, report.WriteJSON(*file))
	}
	if err == nil && !report.OK {
		err = errors.New("the demonstration failed")
	}
	return err
}

func runTerminal(ctx context.Context, args []string, _ *slog.Logger) error {
	fs := flag.NewFlagSet("lab terminal", flag.ContinueOnError)
	var s daemon.Settings
	s.Flags(fs)
	logger := options.Logging(fs)
	if err := parse(fs, terminalUsage, "LAB_TERMINAL", args); err != nil {
		return err
	}
	return daemon.Run(ctx, s, "lab", logger())
}

func runPage(ctx context.Context, args []string, log *slog.Logger) error {
	fs := flag.NewFlagSet("lab", flag.ContinueOnError)
	addr := fs.String("listen", "127.0.0.1:8090", "loopback `address` of the page; port 0 takes a free one")
	keep := fs.String("dir", "", "`folder` that keeps terminal and fleet over restarts (default: thrown away at the end)")
	verbose := fs.Bool("v", false, "log what terminal, host and fleet do, not only what goes wrong")
	lang := language(fs)
	if err := parse(fs, usage, "LAB", args); err != nil {
		return err
	}
	if !*verbose {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	if *keep == "" {
		dir, remove, err := house.TempDir()
		if err != nil {
			return err
		}
		defer remove()
		*keep = dir
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return fmt.Errorf("listen for the page (another address: -listen 127.0.0.1:0): %w", err)
	}
	if tcp, ok := listener.Addr().(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
		return errors.Join(useError{fmt.Errorf("-listen: %s is not loopback", *addr)}, listener.Close())
	}
	page := vterm.New(vterm.Options{Log: log})
	h, err := house.Open(house.Options{Dir: *keep, Log: log, Language: *lang, ResponseTimeout: 15 * time.Second,
		OnHost: page.HostMessage})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	return serve(ctx, h, page, listener)
}
