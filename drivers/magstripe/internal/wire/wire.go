// Package wire holds the two protocols between a terminal and a magnetic head
// with a processor of its own, for the driver and for the simulated part alike:
// the serial frame of a decoded head, and the SPI commands of a sampled head.
package wire

import (
	"encoding/binary"
	"errors"
)

// Control bytes of the serial head.
const (
	STX = 0x02
	ETX = 0x03
	ACK = 0x06
	NAK = 0x15
)

// Head is the fixed part of a frame's body: sequence number, status, and the
// lengths of the three tracks.
const Head = 5

// MaxBody is the longest body: tracks 1 to 3 with sentinels and LRC hold at
// most 79, 40 and 107 characters (ISO/IEC 7813, ISO/IEC 4909).
const MaxBody = Head + 79 + 40 + 107

// MaxFrame is STX, two length bytes, body, XOR, sum, ETX.
const MaxFrame = MaxBody + 6

// ErrFrame reports bytes that are not a frame, ErrShort a frame that is not
// whole yet.
var (
	ErrFrame = errors.New("not a frame")
	ErrShort = errors.New("frame not complete")
)

// AppendFrame appends body as a frame: STX, length (little-endian), body, XOR
// and sum of the body's bytes, ETX.
func AppendFrame(dst, body []byte) []byte {
	dst = append(dst, STX)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(body)))
	dst = append(dst, body...)
	x, sum := checks(body)
	return append(dst, x, sum, ETX)
}

// ParseFrame takes the frame at the start of b. The body lies in b; n is the
// length of the whole frame.
func ParseFrame(b []byte) (body []byte, n int, err error) {
	if len(b) > 0 && b[0] != STX {
		return nil, 0, ErrFrame
	}
	if len(b) < 3 {
		return nil, 0, ErrShort
	}
	size := binary.LittleEndian.Uint16(b[1:])
	if size < Head || size > MaxBody {
		return nil, 0, ErrFrame
	}
	n = int(size) + 6
	if len(b) < n {
		return nil, 0, ErrShort
	}
	body = b[3 : 3+size]
	x, sum := checks(body)
	if b[n-3] != x || b[n-2] != sum || b[n-1] != ETX {
		return nil, 0, ErrFrame
	}
	return body, n, nil
}

func checks(b []byte) (x, sum byte) {
	for _, c := range b {
		x, sum = x^c, sum+c
	}
	return x, sum
}

// Commands of the sampled head, first byte of a transfer.
const (
	CmdStatus = 0x11 // answer: state, sequence number, three 16-bit counts, CRC
	CmdRead   = 0x22 // track, 16-bit offset, count; answer: intervals, CRC
	CmdClear  = 0x44 // sequence number and its complement
)

// States of the sampled head.
const (
	StateIdle      = 0x10
	StateCapturing = 0x20
	StateDone      = 0x40
)

// StatusLen is the length of a status transfer: command, state, sequence,
// counts, CRC. ReadHead is what comes before the intervals of a read.
const (
	StatusLen = 11
	ReadHead  = 5
)

// MaxRead is the largest number of intervals in one read.
const MaxRead = 255

// MaxIntervals is how many intervals per track the head keeps: three passes of
// a full 210 bpi track of ones (2 × 708 flux changes on 85.6 mm) and room.
const MaxIntervals = 5000

// CRC is CRC-16 with polynomial 0x1021 and start 0xFFFF.
func CRC(parts ...[]byte) uint16 {
	crc := uint16(0xFFFF)
	for _, p := range parts {
		for _, b := range p {
			crc ^= uint16(b) << 8
			for range 8 {
				if crc&0x8000 != 0 {
					crc = crc<<1 ^ 0x1021
				} else {
					crc <<= 1
				}
			}
		}
	}
	return crc
}

// Bits of the shift-out chip: a preamble and three buffers.
const (
	Preamble     = 0xA6C5 // first bit out is bit 15
	PreambleBits = 16
	// TrackBits is the buffer of one track: 210 bpi on 85.6 mm, in whole bytes.
	TrackBits = 712
)
