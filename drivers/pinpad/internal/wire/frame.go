package wire

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// Kind says what a frame does on the link.
type Kind uint8

const (
	Data  Kind = 'D' // carries a message; acknowledged, repeated
	Ack   Kind = 'A' // the data frame of this sequence number arrived
	Nak   Kind = 'N' // something arrived broken: repeat what is not acknowledged
	Reset Kind = 'R' // the pad knows no such session: open a new one
)

// Sizes in bytes.
const (
	MaxData  = 512 // of a message: a MAC chunk of 256 or a key with room to spare
	header   = 10  // STX kind session(4) seq cmd length(2)
	trailer  = 5   // CRC-32, ETX
	Overhead = header + trailer
	MaxFrame = Overhead + MaxData
)

const (
	stx = 0x02
	etx = 0x03
)

// Frame is one frame. Data may have 0 to MaxData bytes.
type Frame struct {
	Kind    Kind
	Session uint32
	Seq     uint8
	Cmd     Cmd
	Data    []byte
}

// AppendTo appends the frame's bytes. Data beyond MaxData is a mistake of the
// caller and is refused by every receiver.
func (f Frame) AppendTo(dst []byte) []byte {
	start := len(dst) + 1
	dst = append(dst, stx, byte(f.Kind))
	dst = binary.BigEndian.AppendUint32(dst, f.Session)
	dst = append(dst, f.Seq, byte(f.Cmd))
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(f.Data)))
	dst = append(dst, f.Data...)
	dst = binary.BigEndian.AppendUint32(dst, crc32.ChecksumIEEE(dst[start:]))
	return append(dst, etx)
}

// Found is what Decoder.Next came upon.
type Found uint8

const (
	More   Found = iota // nothing whole yet: feed more bytes
	Whole               // a frame
	Broken              // bytes that are no frame, skipped
)

// Decoder finds frames in a stream of bytes. After a broken one it goes on at
// the next STX, so that a lying length costs at most the frames it covers until
// GiveUp. It holds less than MaxFrame bytes between feedings.
type Decoder struct{ buf []byte }

// Feed adds what arrived. Call Next until it says More before feeding again.
func (d *Decoder) Feed(p []byte) { d.buf = append(d.buf, p...) }

// Partial reports whether the beginning of a frame is waiting for its rest.
func (d *Decoder) Partial() bool { return len(d.buf) > 0 }

// GiveUp ends waiting for the rest of a frame: its STX is skipped.
func (d *Decoder) GiveUp() {
	if len(d.buf) > 0 {
		d.skip(1)
	}
}

// Next gives the next frame. Its Data is valid until the next call of any method.
func (d *Decoder) Next() (Frame, Found) {
	if at := bytes.IndexByte(d.buf, stx); at != 0 {
		if len(d.buf) == 0 {
			return Frame{}, More
		}
		if at < 0 {
			at = len(d.buf)
		}
		d.skip(at)
		return Frame{}, Broken
	}
	if len(d.buf) < 2 {
		return Frame{}, More
	}
	switch Kind(d.buf[1]) {
	case Data, Ack, Nak, Reset:
	default:
		d.skip(1)
		return Frame{}, Broken
	}
	if len(d.buf) < header {
		return Frame{}, More
	}
	n := int(binary.BigEndian.Uint16(d.buf[header-2:]))
	if n > MaxData {
		d.skip(1)
		return Frame{}, Broken
	}
	whole := Overhead + n
	if len(d.buf) < whole {
		return Frame{}, More
	}
	body := d.buf[1 : header+n]
	if d.buf[whole-1] != etx || binary.BigEndian.Uint32(d.buf[header+n:]) != crc32.ChecksumIEEE(body) {
		d.skip(1)
		return Frame{}, Broken
	}
	f := Frame{
		Kind:    Kind(d.buf[1]),
		Session: binary.BigEndian.Uint32(d.buf[2:]),
		Seq:     d.buf[6],
		Cmd:     Cmd(d.buf[7]),
		Data:    d.buf[header : header+n : header+n],
	}
	d.buf = d.buf[whole:]
	return f, Whole
}

func (d *Decoder) skip(n int) { d.buf = d.buf[n:] }
