package journal

// State says how far a transaction has come. The names are stored and promised
// to every later version.
//
//	   Begin
//	     |
//	     v
//	+---------+    Approve    +----------+
//	| pending |-------------->| approved |
//	+---------+               +----------+
//	 |  |  |       Decline    +----------+
//	 |  |  +----------------->| declined |
//	 |  |        NothingSent  +----------+
//	 |  +-------------------->| not_sent |
//	 |                        +----------+
//	 | Reverse  +-----------+ ReverseEnded  +----------+
//	 +--------->| reversing |-------------->| reversed |
//	            +-----------+               +----------+
//	              |       ^
//	              +-------+ Tried
//
// A pending record that the host may have seen is never forgotten: the only
// ways out are an answer, the certainty that nothing was sent, or a reversal
// that the host has accepted. A reversing record never leaves by itself.
type State string

// States of a record.
const (
	Pending   State = "pending"   // durable; the host may or may not have seen it
	Approved  State = "approved"  // money moved, card agreed
	Declined  State = "declined"  // the host or the card refused
	NotSent   State = "not_sent"  // certain that no byte left the terminal
	Reversing State = "reversing" // outcome unknown or refused after approval; to be undone
	Reversed  State = "reversed"  // the host accepted the reversal
)

// Event moves a record from one state to the next. The names are stored with
// each change and are promises.
type Event string

// Events of a record.
const (
	Approve      Event = "approve"
	Decline      Event = "decline"
	NothingSent  Event = "nothing_sent"
	Reverse      Event = "reverse"
	Tried        Event = "tried"         // a reversal was sent and not accepted
	ReverseEnded Event = "reverse_ended" // the host accepted the reversal
)

type transition struct {
	From  State
	Event Event
	To    State
}

var table = []transition{
	{Pending, Approve, Approved},
	{Pending, Decline, Declined},
	{Pending, NothingSent, NotSent},
	{Pending, Reverse, Reversing},
	{Reversing, Tried, Reversing},
	{Reversing, ReverseEnded, Reversed},
}

// next gives the state that follows s on e, and whether there is one.
func next(s State, e Event) (State, bool) {
	for _, t := range table {
		if t.From == s && t.Event == e {
			return t.To, true
		}
	}
	return s, false
}

// Known reports whether s is one of the promised names.
func (s State) Known() bool {
	switch s {
	case Pending, Approved, Declined, NotSent, Reversing, Reversed:
		return true
	}
	return false
}

// Open reports whether the outcome is still to come: the record keeps its
// sealed card number and its trace number may not be given away.
func (s State) Open() bool { return s == Pending || s == Reversing }
