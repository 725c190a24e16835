package bussim_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/physic"
	periph "periph.io/x/conn/v3/uart"

	"posagent/drivers/bussim"
	"posagent/drivers/uart"
	"posagent/drivers/uart/uarttest"
)

func TestUARTConformance(t *testing.T) {
	for _, c := range []struct {
		name string
		opts *bussim.UARTOpts
	}{
		{"default", nil},
		{"paced", &bussim.UARTOpts{Paced: true}},
		{"detachable stays a stream", &bussim.UARTOpts{Detachable: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			uarttest.Run(t, func(t *testing.T) uarttest.Pair {
				u := bussim.NewUART("TEST", c.opts)
				return uarttest.Pair{Port: u.Port(), Far: u.Wire()}
			})
		})
	}
}

// connect opens the terminal's end at 1000 characters a second (10 bits each).
func connect(t *testing.T, u *bussim.UART) uart.Stream {
	t.Helper()
	s, err := uart.Connect(u.Port(), 10_000*physic.Hertz, periph.One, periph.NoParity, periph.NoFlow, 8)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPacedCharactersTakeTheirTime(t *testing.T) {
	for _, c := range []struct {
		name   string
		parity periph.Parity
		want   time.Duration
	}{
		{"8N1", periph.NoParity, 100 * time.Millisecond},
		{"8E1", periph.Even, 110 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := bussim.NewUART("T", &bussim.UARTOpts{Paced: true})
				s, err := uart.Connect(u.Port(), 10_000*physic.Hertz, periph.One, c.parity, periph.NoFlow, 8)
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				if _, err := s.Write(make([]byte, 100)); err != nil {
					t.Fatal(err)
				}
				if d := time.Since(start); d != 0 {
					t.Errorf("write of 100 bytes took %v; the queue should have taken them at once", d)
				}
				q, _ := s.(uart.Drainer).Outq()
				if q != 100 {
					t.Errorf("Outq = %d; want 100", q)
				}
				buf := make([]byte, 100)
				if n, _ := u.Wire().Read(buf); n != 1 || time.Since(start) != c.want/100 {
					t.Errorf("first read gave %d bytes after %v; want 1 after %v", n, time.Since(start), c.want/100)
				}
				if err := s.(uart.Drainer).Drain(); err != nil || time.Since(start) != c.want {
					t.Errorf("drained after %v (%v); want %v", time.Since(start), err, c.want)
				}
				if _, err := io.ReadFull(u.Wire(), buf[1:]); err != nil || time.Since(start) != c.want {
					t.Errorf("last byte after %v (%v); want %v", time.Since(start), err, c.want)
				}
			})
		})
	}
}

func TestPacedDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := bussim.NewUART("T", &bussim.UARTOpts{Paced: true})
		s := connect(t, u)
		start := time.Now()
		s.SetReadDeadline(start.Add(5 * time.Millisecond))
		u.Wire().Write(make([]byte, 10))
		n, err := io.ReadFull(s, make([]byte, 10))
		if n != 4 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read %d, %v by the deadline at 5 ms; want 4 (one a millisecond, the fifth too late)", n, err)
		}
		if d := time.Since(start); d != 5*time.Millisecond {
			t.Errorf("deadline after %v; want 5ms", d)
		}
		s.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		n, err = s.Write(make([]byte, 1<<16))
		if n != 4096+10 && n != 4096+9 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("wrote %d, %v; want the queue of 4096 and what left in 10 ms", n, err)
		}
	})
}

func TestBackPressureHoldsTheSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := bussim.NewUART("T", &bussim.UARTOpts{FIFO: 16})
		s := connect(t, u)
		const total = 100_000
		done := make(chan error, 1)
		go func() {
			_, err := s.Write(make([]byte, total))
			done <- err
		}()
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("the whole flood was accepted although nobody reads")
		default:
		}
		if n, err := io.ReadFull(u.Wire(), make([]byte, total)); n != total || err != nil {
			t.Fatalf("read %d, %v; want all", n, err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if c := u.Counts(); c.Overruns != 0 || c.Bytes != total {
			t.Errorf("counts %+v; want %d bytes and no overrun", c, total)
		}
	})
}

func TestOverrunLosesBytes(t *testing.T) {
	u := bussim.NewUART("T", &bussim.UARTOpts{FIFO: 16, Overrun: true})
	s := connect(t, u)
	if n, err := s.Write(make([]byte, 50)); n != 50 || err != nil {
		t.Fatalf("write = %d, %v; want 50, nil", n, err)
	}
	if n, _ := u.Wire().Read(make([]byte, 100)); n != 16 {
		t.Errorf("read %d; want the 16 of the FIFO", n)
	}
	if c := u.Counts(); c.Overruns != 34 {
		t.Errorf("overruns %d; want 34", c.Overruns)
	}
}

