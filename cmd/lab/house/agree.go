package house

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"posagent/agent/acquirer/hostsim"
	"posagent/agent/journal"
	"posagent/agent/payment"
	"posagent/ota/wire"
)

// Agree compares the four accounts of what happened: the terminal's journal, the
// host's ledger, the events at the fleet and the text of the receipts. It gives
// every disagreement in words; nil means that all agree. It is for a terminal at
// rest, whose outbox is empty and whose receipts are all printed.
//
//   - journal and ledger: as AgreeLedger says
//   - journal and fleet: each record has the event of its state exactly once, with
//     equal amount, STAN and RRN; no event comes from elsewhere
//   - journal and paper: STAN, RRN and amount of each approved record stand
//     together on a receipt
//   - no event and no receipt shows more of a card than first six and last four
//     (PCI DSS 4.0, 3.4.1)
func Agree(records []journal.Record, ledger []hostsim.Entry, events []wire.Event, receipts []string) []string {
	all := AgreeLedger(records, ledger)
	all = append(all, agreeEvents(records, events)...)
	all = append(all, AgreeReceipts(records, receipts)...)
	for _, e := range events {
		text, err := json.Marshal(e)
		if err != nil {
			text = []byte(err.Error())
		}
		all = append(all, unmasked("event "+e.ID, string(text), records)...)
	}
	for i, text := range receipts {
		all = append(all, unmasked(fmt.Sprintf("receipt %d", i+1), text, records)...)
	}
	return all
}

// request is what makes a request one request at terminal and host.
type request struct {
	terminal payment.TerminalID
	batch    payment.Batch
	stan     payment.STAN
}

func (r request) String() string {
	return fmt.Sprintf("STAN %s of batch %s at terminal %s", r.stan, r.batch, r.terminal)
}

// AgreeLedger compares the journal of a terminal at rest with the host's ledger:
// approved is applied, with equal amount, RRN and authorisation code; declined is
// declined; a reversed record and one that was not sent have moved no money; no
// request is there twice; and no record is still open.
func AgreeLedger(records []journal.Record, ledger []hostsim.Entry) []string {
	var all []string
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	entries := map[request]hostsim.Entry{}
	for _, e := range ledger {
		key := request{e.Terminal, e.Batch, e.STAN}
		if _, twice := entries[key]; twice {
			say("%v: twice in the ledger", key)
		}
		entries[key] = e
	}
	known := map[request]bool{}
	for _, r := range records {
		key := request{r.TerminalID, r.Batch, r.STAN}
		if known[key] {
			say("%v: twice in the journal", key)
		}
		known[key] = true
		e, found := entries[key]
		if why := differ(r, e, found); why != "" {
			say("%v: %s", key, why)
		}
	}
	for _, e := range ledger {
		if key := (request{e.Terminal, e.Batch, e.STAN}); !known[key] {
			say("%v: the ledger says %s, the journal knows nothing of it", key, e.State)
		}
	}
	return all
}

// fits says what the ledger may hold for a record; "" stands for no entry. A
// reversed record may have been declined, its answer lost.
var fits = map[journal.State][]hostsim.State{
	journal.Approved: {hostsim.Applied},
	journal.Declined: {hostsim.Declined},
	journal.NotSent:  {""},
	journal.Reversed: {hostsim.Reversed, hostsim.Declined, ""},
}

func differ(r journal.Record, e hostsim.Entry, found bool) string {
	have := string(e.State)
	if !found {
		have = "nothing"
	}
	switch {
	case r.State.Open():
		return fmt.Sprintf("the journal says %s, which is no end", r.State)
	case !slices.Contains(fits[r.State], e.State):
		return fmt.Sprintf("the journal says %s, the ledger %s", r.State, have)
	case !found:
		return ""
	case r.Type != e.Type:
		return fmt.Sprintf("a %s in the journal, a %s in the ledger", r.Type, e.Type)
	case r.Amount != e.Amount:
		return fmt.Sprintf("amount %d in the journal, %d in the ledger", int64(r.Amount), int64(e.Amount))
	case r.MaskedPAN != e.PAN:
		return fmt.Sprintf("card %s in the journal, %s in the ledger", r.MaskedPAN, e.PAN)
	case r.State != journal.Approved:
		return ""
	case r.RRN != e.RRN:
		return fmt.Sprintf("RRN %q in the journal, %q in the ledger", r.RRN, e.RRN)
	case r.AuthCode != e.AuthCode:
		return fmt.Sprintf("authorisation %q in the journal, %q in the ledger", r.AuthCode, e.AuthCode)
	}
	return ""
}

