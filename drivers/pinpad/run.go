package pinpad

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"posagent/drivers/pinpad/internal/wire"
)

// Bounds of waiting.
const (
	acceptWait = 10 * time.Second       // for Run to begin a call: two others on a bad line
	answerWait = 3 * time.Second        // for the pad's word on a command
	reopenGap  = time.Second            // between two tries to find a silent pad
	writeWait  = 500 * time.Millisecond // for the port to take a frame
	readSize   = 512                    // bytes taken from the port at once
)

// call is a request of one goroutine to Run: commands sent one after another as
// long as each is answered OK. The answer is that of the last.
type call struct {
	steps []step
	entry *entry // not nil: the PIN entry that begins with this call
	done  chan reply
}

type step struct {
	cmd  wire.Cmd
	data []byte
}

type reply struct {
	body []byte
	err  error
}

// do hands a call to Run and waits for its end, for a bounded time.
func (d *Dev) do(ctx context.Context, c *call) ([]byte, error) {
	c.done = make(chan reply, 1)
	late := time.NewTimer(acceptWait)
	defer late.Stop()
	select {
	case d.calls <- c:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-d.runEnd(): // nil, and so never, before Run begins
		return nil, fmt.Errorf("%w: Run has ended", ErrNoAnswer)
	case <-d.halted:
		return nil, ErrHalted
	case <-late.C:
		return nil, fmt.Errorf("%w: no session with the pad", ErrNoAnswer)
	}
	select {
	case r := <-c.done: // Run ends every call it took
		return r.body, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Run owns the port: it opens the session, reads, repeats what was lost and
// carries out the calls of the other methods. It returns nil when ctx ends or
// Halt is called, and an error when the port fails or is gone; then it may be
// called again. Only one Run at a time.
func (d *Dev) Run(ctx context.Context) error {
	if err := d.begin(); err != nil {
		return err
	}
	defer d.end()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := d.stream.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("run PIN pad: %w", err)
	}
	input := make(chan []byte)
	failed := make(chan error, 1)
	go func() { failed <- read(ctx, d.stream, input) }()
	s := &session{d: d, link: wire.NewTerminal()}
	err, readDone := s.loop(ctx, input, failed)
	cancel()
	if !readDone {
		_ = d.stream.SetReadDeadline(time.Unix(1, 0)) // releases the reader
		<-failed
	}
	if err != nil {
		return fmt.Errorf("run PIN pad: %w", err)
	}
	return nil
}

func (d *Dev) begin() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.halted:
		return ErrHalted
	default:
	}
	if d.running != nil {
		return errors.New("pinpad: Run is running already")
	}
	d.running = make(chan struct{})
	return nil
}

func (d *Dev) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.running)
	d.running = nil
}

// runEnd is closed when the present Run ends; nil if there is none.
func (d *Dev) runEnd() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.running
}

// read hands on what arrives until the port fails or ctx ends.
func read(ctx context.Context, r io.Reader, to chan<- []byte) error {
	for {
		buf := make([]byte, readSize)
		n, err := r.Read(buf)
		if n > 0 {
			select {
			case to <- buf[:n]:
			case <-ctx.Done():
				return nil
			}
		}
		if err != nil {
			return err
		}
	}
}

// session is the state of one Run. Only Run's goroutine touches it.
type session struct {
	d    *Dev
	link *wire.Link

	open     bool
	reopenAt time.Time // when to look for the pad again; zero: not
	cur      *call     // the call under way; nil: none
	at       int       // its step
	seq      uint8     // sequence number of that step's command
	answerBy time.Time
	entry    *entry // the PIN entry under way; nil: none
}

// loop returns when it is time to end; readDone says that the reader's result was
// taken already.
func (s *session) loop(ctx context.Context, input <-chan []byte, failed <-chan error) (err error, readDone bool) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	if err := s.reopen(time.Now()); err != nil {
		return err, false
	}
	for {
		if err := s.flush(); err != nil {
			s.drop(fmt.Errorf("%w: %w", ErrNoAnswer, err))
			return err, false
		}
		var calls <-chan *call
		if s.open && s.cur == nil {
			calls = s.d.calls
		}
		timer.Reset(s.wait(time.Now()))
		select {
		case <-ctx.Done():
			s.goodbye(ctx.Err())
			return nil, false
		case <-s.d.halted:
			s.goodbye(ErrHalted)
			return nil, false
		case p := <-input:
			s.link.Feed(p, time.Now())
		case err := <-failed:
			if err == nil { // ctx ended while input was waiting
				s.goodbye(ctx.Err())
				return nil, true
			}
			s.drop(fmt.Errorf("%w: %w", ErrNoAnswer, err))
			return err, true
		case c := <-calls:
			s.cur, s.at = c, 0
			s.send(time.Now())
		case <-timer.C:
			s.link.Tick(time.Now())
		}
		if err := s.progress(time.Now()); err != nil {
			s.drop(err)
			return err, false
		}
	}
}