func TestEcho(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := bussim.NewUART("ICC", &bussim.UARTOpts{Echo: true, Paced: true})
		s := connect(t, u)
		start := time.Now()
		if err := s.Tx([]byte{1, 2, 3}, make([]byte, 3)); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d != 3*time.Millisecond {
			t.Errorf("echo after %v; want 3ms", d)
		}
		got := make([]byte, 3)
		if _, err := io.ReadFull(u.Wire(), got); err != nil || !bytes.Equal(got, []byte{1, 2, 3}) {
			t.Errorf("part heard %x, %v", got, err)
		}
		// Both talk: the wire carries one after the other, the part hears only us.
		u.Wire().Write([]byte{0xA0, 0xA1})
		s.Write([]byte{0x50})
		all := make([]byte, 3)
		if _, err := io.ReadFull(s, all); err != nil || !bytes.Equal(all, []byte{0xA0, 0xA1, 0x50}) {
			t.Errorf("terminal heard %x, %v; want a0a150", all, err)
		}
		if n, _ := u.Wire().Read(all); n != 1 || all[0] != 0x50 {
			t.Errorf("part heard %x; want 50 alone", all[:n])
		}
	})
}

func TestBothEndsStateASpeed(t *testing.T) {
	u := bussim.NewUART("T", nil)
	s := connect(t, u) // 10 000 baud
	w := u.Wire()
	if got := w.Baud(); got != 10_000 {
		t.Errorf("Baud() = %d; want the terminal's 10000", got)
	}
	got := make([]byte, 1)
	for _, c := range []struct {
		name  string
		baud  uint32
		clean bool
	}{
		{"same", 10_000, true},
		{"2 % off", 10_200, true},
		{"4 % off", 10_400, false},
		{"half", 5_000, false},
		{"follows", 0, true},
	} {
		w.SetBaud(c.baud)
		s.Write([]byte{0x3B})
		io.ReadFull(w, got)
		if (got[0] == 0x3B) != c.clean {
			t.Errorf("%s: part heard %#x; clean should be %v", c.name, got[0], c.clean)
		}
		w.Write([]byte{0x3B})
		io.ReadFull(s, got)
		if (got[0] == 0x3B) != c.clean {
			t.Errorf("%s: terminal heard %#x; clean should be %v", c.name, got[0], c.clean)
		}
	}
	if c := u.Counts(); c.Garbled != 4 {
		t.Errorf("garbled %d; want 4", c.Garbled)
	}
	if set, ok := w.Settings(); !ok || set.String() != "10000 8N1" {
		t.Errorf("Settings() = %v, %v", set, ok)
	}
}

func TestDetachable(t *testing.T) {
	u := bussim.NewUART("T", &bussim.UARTOpts{Detachable: true})
	s := connect(t, u)
	s.Write([]byte{1})
	u.Wire().Write([]byte{9}) // never read
	u.Port().Close()
	if n, err := u.Wire().Write([]byte{8}); n != 1 || err != nil {
		t.Errorf("part's write while detached = %d, %v; want 1, nil (lost)", n, err)
	}
	b := make([]byte, 4)
	if n, err := u.Wire().Read(b); n != 1 || err != nil || b[0] != 1 {
		t.Errorf("part read %x, %v; want 01 and no EOF", b[:n], err)
	}
	u.Wire().SetReadDeadline(time.Unix(1, 0))
	if _, err := u.Wire().Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("part's read while detached = %v; want to wait, not EOF", err)
	}
	s2 := connect(t, u)
	u.Wire().Write([]byte{7})
	if n, err := s2.Read(b); n != 1 || err != nil || b[0] != 7 {
		t.Errorf("new terminal read %x, %v; want only 07", b[:n], err)
	}
	if _, err := s.Write(b); !errors.Is(err, os.ErrClosed) {
		t.Errorf("old terminal's write = %v; want os.ErrClosed", err)
	}
}

func TestTerminalGone(t *testing.T) {
	u := bussim.NewUART("T", nil)
	s := connect(t, u)
	s.Write([]byte{1})
	u.Port().Close()
	b := make([]byte, 4)
	if n, err := u.Wire().Read(b); n != 1 || err != nil {
		t.Errorf("part read %d, %v; want the last byte first", n, err)
	}
	if _, err := u.Wire().Read(b); err != io.EOF {
		t.Errorf("part read %v; want io.EOF", err)
	}
	if _, err := u.Wire().Write(b); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("part's write = %v; want io.ErrClosedPipe", err)
	}
}

func TestDiscardInput(t *testing.T) {
	u := bussim.NewUART("T", nil)
	s := connect(t, u)
	u.Wire().Write([]byte{1, 2, 3})
	s.(uart.Discarder).Discard(true, false)
	u.Wire().Write([]byte{4})
	b := make([]byte, 4)
	if n, _ := s.Read(b); n != 1 || b[0] != 4 {
		t.Errorf("read %x; want 04 alone", b[:n])
	}
}