func agreeEvents(records []journal.Record, events []wire.Event) []string {
	var all []string
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	byID := map[string]journal.Record{}
	for _, r := range records {
		byID[r.ID] = r
	}
	ids := map[string]bool{}
	told := map[string]int{} // record id -> events of its state
	for _, e := range events {
		if ids[e.ID] {
			say("event %s: twice at the fleet", e.ID)
		}
		ids[e.ID] = true
		if e.Kind != wire.EventTransaction || e.Transaction == nil {
			continue
		}
		r, ok := byID[e.RecordID]
		if !ok {
			say("event %s: of record %q, which the journal does not hold", e.ID, e.RecordID)
			continue
		}
		t := e.Transaction
		if t.State == string(r.State) {
			told[r.ID]++
		} else if !passed(r, t.State) {
			say("event %s: says %s, the journal %s", e.ID, t.State, r.State)
		}
		if t.Amount != int64(r.Amount) || t.STAN != r.STAN.String() || t.RRN != string(r.RRN) {
			say("event %s: amount %d, STAN %s, RRN %q; the journal has %d, %s, %q", e.ID, t.Amount, t.STAN, t.RRN,
				int64(r.Amount), r.STAN, r.RRN)
		}
	}
	for _, r := range records {
		if n := told[r.ID]; n != 1 && !r.State.Open() {
			say("STAN %s: %d events say that it is %s, want 1", r.STAN, n, r.State)
		}
	}
	return all
}

// passed reports whether the record went through a state on its way.
func passed(r journal.Record, state string) bool {
	return slices.ContainsFunc(r.Changes, func(c journal.Change) bool { return string(c.State) == state })
}

// AgreeReceipts wants STAN, RRN and amount of each approved record together on a
// receipt.
func AgreeReceipts(records []journal.Record, receipts []string) []string {
	var all []string
	for _, r := range records {
		on := func(text string) bool {
			return strings.Contains(text, r.STAN.String()) && strings.Contains(text, string(r.RRN)) &&
				strings.Contains(text, r.Amount.Format(r.Currency))
		}
		if r.State == journal.Approved && !slices.ContainsFunc(receipts, on) {
			all = append(all, fmt.Sprintf("STAN %s: no receipt shows it with RRN %s and %s", r.STAN, r.RRN, r.Amount.Format(r.Currency)))
		}
	}
	return all
}

// cardLike finds what looks like a masked card number.
var cardLike = regexp.MustCompile(`[0-9*]{12,19}`)

// unmasked finds card numbers in a text that show too much: a number with stars
// and more than first six and last four digits, or any more of the numbers that
// the records have masked, also if blanks stand between the digits.
func unmasked(where, text string, records []journal.Record) []string {
	var all []string
	for _, s := range cardLike.FindAllString(text, -1) {
		if !strings.Contains(s, "*") {
			continue
		}
		head, tail := strings.Index(s, "*"), len(s)-1-strings.LastIndex(s, "*")
		if head > 6 || tail > 4 || strings.Trim(s[head:len(s)-tail], "*") != "" {
			all = append(all, where+": shows more than first six and last four of a card")
		}
	}
	squeezed := strings.ReplaceAll(text, " ", "")
	seen := map[string]bool{}
	for _, r := range records {
		n := len(r.MaskedPAN)
		if n < 12 || seen[r.MaskedPAN] {
			continue
		}
		seen[r.MaskedPAN] = true
		open := regexp.MustCompile(fmt.Sprintf(`%s([0-9*]{%d})%s`, r.MaskedPAN[:6], n-10, r.MaskedPAN[n-4:]))
		for _, m := range append(open.FindAllStringSubmatch(text, -1), open.FindAllStringSubmatch(squeezed, -1)...) {
			if strings.Trim(m[1], "*") != "" {
				all = append(all, where+": shows digits of card "+r.MaskedPAN+" that belong under the mask")
				break
			}
		}
	}
	return all
}
