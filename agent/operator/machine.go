package operator

import (
	"strings"
	"time"

	"posagent/agent/payment"
)

// State is where the cashier is in the menu.
//
//	       1 (ready)        digits, clear
//	idle ------------> amount ---+
//	 ^  ^                |  |    |
//	 |  +-- cancel, time-+  +<---+
//	 |      out             enter -> ActSale
//	 +-- cancel, time out -- last <-- 4
//	                          enter -> ActReprint
type State string

// States of the menu.
const (
	StateIdle   State = "idle"
	StateAmount State = "amount"
	StateLast   State = "last"
)

// IdleAfter is how long the menu waits for the next key before it goes back to
// the idle screen: long enough to look for a price, short enough that the next
// customer never finds an old amount.
const IdleAfter = 60 * time.Second

// Event is a key press or the passing of IdleAfter.
type Event struct {
	Key     Key
	Timeout bool
}

// Press is the event of a key.
func Press(k Key) Event { return Event{Key: k} }

// ActKind says what the cashier asked for.
type ActKind string

// What a step can ask the terminal to do.
const (
	ActNone    ActKind = ""
	ActSale    ActKind = "sale"
	ActLast    ActKind = "last"    // fetch the last record for the screen
	ActReprint ActKind = "reprint" // print the last record again
)

// Act is one request of the cashier.
type Act struct {
	Kind   ActKind
	Amount payment.Amount
}

// Machine is the menu as a value: Step gives a new one and changes nothing.
type Machine struct {
	State    State
	Lang     Lang
	Currency payment.Currency
	Max      payment.Amount // largest amount of one sale; 0 means MaxAmount
	Ready    bool           // new sales are allowed
	NotReady string         // why not, in the machine's language
	Digits   string         // amount entry, minor units
	Last     []string       // the last transaction, as lines
	over     bool           // a digit was refused: what stands there is not what was typed
	notice   string         // one-step remark under the entry
}

// NewMachine gives a machine on its idle screen.
func NewMachine(lang Lang, currency payment.Currency, limit payment.Amount) Machine {
	return Machine{State: StateIdle, Lang: lang, Currency: currency, Max: limit}
}

// Step takes one event and gives the next machine and what is to be done.
// Unknown keys change nothing.
func (m Machine) Step(e Event) (Machine, Act) {
	m.notice = ""
	if e.Timeout || e.Key == KeyCancel {
		return m.idle(), Act{}
	}
	switch m.State {
	case StateAmount:
		return m.stepAmount(e.Key)
	case StateLast:
		if e.Key == KeyEnter && len(m.Last) > 0 {
			return m.idle(), Act{Kind: ActReprint}
		}
		return m, Act{}
	default:
		return m.stepIdle(e.Key)
	}
}

func (m Machine) idle() Machine {
	m.State, m.Digits, m.Last, m.over, m.notice = StateIdle, "", nil, false, ""
	return m
}

func (m Machine) stepIdle(k Key) (Machine, Act) {
	switch k {
	case Key1:
		if m.Ready {
			m.State = StateAmount
		}
	case Key4:
		m.State = StateLast
		return m, Act{Kind: ActLast}
	case KeyFunc:
		m.Lang = m.Lang.Other()
	}
	return m, Act{}
}

func (m Machine) stepAmount(k Key) (Machine, Act) {
	if d, ok := k.Digit(); ok {
		next := strings.TrimLeft(m.Digits+string(d), "0")
		amount, err := payment.ParseMinor("0" + next)
		if m.over || len(next) > 11 || err != nil || amount > m.limit() {
			return m.tooLarge(), Act{}
		}
		m.Digits = next
		return m, Act{}
	}
	switch k {
	case KeyClear:
		m.Digits, m.over = "", false
	case KeyEnter:
		if m.over {
			return m.tooLarge(), Act{}
		}
		amount, err := payment.ParseMinor("0" + m.Digits)
		if err != nil || amount == 0 {
			m.notice = Text(m.Lang, "amount_zero")
			return m, Act{}
		}
		return m.idle(), Act{Kind: ActSale, Amount: amount}
	}
	return m, Act{}
}

// tooLarge refuses a digit, and every key after it until the entry is cleared:
// without its last digits an amount is another amount.
func (m Machine) tooLarge() Machine {
	m.over, m.notice = true, Text(m.Lang, "amount_too_large", m.limit().Format(m.Currency))
	return m
}

func (m Machine) limit() payment.Amount {
	if m.Max <= 0 || m.Max > payment.MaxAmount {
		return payment.MaxAmount
	}
	return m.Max
}

// View gives the screen of the machine's state.
func (m Machine) View(status Status) Screen {
	s := Screen{Name: string(m.State), Lang: m.Lang, Tone: Calm, Dots: -1, Status: status}
	switch m.State {
	case StateAmount:
		amount, _ := payment.ParseMinor("0" + m.Digits) // Step keeps Digits an amount
		s.Title, s.Hint = Text(m.Lang, "sale"), Text(m.Lang, "amount_hint")
		s.Amount = m.Currency.Symbol + amount.Format(m.Currency)
		if m.notice != "" {
			s.Lines = []string{m.notice}
		}
	case StateLast:
		s.Title, s.Lines, s.Hint = Text(m.Lang, "last"), m.Last, Text(m.Lang, "last_hint")
		if len(m.Last) == 0 {
			s.Lines, s.Hint = []string{Text(m.Lang, "last_none")}, Text(m.Lang, "back_hint")
		}
	default:
		s.Title, s.Hint = Text(m.Lang, "idle"), Text(m.Lang, "idle_hint")
		s.Choices = []Choice{{Key1, Text(m.Lang, "sale")}, {Key4, Text(m.Lang, "query")}, {KeyFunc, Text(m.Lang, "language")}}
		if !m.Ready {
			s.Tone, s.Choices = Bad, s.Choices[1:]
			s.Lines = []string{m.NotReady}
			s.Hint = Text(m.Lang, "not_ready_hint")
		}
	}
	return s
}
