package wire

// State is where a terminal stands between the factory and the scrap heap. The names are stored and sent by both ends:
// they are promises and never change. Which event leads where is the business of agent/lifecycle and ota/fleet.
type State string

// Life-cycle states.
const (
	StateFactory          State = "FACTORY"           // storage empty, no key
	StateInitialised      State = "INITIALISED"       // key made, serial known
	StateApplied          State = "APPLIED"           // an application names this serial
	StateSubmitted        State = "SUBMITTED"         // papers handed in
	StateUnderReview      State = "UNDER_REVIEW"      // a reviewer has them
	StateRejected         State = "REJECTED"          // with reasons per document
	StateResubmitted      State = "RESUBMITTED"       // corrected papers handed in
	StateApproved         State = "APPROVED"          // bound to a merchant; a one-time code may be used
	StateAwaitingConfirm  State = "AWAITING_CONFIRM"  // the merchant must confirm the code on the screen
	StatePasswordsSet     State = "PASSWORDS_SET"     // login and transaction passwords are set
	StateTesting          State = "TESTING"           // device test and test sale
	StateActive           State = "ACTIVE"            // may sell
	StateSuspended        State = "SUSPENDED"         // no new sale; everything else goes on
	StateLocked           State = "LOCKED"            // maintenance
	StateChangingMerchant State = "CHANGING_MERCHANT" // between two merchants
	StateDeactivated      State = "DEACTIVATED"       // stopped; may apply again
	StateSwappedOut       State = "SWAPPED_OUT"       // replaced by another terminal
	StateRetired          State = "RETIRED"           // final
)

// States lists every state in the order of a terminal's life.
var States = []State{
	StateFactory, StateInitialised, StateApplied, StateSubmitted, StateUnderReview, StateRejected, StateResubmitted,
	StateApproved, StateAwaitingConfirm, StatePasswordsSet, StateTesting, StateActive, StateSuspended, StateLocked,
	StateChangingMerchant, StateDeactivated, StateSwappedOut, StateRetired,
}

// Known says whether s is one of States.
func (s State) Known() bool {
	for _, k := range States {
		if s == k {
			return true
		}
	}
	return false
}

// SuspendReason says why a terminal is SUSPENDED.
type SuspendReason string

// Reasons of suspension.
const (
	SuspendFees       SuspendReason = "fees"
	SuspendRisk       SuspendReason = "risk"
	SuspendInspection SuspendReason = "inspection"
	SuspendClone      SuspendReason = "clone"
	SuspendLost       SuspendReason = "lost"
)
