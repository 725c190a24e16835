package contact

import (
	"context"
	"errors"
	"time"

	"posagent/agent/emv"
)

// link is the card under the bounds of one contact.
type link struct {
	card  emv.Card
	trace emv.Trace
	left  time.Duration // of the time the card may take
	apdus uint32
	bytes uint32
	buf   [5 + emv.MaxCommandData + 1]byte
}

// send transmits one command. dol is the list its data was filled from, for masking in the trace. An error is a *stop.
func (l *link) send(ctx context.Context, cmd emv.Command, dol []byte) ([]byte, emv.SW, error) {
	capdu, err := cmd.AppendTo(l.buf[:0])
	if err != nil {
		return nil, 0, &stop{emv.Terminated, emv.ReasonCardData, err}
	}
	return l.exchange(ctx, capdu, dol)
}

// exchange transmits the bytes of a command without a copy of its own. A mute card is worth another try, a card over its
// bounds is not.
func (l *link) exchange(ctx context.Context, capdu, dol []byte) ([]byte, emv.SW, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, contextStop(err)
	}
	if l.apdus++; l.apdus > maxAPDUs {
		return nil, 0, terminate(emv.ReasonCardTooMuch, "over %d commands", maxAPDUs)
	}
	if l.left <= 0 {
		return nil, 0, terminate(emv.ReasonCardTooMuch, "the card's time is used up")
	}
	begin := time.Now()
	bounded, cancel := context.WithTimeout(ctx, l.left)
	rapdu, err := l.card.Transmit(bounded, capdu)
	cancel()
	l.left -= time.Since(begin)
	data, sw, perr := emv.ParseResponse(rapdu)
	if err == nil {
		err = perr
	}
	if l.trace != nil {
		l.trace(emv.APDUEvent{Command: emv.MaskCommand(capdu, dol), Response: emv.MaskResponse(data), SW: sw, Err: err})
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, 0, contextStop(ctx.Err())
		}
		if l.left <= 0 {
			return nil, 0, terminate(emv.ReasonCardTooMuch, "the card's time is used up")
		}
		return nil, 0, &stop{emv.TryAgain, emv.ReasonCardMute, err}
	}
	if l.bytes += uint32(len(rapdu)); l.bytes > maxCardBytes {
		return nil, 0, terminate(emv.ReasonCardTooMuch, "over %d bytes of responses", maxCardBytes)
	}
	return data, sw, nil
}

// contextStop is the outcome of a caller who gave up.
func contextStop(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return &stop{emv.Terminated, emv.ReasonTimeout, err}
	}
	return &stop{emv.Terminated, emv.ReasonCancelled, err}
}

// dialogueStop is the outcome of a dialogue that gave no answer.
func dialogueStop(err error) error {
	switch {
	case errors.Is(err, emv.ErrCancelled), errors.Is(err, context.Canceled):
		return &stop{emv.Terminated, emv.ReasonCancelled, err}
	case errors.Is(err, emv.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return &stop{emv.Terminated, emv.ReasonTimeout, err}
	}
	return &stop{emv.Terminated, emv.ReasonDialogue, err}
}