// idleWait is how long the loop sleeps when nothing is due.
const idleWait = time.Hour

func (s *session) wait(now time.Time) time.Duration {
	next := wire.Earlier(s.link.Deadline(), wire.Earlier(s.answerBy, s.reopenAt))
	if next.IsZero() {
		return idleWait
	}
	return max(0, next.Sub(now))
}

// flush writes what the link wants to say. A port that does not take it in time
// is left to the link's repeating.
func (s *session) flush() error {
	for _, frame := range s.link.Output() {
		if err := s.d.stream.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
			return err
		}
		if _, err := s.d.stream.Write(frame); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
	return nil
}

// reopen begins a new session; whatever the old one had begun is over.
func (s *session) reopen(now time.Time) error {
	s.drop(fmt.Errorf("%w: session with the pad was lost", ErrNoAnswer))
	var b [4]byte
	if _, err := io.ReadFull(s.d.rand, b[:]); err != nil {
		return fmt.Errorf("draw session number: %w", err)
	}
	number := binary.BigEndian.Uint32(b[:])
	if number == 0 || number == s.link.Session() {
		number = s.link.Session() ^ 1<<31 | 1
	}
	s.open, s.reopenAt = false, time.Time{}
	s.link.Open(number, now)
	s.seq, s.answerBy = 0, now.Add(answerWait)
	return nil
}

// drop ends the call and the PIN entry under way with an error.
func (s *session) drop(err error) {
	s.finish(nil, err)
	if s.entry != nil {
		s.entry.finish(pinEnd{err: err})
		s.entry = nil
	}
}

func (s *session) finish(body []byte, err error) {
	s.answerBy = time.Time{}
	if s.cur != nil {
		s.cur.done <- reply{body, err}
		s.cur = nil
	}
}

// goodbye asks the pad to end a PIN entry, once and without waiting.
func (s *session) goodbye(why error) {
	e := s.entry
	if e == nil && s.cur != nil { // the pad may have begun, and its answer be on the way
		e = s.cur.entry
	}
	if e != nil {
		s.link.Forget()
		s.link.Post(wire.CmdCancel, []byte{e.id}, time.Now())
		_ = s.flush()
		if dr, ok := s.d.stream.(interface{ Drain() error }); ok {
			_ = dr.Drain() // bounded by the write deadline
		}
	}
	s.drop(why)
}

// send posts the present step of the call.
func (s *session) send(now time.Time) {
	st := s.cur.steps[s.at]
	seq, ok := s.link.Post(st.cmd, st.data, now)
	if !ok {
		s.finish(nil, fmt.Errorf("%w: command %#x of %d bytes", ErrParameter, uint8(st.cmd), len(st.data)))
		return
	}
	s.seq, s.answerBy = seq, now.Add(answerWait)
}

// progress takes everything that the link has to say, and what is due.
func (s *session) progress(now time.Time) error {
	for {
		f, ok := s.link.Next()
		if !ok {
			break
		}
		if err := s.hear(f, now); err != nil {
			return err
		}
	}
	silent := !s.answerBy.IsZero() && !now.Before(s.answerBy)
	if _, lost := s.link.Lost(); lost || silent {
		s.fail(now)
	}
	if s.link.WasReset() || !s.reopenAt.IsZero() && !now.Before(s.reopenAt) {
		return s.reopen(now)
	}
	return nil
}

// fail gives a pad up that does not answer: everything under way ends, and after
// a while the pad is looked for again.
func (s *session) fail(now time.Time) {
	s.drop(fmt.Errorf("%w: the pad is silent", ErrNoAnswer))
	s.link.Forget()
	s.open, s.reopenAt = false, now
	if s.seq == 0 { // even opening failed
		s.reopenAt = now.Add(reopenGap)
	}
}
