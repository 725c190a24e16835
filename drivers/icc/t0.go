package icc

import (
	"context"
	"fmt"
)

const (
	// maxNull bounds procedure bytes 60 in one TPDU. Each buys the card one
	// work waiting time of about a second.
	maxNull = 64
	// maxRounds bounds the TPDUs of one command: 61xx and 6Cxx answers ask for
	// another. Sixteen times 256 bytes fill MaxResponse.
	maxRounds = 20
	// null is the procedure byte that asks for more time.
	null = 0x60
	// insGetResponse is the INS of GET RESPONSE, CLA 00 (EMV Book 1, 9.3.1.3).
	insGetResponse = 0xC0
)

// t0 is the T=0 protocol of EMV Book 1, 9.2.2 and 9.3.1 over a line.
type t0 struct {
	l   *line
	wwt uint32
}

// status is SW1 SW2.
type status [2]byte

func (s status) append(data []byte) []byte { return append(data, s[0], s[1]) }

// warning: 62xx, 63xx, and 9xxx except 9000 (EMV Book 1, 9.3.1.2.4).
func (s status) warning() bool {
	return s[0] == 0x62 || s[0] == 0x63 || s[0]&0xF0 == 0x90 && s != status{0x90, 0}
}

// transmit maps one command APDU to command TPDUs and gathers the answer.
func (p *t0) transmit(ctx context.Context, c command) ([]byte, error) {
	head := [5]byte{c.head[0], c.head[1], c.head[2], c.head[3], byte(len(c.data))}
	out, in := c.data, uint32(0)
	if len(c.data) == 0 { // case 1 sends P3 = 00, case 2 P3 = Le
		head[4] = c.le
		if c.hasL {
			in = count(c.le)
		}
	}
	var data []byte
	var warned status
	for range maxRounds {
		got, sw, err := p.tpdu(ctx, head, out, in)
		if err != nil {
			return nil, err
		}
		data = append(data, got...)
		switch {
		case len(data) > MaxResponse-2:
			return nil, fmt.Errorf("%w: response over %d bytes", errBound, MaxResponse-2)
		case sw[0] == 0x61 && c.hasL:
			head = [5]byte{0, insGetResponse, 0, 0, sw[1]}
			out, in = nil, count(sw[1])
		case sw[0] == 0x6C && in > 0:
			head[4], in = sw[1], count(sw[1])
		case sw.warning() && c.hasL && len(c.data) > 0 && head[1] != insGetResponse:
			// Case 4 with a warning: the data still has to be fetched, and
			// the warning is the status of the whole (annex A6).
			warned = sw
			head, out, in = [5]byte{0, insGetResponse, 0, 0, 0}, nil, 256
		case warned != status{}:
			return warned.append(data), nil
		default:
			return sw.append(data), nil
		}
	}
	return nil, fmt.Errorf("%w: %d TPDUs for one command", errBound, maxRounds)
}

// tpdu exchanges one command TPDU: out goes to the card or up to in bytes come
// from it, never both.
func (p *t0) tpdu(ctx context.Context, head [5]byte, out []byte, in uint32) (data []byte, sw status, err error) {
	p.l.parityMark()
	if err := p.l.send(ctx, head[:]); err != nil {
		return nil, sw, fmt.Errorf("send header: %w", err)
	}
	ins, nulls := head[1], 0
	// Every turn moves at least one byte, is a bounded NULL, or ends.
	for {
		b, err := p.recv(ctx, "procedure byte")
		if err != nil {
			return nil, sw, err
		}
		step := uint32(1)
		switch {
		case b == null:
			if nulls++; nulls > maxNull {
				return nil, sw, fmt.Errorf("%w: %d NULL procedure bytes", errBound, nulls)
			}
			continue
		case b == ins:
			step = 256
		case b == ^ins:
		case b&0xF0 == 0x60 || b&0xF0 == 0x90:
			sw, err = p.status(ctx, b)
			return data, sw, err
		default:
			return nil, sw, fmt.Errorf("%w: %02X after INS %02X", errProcedure, b, ins)
		}
		switch {
		case len(out) > 0:
			n := min(step, uint32(len(out)))
			if err := p.l.send(ctx, out[:n]); err != nil {
				return nil, sw, fmt.Errorf("send data: %w", err)
			}
			out = out[n:]
		case uint32(len(data)) < in:
			for range min(step, in-uint32(len(data))) {
				v, err := p.recv(ctx, "data")
				if err != nil {
					return nil, sw, err
				}
				data = append(data, v)
			}
		default:
			return nil, sw, fmt.Errorf("%w: %02X, but no byte is left to move", errProcedure, b)
		}
	}
}

// status reads SW2 and makes sure that the answer ends there, so that a
// character too many is not taken for data that is right.
func (p *t0) status(ctx context.Context, sw1 byte) (status, error) {
	sw2, err := p.recv(ctx, "SW2")
	if err != nil {
		return status{}, err
	}
	stray, err := p.l.settle(ctx, p.l.etu(2*12))
	if err != nil {
		return status{}, err
	}
	if stray > 0 {
		return status{}, errStray
	}
	if !p.l.parityClean() {
		return status{}, errParity
	}
	return status{sw1, sw2}, nil
}

func (p *t0) recv(ctx context.Context, what string) (byte, error) {
	b, err := p.l.recv(ctx, p.l.etu(p.wwt))
	if err != nil {
		return 0, fmt.Errorf("receive %s: %w", what, err)
	}
	return b, nil
}
