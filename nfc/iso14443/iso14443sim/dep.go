package iso14443sim

import (
	"bytes"
	"time"

	"posagent/nfc"
	"posagent/nfc/iso14443"
)

// dep is the card's end of the block protocol: ISO/IEC 14443-4, 7.5.
type dep struct {
	number uint8
	// fresh: nothing but the activation has gone over yet, so PPS may come.
	fresh bool
	// in is the command so far, out the rest of the response.
	in, out []byte
	// more says that the card has a chained block out and waits for R(ACK).
	more bool
	// last is the block sent last, with its check.
	last []byte
	// owed is how many extensions the card still wants before held goes out;
	// asked is the WTXM that it waits for, 0 for none.
	owed  uint32
	asked uint8
	held  []byte
	think time.Duration
}

// overhead of an I-block in a frame: PCB and check.
const overhead = 3

// startUp is SFGT: ISO/IEC 14443-4, 5.2.5.
func startUp(sfgi uint8) time.Duration {
	if sfgi == 0 {
		return 0
	}
	return fc(4_096 << sfgi)
}

// block takes one frame of the block protocol.
func (p *PICC) block(frame []byte, lastBits uint8) *signal {
	d := &p.dep
	content, ok := iso14443.TrimCRC(frame, p.o.Type)
	if !ok || lastBits != 0 || len(frame) > int(iso14443.FrameSize(p.fsci())) {
		return nil
	}
	fresh := d.fresh
	if fresh && p.o.Type == nfc.TypeA && len(content) == 3 && content[0] == 0xD0 && content[1] == 0x11 && !p.o.NoRate {
		s := p.checked(fc(delayRATS), []byte{0xD0})
		p.mode.Send, p.mode.Receive = iso14443.Rate(content[2]&3), iso14443.Rate(content[2]>>2&3)
		d.fresh = false
		return s
	}
	b, err := iso14443.ParseBlock(content)
	if err != nil {
		return nil
	}
	d.fresh = false
	switch b.Kind {
	case iso14443.Information: // rule D: whatever its number
		d.number ^= 1
		d.asked, d.more = 0, false
		d.in = append(d.in, b.INF...)
		if b.More {
			return p.reply(iso14443.Block{Kind: iso14443.ACK, Number: d.number}, false)
		}
		command := d.in
		d.in = nil
		if d.out = bytes.Clone(p.card.Transmit(command)); len(d.out) < 2 {
			p.state = off // dumb until the carrier goes
			return nil
		}
		return p.next(true)
	case iso14443.ACK, iso14443.NAK:
		switch {
		case b.Number == d.number: // rule 11
			return p.repeat()
		case b.Kind == iso14443.NAK: // rule 12
			d.last = iso14443.AppendCRC(iso14443.Block{Kind: iso14443.ACK, Number: d.number}.AppendTo(nil), p.o.Type)
			return p.repeat()
		case d.more: // rules E and 13
			d.number ^= 1
			return p.next(false)
		}
	case iso14443.WTX:
		if d.asked != 0 && b.INF[0] == d.asked {
			d.asked = 0
			return p.release()
		}
	case iso14443.Deselect:
		p.state, p.star = halted, true
		p.mode = iso14443.Mode{Type: p.o.Type}
		return p.checked(fc(delayB), []byte{0xC2})
	}
	return nil
}

func (p *PICC) fsci() uint8 {
	if p.o.Type == nfc.TypeB {
		return p.o.ATQB.FSCI
	}
	if p.o.RawATS != nil {
		ats, _ := iso14443.ParseATS(p.o.RawATS) // a broken one leaves the default
		return ats.FSCI
	}
	return p.o.ATS.FSCI
}

// repeat sends the last block again.
func (p *PICC) repeat() *signal {
	if p.dep.last == nil {
		return nil
	}
	return answer(fc(delayB), bytes.Clone(p.dep.last))
}

// next sends the next part of the response, or the first one.
func (p *PICC) next(first bool) *signal {
	d := &p.dep
	most := int(p.reader) - overhead
	if p.o.Chunk != 0 {
		most = min(most, int(p.o.Chunk))
	}
	n := min(most, len(d.out))
	b := iso14443.Block{Kind: iso14443.Information, Number: d.number, More: n < len(d.out), INF: d.out[:n]}
	d.out, d.more = d.out[n:], b.More
	return p.reply(b, first)
}

// reply sends b after as many extensions as this card asks for. The first block
// of a response takes the time of the command.
func (p *PICC) reply(b iso14443.Block, first bool) *signal {
	d := &p.dep
	d.held, d.think, d.owed = iso14443.AppendCRC(b.AppendTo(nil), p.o.Type), 0, 0
	if first {
		d.think = p.o.Think
	}
	if first || p.o.Everywhere {
		d.owed = p.o.WTX
	}
	return p.release()
}

// release asks for more time or sends what is held.
func (p *PICC) release() *signal {
	d := &p.dep
	if d.owed == 0 {
		d.last, d.held = d.held, nil
		return answer(fc(delayB)+d.think, bytes.Clone(d.last))
	}
	d.owed--
	d.asked = max(1, p.o.WTXM)
	d.last = iso14443.AppendCRC(iso14443.Block{Kind: iso14443.WTX, INF: []byte{d.asked}}.AppendTo(nil), p.o.Type)
	return answer(fc(delayB), bytes.Clone(d.last))
}
