package pcsc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"posagent/drivers/icc"
)

// PollInterval is how often Wait asks for the card, in time.
const PollInterval = 100 * time.Millisecond

// maxRounds bounds GET RESPONSE and repeated commands of one APDU in T=0: 16 rounds of 256 bytes fill a response.
const maxRounds = 20

// Opts are the options of Open.
type Opts struct {
	// ISO accepts every answer to reset that ISO/IEC 7816-3 allows, not only what EMV
	// does. Contactless PC/SC readers make up answers to reset that EMV rejects.
	ISO bool
}

// Reader is one slot of the daemon, an icc.Reader.
type Reader struct {
	client    *Client
	name      string
	opts      Opts
	card      uint32
	connected bool
	protocol  uint32
}

var _ icc.Reader = (*Reader)(nil)

// Open finds the reader with this name, or the only one whose name begins with it. nil opts means EMV cards. The error
// wraps ErrReader when there is none.
func (c *Client) Open(ctx context.Context, name string, opts *Opts) (*Reader, error) {
	state, err := c.find(ctx, name)
	if err != nil {
		return nil, err
	}
	r := &Reader{client: c, name: state.Name}
	if opts != nil {
		r.opts = *opts
	}
	return r, nil
}

// String is the reader's name.
func (r *Reader) String() string { return r.name }

// Present asks the daemon for the card.
func (r *Reader) Present(ctx context.Context) (bool, error) {
	state, err := r.client.find(ctx, r.name)
	return state.Present, err
}

