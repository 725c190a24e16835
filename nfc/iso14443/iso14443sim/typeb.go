package iso14443sim

import (
	"bytes"

	"posagent/nfc"
	"posagent/nfc/iso14443"
)

// requestB is ISO/IEC 14443-3, 7: everything before the block protocol, with
// one slot.
func (p *PICC) requestB(frame []byte) *signal {
	content, ok := iso14443.TrimCRC(frame, p.o.Type)
	q := p.o.ATQB
	switch {
	case !ok:
		return nil
	case len(content) == 3 && content[0] == 0x05 && content[1] == 0:
		if p.state == halted && content[2]&0x08 == 0 {
			return nil
		}
		p.state = ready
		if p.o.Plain {
			q.Protocol &^= 1
		}
		return p.checked(fc(delayB), q.AppendTo(nil))
	case p.state == ready && len(content) >= 9 && content[0] == 0x1D && bytes.Equal(content[1:5], q.PUPI[:]) &&
		content[7] == q.Protocol:
		p.enter(content[6] & 0x0F)
		p.mode = iso14443.Mode{Type: nfc.TypeB, Send: iso14443.Rate(content[6] >> 4 & 3), Receive: iso14443.Rate(content[6] >> 6)}
		s := p.checked(fc(delayB), []byte{content[8]})
		s.deaf = startUp(q.SFGI)
		return s
	}
	return nil
}
