package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"posagent/agent/acquirer/hostsim"
	"posagent/agent/journal"
	"posagent/cmd/lab/house"
	"posagent/ota/wire"
)

// Options of a demonstration.
type Options struct {
	Out      io.Writer     // where steps are told
	Dir      string        // where receipt.png and the receipts' texts go; made if missing
	Language wire.Language // of screen and paper
	Log      *slog.Logger
	// Program starts a terminal process: a program and the arguments before the
	// terminal's own flags.
	Program []string
}

// Step is one step as it went.
type Step struct {
	Name   string `json:"name"`
	Result string `json:"result"` // what was seen, or what went wrong
	OK     bool   `json:"ok"`
	MS     int64  `json:"milliseconds"`
}

// Report is everything the demonstration saw.
type Report struct {
	OK            bool             `json:"ok"`
	Steps         []Step           `json:"steps"`
	Journal       []journal.Record `json:"journal"`
	HostLedger    []hostsim.Entry  `json:"host_ledger"`
	Receipts      []string         `json:"receipts"`
	Events        []wire.Event     `json:"events"`
	Disagreements []string         `json:"disagreements"`
}

// errStep ends a run whose report says why.
var errStep = errors.New("a step failed")

// demo is one run.
type demo struct {
	o      Options
	h      *house.House
	report Report
	dir    string // state, thrown away
}

// stepTimeout bounds one step: a sale whose answer is lost takes the longest.
const stepTimeout = 30 * time.Second

// responseTimeout is the host timer of the demonstration: long enough for a busy
// machine, short enough to watch a lost answer.
const responseTimeout = 3 * time.Second

// Run runs the demonstration. The error is for what stood in its way; a step
// that went wrong is in the report, which is then not OK.
func Run(ctx context.Context, o Options) (*Report, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("make output folder: %w", err)
	}
	dir, remove, err := house.TempDir()
	if err != nil {
		return nil, fmt.Errorf("make state folder: %w", err)
	}
	defer remove()
	d := &demo{o: o, dir: dir}
	if d.h, err = house.Open(house.Options{Dir: dir, Log: o.Log, ResponseTimeout: responseTimeout, Language: o.Language}); err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	done := make(chan error, 1)
	go func() { done <- d.h.Run(ctx) }()
	err = d.run(ctx)
	end()
	err = errors.Join(err, <-done)
	if errors.Is(err, errStep) {
		err = nil
	}
	return &d.report, err
}

// step runs one step and tells about it.
func (d *demo) step(ctx context.Context, name string, f func(context.Context) (string, error)) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	began := time.Now()
	result, err := f(ctx)
	s := Step{Name: name, Result: result, OK: err == nil, MS: time.Since(began).Milliseconds()}
	mark := "ok  "
	if err != nil {
		s.Result, mark = err.Error(), "FAIL"
	}
	d.report.Steps = append(d.report.Steps, s)
	fmt.Fprintf(d.o.Out, "%s  %-34s %6d ms  %s\n", mark, s.Name, s.MS, s.Result)
	if err != nil {
		return errStep
	}
	return nil
}

func (d *demo) run(ctx context.Context) error {
	for _, s := range []struct {
		name string
		do   func(context.Context) (string, error)
	}{
		{"first start", d.firstStart},
		{"activate with a one-time code", d.activate},
		{"configuration from the fleet", d.configure},
		{"sign in at the host", d.signIn},
		{"chip sale with online PIN", d.salePIN},
		{"chip sale with offline PIN", d.saleOfflinePIN},
		{"chip sale without CVM", d.saleNoCVM},
		{"tap below the CVM limit", d.tapBelow},
		{"tap above the CVM limit", d.tapAbove},
		{"decline by the host", d.declined},
		{"answer lost: reversed", d.lostAnswer},
		{"decline by the card", d.cardDeclines},
		{"hostile card refused", d.hostile},
		{"bad configuration refused", d.badConfig},
		{"events at the fleet", d.events},
		{"power cut between send and answer", d.powerCut},
		{"journal, host, paper, fleet agree", d.agree},
	} {
		if err := d.step(ctx, s.name, s.do); err != nil {
			return err
		}
	}
	d.report.OK = true
	return nil
}

// agree compares the accounts and keeps them in the report.
func (d *demo) agree(context.Context) (string, error) {
	r := &d.report
	r.HostLedger = d.h.Host.Ledger()
	r.Disagreements = house.Agree(r.Journal, r.HostLedger, r.Events, r.Receipts)
	if n := len(r.Disagreements); n > 0 {
		return "", fmt.Errorf("%d disagreements: %s", n, strings.Join(r.Disagreements, "; "))
	}
	return fmt.Sprintf("%d transactions, 4 accounts each", len(r.Journal)), nil
}

// WriteJSON writes the report.
func (r *Report) WriteJSON(path string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}
