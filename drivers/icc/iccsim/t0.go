package iccsim

import "time"

// t0Card is the card's end of T=0 (EMV Book 1, 9.2.2).
type t0Card struct {
	*session
	held []byte // response data not yet fetched
	sw   [2]byte
	last [4]byte // header that the held data of a case 2 command answers
	for2 bool    // held belongs to last, not to GET RESPONSE
}

// gap is the pause at a change of direction: 16 etu, of which the character
// itself takes 12.
func (c *t0Card) gap() time.Duration { return 6 * c.s.opts.ETU }

func (c *t0Card) run() error {
	for {
		var h [5]byte
		for i := range h {
			wait := 9600 * c.s.opts.ETU
			if i == 0 {
				wait = 0
			}
			b, err := c.recv(wait)
			if err == errLate { // a cut header is forgotten
				break
			}
			if err != nil {
				return err
			}
			h[i] = b
			if i == 4 {
				if err := c.command(h); err != nil {
					return err
				}
			}
		}
	}
}

// command answers one TPDU.
func (c *t0Card) command(h [5]byte) error {
	if err := c.wait(c.gap()); err != nil {
		return err
	}
	head := [4]byte(h[:4])
	switch {
	case h[1]&0xF0 == 0x60 || h[1]&0xF0 == 0x90:
		return c.send([]byte{0x6D, 0x00})
	case h[1] == 0xC0:
		return c.respond(h)
	case c.s.opts.Incoming(h[0], h[1]):
		return c.take(h)
	case !c.for2 || head != c.last || c.held == nil:
		if err := c.ask(h[:]); err != nil {
			return err
		}
		c.last, c.for2 = head, true
	}
	return c.respond(h)
}

// ask has the card application answer and holds the response.
func (c *t0Card) ask(capdu []byte) error {
	if err := c.think(func() error { return c.send([]byte{0x60}) }); err != nil {
		return err
	}
	r := c.card.Transmit(capdu)
	n := len(r) - 2
	if n < 0 {
		return c.idle()
	}
	c.held, c.sw = r[:n:n], [2]byte(r[n:])
	return nil
}

// take receives the data of a command of case 1 or 3.
func (c *t0Card) take(h [5]byte) error {
	capdu := append([]byte(nil), h[:4]...)
	if p3 := h[4]; p3 > 0 {
		capdu = append(capdu, p3)
		proc, step := h[1], int(p3)
		if c.s.opts.SingleByte {
			proc, step = ^h[1], 1
		}
		for len(capdu) < 5+int(p3) {
			if err := c.send([]byte{proc}); err != nil {
				return err
			}
			for range step {
				b, err := c.recv(9600 * c.s.opts.ETU)
				if err == errLate {
					return nil
				}
				if err != nil {
					return err
				}
				capdu = append(capdu, b)
			}
			if err := c.wait(c.gap()); err != nil {
				return err
			}
		}
	}
	c.for2 = false
	if err := c.ask(capdu); err != nil {
		return err
	}
	if len(c.held) > 0 && c.sw == [2]byte{0x90, 0x00} {
		return c.send([]byte{0x61, left(len(c.held))})
	}
	return c.send(c.sw[:])
}

// left is the length byte for n bytes; 00 means 256 or more.
func left(n int) byte {
	if n >= 256 {
		return 0
	}
	return byte(n)
}

// respond sends held data as far as P3 asks for it.
func (c *t0Card) respond(h [5]byte) error {
	le := int(h[4])
	if le == 0 {
		le = 256
	}
	switch n := len(c.held); {
	case n == 0 && h[1] == 0xC0:
		return c.send([]byte{0x69, 0x85})
	case n == 0:
		return c.send(c.sw[:])
	case n < le, n > le && c.for2 && h[1] != 0xC0 && le < 256:
		return c.send([]byte{0x6C, left(n)})
	case n > le:
		data := c.held[:le]
		c.held, c.for2 = c.held[le:], false
		return c.data(h[1], data, [2]byte{0x61, left(len(c.held))})
	}
	data := c.held
	c.held = nil
	sw := c.sw
	if h[1] == 0xC0 && sw[0] != 0x90 {
		sw = [2]byte{0x90, 0x00} // the warning has been told before
	}
	return c.data(h[1], data, sw)
}

// data sends procedure bytes, data and status.
func (c *t0Card) data(ins byte, data []byte, sw [2]byte) error {
	var out []byte
	if c.s.opts.SingleByte {
		for _, v := range data {
			out = append(out, ^ins, v)
		}
	} else {
		out = append(append(out, ins), data...)
	}
	return c.send(append(out, sw[0], sw[1]))
}
