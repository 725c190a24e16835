package judge

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"posagent/agent/emv"
)

// A Recorder is a card that writes every exchange with the card behind it as a script, unmasked. Make one with Record.
type Recorder struct {
	card emv.Card
	out  *bufio.Writer
	err  error
}

// Record writes every exchange with card to w as it happens, in clear: for test cards only.
func Record(card emv.Card, w io.Writer) *Recorder {
	r := &Recorder{card: card, out: bufio.NewWriter(w)}
	r.printf("# A recording in clear: it holds what the card told, card number included.\n")
	return r
}

func (r *Recorder) printf(format string, args ...any) {
	_, err := fmt.Fprintf(r.out, format, args...)
	r.err = errors.Join(r.err, err)
}

// Transmit implements emv.Card.
func (r *Recorder) Transmit(ctx context.Context, capdu []byte) ([]byte, error) {
	r.printf("> %X\n", capdu)
	rapdu, err := r.card.Transmit(ctx, capdu)
	if err != nil || len(rapdu) == 0 {
		r.printf("< mute\n")
	} else {
		r.printf("< %X\n", rapdu)
	}
	return rapdu, err
}

// Close writes what is still buffered and returns the first error of writing. It does not close the writer below.
func (r *Recorder) Close() error {
	if err := errors.Join(r.err, r.out.Flush()); err != nil {
		return fmt.Errorf("write recording: %w", err)
	}
	return nil
}