// faulty sends n numbered bytes to the part and returns what arrived.
func faulty(t *testing.T, n int, p *bussim.Plan) ([]byte, bussim.Counts) {
	t.Helper()
	u := bussim.NewUART("T", &bussim.UARTOpts{Faults: p, FIFO: 1 << 16})
	s := connect(t, u)
	w := make([]byte, n)
	for i := range w {
		w[i] = byte(i)
	}
	if _, err := s.Write(w); err != nil {
		t.Fatal(err)
	}
	s.(uart.Drainer).Drain()
	u.Port().Close()
	got, err := io.ReadAll(u.Wire())
	if err != nil {
		t.Fatal(err)
	}
	return got, u.Counts()
}

func TestExactFaults(t *testing.T) {
	for _, c := range []struct {
		name string
		f    bussim.Fault
		want []byte
	}{
		{"drop", bussim.Fault{At: 1, Kind: bussim.Drop}, []byte{0, 2, 3}},
		{"flip", bussim.Fault{At: 2, Kind: bussim.Flip, Bit: 7}, []byte{0, 1, 0x82, 3}},
		{"duplicate", bussim.Fault{At: 0, Kind: bussim.Duplicate}, []byte{0, 0, 1, 2, 3}},
		{"other direction", bussim.Fault{At: 0, Kind: bussim.Drop, Direction: bussim.ToTerminal}, []byte{0, 1, 2, 3}},
	} {
		got, _ := faulty(t, 4, &bussim.Plan{Exact: []bussim.Fault{c.f}})
		if !bytes.Equal(got, c.want) {
			t.Errorf("%s: part heard %x; want %x", c.name, got, c.want)
		}
	}
}

func TestRandomFaultsRepeatBySeed(t *testing.T) {
	plan := &bussim.Plan{Seed: 7, Drop: 0.05, Flip: 0.05, Duplicate: 0.05}
	a, ca := faulty(t, 2000, plan)
	b, cb := faulty(t, 2000, plan)
	if !bytes.Equal(a, b) || ca != cb {
		t.Errorf("same seed, different run: %+v and %+v", ca, cb)
	}
	other, _ := faulty(t, 2000, &bussim.Plan{Seed: 8, Drop: 0.05, Flip: 0.05, Duplicate: 0.05})
	if bytes.Equal(a, other) {
		t.Error("another seed gave the same faults")
	}
	if ca.Drops < 50 || ca.Flips < 50 || ca.Duplicates < 50 || ca.Injected() > 450 {
		t.Errorf("counts %+v; want about 100 of each", ca)
	}
	if want := 2000 - int(ca.Drops) + int(ca.Duplicates); len(a) != want {
		t.Errorf("%d bytes arrived; counts say %d", len(a), want)
	}
	_, limited := faulty(t, 2000, &bussim.Plan{Seed: 7, Drop: 1, Skip: 10, Max: 3})
	if limited.Drops != 3 {
		t.Errorf("drops %d; want the maximum of 3", limited.Drops)
	}
	_, oneway := faulty(t, 100, &bussim.Plan{Seed: 7, Drop: 1, Direction: bussim.ToTerminal})
	if oneway.Injected() != 0 {
		t.Errorf("%d faults in the direction without any", oneway.Injected())
	}
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := bussim.NewUART("T", &bussim.UARTOpts{Faults: &bussim.Plan{
			DelayBy: time.Second, Exact: []bussim.Fault{{Direction: bussim.ToTerminal, At: 1, Kind: bussim.Delay}},
		}})
		s := connect(t, u)
		start := time.Now()
		u.Wire().Write([]byte{1, 2, 3})
		b := make([]byte, 8)
		if n, _ := s.Read(b); n != 1 || time.Since(start) != 0 {
			t.Errorf("read %d after %v; want the first byte at once", n, time.Since(start))
		}
		if n, _ := s.Read(b); n != 2 || time.Since(start) != time.Second {
			t.Errorf("read %d after %v; want the late byte and its follower after 1s", n, time.Since(start))
		}
	})
}

func TestSetFaultsAtRunTime(t *testing.T) {
	u := bussim.NewUART("T", nil)
	s := connect(t, u)
	s.Write([]byte{1})
	u.SetFaults(&bussim.Plan{Drop: 1})
	s.Write([]byte{2})
	u.SetFaults(nil)
	s.Write([]byte{3})
	b := make([]byte, 4)
	if n, _ := io.ReadFull(u.Wire(), b[:2]); n != 2 || b[0] != 1 || b[1] != 3 {
		t.Errorf("part heard %x; want 0103", b[:n])
	}
	if c := u.Counts(); c.Drops != 1 || c.Bytes != 3 {
		t.Errorf("counts %+v; want 3 bytes, 1 drop", c)
	}
}
