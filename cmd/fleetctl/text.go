package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"posagent/ota/fleet/console"
	"posagent/ota/fleet/enroll"
	"posagent/ota/fleet/store"
)

// show prints v as JSON, or text, unless there was an error.
func (c ctl) show(err error, v any, text string) error {
	if err != nil {
		return err
	}
	if !c.json {
		_, err = io.WriteString(c.out, text)
		return err
	}
	enc := json.NewEncoder(c.out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func (c ctl) code(code enroll.Code) string {
	return fmt.Sprintf("%s: type %s on the terminal before %s\n", code.Serial, code.Code, code.Expires.Local().Format("15:04:05"))
}

// table writes columns separated by tabs.
func table(head string, rows []string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, head)
	for _, row := range rows {
		fmt.Fprintln(w, row)
	}
	w.Flush() // into a strings.Builder: never fails
	return b.String()
}

func lines(list []console.Terminal) string {
	var rows []string
	for _, t := range list {
		online, reported := "offline", "-"
		if t.Online {
			online = "online"
		}
		if r := t.Reported; r != nil {
			reported = strings.TrimSpace(fmt.Sprintf("%d %s %s %s", r.Revision, r.State, r.Path, r.Reason))
		}
		rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s\t%d\t%s", t.Serial, t.Model, t.State, online, t.DesiredRevision, reported))
	}
	return table("SERIAL\tMODEL\tSTATE\tCONNECTION\tDESIRED\tREPORTED", rows)
}

func eventLines(list console.EventList) string {
	var rows []string
	for _, e := range list.Events {
		what := string(e.Event.Kind)
		if t := e.Event.Transaction; t != nil {
			what = fmt.Sprintf("%s %s %d %s\t%s\t%s", t.Type, t.State, t.Amount, t.Currency, t.MaskedPAN, t.STAN)
		} else if s := e.Event.Settlement; s != nil {
			what = fmt.Sprintf("settlement %s %d %s\t\t", s.Batch, s.DebitTotal, s.Currency)
		} else if d := e.Event.Device; d != nil {
			what = fmt.Sprintf("%s %s\t\t", d.Severity, d.Code)
		}
		rows = append(rows, fmt.Sprintf("%d\t%s\t%s\t%s", e.Number, e.Serial, e.Event.LocalTime.Format(time.DateTime), what))
	}
	return table("NO\tSERIAL\tTIME THERE\tWHAT\tCARD\tTRACE", rows)
}

// audit prints the whole trail, page by page.
func (c ctl) audit(ctx context.Context) error {
	var all console.AuditList
	for {
		page, err := c.Audit(ctx, uint64(len(all.Entries)), 0)
		if err != nil {
			return err
		}
		if len(page.Entries) == 0 {
			return c.show(nil, all, auditLines(all.Entries))
		}
		all.Entries = append(all.Entries, page.Entries...)
	}
}

func auditLines(list []store.AuditEntry) string {
	var rows []string
	for _, e := range list {
		rows = append(rows, fmt.Sprintf("%d\t%s\t%s\t%s\t%s\t%v", e.Seq, e.Time.Format(time.RFC3339), e.Actor, e.Action, e.Serial, e.Detail))
	}
	return table("SEQ\tTIME\tACTOR\tACTION\tSERIAL\tDETAIL", rows)
}
