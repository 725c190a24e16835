package iso14443

import (
	"bytes"
	"context"
	"fmt"

	"posagent/nfc"
)

// Commands of type A: ISO/IEC 14443-3, 6, and ISO/IEC 14443-4, 5.
const (
	reqA      = 0x26
	wupA      = 0x52
	shortBits = 7 // of REQA and WUPA
	hltA      = 0x50
	nvbSelect = 0x70 // all 40 bits follow
	nvbEmpty  = 0x20 // no bit of the UID follows
	cascade   = 0x88 // cascade tag CT: the UID goes on at the next level
	rats      = 0xE0
	ppsStart  = 0xD0
	pps0      = 0x11 // PPS1 follows
)

// Bits of SAK: ISO/IEC 14443-3, 6.5.3.4.
const (
	sakCascade = 0x04
	sakISODEP  = 0x20
)

const (
	// uidBits of one cascade level can collide; the check byte that follows
	// them cannot alone.
	uidBits = 32
	// levelBytes of one cascade level: four of UID and their exclusive-or, BCC.
	levelBytes = 5
)

// selectCommands SEL, one for each cascade level; there is no fourth.
var selectCommands = [...]byte{0x93, 0x95, 0x97}

// activateA takes one card from the READY state to the block protocol.
func (r *Reader) activateA(ctx context.Context, limit Rate) (*Card, error) {
	l := &r.link
	uid, sak, err := l.selectUID(ctx, r.opts.Resolve)
	if err != nil {
		return nil, err
	}
	if sak&sakISODEP == 0 {
		return nil, fmt.Errorf("SAK %02X of UID % X: %w", sak, uid, nfc.ErrUnsupported)
	}
	ats, err := l.rats(ctx, frameIndex(r.limits.MaxFrame))
	if err != nil {
		return nil, err
	}
	l.hush(SFGT(ats.SFGI))
	m := Mode{Type: nfc.TypeA}
	if m.Send, m.Receive = ats.Rates.Choose(limit); m.Send != Rate106 || m.Receive != Rate106 {
		if err := l.pps(ctx, m, ats.FWI); err != nil {
			return nil, err
		}
	}
	return &Card{reader: r, uid: uid, typ: nfc.TypeA, fwi: ats.FWI, fsc: FrameSize(ats.FSCI)}, nil
}

// selectUID walks the cascade levels (ISO/IEC 14443-3, 6.5.4; Book D, 9.3.2).
// Without resolve, two cards are nfc.ErrCollision.
func (l *link) selectUID(ctx context.Context, resolve bool) (uid []byte, sak byte, err error) {
	for _, sel := range selectCommands {
		part, err := l.anticollide(ctx, sel, resolve)
		if err != nil {
			return nil, 0, fmt.Errorf("anticollision %02X: %w", sel, err)
		}
		err = l.persist(func() error {
			answer, err := l.checked(ctx, append([]byte{sel, nvbSelect}, part[:]...), carrier(fcATQA))
			if err == nil && len(answer) != 1 {
				return &FormatError{"SAK", "length", fmt.Sprintf("is %d bytes, want 1", len(answer))}
			}
			if err == nil {
				sak = answer[0]
			}
			return err
		})
		if err != nil {
			return nil, 0, fmt.Errorf("select %02X: %w", sel, err)
		}
		if (sak&sakCascade != 0) != (part[0] == cascade) {
			return nil, 0, &FormatError{"UID", "cascade tag", fmt.Sprintf("%02X does not go with SAK %02X", part[0], sak)}
		}
		if sak&sakCascade == 0 {
			return append(uid, part[:4]...), sak, nil
		}
		uid = append(uid, part[1:4]...)
	}
	return nil, 0, &FormatError{"UID", "cascade tag", "is in the third level"}
}

// anticollide learns the UID part of one level and its BCC. With resolve, it
// follows the 1 at every collision, as ISO/IEC 14443-3, 6.5.3 proposes, so that
// one card remains.
func (l *link) anticollide(ctx context.Context, sel byte, resolve bool) (known [levelBytes]byte, err error) {
	var bits uint16
	for range uidBits + 1 { // each collision settles at least one more bit
		whole, split := byte(bits/8), byte(bits%8)
		data := append([]byte{sel, nvbEmpty + whole<<4 + split}, known[:(bits+7)/8]...)
		var r Reply
		err := l.persist(func() (err error) {
			r, err = l.raw(ctx, Frame{Data: data, LastBits: split, Align: split}, carrier(fcATQA))
			return err
		})
		if err != nil {
			return known, err
		}
		if r.Collided && !resolve {
			return known, nfc.ErrCollision
		}
		at := r.CollisionBit + 8*uint16(whole)
		missing := levelBytes - int(whole)
		if r.Collided && (at < bits || at >= uidBits || len(r.Data) > missing || int(r.CollisionBit/8) >= len(r.Data)) {
			return known, fmt.Errorf("%w: collision at bit %d", ErrGarbled, at)
		}
		if !r.Collided && (len(r.Data) != missing || r.LastBits != 0) {
			return known, fmt.Errorf("%w: %d bytes of UID, want %d", ErrGarbled, len(r.Data), missing)
		}
		if len(r.Data) > 0 { // bits below split are 0 in the answer
			r.Data[0] = r.Data[0]&(0xFF<<split) | known[whole]&(1<<split-1)
		}
		copy(known[whole:], r.Data)
		if !r.Collided {
			if known[0]^known[1]^known[2]^known[3] != known[4] {
				return known, &FormatError{"UID", "BCC", fmt.Sprintf("does not fit % X", known)}
			}
			return known, nil
		}
		known[at/8] = known[at/8]&(1<<(at%8)-1) | 1<<(at%8)
		clear(known[at/8+1:])
		bits = at + 1
	}
	return known, fmt.Errorf("%w: collisions without end", ErrGarbled)
}

// rats asks for the ATS, with CID 0: ISO/IEC 14443-4, 5.1; Book D, 5.7.
func (l *link) rats(ctx context.Context, fsdi uint8) (ats ATS, err error) {
	err = l.persist(func() error {
		answer, err := l.checked(ctx, []byte{rats, fsdi << 4}, carrier(fcActivation+fcDelta))
		if err == nil {
			ats, err = ParseATS(answer)
		}
		return err
	})
	if err != nil {
		return ATS{}, fmt.Errorf("send RATS: %w", err)
	}
	return ats, nil
}

// errRate marks an activation that failed while it changed the rate.
type errRate struct{ error }

func (e errRate) Unwrap() error { return e.error }

// pps changes the rates to those of m: ISO/IEC 14443-4, 5.3. It is sent once: a
// card that answered unheard has changed already.
func (l *link) pps(ctx context.Context, m Mode, fwi uint8) error {
	request := []byte{ppsStart, pps0, byte(m.Receive)<<2 | byte(m.Send)}
	answer, err := l.checked(ctx, request, max(extended(fwi, 1), carrier(fcActivation)))
	if err == nil && !bytes.Equal(answer, request[:1]) {
		err = &FormatError{"PPS", "answer", fmt.Sprintf("% X is not D0", answer)}
	}
	if err == nil {
		err = l.tune(m)
	}
	if err != nil {
		return errRate{fmt.Errorf("change rate to %v/%v: %w", m.Send, m.Receive, err)}
	}
	return nil
}
