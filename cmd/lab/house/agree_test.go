package house

import (
	"slices"
	"strings"
	"testing"

	"posagent/agent/acquirer/hostsim"
	"posagent/agent/journal"
	"posagent/agent/payment"
	"posagent/ota/wire"
)

// accounts are the four accounts of one house.
type accounts struct {
	records  []journal.Record
	ledger   []hostsim.Entry
	events   []wire.Event
	receipts []string
}

const (
	card    = "622609******0014"
	allCard = "6226090000000014"
)

func record(stan payment.STAN, state journal.State, through ...journal.State) journal.Record {
	r := journal.Record{ID: "record" + stan.String(), Seq: uint64(stan), State: state, Type: payment.Sale, Amount: 1234, Currency: payment.CNY,
		STAN: stan, Batch: 1, TerminalID: TerminalID, MaskedPAN: card}
	if state == journal.Approved {
		r.RRN, r.AuthCode = payment.RRN("120000"+stan.String()), payment.AuthCode(stan.String())
	}
	for _, s := range append(through, state) {
		r.Changes = append(r.Changes, journal.Change{State: s})
	}
	return r
}

func entry(r journal.Record, state hostsim.State) hostsim.Entry {
	return hostsim.Entry{Terminal: r.TerminalID, Batch: r.Batch, STAN: r.STAN, Type: r.Type, Amount: r.Amount, PAN: r.MaskedPAN,
		RRN: r.RRN, AuthCode: r.AuthCode, State: state}
}

func event(r journal.Record, state journal.State) wire.Event {
	return wire.Event{ID: r.ID + ":" + string(state), Kind: wire.EventTransaction, RecordID: r.ID, Transaction: &wire.TransactionEvent{
		Type: string(r.Type), State: string(state), Amount: int64(r.Amount), MaskedPAN: r.MaskedPAN, STAN: r.STAN.String(), RRN: string(r.RRN)}}
}

// agreeing gives a house of one record of each end: approved, declined, not
// sent, reversed, reversed before it came, reversed although declined.
func agreeing() accounts {
	var a accounts
	for i, row := range []struct {
		state journal.State
		at    hostsim.State
	}{{journal.Approved, hostsim.Applied}, {journal.Declined, hostsim.Declined}, {journal.NotSent, ""},
		{journal.Reversed, hostsim.Reversed}, {journal.Reversed, ""}, {journal.Reversed, hostsim.Declined}} {
		through := []journal.State{journal.Pending}
		if row.state == journal.Reversed {
			through = append(through, journal.Reversing)
		}
		r := record(payment.STAN(i+1), row.state, through...)
		a.records = append(a.records, r)
		if row.at != "" {
			a.ledger = append(a.ledger, entry(r, row.at))
		}
		if row.state == journal.Reversed {
			a.events = append(a.events, event(r, journal.Reversing))
		}
		a.events = append(a.events, event(r, row.state))
	}
	a.receipts = []string{"卡号 " + card + "\n凭证号 000001\n参考号 120000000001\nCNY 12.34\n", "CARD NO. ************0014 000001 120000000001 CNY 12.34"}
	return a
}

