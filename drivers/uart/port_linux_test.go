package uart

import (
	"errors"
	"io"
	"os"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/uart"
	"periph.io/x/conn/v3/uart/uartreg"
)

// openPTY gives a port on the slave of a new pseudo-terminal and its master.
// The slave file of creack/pty is closed, so that closing the master hangs up.
func openPTY(t *testing.T) (*Port, *os.File) {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Skipf("no pseudo-terminals here (devpts not mounted): %v", err)
	}
	t.Cleanup(func() { master.Close() })
	p, err := Open("TEST", slave.Name())
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	slave.Close()
	t.Cleanup(func() { p.Close() })
	return p.(*Port), master
}

func (p *Port) termios(t *testing.T) *unix.Termios {
	t.Helper()
	var got *unix.Termios
	err := p.ioctl(func(fd int) (err error) {
		got, err = unix.IoctlGetTermios(fd, unix.TCGETS2)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestSpeedIsSetInTheKernel(t *testing.T) {
	p, _ := openPTY(t)
	for _, baud := range []uint32{9600, 250000, 9677, 115200} {
		if _, err := p.Connect(physic.Frequency(baud)*physic.Hertz, uart.One, uart.NoParity, uart.NoFlow, 8); err != nil {
			t.Fatal(err)
		}
		if got := p.termios(t); got.Ospeed != baud || got.Ispeed != baud {
			t.Errorf("kernel has %d out, %d in; want %d", got.Ospeed, got.Ispeed, baud)
		}
	}
}

func TestLimitSpeed(t *testing.T) {
	p, _ := openPTY(t)
	if err := p.LimitSpeed(0); err == nil {
		t.Error("LimitSpeed(0) was accepted")
	}
	if err := p.LimitSpeed(19200 * physic.Hertz); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Connect(115200*physic.Hertz, uart.One, uart.NoParity, uart.NoFlow, 8); err != nil {
		t.Fatal(err)
	}
	if got := p.termios(t).Ospeed; got != 19200 {
		t.Errorf("kernel has %d baud; want the limit 19200", got)
	}
}

// A pseudo-terminal keeps stop bits and the odd flag but forgets PARENB and
// CSIZE; what we ask for is therefore checked on the termios itself, and on the
// kernel's answer for the bits that survive.
func TestFrameBits(t *testing.T) {
	const frame = unix.CSIZE | unix.PARENB | unix.PARODD | unix.CMSPAR | unix.CSTOPB | unix.CRTSCTS
	for _, c := range []struct {
		name  string
		s     Settings
		cflag uint32
		iflag uint32
	}{
		{"8N1", Settings{9600, 8, uart.NoParity, uart.One, uart.NoFlow}, unix.CS8, 0},
		{"8E2", Settings{9600, 8, uart.Even, uart.Two, uart.NoFlow}, unix.CS8 | unix.PARENB | unix.CSTOPB, unix.INPCK},
		{"8O1", Settings{9600, 8, uart.Odd, uart.One, uart.NoFlow}, unix.CS8 | unix.PARENB | unix.PARODD, unix.INPCK},
		{"7M1", Settings{9600, 7, uart.Mark, uart.One, uart.NoFlow}, unix.CS7 | unix.PARENB | unix.PARODD | unix.CMSPAR, unix.INPCK},
		{"7S1", Settings{9600, 7, uart.Space, uart.One, uart.NoFlow}, unix.CS7 | unix.PARENB | unix.CMSPAR, unix.INPCK},
		{"rtscts", Settings{9600, 8, uart.NoParity, uart.One, uart.RTSCTS}, unix.CS8 | unix.CRTSCTS, 0},
		{"xonxoff", Settings{9600, 8, uart.NoParity, uart.One, uart.XOnXOff}, unix.CS8, unix.IXON | unix.IXOFF},
	} {
		t.Run(c.name, func(t *testing.T) {
			term := &unix.Termios{Iflag: 0xFFFF, Oflag: 0xFFFF, Lflag: 0xFFFF, Cflag: unix.CS8 | unix.PARENB | unix.PARODD}
			c.s.apply(term)
			if got := term.Cflag & frame; got != c.cflag {
				t.Errorf("cflag %#o; want %#o", got, c.cflag)
			}
			if term.Iflag != c.iflag || term.Oflag != 0 || term.Lflag != 0 {
				t.Errorf("iflag %#o oflag %#o lflag %#o; want %#o, 0, 0", term.Iflag, term.Oflag, term.Lflag, c.iflag)
			}
			if term.Cc[unix.VMIN] != 1 || term.Cc[unix.VTIME] != 0 {
				t.Errorf("VMIN %d VTIME %d; want 1, 0", term.Cc[unix.VMIN], term.Cc[unix.VTIME])
			}

			p, _ := openPTY(t)
			if _, err := p.Connect(physic.Frequency(c.s.Baud)*physic.Hertz, c.s.Stop, c.s.Parity, c.s.Flow, int(c.s.Bits)); err != nil {
				t.Fatal(err)
			}
			const survives = unix.PARODD | unix.CSTOPB | unix.CRTSCTS
			got := p.termios(t)
			if got.Cflag&survives != c.cflag&survives || got.Iflag != c.iflag {
				t.Errorf("kernel has cflag %#o iflag %#o; want %#o, %#o", got.Cflag&survives, got.Iflag, c.cflag&survives, c.iflag)
			}
			if s, ok := p.Settings(); !ok || s != c.s {
				t.Errorf("Settings() = %v, %v; want %v", s, ok, c.s)
			}
		})
	}
}

func TestXOnXOffCharacters(t *testing.T) {
	for _, c := range []struct {
		flow      uart.Flow
		xon, xoff byte
	}{
		{uart.XOnXOff, 0x11, 0x13},
		{uart.MakeXOnXOffFlow('q', 's'), 'q', 's'},
	} {
		var term unix.Termios
		Settings{Baud: 9600, Bits: 8, Parity: uart.NoParity, Stop: uart.One, Flow: c.flow}.apply(&term)
		if term.Cc[unix.VSTART] != c.xon || term.Cc[unix.VSTOP] != c.xoff {
			t.Errorf("%v: XON %#x XOFF %#x; want %#x, %#x", c.flow, term.Cc[unix.VSTART], term.Cc[unix.VSTOP], c.xon, c.xoff)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	p, _ := openPTY(t)
	if _, err := Open("SECOND", p.path); !errors.Is(err, ErrBusy) {
		t.Errorf("second open = %v; want ErrBusy", err)
	}
	if _, err := Open("NONE", "/nonexistent/tty"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("open of nothing = %v; want os.ErrNotExist", err)
	}
	if _, err := Open("NULL", os.DevNull); err == nil {
		t.Error("/dev/null was taken for a serial port")
	}
	p.Close()
	again, err := Open("AGAIN", p.path)
	if err != nil {
		t.Fatalf("open after close: %v", err)
	}
	again.Close()
}

func TestModemLinesMayBeAbsent(t *testing.T) {
	p, _ := openPTY(t)
	if _, err := p.Modem(); !errors.Is(err, ErrNoModemLines) {
		t.Errorf("Modem() = %v; want ErrNoModemLines on a pseudo-terminal", err)
	}
	if err := p.SetRTS(true); !errors.Is(err, ErrNoModemLines) {
		t.Errorf("SetRTS = %v; want ErrNoModemLines", err)
	}
	if err := p.SetDTR(false); !errors.Is(err, ErrNoModemLines) {
		t.Errorf("SetDTR = %v; want ErrNoModemLines", err)
	}
}

func TestDrainAndDiscard(t *testing.T) {
	p, master := openPTY(t)
	s, err := Connect(p, 9600*physic.Hertz, uart.One, uart.NoParity, uart.NoFlow, 8)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	if err := p.Drain(); err != nil {
		t.Errorf("Drain: %v", err)
	}
	if n, err := p.Outq(); n != 0 || err != nil {
		t.Errorf("Outq = %d, %v; want 0 after Drain", n, err)
	}
	got := make([]byte, 3)
	if _, err := io.ReadFull(master, got); err != nil || string(got) != "abc" {
		t.Errorf("master read %q, %v", got, err)
	}
	if err := p.Discard(true, true); err != nil {
		t.Errorf("Discard: %v", err)
	}
	p.Close()
	if err := p.Drain(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Drain after close = %v; want os.ErrClosed", err)
	}
}

func TestRegister(t *testing.T) {
	_, slave, err := pty.Open()
	if err != nil {
		t.Skipf("no pseudo-terminals here (devpts not mounted): %v", err)
	}
	defer slave.Close()
	if err := Register("UARTTEST0", ""); err == nil {
		t.Error("empty path was registered")
	}
	if err := Register("UARTTEST0", slave.Name()); err != nil {
		t.Fatal(err)
	}
	defer uartreg.Unregister("UARTTEST0")
	p, err := uartreg.Open("UARTTEST0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if want := "UARTTEST0(" + slave.Name() + ")"; p.String() != want {
		t.Errorf("String() = %q; want %q", p.String(), want)
	}
}
