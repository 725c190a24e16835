package magstripe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"periph.io/x/conn/v3/physic"
	periph "periph.io/x/conn/v3/uart"

	"posagent/drivers/magstripe/internal/wire"
	"posagent/drivers/uart"
)

// SerialOpts are the knobs of a decoded head.
type SerialOpts struct {
	Speed physic.Frequency
	// Gap is the longest silence within a frame; after it the rest is given up and
	// asked for again.
	Gap time.Duration
	// Tries is how often a frame is asked for again before it is ErrLink.
	Tries uint8
}

// DefaultSerialOpts suit a head of the class.
var DefaultSerialOpts = SerialOpts{Speed: 9600 * physic.Hertz, Gap: 50 * time.Millisecond, Tries: 4}

// Serial is a head with a processor that decodes F2F itself and sends the
// characters, sentinels and LRC with them, so that they are judged here by the
// same door as every other track. One goroutine at a time calls Swipe.
type Serial struct {
	opts   SerialOpts
	port   periph.PortCloser
	stream uart.Stream
	halt   *halt
	buf    [wire.MaxFrame]byte
	have   int  // bytes in buf
	last   byte // sequence number of the last frame taken
	any    bool // there was one
}

var _ Reader = (*Serial)(nil)

// NewSerial connects the port with 8 bits, no parity, 1 stop bit. The port
// belongs to the reader: Halt closes it.
func NewSerial(port periph.PortCloser, opts *SerialOpts) (*Serial, error) {
	o := DefaultSerialOpts
	if opts != nil {
		o = *opts
	}
	s, err := uart.Connect(port, o.Speed, periph.One, periph.NoParity, periph.NoFlow, 8)
	if err != nil {
		return nil, fmt.Errorf("magstripe: connect %s: %w", port, err)
	}
	return &Serial{opts: o, port: port, stream: s, halt: newHalt()}, nil
}

// String is part and port.
func (s *Serial) String() string { return "magstripe serial(" + s.port.String() + ")" }

// Halt closes the port.
func (s *Serial) Halt() error {
	if s.halt.end() {
		return s.port.Close()
	}
	return nil
}

// Swipe waits for the next frame. A frame that comes again because its answer
// was lost is answered and not handed out.
func (s *Serial) Swipe(ctx context.Context) (Swipe, error) {
	defer func() { clear(s.buf[:]); s.have = 0 }()
	stop := context.AfterFunc(ctx, func() { s.stream.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for tries := uint8(0); tries <= s.opts.Tries; {
		body, err := s.frame(ctx)
		if errors.Is(err, wire.ErrFrame) {
			tries++
			if err := s.answer(ctx, wire.NAK); err != nil {
				return Swipe{}, err
			}
			continue
		}
		if err != nil {
			return Swipe{}, err
		}
		if err := s.answer(ctx, wire.ACK); err != nil {
			return Swipe{}, err
		}
		if s.any && body[0] == s.last {
			continue // bounded by the head, which repeats only what was not answered
		}
		s.last, s.any = body[0], true
		return unpack(body)
	}
	return Swipe{}, linkError("read frame", nil)
}

func (s *Serial) answer(ctx context.Context, b byte) error {
	if err := s.halt.err(ctx); err != nil {
		return err
	}
	if _, err := s.stream.Write([]byte{b}); err != nil {
		return linkError("answer the head", err)
	}
	return nil
}

// frame waits without limit for the first byte and then no longer than Gap for
// each following one. Its error is wire.ErrFrame if the head should repeat.
func (s *Serial) frame(ctx context.Context) ([]byte, error) {
	s.have = 0
	for {
		if err := s.deadline(ctx); err != nil {
			return nil, err
		}
		n, err := s.stream.Read(s.buf[s.have:])
		s.have += n
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			if err := s.halt.err(ctx); err != nil {
				return nil, err
			}
			if s.have > 0 {
				return nil, wire.ErrFrame
			}
			continue
		case err != nil:
			if herr := s.halt.err(ctx); herr != nil {
				return nil, herr
			}
			return nil, linkError("read from the head", err)
		}
		body, _, err := wire.ParseFrame(s.buf[:s.have])
		switch {
		case err == nil:
			return body, nil
		case errors.Is(err, wire.ErrFrame):
			if err := s.drain(ctx); err != nil {
				return nil, err
			}
			return nil, wire.ErrFrame
		case s.have == len(s.buf):
			return nil, wire.ErrFrame
		}
	}
}

// deadline sets how long the next Read may take. The context is asked after it
// was set, so that an end in between is not overwritten for ever.
func (s *Serial) deadline(ctx context.Context) error {
	by := time.Now().Add(time.Second)
	if s.have > 0 {
		by = time.Now().Add(s.opts.Gap)
	}
	if err := s.stream.SetReadDeadline(by); err != nil {
		if herr := s.halt.err(ctx); herr != nil {
			return herr
		}
		return linkError("set deadline", err)
	}
	return s.halt.err(ctx)
}

// drainMost bounds how much of a broken frame is thrown away.
const drainMost = 4 * wire.MaxFrame

// drain reads until the line is silent.
func (s *Serial) drain(ctx context.Context) error {
	for left := drainMost; left > 0; {
		s.have = 1 // as within a frame: wait no longer than Gap
		if err := s.deadline(ctx); err != nil {
			return err
		}
		n, err := s.stream.Read(s.buf[:])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return s.halt.err(ctx)
		}
		if err != nil {
			if herr := s.halt.err(ctx); herr != nil {
				return herr
			}
			return linkError("read from the head", err)
		}
		left -= n
	}
	return nil
}

// unpack judges the tracks of a body: sequence number, status (bit n-1: track n
// has a recording), three lengths, characters as text. A track with a recording
// and no characters is one that the head could not decode.
func unpack(body []byte) (out Swipe, err error) {
	status, rest := body[1], body[wire.Head:]
	var codes [maxChars]byte
	defer clear(codes[:])
	for n := Track1; n <= Track3; n++ {
		size := int(body[1+n])
		if size > len(rest) || size > maxChars {
			return Swipe{}, linkError("unpack "+n.String(), wire.ErrFrame)
		}
		chars := rest[:size]
		rest = rest[size:]
		switch {
		case size == 0 && status>>(n-1)&1 == 0:
			out.set(n, Track{}, ErrBlank)
			continue
		case size == 0:
			out.set(n, Track{}, ErrParity)
			continue
		}
		c := &codings[n-1]
		t, err := Track{}, error(nil)
		for i, b := range chars {
			if b < c.base || b-c.base >= 1<<(c.bits-1) {
				err = ErrParity
				break
			}
			codes[i] = b - c.base
		}
		if err == nil {
			t, err = accept(n, codes[:size])
		}
		out.set(n, t, err)
	}
	if len(rest) != 0 {
		return Swipe{}, linkError("unpack", wire.ErrFrame)
	}
	out.settle()
	return out, nil
}
