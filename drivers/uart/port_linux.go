package uart

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/uart"
)

// Port is an open Linux serial port. It is the uart.PortCloser that Open
// returns and, after Connect, the Stream.
type Port struct {
	name string
	path string
	file *os.File
	raw  syscall.RawConn

	mu        sync.Mutex // guards what follows; never held across blocking calls
	limit     physic.Frequency
	settings  Settings
	connected bool
	exclusive bool      // TIOCEXCL was set and must be lifted at Close
	writeBy   time.Time // write deadline, for Drain
}

var (
	_ uart.PortCloser = (*Port)(nil)
	_ Stream          = (*Port)(nil)
	_ Drainer         = (*Port)(nil)
	_ Discarder       = (*Port)(nil)
)

// Open opens the serial port at path for this process alone; name is what
// String shows. The value is a *Port. Speed and frame are unset until Connect.
// The error wraps ErrBusy when somebody else holds the port.
func Open(name, path string) (uart.PortCloser, error) {
	doing := fmt.Sprintf("open uart %s at %s", name, path)
	// O_NONBLOCK keeps open(2) from waiting for carrier and hands the file to
	// the runtime's poller, which gives deadlines and a Close that releases.
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		if errors.Is(err, unix.EBUSY) {
			err = ErrBusy
		}
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	p := &Port{name: name, path: path, file: f}
	if p.raw, err = f.SyscallConn(); err == nil {
		err = p.claim()
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	return p, nil
}

// claim makes the port ours: a lock that dies with the process, TIOCEXCL where
// it does no harm, low latency where the chip knows it, an empty input queue.
func (p *Port) claim() error {
	return p.ioctl(func(fd int) error {
		if _, err := unix.IoctlGetTermios(fd, unix.TCGETS2); err != nil {
			return fmt.Errorf("not a serial port: %w", err)
		}
		if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
			if errors.Is(err, unix.EWOULDBLOCK) {
				return ErrBusy
			}
			return fmt.Errorf("lock: %w", err)
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err == nil && !isPTY(uint64(st.Rdev)) {
			p.exclusive = unix.IoctlSetInt(fd, unix.TIOCEXCL, 0) == nil
		}
		lowLatency(fd)
		return discard(fd, true, false)
	})
}

// isPTY tells a Unix98 pseudo-terminal by its major number, 136 to 143 (Linux
// Documentation/admin-guide/devices.txt).
func isPTY(rdev uint64) bool {
	m := unix.Major(rdev)
	return m >= 136 && m <= 143
}

// ioctl runs f on the descriptor; it fails with os.ErrClosed after Close.
func (p *Port) ioctl(f func(fd int) error) error {
	var err error
	if cerr := p.raw.Control(func(fd uintptr) { err = f(int(fd)) }); cerr != nil {
		return os.ErrClosed // the only way Control fails on an open descriptor
	}
	return err
}

// String is the name given to Open and the path.
func (p *Port) String() string { return p.name + "(" + p.path + ")" }

// LimitSpeed sets the highest speed that Connect will use.
func (p *Port) LimitSpeed(f physic.Frequency) error {
	if f < minBaud*physic.Hertz {
		return fmt.Errorf("limit uart %s to %s: below %d baud", p.name, f, minBaud)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit = f
	return nil
}

// Connect sets speed and frame, in raw mode, and returns the port's Stream. It
// may be called again at any time: the same Stream goes on with the new speed.
// Bytes still in the output queue leave at the new speed, so Drain first.
func (p *Port) Connect(f physic.Frequency, stop uart.Stop, parity uart.Parity, flow uart.Flow, bits int) (conn.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s, err := Parse(f, p.limit, stop, parity, flow, bits)
	if err != nil {
		return nil, fmt.Errorf("connect %s: %w", p, err)
	}
	err = p.ioctl(func(fd int) error {
		t, err := unix.IoctlGetTermios(fd, unix.TCGETS2)
		if err != nil {
			return fmt.Errorf("read line settings: %w", err)
		}
		s.apply(t)
		if err := unix.IoctlSetTermios(fd, unix.TCSETS2, t); err != nil {
			return fmt.Errorf("set %s: %w", s, err)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("connect %s: %w", p, err)
	}
	p.settings, p.connected = s, true
	return p, nil
}

// Settings returns what the last Connect set; ok is false before the first.
func (p *Port) Settings() (s Settings, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.settings, p.connected
}

// Read reads at least one byte; see the package comment.
func (p *Port) Read(b []byte) (int, error) {
	n, err := p.file.Read(b)
	switch {
	case n > 0:
		return n, nil
	case errors.Is(err, unix.EIO), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		// The line was hung up: adapter pulled, pseudo-terminal master closed.
		return 0, io.EOF
	}
	return 0, plain(err)
}

// Write writes all of b or tells how much was accepted; see the package
// comment.
func (p *Port) Write(b []byte) (int, error) {
	n, err := p.file.Write(b)
	if errors.Is(err, unix.EIO) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV) {
		return n, io.ErrClosedPipe
	}
	return n, plain(err)
}

// plain reduces the errors of the contract to their bare sentinels.
func plain(err error) error {
	for _, s := range []error{os.ErrDeadlineExceeded, os.ErrClosed, io.EOF} {
		if errors.Is(err, s) {
			return s
		}
	}
	return err
}

// Tx writes w, then reads until r is full; either may be nil. Deadlines apply.
func (p *Port) Tx(w, r []byte) error {
	if len(w) > 0 {
		if _, err := p.Write(w); err != nil {
			return fmt.Errorf("tx %s: write: %w", p, err)
		}
	}
	if len(r) > 0 {
		if _, err := io.ReadFull(p, r); err != nil {
			return fmt.Errorf("tx %s: read: %w", p, err)
		}
	}
	return nil
}

// Duplex says how Tx works: the read follows the write.
func (p *Port) Duplex() conn.Duplex { return conn.Half }

// SetReadDeadline bounds Read, now and later; the zero time lifts it.
func (p *Port) SetReadDeadline(t time.Time) error { return plain(p.file.SetReadDeadline(t)) }

// SetWriteDeadline bounds Write and Drain, now and later; the zero time lifts
// it.
func (p *Port) SetWriteDeadline(t time.Time) error {
	p.mu.Lock()
	p.writeBy = t
	p.mu.Unlock()
	return plain(p.file.SetWriteDeadline(t))
}

// SetDeadline sets both.
func (p *Port) SetDeadline(t time.Time) error {
	return errors.Join(p.SetReadDeadline(t), p.SetWriteDeadline(t))
}

// Halt does nothing: a serial port moves nothing by itself. It is there for
// conn.Resource.
func (p *Port) Halt() error { return nil }

// Close releases blocked readers and writers with os.ErrClosed and gives the
// port back. A second Close returns os.ErrClosed.
func (p *Port) Close() error {
	p.mu.Lock()
	if p.exclusive {
		p.exclusive = false
		_ = p.ioctl(func(fd int) error { return unix.IoctlSetInt(fd, unix.TIOCNXCL, 0) })
	}
	p.mu.Unlock()
	return plain(p.file.Close())
}
