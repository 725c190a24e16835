package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"posagent/agent/acquirer/hostsim"
	"posagent/agent/payment"
	"posagent/agent/vterm"
	"posagent/cmd/lab/house"
	"posagent/ota/fleet/enroll"
	"posagent/ota/fleet/store"
	"posagent/ota/wire"
)

// serve runs a house and shows it on its page until ctx ends. It prints the
// page's address, then takes a new terminal into service, for the person at the
// page to see. The page must have been given to the house as OnHost, if it shall
// show host messages.
func serve(ctx context.Context, h *house.House, page *vterm.Page, listener net.Listener) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return h.Run(ctx) })
	group.Go(func() error {
		return page.Serve(ctx, listener, vterm.House{Terminal: h.Agent, Board: h.Board, Switches: []vterm.Switch{hostSwitch(h.Host)},
			Ledger: func() ([]vterm.Line, error) { return ledger(h.Host), nil },
			Events: func() ([]vterm.Line, error) { return events(h) }})
	})
	group.Go(func() error {
		fmt.Println("the terminal is at", page.URL(listener.Addr()))
		if err := commission(ctx, h); err != nil && ctx.Err() == nil {
			return fmt.Errorf("take terminal into service: %w", err)
		}
		return nil
	})
	return group.Wait()
}

// commission takes a terminal as far as it has not come yet in a folder that was
// kept: it activates it, and tells it where the host listens today.
func commission(ctx context.Context, h *house.House) error {
	_, _, _, err := h.Fleet.Terminal(house.Serial)
	if errors.Is(err, store.ErrNotFound) {
		return h.Activate(ctx)
	}
	if err == nil && h.Agent.Status().State == string(wire.StateInitialised) {
		var code enroll.Code
		if code, err = h.Fleet.IssueCode(ctx, "lab", house.Serial); err == nil {
			err = h.Agent.Activate(ctx, code.Code)
		}
	}
	if err != nil {
		return err
	}
	return h.PushConfig(ctx, house.Serial, house.TerminalID)
}

// maxLines is how many lines of the host's books and of the fleet's store are shown.
const maxLines = 25

func ledger(host *hostsim.Host) []vterm.Line {
	entries := host.Ledger()
	slices.Reverse(entries)
	entries = entries[:min(len(entries), maxLines)]
	lines := make([]vterm.Line, len(entries))
	for i, e := range entries {
		lines[i] = vterm.Line{At: e.At, STAN: e.STAN.String(), Type: string(e.Type), Amount: vterm.Money(e.Amount, payment.CNY),
			Card: e.PAN, State: string(e.State), Note: string(e.RRN)}
		if e.State == hostsim.Declined {
			lines[i].Note = string(e.Code)
		}
	}
	return lines
}

func events(h *house.House) ([]vterm.Line, error) {
	stored, err := h.Fleet.LastEvents(house.Serial, maxLines)
	if err != nil {
		return nil, fmt.Errorf("list fleet events: %w", err)
	}
	lines := make([]vterm.Line, 0, len(stored))
	for _, s := range stored {
		tx := s.Event.Transaction
		if tx == nil {
			continue // the table shows transactions
		}
		currency, ok := payment.CurrencyByNumeric(tx.Currency)
		if !ok {
			currency = payment.Currency{Exponent: 2}
		}
		lines = append(lines, vterm.Line{At: s.Event.LocalTime, STAN: tx.STAN, Type: tx.Type, Amount: vterm.Money(payment.Amount(tx.Amount), currency),
			Card: tx.MaskedPAN, State: tx.State, Note: tx.RRN})
	}
	return lines, nil
}

// slowAnswer is long enough to be seen, and shorter than the response timer.
const slowAnswer = 4 * time.Second

// hostFaults are what the host can be told to do with the next sale.
var hostFaults = map[string]hostsim.Action{
	"normal":   {},
	"slow":     {Kind: hostsim.Delay, Delay: slowAnswer},
	"lost":     {Kind: hostsim.Drop},
	"late":     {Kind: hostsim.Late},
	"declined": {Kind: hostsim.Decline, Code: "51"},
}

// hostSwitch makes the host fail once: the next sale sets the switch back.
func hostSwitch(host *hostsim.Host) vterm.Switch {
	var mu sync.Mutex
	armed := "normal" // guarded by mu
	host.Script(func(r hostsim.Request) hostsim.Action {
		if r.MTI != "0200" || r.Reversal {
			return hostsim.Action{}
		}
		mu.Lock()
		defer mu.Unlock()
		action := hostFaults[armed]
		armed = "normal"
		return action
	})
	return vterm.Switch{Name: "host", Choices: []string{"normal", "slow", "lost", "late", "declined"},
		Choose: func(choice string) error {
			mu.Lock()
			defer mu.Unlock()
			armed = choice
			return nil
		},
		Chosen: func() string {
			mu.Lock()
			defer mu.Unlock()
			return armed
		}}
}
