//go:build linux

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// bin is where the programs of this run are built, once, when the first test asks
// for them.
var bin struct {
	sync.Once
	dir string
	err error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if bin.dir != "" {
		os.RemoveAll(bin.dir)
	}
	os.Exit(code)
}

// built gives the path of a program.
func built(t *testing.T, name string) string {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("building the programs needs the go command (package golang-go)")
	}
	if _, err := os.Stat("/dev/ptmx"); err != nil {
		t.Skipf("no pseudo-terminals here (devpts not mounted): %v", err)
	}
	bin.Do(func() {
		if bin.dir, bin.err = os.MkdirTemp("", "posagent-bin-*"); bin.err != nil {
			return
		}
		if bin.err = readSources(); bin.err != nil {
			return
		}
		args := []string{"build", "-o", bin.dir + "/"}
		for _, name := range programs {
			args = append(args, "posagent/cmd/"+name)
		}
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			bin.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if bin.err != nil {
		t.Fatal("build programs: ", bin.err)
	}
	return filepath.Join(bin.dir, name)
}

// readSources looks at every folder that the programs are built of, so that the
// go command knows on what this test depends and gives no old result for new
// sources (go help test: files opened within the module).
func readSources() error {
	for _, top := range []string{"agent", "cmd", "drivers", "nfc", "ota", "printer"} {
		err := filepath.WalkDir(filepath.Join("..", "..", top), func(_ string, _ fs.DirEntry, err error) error { return err })
		if err != nil {
			return err
		}
	}
	return nil
}

var programs = []string{"terminald", "terminalctl", "fleetd", "fleetctl", "lab"}

// output is what a program writes, readable while it runs.
type output struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// program is one running process of the house.
type program struct {
	t        *testing.T
	name     string
	cmd      *exec.Cmd
	out, log output // standard output and standard error
	ended    chan struct{}
}

// launch starts a program. It is killed at the end of the test if it still runs;
// the logs of a failed test are shown.
func launch(t *testing.T, env []string, name string, args ...string) *program {
	t.Helper()
	p := &program{t: t, name: name, cmd: exec.Command(built(t, name), args...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Env = &p.out, &p.log, append(os.Environ(), env...)
	// Children do not outlive a test that is itself killed.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		defer close(p.ended)
		p.cmd.Wait() // the state tells more than the error
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.ended
		if t.Failed() {
			t.Logf("%s %s\n%s", name, strings.Join(args, " "), tail(p.log.String(), 60))
		}
	})
	return p
}

func tail(text string, n int) string {
	lines := strings.SplitAfter(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "")
}

// endTime bounds how long a program may take to end politely.
const endTime = 15 * time.Second

// end waits for the program's end and gives its exit status, -1 for a signal.
func (p *program) end() int {
	p.t.Helper()
	timer := time.NewTimer(endTime)
	defer timer.Stop()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-timer.C:
		p.t.Fatalf("%s has not ended within %v\n%s", p.name, endTime, tail(p.log.String(), 40))
		return -1
	}
}

// stop sends SIGTERM and wants exit status 0.
func (p *program) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatalf("stop %s: %v", p.name, err)
	}
	if status := p.end(); status != 0 {
		p.t.Errorf("%s ended with status %d after SIGTERM; want 0\n%s", p.name, status, tail(p.log.String(), 20))
	}
}

// kill sends SIGKILL, which no program can answer.
func (p *program) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatalf("kill %s: %v", p.name, err)
	}
	p.end()
}

// running reports whether the program has not ended.
func (p *program) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// result is what a program that was run to its end said.
type result struct {
	out, err string
	status   int
}

func (r result) String() string {
	return fmt.Sprintf("status %d\nstdout: %s\nstderr: %s", r.status, r.out, r.err)
}

// runTime bounds a program that is to end by itself.
const runTime = 45 * time.Second

// run runs a program to its end.
func run(t *testing.T, ctx context.Context, name string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, runTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, built(t, name), args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if ctx.Err() != nil || err != nil && !errors.As(err, &exit) {
		t.Fatalf("run %s %v: %v %v\n%s", name, args, err, ctx.Err(), errs.String())
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// must runs a program that has to succeed and gives what it printed.
func must(t *testing.T, ctx context.Context, name string, args ...string) string {
	t.Helper()
	r := run(t, ctx, name, args...)
	if r.status != 0 {
		t.Fatalf("%s %s: %v", name, strings.Join(slices.Clone(args), " "), r)
	}
	return r.out
}
