package journal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"posagent/agent/payment"
)

// kills is how many times the child is ended with SIGKILL.
const kills = 32

const childEnv = "POSAGENT_JOURNAL_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		fmt.Fprintln(os.Stderr, crashChild(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// crashChild sells for ever and tells on standard output what the journal has
// acknowledged: "id stan batch state".
func crashChild(path string) error {
	j, err := Open(path, Options{Key: testKey})
	if err != nil {
		return err
	}
	go j.Run(context.Background())
	recovered, err := j.Recover(bg)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	say := func(rec Record) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(rec.ID, uint32(rec.STAN), uint32(rec.Batch), rec.State)
	}
	for _, rec := range recovered {
		say(rec)
	}
	pan, _ := payment.NewPAN(testPAN)
	fail := make(chan error)
	for seller := range 2 {
		go func() {
			for i := 0; ; i++ {
				d := Draft{Requester: fmt.Sprintf("%d-%d", seller, os.Getpid()), RequestID: fmt.Sprint(i), Request: payment.Request{
					Type: payment.Sale, Amount: 100, Currency: payment.CNY, Time: testTime, TerminalID: "10000001",
					MerchantID: "102100153110001", Entry: payment.Chip, PAN: pan}}
				rec, err := j.Begin(bg, d)
				if err != nil {
					fail <- err
					return
				}
				say(rec)
				res := []Result{approval(), {Event: Decline, Response: payment.Response{Code: "51"}}, {Event: Reverse, Reason: payment.ReasonNoReply}}[i%3]
				if rec, err = j.Finish(bg, rec.ID, res); err != nil {
					fail <- err
					return
				}
				say(rec)
				if rec.State == Reversing && i%2 == 0 {
					if rec, err = j.ReversalDone(bg, rec.ID, "00"); err != nil {
						fail <- err
						return
					}
					say(rec)
				}
			}
		}()
	}
	return <-fail
}

// TestKill ends a selling process at random moments. Whatever it had been told
// is there afterwards, no trace number was given twice, and everything adds up.
func TestKill(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := testPath(t)
	rng := rand.New(rand.NewSource(42))
	told := map[string]State{}            // by id, the last acknowledged state
	stans := map[[2]payment.STAN]string{} // batch and STAN -> id, over all lives
	for kill := range kills {
		lines, err := oneLife(exe, path, 1+rng.Intn(40))
		if errors.Is(err, syscall.ENOEXEC) { // a foreign processor, played by an emulator
			lines, err = oneLife(emulator(t), path, 1+rng.Intn(40), exe)
		}
		if err != nil {
			t.Fatalf("life %d: %v", kill, err)
		}
		for _, line := range lines {
			var id, state string
			var number [2]payment.STAN
			if n, _ := fmt.Sscan(line, &id, &number[1], &number[0], &state); n != 4 {
				continue // cut in the middle of a line
			}
			if other, ok := stans[number]; ok && other != id {
				t.Fatalf("STAN %d of batch %d went to %s and to %s", number[1], number[0], other, id)
			}
			stans[number] = id
			told[id] = State(state)
		}
		checkLife(t, path, told)
	}
	if len(told) < kills {
		t.Errorf("only %d records in %d lives", len(told), kills)
	}
	t.Logf("%d kills, %d records", kills, len(told))
}

// emulator gives the program that runs this test's own processor on another one.
func emulator(t *testing.T) string {
	t.Helper()
	name := "qemu-" + runtime.GOARCH + "-static"
	if runtime.GOARCH == "arm64" {
		name = "qemu-aarch64-static"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("this machine cannot execute the test's own program again; that needs %s (package qemu-user-static)", name)
	}
	return path
}

// oneLife starts the child and kills it after it has told n lines. It gives all
// lines told.
func oneLife(exe, path string, n int, args ...string) ([]string, error) {
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), childEnv+"="+path)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	var lines []string
	in := bufio.NewReader(out)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			break // a last line without its end was cut and counts for nothing
		}
		lines = append(lines, line)
		if len(lines) == n {
			if err := cmd.Process.Kill(); err != nil {
				return nil, err
			}
		}
	}
	_ = cmd.Wait()
	if len(lines) < n {
		return nil, fmt.Errorf("child ended by itself: %s", stderr.String())
	}
	return lines, nil
}

// after says which states may follow a state that was acknowledged: the child
// may have been one step further than it could tell.
var after = map[State][]State{
	Pending:   {Pending, Approved, Declined, Reversing},
	Approved:  {Approved},
	Declined:  {Declined},
	Reversing: {Reversing, Reversed},
	Reversed:  {Reversed},
}

func checkLife(t *testing.T, path string, told map[string]State) {
	t.Helper()
	j, err := OpenReadOnly(path, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	sound(t, j)
	open := map[string]bool{}
	revs, err := j.Reversals(bg)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range revs {
		open[r.Record.ID] = true
		if r.Reversal.Request.PAN.Reveal() != testPAN {
			t.Errorf("reversal of %s has lost its card number", r.Record.ID)
		}
	}
	for id, state := range told {
		rec, err := j.Record(id)
		if err != nil {
			t.Errorf("acknowledged record %s (%s) is gone: %v", id, state, err)
			continue
		}
		possible := false
		for _, s := range after[state] {
			possible = possible || s == rec.State
		}
		if !possible {
			t.Errorf("record %s was acknowledged as %s and is %s", id, state, rec.State)
		}
		if (rec.State == Reversing) != open[id] {
			t.Errorf("record %s is %s, in the reversal queue: %v", id, rec.State, open[id])
		}
	}
}
