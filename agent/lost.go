package agent

import (
	"errors"
	"fmt"
	"io"

	"posagent/agent/operator"
	"posagent/agent/transaction"
	"posagent/drivers/board"
)

// lose notes that the port of a part is gone. Ports are opened at the start only,
// so that the part stays lost until then, and status and screen say so.
func (a *Agent) lose(p board.Part, err error) {
	a.log.Error("part lost: restart the terminal when it is back", "part", string(p), "err", err)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lost == nil {
		a.lost = map[board.Part]error{}
	}
	a.lost[p] = fmt.Errorf("lost, restart the terminal when it is back: %w", err)
	a.facts.ready, a.facts.why = false, operator.Text(operator.English, "part_missing")+": "+string(p) // until the lane learns it
}

// missing says why a part cannot be used; nil: as far as is known, it can.
func (a *Agent) missing(p board.Part) error {
	if err := a.o.Parts.Missing[p]; err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lost[p]
}

// noteLoss sees in a sale's end that the card reader's port is gone: nobody reads
// it between sales.
func (a *Agent) noteLoss(out transaction.Outcome) {
	if out.Name == "part_missing" && errors.Is(out.Err, io.EOF) && a.missing(board.ICC) == nil {
		a.lose(board.ICC, out.Err)
	}
}
