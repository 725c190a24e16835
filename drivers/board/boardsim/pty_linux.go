package boardsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"posagent/drivers/board"
	"posagent/drivers/icc/iccsim"
	"posagent/printer/thermal/thermalsim"
)

// unread is how long a part waits for a terminal that does not read before its
// bytes are lost.
const unread = 100 * time.Millisecond

// profileName is the profile that NewPTY writes.
const profileName = "board.json"

// NewPTY builds a terminal for another process: it puts icc, pinpad, printer
// and nfc, links to pseudo-terminals, and board.json, the profile that names them, into
// dir, which must exist. Links left by an earlier board are replaced. nil opts
// are the defaults; Close takes the links away again.
func NewPTY(dir string, opts *Opts) (_ *Board, err error) {
	if opts == nil {
		opts = &DefaultOpts
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("simulated board in %s: %w", dir, err)
	}
	set := &ptySet{}
	defer func() {
		if err != nil {
			_ = set.Close()
			err = fmt.Errorf("simulated board in %s: %w", dir, err)
		}
	}()
	b := &Board{PINPad: newPad(opts), Paper: thermalsim.New(&opts.Printer), Chip: iccsim.NewTDA8029(), pty: set}
	b.Slot = b.Chip
	b.antenna()
	b.profile = &board.Profile{Model: model + "-pty", Parts: board.Fitted{
		ICC:    &board.ICCPart{Driver: "tda8029", Port: filepath.Join(dir, "icc")},
		PINPad: &board.PINPadPart{Port: filepath.Join(dir, "pinpad")},
		NFC:    &board.NFCPart{Driver: "pn532", Port: filepath.Join(dir, "nfc")},
		Printer: &board.PrinterPart{
			Port: filepath.Join(dir, "printer"), WidthDots: opts.Printer.WidthDots, RXBuffer: opts.Printer.RXBuffer,
		},
	}}
	for _, s := range []served{
		{name: b.profile.Parts.ICC.Port, part: b.Chip},
		{name: b.profile.Parts.PINPad.Port, part: b.PINPad},
		{name: b.profile.Parts.Printer.Port, part: b.Paper},
		{name: b.profile.Parts.NFC.Port, part: b.NFC},
	} {
		if s.wire, err = set.add(s.name); err != nil {
			return nil, err
		}
		b.serve = append(b.serve, s)
	}
	if err := b.profile.Validate(); err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(b.profile, "", "  ")
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, profileName)
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return nil, err
	}
	set.files = append(set.files, path)
	return b, nil
}

// ptySet is what NewPTY has made and Close takes away.
type ptySet struct {
	ends  []*os.File
	files []string
}

// add makes a pseudo-terminal in raw mode with a link to its slave at path, and
// returns the part's end.
func (s *ptySet) add(path string) (io.ReadWriter, error) {
	master, slave, err := pty.Open()
	if err != nil {
		return nil, fmt.Errorf("open pseudo-terminal: %w", err)
	}
	s.ends = append(s.ends, slave)
	master, err = pollable(master)
	if err != nil {
		return nil, fmt.Errorf("master of %s: %w", slave.Name(), err)
	}
	s.ends = append(s.ends, master)
	if err := rawMode(slave); err != nil {
		return nil, fmt.Errorf("raw mode of %s: %w", slave.Name(), err)
	}
	if old, err := os.Readlink(path); err == nil {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("replace link to %s: %w", old, err)
		}
	}
	if err := os.Symlink(slave.Name(), path); err != nil {
		return nil, err
	}
	s.files = append(s.files, path)
	return &ptyWire{master}, nil
}

// pollable returns the open file f as one that knows deadlines, and closes f:
// package pty opens masters in blocking mode.
func pollable(f *os.File) (*os.File, error) {
	defer f.Close()
	c, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	cerr := c.Control(func(old uintptr) {
		if fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0); err == nil {
			err = unix.SetNonblock(fd, true)
		}
	})
	if err := errors.Join(cerr, err); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// rawMode keeps the line discipline from echoing what a part says before a
// terminal has connected.
func rawMode(slave *os.File) error {
	c, err := slave.SyscallConn()
	if err != nil {
		return err
	}
	cerr := c.Control(func(fd uintptr) {
		var t *unix.Termios
		if t, err = unix.IoctlGetTermios(int(fd), unix.TCGETS); err != nil {
			return
		}
		t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
		t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
		err = unix.IoctlSetTermios(int(fd), unix.TCSETS, t)
	})
	return errors.Join(cerr, err)
}

// Close closes the pseudo-terminals and removes links and profile.
func (s *ptySet) Close() error {
	var errs []error
	for _, path := range s.files {
		errs = append(errs, os.Remove(path))
	}
	for _, f := range s.ends {
		errs = append(errs, f.Close())
	}
	s.files, s.ends = nil, nil
	return errors.Join(errs...)
}

// ptyWire is the master as a part's wire: it never blocks on a terminal that is
// not there.
type ptyWire struct{ *os.File }

func (w *ptyWire) Write(p []byte) (int, error) {
	if err := w.SetWriteDeadline(time.Now().Add(unread)); err != nil {
		return 0, err
	}
	n, err := w.File.Write(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return len(p), nil // lost, as on a line that nobody listens to
	}
	return n, err
}
