package acquirer

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Sizes of the frame: LEN (2, big endian, of all that follows) | TPDU (5) |
// HEAD (6) | message type (2) | bitmap (8) | fields.
const (
	lenSize    = 2
	tpduSize   = 5
	headSize   = 6
	prefixSize = tpduSize + headSize
	minBody    = mtiSize + bitmapSize
)

// Frame is one message on its way: addresses, application header and the packed
// message. Body belongs to the frame.
type Frame struct {
	TPDU [tpduSize]byte // 60, destination (2), source (2)
	Head [headSize]byte
	Body []byte
}

// swapTPDU gives the TPDU of the answer: the two addresses change places.
func swapTPDU(t [tpduSize]byte) [tpduSize]byte {
	return [tpduSize]byte{t[0], t[3], t[4], t[1], t[2]}
}

// Answer makes the frame that carries body back to the sender of f.
func (f Frame) Answer(body []byte) Frame {
	return Frame{TPDU: swapTPDU(f.TPDU), Head: f.Head, Body: body}
}

// AppendTo appends the frame's bytes to dst. ErrFrameOversized if it is longer
// than maxFrame, which counts everything behind the length.
func (f Frame) AppendTo(dst []byte, maxFrame uint16) ([]byte, error) {
	n := prefixSize + len(f.Body)
	if n > int(maxFrame) {
		return nil, fmt.Errorf("%w: %d bytes", ErrFrameOversized, n)
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(n))
	dst = append(dst, f.TPDU[:]...)
	dst = append(dst, f.Head[:]...)
	return append(dst, f.Body...), nil
}

// ParseFrame takes exactly one frame apart. Body aliases b.
func ParseFrame(b []byte, maxFrame uint16) (Frame, error) {
	if len(b) < lenSize {
		return Frame{}, fmt.Errorf("%w: %d bytes of length", ErrFrameTruncated, len(b))
	}
	n, err := frameLen(b, maxFrame)
	if err != nil {
		return Frame{}, err
	}
	switch rest := b[lenSize:]; {
	case len(rest) < n:
		return Frame{}, fmt.Errorf("%w: %d of %d bytes", ErrFrameTruncated, len(rest), n)
	case len(rest) > n:
		return Frame{}, fmt.Errorf("%w: %d", ErrFrameTrailing, len(rest)-n)
	}
	return cutFrame(b[lenSize:]), nil
}

func frameLen(b []byte, maxFrame uint16) (int, error) {
	switch n := binary.BigEndian.Uint16(b); {
	case n < prefixSize+minBody:
		return 0, fmt.Errorf("%w: %d bytes", ErrFrameShort, n)
	case n > maxFrame:
		return 0, fmt.Errorf("%w: %d bytes", ErrFrameOversized, n)
	default:
		return int(n), nil
	}
}

func cutFrame(b []byte) (f Frame) {
	copy(f.TPDU[:], b)
	copy(f.Head[:], b[tpduSize:])
	f.Body = b[prefixSize:]
	return f
}

// FrameReader reads frames from a stream and remembers a frame that is only
// partly there: after a deadline, reading goes on where it stopped, so that a
// late answer is still read as what it is. Not for concurrent use.
type FrameReader struct {
	r    io.Reader
	max  uint16
	buf  []byte
	have int
}

// NewFrameReader reads from r frames of at most maxFrame bytes behind the length.
func NewFrameReader(r io.Reader, maxFrame uint16) *FrameReader {
	return &FrameReader{r: r, max: maxFrame, buf: make([]byte, lenSize+int(maxFrame))}
}

// Next gives the next frame, with a Body of its own. However slowly the bytes
// come, it waits until r's deadline; errors of r are wrapped. io.EOF alone means
// that the stream ended between two frames.
func (fr *FrameReader) Next() (Frame, error) {
	need := lenSize
	if fr.have >= lenSize {
		n, err := frameLen(fr.buf, fr.max)
		if err != nil {
			return Frame{}, err
		}
		need += n
	}
	for {
		for fr.have < need {
			n, err := fr.r.Read(fr.buf[fr.have:need])
			fr.have += n
			if err != nil && fr.have < need {
				return Frame{}, fr.broken(err)
			}
		}
		if need > lenSize {
			f := cutFrame(append([]byte(nil), fr.buf[lenSize:need]...))
			clear(fr.buf[:need])
			fr.have = 0
			return f, nil
		}
		n, err := frameLen(fr.buf, fr.max)
		if err != nil {
			return Frame{}, err
		}
		need += n
	}
}

func (fr *FrameReader) broken(err error) error {
	if err != io.EOF {
		return fmt.Errorf("read frame: %w", err)
	}
	if fr.have > 0 {
		return fmt.Errorf("%w: %d bytes came", ErrFrameTruncated, fr.have)
	}
	return io.EOF
}
