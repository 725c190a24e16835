package magstripe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"periph.io/x/conn/v3/gpio"
)

// Why a track was not accepted. They never carry data of the card.
var (
	ErrBlank    = errors.New("no recording")
	ErrSentinel = errors.New("no frame between sentinels")
	ErrParity   = errors.New("parity")
	ErrLRC      = errors.New("LRC")
	ErrFormat   = errors.New("not the layout of a payment card")
	ErrLuhn     = errors.New("check digit of the card number")
	ErrUnsteady = errors.New("signal too unsteady to be believed")
	ErrConflict = errors.New("readings contradict each other")
)

// Why there is no swipe.
var (
	// ErrLink reports a part that does not answer, or whose bytes stay wrong
	// after every retry.
	ErrLink = errors.New("magstripe: no sound exchange with the head")
	// ErrHalted reports a reader after Halt.
	ErrHalted = errors.New("magstripe: halted")
)

// TrackError tells which track was not accepted and why; Err is one of the
// sentinels.
type TrackError struct {
	Track Number
	Err   error
}

// Error is track and reason.
func (e *TrackError) Error() string { return e.Track.String() + ": " + e.Err.Error() }

// Unwrap is the reason.
func (e *TrackError) Unwrap() error { return e.Err }

// rank orders reasons by how far a reading came: the farthest one is reported.
func rank(err error) uint8 {
	for i, e := range [...]error{nil, ErrBlank, ErrSentinel, ErrParity, ErrLRC, ErrFormat, ErrLuhn, ErrUnsteady, ErrConflict} {
		if err == e {
			return uint8(i)
		}
	}
	return 0
}

func farther(a, b error) error {
	if rank(b) > rank(a) {
		return b
	}
	return a
}

// Reading is what came of one track: a Track, or the reason why not.
type Reading struct {
	Track Track
	Err   *TrackError // nil if Track is there
}

// Swipe is one pass of a card. A card that could not be read is a Swipe whose
// readings have reasons, not an error.
type Swipe [Tracks]Reading

// Track gives the track n, zero if it was not accepted.
func (s Swipe) Track(n Number) Track {
	if n < Track1 || n > Track3 {
		return Track{}
	}
	return s[n-1].Track
}

// Any tells whether at least one track was accepted.
func (s Swipe) Any() bool {
	return !s[0].Track.IsZero() || !s[1].Track.IsZero() || !s[2].Track.IsZero()
}

// set files the result of one track.
func (s *Swipe) set(n Number, t Track, err error) {
	if err != nil {
		s[n-1] = Reading{Err: &TrackError{n, err}}
		return
	}
	s[n-1] = Reading{Track: t}
}

// settle refuses tracks 1 and 2 that name different cards: one of them was
// misread, or the card was altered.
func (s *Swipe) settle() {
	a, b := s[0].Track, s[1].Track
	if !a.IsZero() && !b.IsZero() && a.PAN() != b.PAN() {
		s.set(Track1, Track{}, ErrConflict)
		s.set(Track2, Track{}, ErrConflict)
	}
}

// Reader is a magnetic head of any kind.
type Reader interface {
	String() string
	// Swipe waits for the next pass of a card. It fails with the context's error,
	// with ErrLink (the next call starts afresh) or with ErrHalted.
	Swipe(ctx context.Context) (Swipe, error)
	// Halt ends the use of the part; a waiting Swipe returns. Safe to call twice.
	Halt() error
}

// lookEvery bounds how long a wait for a pin goes without a look at the
// context: periph's Linux GPIO knows no interruptible wait.
const lookEvery = 20 * time.Millisecond

// waitLevel waits until pin is at l. Edges only wake it; the level decides.
func waitLevel(ctx context.Context, halted *halt, pin gpio.PinIn, l gpio.Level) error {
	for {
		if err := halted.err(ctx); err != nil {
			return err
		}
		if pin.Read() == l {
			return nil
		}
		if pin.WaitForEdge(lookEvery) {
			continue
		}
	}
}

// pause waits d or until the context or the reader ends.
func pause(ctx context.Context, h *halt, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-h.done:
		return ErrHalted
	case <-t.C:
		return nil
	}
}

func linkError(doing string, err error) error {
	if err == nil {
		return fmt.Errorf("%s: %w", doing, ErrLink)
	}
	return fmt.Errorf("%s: %w: %w", doing, ErrLink, err)
}
