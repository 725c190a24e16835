package operator

import (
	"testing"

	"posagent/agent/payment"
)

// An amount whose last digits were refused is not sold: 50000.01 typed at a limit
// of 50000.00 must not become a sale of 5000.00.
func TestAmountOverTheLimit(t *testing.T) {
	m := NewMachine(English, payment.CNY, 5_000_000)
	m.Ready = true
	var act Act
	press := func(keys string) {
		for _, k := range keys {
			switch k {
			case 'E':
				m, act = m.Step(Press(KeyEnter))
			case 'C':
				m, act = m.Step(Press(KeyClear))
			default:
				m, act = m.Step(Press(Key(string(k))))
			}
		}
	}
	press("15000001E")
	if act.Kind == ActSale || m.State != StateAmount || len(m.View(Status{}).Lines) != 1 {
		t.Errorf("50000.01 and enter: %+v, %+v; want no sale and a line that says why", act, m)
	}
	press("2E")
	if act.Kind == ActSale {
		t.Errorf("another digit and enter: %+v; want no sale", act)
	}
	press("C5000000E")
	if act.Kind != ActSale || act.Amount != 5_000_000 {
		t.Errorf("cleared, then 50000.00 and enter: %+v", act)
	}
}
