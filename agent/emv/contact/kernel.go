package contact

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"posagent/agent/emv"
	"posagent/agent/emv/oda"
	"posagent/agent/emv/tlv"
	"posagent/agent/payment"
)

// A Kernel is the configuration of a contact level 2 kernel. It may be copied and used for one transaction after another;
// it keeps nothing between them. Hooks may be nil.
type Kernel struct {
	Terminal     emv.Terminal
	Applications []emv.Application // in the terminal's order; at most maxApplications
	CAPKs        emv.CAPKs
	Now          func() time.Time // nil: time.Now. The calendar, in the terminal's zone
	Rand         io.Reader        // nil: crypto/rand. Unpredictable number and random selection
	Trace        emv.Trace

	// ExceptionFile reports a card on the terminal's list of lost cards, Book 3, 10.6 (terminal exception file).
	ExceptionFile func(pan payment.PAN, sequence string) bool
	// RecentAmount is the sum of the log entries of the same card, which counts for the floor limit, Book 3, 10.6.1.
	RecentAmount func(pan payment.PAN, sequence string) payment.Amount
	// Revoked is the certification revocation list, Book 2, 5.1.2.
	Revoked func(rid emv.RID, index uint8, serial [3]byte) bool

	// CardTime is how long the card may take to answer everything, without the cardholder's and the host's time. 0:
	// DefaultCardTime.
	CardTime time.Duration
}

// Bounds of one card contact. They are several times what a real card needs; a card that exceeds one is at fault.
const (
	maxApplications = 64
	maxAPDUs        = 400      // 255 PSE records, 32 selections and 100 for the transaction
	maxCardBytes    = 64 << 10 // bytes of all responses

	// DefaultCardTime bounds the time spent waiting for the card in one transaction.
	DefaultCardTime = 30 * time.Second
)

// ErrConfiguration is the error of a kernel that cannot run; it is wrapped with the field.
var ErrConfiguration = errors.New("kernel configuration is not valid")

func (k *Kernel) validate(card emv.Card, dialogue emv.Dialogue) error {
	switch {
	case card == nil:
		return fmt.Errorf("%w: no card", ErrConfiguration)
	case dialogue == nil:
		return fmt.Errorf("%w: no dialogue", ErrConfiguration)
	case len(k.Applications) == 0 || len(k.Applications) > maxApplications:
		return fmt.Errorf("%w: %d applications", ErrConfiguration, len(k.Applications))
	}
	for i, a := range k.Applications {
		switch {
		case !a.AID.Valid():
			return fmt.Errorf("%w: applications[%d].aid has %d bytes", ErrConfiguration, i, len(a.AID))
		case a.TargetPercent > 99 || a.MaxTargetPercent > 99 || a.TargetPercent > a.MaxTargetPercent:
			return fmt.Errorf("%w: applications[%d].target_percent", ErrConfiguration, i)
		case a.Threshold < 0 || a.Threshold > a.FloorLimit:
			return fmt.Errorf("%w: applications[%d].threshold", ErrConfiguration, i)
		}
	}
	return k.Terminal.Validate()
}

// phase is where a session stands.
type phase uint8

const (
	running phase = iota
	waiting       // for the host
	ended
)

// A Session is one transaction with one card. It belongs to one goroutine.
type Session struct {
	kernel   Kernel
	tx       emv.Transaction
	now      time.Time
	card     *link
	dialogue emv.Dialogue
	phase    phase

	app    emv.Application // the terminal's entry of the selected application
	name   emv.AID         // DF name on the card
	fci    []byte
	store  emv.Store
	static []byte // static data to be authenticated, Book 3, 10.3
	broken bool   // a record listed for authentication was not a template 70

	pan      payment.PAN
	track2   payment.Track2
	sequence string
	pinBlock payment.PINBlock

	aip emv.AIP
	tvr emv.TVR
	tsi emv.TSI
	cvm emv.CVMResults

	bypassed bool // the cardholder has skipped a PIN entry
	opened   bool // an application has answered GET PROCESSING OPTIONS
	blocked  bool // SELECT has said that the card or an application in common is blocked

	method     odaMethod
	issuer     recoveredIssuer
	iccKey     oda.Key
	pdolData   []byte
	cdol1Data  []byte
	asked      emv.CryptogramType
	cryptogram emv.Cryptogram
	arc        emv.ARC
	scripts    []byte // results, five bytes each

	badSignature bool // a combined signature was sent and is wrong: keys that failed earlier are the action codes' matter
}

