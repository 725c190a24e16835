package pinpad

import (
	"bytes"
	"fmt"
	"time"

	"posagent/drivers/pinpad/internal/wire"
)

// hear takes one message of the pad. An error means that the other end speaks
// another protocol.
func (s *session) hear(f wire.Frame, now time.Time) error {
	switch f.Cmd {
	case wire.CmdAnswer:
		if a, ok := wire.ParseAnswer(f.Data); ok {
			return s.answered(a, now)
		}
	case wire.CmdKey:
		if len(f.Data) == 1 && Key(f.Data[0]).Valid() {
			s.d.pressed(Key(f.Data[0]))
		}
	case wire.CmdDots:
		if len(f.Data) == 2 && s.entry != nil && s.entry.id == f.Data[0] {
			s.entry.show(f.Data[1])
		}
	case wire.CmdPINResult:
		if len(f.Data) >= 2 && s.entry != nil && s.entry.id == f.Data[0] {
			s.entry.finish(s.entry.outcome(wire.Outcome(f.Data[1]), f.Data[2:]))
			s.entry = nil
		}
	case wire.CmdTamper:
		s.d.tampering()
	}
	return nil
}

// answered matches an answer with the command under way; any other is late and
// means nothing.
func (s *session) answered(a wire.Answer, now time.Time) error {
	if s.answerBy.IsZero() || a.Re != s.seq {
		return nil
	}
	if !s.open {
		if a.Cmd != wire.CmdOpen {
			return nil
		}
		if a.Status != wire.OK || len(a.Body) != 1 || a.Body[0] != wire.Version {
			return fmt.Errorf("%w: open: %s, version % x, want %d", ErrProtocol, a.Status, a.Body, wire.Version)
		}
		s.open, s.answerBy = true, time.Time{}
		return nil
	}
	if s.cur == nil || a.Cmd != s.cur.steps[s.at].cmd {
		return nil
	}
	if err := statusError(a.Status); err != nil {
		s.finish(nil, err)
		return nil
	}
	if s.at++; s.at < len(s.cur.steps) {
		s.send(now)
		return nil
	}
	if s.cur.entry != nil {
		s.entry = s.cur.entry
	}
	s.finish(a.Body, nil)
	return nil
}

// outcome reads how the entry ended.
func (e *entry) outcome(o wire.Outcome, rest []byte) pinEnd {
	switch {
	case o == wire.Entered && e.offline > 0 && len(rest) == int(e.offline):
		return pinEnd{result: Enciphered{bytes.Clone(rest)}}
	case o == wire.Entered && e.offline == 0 && len(rest) == 8:
		return pinEnd{result: Entered{[8]byte(rest)}}
	case o == wire.Bypassed && len(rest) == 0:
		return pinEnd{result: Bypassed{}}
	case o == wire.Cancelled && len(rest) == 0:
		return pinEnd{result: Cancelled{}}
	case o == wire.TimedOut && len(rest) == 0:
		return pinEnd{result: TimedOut{}}
	case o == wire.Aborted && len(rest) == 1 && wire.Status(rest[0]) != wire.OK:
		return pinEnd{err: statusError(wire.Status(rest[0]))}
	}
	return pinEnd{err: fmt.Errorf("%w: PIN outcome %d with %d bytes", ErrProtocol, uint8(o), len(rest))}
}

// pressed hands a key on; one that nobody has room for is not kept.
func (d *Dev) pressed(k Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mute {
		return
	}
	select {
	case d.keys <- k:
	default:
	}
}

// tampering closes the Tamper channel, once.
func (d *Dev) tampering() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.tampered {
		d.tampered = true
		close(d.tamper)
	}
}
