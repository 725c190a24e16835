package iso14443

import (
	"context"
	"fmt"

	"posagent/nfc"
)

// activateB takes the card that gave this ATQB to the block protocol with
// ATTRIB: ISO/IEC 14443-3, 7.10; Book D, 6.4.
func (r *Reader) activateB(ctx context.Context, limit Rate, answer []byte) (*Card, error) {
	l := &r.link
	q, err := ParseATQB(answer)
	if err != nil {
		return nil, err
	}
	if q.Protocol&protocol4 == 0 {
		return nil, fmt.Errorf("protocol type %X of PUPI % X: %w", q.Protocol, q.PUPI, nfc.ErrUnsupported)
	}
	m := Mode{Type: nfc.TypeB}
	m.Send, m.Receive = q.Rates.Choose(limit)
	request := append([]byte{attrib}, q.PUPI[:]...)
	request = append(request,
		0, // parameter 1: default TR0 and TR1, SOF and EOF are sent
		byte(m.Receive)<<6|byte(m.Send)<<4|frameIndex(r.limits.MaxFrame),
		q.Protocol,
		0) // CID 0
	l.guard = minTR2(q.Protocol >> 1)
	l.hush(l.guard)
	err = l.persist(func() error {
		answer, err := l.checked(ctx, request, carrier(fcATQB))
		if err == nil && answer[0]&0x0F != 0 {
			return &FormatError{"ATTRIB", "CID", fmt.Sprintf("of the answer is %d, want 0", answer[0]&0x0F)}
		}
		return err
	})
	if err == nil {
		err = l.tune(m)
	}
	if err != nil {
		err = fmt.Errorf("send ATTRIB: %w", err)
		if m.Send != Rate106 || m.Receive != Rate106 {
			err = errRate{err}
		}
		return nil, err
	}
	l.guard = minTR2(q.Protocol >> 1)
	l.hush(SFGT(q.SFGI))
	return &Card{reader: r, uid: q.PUPI[:], typ: nfc.TypeB, fwi: q.FWI, fsc: FrameSize(q.FSCI)}, nil
}