// String says where the session stands and nothing of the card.
func (s *Session) String() string {
	return "contact.Session " + [...]string{"running", "waiting for the host", "ended"}[s.phase]
}

// Format is String for every verb: fmt would print the fields of an unexported card number as they are.
func (s *Session) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// stop ends a transaction: it travels as an error inside the kernel and becomes the outcome.
type stop struct {
	kind   emv.Kind
	reason emv.Reason
	cause  error
}

func (s *stop) Error() string {
	if s.cause != nil {
		return fmt.Sprintf("%s, %s: %v", s.kind, s.reason, s.cause)
	}
	return fmt.Sprintf("%s, %s", s.kind, s.reason)
}

func (s *stop) Unwrap() error { return s.cause }

// terminate ends the transaction because of the card.
func terminate(reason emv.Reason, format string, args ...any) error {
	return &stop{emv.Terminated, reason, fmt.Errorf(format, args...)}
}

// step is one function of EMV Book 3, 10 or Book 1, 12.
type step struct {
	name string
	do   func(*Session, context.Context) error
}

// opening is the order of a transaction up to the first cryptogram. EMV 4.4 Book 3, 8.2 (figure 7).
var opening = []step{
	{"application selection", (*Session).openApplication},
	{"read application data", (*Session).readApplicationData},
	{"offline data authentication", (*Session).authenticateData},
	{"processing restrictions", (*Session).checkRestrictions},
	{"cardholder verification", (*Session).verifyCardholder},
	{"terminal risk management", (*Session).manageRisk},
	{"terminal action analysis", (*Session).analyseAction},
	{"first GENERATE AC", (*Session).firstCryptogram},
}

// Start runs a transaction up to its end or to the point where the host must be asked. The card has just been activated
// and its ATR has been accepted. An error means that the configuration or the transaction cannot be used, and no
// command was sent; whatever card, cardholder and context do is an Outcome. The session is nil with an error.
func (k Kernel) Start(ctx context.Context, card emv.Card, tx emv.Transaction, dialogue emv.Dialogue) (*Session, emv.Outcome, error) {
	if err := k.validate(card, dialogue); err != nil {
		return nil, emv.Outcome{}, fmt.Errorf("start contact transaction: %w", err)
	}
	if err := tx.Validate(); err != nil {
		return nil, emv.Outcome{}, fmt.Errorf("start contact transaction: %w", err)
	}
	if k.Now == nil {
		k.Now = time.Now
	}
	if k.Rand == nil {
		k.Rand = rand.Reader
	}
	if k.CardTime <= 0 {
		k.CardTime = DefaultCardTime
	}
	s := &Session{kernel: k, tx: tx, now: k.Now(), dialogue: dialogue}
	s.card = &link{card: card, left: k.CardTime, trace: k.Trace}
	var un [4]byte
	if _, err := io.ReadFull(k.Rand, un[:]); err != nil {
		return nil, emv.Outcome{}, fmt.Errorf("start contact transaction: draw unpredictable number: %w", err)
	}
	k.Terminal.Fill(&s.store)
	tx.Fill(&s.store, s.now, un)
	s.publish()
	return s, s.run(ctx, opening), nil
}

// run executes steps until one ends the transaction. The registers are published right after each step.
func (s *Session) run(ctx context.Context, steps []step) emv.Outcome {
	for _, st := range steps {
		err := st.do(s, ctx)
		s.publish()
		if s.kernel.Trace != nil {
			s.kernel.Trace(emv.StepEvent{Step: st.name, TVR: s.tvr, TSI: s.tsi})
		}
		if err != nil {
			return s.outcome(err)
		}
	}
	return s.outcome(&stop{emv.Terminated, emv.ReasonWrongState, errors.New("no step ended the transaction")})
}

