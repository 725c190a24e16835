package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"posagent/agent/acquirer/hostsim"
	"posagent/agent/journal"
	"posagent/agent/payment"
	"posagent/cmd/lab/house"
)

// ends are the screens a sale can end on.
var ends = []string{"approved", "declined", "cancelled", "card_error", "card_early", "card_refused", "no_answer", "not_sent",
	"print_failed", "pin_failed", "reversal_open", "sign_in_failed", "record_failed", "not_ready", "part_missing"}

// shown is a card and the hand that holds it.
type shown struct {
	show func() error
	away func()
}

func (d *demo) insert(card string) shown {
	return shown{func() error { return d.h.Insert(card) }, d.h.Board.Slot.Remove}
}

// tap holds a card to the reader.
func (d *demo) tap(card string) shown {
	return shown{func() error { return d.h.Tap(card) }, d.h.Untap}
}

// sell types an amount, shows a card, enters the PIN if asked, and waits for
// the record to be at rest and the receipts to be out.
func (d *demo) sell(ctx context.Context, fen string, card shown, want string, state journal.State) (journal.Record, error) {
	before, _ := d.h.Agent.Journal().Last()
	if err := d.h.Press("cancel", "1"); err != nil {
		return journal.Record{}, err
	}
	if err := d.h.Press(append(strings.Split(fen, ""), "enter")...); err != nil {
		return journal.Record{}, err
	}
	defer card.away()
	if _, err := d.h.Screen(ctx, "insert_card"); err != nil {
		return journal.Record{}, err
	}
	if err := card.show(); err != nil {
		return journal.Record{}, err
	}
	name, err := d.h.Screen(ctx, append([]string{"pin"}, ends...)...)
	if err != nil {
		return journal.Record{}, err
	}
	if name == "pin" {
		if err := d.h.Press(append(strings.Split(house.CardPIN, ""), "enter")...); err != nil {
			return journal.Record{}, err
		}
	}
	var rec journal.Record
	err = house.Until(ctx, func() bool {
		rec, err = d.h.Agent.Journal().Last()
		return err == nil && rec.ID != before.ID && rec.State == state && printed(rec)
	})
	if err != nil {
		return rec, fmt.Errorf("record is %s with code %q, want %s; the screen shows %q: %w", rec.State, rec.Code, state, d.h.Agent.Screen().Name, err)
	}
	if _, err := d.h.Screen(ctx, want); err != nil {
		return rec, err
	}
	return rec, d.tear(rec)
}

// printed reports whether the copies a record gets are out.
func printed(r journal.Record) bool {
	switch r.State {
	case journal.Approved:
		return r.Copies["merchant"] >= 1 && r.Copies["cardholder"] >= 1
	case journal.Reversed:
		return r.Copies["cardholder"] >= 1
	}
	return true
}

// tear takes the paper, keeps its text, and writes text and picture.
func (d *demo) tear(rec journal.Record) error {
	sheet := d.h.Board.Paper.Tear()
	text := sheet.Text()
	if text == "" {
		return nil
	}
	d.report.Receipts = append(d.report.Receipts, text)
	base := filepath.Join(d.o.Dir, "receipt-"+rec.STAN.String())
	if len(d.report.Receipts) == 1 {
		base = filepath.Join(d.o.Dir, "receipt")
	}
	return errors.Join(os.WriteFile(base+".png", sheet.PNG(), 0o644), os.WriteFile(base+".txt", []byte(text), 0o644))
}

func told(rec journal.Record) string {
	return fmt.Sprintf("%s %s, STAN %s, code %s, RRN %s, CVM %s", rec.Amount.Format(rec.Currency), rec.State, rec.STAN, rec.Code, rec.RRN, rec.CVM)
}

func (d *demo) salePIN(ctx context.Context) (string, error) {
	rec, err := d.sell(ctx, "1234", d.insert("online-pin"), "approved", journal.Approved)
	if err == nil && (rec.CVM != journal.CVMOnlinePIN || rec.Amount != 1234) {
		err = fmt.Errorf("record has CVM %s, amount %d", rec.CVM, rec.Amount)
	}
	return told(rec) + "; " + filepath.Join(d.o.Dir, "receipt.png"), err
}

