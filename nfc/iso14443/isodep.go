package iso14443

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Bounds of one APDU. A card cannot keep a reader longer, nor make it hold more.
const (
	minCommand = 4 // CLA INS P1 P2
	// MaxCommand is the longest command APDU: an extended header, 4 KiB, Le.
	MaxCommand = 7 + 4096 + 2
	// MaxResponse is the longest response APDU: 4 KiB, SW1 SW2.
	MaxResponse = 4096 + 2
	minResponse = 2
	// maxWTX is how many waiting time extensions one APDU may take. Cards with
	// a short FWT ask some tens of times for one RSA signature.
	maxWTX = 256
	// maxAPDU is the time after which no further block of an APDU is sent. Book
	// D has no such bound; a cardholder's patience has.
	maxAPDU = 30 * time.Second
)

// errBound: the card went beyond a bound above.
var errBound = errors.New("bound exceeded")

// overhead of an I-block in a frame: PCB and check.
const overhead = 3

// exchange is one APDU under way: ISO/IEC 14443-4, 7.5; Book D, 10.3.
type exchange struct {
	*Card
	wtx   uint16
	until time.Time
}

func (c *Card) newExchange() *exchange {
	return &exchange{Card: c, until: time.Now().Add(maxAPDU)}
}

// run sends capdu and returns the response. Errors on air satisfy onAir.
func (x *exchange) run(ctx context.Context, capdu []byte) ([]byte, error) {
	in, err := x.send(ctx, capdu)
	if err != nil {
		return nil, err
	}
	var rapdu []byte
	for {
		if in.Kind != Information || in.Number != x.number {
			return nil, &FormatError{"block", "kind", fmt.Sprintf("%v %d, want I %d", in.Kind, in.Number, x.number)}
		}
		if len(rapdu)+len(in.INF) > MaxResponse {
			return nil, fmt.Errorf("%w: response over %d bytes", errBound, MaxResponse)
		}
		rapdu = append(rapdu, in.INF...)
		x.number ^= 1 // rule B
		if !in.More {
			break
		}
		if len(in.INF) == 0 {
			return nil, &FormatError{"block", "INF", "of a chained block is empty"}
		}
		if in, err = x.step(ctx, Block{Kind: ACK, Number: x.number}); err != nil {
			return nil, err
		}
	}
	if len(rapdu) < minResponse {
		return nil, &FormatError{"block", "INF", fmt.Sprintf("is a response of %d bytes, want 2 at least", len(rapdu))}
	}
	return rapdu, nil
}

// send sends capdu, chained when it is longer than the card's frames, and
// returns the block that answers the last one.
func (x *exchange) send(ctx context.Context, capdu []byte) (Block, error) {
	for most := int(x.fsc) - overhead; len(capdu) > most; capdu = capdu[most:] {
		in, err := x.step(ctx, Block{Kind: Information, Number: x.number, More: true, INF: capdu[:most]})
		if err != nil {
			return in, err
		}
		if in.Kind != ACK {
			return in, &FormatError{"block", "kind", fmt.Sprintf("%v answers a chained block", in.Kind)}
		}
		x.number ^= 1 // rules B and 7
	}
	return x.step(ctx, Block{Kind: Information, Number: x.number, INF: capdu})
}

// step sends out and returns the I-block or R(ACK) that answers it. It grants
// more time (rule 3), repairs lost and damaged blocks (rules 4 and 5) and sends
// out again when the card says that it did not get it (rule 6).
func (x *exchange) step(ctx context.Context, out Block) (Block, error) {
	chaining := out.Kind == ACK // of the card
	repair := out
	if !chaining {
		repair = Block{Kind: NAK, Number: out.Number}
	}
	next, wait := out, extended(x.fwi, 1)
	failed, again := 0, 0
	taken := chaining // the card has the block: it may not say later that it has not
	for {
		if time.Now().After(x.until) {
			return Block{}, fmt.Errorf("%w: APDU took %v", errBound, maxAPDU)
		}
		in, err := x.swap(ctx, next, wait)
		if errors.Is(err, ErrTimeout) || errors.Is(err, ErrGarbled) {
			if failed++; failed == sends {
				return Block{}, err
			}
			next = repair
			continue
		}
		if err != nil {
			return Block{}, err
		}
		failed = 0
		switch {
		case in.Kind == WTX:
			taken = true
			if next, wait, err = x.extend(in.INF[0]); err != nil {
				return Block{}, err
			}
		case in.Kind == ACK && in.Number != out.Number && !taken:
			if again++; again == sends {
				return Block{}, fmt.Errorf("%w: block not taken", ErrGarbled)
			}
			next, wait = out, extended(x.fwi, 1)
		case in.Kind == ACK && out.More && in.Number == out.Number, in.Kind == Information:
			return in, nil
		default:
			return Block{}, &FormatError{"block", "kind", fmt.Sprintf("%v %d answers %v %d", in.Kind, in.Number, out.Kind, out.Number)}
		}
	}
}

// extend grants the request of a card for more time: ISO/IEC 14443-4, 7.3. The
// two upper bits of inf tell of its power and are not repeated.
func (x *exchange) extend(inf byte) (Block, time.Duration, error) {
	m := inf & 0x3F
	if m == 0 || m > maxWTXM {
		return Block{}, 0, &FormatError{"block", "WTXM", fmt.Sprintf("is %d, want 1 to %d", m, maxWTXM)}
	}
	if x.wtx++; x.wtx > maxWTX {
		return Block{}, 0, fmt.Errorf("%w: over %d waiting time extensions", errBound, maxWTX)
	}
	return Block{Kind: WTX, INF: []byte{m}}, extended(x.fwi, m), nil
}

// swap exchanges one block for another.
func (c *Card) swap(ctx context.Context, out Block, wait time.Duration) (Block, error) {
	l := &c.reader.link
	l.block = out.AppendTo(l.block[:0])
	answer, err := l.checked(ctx, l.block, wait)
	if err != nil {
		return Block{}, err
	}
	if len(answer)+2 > int(FrameSize(frameIndex(c.reader.limits.MaxFrame))) {
		return Block{}, &FormatError{"block", "length", fmt.Sprintf("is %d bytes, more than was agreed", len(answer))}
	}
	return ParseBlock(answer)
}
