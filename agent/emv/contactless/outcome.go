package contactless

import (
	"fmt"

	"posagent/agent/emv"
	"posagent/agent/payment"
)

// A Kind is an outcome of EMV Contactless Book A, 6.2, or Ready before the first tap.
type Kind string

// The outcomes.
const (
	Ready               Kind = "ready" // Start A is done: present the card
	Approved            Kind = "approved"
	Online              Kind = "online_request"
	Declined            Kind = "declined"
	TryAnotherInterface Kind = "try_another_interface"
	EndApplication      Kind = "end_application"
	SelectNext          Kind = "select_next" // stays inside the Entry Point
	TryAgain            Kind = "try_again"
)

// A Start is a restart point of the Entry Point. Book B, 2.1.
type Start string

// Restart points.
const (
	StartNone Start = ""
	StartA    Start = "A" // pre-processing
	StartB    Start = "B" // protocol activation: poll again
	StartC    Start = "C" // combination selection
	StartD    Start = "D" // kernel activation
)

// A CVM is the cardholder verification of an outcome. Book A, 6.2.
type CVM string

// Methods.
const (
	CVMNotApplicable CVM = ""
	CVMNone          CVM = "no_cvm"
	CVMSignature     CVM = "signature"
	CVMOnlinePIN     CVM = "online_pin"
	CVMOnDevice      CVM = "confirmation_code_verified" // by the consumer's device
)

// An Interface is an alternate interface preference.
type Interface string

// Interfaces.
const (
	AnyInterface     Interface = ""
	ContactInterface Interface = "contact"
)

// A Message is a user interface message identifier. Book A, 9.2 (EMV 4.4 Book 4, 11.2 below 14).
type Message byte

// Messages.
const (
	NoMessage           Message = 0x00
	MessageApproved     Message = 0x03
	MessageDeclined     Message = 0x07
	MessageEnterPIN     Message = 0x09
	MessageProcessing   Message = 0x16
	MessageRemoveCard   Message = 0x17 // card read OK
	MessagePresentCard  Message = 0x15
	MessageInsertSwipe  Message = 0x18
	MessageOneCardOnly  Message = 0x19
	MessageApprovedSign Message = 0x1A
	MessageAuthorising  Message = 0x1B
	MessageOtherCard    Message = 0x1C // insert, swipe or try another card
	MessageInsert       Message = 0x1D
	MessageSeePhone     Message = 0x20
	MessagePresentAgain Message = 0x21
)

// A Status is what lamps and sounds show. Book A, 9.3.
type Status byte

// Statuses.
const (
	NotReady        Status = 0
	Idle            Status = 1
	ReadyToRead     Status = 2
	Processing      Status = 3
	CardRead        Status = 4
	ProcessingError Status = 5
)

// A UIRequest is a user interface request. Its zero value asks for nothing.
type UIRequest struct {
	Message  Message
	Status   Status
	Hold     uint16 // units of 100 ms the message stays at least
	Language string // Language Preference of the card, two letters each, or empty
}

// An Outcome is a final or restart outcome with its parameters. Book A, 6.2, table 6-2.
type Outcome struct {
	Kind           Kind
	Start          Start
	CVM            CVM
	OnOutcome      UIRequest
	OnRestart      UIRequest
	Alternate      Interface
	Receipt        bool
	FieldOff       uint16          // units of 100 ms; 0 is N/A
	RemovalTimeout uint16          // units of 100 ms
	Record         []byte          // data objects of DE 55
	Discretionary  []byte          // data objects for the journal: no secret
	Balance        *payment.Amount // offline balance the card told
	Kernel         KernelID        // that came to this; 0 when none was activated
	Sale           emv.Outcome     // the same in the words of every kernel
}

// kinds are the outcomes in the words of every kernel.
var kinds = map[Kind]emv.Kind{
	Approved: emv.Approve, Online: emv.Online, Declined: emv.Decline, TryAnotherInterface: emv.NotAccepted,
	EndApplication: emv.Terminated, SelectNext: emv.NotAccepted, TryAgain: emv.TryAgain,
}

// Complete is the end of an Online outcome with the host's answer; the card is away. An answer that never came is a
// decline. Other outcomes are returned as they are. Book A, 6.3.
func (o Outcome) Complete(res emv.OnlineResult) Outcome {
	if o.Kind != Online {
		return o
	}
	o.Start, o.OnRestart = StartNone, UIRequest{}
	o.Sale.ARC = res.ARC
	switch {
	case res.UnableToGoOnline:
		o.Sale.ARC = emv.ARCUnableDeclined
		o.Kind, o.Sale.Reason = Declined, emv.ReasonUnableOnline
	case !res.ARC.Approved():
		o.Kind, o.Sale.Reason = Declined, emv.ReasonHostDeclined
	default:
		o.Kind, o.Sale.Reason = Approved, emv.ReasonNone
	}
	o.Sale.Kind = kinds[o.Kind]
	o.OnOutcome = resultMessage(o.Kind, o.CVM)
	return o
}

// resultMessage is what the cardholder sees of a decision. Book A, 9.2.
func resultMessage(k Kind, cvm CVM) UIRequest {
	switch k {
	case Approved:
		if cvm == CVMSignature {
			return UIRequest{Message: MessageApprovedSign, Status: CardRead}
		}
		return UIRequest{Message: MessageApproved, Status: CardRead}
	case Online:
		return UIRequest{Message: MessageAuthorising, Status: CardRead}
	case Declined:
		return UIRequest{Message: MessageDeclined, Status: CardRead}
	case TryAnotherInterface:
		return UIRequest{Message: MessageInsertSwipe, Status: ProcessingError}
	case EndApplication:
		return UIRequest{Message: MessageOtherCard, Status: ProcessingError}
	case TryAgain:
		return UIRequest{Message: MessagePresentAgain, Status: ProcessingError}
	}
	return UIRequest{}
}

// Times of outcomes, units of 100 ms.
const (
	fieldOffSeePhone = 13 // Book A: the telephone needs the field to be off to ask its holder
	removalTimeout   = 100
	holdSeePhone     = 13
)

// An end is how a kernel or the selection ended: it travels as an error inside the package.
type end struct {
	kind   Kind
	reason emv.Reason
	cause  error
	phone  bool // "see phone": the holder must act on the device
	cvm    CVM
}

func (e *end) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("%s, %s: %v", e.kind, e.reason, e.cause)
	}
	return fmt.Sprintf("%s, %s", e.kind, e.reason)
}

func (e *end) Unwrap() error { return e.cause }

// cardFault ends the application because of what the card sent.
func cardFault(format string, args ...any) error {
	return &end{kind: EndApplication, reason: emv.ReasonCardData, cause: fmt.Errorf(format, args...)}
}

func selectNext(reason emv.Reason, format string, args ...any) error {
	return &end{kind: SelectNext, reason: reason, cause: fmt.Errorf(format, args...)}
}