// Wait asks every PollInterval.
func (r *Reader) Wait(ctx context.Context, present bool) error {
	tick := time.NewTicker(PollInterval)
	defer tick.Stop()
	for {
		now, err := r.Present(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil || now == present {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Activate connects to the card alone and lets the daemon take its power away and reset it.
func (r *Reader) Activate(ctx context.Context) (*icc.ATR, error) {
	if err := r.powerUp(ctx); err != nil {
		return nil, fmt.Errorf("activate card in %s: %w", r.name, err)
	}
	state, err := r.client.find(ctx, r.name)
	if err != nil {
		return nil, fmt.Errorf("activate card in %s: %w", r.name, err)
	}
	atr, err := icc.ParseATR(state.ATR)
	if err == nil && !r.opts.ISO {
		err = atr.CheckEMV(false)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("activate card in %s: %w: %w", r.name, icc.ErrTransmission, err), r.Deactivate())
	}
	return atr, nil
}

func (r *Reader) powerUp(ctx context.Context) error {
	if !r.connected {
		b, err := r.client.call(ctx, "connect to the card", cmdConnect, connectRequest(r.client.context, r.name), connectSize)
		if err != nil {
			return err
		}
		b = b[4+nameSize:] // share mode, protocols, card, active protocol, result
		if err := translate("connect to the card", Code(word(b, 4)), false); err != nil {
			return err
		}
		r.card, r.protocol, r.connected = word(b, 2), word(b, 3), true
	}
	b, err := r.client.call(ctx, "reset the card", cmdReconnect, words(r.card, shareExclusive, protocolT0|protocolT1, unpowerCard, 0, 0), 24)
	if err != nil {
		return err
	}
	if err := translate("reset the card", Code(word(b, 5)), false); err != nil {
		return errors.Join(err, r.Deactivate())
	}
	r.protocol = word(b, 4)
	return nil
}

// translate turns a result into the errors of icc.Reader. active tells a card that left from one that was not there.
func translate(doing string, code Code, active bool) error {
	switch code {
	case codeOK:
		return nil
	case codeNoCard, codeRemoved:
		if active {
			return fmt.Errorf("%s: %w", doing, icc.ErrRemoved)
		}
		return fmt.Errorf("%s: %w", doing, icc.ErrNoCard)
	case codeMute, codeUnpowered:
		if !active {
			return fmt.Errorf("%s: %w", doing, icc.ErrMute)
		}
	case codeTimeout, codeSharing, codeUnknownReader, codeMismatch, codeComm, codeNotTransacted, codeUnavailable,
		codeStopped, codeNoService, codeReset, codeForbidden:
	}
	return fmt.Errorf("%w: %w", icc.ErrTransmission, &Error{doing, code})
}

// Transmit exchanges one APDU with the card.
func (r *Reader) Transmit(ctx context.Context, capdu []byte) ([]byte, error) {
	if !r.connected {
		return nil, icc.ErrInactive
	}
	if err := checkCommand(capdu); err != nil {
		return nil, err
	}
	rapdu, err := r.exchange(ctx, capdu)
	if err != nil {
		if !errors.Is(err, icc.ErrRemoved) && !errors.Is(err, icc.ErrTransmission) {
			err = fmt.Errorf("%w: %w", icc.ErrTransmission, err)
		}
		if ctx.Err() != nil {
			err = errors.Join(ctx.Err(), err)
		}
		return nil, errors.Join(err, r.Deactivate())
	}
	return rapdu, nil
}

// checkCommand looks at the lengths of a short command APDU. ISO/IEC 7816-3, 12.1.
func checkCommand(b []byte) error {
	switch {
	case len(b) < 4:
		return &icc.CommandError{Field: "header", Reason: fmt.Sprintf("%d bytes, want 4", len(b))}
	case len(b) <= 5:
		return nil
	case b[4] == 0 || len(b) != 5+int(b[4]) && len(b) != 6+int(b[4]):
		return &icc.CommandError{Field: "Lc", Reason: fmt.Sprintf("%d, but %d bytes follow", b[4], len(b)-5)}
	}
	return nil
}

// exchange is one APDU; in T=0 it does what ISO/IEC 7816-3, 12.2 leaves to the terminal.
func (r *Reader) exchange(ctx context.Context, capdu []byte) ([]byte, error) {
	if r.protocol != protocolT0 {
		return r.transfer(ctx, capdu)
	}
	switch n := len(capdu); {
	case n == 4:
		capdu = append(capdu[:4:4], 0)
	case n > 5 && n == 6+int(capdu[4]):
		capdu = capdu[:n-1]
	}
	var data []byte
	for range maxRounds {
		rapdu, err := r.transfer(ctx, capdu)
		if err != nil {
			return nil, err
		}
		n := len(rapdu) - 2
		if data = append(data, rapdu[:n]...); len(data)+2 > icc.MaxResponse {
			break
		}
		switch {
		case rapdu[n] == 0x61:
			capdu = []byte{capdu[0] & 0x03, 0xC0, 0, 0, rapdu[n+1]}
		case rapdu[n] == 0x6C && n == 0 && len(capdu) == 5:
			capdu = append(capdu[:4:4], rapdu[n+1])
		default:
			return append(data, rapdu[n:]...), nil
		}
	}
	return nil, fmt.Errorf("%w: the answer does not end", icc.ErrTransmission)
}

// transfer is one message to the card and its answer.
func (r *Reader) transfer(ctx context.Context, capdu []byte) ([]byte, error) {
	const doing = "transmit"
	body := words(r.card, r.protocol, pciSize, uint32(len(capdu)), r.protocol, pciSize, receiveSize, 0)
	b, err := r.client.call(ctx, doing, cmdTransmit, body, 32, capdu...)
	if err != nil {
		return nil, err
	}
	if err := translate(doing, Code(word(b, 7)), true); err != nil {
		return nil, err
	}
	n := word(b, 6)
	if n > receiveSize {
		return nil, r.client.fail(doing, fmt.Errorf("answer of %d bytes", n))
	}
	rapdu := make([]byte, n)
	err = r.client.guard(ctx, func() error {
		_, err := io.ReadFull(r.client.conn, rapdu)
		return err
	})
	if err != nil {
		return nil, r.client.fail(doing, err)
	}
	if n < 2 {
		return nil, fmt.Errorf("%w: an answer of %d bytes", icc.ErrTransmission, n)
	}
	return rapdu, nil
}

// Deactivate lets the daemon take the power away.
func (r *Reader) Deactivate() error {
	if !r.connected {
		return nil
	}
	r.connected = false
	if r.client.broken {
		return nil // the daemon does it when the connection ends
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	b, err := r.client.call(ctx, "disconnect", cmdDisconnect, words(r.card, unpowerCard, 0), 12)
	if err != nil {
		return err
	}
	if code := Code(word(b, 2)); code != codeNoCard && code != codeRemoved {
		return result("disconnect", uint32(code))
	}
	return nil
}

// Halt is Deactivate. The client is the caller's to close.
func (r *Reader) Halt() error { return r.Deactivate() }
