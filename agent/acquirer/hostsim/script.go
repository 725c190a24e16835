package hostsim

import (
	"fmt"
	"time"

	"posagent/agent/payment"
)

// Kind is what the host does with a request.
type Kind string

// Kinds of action. All but Decline, Lose and CloseBefore let the request have its
// effect; what differs is the answer.
const (
	Approve     Kind = "approve"      // the zero Action too
	Decline     Kind = "decline"      // answer Code, no effect
	Lose        Kind = "lose"         // as if the request had never come
	CloseBefore Kind = "close_before" // hang up, no effect
	Drop        Kind = "drop"         // no answer
	CloseAfter  Kind = "close_after"  // hang up instead of answering
	Delay       Kind = "delay"        // answer after Action.Delay, and read nothing until then
	Late        Kind = "late"         // answer after Action.Delay while going on; with no delay, just before the terminal's next answer
	Duplicate   Kind = "duplicate"    // answer twice
	WrongMAC    Kind = "wrong_mac"    // flip a bit of field 64
	NoMAC       Kind = "no_mac"       // leave field 64 out
	ForgeSTAN   Kind = "forge_stan"   // answer with the next trace number and a right MAC
	Truncate    Kind = "truncate"     // a frame that is whole around a message cut short
	Cut         Kind = "cut"          // half a frame, then hang up
	Garbage     Kind = "garbage"      // bytes that are no frame
	Dribble     Kind = "dribble"      // one byte at a time, Action.Delay between them
)

var kinds = []Kind{
	Approve, Decline, Lose, CloseBefore, Drop, CloseAfter, Delay, Late,
	Duplicate, WrongMAC, NoMAC, ForgeSTAN, Truncate, Cut, Garbage, Dribble,
}

// Action is one decision about one request.
type Action struct {
	Kind  Kind
	Code  payment.ResponseCode // for Decline; empty: 05
	Delay time.Duration
}

// Request is what a script sees.
type Request struct {
	MTI         string
	Transaction string // the profile's name: "sale", "sign_in", ...; empty if unknown
	Reversal    bool
	Terminal    payment.TerminalID
	Merchant    payment.MerchantID
	Batch       payment.Batch
	STAN        payment.STAN
	Amount      payment.Amount
	PAN         payment.PAN
	EntryMode   string // field 22
	HasPIN      bool
	HasICC      bool
}

// Rule is an action for the next requests of a kind, as a second process posts
// it. Zero values match everything, an empty MTI stands for 0200.
type Rule struct {
	Action  Kind                 `json:"action"`
	Code    payment.ResponseCode `json:"code,omitempty"`
	DelayMS uint32               `json:"delay_ms,omitempty"`
	MTI     string               `json:"mti,omitempty"`
	Amount  payment.Amount       `json:"amount,omitempty"`
	Times   uint32               `json:"times,omitempty"` // how many requests; zero: one
}

// maxRules bounds what may wait to be matched.
const maxRules = 1024

// Post adds a rule behind those that wait. Rules are asked before the script.
func (h *Host) Post(r Rule) error {
	known := false
	for _, k := range kinds {
		known = known || k == r.Action
	}
	if !known {
		return fmt.Errorf("hostsim: action %q is unknown", r.Action)
	}
	if len(r.Code) != 0 && len(r.Code) != 2 {
		return fmt.Errorf("hostsim: code %q is not two characters", r.Code)
	}
	if r.MTI == "" {
		r.MTI = "0200"
	}
	if r.Times == 0 {
		r.Times = 1
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.rules) >= maxRules {
		return fmt.Errorf("hostsim: %d rules wait already", maxRules)
	}
	h.rules = append(h.rules, r)
	return nil
}

// decide finds the action for a request. The caller holds the lock.
func (h *Host) decide(r Request) Action {
	for i := range h.rules {
		rule := &h.rules[i]
		if rule.MTI != r.MTI || rule.Amount != 0 && rule.Amount != r.Amount {
			continue
		}
		a := Action{rule.Action, rule.Code, time.Duration(rule.DelayMS) * time.Millisecond}
		if rule.Times--; rule.Times == 0 {
			h.rules = append(h.rules[:i], h.rules[i+1:]...)
		}
		return a.filled()
	}
	if h.script == nil {
		return Action{Kind: Approve}
	}
	return h.script(r).filled()
}

func (a Action) filled() Action {
	if a.Kind == "" {
		a.Kind = Approve
	}
	if a.Kind == Decline && a.Code == "" {
		a.Code = "05"
	}
	return a
}
