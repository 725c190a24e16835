// Package telemetry turns the journal's outbox into events for the fleet.
//
// It derives and never invents: an event is drawn from the record that an outbox
// entry names, masked as the record is, and it leaves the outbox when the fleet
// has acknowledged it by id. An event the fleet refuses for good leaves it too,
// with a line in the log; the record itself stays in the journal.
//
// It is not a transport: agent/link asks it for the next events.
//
//	outbox := telemetry.New(journal, log)
//	link.New(link.Options{Outbox: outbox, ...})
//
// What survives a power cut: everything; the outbox is the journal's.
//
// # Decisions
//
// An entry that can never become an event must not keep the others waiting: one
// whose record is gone leaves with a line in the log. What the host wrote into
// its answer is told if it has the form it should have, and left out if not.
//
// The event's id is the outbox entry's id with its separator rewritten, because
// the wire allows no slash. The same entry always travels under the same id.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"posagent/agent/journal"
	"posagent/ota/wire"
)

// Journal is what telemetry needs of the journal.
type Journal interface {
	Outbox(ctx context.Context, max int) ([]journal.OutboxEntry, error)
	Acked(ctx context.Context, ids ...string) error
	OutboxSignal() <-chan struct{}
	Record(id string) (journal.Record, error)
}

// Outbox gives the journal's outbox as wire events. One goroutine uses it.
type Outbox struct {
	journal Journal
	log     *slog.Logger
	told    map[string]bool // entries the log has already heard of
}

// New makes an outbox over a journal.
func New(j Journal, log *slog.Logger) *Outbox {
	return &Outbox{journal: j, log: log, told: map[string]bool{}}
}

// Signal tells that there is something new.
func (o *Outbox) Signal() <-chan struct{} { return o.journal.OutboxSignal() }

// maxRead bounds how many entries one Next looks at when some tell nothing.
const maxRead = 256

// Next gives at most max events, oldest first. An entry whose record is damaged
// is passed over and stays.
func (o *Outbox) Next(ctx context.Context, max int) ([]*wire.Event, error) {
	entries, err := o.journal.Outbox(ctx, max)
	if err != nil {
		return nil, fmt.Errorf("read outbox: %w", err)
	}
	events, hopeless, skipped, err := o.draw(entries, max)
	if err == nil && skipped && len(entries) == max { // there may be others behind
		if entries, err = o.journal.Outbox(ctx, maxRead); err != nil {
			return nil, fmt.Errorf("read outbox: %w", err)
		}
		events, hopeless, _, err = o.draw(entries, max)
	}
	if err == nil && len(hopeless) > 0 {
		err = o.journal.Acked(ctx, hopeless...)
	}
	if err != nil {
		return nil, fmt.Errorf("draw events: %w", err)
	}
	return events, nil
}

// draw makes at most max events of entries. hopeless are the ids of those that
// will never be one; skipped reports that there were such, or damaged ones.
func (o *Outbox) draw(entries []journal.OutboxEntry, max int) (events []*wire.Event, hopeless []string, skipped bool, err error) {
	for _, e := range entries {
		if len(events) == max {
			break
		}
		record, err := o.journal.Record(e.RecordID)
		var event *wire.Event
		if err == nil {
			event = Event(e, record)
			err = event.Validate()
		}
		var damaged *journal.CorruptError
		switch {
		case err == nil:
			events = append(events, event)
			continue
		case errors.Is(err, journal.ErrNotFound), len(wire.FieldErrors(err)) > 0:
			hopeless = append(hopeless, e.ID)
		case errors.As(err, &damaged):
		default:
			return nil, nil, false, err
		}
		skipped = true
		if !o.told[e.ID] {
			o.told[e.ID] = true
			o.log.Error("event cannot be told", "id", e.ID, "err", err)
		}
	}
	return events, hopeless, skipped, nil
}

// Acked takes off what the fleet has stored, and what it refuses for good.
func (o *Outbox) Acked(ctx context.Context, ack *wire.Ack) error {
	ids := make([]string, 0, len(ack.IDs)+len(ack.Refused))
	for _, id := range ack.IDs {
		ids = append(ids, entryID(id))
	}
	for _, r := range ack.Refused {
		o.log.Error("fleet refuses an event for good", "id", r.ID, "path", r.Path, "reason", r.Reason)
		ids = append(ids, entryID(r.ID))
	}
	return o.journal.Acked(ctx, ids...)
}

// The journal separates record and state by a slash, the wire by a colon.
func eventID(entry string) string { return strings.ReplaceAll(entry, "/", ":") }
func entryID(event string) string { return strings.ReplaceAll(event, ":", "/") }

// Event draws the wire event of one outbox entry from its record. State and time
// are the entry's, not the record's: a record that has gone on tells of each state.
func Event(e journal.OutboxEntry, r journal.Record) *wire.Event {
	at := r.Entered(journal.State(e.Kind))
	if at.IsZero() {
		at = r.Time
	}
	event := &wire.Event{ID: eventID(e.ID), Schema: wire.EventSchema, Kind: wire.EventTransaction, RecordID: r.ID, LocalTime: at}
	event.Transaction = &wire.TransactionEvent{
		Type: string(r.Type), State: e.Kind, Amount: int64(r.Amount), Currency: r.Currency.Numeric,
		MaskedPAN: r.MaskedPAN, EntryMode: string(r.Entry), STAN: r.STAN.String(), Batch: r.Batch.String(),
		RRN: string(r.RRN), ResponseCode: string(r.Code), AuthCode: string(r.AuthCode),
		TerminalID: string(r.TerminalID), MerchantID: string(r.MerchantID),
	}
	for _, wrong := range wire.FieldErrors(event.Validate()) {
		switch wrong.Path {
		case "transaction.rrn":
			event.Transaction.RRN = ""
		case "transaction.response_code":
			event.Transaction.ResponseCode = ""
		case "transaction.auth_code":
			event.Transaction.AuthCode = ""
		}
	}
	return event
}
