package iccsim

import (
	"context"
	"errors"
	"io"
	"math/bits"
	"sync"
	"time"

	"periph.io/x/conn/v3/gpio"

	"posagent/drivers/bussim"
	"posagent/drivers/icc"
)

// Opts are the options of a Slot.
type Opts struct {
	// Name is the prefix of the pins' names.
	Name string
	// ETU is the card's bit time, 372 cycles of its clock. 0 means those of
	// 3,579,545 Hz.
	ETU time.Duration
	// Incoming says whether a command carries data to the card in T=0. nil
	// knows the commands of EMV and ISO/IEC 7816-4.
	Incoming func(cla, ins byte) bool
	// SingleByte makes T=0 procedure bytes ~INS: one byte at a time.
	SingleByte bool
	// Echo makes the slot send back what it hears, for wires that do not echo
	// by themselves (a pseudo-terminal).
	Echo bool
}

// Slot is the contacts of a card slot: I/O is the wire that it serves, RST, VCC
// and the card switch are pins.
type Slot struct {
	// Reset and Power are driven by the terminal, Present by the slot: high with a
	// card in.
	Reset, Power, Present *bussim.Pin

	opts Opts
	kick chan struct{}

	mu     sync.Mutex // guards what follows
	card   Card
	faults Faults
	gen    uint64 // counts resets, power cuts, insertions and removals
	parity uint32
	sent   uint32
	heard  uint32
}

// NewSlot makes an empty slot; nil opts are the defaults.
func NewSlot(opts *Opts) *Slot {
	s := &Slot{kick: make(chan struct{}, 1)}
	if opts != nil {
		s.opts = *opts
	}
	if s.opts.Incoming == nil {
		s.opts.Incoming = incoming
	}
	if s.opts.ETU == 0 {
		s.opts.ETU = 103_924 * time.Nanosecond
	}
	s.Reset = bussim.NewPin(s.opts.Name + "RST")
	s.Power = bussim.NewPin(s.opts.Name + "VCC")
	s.Present = bussim.NewPin(s.opts.Name + "PRESENT")
	s.Present.Drive(gpio.Low)
	s.Reset.Watch(func(gpio.Level) { s.changed(nil) })
	s.Power.Watch(func(gpio.Level) { s.changed(nil) })
	return s
}

// changed starts a new generation after f.
func (s *Slot) changed(f func()) {
	s.mu.Lock()
	if f != nil {
		f()
	}
	s.gen++
	s.mu.Unlock()
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// Insert puts c into the slot.
func (s *Slot) Insert(c Card) {
	s.changed(func() { s.card = c })
	s.Present.Drive(gpio.High)
}

// Remove takes the card out, whatever it is doing.
func (s *Slot) Remove() {
	s.Present.Drive(gpio.Low)
	s.changed(func() { s.card = nil })
}

// SetFaults replaces the faults and begins to count characters anew.
func (s *Slot) SetFaults(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults, s.sent, s.heard = f, 0, 0
}

// ParityErrors is the number of characters that reached the terminal with wrong
// parity.
func (s *Slot) ParityErrors() (uint32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.parity, nil
}

// Characters is how many the card sent and heard since the last SetFaults.
func (s *Slot) Characters() (sent, heard uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent, s.heard
}

// session is one life of a card between reset and reset.
type session struct {
	s       *Slot
	ctx     context.Context
	wire    io.Writer
	rx      <-chan byte
	gen     uint64
	card    Card
	inverse bool
	cwt     time.Duration
}

var (
	errOver  = errors.New("reset, no power, or no card")
	errEnded = errors.New("wire ended")
	errLate  = errors.New("character too late")
)

// Serve plays the card on wire until it ends or ctx does; both return nil.
func (s *Slot) Serve(ctx context.Context, wire io.ReadWriter) error {
	rx, stop := pump(ctx, wire)
	defer stop()
	for {
		n := s.begin()
		if n == nil { // not powered, in reset or empty
			select {
			case <-ctx.Done():
				return nil
			case <-s.kick:
			case _, ok := <-rx:
				if !ok {
					return nil
				}
			}
			continue
		}
		n.ctx, n.wire, n.rx = ctx, wire, rx
		if err := n.run(); errors.Is(err, errEnded) || ctx.Err() != nil {
			return nil
		}
	}
}

// begin returns a new session when the card has power and no reset. The
// generation is taken before the levels are read, so that a change in between
// ends the session at once.
func (s *Slot) begin() *session {
	s.mu.Lock()
	gen, card := s.gen, s.card
	s.mu.Unlock()
	if card == nil || !s.Power.Level() || !s.Reset.Level() {
		return nil
	}
	card.Reset()
	return &session{s: s, gen: gen, card: card}
}

// plan is the faults in force.
func (s *Slot) plan() Faults {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults
}

// run sends the answer to reset and speaks its protocol.
func (n *session) run() error {
	if n.s.plan().Mute {
		return n.idle()
	}
	atr := n.card.ATR()
	n.inverse = len(atr) > 0 && atr[0] == 0x3F
	// The answer begins 400 to 40,000 cycles after RST (EMV Book 1, 6.1.3):
	// here 10 etu, 3,720 cycles.
	if err := n.wait(10 * n.s.opts.ETU); err != nil {
		return err
	}
	n.speed(1)
	if err := n.send(atr); err != nil {
		return err
	}
	a, err := icc.ParseATR(atr)
	if err != nil { // a card with a bad answer has nothing more to say
		return n.idle()
	}
	par := a.Params()
	n.speed(par.D)
	n.cwt = time.Duration(par.CWT+12) * n.s.opts.ETU
	if par.Protocol == icc.T1 {
		return (&t1Card{session: n, par: par, ifsd: 32}).run()
	}
	return (&t0Card{session: n}).run()
}

// speed states the card's bit rate on wires that know of one, once what was
// sent has left.
func (n *session) speed(d uint8) {
	w, ok := n.wire.(interface {
		SetBaud(uint32)
		Drain() error
	})
	if ok && w.Drain() == nil {
		w.SetBaud(uint32(time.Second/n.s.opts.ETU) * uint32(d))
	}
}

// idle lasts until the session is over.
func (n *session) idle() error {
	for {
		if _, err := n.recv(0); err != nil {
			return err
		}
	}
}

// live says whether the card is still in the same life.
func (n *session) live() bool {
	n.s.mu.Lock()
	defer n.s.mu.Unlock()
	return n.s.gen == n.gen
}

// wait lets d pass.
func (n *session) wait(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			return nil
		case <-n.s.kick:
			if !n.live() {
				return errOver
			}
		case <-n.ctx.Done():
			return errOver
		}
	}
}

