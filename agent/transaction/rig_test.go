package transaction_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net"
	"slices"
	"sync"

	"posagent/agent/emv"
	"posagent/agent/emv/cardsim"
	"posagent/agent/emv/oda"
	"posagent/agent/journal"
	"posagent/agent/keys"
	"posagent/agent/payment"
	"posagent/agent/transaction"
)

// slot is a card reader with a hand that puts cards in and pulls them.
type slot struct {
	mu      sync.Mutex
	card    *cardsim.Card
	changed chan struct{} // closed when card changes
	powered bool
	broken  error
	onAPDU  func(ins byte)
}

var errPulled = errors.New("card removed")

func newSlot() *slot { return &slot{changed: make(chan struct{})} }

func (s *slot) put(c *cardsim.Card) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.card, s.powered = c, false
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *slot) insert(c *cardsim.Card) { s.put(c) }
func (s *slot) remove()                { s.put(nil) }

func (s *slot) Present(context.Context) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.card != nil, s.broken
}

func (s *slot) Wait(ctx context.Context, present bool) error {
	for {
		s.mu.Lock()
		there, changed, broken := s.card != nil, s.changed, s.broken
		s.mu.Unlock()
		if broken != nil || there == present {
			return broken
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *slot) Activate(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.card == nil {
		return errPulled
	}
	s.card.Reset()
	s.powered = true
	return nil
}

func (s *slot) Deactivate() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.powered = false
	return nil
}

func (s *slot) Transmit(_ context.Context, capdu []byte) ([]byte, error) {
	if s.onAPDU != nil {
		s.onAPDU(capdu[1])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.card == nil || !s.powered {
		return nil, errPulled
	}
	if answer := s.card.Transmit(capdu); len(answer) > 0 {
		return answer, nil
	}
	return nil, errors.New("card does not answer")
}

// pad is a PIN pad and a cardholder who knows the PIN.
type pad struct {
	keys  *keys.Software
	enter func(context.Context) (emv.PINOutcome, error) // nil: the right PIN
	calls int
	// offline are the PINs the cardholder enters for the card, one after another,
	// then the right one; "" is the Cancel key.
	offline []string
}

func (p *pad) EnterPIN(ctx context.Context, pan payment.PAN, dots func(int)) (emv.PINOutcome, error) {
	p.calls++
	for n := range len(pin) + 1 {
		dots(n)
	}
	if p.enter != nil {
		return p.enter(ctx)
	}
	b, err := p.keys.PINBlock(ctx, []byte(pin), pan.Reveal())
	if err != nil {
		return emv.PINOutcome{Status: emv.PINPadError}, err
	}
	block, err := payment.NewPINBlock(b[:])
	return emv.PINOutcome{Status: emv.PINEntered, Block: block}, err
}

func (p *pad) OfflinePIN(ctx context.Context, key emv.PINKey, challenge [8]byte, dots func(int)) (emv.OfflinePINOutcome, error) {
	p.calls++
	digits := pin
	if len(p.offline) > 0 {
		digits, p.offline = p.offline[0], p.offline[1:]
	}
	for n := range len(digits) + 1 {
		dots(n)
	}
	if digits == "" {
		return emv.OfflinePINOutcome{}, emv.ErrCancelled
	}
	block := [8]byte{0x20 | byte(len(digits)), 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}
	copy(block[1:], must(hex.DecodeString(digits)))
	data, err := oda.EncipherPIN(key, block, challenge, rand.Reader)
	return emv.OfflinePINOutcome{Status: emv.PINEntered, Block: data}, err
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err) // a constant of the tests
	}
	return b
}

// store is the PIN pad's keys as the host link sees them.
type store struct {
	*keys.Software
	lost bool // the MAC key is gone until the next sign-in
}

func (s *store) InstallWorking(ctx context.Context, use keys.Use, cryptogram, kcv []byte) error {
	s.lost = false
	return s.Software.InstallWorking(ctx, use, cryptogram, kcv)
}

func (s *store) MAC(ctx context.Context, alg keys.MACAlgorithm, data []byte) ([8]byte, error) {
	if s.lost {
		return [8]byte{}, keys.ErrNoKey
	}
	return s.Software.MAC(ctx, alg, data)
}

// pipes is a listener on net.Pipe.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	down   bool // the host cannot be reached; changed on the runner's goroutine
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (w *world) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if w.pipes.down {
		return nil, errors.New("network is down")
	}
	near, far := net.Pipe()
	select {
	case w.pipes.conns <- far:
		return tapped{near, w}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// tapped tells of every message before its first byte leaves.
type tapped struct {
	net.Conn
	w *world
}

func (c tapped) Write(b []byte) (int, error) {
	const at = 2 + 5 + 6 // length, TPDU, header
	mti := hex.EncodeToString(b[at : at+2])
	c.w.sent = append(c.w.sent, mti)
	if hook := c.w.onSend[mti]; hook != nil {
		hook()
	}
	return c.Conn.Write(b)
}

// issuer is the cards' issuer behind the host.
type issuer struct{ cardsim.Issuer }

func (i issuer) Authorise(number, sequence string, de55 []byte, arc [2]byte) ([]byte, bool, error) {
	pan, err := payment.NewPAN(number)
	if err != nil {
		return nil, false, err
	}
	if err := i.VerifyARQC(pan, sequence, de55); errors.Is(err, cardsim.ErrCryptogram) {
		return nil, false, nil
	} else if err != nil {
		return nil, false, err
	}
	data, err := i.ARPC(pan, sequence, de55, emv.ARC(arc[:]))
	if err != nil {
		return nil, false, err
	}
	return append([]byte{0x91, byte(len(data))}, data...), true, nil
}

// last gives the newest record.
func (w *world) last() journal.Record {
	w.t.Helper()
	rec, err := w.journal.Last()
	if err != nil {
		w.t.Fatal(err)
	}
	return rec
}

func (w *world) saw(screen string) bool { return slices.Contains(w.screens, screen) }

// field is a contactless reader with a hand that holds cards to it.
type field struct {
	mu      sync.Mutex
	cards   []*cardsim.Contactless // in the field
	changed chan struct{}          // closed when cards changes
	on      bool
	broken  error
	polls   int
}

func newField() *field { return &field{changed: make(chan struct{})} }

func (f *field) hold(cards ...*cardsim.Contactless) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cards = cards
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *field) Poll(ctx context.Context) (transaction.FieldCard, error) {
	for {
		f.mu.Lock()
		f.polls++
		cards, changed, broken := f.cards, f.changed, f.broken
		f.on = broken == nil && len(cards) == 1
		f.mu.Unlock()
		switch {
		case broken != nil:
			return nil, broken
		case len(cards) > 1:
			return nil, transaction.ErrTwoCards
		case len(cards) == 1:
			cards[0].Reset()
			return held{f, cards[0]}, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (f *field) Off() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.on = false
	return nil
}

// held is a card in the field.
type held struct {
	f    *field
	card *cardsim.Contactless
}

func (h held) Transmit(_ context.Context, capdu []byte) ([]byte, error) {
	h.f.mu.Lock()
	on := h.f.on && slices.Contains(h.f.cards, h.card)
	h.f.mu.Unlock()
	if !on {
		return nil, errPulled
	}
	if answer := h.card.Transmit(capdu); len(answer) > 0 {
		return answer, nil
	}
	return nil, errors.New("card does not answer")
}

func (h held) Removed(ctx context.Context) error {
	for {
		h.f.mu.Lock()
		there, changed := slices.Contains(h.f.cards, h.card), h.f.changed
		h.f.mu.Unlock()
		if !there {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
