package transaction

import (
	"context"
	"log/slog"
	"time"

	"posagent/agent/acquirer"
	"posagent/agent/emv"
	"posagent/agent/emv/contact"
	"posagent/agent/emv/contactless"
	"posagent/agent/journal"
	"posagent/agent/operator"
	"posagent/agent/payment"
)

// Bounds of one transaction.
const (
	// insertTimeout is how long the terminal asks for a card.
	insertTimeout = 60 * time.Second
	// cardTimeout bounds everything between the card and the kernel before the
	// host is asked, PIN entry included.
	cardTimeout = 150 * time.Second
	// completeTimeout bounds the card's last words after the host has spoken.
	completeTimeout = 20 * time.Second
	// removeTimeout is how long the terminal asks for a card left in the slot.
	removeTimeout = 30 * time.Second
)

// Card is the contact reader. After Activate it is the emv.Card in the slot.
type Card interface {
	emv.Card
	Wait(ctx context.Context, present bool) error
	Present(ctx context.Context) (bool, error)
	Activate(ctx context.Context) error
	Deactivate() error
}

// PINPad takes a PIN. It yields an enciphered block or an outcome; dots is called
// with 0 when the pad is ready, then with the number of characters so far. Cancel
// and time-out of the cardholder are emv.ErrCancelled and emv.ErrTimeout. An error
// with a method KeyFault() string says that the pad has no key to encipher with.
type PINPad interface {
	// EnterPIN takes a PIN for the host.
	EnterPIN(ctx context.Context, pan payment.PAN, dots func(int)) (emv.PINOutcome, error)
	// OfflinePIN takes a PIN for the card, enciphered under the card's key.
	OfflinePIN(ctx context.Context, key emv.PINKey, challenge [8]byte, dots func(int)) (emv.OfflinePINOutcome, error)
}

// Host is the acquirer link.
type Host interface {
	SignIn(ctx context.Context, stan payment.STAN) (acquirer.SignInResult, error)
	Authorize(ctx context.Context, r payment.Request) (payment.Response, error)
	Reverse(ctx context.Context, r payment.Reversal) (payment.Response, error)
}

// Settings are what a transaction needs of the configuration in force. They are
// taken once, at its start.
type Settings struct {
	TerminalID payment.TerminalID
	MerchantID payment.MerchantID
	Currency   payment.Currency
	Max        payment.Amount // of one sale
	Operator   string         // two digits
	Kernel     *contact.Kernel
	// Contactless are the kernels for cards that are tapped; nil when none are. Its
	// UI hook is the runner's.
	Contactless *contactless.Config
	// SignInAfter is the age at which working keys are renewed; zero means only at
	// the start and when the host asks.
	SignInAfter time.Duration
}

// Runner runs transactions, one at a time.
type Runner struct {
	Journal *journal.Journal
	Host    Host
	Card    Card
	Field   Field // nil: cards are inserted only
	PIN     PINPad
	Desk    *operator.Desk
	// Print prints the copies of a record and marks them printed.
	Print func(ctx context.Context, r journal.Record) error
	Log   *slog.Logger
	Now   func() time.Time

	signedAt time.Time // of the last sign-in; zero when not signed in
	cardUsed bool      // the card of the last transaction may still be in the slot
	inField  FieldCard // the card of the last transaction, which may still lie on the reader
	stray    bool      // a record may be pending that no transaction is ending
	amount   string    // formatted amount of the running transaction

	tapConfig *contactless.Config // what tapReader was made of
	tapReader *contactless.Reader
}

// Amount is the formatted amount of the running transaction, or "".
func (r *Runner) Amount() string { return r.amount }

// SignedIn reports whether working keys are installed.
func (r *Runner) SignedIn() bool { return !r.signedAt.IsZero() }

// SignOff forgets the sign-in: the next transaction signs in anew. It is called
// when host or keys have changed.
func (r *Runner) SignOff() { r.signedAt = time.Time{} }

// Outcome is how a transaction ended.
type Outcome struct {
	// Name is stable and is the name of the screen that was shown: "approved",
	// "declined", "cancelled", "not_sent", "no_answer", "card_refused", ... "busy"
	// is a duplicate of a request that is being worked on: ask again.
	Name string
	// Record is the journal's record; its ID is empty if nothing was begun.
	Record journal.Record
	// Duplicate says that the request was done before; Record is what came of it.
	Duplicate bool
	// Err is what a technician wants to know; nil for ordinary ends.
	Err error
}

// Approved reports whether money moved and stays.
func (o Outcome) Approved() bool { return o.Record.State == journal.Approved }

// Duplicate is the outcome of a request that was done before.
func Duplicate(first journal.Record) Outcome {
	return Outcome{Name: nameOf(first), Record: first, Duplicate: true}
}

func (r *Runner) say(name string, tone operator.Tone, details ...string) {
	r.Desk.Say(name, tone, details...)
	r.Log.Debug("screen", "name", name)
}

// refuse ends a transaction that changed nothing.
func (r *Runner) refuse(name string, err error, details ...string) Outcome {
	r.say(name, operator.Bad, details...)
	r.Log.Info("transaction ended before the host", "outcome", name, "err", err)
	return Outcome{Name: name, Err: err}
}
