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

// Outbox gives the journal's outbox as wire events.
type Outbox struct {
	journal Journal
	log     *slog.Logger
}

// New makes an outbox over a journal.
func New(j Journal, log *slog.Logger) *Outbox { return &Outbox{journal: j, log: log} }

// Signal tells that there is something new.
func (o *Outbox) Signal() <-chan struct{} { return o.journal.OutboxSignal() }

// Next gives at most max events, oldest first.
func (o *Outbox) Next(ctx context.Context, max int) ([]*wire.Event, error) {
	entries, err := o.journal.Outbox(ctx, max)
	if err != nil {
		return nil, fmt.Errorf("read outbox: %w", err)
	}
	events := make([]*wire.Event, 0, len(entries))
	for _, e := range entries {
		record, err := o.journal.Record(e.RecordID)
		if errors.Is(err, journal.ErrNotFound) {
			o.log.Error("outbox names a record that is not there", "id", e.ID)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read record of outbox: %w", err)
		}
		events = append(events, Event(e, record))
	}
	return events, nil
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

// Event draws the wire event of one outbox entry from its record. The state is
// the entry's, not the record's: a record that has gone on tells of each state.
func Event(e journal.OutboxEntry, r journal.Record) *wire.Event {
	event := &wire.Event{ID: eventID(e.ID), Schema: wire.EventSchema, Kind: wire.EventTransaction, RecordID: r.ID, LocalTime: r.Time}
	event.Transaction = &wire.TransactionEvent{
		Type: string(r.Type), State: e.Kind, Amount: int64(r.Amount), Currency: r.Currency.Numeric,
		MaskedPAN: r.MaskedPAN, EntryMode: string(r.Entry), STAN: r.STAN.String(), Batch: r.Batch.String(),
		RRN: string(r.RRN), ResponseCode: string(r.Code), AuthCode: string(r.AuthCode),
		TerminalID: string(r.TerminalID), MerchantID: string(r.MerchantID),
	}
	return event
}