// recv returns the next character that the card hears, in its own convention.
// A wait of 0 is for ever; else errLate comes after it.
func (n *session) recv(wait time.Duration) (byte, error) {
	var late <-chan time.Time
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		late = t.C
	}
	for {
		if !n.live() {
			return 0, errOver
		}
		select {
		case b, ok := <-n.rx:
			if !ok {
				return 0, errEnded
			}
			if !n.hear(b) {
				continue
			}
			return n.coded(b), nil
		case <-n.s.kick:
		case <-late:
			return 0, errLate
		case <-n.ctx.Done():
			return 0, errOver
		}
	}
}

// hear counts a character of the terminal and says whether the card got it.
func (n *session) hear(b byte) bool {
	if n.s.opts.Echo {
		_, _ = n.wire.Write([]byte{b})
	}
	n.s.mu.Lock()
	i := n.s.heard
	n.s.heard++
	lost := hit(n.s.faults.Lose, i)
	n.s.mu.Unlock()
	return !n.pulled() && !lost
}

// pulled takes the card out when its time has come.
func (n *session) pulled() bool {
	n.s.mu.Lock()
	after := n.s.faults.PullAfter
	over := after > 0 && n.s.sent+n.s.heard >= after && n.s.gen == n.gen
	n.s.mu.Unlock()
	if over {
		n.s.Remove()
	}
	return over
}

func (n *session) coded(b byte) byte {
	if n.inverse {
		return ^bits.Reverse8(b)
	}
	return b
}

// drainer is a wire that knows when what was sent has left; a wire without it
// takes no time.
type drainer interface{ Drain() error }

// send puts characters on the wire, each through the faults, and each only when
// the one before has left: a reset cuts the card off in the middle.
func (n *session) send(b []byte) error {
	d, _ := n.wire.(drainer)
	for _, v := range b {
		if !n.live() {
			return errOver
		}
		if v, ok := n.damage(n.coded(v)); ok {
			if _, err := n.wire.Write([]byte{v}); err != nil {
				return errEnded
			}
			if d != nil && d.Drain() != nil {
				return errEnded
			}
		}
		n.pulled()
	}
	if !n.live() {
		return errOver
	}
	return nil
}

// damage counts a character of the card and applies the faults to it; ok is
// false when it is never sent.
func (n *session) damage(v byte) (_ byte, ok bool) {
	n.s.mu.Lock()
	defer n.s.mu.Unlock()
	i := n.s.sent
	n.s.sent++
	if hit(n.s.faults.Drop, i) {
		return 0, false
	}
	if hit(n.s.faults.Corrupt, i) {
		n.s.parity++
		return 0, true
	}
	return v, true
}

// think is the time and the extensions before an answer; ask sends one
// extension.
func (n *session) think(ask func() error) error {
	f := n.s.plan()
	for range f.Extend {
		if err := n.wait(f.Slow); err != nil {
			return err
		}
		if err := ask(); err != nil {
			return err
		}
	}
	return n.wait(f.Slow)
}