// publish puts the registers into the store, where DOLs and DE 55 find them.
func (s *Session) publish() {
	s.store.Set(0x95, s.tvr[:], tlv.Terminal)
	s.store.Set(0x9B, s.tsi[:], tlv.Terminal)
	s.store.Set(0x9F34, s.cvm[:], tlv.Terminal)
}

// note traces a decision in words.
func (s *Session) note(format string, args ...any) {
	if s.kernel.Trace != nil {
		s.kernel.Trace(emv.NoteEvent{Text: fmt.Sprintf(format, args...)})
	}
}

// outcome turns what ended the transaction into the value for the caller.
func (s *Session) outcome(err error) emv.Outcome {
	var end *stop
	if !errors.As(err, &end) {
		end = &stop{emv.Terminated, emv.ReasonCardData, err}
	}
	s.phase = ended
	tags := emv.CompletionTags
	if end.kind == emv.Online {
		s.phase, tags = waiting, emv.OnlineTags
	}
	o := emv.Outcome{
		Kind: end.kind, Reason: end.reason, Cause: end.cause,
		AID: s.name, PAN: s.pan, PANSequence: s.sequence, Track2: s.track2, PINBlock: s.pinBlock,
		Cryptogram: s.cryptogram, CVM: s.cvm, TVR: s.tvr, TSI: s.tsi, ARC: s.arc,
		ScriptResults: s.scripts, Label: s.label(), Language: s.language(), Fallback: s.fallback(end),
	}
	if v, ok := s.store.Fixed(0x9F11, 1); ok && v[0] <= maxCodeTable {
		o.CodeTable = v[0]
	}
	if v, ok := s.store.Fixed(0x5F24, 3); ok {
		o.Expiry = fmt.Sprintf("%02X%02X", v[0], v[1])
	}
	if !s.pan.IsZero() {
		o.DE55 = emv.DE55(&s.store, tags)
	}
	if s.phase == ended {
		s.store.Wipe()
	}
	return o
}

// maxCodeTable is the last part of ISO/IEC 8859 that EMV uses. Book 4, 11.1.
const maxCodeTable = 10

// language is the cardholder's languages: one to four codes of two small letters. EMV 4.4 Book 4, 11.1.
func (s *Session) language() string {
	v, _ := s.store.Value(0x5F2D)
	if len(v) == 0 || len(v)%2 != 0 || len(v) > 8 {
		return ""
	}
	for _, c := range v {
		if c < 'a' || c > 'z' {
			return ""
		}
	}
	return string(v)
}

// fallback judges whether the magnetic stripe may stand in for the chip: only when the chip could not be used before any
// application was opened, and nobody refused or cancelled. EMV leaves the rest to the schemes.
func (s *Session) fallback(end *stop) bool {
	if s.opened || s.blocked || !s.kernel.Terminal.Capabilities.Has(emv.CapMagstripe) {
		return false
	}
	switch end.reason {
	case emv.ReasonCardMute, emv.ReasonCardData, emv.ReasonCardStatus, emv.ReasonNoApplication:
		return true
	}
	return false
}

// label is the application's name for screen and receipt: EMV 4.4 Book 4, 11.3. The preferred name needs a code table
// the terminal can print; table 1 is Latin.
func (s *Session) label() string {
	if t, ok := s.store.Fixed(0x9F11, 1); ok && t[0] == 1 {
		if v, ok := s.store.Value(0x9F12); ok {
			return printable(v)
		}
	}
	v, _ := s.store.Value(0x50)
	return printable(v)
}

// printable is ASCII text a card wrote, without what a printer or a screen could take for a command.
func printable(b []byte) string {
	out := make([]byte, 0, len(b))
	for _, c := range b {
		if c >= 0x20 && c < 0x7F {
			out = append(out, c)
		}
	}
	return string(out)
}
