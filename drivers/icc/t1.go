package icc

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// maxRepeats bounds the repairs of one block (EMV Book 1, 9.2.5.1: three
	// attempts, then deactivation).
	maxRepeats = 3
	// maxWTX bounds waiting time extensions in one command; maxCommand bounds
	// their sum in time.
	maxWTX = 64
	// maxBlocks bounds the blocks of one command: a chain of 16-byte fields
	// that fills MaxResponse, twice over for repeats.
	maxBlocks = 1024
	// ifsd is what the driver takes, told to the card right after the answer
	// to reset (EMV Book 1, 9.2.4.3).
	ifsd = 254
)

// t1 is the T=1 protocol of ISO/IEC 7816-3, 11 and EMV Book 1, 9.2.4 and 9.2.5.
type t1 struct {
	l       *line
	par     Params
	iso     bool  // ISO rules: resynchronise before giving up
	ns, nr  byte  // N(S) to send next, N(S) to expect next
	ifsc    uint8 // longest field the card takes now
	wtx     uint8 // multiplier of the next block waiting time
	last    Block // last block sent, for repeats
	scratch []byte
}

func newT1(l *line, par Params, iso bool) *t1 {
	return &t1{l: l, par: par, iso: iso, ifsc: par.IFSC, wtx: 1}
}

// exchange sends b and receives the card's next block. After an error that
// repairable knows, the line is silent.
func (p *t1) exchange(ctx context.Context, b Block) (Block, error) {
	p.last = b
	p.scratch = b.AppendTo(p.scratch[:0], p.par.CRC)
	if err := p.l.send(ctx, p.scratch); err != nil {
		return Block{}, p.spoiled(ctx, err)
	}
	k, err := p.receive(ctx)
	if err != nil {
		return Block{}, p.spoiled(ctx, err)
	}
	return k, nil
}

// receive reads one block: its first character within the block waiting time,
// each other one within the character waiting time.
func (p *t1) receive(ctx context.Context) (Block, error) {
	wait := p.l.etu(p.par.BWT) * time.Duration(p.wtx)
	p.wtx = 1
	need := 4
	if p.par.CRC {
		need = 5
	}
	b := make([]byte, 0, need+maxINF)
	p.l.parityMark()
	for len(b) < need {
		c, err := p.l.recv(ctx, wait)
		if err != nil {
			return Block{}, fmt.Errorf("after %d characters: %w", len(b), err)
		}
		wait = p.l.etu(p.par.CWT)
		b = append(b, c)
		if len(b) == 3 {
			if c > maxINF {
				return Block{}, &BlockError{"LEN", "FF is reserved"}
			}
			need += int(c)
		}
	}
	// A lost LEN makes a short block of a long one, and an LRC passes one in
	// 256 of those: so the block must end in silence. The block guard time has
	// to pass before the next send anyway.
	stray, err := p.l.settle(ctx, p.l.etu(turnT1))
	switch {
	case err != nil:
		return Block{}, err
	case stray > 0:
		return Block{}, &BlockError{"length", fmt.Sprintf("%d characters after the end", stray)}
	case !p.l.parityClean():
		return Block{}, &BlockError{"EDC", "parity error"}
	}
	return ParseBlock(b, p.par.CRC)
}

// repairable says whether an R-block may repair err, and with which code.
func repairable(err error) (code byte, ok bool) {
	var be *BlockError
	switch {
	case errors.As(err, &be) && be.Field == "EDC":
		return RCheck, true
	case errors.As(err, &be), errors.Is(err, errTimeout), errors.Is(err, errEcho):
		return ROther, true
	}
	return 0, false
}

// spoiled waits for silence after a repairable error, so that the rest of a
// broken block is not read as the next one.
func (p *t1) spoiled(ctx context.Context, err error) error {
	if _, ok := repairable(err); !ok {
		return err
	}
	if _, serr := p.l.settle(ctx, p.l.etu(p.par.CWT)+p.l.slack); serr != nil {
		return serr
	}
	return err
}

// request sends an S-block request until its response comes (ISO/IEC 7816-3,
// 11.6.3, rule 7.3: an S request is answered to an error by itself).
func (p *t1) request(ctx context.Context, b Block) error {
	var why error
	for range maxRepeats {
		k, err := p.exchange(ctx, b)
		switch _, ok := repairable(err); {
		case err == nil && k.PCB == b.PCB|PCBResponse && string(k.INF) == string(b.INF):
			return nil
		case err == nil:
			why = fmt.Errorf("%w: PCB %02X in answer to %02X", errBlock, k.PCB, b.PCB)
		case !ok:
			return err
		default:
			why = err
		}
	}
	return fmt.Errorf("supervisory block %02X, %d attempts: %w", b.PCB, maxRepeats, why)
}

// start tells the card the information field size of the terminal.
func (p *t1) start(ctx context.Context) error { return p.request(ctx, SBlock(PCBIFS, ifsd)) }

// command state of one APDU exchange.
type t1Command struct {
	seg     []byte // information field of the I-block in flight
	rest    []byte // what follows it
	pending bool   // the I-block in flight is not acknowledged
	data    []byte // response so far
	repeats uint8  // consecutive repairs
	wtx     uint8
}

