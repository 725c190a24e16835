package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"strings"
	"text/tabwriter"

	"posagent/agent/control"
	"posagent/agent/journal"
)

func (c *cli) status(ctx context.Context, args []string) error {
	if _, err := flags(flag.NewFlagSet("status", flag.ContinueOnError), args, 0); err != nil {
		return err
	}
	s, err := c.client.Status(ctx)
	if err != nil {
		return err
	}
	return c.showStatus(s)
}

func (c *cli) showStatus(s control.Status) error {
	if c.json {
		return c.print(s)
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	ready := "yes"
	if !s.Ready {
		ready = "no: " + s.Why
	}
	for _, row := range [][2]string{
		{"serial", s.Serial + "  (" + s.Model + ", version " + s.Version + ")"},
		{"state", s.State}, {"ready to sell", ready}, {"screen", s.Screen},
		{"terminal / merchant", s.TerminalID + " / " + s.MerchantID + "  " + s.Merchant},
		{"configuration", fmt.Sprintf("revision %d", s.Config)},
		{"host", yes(s.SignedIn, "signed in", "not signed in")}, {"fleet", yes(s.FleetOnline, "connected", "not connected")},
		{"batch", fmt.Sprintf("%s: %d sales, %s", s.Batch, s.Totals.SaleCount, s.Totals.SaleAmount.Format(s.Totals.Currency))},
		{"open reversals", fmt.Sprint(s.OpenReversals)}, {"unreported events", fmt.Sprint(s.Unreported)},
	} {
		fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
	}
	for _, p := range s.Parts {
		fmt.Fprintf(w, "part %s\t%s\n", p.Name, yes(p.OK, "fitted", p.Detail))
	}
	return w.Flush()
}

func yes(ok bool, a, b string) string {
	if ok {
		return a
	}
	return b
}

func (c *cli) activate(ctx context.Context, args []string) error {
	rest, err := flags(flag.NewFlagSet("activate", flag.ContinueOnError), args, 1)
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return useError{"activate takes the code"}
	}
	s, err := c.client.Activate(ctx, rest[0])
	if err != nil {
		return err
	}
	return c.showStatus(s)
}

func (c *cli) sale(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("sale", flag.ContinueOnError)
	id := fs.String("id", "", "")
	rest, err := flags(fs, args, 1)
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return useError{"sale takes an amount such as 12.34"}
	}
	if *id == "" {
		*id = rand.Text()
	}
	a, err := c.client.Sale(ctx, control.SaleRequest{RequestID: *id, Amount: rest[0]})
	var refused *control.Error
	switch {
	case errors.As(err, &refused):
		return err
	case err != nil: // the sale may be running all the same
		return fmt.Errorf("%w\nthe outcome is not known; ask with: terminalctl sale %s -id %s", err, rest[0], *id)
	}
	if c.json {
		err = c.print(a)
	} else {
		fmt.Fprintf(c.out, "%s: %s\n", a.Outcome, a.Text)
		if a.Duplicate {
			fmt.Fprintln(c.out, "this request was done before; nothing was sold again")
		}
		if a.Record != nil {
			c.showRecord(*a.Record)
		}
		if a.Detail != "" {
			fmt.Fprintln(c.out, "detail:", a.Detail)
		}
	}
	if err == nil && (a.Record == nil || a.Record.State != journal.Approved) {
		return errFailed
	}
	return err
}

func (c *cli) journal(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("journal", flag.ContinueOnError)
	n, state := fs.Uint("n", 20, ""), fs.String("state", "", "")
	rest, err := flags(fs, args, 2)
	if err != nil {
		return err
	}
	what := "list"
	if len(rest) > 0 {
		what = rest[0]
	}
	switch {
	case what == "list" && len(rest) <= 1 && *n <= 1000:
		return c.list(ctx, uint16(*n), *state)
	case what == "show" && len(rest) == 2:
		r, err := c.client.Record(ctx, rest[1])
		if err != nil {
			return err
		}
		return c.print(r)
	case what == "verify" && len(rest) == 1:
		return c.verify(ctx)
	}
	return useError{"journal takes list, show ID or verify"}
}

func (c *cli) list(ctx context.Context, n uint16, state string) error {
	records, err := c.client.Journal(ctx, n, state)
	if err != nil {
		return err
	}
	if c.json {
		return c.print(records)
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TIME\tSTAN\tTYPE\tAMOUNT\tSTATE\tCODE\tCARD\tRRN\tID")
	for _, r := range records {
		fmt.Fprintln(w, strings.Join([]string{r.Time.Format("01-02 15:04:05"), r.STAN.String(), string(r.Type), r.Amount.Format(r.Currency),
			string(r.State), string(r.Code), r.MaskedPAN, string(r.RRN), r.ID}, "\t"))
	}
	return w.Flush()
}

func (c *cli) showRecord(r journal.Record) {
	fmt.Fprintf(c.out, "%s %s %s  STAN %s  batch %s  %s  code %s  RRN %s  id %s\n", r.Type, r.Amount.Format(r.Currency), r.Currency.Alpha,
		r.STAN, r.Batch, r.State, r.Code, r.RRN, r.ID)
}

func (c *cli) verify(ctx context.Context) error {
	r, err := c.client.Verify(ctx)
	if err != nil {
		return err
	}
	if c.json {
		if err := c.print(r); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(c.out, "%d records, %d problems\n", r.Records, len(r.Problems))
		for _, p := range r.Problems {
			fmt.Fprintln(c.out, " ", p)
		}
	}
	if len(r.Problems) > 0 {
		return errFailed
	}
	return nil
}

func (c *cli) reprint(ctx context.Context, args []string) error {
	rest, err := flags(flag.NewFlagSet("reprint", flag.ContinueOnError), args, 1)
	if err != nil {
		return err
	}
	return c.client.Reprint(ctx, strings.Join(rest, ""))
}

func (c *cli) selftest(ctx context.Context, args []string) error {
	if _, err := flags(flag.NewFlagSet("selftest", flag.ContinueOnError), args, 0); err != nil {
		return err
	}
	parts, err := c.client.SelfTest(ctx)
	if err != nil {
		return err
	}
	failed := false
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	for _, p := range parts {
		failed = failed || !p.OK
		fmt.Fprintf(w, "%s\t%s\t%s\n", yes(p.OK, "ok", "FAIL"), p.Name, p.Detail)
	}
	if c.json {
		err = c.print(parts)
	} else {
		err = w.Flush()
	}
	if err == nil && failed {
		return errFailed
	}
	return err
}
