package acquirer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// maxForeign bounds how many messages that are not the answer one exchange reads
// past: a host that talks on and on is as good as silent.
const maxForeign = 64

// settle is how long a kept connection is listened to before it is used again,
// to find late answers and a host that has hung up.
const settle = time.Millisecond

// exchange sends a and waits for its answer. The caller holds the line.
func (l *Link) exchange(ctx context.Context, a asked) (Frame, *Message, error) {
	a.tpdu = l.cfg.TPDU
	wire, err := l.pack(ctx, a.m)
	if err != nil {
		return Frame{}, nil, fmt.Errorf("%w: pack %s: %w", ErrNotSent, a.m.MTI(), err)
	}
	defer clear(wire)
	if err := l.connect(ctx); err != nil {
		return Frame{}, nil, fmt.Errorf("%w: connect: %w", ErrNotSent, err)
	}
	f, r, err := l.converse(ctx, a, wire)
	if err != nil || !l.p.kept {
		l.hangUp()
	}
	if err != nil {
		l.log.Warn("exchange failed", "mti", a.m.MTI(), "stan", a.m.Text(11), "err", err)
		return Frame{}, nil, err
	}
	l.log.Debug("exchange done", "mti", a.m.MTI(), "stan", a.m.Text(11), "code", r.Text(39))
	return f, r, nil
}

// pack gives the frame's bytes, with the MAC in place.
func (l *Link) pack(ctx context.Context, m *Message) ([]byte, error) {
	body, err := m.Pack()
	if err != nil {
		return nil, err
	}
	defer clear(body)
	if m.Has(macField) {
		end := len(body) - macSize
		mac, err := l.cfg.Keys.MAC(ctx, l.p.mac, body[:end])
		if err != nil {
			return nil, err
		}
		copy(body[end:], mac[:])
	}
	return Frame{TPDU: l.cfg.TPDU, Head: l.cfg.Head, Body: body}.AppendTo(nil, l.p.maxFrame)
}

// connect brings a connection up, or makes sure that the kept one is alive.
func (l *Link) connect(ctx context.Context) error {
	if l.conn != nil && !l.alive() {
		l.hangUp()
	}
	if l.conn != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.cfg.ConnectTimeout)
	defer cancel()
	conn, err := l.cfg.Dial(ctx, "tcp", l.cfg.Addr)
	if err != nil {
		return err
	}
	l.conn, l.frames = conn, NewFrameReader(conn, l.p.maxFrame)
	return nil
}

// alive reads what has come in since the last exchange, all of it foreign now,
// and reports whether the host still holds the line.
func (l *Link) alive() bool {
	for range maxForeign {
		if err := l.conn.SetReadDeadline(time.Now().Add(settle)); err != nil {
			return false
		}
		f, err := l.frames.Next()
		if err != nil {
			return timedOut(err)
		}
		m, _ := l.read(f)
		l.foreign("nobody asked", f, m)
	}
	return false
}

func timedOut(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// converse writes the request and reads until its answer, the deadline or the
// context's end. From the first write on every error is a doubt.
func (l *Link) converse(ctx context.Context, a asked, wire []byte) (Frame, *Message, error) {
	if err := l.conn.SetDeadline(time.Now().Add(l.cfg.ResponseTimeout)); err != nil {
		return Frame{}, nil, fmt.Errorf("%w: set timer: %w", ErrNotSent, err)
	}
	if err := ctx.Err(); err != nil {
		return Frame{}, nil, fmt.Errorf("%w: %w", ErrNotSent, err)
	}
	interrupted := make(chan struct{})
	conn := l.conn
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		_ = conn.SetDeadline(time.Unix(1, 0)) // long past: wakes read and write
	})
	defer func() {
		if !stop() {
			<-interrupted
		}
	}()
	l.trace("out", Frame{TPDU: l.cfg.TPDU, Head: l.cfg.Head}, a.m)
	if _, err := conn.Write(wire); err != nil {
		return Frame{}, nil, noResponse(ctx, "write", err)
	}
	for range maxForeign {
		f, err := l.frames.Next()
		if err != nil {
			return Frame{}, nil, noResponse(ctx, "read", err)
		}
		r, err := l.read(f)
		if err != nil {
			l.foreign(err.Error(), f, nil)
			continue
		}
		if reason := l.p.foreign(a, f, r); reason != "" {
			l.foreign(reason, f, r)
			continue
		}
		if err := l.checkMAC(ctx, a, f, r); err != nil {
			l.foreign("MAC", f, r)
			return Frame{}, nil, err
		}
		return f, r, nil
	}
	return Frame{}, nil, fmt.Errorf("%w: %d messages that were no answer", ErrNoResponse, maxForeign)
}

// read takes a frame's message apart and traces it.
func (l *Link) read(f Frame) (*Message, error) {
	m, err := l.p.Unpack(f.Body)
	l.trace("in", f, m)
	return m, err
}

func (l *Link) trace(direction string, f Frame, m *Message) {
	if l.cfg.OnTrace != nil {
		l.cfg.OnTrace(direction, l.p.describeFrame(f, m))
	}
}

func (l *Link) foreign(reason string, f Frame, m *Message) {
	l.log.Warn("message ignored", "reason", reason)
	if l.cfg.OnForeign != nil {
		l.cfg.OnForeign(reason, l.p.describeFrame(f, m))
	}
}

func noResponse(ctx context.Context, doing string, err error) error {
	if err == io.EOF {
		err = errors.New("the host hung up")
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %s: %w", ErrNoResponse, doing, ctx.Err())
	}
	return fmt.Errorf("%w: %s: %w", ErrNoResponse, doing, err)
}
