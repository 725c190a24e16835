package pinpad_test

import (
	"context"
	"os"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"posagent/drivers/pinpad"
	"posagent/drivers/pinpad/pinpadsim"
	"posagent/drivers/uart"
)

// pollable gives f as a file whose reads a deadline can end, and closes f.
func pollable(t *testing.T, f *os.File) *os.File {
	t.Helper()
	defer f.Close()
	fd, err := unix.Dup(int(f.Fd()))
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), f.Name())
}

// The same bytes through the kernel: the pad at the master of a pseudo-terminal,
// the driver at its slave through the real serial port.
func TestOnAPseudoTerminal(t *testing.T) {
	master, slave, err := pty.Open()
	if err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	defer slave.Close() // kept open: a master without slave fails to read
	line := pollable(t, master)
	defer line.Close()
	port, err := uart.Open("PINPAD0", slave.Name())
	if err != nil {
		t.Fatal(err)
	}
	dev, err := pinpad.New(port, nil)
	if err != nil {
		t.Fatal(err)
	}
	pad := pinpadsim.New(&pinpadsim.Opts{Secure: newModule()})
	ctx, stop := context.WithCancel(t.Context())
	served, ran := make(chan error, 1), make(chan error, 1)
	go func() { served <- pad.Serve(ctx, line) }()
	go func() { ran <- dev.Run(ctx) }()

	cryptogram, kcv := wrap(testMAK)
	if err := dev.LoadWorkingKey(ctx, "mac", cryptogram, kcv); err != nil {
		t.Error(err)
	}
	data := make([]byte, 1024) // every byte value, control characters of a terminal among them
	for i := range data {
		data[i] = byte(i)
	}
	if got, err := dev.MAC(ctx, "cbc", data); err != nil || got != cbcMAC(testMAK, data) {
		t.Errorf("MAC %X, %v", got, err)
	}
	pad.Press(pinpad.F1)
	if k := <-dev.Keys(); k != pinpad.F1 {
		t.Errorf("key %s", k)
	}
	stop()
	if err := <-ran; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := dev.Halt(); err != nil {
		t.Errorf("Halt: %v", err)
	}
}
