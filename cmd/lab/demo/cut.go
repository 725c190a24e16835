package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"posagent/agent/acquirer/hostsim"
	"posagent/agent/control"
	"posagent/agent/emv/cardsim"
	"posagent/agent/journal"
	"posagent/agent/payment"
	"posagent/cmd/lab/house"
	"posagent/drivers/board/boardsim"
)

// The second terminal, which lives in a process of its own.
const (
	cutSerial   = "LAB-0002"
	cutTerminal = payment.TerminalID("10000002")
	cutCard     = "no-cvm"
	cutAmount   = "66.00"
)

// process is one terminal process.
type process struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
	client *control.Client
}

// cut is the second terminal: its board stays when its process dies.
type cut struct {
	d      *demo
	dir    string
	board  *boardsim.Board
	socket string
}

// powerCut kills a terminal process with SIGKILL when the host has taken the
// money and its answer is not out yet, and starts it again.
func (d *demo) powerCut(ctx context.Context) (string, error) {
	c, end, err := d.newCut(ctx)
	if err != nil {
		return "", err
	}
	defer end()
	p, err := c.start()
	if err != nil {
		return "", err
	}
	defer func() { p.kill() }()
	if err := c.activate(ctx, p); err != nil {
		return "", p.failed(err)
	}
	if err := c.killAtApplied(ctx, p); err != nil {
		return "", p.failed(err)
	}
	if p, err = c.start(); err != nil {
		return "", err
	}
	if err := c.ready(ctx, p); err != nil {
		return "", p.failed(err)
	}
	result, err := c.afterwards(ctx, p)
	if err != nil {
		return "", p.failed(err)
	}
	return result, p.terminate()
}

func (d *demo) newCut(ctx context.Context) (*cut, func(), error) {
	module, err := house.Secure()
	if err != nil {
		return nil, nil, err
	}
	dir := filepath.Join(d.dir, "cut")
	if err := os.MkdirAll(filepath.Join(dir, "state"), 0o700); err != nil {
		return nil, nil, err
	}
	if err := d.h.Host.Register(cutTerminal, house.TMK); err != nil {
		return nil, nil, err
	}
	board, err := boardsim.NewPTY(dir, &boardsim.Opts{Secure: module})
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var served sync.WaitGroup
	served.Go(func() { board.Run(ctx) }) //nolint:errcheck // a dead board shows in every step
	end := func() {
		cancel()
		served.Wait()
		board.Close() //nolint:errcheck // the folder is thrown away
	}
	return &cut{d: d, dir: dir, board: board, socket: filepath.Join(dir, "state", "control.sock")}, end, nil
}

func (c *cut) start() (*process, error) {
	args := append([]string{}, c.d.o.Program[1:]...)
	args = append(args, "-serial", cutSerial, "-board", filepath.Join(c.dir, "board.json"), "-state", filepath.Join(c.dir, "state"),
		"-fleet-root", c.d.h.Fleet.RootFile(), "-fleet", c.d.h.Fleet.Addrs().Boot)
	p := &process{cmd: exec.Command(c.d.o.Program[0], args...), client: control.Dial(c.socket)}
	p.cmd.Stderr = &p.stderr
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start terminal process: %w", err)
	}
	return p, nil
}

func (p *process) kill() {
	if p.cmd.ProcessState == nil {
		p.cmd.Process.Kill() //nolint:errcheck // it may have ended by itself
		p.cmd.Wait()         //nolint:errcheck // killed is what it is
	}
}

// failed ends the process and adds its last words to an error.
func (p *process) failed(err error) error {
	p.kill()
	words := p.stderr.Bytes()
	return fmt.Errorf("%w; the process said: %s", err, words[max(0, len(words)-600):])
}

// terminate asks the process to end and demands that it does so cleanly.
func (p *process) terminate() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("end terminal process: %w", err)
	}
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("end terminal process: %w: %s", err, p.stderr.String())
	}
	return nil
}

func (c *cut) activate(ctx context.Context, p *process) error {
	code, err := c.d.h.Enroll(ctx, cutSerial, string(cutTerminal))
	if err != nil {
		return err
	}
	if err := house.Until(ctx, func() bool { _, err := p.client.Status(ctx); return err == nil }); err != nil {
		return fmt.Errorf("wait for its control socket: %w", err)
	}
	if _, err := p.client.Activate(ctx, code); err != nil {
		return err
	}
	if err := c.d.h.PushConfig(ctx, cutSerial, string(cutTerminal)); err != nil {
		return err
	}
	return c.ready(ctx, p)
}

