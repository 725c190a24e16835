package judge

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"posagent/agent/emv"
)

// A Match says how a command must resemble the recorded one. Le never counts.
type Match string

// The ways to match, from the strictest.
const (
	MatchExact  Match = "exact"  // the next command, byte for byte
	MatchHeader Match = "header" // the next command, by CLA INS P1 P2; a SELECT must also name the same file
	MatchINS    Match = "ins"    // the next command, by INS
	MatchAny    Match = "any"    // the recorded command that fits best, in any order; what was not recorded is "not found"
)

// Matches lists the ways to match.
var Matches = []Match{MatchExact, MatchHeader, MatchINS, MatchAny}

// ErrMismatch is wrapped by every *MismatchError.
var ErrMismatch = errors.New("command is not the recorded one")

// A MismatchError is a command that the script does not answer.
type MismatchError struct {
	Line   uint32 // of the recorded command; 0 at the script's end
	Wanted string // masked hexadecimal; empty at the script's end
	Got    string // masked hexadecimal
}

func (e *MismatchError) Error() string {
	if e.Line == 0 {
		return "the script has ended; got " + e.Got
	}
	return fmt.Sprintf("script line %d: wanted %s, got %s", e.Line, e.Wanted, e.Got)
}

func (e *MismatchError) Unwrap() error { return ErrMismatch }

// ErrSilent is what a replayed card gives where the recorded card did not answer.
var ErrSilent = errors.New("the recorded card did not answer")

// A Replay is a card that gives recorded answers. It belongs to one goroutine. Make one with Script.Card.
type Replay struct {
	script   []Exchange
	match    Match
	next     int
	used     []bool
	mismatch *MismatchError
	mask     masker
	made     uint32 // answers "not found" that no recording holds
}

// Card makes a card of the script.
func (s Script) Card(match Match) *Replay {
	return &Replay{script: s.Exchanges, match: match, used: make([]bool, len(s.Exchanges))}
}

// Mismatch is the first command that the script did not answer, or nil.
func (r *Replay) Mismatch() *MismatchError { return r.mismatch }

// Unused is the number of recorded exchanges that nobody asked for.
func (r *Replay) Unused() uint32 {
	n := uint32(0)
	for _, u := range r.used {
		if !u {
			n++
		}
	}
	return n
}

// Transmit implements emv.Card. The error is a *MismatchError or ErrSilent.
func (r *Replay) Transmit(ctx context.Context, capdu []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	got := r.mask.command(capdu)
	i, ok := r.find(capdu)
	if !ok {
		if sw, known := notRecorded(capdu); known && r.match == MatchAny {
			r.made++
			return []byte{byte(sw >> 8), byte(sw)}, nil
		}
		return nil, r.refuse(got)
	}
	r.used[i] = true
	r.next = i + 1
	if len(r.script[i].Response) == 0 {
		return nil, ErrSilent
	}
	if data, _, err := emv.ParseResponse(r.script[i].Response); err == nil {
		r.mask.learn(data)
	}
	return r.script[i].Response, nil
}

func (r *Replay) find(capdu []byte) (int, bool) {
	if r.match != MatchAny {
		ok := r.next < len(r.script) && resembles(r.match, r.script[r.next].Command, capdu)
		return r.next, ok
	}
	for _, m := range []Match{MatchExact, MatchHeader} {
		for step := range r.script { // forward from here, then from the beginning
			i := (r.next + step) % len(r.script)
			if !r.used[i] && resembles(m, r.script[i].Command, capdu) {
				return i, true
			}
		}
	}
	for i, e := range r.script { // a card selects by the beginning of a name: EMV 4.4 Book 1, 12.3.1
		if partialSelect(e.Command, capdu) {
			return i, true
		}
	}
	for i, e := range r.script { // a card answers a repeated read again
		if ins := e.Command[1]; ins != emv.InsGenerateAC && resembles(MatchExact, e.Command, capdu) {
			return i, true
		}
	}
	return 0, false
}

func (r *Replay) refuse(got string) error {
	e := &MismatchError{Got: got}
	if r.next < len(r.script) {
		at := r.script[r.next]
		wanted := r.mask // the recorded command, as if it came now
		if r.mask.acs > 0 && at.Command[1] == emv.InsGenerateAC {
			wanted.acs--
		}
		e.Line, e.Wanted = at.Line, wanted.command(at.Command)
	}
	if r.mismatch == nil {
		r.mismatch = e
	}
	return e
}

// resembles compares two commands.
func resembles(m Match, recorded, got []byte) bool {
	a, err1 := emv.ParseCommand(recorded)
	b, err2 := emv.ParseCommand(got)
	if err1 != nil || err2 != nil {
		return bytes.Equal(recorded, got)
	}
	switch {
	case m == MatchINS:
		return a.INS == b.INS
	case a.CLA != b.CLA || a.INS != b.INS || a.P1 != b.P1 || a.P2 != b.P2:
		return false
	case m == MatchHeader && a.INS != emv.InsSelect:
		return true
	}
	return bytes.Equal(a.Data, b.Data)
}

// partialSelect reports a SELECT of the first file whose name begins as the recorded one does.
func partialSelect(recorded, got []byte) bool {
	a, err1 := emv.ParseCommand(recorded)
	b, err2 := emv.ParseCommand(got)
	return err1 == nil && err2 == nil && a.INS == emv.InsSelect && b.INS == emv.InsSelect && b.P2&0x03 == 0 &&
		len(b.Data) >= emv.MinAID && len(b.Data) < len(a.Data) && bytes.HasPrefix(a.Data, b.Data)
}

// notRecorded is how a card says that it does not have what was asked for. EMV 4.4 Book 1, 11 and Book 3, 6.5.
func notRecorded(capdu []byte) (emv.SW, bool) {
	if len(capdu) < 4 {
		return 0, false
	}
	switch capdu[1] {
	case emv.InsSelect:
		return emv.SWNotFound, true
	case emv.InsReadRecord:
		return emv.SWNoRecord, true
	case emv.InsGetData:
		return emv.SWNoData, true
	}
	return 0, false
}

// AddScript remarks what a replayed script had left.
func (r *Report) AddScript(card *Replay) {
	if n := card.Unused(); n > 0 {
		r.Remarks = append(r.Remarks, fmt.Sprintf("%d of %d recorded exchanges were not used", n, len(card.script)))
	}
	if card.made > 0 {
		r.Remarks = append(r.Remarks, fmt.Sprintf("%d commands were not recorded and answered with \"not found\"", card.made))
	}
}
