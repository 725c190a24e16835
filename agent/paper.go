package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"posagent/agent/journal"
	"posagent/agent/operator"
	"posagent/agent/receipt"
	"posagent/drivers/board"
	"posagent/ota/wire"
)

// printTimeout bounds one copy: paper at 50 mm a second is out long before.
const printTimeout = 60 * time.Second

// maxCopies is the merchant's and the cardholder's.
const maxCopies = 2

// errNoPrinter reports a terminal without one.
var errNoPrinter = errors.New("no printer")

// copies says which copies a record gets on paper. A decline needs none; a
// transaction without an answer gives the cardholder the proof that it is undone.
func copies(rec journal.Record, configured uint8) []receipt.Copy {
	switch rec.State {
	case journal.Approved:
		all := []receipt.Copy{receipt.Merchant, receipt.Cardholder}
		return all[:min(int(configured), maxCopies)]
	case journal.Reversing, journal.Reversed:
		return []receipt.Copy{receipt.Cardholder}
	}
	return nil
}

// printRecord prints the copies of a new record.
func (a *Agent) printRecord(ctx context.Context, rec journal.Record) error {
	current := a.conf.Current()
	if current == nil {
		return errors.New("no configuration")
	}
	for _, c := range copies(rec, current.Receipt.Copies) {
		a.say("printing", operator.Busy)
		if err := a.printCopy(ctx, rec, c, int(rec.Copies[string(c)])); err != nil {
			return err
		}
		if rec.Copies == nil {
			rec.Copies = map[string]uint32{}
		}
		rec.Copies[string(c)]++
	}
	return nil
}

// printCopy prints one copy and marks it printed. reprint is how often this copy
// was printed before.
func (a *Agent) printCopy(ctx context.Context, rec journal.Record, c receipt.Copy, reprint int) error {
	dev := a.o.Parts.Printer
	if dev == nil {
		return fmt.Errorf("%w: %w", errNoPrinter, a.o.Parts.Missing[board.Printer])
	}
	current := a.conf.Current()
	lang := receipt.Both
	if current.Language == wire.English {
		lang = receipt.EN
	}
	doc, err := receipt.Compose(rec, header(current, 0), c, lang, reprint)
	if err != nil {
		return fmt.Errorf("compose %s copy: %w", c, err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), printTimeout)
	defer cancel()
	err = dev.Print(ctx, doc)
	a.mu.Lock()
	a.facts.paper = err == nil
	a.mu.Unlock()
	if err != nil {
		return fmt.Errorf("print %s copy: %w", c, err)
	}
	if err := a.journal.MarkPrinted(ctx, rec.ID, string(c)); err != nil {
		return fmt.Errorf("mark %s copy printed: %w", c, err)
	}
	return nil
}

// reprintLast prints the last record again, as its merchant copy.
func (a *Agent) reprintLast(ctx context.Context) {
	rec, err := a.journal.Last()
	if err != nil {
		a.say("last_none", operator.Bad)
		return
	}
	if err := a.reprint(ctx, rec); err != nil {
		a.log.Warn("not printed again", "stan", rec.STAN, "err", err)
		a.say("print_failed", operator.Bad)
		return
	}
	a.drainKeys()
	a.refresh()
}

func (a *Agent) reprint(ctx context.Context, rec journal.Record) error {
	a.say("printing", operator.Busy)
	return a.printCopy(ctx, rec, receipt.Merchant, max(1, int(rec.Copies[string(receipt.Merchant)])))
}

// lastLines describes the last record for the screen.
func (a *Agent) lastLines() []string {
	rec, err := a.journal.Last()
	if err != nil {
		return nil
	}
	lang := a.lane.menu.Lang
	lines := []string{
		operator.Text(lang, string(rec.Type)) + " " + rec.Currency.Symbol + rec.Amount.Format(rec.Currency),
		operator.Text(lang, "state_"+string(rec.State)),
		"STAN " + rec.STAN.String() + "  " + rec.Time.Format("01-02 15:04"),
	}
	if rec.MaskedPAN != "" {
		lines = append(lines, rec.MaskedPAN)
	}
	return lines
}
