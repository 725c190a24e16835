package vterm

import (
	"fmt"
	"slices"
	"time"

	"posagent/agent/emv/cardsim"
	"posagent/agent/journal"
	"posagent/agent/payment"
	"posagent/drivers/board/boardsim"
	"posagent/printer/thermal/thermalsim"
)

// maxLines bounds each table of the page.
const maxLines = 25

// Line is one transaction as terminal, host or fleet knows it. All three have the
// same columns, so that one sees at a glance whether they agree.
type Line struct {
	At     time.Time `json:"at"`
	STAN   string    `json:"stan"`
	Type   string    `json:"type"`   // "sale", ...
	Amount string    `json:"amount"` // formatted, with its sign of currency
	Card   string    `json:"card"`   // masked
	State  string    `json:"state"`  // stable name; the page has the words
	Note   string    `json:"note"`   // reference number, response code, reason
}

// Money formats minor units as the terminal does.
func Money(a payment.Amount, c payment.Currency) string { return c.Symbol + a.Format(c) }

func (p *Page) journalLines() ([]Line, error) {
	records, err := p.house.Terminal.Journal().List(journal.ListOptions{Limit: maxLines})
	if err != nil {
		return nil, fmt.Errorf("list journal: %w", err)
	}
	lines := make([]Line, len(records))
	for i, r := range records {
		lines[i] = Line{At: r.Time, STAN: r.STAN.String(), Type: string(r.Type), Amount: Money(r.Amount, r.Currency), Card: r.MaskedPAN, State: string(r.State)}
		switch {
		case r.Reason != "":
			lines[i].Note = string(r.Reason)
		case r.State == journal.Approved:
			lines[i].Note = string(r.RRN)
		default:
			lines[i].Note = string(r.Code)
		}
	}
	return lines, nil
}

// walletCard is a card as the page draws it.
type walletCard struct {
	Name   string `json:"name"`
	About  string `json:"about"`
	Label  string `json:"label"`
	Number string `json:"number"` // masked
}

func wallet() []walletCard {
	cards := []walletCard{}
	for _, name := range cardsim.Names() {
		p, err := cardsim.Load(name)
		if err != nil {
			continue // a test of its own package reads them all
		}
		app := p.Applications[0]
		c := walletCard{Name: name, About: p.About, Label: app.Label}
		if pan, err := payment.NewPAN(app.PAN); err == nil {
			c.Number = pan.Masked()
		}
		cards = append(cards, c)
	}
	slices.SortStableFunc(cards, func(a, b walletCard) int { return rank(a.Name) - rank(b.Name) })
	return cards
}

// first are the cards that lie on top of the wallet: those of an everyday sale.
var first = []string{"online-pin", "no-cvm", "dda-online"}

func rank(name string) int {
	if i := slices.Index(first, name); i >= 0 {
		return i
	}
	return len(first)
}

// paperSwitch takes the roll out of the printer and puts a new one in.
func paperSwitch(b *boardsim.Board) Switch {
	return Switch{Name: "paper", Choices: []string{"loaded", "out"},
		Choose: func(choice string) error {
			if choice == "out" {
				b.Paper.Load(0)
			} else {
				b.Paper.Load(thermalsim.MaxRoll)
			}
			return nil
		},
		Chosen: func() string {
			if b.Paper.PaperLeft() == 0 {
				return "out"
			}
			return "loaded"
		}}
}
