package boardsim_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"posagent/drivers/board"
	"posagent/drivers/board/boardsim"
	"posagent/drivers/icc"
	"posagent/drivers/uart"
)

// childProfile is set in the environment of a second process of this test: it
// opens the board by that profile, powers the card, and waits to be killed.
const childProfile = "BOARDSIM_TEST_PROFILE"

func TestMain(m *testing.M) {
	if path := os.Getenv(childProfile); path != "" {
		if err := terminalProcess(path); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		select {}
	}
	os.Exit(m.Run())
}

func terminalProcess(path string) error {
	ctx := context.Background()
	profile, err := board.Load(path)
	if err != nil {
		return err
	}
	parts, err := board.Open(ctx, profile, nil)
	if err != nil {
		return err
	}
	go parts.PINPad.Run(ctx)
	if err := parts.PINPad.SetKeyboard(ctx, true); err != nil {
		return err
	}
	if err := parts.ICC.Wait(ctx, true); err != nil {
		return err
	}
	if _, err := parts.ICC.Activate(ctx); err != nil {
		return err
	}
	fmt.Println("ready")
	return nil
}

func newPTY(t *testing.T) (*boardsim.Board, string) {
	t.Helper()
	if _, err := os.Stat("/dev/ptmx"); err != nil {
		t.Skipf("no pseudo-terminals here (devpts not mounted): %v", err)
	}
	dir := t.TempDir()
	sim, err := boardsim.NewPTY(dir, &boardsim.Opts{Serial: "PP000042"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
		left, _ := os.ReadDir(dir)
		if len(left) != 0 {
			t.Errorf("Close left %v", left)
		}
	})
	return sim, filepath.Join(dir, "board.json")
}

func TestPTYBoard(t *testing.T) {
	sim, path := newPTY(t)
	ctx := start(t, sim)
	written, err := board.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if written.Model != "posagent-sim-pty" || written.Parts.ICC.Driver != "tda8029" || written.Parts.Display != nil {
		t.Errorf("profile %+v", written)
	}
	for range 2 {
		parts, halt := open(t, ctx, sim)
		if err := parts.Missing[board.Display]; err != board.ErrNotFitted || len(parts.Missing) != 1 {
			t.Fatalf("missing %v; want the display alone", parts.Missing)
		}
		exercise(t, ctx, sim, parts)
		halt()
	}
}

func TestPortsBelongToOneProcess(t *testing.T) {
	sim, _ := newPTY(t)
	ctx := start(t, sim)
	_, halt := open(t, ctx, sim)
	defer halt()
	second, err := board.Open(ctx, sim.Profile(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Halt()
	for _, part := range []board.Part{board.ICC, board.PINPad, board.Printer} {
		if err := second.Missing[part]; !errors.Is(err, uart.ErrBusy) {
			t.Errorf("%s in the second process: %v; want uart.ErrBusy", part, err)
		}
	}
}

// A terminal that is killed leaves the parts as they are, and the next one works
// with them.
func TestKilledTerminal(t *testing.T) {
	sim, path := newPTY(t)
	ctx := start(t, sim)
	card := &echoCard{}
	sim.Slot.Insert(card)

	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(ctx, exe)
	child.Env = append(os.Environ(), childProfile+"="+path)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "ready\n" {
		t.Fatalf("terminal process said %q, %v", line, err)
	}
	child.Process.Kill()
	io.Copy(io.Discard, out)
	child.Wait()

	parts, halt := open(t, ctx, sim)
	defer halt()
	if in, err := parts.ICC.Present(ctx); err != nil || !in {
		t.Errorf("card present %v, %v; want it still in the slot", in, err)
	}
	if _, err := parts.ICC.Transmit(ctx, []byte{0, 0xB2, 1, 0x0C, 0}); !errors.Is(err, icc.ErrInactive) {
		t.Errorf("transmit before activation: %v; want icc.ErrInactive", err)
	}
	exercise(t, ctx, sim, parts)
	if card.resets == 0 {
		t.Error("the first terminal never reset the card")
	}
}

func TestPTYReplacesOldLinks(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/dev/null", filepath.Join(dir, "icc")); err != nil {
		t.Fatal(err)
	}
	sim, err := boardsim.NewPTY(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if to, _ := os.Readlink(filepath.Join(dir, "icc")); to == "/dev/null" {
		t.Error("the old link stayed")
	}
	sim.Close()
	if err := os.WriteFile(filepath.Join(dir, "icc"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := boardsim.NewPTY(dir, nil); !errors.Is(err, os.ErrExist) {
		t.Errorf("a file in the way: %v; want os.ErrExist", err)
	}
	if _, err := boardsim.NewPTY(filepath.Join(dir, "none"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such folder: %v", err)
	}
}
