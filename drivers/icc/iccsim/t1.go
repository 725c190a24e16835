package iccsim

import (
	"errors"

	"posagent/drivers/icc"
)

// cardRepeats is how often the card tries to repair before it falls silent
// (ISO/IEC 7816-3, 11.6.3.2: three).
const cardRepeats = 3

// t1Card is the card's end of T=1 (ISO/IEC 7816-3, 11).
type t1Card struct {
	*session
	par     icc.Params
	ifsd    uint8 // what the terminal takes
	ns, nr  byte
	in      []byte // command so far
	seg     []byte // information field in flight
	rest    []byte // what follows it
	pending bool   // an I-block of ours is not acknowledged
	last    icc.Block
	began   bool // last is valid
	extend  uint32
	reply   []byte // response waiting for the extensions to be granted
	repeats uint32
}

func (c *t1Card) run() error {
	for {
		k, err := c.block()
		if err == errOver || err == errEnded {
			return err
		}
		var next icc.Block
		switch {
		case err != nil && c.repeats >= cardRepeats:
			continue // mute until reset or a good block
		case err != nil:
			c.repeats++
			code := icc.ROther
			var be *icc.BlockError
			if errors.As(err, &be) && be.Field == "EDC" {
				code = icc.RCheck
			}
			next = icc.RBlock(c.nr, code)
		default:
			if next, err = c.answer(k); err != nil {
				return err
			}
		}
		if err := c.out(next); err != nil {
			return err
		}
	}
}

// block receives one block. Errors other than errOver and errEnded leave the
// line silent.
func (c *t1Card) block() (icc.Block, error) {
	edc := 1
	if c.par.CRC {
		edc = 2
	}
	var b []byte
	for need := 3 + edc; len(b) < need; {
		wait := c.cwt
		if len(b) == 0 {
			wait = 0
		}
		v, err := c.recv(wait)
		if err != nil {
			return icc.Block{}, err
		}
		if b = append(b, v); len(b) == 3 {
			need += int(v)
		}
	}
	k, err := icc.ParseBlock(b, c.par.CRC)
	if err != nil {
		for {
			if _, rerr := c.recv(c.cwt); rerr == errLate {
				return k, err
			} else if rerr != nil {
				return k, rerr
			}
		}
	}
	return k, nil
}

// out sends a block after the block guard time.
func (c *t1Card) out(b icc.Block) error {
	if err := c.wait(12 * c.s.opts.ETU); err != nil {
		return err
	}
	c.last, c.began = b, true
	raw := b.AppendTo(nil, c.par.CRC)
	if c.s.badEDC() {
		raw[len(raw)-1] ^= 0x5A
	}
	return c.send(raw)
}

// answer finds the block that follows k.
func (c *t1Card) answer(k icc.Block) (icc.Block, error) {
	switch {
	case k.IsI():
		return c.answerI(k)
	case k.IsR():
		return c.answerR(k), nil
	}
	return c.answerS(k)
}

func (c *t1Card) answerI(k icc.Block) (icc.Block, error) {
	if k.NS() != c.nr || c.pending && len(c.rest) > 0 || c.reply != nil {
		c.repeats++
		return icc.RBlock(c.nr, icc.ROther), nil
	}
	if c.pending { // the next command acknowledges the last response
		c.pending = false
		c.ns ^= 1
	}
	c.repeats = 0
	c.nr ^= 1
	c.in = append(c.in, k.INF...)
	if k.More() {
		return icc.RBlock(c.nr, icc.RNone), nil
	}
	capdu := c.in
	c.in = nil
	c.reply = c.card.Transmit(capdu)
	if len(c.reply) < 2 {
		return icc.Block{}, c.idle()
	}
	if c.extend = c.s.plan().Extend; c.extend > 0 {
		return icc.SBlock(icc.PCBWTX, wtxMultiplier), nil
	}
	return c.ready()
}

// wtxMultiplier is what the card asks for: its waiting time, twice.
const wtxMultiplier = 2

// ready thinks, and asks for one more extension or begins the response.
func (c *t1Card) ready() (icc.Block, error) {
	if err := c.wait(c.s.plan().Slow); err != nil {
		return icc.Block{}, err
	}
	if c.extend > 0 {
		return icc.SBlock(icc.PCBWTX, wtxMultiplier), nil
	}
	c.rest, c.reply = c.reply, nil
	return c.segment(), nil
}

func (c *t1Card) segment() icc.Block {
	n := min(len(c.rest), int(c.ifsd))
	c.seg, c.rest, c.pending = c.rest[:n], c.rest[n:], true
	return icc.IBlock(c.ns, len(c.rest) > 0, c.seg)
}

func (c *t1Card) answerR(k icc.Block) icc.Block {
	switch {
	case c.pending && k.NR() != c.ns && len(c.rest) > 0:
		c.repeats = 0
		c.ns ^= 1
		return c.segment()
	case c.pending && k.NR() == c.ns:
		return icc.IBlock(c.ns, len(c.rest) > 0, c.seg)
	case !c.began:
		return icc.RBlock(c.nr, icc.ROther)
	}
	return c.last
}

func (c *t1Card) answerS(k icc.Block) (icc.Block, error) {
	switch k.PCB {
	case icc.PCBIFS:
		c.ifsd = k.INF[0]
		c.repeats = 0
		return icc.SBlock(icc.PCBIFS|icc.PCBResponse, k.INF[0]), nil
	case icc.PCBResynch:
		c.ns, c.nr, c.ifsd, c.repeats = 0, 0, 32, 0
		c.in, c.seg, c.rest, c.reply, c.pending = nil, nil, nil, nil, false
		return icc.SBlock(icc.PCBResynch | icc.PCBResponse), nil
	case icc.PCBWTX | icc.PCBResponse:
		if c.extend > 0 && c.reply != nil {
			c.repeats = 0
			c.extend--
			return c.ready()
		}
	}
	c.repeats++
	return icc.RBlock(c.nr, icc.ROther), nil
}

// badEDC uses up one damaged check.
func (s *Slot) badEDC() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.faults.BadEDC == 0 {
		return false
	}
	s.faults.BadEDC--
	return true
}