// transmit sends one command APDU and returns the response APDU.
func (p *t1) transmit(ctx context.Context, capdu []byte) ([]byte, error) {
	c := &t1Command{rest: capdu}
	next := p.segment(c)
	for range maxBlocks {
		k, err := p.exchange(ctx, next)
		var done bool
		if err == nil {
			next, done, err = p.answer(c, k)
		}
		if done && err == nil {
			if len(c.data) < 2 {
				return nil, fmt.Errorf("%w: response APDU of %d bytes", errBlock, len(c.data))
			}
			return c.data, nil
		}
		if err != nil {
			code, ok := repairable(err)
			if !ok {
				return nil, err
			}
			next = RBlock(p.nr, code)
			c.repeats++
		}
		if c.repeats > maxRepeats {
			return nil, p.giveUp(ctx, err)
		}
	}
	return nil, fmt.Errorf("%w: %d blocks for one command", errBound, maxBlocks)
}

// segment cuts the next I-block from what is left.
func (p *t1) segment(c *t1Command) Block {
	n := min(len(c.rest), int(p.ifsc))
	c.seg, c.rest, c.pending = c.rest[:n], c.rest[n:], true
	return IBlock(p.ns, len(c.rest) > 0, c.seg)
}

// answer finds the block to send after k, or that the response is complete. A
// *BlockError asks for a repair.
func (p *t1) answer(c *t1Command, k Block) (next Block, done bool, err error) {
	switch {
	case k.IsI():
		return p.answerI(c, k)
	case k.IsR():
		return p.answerR(c, k), false, nil
	}
	return p.answerS(c, k)
}

func (p *t1) answerI(c *t1Command, k Block) (Block, bool, error) {
	if k.NS() != p.nr {
		return Block{}, false, &BlockError{"PCB", fmt.Sprintf("N(S) is %d, expected %d", k.NS(), p.nr)}
	}
	if len(c.rest) > 0 {
		return Block{}, false, &BlockError{"PCB", "an I-block before the end of the command"}
	}
	if len(c.data)+len(k.INF) > MaxResponse {
		return Block{}, false, fmt.Errorf("%w: response over %d bytes", errBound, MaxResponse)
	}
	if c.pending { // the first I-block acknowledges the command
		c.pending = false
		p.ns ^= 1
	}
	c.data = append(c.data, k.INF...)
	c.repeats = 0
	p.nr ^= 1
	return RBlock(p.nr, RNone), !k.More(), nil
}

func (p *t1) answerR(c *t1Command, k Block) Block {
	switch {
	case c.pending && k.NR() != p.ns && len(c.rest) > 0: // go on
		c.repeats = 0
		p.ns ^= 1
		return p.segment(c)
	case c.pending && k.NR() == p.ns: // it wants this I-block again
		c.repeats++
		return IBlock(p.ns, len(c.rest) > 0, c.seg)
	case p.last.IsI(): // it has the command, we lack its answer
		c.repeats++
		return RBlock(p.nr, ROther)
	}
	c.repeats++
	return p.last
}

func (p *t1) answerS(c *t1Command, k Block) (Block, bool, error) {
	switch k.PCB {
	case PCBWTX:
		if c.wtx++; c.wtx > maxWTX {
			return Block{}, false, fmt.Errorf("%w: %d waiting time extensions", errBound, c.wtx)
		}
		p.wtx = max(k.INF[0], 1)
		return SBlock(PCBWTX|PCBResponse, k.INF[0]), false, nil
	case PCBIFS:
		if c.wtx++; c.wtx > maxWTX {
			return Block{}, false, fmt.Errorf("%w: %d supervisory blocks", errBound, c.wtx)
		}
		p.ifsc = k.INF[0]
		return SBlock(PCBIFS|PCBResponse, k.INF[0]), false, nil
	case PCBAbort, PCBResynch: // EMV Book 1, 9.2.4.2: the card shall not
		return Block{}, false, fmt.Errorf("%w: the card sent S-block %02X", errBlock, k.PCB)
	}
	return Block{}, false, &BlockError{"PCB", fmt.Sprintf("S-block %02X was not asked for", k.PCB)}
}

// giveUp ends a command that three repairs did not save. Under EMV the caller
// takes the power away; under ISO rules the blocks are resynchronised, and the
// card lives on without the command (ISO/IEC 7816-3, 11.6.3.2, rule 6).
func (p *t1) giveUp(ctx context.Context, why error) error {
	if why == nil {
		why = fmt.Errorf("%w: R-blocks only", errBlock)
	}
	why = fmt.Errorf("%d repairs: %w", maxRepeats, why)
	if !p.iso {
		return why
	}
	if err := p.request(ctx, SBlock(PCBResynch)); err != nil {
		return fmt.Errorf("%w, then resynchronise: %w", why, err)
	}
	p.ns, p.nr, p.ifsc = 0, 0, p.par.IFSC
	if err := p.start(ctx); err != nil {
		return err
	}
	return fmt.Errorf("%w: %w", ErrResynched, why)
}