func (d *demo) saleOfflinePIN(ctx context.Context) (string, error) {
	rec, err := d.sell(ctx, "2345", d.insert("enciphered-pin"), "approved", journal.Approved)
	if err == nil && rec.CVM != journal.CVMOfflinePIN {
		err = fmt.Errorf("record has CVM %s", rec.CVM)
	}
	return told(rec) + "; the card verified the PIN, enciphered in the pad", err
}

func (d *demo) saleNoCVM(ctx context.Context) (string, error) {
	rec, err := d.sell(ctx, "800", d.insert("no-cvm"), "approved", journal.Approved)
	return told(rec), err
}

// The CVM limit of the laboratory's configuration is 1000.00.
func (d *demo) tapBelow(ctx context.Context) (string, error) {
	return d.tapped(ctx, "1500", "k7-online", journal.CVMNone)
}

func (d *demo) tapAbove(ctx context.Context) (string, error) {
	return d.tapped(ctx, "150000", "k7-online-pin", journal.CVMOnlinePIN)
}

func (d *demo) tapped(ctx context.Context, fen, card, cvm string) (string, error) {
	rec, err := d.sell(ctx, fen, d.tap(card), "approved", journal.Approved)
	if err == nil && (rec.Entry != payment.Contactless || rec.CVM != cvm) {
		err = fmt.Errorf("record has entry %s, CVM %s", rec.Entry, rec.CVM)
	}
	return told(rec) + ", entry " + string(rec.Entry), err
}

func (d *demo) declined(ctx context.Context) (string, error) {
	if err := d.h.Host.Post(hostsim.Rule{Action: hostsim.Decline, Code: "51"}); err != nil {
		return "", err
	}
	rec, err := d.sell(ctx, "9900", d.insert("dda-online"), "declined", journal.Declined)
	if err == nil && rec.Code != "51" {
		err = fmt.Errorf("code %s", rec.Code)
	}
	return told(rec) + ": " + strings.Join(d.h.Agent.Screen().Lines, " "), err
}

func (d *demo) lostAnswer(ctx context.Context) (string, error) {
	if err := d.h.Host.Post(hostsim.Rule{Action: hostsim.Drop}); err != nil {
		return "", err
	}
	rec, err := d.sell(ctx, "5000", d.insert("no-cvm"), "no_answer", journal.Reversed)
	if err == nil && rec.Reason != payment.ReasonNoReply {
		err = fmt.Errorf("reversed for reason %s", rec.Reason)
	}
	return fmt.Sprintf("%s; 0400 answered %s", told(rec), rec.ReversalCode), err
}

// cardDeclines shows a card that ends before the host is asked.
func (d *demo) cardDeclines(ctx context.Context) (string, error) {
	err := d.refused(ctx, d.insert("declines-offline"), "declined")
	return "the card itself declined; the host never heard of it", err
}

// hostile shows cards that approve although the terminal wants the host, inserted
// and tapped.
func (d *demo) hostile(ctx context.Context) (string, error) {
	for _, card := range []shown{d.insert("hostile-upgrade"), d.tap("hostile-upgrade")} {
		if err := d.refused(ctx, card, "card_error"); err != nil {
			return "", err
		}
	}
	return "a chip and a tapped card approved by themselves what the host was to decide: refused, nothing was begun", nil
}

// refused shows a card to a sale of 0.77 that ends on the screen want, without a
// record and without the host.
func (d *demo) refused(ctx context.Context, card shown, want string) error {
	before, err := d.h.Agent.Journal().Last()
	if err != nil {
		return err
	}
	asked := len(d.h.Host.Ledger())
	if err := d.h.Press("cancel", "1", "7", "7", "enter"); err != nil {
		return err
	}
	defer card.away()
	if _, err := d.h.Screen(ctx, "insert_card"); err != nil {
		return err
	}
	if err := card.show(); err != nil {
		return err
	}
	name, err := d.h.Screen(ctx, ends...)
	if err != nil {
		return err
	}
	after, err := d.h.Agent.Journal().Last()
	if err == nil && (name != want || after.ID != before.ID || len(d.h.Host.Ledger()) != asked) {
		err = fmt.Errorf("it ended %s, last record %s, %d entries in the ledger instead of %d", name, after.ID, len(d.h.Host.Ledger()), asked)
	}
	return err
}
