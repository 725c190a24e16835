package pn532

import (
	"errors"
	"fmt"
)

// Kind is what a frame is: UM0701-02, 6.2.1.
type Kind uint8

// The kinds of frame.
const (
	// Data carries a command or a response, Error (application level) neither.
	Data Kind = iota + 1
	// ACK confirms a command; from the host it also ends a running one.
	ACK
	// NACK asks for the last response again.
	NACK
	Error
)

// String names the kind.
func (k Kind) String() string {
	switch k {
	case Data:
		return "data"
	case ACK:
		return "ACK"
	case NACK:
		return "NACK"
	case Error:
		return "error"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Frame identifiers TFI.
const (
	ToChip   = 0xD4
	FromChip = 0xD5
	tfiError = 0x7F
)

// MaxBody is the longest body of a frame: TFI, code, and 263 bytes of an
// extended frame (UM0701-02, 6.2.1.2).
const MaxBody = 265

const (
	// maxNormal is the longest body with a length of one byte.
	maxNormal = 255
	// maxPreamble bounds the zeros before a start code.
	maxPreamble = 32
	startCode   = 0xFF
)

// Frame is one frame. Body is TFI, code and parameters of a Data frame, and nil
// of the others.
type Frame struct {
	Kind Kind
	Body []byte
}

var (
	// ErrShort: the frame is not complete yet.
	ErrShort = errors.New("frame is not complete")
	// errNotFrame: what was received is not a frame.
	errNotFrame = errors.New("not a frame")
)

// FrameError names the field of a frame that is wrong.
type FrameError struct {
	Field   string
	Problem string
}

// Error says what is wrong.
func (e *FrameError) Error() string { return fmt.Sprintf("frame: %s %s", e.Field, e.Problem) }

// Unwrap is a common cause of all.
func (e *FrameError) Unwrap() error { return errNotFrame }

// AppendTo appends the frame as it goes over the line. A Body of a Data frame
// has 2 to MaxBody bytes.
func (f Frame) AppendTo(dst []byte) []byte {
	dst = append(dst, 0x00, 0x00, startCode)
	switch f.Kind {
	case ACK:
		return append(dst, 0x00, 0xFF, 0x00)
	case NACK:
		return append(dst, 0xFF, 0x00, 0x00)
	case Error:
		return append(dst, 0x01, 0xFF, tfiError, -tfiError&0xFF, 0x00)
	}
	if n := uint16(len(f.Body)); n <= maxNormal {
		dst = append(dst, byte(n), -byte(n))
	} else {
		m, l := byte(n>>8), byte(n)
		dst = append(dst, 0xFF, 0xFF, m, l, -(m + l))
	}
	dst = append(dst, f.Body...)
	return append(dst, checkOf(f.Body), 0x00)
}

// checkOf is DCS: with it the body adds up to 0.
func checkOf(body []byte) byte {
	var sum byte
	for _, b := range body {
		sum += b
	}
	return -sum
}

// Split reads the frame at the start of buf and says how many bytes it took.
// Zeros may stand before it and nothing else. The error is ErrShort, or a
// *FrameError; then n has no meaning. Body lies in buf.
func Split(buf []byte) (f Frame, n int, err error) {
	start := 0
	for start < len(buf) && buf[start] == 0 {
		if start++; start > maxPreamble {
			return f, 0, &FrameError{"preamble", "is too long"}
		}
	}
	switch {
	case start == len(buf):
		return f, 0, ErrShort
	case start == 0 || buf[start] != startCode:
		return f, 0, &FrameError{"start code", fmt.Sprintf("has %02X", buf[start])}
	}
	head := buf[start+1:]
	if len(head) < 3 {
		return f, 0, ErrShort
	}
	size, header := uint16(head[0]), 2
	switch {
	case head[0] == 0x00 && head[1] == 0xFF:
		f.Kind, size, header = ACK, 0, 2
	case head[0] == 0xFF && head[1] == 0x00:
		f.Kind, size, header = NACK, 0, 2
	case head[0] == 0xFF && head[1] == 0xFF:
		if len(head) < 5 {
			return f, 0, ErrShort
		}
		if head[2]+head[3]+head[4] != 0 {
			return f, 0, &FrameError{"LCS", fmt.Sprintf("%02X does not fit length %02X%02X", head[4], head[2], head[3])}
		}
		size, header = uint16(head[2])<<8|uint16(head[3]), 5
	case head[0]+head[1] != 0:
		return f, 0, &FrameError{"LCS", fmt.Sprintf("%02X does not fit length %02X", head[1], head[0])}
	}
	if size > MaxBody {
		return f, 0, &FrameError{"length", fmt.Sprintf("is %d, want %d at most", size, MaxBody)}
	}
	rest := head[header:]
	tail := 1 // postamble
	if f.Kind == 0 {
		tail = int(size) + 2
	}
	if len(rest) < tail {
		return f, 0, ErrShort
	}
	if rest[tail-1] != 0 {
		return f, 0, &FrameError{"postamble", fmt.Sprintf("is %02X", rest[tail-1])}
	}
	n = start + 1 + header + tail
	if f.Kind != 0 {
		return f, n, nil
	}
	body := rest[:size]
	if want := checkOf(body); rest[size] != want {
		return f, 0, &FrameError{"DCS", fmt.Sprintf("is %02X, want %02X", rest[size], want)}
	}
	switch {
	case size == 1 && body[0] == tfiError:
		f.Kind = Error
	case size < 2 || body[0] != ToChip && body[0] != FromChip:
		return f, 0, &FrameError{"TFI", fmt.Sprintf("begins a body of %d bytes wrongly", size)}
	default:
		f.Kind, f.Body = Data, body
	}
	return f, n, nil
}