func (c *cut) ready(ctx context.Context, p *process) error {
	var s control.Status
	err := house.Until(ctx, func() bool {
		var err error
		s, err = p.client.Status(ctx)
		return err == nil && s.Ready && s.SignedIn && s.OpenReversals == 0
	})
	if err != nil {
		return fmt.Errorf("wait until it is ready (state %s, why %q, %d reversals open): %w", s.State, s.Why, s.OpenReversals, err)
	}
	return nil
}

// killAtApplied sells, and kills the process while the host holds its answer.
func (c *cut) killAtApplied(ctx context.Context, p *process) error {
	applied, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	c.d.h.Host.OnApplied(func(e hostsim.Entry) {
		if e.Terminal == cutTerminal && e.MTI == "0200" {
			once.Do(func() { close(applied); <-release })
		}
	})
	defer c.d.h.Host.OnApplied(nil)
	defer close(release)
	if err := c.insert(); err != nil {
		return err
	}
	sold := make(chan error, 1)
	go func() {
		_, err := p.client.Sale(ctx, control.SaleRequest{RequestID: "cut", Amount: cutAmount})
		sold <- err
	}()
	select {
	case <-applied:
	case err := <-sold:
		return fmt.Errorf("the sale ended before the host held its answer: %w", err)
	case <-ctx.Done():
		return ctx.Err()
	}
	p.kill()
	c.board.Slot.Remove()
	if err := <-sold; err == nil {
		return errors.New("a killed terminal answered its caller")
	}
	return nil
}

func (c *cut) insert() error {
	card, err := cardsim.Open(cutCard)
	if err == nil {
		c.board.Slot.Insert(card)
	}
	return err
}

// afterwards shows that the cut sale is undone at both ends, that its request id
// still gives its outcome, and that the next sale works.
func (c *cut) afterwards(ctx context.Context, p *process) (string, error) {
	again, err := p.client.Sale(ctx, control.SaleRequest{RequestID: "cut", Amount: cutAmount})
	if err != nil || !again.Duplicate || again.Record == nil || again.Record.State != journal.Reversed {
		return "", fmt.Errorf("the same request again gives %+v, %v", again, err)
	}
	if err := c.insert(); err != nil {
		return "", err
	}
	next, err := p.client.Sale(ctx, control.SaleRequest{RequestID: "next", Amount: cutAmount})
	if err != nil || next.Record == nil || next.Record.State != journal.Approved {
		return "", fmt.Errorf("the next sale gives %+v, %v", next, err)
	}
	var undone, later time.Time
	for _, e := range c.d.h.Host.Ledger() {
		switch {
		case e.Terminal != cutTerminal:
		case e.STAN == again.Record.STAN:
			undone = e.ChangeAt
		case e.STAN == next.Record.STAN:
			later = e.At
		}
	}
	if undone.IsZero() || later.Before(undone) {
		return "", fmt.Errorf("the host saw the reversal at %s and the next sale at %s", undone, later)
	}
	if err := c.collect(ctx, p); err != nil {
		return "", err
	}
	return fmt.Sprintf("STAN %s killed and reversed (%s), then STAN %s approved", again.Record.STAN, again.Record.ReversalCode, next.Record.STAN), nil
}

// collect adds the second terminal's accounts to the report.
func (c *cut) collect(ctx context.Context, p *process) error {
	var records []journal.Record
	err := house.Until(ctx, func() bool {
		s, err := p.client.Status(ctx)
		if err != nil || s.Unreported > 0 {
			return false
		}
		records, err = p.client.Journal(ctx, 1000, "")
		return err == nil && printed(records[0])
	})
	if err != nil {
		return fmt.Errorf("wait for events and paper: %w", err)
	}
	stored, err := c.d.h.Fleet.Events(cutSerial, 0, 1000)
	if err != nil {
		return err
	}
	r := &c.d.report
	for _, e := range stored {
		r.Events = append(r.Events, e.Event)
	}
	r.Journal = append(r.Journal, records...)
	r.Receipts = append(r.Receipts, c.board.Paper.Tear().Text())
	return nil
}
