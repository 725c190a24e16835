package uart

import (
	"errors"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/uart"
)

// Control characters of XON/XOFF flow control when the Flow value names none.
const (
	defaultXON  = 0x11
	defaultXOFF = 0x13
)

// apply writes s into t as a raw line: no echo, no signals, no translation, and
// read(2) that returns with the first byte (termios(3), "raw mode").
func (s Settings) apply(t *unix.Termios) {
	t.Iflag = 0
	t.Oflag = 0
	t.Lflag = 0
	t.Cc[unix.VMIN] = 1
	t.Cc[unix.VTIME] = 0

	// CIBAUD is the input rate's own field; zero makes it follow the output.
	t.Cflag &^= unix.CSIZE | unix.PARENB | unix.PARODD | unix.CMSPAR | unix.CSTOPB |
		unix.CRTSCTS | unix.CBAUD | unix.CIBAUD
	t.Cflag |= unix.CREAD | unix.CLOCAL | unix.BOTHER
	t.Ispeed, t.Ospeed = s.Baud, s.Baud

	if s.Bits == 7 {
		t.Cflag |= unix.CS7
	} else {
		t.Cflag |= unix.CS8
	}
	if s.Stop == uart.Two {
		t.Cflag |= unix.CSTOPB
	}
	switch s.Parity {
	case uart.Even:
		t.Cflag |= unix.PARENB
	case uart.Odd:
		t.Cflag |= unix.PARENB | unix.PARODD
	case uart.Mark:
		t.Cflag |= unix.PARENB | unix.PARODD | unix.CMSPAR
	case uart.Space:
		t.Cflag |= unix.PARENB | unix.CMSPAR
	}
	if s.Parity != uart.NoParity {
		t.Iflag |= unix.INPCK // without IGNPAR and PARMRK a bad character reads as 0x00
	}
	switch s.Flow & flowKind {
	case uart.RTSCTS:
		t.Cflag |= unix.CRTSCTS
	case uart.XOnXOff:
		t.Iflag |= unix.IXON | unix.IXOFF
		xon, xoff := byte(s.Flow>>8), byte(s.Flow)
		if xon == 0 && xoff == 0 {
			xon, xoff = defaultXON, defaultXOFF
		}
		t.Cc[unix.VSTART], t.Cc[unix.VSTOP] = xon, xoff
	}
}

// Outq returns the number of written bytes still in the kernel (TIOCOUTQ): the
// only honest progress figure of a slow part. A pseudo-terminal always says 0.
func (p *Port) Outq() (uint32, error) {
	var n int
	err := p.ioctl(func(fd int) (err error) {
		n, err = unix.IoctlGetInt(fd, unix.TIOCOUTQ)
		return err
	})
	if err != nil || n < 0 {
		return 0, plain(err)
	}
	return uint32(n), nil
}

// drainPoll bounds how long Drain sleeps between two looks at the queue, so
// that a deadline set later or a Close is noticed.
const drainPoll = 20 * time.Millisecond

// Drain waits until the output queue is empty and the last stop bit has left
// (TCSBRK). It ends early with os.ErrDeadlineExceeded when the write deadline
// passes and with os.ErrClosed after Close.
func (p *Port) Drain() error {
	for {
		n, err := p.Outq()
		if err != nil {
			return err
		}
		if n == 0 {
			return plain(p.ioctl(func(fd int) error { return unix.IoctlSetInt(fd, unix.TCSBRK, 1) }))
		}
		p.mu.Lock()
		by, wait := p.writeBy, p.settings.CharTime(int64(n))
		p.mu.Unlock()
		if !by.IsZero() && !time.Now().Before(by) {
			return os.ErrDeadlineExceeded
		}
		time.Sleep(min(max(wait, time.Millisecond), drainPoll))
	}
}

// Discard throws away unread input, unsent output, or both (TCFLSH).
func (p *Port) Discard(input, output bool) error {
	return plain(p.ioctl(func(fd int) error { return discard(fd, input, output) }))
}

func discard(fd int, input, output bool) error {
	switch {
	case input && output:
		return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIOFLUSH)
	case input:
		return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIFLUSH)
	case output:
		return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCOFLUSH)
	}
	return nil
}

// ErrNoModemLines is returned by the modem line methods of a port that has
// none: pseudo-terminals and many on-chip UARTs.
var ErrNoModemLines = errors.New("port has no modem lines")

// Modem is the state of the modem lines: true means asserted.
type Modem struct {
	DTR, RTS           bool // driven by us
	CTS, DSR, DCD, RNG bool // driven by the part
}

// Modem reads the modem lines (TIOCMGET).
func (p *Port) Modem() (Modem, error) {
	var m int
	err := p.ioctl(func(fd int) (err error) {
		m, err = unix.IoctlGetInt(fd, unix.TIOCMGET)
		return err
	})
	if err != nil {
		return Modem{}, modemError(err)
	}
	on := func(bit int) bool { return m&bit != 0 }
	return Modem{
		DTR: on(unix.TIOCM_DTR), RTS: on(unix.TIOCM_RTS),
		CTS: on(unix.TIOCM_CTS), DSR: on(unix.TIOCM_DSR), DCD: on(unix.TIOCM_CAR), RNG: on(unix.TIOCM_RNG),
	}, nil
}

// SetDTR and SetRTS drive the two lines of ours. With RTS/CTS flow control the
// kernel moves RTS by itself.
func (p *Port) SetDTR(on bool) error { return p.setModem(unix.TIOCM_DTR, on) }

// SetRTS: see SetDTR.
func (p *Port) SetRTS(on bool) error { return p.setModem(unix.TIOCM_RTS, on) }

func (p *Port) setModem(line int, on bool) error {
	req := uint(unix.TIOCMBIC)
	if on {
		req = unix.TIOCMBIS
	}
	return modemError(p.ioctl(func(fd int) error { return unix.IoctlSetPointerInt(fd, req, line) }))
}

func modemError(err error) error {
	if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return ErrNoModemLines
	}
	return plain(err)
}

// serialStruct is struct serial_struct of <linux/serial.h>; only Flags is ours.
type serialStruct struct {
	Type, Line    int32
	Port          uint32
	IRQ, Flags    int32
	FIFOSize      int32
	CustomDivisor int32
	BaudBase      int32
	CloseDelay    uint16
	IOType        uint8
	_             uint8
	Hub6          int32
	ClosingWait   uint16
	ClosingWait2  uint16
	IOMemBase     uintptr
	IOMemRegShift uint16
	PortHigh      uint32
	IOMapBase     uintptr
	_             [8]uintptr // room for a kernel whose struct is longer
}

// asyncLowLatency is ASYNC_LOW_LATENCY of <linux/tty_flags.h>: received bytes
// are handed on at once, and an FTDI bridge waits 1 ms instead of 16.
const asyncLowLatency = 1 << 13

// lowLatency asks for it; ports that do not know it simply stay as they are.
func lowLatency(fd int) {
	var s serialStruct
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGSERIAL, uintptr(unsafe.Pointer(&s))); e != 0 {
		return
	}
	s.Flags |= asyncLowLatency
	_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCSSERIAL, uintptr(unsafe.Pointer(&s)))
}
