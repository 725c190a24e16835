package iso14443

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"posagent/nfc"
)

// removals is how many requests in a row stay unanswered before a card counts
// as gone: Book D, 9.5.
const removals = 3

// Card is an nfc.Card in the block protocol.
type Card struct {
	reader *Reader
	uid    []byte
	typ    nfc.Type
	fwi    uint8
	// fsc is the longest frame the card takes, check included.
	fsc uint16
	// number is the current block number of the reader.
	number uint8
	// dead says that the card is lost, or that another was polled for.
	dead bool
}

var _ nfc.Card = (*Card)(nil)

// Type implements nfc.Card.
func (c *Card) Type() nfc.Type { return c.typ }

// UID implements nfc.Card.
func (c *Card) UID() []byte { return bytes.Clone(c.uid) }

// Transmit implements nfc.Card. capdu has 4 to MaxCommand bytes; one that has
// not is an error before anything is sent, and the card is not lost by it.
func (c *Card) Transmit(ctx context.Context, capdu []byte) ([]byte, error) {
	if len(capdu) < minCommand || len(capdu) > MaxCommand {
		return nil, fmt.Errorf("transmit: command of %d bytes, want %d to %d", len(capdu), minCommand, MaxCommand)
	}
	if c.dead {
		return nil, fmt.Errorf("transmit: %w", nfc.ErrRemoved)
	}
	rapdu, err := c.newExchange().run(ctx, capdu)
	if err != nil {
		return nil, fmt.Errorf("transmit: %w", c.lost(ctx, err))
	}
	return rapdu, nil
}

// Present implements nfc.Card with R(NAK), which a card that has nothing to
// repeat acknowledges (ISO/IEC 14443-4, 7.5.4.3, rule 12).
func (c *Card) Present(ctx context.Context) (bool, error) {
	if c.dead {
		return false, nil
	}
	_, err := c.insist(ctx, Block{Kind: NAK, Number: c.number}, ACK, extended(c.fwi, 1))
	if err == nil {
		return true, nil
	}
	if err = c.lost(ctx, err); errors.Is(err, nfc.ErrRemoved) {
		return false, nil
	}
	return false, fmt.Errorf("presence check: %w", err)
}

// Deselect ends the session with S(DESELECT): the card is halted and silent
// while the field stays on. The next Poll leaves it alone when Opts.Resolve is
// set. The error is as that of Transmit.
func (c *Card) Deselect(ctx context.Context) error {
	if c.dead {
		return fmt.Errorf("deselect: %w", nfc.ErrRemoved)
	}
	if _, err := c.insist(ctx, Block{Kind: Deselect}, Deselect, carrier(fcActivation+fcDelta)); err != nil {
		return fmt.Errorf("deselect: %w", c.lost(ctx, err))
	}
	c.reader.drop()
	return nil
}

// insist sends one block until the answer is of the wanted kind, as often as
// the protocol allows.
func (c *Card) insist(ctx context.Context, b Block, want Kind, wait time.Duration) (in Block, err error) {
	for range sends {
		in, err = c.swap(ctx, b, wait)
		if err == nil && in.Kind != want {
			return in, &FormatError{"block", "kind", fmt.Sprintf("%v answers %v", in.Kind, b.Kind)}
		}
		if !errors.Is(err, ErrTimeout) && !errors.Is(err, ErrGarbled) {
			break
		}
	}
	return in, err
}

// Removed implements nfc.Card with the removal procedure of Book D, 9.5: reset,
// then ask until several requests in a row meet silence.
func (c *Card) Removed(ctx context.Context) error {
	if c.reader.card != nil && c.reader.card != c {
		return nil
	}
	c.reader.drop()
	err := c.gone(ctx)
	if err != nil {
		err = fmt.Errorf("wait for removal: %w", err)
	}
	return errors.Join(err, c.reader.link.down())
}

func (c *Card) gone(ctx context.Context) error {
	if err := c.reader.link.reset(ctx); err != nil {
		return err
	}
	for silent := 0; silent < removals; {
		heard, err := c.ask(ctx)
		if err != nil {
			return err
		}
		if silent++; heard {
			silent = 0
		}
	}
	return nil
}

// ask says whether a card of this type answers, and quietens it.
func (c *Card) ask(ctx context.Context) (bool, error) {
	l := &c.reader.link
	l.rest()
	heard, _, err := l.heard(ctx, c.typ, true)
	if err == nil && heard && c.typ == nfc.TypeA {
		err = l.halt(ctx) // a second WUPA would only send it to sleep
	}
	return heard, err
}

// lost ends the session after err. On silence it asks, after a reset, whether
// the card is still there: a card that was pulled is nfc.ErrRemoved, one that
// stopped to answer is nfc.ErrTransmission. The field is then off.
func (c *Card) lost(ctx context.Context, err error) error {
	c.reader.drop()
	switch {
	case errors.Is(err, ErrTimeout) || errors.Is(err, ErrGarbled):
		cause := fmt.Errorf("%w: %w", nfc.ErrRemoved, err)
		down := c.reader.link.reset(ctx)
		for n := 0; n < removals && down == nil; n++ {
			var heard bool
			if heard, down = c.ask(ctx); heard {
				cause = fmt.Errorf("%w: %w", nfc.ErrTransmission, err)
				break
			}
		}
		if err = cause; down != nil {
			err = down
		}
	case onAir(err):
		err = fmt.Errorf("%w: %w", nfc.ErrTransmission, err)
	}
	return errors.Join(err, c.reader.link.down())
}
