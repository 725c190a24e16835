package hostsim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"posagent/agent/acquirer"
	"posagent/agent/keys"
	"posagent/agent/payment"
)

// writeTimeout bounds how long a terminal may take to accept an answer.
const writeTimeout = 10 * time.Second

// late is an answer that waits for the terminal's next request.
type late struct {
	f acquirer.Frame
	m *acquirer.Message
	t *terminal
}

// Serve answers on every connection of the listener until the context ends, and
// returns nil when all connections are closed and all of its goroutines done. It
// closes the listener. Any other end of the listener is an error.
func (h *Host) Serve(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	defer running.Wait()
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	for { // ends with the listener
		conn, err := ln.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			cancel()
			return fmt.Errorf("hostsim: accept: %w", err)
		}
		running.Go(func() { h.serve(ctx, conn) })
	}
}

// caller is one connection.
type caller struct {
	h       *Host
	conn    net.Conn
	writing sync.Mutex // one answer at a time
	later   sync.WaitGroup
}

func (h *Host) serve(ctx context.Context, conn net.Conn) {
	c := &caller{h: h, conn: conn}
	ctx, cancel := context.WithCancel(ctx)
	defer c.later.Wait()
	defer cancel()
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	frames := acquirer.NewFrameReader(conn, h.p.MaxFrame())
	for { // ends with the connection
		f, err := frames.Next()
		if err != nil {
			return
		}
		m, err := h.p.Unpack(f.Body)
		if err != nil {
			h.log.Warn("message refused", "err", err)
			return
		}
		if err := c.handle(ctx, f, m); err != nil {
			h.log.Debug("connection ended", "mti", m.MTI(), "err", err)
			return
		}
	}
}

// errHangUp ends a connection on purpose.
var errHangUp = errors.New("hung up by script")

// handle works on one request; an error ends the connection.
func (c *caller) handle(ctx context.Context, f acquirer.Frame, m *acquirer.Message) error {
	h := c.h
	h.mu.Lock()
	in := h.open(m, f.Body)
	a := h.decide(in.Request)
	switch a.Kind {
	case Lose:
		h.mu.Unlock()
		return nil
	case CloseBefore:
		h.mu.Unlock()
		return errHangUp
	}
	reply, changed, err := h.answer(in, a)
	hook, waiting := h.applied, h.late[in.Terminal]
	delete(h.late, in.Terminal)
	h.mu.Unlock()
	if err != nil {
		return err
	}
	h.log.Info("answered", "tid", string(in.Terminal), "mti", in.MTI, "stan", in.STAN.String(),
		"code", reply.Text(39), "action", string(a.Kind))
	if changed != nil && hook != nil {
		hook(*changed)
	}
	for _, l := range waiting {
		if err := c.send(l, Approve); err != nil {
			return err
		}
	}
	return c.deliver(ctx, late{f.Answer(nil), reply, in.t}, in.Terminal, a)
}

// deliver sends the answer in the way of the action.
func (c *caller) deliver(ctx context.Context, l late, tid payment.TerminalID, a Action) error {
	switch a.Kind {
	case Drop:
		return nil
	case CloseAfter:
		return errHangUp
	case Delay:
		if err := pause(ctx, a.Delay); err != nil {
			return err
		}
	case Late:
		if a.Delay == 0 {
			c.h.mu.Lock()
			defer c.h.mu.Unlock()
			c.h.late[tid] = append(c.h.late[tid], l)
			return nil
		}
		c.later.Go(func() {
			if pause(ctx, a.Delay) == nil {
				_ = c.send(l, Approve) // the connection may be gone by then
			}
		})
		return nil
	case Duplicate:
		if err := c.send(l, Approve); err != nil {
			return err
		}
	case Dribble:
		return c.dribble(ctx, l, a.Delay)
	}
	return c.send(l, a.Kind)
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// send writes one answer, spoilt as kind says.
func (c *caller) send(l late, kind Kind) error {
	wire, err := c.h.wire(l, kind)
	if err != nil {
		return err
	}
	if err := c.write(wire); err != nil {
		return err
	}
	if kind == Cut {
		return errHangUp
	}
	return nil
}

func (c *caller) write(b []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := c.conn.Write(b)
	return err
}

func (c *caller) dribble(ctx context.Context, l late, every time.Duration) error {
	wire, err := c.h.wire(l, Approve)
	if err != nil {
		return err
	}
	for i := range wire {
		if err := c.write(wire[i : i+1]); err != nil {
			return err
		}
		if err := pause(ctx, every); err != nil {
			return err
		}
	}
	return nil
}

// wire gives the bytes of an answer, spoilt as kind says.
func (h *Host) wire(l late, kind Kind) ([]byte, error) {
	body, err := h.sign(l, kind)
	if err != nil {
		return nil, err
	}
	switch kind {
	case WrongMAC:
		body[len(body)-1] ^= 1
	case Truncate:
		body = body[:len(body)-3]
	case Garbage:
		return bytes.Repeat([]byte{0xFF}, 64), nil
	}
	l.f.Body = body
	wire, err := l.f.AppendTo(nil, h.p.MaxFrame())
	if err == nil && kind == Cut {
		wire = wire[:len(wire)/2]
	}
	return wire, err
}

// sign packs an answer, with a MAC if the terminal has a key and the message is
// of a kind that carries one.
func (h *Host) sign(l late, kind Kind) ([]byte, error) {
	m := h.p.New(l.m.MTI())
	for _, id := range l.m.Fields() {
		if err := m.SetBytes(id, l.m.Bytes(id)); err != nil {
			return nil, err
		}
	}
	if kind == ForgeSTAN {
		if err := m.Set(11, payment.STAN(decimal(m.Text(11))).Next().String()); err != nil {
			return nil, err
		}
	}
	k := h.keysOf(l.t)
	if k == nil || !m.Has(37) || kind == NoMAC { // line management has neither reference number nor MAC
		return m.Pack()
	}
	if err := m.SetBytes(64, make([]byte, 8)); err != nil {
		return nil, err
	}
	body, err := m.Pack()
	if err != nil {
		return nil, err
	}
	end := len(body) - 8
	mac, err := k.MAC(h.p.MACAlgorithm(), body[:end])
	copy(body[end:], mac[:])
	return body, err
}

// keysOf gives the keys of a terminal that is signed in; nil otherwise.
func (h *Host) keysOf(t *terminal) *keys.Host {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t == nil || !t.signedIn {
		return nil
	}
	return t.keys
}
