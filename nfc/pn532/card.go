package pn532

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"posagent/nfc"
	"posagent/nfc/iso14443"
)

const (
	minCommand  = 4 // CLA INS P1 P2
	minResponse = 2 // SW1 SW2
	// removals is how many requests in a row stay unanswered before a card
	// counts as gone: Book D, 9.5.
	removals = 3
)

// Card is an nfc.Card that the chip has activated.
type Card struct {
	dev    *Dev
	number uint8
	uid    []byte
	typ    nfc.Type
	wait   time.Duration
	epoch  uint32
	dead   bool
	part   []byte
}

var _ nfc.Card = (*Card)(nil)

// Type implements nfc.Card.
func (c *Card) Type() nfc.Type { return c.typ }

// UID implements nfc.Card.
func (c *Card) UID() []byte { return bytes.Clone(c.uid) }

// Transmit implements nfc.Card. capdu has 4 to iso14443.MaxCommand bytes.
func (c *Card) Transmit(ctx context.Context, capdu []byte) ([]byte, error) {
	if len(capdu) < minCommand || len(capdu) > iso14443.MaxCommand {
		return nil, fmt.Errorf("transmit: command of %d bytes, want %d to %d", len(capdu), minCommand, iso14443.MaxCommand)
	}
	if c.dead {
		return nil, fmt.Errorf("transmit: %w", nfc.ErrRemoved)
	}
	rapdu, err := c.transmit(ctx, capdu)
	if err != nil {
		return nil, fmt.Errorf("transmit: %w", c.lost(ctx, err))
	}
	return rapdu, nil
}

func (c *Card) transmit(ctx context.Context, capdu []byte) ([]byte, error) {
	in, more, err := []byte(nil), false, error(nil)
	for {
		n := c.chunk(capdu)
		in, more, err = c.exchange(ctx, capdu[:n], n < len(capdu))
		if err != nil {
			return nil, err
		}
		if capdu = capdu[n:]; len(capdu) == 0 {
			break
		}
		if more || len(in) != 0 {
			return nil, &TargetError{"response", "comes before the command has ended"}
		}
	}
	var rapdu []byte
	for {
		if len(rapdu)+len(in) > iso14443.MaxResponse {
			return nil, &TargetError{"response", fmt.Sprintf("is over %d bytes", iso14443.MaxResponse)}
		}
		rapdu = append(rapdu, in...)
		if !more {
			break
		}
		if len(in) == 0 {
			return nil, &TargetError{"response", "has an empty part with more to come"}
		}
		if in, more, err = c.exchange(ctx, nil, false); err != nil {
			return nil, err
		}
	}
	if len(rapdu) < minResponse {
		return nil, &TargetError{"response", fmt.Sprintf("is %d bytes, want 2 at least", len(rapdu))}
	}
	return rapdu, nil
}

// chunk is how much of rest goes into the next frame. A frame whose check is 0
// is made shorter, because in it the chip could not see a doubled byte 0.
func (c *Card) chunk(rest []byte) int {
	n := min(len(rest), MaxData)
	for n > 1 && checkOf(c.body(rest[:n], n < len(rest)))-ToChip-CmdInDataExchange == 0 {
		n--
	}
	return n
}

// body is target and data of an InDataExchange.
func (c *Card) body(data []byte, more bool) []byte {
	tg := c.number
	if more {
		tg |= MoreInformation
	}
	c.part = append(append(c.part[:0], tg), data...)
	return c.part
}

// exchange does one InDataExchange. It is never sent twice: a command must not
// be carried out twice.
func (c *Card) exchange(ctx context.Context, data []byte, more bool) (in []byte, answerMore bool, err error) {
	d := c.dev
	if c.epoch != d.epoch {
		return nil, false, fmt.Errorf("%w: it was reset", ErrChip)
	}
	b, err := d.command(ctx, request{code: CmdInDataExchange, data: c.body(data, more), wait: c.wait})
	if err := statusOf(b, err); err != nil {
		return nil, false, err
	}
	return b[1:], b[0]&MoreInformation != 0, nil
}

// Present implements nfc.Card with the chip's own test (UM0701-02, 7.2.1),
// which sends R(NAK).
func (c *Card) Present(ctx context.Context) (bool, error) {
	if c.dead || c.epoch != c.dev.epoch {
		c.dead = true
		return false, nil
	}
	r := request{code: CmdDiagnose, data: []byte{DiagnosePresent}, wait: c.wait}
	err := statusOf(c.dev.command(ctx, r))
	if err == nil {
		return true, nil
	}
	if err = c.lost(ctx, err); errors.Is(err, nfc.ErrRemoved) {
		return false, nil
	}
	return false, fmt.Errorf("presence check: %w", err)
}

// Removed implements nfc.Card: the field is reset and the card asked for, until
// several requests in a row meet silence (Book D, 9.5).
func (c *Card) Removed(ctx context.Context) error {
	if c.dev.card != nil && c.dev.card != c {
		return nil
	}
	c.dev.drop()
	for silent := 0; silent < removals; silent++ {
		there, err := c.ask(ctx)
		if err != nil {
			return errors.Join(fmt.Errorf("wait for removal: %w", err), c.dev.off(ctx))
		}
		if there {
			silent = -1
		}
	}
	return c.dev.off(ctx)
}

// ask says whether a card of this type answers after a reset of the field. An
// activated card hears no request, so each one takes a reset.
func (c *Card) ask(ctx context.Context) (bool, error) {
	if err := c.dev.off(ctx); err != nil {
		return false, err
	}
	if err := c.dev.on(ctx); err != nil {
		return false, err
	}
	all, err := c.dev.list(ctx, c.typ)
	if errors.Is(err, errAir) {
		return true, nil
	}
	return len(all) > 0, err
}

// lost ends the session after err. A card that fell silent is asked for after a
// reset: when nobody answers it is nfc.ErrRemoved. Everything else that was not
// ctx is nfc.ErrTransmission. The field is then off.
func (c *Card) lost(ctx context.Context, err error) error {
	c.dead = true
	c.dev.drop()
	if ctx.Err() != nil {
		return errors.Join(err, c.dev.off(ctx))
	}
	cause := nfc.ErrTransmission
	if s := Status(0); errors.As(err, &s) && s.silent() {
		cause = nfc.ErrRemoved
		for range removals {
			there, aerr := c.ask(ctx)
			if aerr != nil {
				cause = nfc.ErrTransmission
				err = errors.Join(err, aerr)
				break
			}
			if there {
				cause = nfc.ErrTransmission
				break
			}
		}
	}
	return errors.Join(fmt.Errorf("%w: %w", cause, err), c.dev.off(ctx))
}
