package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"time"

	"posagent/agent/emv"
	"posagent/agent/emv/cardsim"
	"posagent/agent/emv/contact"
	"posagent/agent/emv/tlv"
	"posagent/agent/payment"
)

// tape records what a card answers, and plays it again. The kernel is then alone
// on the processor.
type tape struct {
	card    emv.Card // nil: play
	answers [][]byte
	at      int
}

// Transmit implements emv.Card.
func (t *tape) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	if t.card != nil {
		answer, err := t.card.Transmit(ctx, command)
		t.answers = append(t.answers, bytes.Clone(answer))
		return answer, err
	}
	if t.at >= len(t.answers) {
		return nil, errors.New("the tape is at its end")
	}
	t.at++
	return t.answers[t.at-1], nil
}

// counting is a source of "random" bytes that begins anew for each transaction, so
// that a recorded card signs what is asked.
type counting struct{ next byte }

// Read implements io.Reader.
func (c *counting) Read(p []byte) (int, error) {
	for i := range p {
		c.next++
		p[i] = c.next
	}
	return len(p), nil
}

// silent is a cardholder with nothing to choose and no PIN to enter.
type silent struct{}

func (silent) SelectApplication(context.Context, []emv.Candidate) (int, error) { return 0, nil }

func (silent) OnlinePIN(context.Context, payment.PAN) (emv.PINOutcome, error) {
	return emv.PINOutcome{}, errors.New("no PIN was to be asked for")
}

// measureKernel takes the processor time of a whole contact transaction with DDA,
// host answer and second cryptogram, beside the bare RSA of its two certificates and
// one signature.
func measureKernel(ctx context.Context, b *bench) ([]Line, error) {
	k, err := newKernel()
	if err != nil {
		return nil, err
	}
	card, err := cardsim.Open("dda-online")
	if err != nil {
		return nil, err
	}
	recorded := &tape{card: cardsim.Direct(card)}
	var answer emv.OnlineResult
	if err := transact(ctx, k, recorded, func(out emv.Outcome) (emv.OnlineResult, error) {
		data, err := cardsim.TestIssuer().ARPC(out.PAN, out.PANSequence, out.DE55, "00")
		answer = emv.OnlineResult{ARC: "00", IssuerAuthData: data}
		return answer, err
	}); err != nil {
		return nil, fmt.Errorf("record the card: %w", err)
	}
	play := func() error {
		return transact(ctx, k, &tape{answers: recorded.answers}, func(emv.Outcome) (emv.OnlineResult, error) { return answer, nil })
	}
	bare, err := bareRSA(b, recorded.answers)
	if err != nil {
		return nil, err
	}
	ns, ratio, err := b.race(ctx, [2]runner{play, bare})
	if err != nil {
		return nil, err
	}
	n, err := allocs(play)
	if err != nil {
		return nil, err
	}
	longest := recorded.answers[0]
	for _, r := range recorded.answers {
		if len(r) > len(longest) {
			longest = r
		}
	}
	longest = longest[:len(longest)-2] // without the status word
	objects := 0
	walk := func() error { return tlv.Walk(longest, func(int, tlv.Object) error { objects++; return nil }) }
	w, err := allocs(walk)
	if err != nil || objects == 0 {
		return nil, errors.Join(err, errors.New("walk the longest answer"))
	}
	return []Line{
		Line{Name: "contact transaction with DDA, kernel only", Ours: Value{ns[ours], Nanoseconds}}.
			beside("the bare RSA in it: 3 public operations", ns[floor], ratio).atMost(float64(250 * time.Microsecond)),
		{Name: "  allocations of it", Ours: Value{n, Allocs}},
		Line{Name: fmt.Sprintf("TLV walk over a record of %d bytes", len(longest)), Ours: Value{w, Allocs}}.atMost(0),
	}, nil
}

func newKernel() (*contact.Kernel, error) {
	capks, err := emv.NewCAPKs(cardsim.CAPKs()...)
	if err != nil {
		return nil, err
	}
	return &contact.Kernel{
		Terminal: emv.Terminal{Type: 0x22, Capabilities: emv.Capabilities{0xE0, 0x68, 0xC8}, Country: "156", Currency: payment.CNY,
			IFDSerial: "00000001", TerminalID: "12345678", MerchantID: "123456789012345", MCC: "5411"},
		Applications: cardsim.Applications(), CAPKs: capks,
		Now: func() time.Time { return time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC) },
	}, nil
}

// transact runs one approved online transaction.
func transact(ctx context.Context, k *contact.Kernel, card emv.Card, host func(emv.Outcome) (emv.OnlineResult, error)) error {
	k.Rand = &counting{}
	session, out, err := k.Start(ctx, card, emv.Transaction{Amount: 12345}, silent{})
	if err != nil {
		return err
	}
	if out.Kind != emv.Online {
		return fmt.Errorf("the kernel says %s, want online", out.Kind)
	}
	answer, err := host(out)
	if err != nil {
		return err
	}
	if out, err = session.Complete(ctx, answer); err != nil {
		return err
	}
	if out.Kind != emv.Approve || out.TVR != (emv.TVR{}) {
		return fmt.Errorf("the kernel says %s with TVR %v, want approved with none set", out.Kind, out.TVR)
	}
	return nil
}

// bareRSA gives the public operations of the transaction on the tape: each block is
// as long as the modulus that opens it (EMV 4.4 Book 2, 6.1): issuer certificate
// (90), card certificate (9F46), dynamic signature (9F4B).
func bareRSA(b *bench, answers [][]byte) (runner, error) {
	type operation struct{ base, exponent, modulus *big.Int }
	var all []operation
	for _, step := range []struct{ block, exponentIn tlv.Tag }{{0x90, 0}, {0x9F46, 0x9F32}, {0x9F4B, 0x9F47}} {
		block, ok := find(answers, step.block)
		if !ok {
			return nil, fmt.Errorf("the card gave no %X", uint32(step.block))
		}
		e := new(big.Int)
		if v, ok := find(answers, step.exponentIn); ok {
			e.SetBytes(v)
		}
		for _, ca := range cardsim.CAPKs() { // opens the first one; its exponent is not on the card
			if step.exponentIn == 0 && len(ca.Modulus) == len(block) {
				e.SetBytes(ca.Exponent)
			}
		}
		if e.Sign() == 0 {
			return nil, fmt.Errorf("no exponent for %X", uint32(step.block))
		}
		bits := uint(8 * len(block))
		modulus, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), bits))
		if err != nil {
			return nil, err
		}
		modulus.SetBit(modulus.SetBit(modulus, int(bits)-1, 1), 0, 1)
		b.say("RSA of tag %X: %d bits, exponent %v", uint32(step.block), bits, e)
		all = append(all, operation{new(big.Int).Rsh(modulus, 1), e, modulus})
	}
	return func() error {
		for _, o := range all {
			new(big.Int).Exp(o.base, o.exponent, o.modulus)
		}
		return nil
	}, nil
}

// find looks for a data object in the answers of a card; tag 0 is never there.
func find(answers [][]byte, tag tlv.Tag) ([]byte, bool) {
	for _, r := range answers {
		if len(r) < 2 || tag == 0 {
			continue
		}
		if v, ok := tlv.Find(r[:len(r)-2], tag); ok {
			return v, true
		}
	}
	return nil, false
}
