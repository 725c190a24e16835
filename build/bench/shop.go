package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"posagent/agent/acquirer/hostsim"
	"posagent/agent/control"
	"posagent/cmd/lab/house"
	"posagent/drivers/board/boardsim"
	"posagent/ota/fleet"
	"posagent/ota/fleet/enroll"
	"posagent/ota/wire"
)

const (
	// patience bounds every wait for terminald.
	patience = 30 * time.Second
	// glance is how often a wait looks: it bounds how well a time is known.
	glance = 500 * time.Microsecond
	// hostTimer is the response timer of the terminal's host link; nothing here is
	// slow enough to meet it.
	hostTimer = 10 * time.Second
)

// shop is everything around one terminald: fleet, host and a board of
// pseudo-terminals, all in this process.
type shop struct {
	b      *bench
	fleet  *fleet.Server
	host   *hostsim.Host
	line   net.Listener // of the host
	board  *boardsim.Board
	short  string // folder of the control socket, whose path may have 107 bytes
	client *control.Client
	child  *exec.Cmd // the terminal; nil: not running

	end  context.CancelFunc
	done *errgroup.Group
}

// openShop opens the shop and starts its terminal for the first time, until it
// may sell.
func openShop(ctx context.Context, b *bench) (_ *shop, err error) {
	if err := b.buildTerminal(ctx); err != nil {
		return nil, err
	}
	s := &shop{b: b}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.short, err = os.MkdirTemp("", "pos-*"); err != nil {
		return nil, err
	}
	s.client = control.Dial(s.socket())
	if s.fleet, err = fleet.Open(fleet.Options{Dir: b.path("fleet")}); err != nil {
		return nil, err
	}
	if s.host, err = house.NewHost(slog.New(slog.DiscardHandler)); err != nil {
		return nil, err
	}
	if s.line, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	module, err := house.Secure()
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(b.path("board"), 0o700); err != nil {
		return nil, err
	}
	if s.board, err = boardsim.NewPTY(b.path("board"), &boardsim.Opts{Secure: module}); err != nil {
		return nil, err
	}
	running, end := context.WithCancel(ctx)
	s.end = end
	s.done, running = errgroup.WithContext(running)
	s.done.Go(func() error { return s.host.Serve(running, s.line) })
	s.done.Go(func() error { return s.fleet.Run(running) })
	s.done.Go(func() error { return s.board.Run(running) })
	return s, s.activate(ctx)
}

func (s *shop) socket() string { return filepath.Join(s.short, "control.sock") }

// activate takes the terminal from its first start to its first sign-in.
func (s *shop) activate(ctx context.Context) error {
	if err := s.start(); err != nil {
		return err
	}
	if _, err := s.until(ctx, func(control.Status) bool { return true }); err != nil {
		return err
	}
	code, err := s.fleet.Enroll(ctx, "bench", enroll.Application{Serial: house.Serial, Model: "posagent-sim-pty", MerchantID: house.MerchantID, TerminalID: house.TerminalID})
	if err != nil {
		return err
	}
	if _, err := s.client.Activate(ctx, code.Code); err != nil {
		return err
	}
	config, err := house.Config(house.TerminalID, s.line.Addr().String(), hostTimer, wire.Chinese)
	if err != nil {
		return err
	}
	if _, err := s.fleet.PushConfig(ctx, "bench", house.Serial, config); err != nil {
		return err
	}
	_, err = s.until(ctx, maySell)
	return err
}

// maySell is what "ready" means here: configured, signed in at the host, nothing
// owed.
func maySell(s control.Status) bool { return s.Ready && s.SignedIn }

// start starts terminald.
func (s *shop) start() error {
	s.child = exec.Command(s.b.terminald, "-serial", house.Serial, "-board", s.b.path("board/board.json"), "-state", s.b.path("terminal"),
		"-fleet-root", s.fleet.RootFile(), "-fleet", s.fleet.Addrs().Boot, "-control", s.socket(), "-log-level", "error")
	s.child.Stderr = os.Stderr

	s.child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.child.Start(); err != nil {
		s.child = nil
		return fmt.Errorf("start terminald: %w", err)
	}
	return nil
}

// stop ends terminald as a shutdown of the machine would.
func (s *shop) stop() error {
	child := s.child
	if child == nil {
		return nil
	}
	s.child = nil
	if err := child.Process.Signal(syscall.SIGTERM); err != nil {
		return errors.Join(err, child.Wait())
	}
	late := time.AfterFunc(patience, func() { child.Process.Kill() }) // Wait then tells
	defer late.Stop()
	if err := child.Wait(); err != nil {
		return fmt.Errorf("end terminald: %w", err)
	}
	return nil
}

// until waits for a state of the terminal and gives the moment it was seen.
func (s *shop) until(ctx context.Context, seen func(control.Status) bool) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for {
		status, err := s.client.Status(ctx)
		if err == nil && seen(status) {
			return time.Now(), nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("wait for terminald: %w; it says %+v, %v", ctx.Err(), status, err)
		}
	}
}

func (s *shop) close() error {
	errs := []error{s.stop()}
	if s.end != nil {
		s.end()
		errs = append(errs, s.done.Wait())
	} else {
		if s.fleet != nil {
			errs = append(errs, s.fleet.Close())
		}
		if s.line != nil {
			errs = append(errs, s.line.Close())
		}
	}
	if s.board != nil {
		errs = append(errs, s.board.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(s.short))...)
}

// measureTerminal takes what only a real terminald can tell.
func measureTerminal(ctx context.Context, b *bench) (lines []Line, err error) {
	s, err := openShop(ctx, b)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	ready, err := measureReady(ctx, s)
	if err != nil {
		return nil, err
	}
	memory, err := measureMemory(ctx, s)
	return append(ready, memory...), err
}
