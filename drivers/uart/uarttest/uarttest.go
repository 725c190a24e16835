// Package uarttest is the conformance suite of the stream contract of
// drivers/uart: every port that claims to be a uart.Stream runs it.
//
// It knows nothing of how the port is made; the caller hands it fresh pairs of
// a terminal's end and a part's end.
//
//	uarttest.Run(t, func(t *testing.T) uarttest.Pair { ... })
//
// # Decisions
//
//   - No test waits for a time to pass or asserts how long something took:
//     deadlines are either long gone or short and only their effect counts.
package uarttest

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	periph "periph.io/x/conn/v3/uart"

	"periph.io/x/conn/v3/physic"
	"posagent/drivers/uart"
)

// Pair is one line with both its ends.
type Pair struct {
	// Port is the terminal's end, not connected yet.
	Port periph.PortCloser
	// Far is the part's end. Closing it makes the part vanish.
	Far io.ReadWriteCloser
}

// short is a deadline that a test lets pass; patience ends a test that hangs.
const (
	short    = 20 * time.Millisecond
	patience = 10 * time.Second
	// flood is more than any port buffers.
	flood = 1 << 20
)

// Run runs the suite; open gives a new pair for each test and cleans up by
// t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) Pair) {
	for _, c := range []struct {
		name string
		f    func(*testing.T, Pair, uart.Stream)
	}{
		{"all byte values to the part", toPart},
		{"all byte values to the terminal", toTerminal},
		{"tx writes then reads", tx},
		{"read deadline passes while blocked", readDeadline},
		{"read deadline in the past wins over data", readPast},
		{"lifted read deadline lets reads go on", readLifted},
		{"write deadline gives the partial count", writeDeadline},
		{"close releases a blocked reader", closeReader},
		{"close releases a blocked writer", closeWriter},
		{"deadline set later releases a blocked reader", deadlineReader},
		{"everything fails after close", afterClose},
		{"part gone gives EOF after its last bytes", gone},
		{"connect again keeps the stream", again},
		{"connect refuses nonsense", nonsense},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := open(t)
			s, err := uart.Connect(p.Port, 115200*physic.Hertz, periph.One, periph.NoParity, periph.NoFlow, 8)
			if err != nil {
				t.Fatalf("connect: %v", err)
			}
			// A hung test ends with an error instead of the global time-out.
			stop := time.AfterFunc(patience, func() { p.Port.Close(); p.Far.Close() })
			defer stop.Stop()
			c.f(t, p, s)
		})
	}
}

func allBytes() []byte {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func toPart(t *testing.T, p Pair, s uart.Stream) {
	want, got := allBytes(), make([]byte, 256)
	if n, err := s.Write(want); n != len(want) || err != nil {
		t.Fatalf("write = %d, %v; want 256, nil", n, err)
	}
	if _, err := io.ReadFull(p.Far, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("part read %x, %v; want all 256 values in order", got, err)
	}
}

func toTerminal(t *testing.T, p Pair, s uart.Stream) {
	want, got := allBytes(), make([]byte, 256)
	if _, err := p.Far.Write(want); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(s, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("terminal read %x, %v; want all 256 values in order", got, err)
	}
}

func tx(t *testing.T, p Pair, s uart.Stream) {
	if _, err := p.Far.Write([]byte{6, 7}); err != nil {
		t.Fatal(err)
	}
	r, w := make([]byte, 2), make([]byte, 3)
	if err := s.Tx([]byte{1, 2, 3}, r); err != nil || !bytes.Equal(r, []byte{6, 7}) {
		t.Fatalf("tx read %x, %v; want 0607", r, err)
	}
	if _, err := io.ReadFull(p.Far, w); err != nil || !bytes.Equal(w, []byte{1, 2, 3}) {
		t.Fatalf("part read %x, %v; want 010203", w, err)
	}
}

func readDeadline(t *testing.T, p Pair, s uart.Stream) {
	must(t, s.SetReadDeadline(time.Now().Add(short)))
	n, err := s.Read(make([]byte, 1))
	if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read = %d, %v; want 0, os.ErrDeadlineExceeded", n, err)
	}
}

func readPast(t *testing.T, p Pair, s uart.Stream) {
	if _, err := p.Far.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	must(t, s.SetReadDeadline(time.Unix(1, 0)))
	n, err := s.Read(make([]byte, 1))
	if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read = %d, %v; want 0, os.ErrDeadlineExceeded", n, err)
	}
}

func readLifted(t *testing.T, p Pair, s uart.Stream) {
	readDeadline(t, p, s)
	must(t, s.SetReadDeadline(time.Time{}))
	if _, err := p.Far.Write([]byte{0x5A}); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4)
	if n, err := s.Read(b); n != 1 || err != nil || b[0] != 0x5A {
		t.Fatalf("read = %d (%x), %v; want 1 (5a), nil", n, b[0], err)
	}
}