func TestAgree(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*accounts)
		want   string // in one of the disagreements; "" is none
	}{
		{"all agree", func(*accounts) {}, ""},
		{"nothing at all", func(a *accounts) { *a = accounts{} }, ""},
		{"approved, not at the host", func(a *accounts) { a.ledger = a.ledger[1:] }, "the journal says approved, the ledger nothing"},
		{"approved, reversed at the host", func(a *accounts) { a.ledger[0].State = hostsim.Reversed }, "the journal says approved, the ledger reversed"},
		{"approved, declined at the host", func(a *accounts) { a.ledger[0].State = hostsim.Declined }, "the journal says approved, the ledger declined"},
		{"declined, applied at the host", func(a *accounts) { a.ledger[1].State = hostsim.Applied }, "the journal says declined, the ledger applied"},
		{"declined, not at the host", func(a *accounts) { a.ledger = slices.Delete(a.ledger, 1, 2) }, "the journal says declined, the ledger nothing"},
		{"not sent, applied at the host", func(a *accounts) { a.ledger = append(a.ledger, entry(a.records[2], hostsim.Applied)) }, "the journal says not_sent, the ledger applied"},
		{"reversed, applied at the host", func(a *accounts) { a.ledger[2].State = hostsim.Applied }, "the journal says reversed, the ledger applied"},
		{"applied, not in the journal", func(a *accounts) {
			a.ledger = append(a.ledger, entry(record(99, journal.Approved), hostsim.Applied))
		}, "STAN 000099 of batch 000001 at terminal 10000001: the ledger says applied, the journal knows nothing of it"},
		{"another batch at the host", func(a *accounts) {
			a.ledger[1].Batch = 2
			a.records = slices.Delete(a.records, 1, 2)
			a.events = slices.Delete(a.events, 1, 2)
		}, "the journal knows nothing of it"},
		{"twice in the ledger", func(a *accounts) { a.ledger = append(a.ledger, a.ledger[0]) }, "twice in the ledger"},
		{"twice in the journal", func(a *accounts) {
			twin := a.records[0]
			twin.ID = "twin"
			a.records, a.events = append(a.records, twin), append(a.events, event(twin, twin.State))
		}, "twice in the journal"},
		{"pending at rest", func(a *accounts) { a.records[0].State = journal.Pending }, "the journal says pending, which is no end"},
		{"reversing at rest", func(a *accounts) { a.records[3].State = journal.Reversing }, "the journal says reversing, which is no end"},
		{"another type", func(a *accounts) { a.ledger[0].Type = payment.Refund }, "a sale in the journal, a refund in the ledger"},
		{"another amount", func(a *accounts) { a.ledger[0].Amount++ }, "amount 1234 in the journal, 1235 in the ledger"},
		{"another amount of a reversed one", func(a *accounts) { a.ledger[2].Amount++ }, "amount 1234 in the journal, 1235 in the ledger"},
		{"another card", func(a *accounts) { a.ledger[0].PAN = "622609******0015" }, "card 622609******0014 in the journal, 622609******0015"},
		{"another RRN", func(a *accounts) { a.ledger[0].RRN = "120000000002" }, `RRN "120000000001" in the journal, "120000000002"`},
		{"another authorisation", func(a *accounts) { a.ledger[0].AuthCode = "7" }, `authorisation "000001" in the journal, "7"`},

		{"event missing", func(a *accounts) { a.events = a.events[1:] }, "STAN 000001: 0 events say that it is approved, want 1"},
		{"only the event on the way", func(a *accounts) { a.events = slices.Delete(a.events, 4, 5) }, "STAN 000004: 0 events say that it is reversed, want 1"},
		{"event twice under two ids", func(a *accounts) {
			e := a.events[0]
			e.ID = "again"
			a.events = append(a.events, e)
		}, "STAN 000001: 2 events say that it is approved, want 1"},
		{"event twice on the way", func(a *accounts) { a.events = append(a.events, a.events[3]) }, "record000004:reversing: twice at the fleet"},
		{"event of another record", func(a *accounts) { a.events = append(a.events, event(record(99, journal.Approved), journal.Approved)) }, `of record "record000099", which the journal does not hold`},
		{"event with another state", func(a *accounts) {
			e := event(a.records[1], journal.Approved)
			a.events = append(a.events, e)
		}, "says approved, the journal declined"},
		{"event with another amount", func(a *accounts) { a.events[0].Transaction.Amount = 1 }, "amount 1, STAN 000001"},
		{"event with another STAN", func(a *accounts) { a.events[0].Transaction.STAN = "000009" }, "STAN 000009"},
		{"event with another RRN", func(a *accounts) { a.events[0].Transaction.RRN = "120000000009" }, `RRN "120000000009"`},

		{"no receipt", func(a *accounts) { a.receipts = nil }, "STAN 000001: no receipt shows it with RRN 120000000001 and 12.34"},
		{"receipt without RRN", func(a *accounts) { a.receipts = []string{"000001 12.34"} }, "no receipt shows it"},
		{"receipt without STAN", func(a *accounts) { a.receipts = []string{"120000-00-0001 12.34"} }, "no receipt shows it"},
		{"receipt with another amount", func(a *accounts) { a.receipts = []string{"000001 120000000001 12.35"} }, "no receipt shows it"},
		{"receipt in two halves", func(a *accounts) { a.receipts = []string{"000001 120000000001", "12.34"} }, "no receipt shows it"},

		{"card on a receipt", func(a *accounts) { a.receipts[0] += allCard }, "receipt 1: shows digits of card 622609******0014 that belong under the mask"},
		{"card with blanks", func(a *accounts) { a.receipts[1] += "6226 0900 0000 0014" }, "receipt 2: shows digits of card"},
		{"seven digits of the card", func(a *accounts) { a.receipts[0] += " 6226090*****0014" }, "receipt 1: shows more than first six and last four of a card"},
		{"five last digits of the card", func(a *accounts) { a.receipts[0] += " 622609*****00015" }, "receipt 1: shows more than first six and last four of a card"},
		{"a digit between the stars", func(a *accounts) { a.receipts[0] += " ***9**1****4**15" }, "receipt 1: shows more than first six and last four of a card"},
		{"card in an event", func(a *accounts) { a.events[0].Transaction.AuthCode = allCard }, "event record000001:approved: shows digits of card"},
		{"track in an event", func(a *accounts) { a.events[0].Transaction.AuthCode = allCard + "=30122010000" }, "event record000001:approved: shows digits of card"},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := agreeing()
			row.change(&a)
			got := Agree(a.records, a.ledger, a.events, a.receipts)
			if row.want == "" {
				if got != nil {
					t.Errorf("disagreements %q; want none", got)
				}
				return
			}
			if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, row.want) }) {
				t.Errorf("disagreements %q; want one with %q", got, row.want)
			}
		})
	}
}

// One thing wrong is said once, so that a person reads what is wrong and not a
// list.
func TestAgreeSaysItOnce(t *testing.T) {
	a := agreeing()
	a.ledger = a.ledger[1:]
	if got := Agree(a.records, a.ledger, a.events, a.receipts); len(got) != 1 {
		t.Errorf("disagreements %q; want one", got)
	}
}
