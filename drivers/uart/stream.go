package uart

import (
	"errors"
	"fmt"
	"io"
	"time"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/uart"
)

// ErrBusy is wrapped by Open when another process, or this one, holds the port.
var ErrBusy = errors.New("port is in use")

// Stream is a connected serial line. The package comment states the contract
// of Read, Write and the deadlines; a zero time.Time means no deadline.
type Stream interface {
	conn.Conn
	io.Reader
	io.Writer
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// Drainer is what a Stream offers when it can tell how much of the written
// data has not left yet. Both our ports (this package's and drivers/bussim's)
// have it.
type Drainer interface {
	// Drain waits until the last written byte has left the port. It returns
	// os.ErrDeadlineExceeded when the write deadline passes first.
	Drain() error
	// Outq returns the number of written bytes that have not left yet.
	Outq() (uint32, error)
}

// Discarder is what a Stream offers when bytes in the kernel can be thrown
// away: input that nobody has read, output that has not left.
type Discarder interface {
	Discard(input, output bool) error
}

// AsStream returns c as a Stream, or an error that names its type when the
// port is one that only knows Tx.
func AsStream(c conn.Conn) (Stream, error) {
	if c == nil {
		return nil, fmt.Errorf("serial stream: no connection")
	}
	s, ok := c.(Stream)
	if !ok {
		return nil, fmt.Errorf("serial stream: %s (%T) has no Read, Write and deadlines", c, c)
	}
	return s, nil
}

// Connect sets speed and frame of p and returns its Stream.
func Connect(p uart.Port, f physic.Frequency, stop uart.Stop, parity uart.Parity, flow uart.Flow, bits int) (Stream, error) {
	c, err := p.Connect(f, stop, parity, flow, bits)
	if err != nil {
		return nil, err
	}
	return AsStream(c)
}

// Settings is the frame of a line: what Connect asked for.
type Settings struct {
	// Baud is the symbol rate in bits per second.
	Baud uint32
	// Bits is the number of data bits, 7 or 8.
	Bits uint8
	// Parity, Stop and Flow as in periph.
	Parity uart.Parity
	Stop   uart.Stop
	Flow   uart.Flow
}

// minBaud and maxBaud bound what Connect accepts: the slowest classic rate and
// the fastest of any UART bridge chip on the market.
const (
	minBaud = 50
	maxBaud = 12_000_000
)

// flowKind selects the kind bits of a periph Flow; the low 16 bits carry the
// XON and XOFF characters.
const flowKind uart.Flow = 0xFFFF0000

// Parse checks the arguments of a Connect call and returns them as Settings.
// limit is the highest speed of the port, 0 for none; the lower of the two
// speeds is taken, as periph asks. The error names the wrong argument.
func Parse(f, limit physic.Frequency, stop uart.Stop, parity uart.Parity, flow uart.Flow, bits int) (Settings, error) {
	if limit > 0 && limit < f {
		f = limit
	}
	hz := int64(f / physic.Hertz)
	if hz < minBaud || hz > maxBaud {
		return Settings{}, fmt.Errorf("uart speed %s: want %d to %d baud", f, minBaud, maxBaud)
	}
	switch parity {
	case uart.NoParity, uart.Even, uart.Odd, uart.Mark, uart.Space:
	default:
		return Settings{}, fmt.Errorf("uart parity %q: want N, E, O, M or S", byte(parity))
	}
	if stop != uart.One && stop != uart.Two {
		return Settings{}, fmt.Errorf("uart stop bits %d: want 1 or 2", stop)
	}
	switch flow & flowKind {
	case uart.NoFlow, uart.XOnXOff, uart.RTSCTS:
	default:
		return Settings{}, fmt.Errorf("uart flow control %#x: want none, XON/XOFF or RTS/CTS", uint32(flow))
	}
	if bits != 7 && bits != 8 {
		return Settings{}, fmt.Errorf("uart data bits %d: want 7 or 8", bits)
	}
	return Settings{Baud: uint32(hz), Bits: uint8(bits), Parity: parity, Stop: stop, Flow: flow}, nil
}

// CharTime is how long n characters occupy the line: start, data, parity and
// stop bits each take one bit time.
func (s Settings) CharTime(n int64) time.Duration {
	if s.Baud == 0 {
		return 0
	}
	bits := 1 + int64(s.Bits) + int64(s.Stop)
	if s.Parity != uart.NoParity {
		bits++
	}
	return time.Duration(n * bits * int64(time.Second) / int64(s.Baud))
}

// String gives the usual short form, such as "9600 8E2".
func (s Settings) String() string {
	return fmt.Sprintf("%d %d%c%d", s.Baud, s.Bits, byte(s.Parity), s.Stop)
}
