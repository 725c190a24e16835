package iso14443sim

import (
	"bytes"

	"posagent/nfc/iso14443"
)

const (
	cascadeTag = 0x88
	levelBytes = 5 // four of UID and BCC
)

// part is the UID part and BCC of a cascade level, and whether more follow.
func (p *PICC) part(level int) (part [levelBytes]byte, more bool) {
	rest := p.o.UID[3*level:]
	if more = len(rest) > 4; more {
		copy(part[:], append([]byte{cascadeTag}, rest[:3]...))
	} else {
		copy(part[:4], rest)
	}
	part[4] = part[0] ^ part[1] ^ part[2] ^ part[3]
	return part, more
}

// requestA is ISO/IEC 14443-3, 6: everything before the block protocol.
func (p *PICC) requestA(frame []byte, lastBits uint8) *signal {
	if lastBits == 7 && len(frame) == 1 && (p.state == idle || p.state == halted) {
		if frame[0] == 0x52 || frame[0] == 0x26 && p.state == idle {
			p.star, p.state, p.level = p.state == halted, ready, 0
			return answer(fc(delayA), []byte{byte(len(p.o.UID)-4) / 3 << 6, 0x03}) // ATQA: UID size
		}
		return nil
	}
	content, ok := iso14443.TrimCRC(frame, p.o.Type)
	ok = ok && lastBits == 0
	switch {
	case p.state == ready && len(frame) >= 2 && frame[0] == byte(0x93+2*p.level):
		if ok && frame[1] == 0x70 {
			return p.selected(content[2:])
		}
		return p.anticollision(frame[1], frame[2:], lastBits)
	case p.state == active && ok && len(content) == 2 && content[0] == 0xE0 && !p.o.Plain:
		p.enter(content[1] >> 4)
		ats := bytes.Clone(p.o.RawATS)
		if ats == nil {
			ats = p.o.ATS.AppendTo(nil)
		}
		s := p.checked(fc(delayRATS), ats)
		s.deaf = startUp(p.o.ATS.SFGI)
		return s
	case p.state == active && ok && bytes.Equal(content, []byte{0x50, 0}):
		p.state = halted
		return nil
	}
	return p.fall()
}

// anticollision answers with the bits that the reader does not know yet. A card
// whose UID begins otherwise stays where it is, in silence.
func (p *PICC) anticollision(nvb byte, known []byte, lastBits uint8) *signal {
	whole, split := int(nvb>>4)-2, nvb&7
	if whole < 0 || whole > 4 || nvb&8 != 0 || split != lastBits || len(known) != whole+int(split+7)/8 {
		return p.fall()
	}
	part, _ := p.part(p.level)
	for i := range whole*8 + int(split) {
		if (known[i/8]^part[i/8])>>(i%8)&1 != 0 {
			return nil
		}
	}
	s := answer(fc(delayA), bytes.Clone(part[whole:]))
	s.data[0] &= 0xFF << split
	s.align = split
	return s
}

// selected answers a SELECT for this card with SAK.
func (p *PICC) selected(want []byte) *signal {
	part, more := p.part(p.level)
	if !bytes.Equal(want, part[:]) {
		return p.fall()
	}
	if more {
		p.level++
		return p.checked(fc(delayA), []byte{0x04})
	}
	p.state = active
	if p.o.Plain {
		return p.checked(fc(delayA), []byte{0x08})
	}
	return p.checked(fc(delayA), []byte{0x20})
}
