package demo

import (
	"context"
	"errors"
	"fmt"

	"posagent/agent/journal"
	"posagent/cmd/lab/house"
	"posagent/ota/wire"
)

func (d *demo) firstStart(ctx context.Context) (string, error) {
	if err := house.Until(ctx, func() bool { return d.h.Agent.Screen().Name != "" }); err != nil {
		return "", err
	}
	s := d.h.Agent.Status()
	if s.Ready || s.State != string(wire.StateInitialised) {
		return "", fmt.Errorf("a new terminal is %s, ready %v", s.State, s.Ready)
	}
	return fmt.Sprintf("terminal %s made its key, state %s", s.Serial, s.State), nil
}

func (d *demo) activate(ctx context.Context) (string, error) {
	code, err := d.h.Enroll(ctx, house.Serial, house.TerminalID)
	if err != nil {
		return "", err
	}
	wrong := "2222-2222"
	var refused *wire.Refused
	if err := d.h.Agent.Activate(ctx, wrong); !errors.As(err, &refused) {
		return "", fmt.Errorf("code %s was not refused: %v", wrong, err)
	}
	if err := d.h.Agent.Activate(ctx, code); err != nil {
		return "", err
	}
	return fmt.Sprintf("a wrong code was refused (%s), the right one gave a certificate", refused.Reason), nil
}

func (d *demo) configure(ctx context.Context) (string, error) {
	if err := d.h.PushConfig(ctx, house.Serial, house.TerminalID); err != nil {
		return "", err
	}
	if err := house.Until(ctx, func() bool { return d.h.Agent.Status().Config == 1 }); err != nil {
		return "", err
	}
	s := d.h.Agent.Status()
	return fmt.Sprintf("revision %d: merchant %s, terminal %s", s.Config, s.MerchantID, s.TerminalID), nil
}

func (d *demo) signIn(ctx context.Context) (string, error) {
	if err := d.h.WaitReady(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("working keys in the PIN pad, batch %s", d.h.Agent.Status().Batch), nil
}

func (d *demo) badConfig(ctx context.Context) (string, error) {
	c, err := house.Config(house.TerminalID, d.h.HostAddr(), responseTimeout, d.o.Language)
	if err != nil {
		return "", err
	}
	c.Acquirer.TMKSlot = 7 // well formed, and not possible on this terminal
	pushed, err := d.h.Fleet.PushConfig(ctx, "lab", house.Serial, c)
	if err != nil {
		return "", err
	}
	var reported wire.Reported
	err = house.Until(ctx, func() bool {
		t, _, _, err := d.h.Fleet.Terminal(house.Serial)
		if err != nil || t.Reported == nil {
			return false
		}
		reported = *t.Reported
		return reported.Revision == pushed.Revision
	})
	if err == nil && (reported.State != wire.ReportedRejected || reported.Path != "acquirer.tmk_slot" || d.h.Agent.Status().Config != 1) {
		err = fmt.Errorf("reported %+v, in force %d", reported, d.h.Agent.Status().Config)
	}
	return fmt.Sprintf("revision %d rejected at %s, revision %d stays", reported.Revision, reported.Path, reported.CurrentRevision), err
}

func (d *demo) events(ctx context.Context) (string, error) {
	if err := house.Until(ctx, func() bool { return d.h.Agent.Status().Unreported == 0 }); err != nil {
		return "", err
	}
	stored, err := d.h.Fleet.Events(house.Serial, 0, 1000)
	if err != nil {
		return "", err
	}
	for _, e := range stored {
		d.report.Events = append(d.report.Events, e.Event)
	}
	records, err := d.h.Agent.Journal().List(journal.ListOptions{Limit: 1000})
	if err != nil {
		return "", err
	}
	d.report.Journal = records
	return fmt.Sprintf("%d masked events, each acknowledged by its id", len(stored)), nil
}