func writeDeadline(t *testing.T, p Pair, s uart.Stream) {
	must(t, s.SetWriteDeadline(time.Now().Add(short)))
	n, err := s.Write(make([]byte, flood))
	if !errors.Is(err, os.ErrDeadlineExceeded) || n <= 0 || n >= flood {
		t.Fatalf("write = %d, %v; want a part of %d and os.ErrDeadlineExceeded", n, err, flood)
	}
}

func closeReader(t *testing.T, p Pair, s uart.Stream) {
	done := make(chan error, 1)
	go func() {
		_, err := s.Read(make([]byte, 1))
		done <- err
	}()
	must(t, p.Port.Close())
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Fatalf("read = %v; want os.ErrClosed", err)
	}
}

func closeWriter(t *testing.T, p Pair, s uart.Stream) {
	// Fill the line first, so that the writer below surely blocks.
	must(t, s.SetWriteDeadline(time.Now().Add(short)))
	if _, err := s.Write(make([]byte, flood)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("fill the line: %v", err)
	}
	must(t, s.SetWriteDeadline(time.Time{}))
	done := make(chan error, 1)
	go func() {
		_, err := s.Write(make([]byte, flood))
		done <- err
	}()
	must(t, p.Port.Close())
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Fatalf("write = %v; want os.ErrClosed", err)
	}
}

func deadlineReader(t *testing.T, p Pair, s uart.Stream) {
	done := make(chan error, 1)
	go func() {
		_, err := s.Read(make([]byte, 1))
		done <- err
	}()
	must(t, s.SetReadDeadline(time.Unix(1, 0)))
	if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read = %v; want os.ErrDeadlineExceeded", err)
	}
}

func afterClose(t *testing.T, p Pair, s uart.Stream) {
	must(t, p.Port.Close())
	_, rerr := s.Read(make([]byte, 1))
	_, werr := s.Write([]byte{1})
	_, cerr := p.Port.Connect(9600*physic.Hertz, periph.One, periph.NoParity, periph.NoFlow, 8)
	for what, err := range map[string]error{"read": rerr, "write": werr, "connect": cerr, "close": p.Port.Close()} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s after close = %v; want os.ErrClosed", what, err)
		}
	}
}

func gone(t *testing.T, p Pair, s uart.Stream) {
	if _, err := p.Far.Write([]byte{0x42}); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	if _, err := s.Read(b); err != nil || b[0] != 0x42 {
		t.Fatalf("read = %x, %v; want 42, nil", b, err)
	}
	must(t, p.Far.Close())
	if n, err := s.Read(b); n != 0 || err != io.EOF {
		t.Fatalf("read = %d, %v; want 0, io.EOF", n, err)
	}
	if _, err := s.Write([]byte{1}); !errors.Is(err, io.ErrClosedPipe) {
		t.Fatalf("write = %v; want io.ErrClosedPipe", err)
	}
}

func again(t *testing.T, p Pair, s uart.Stream) {
	s2, err := uart.Connect(p.Port, 9600*physic.Hertz, periph.Two, periph.NoParity, periph.NoFlow, 8)
	if err != nil {
		t.Fatal(err)
	}
	if s2 != s {
		t.Fatalf("second connect gave another stream (%v, %v)", s, s2)
	}
	if _, err := s.Write([]byte{0x77}); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	if _, err := io.ReadFull(p.Far, b); err != nil || b[0] != 0x77 {
		t.Fatalf("part read %x, %v; want 77", b, err)
	}
}

func nonsense(t *testing.T, p Pair, s uart.Stream) {
	const hz = physic.Hertz
	for _, c := range []struct {
		name   string
		f      physic.Frequency
		stop   periph.Stop
		parity periph.Parity
		flow   periph.Flow
		bits   int
	}{
		{"no speed", 0, periph.One, periph.NoParity, periph.NoFlow, 8},
		{"negative speed", -9600 * hz, periph.One, periph.NoParity, periph.NoFlow, 8},
		{"light speed", physic.GigaHertz, periph.One, periph.NoParity, periph.NoFlow, 8},
		{"1.5 stop bits", 9600 * hz, periph.OneHalf, periph.NoParity, periph.NoFlow, 8},
		{"no such parity", 9600 * hz, periph.One, 'X', periph.NoFlow, 8},
		{"no such flow", 9600 * hz, periph.One, periph.NoParity, 0, 8},
		{"9 bits", 9600 * hz, periph.One, periph.NoParity, periph.NoFlow, 9},
	} {
		if _, err := p.Port.Connect(c.f, c.stop, c.parity, c.flow, c.bits); err == nil {
			t.Errorf("%s: connect accepted it", c.name)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
