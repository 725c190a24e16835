//go:build linux

package e2e

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"posagent/agent/emv/cardsim"
	"posagent/agent/payment"
)

// What the virtual reader needs, with the Debian package that has it.
const (
	vpcdDriver = "/usr/lib/pcsc/drivers/serial/libifdvpcd.so"
	vpcdAddr   = "127.0.0.1:35963"
	pcscdFile  = "/usr/sbin/pcscd"
)

// insideEnv tells the test that it runs in namespaces of its own, and where the programs are.
const insideEnv = "POSAGENT_E2E_PROGRAMS"

// TestVirtualReader reads virtual cards through Debian's pcscd and its virtual reader, as a person would: lab card in one
// process, terminalctl emv run in another. The virtual reader listens on every address of its machine, so that the test
// runs itself again in a network of its own that has a loopback and nothing else.
func TestVirtualReader(t *testing.T) {
	if programs := os.Getenv(insideEnv); programs != "" {
		virtualReader(t, programs)
		return
	}
	for file, pkg := range map[string]string{pcscdFile: "pcscd", vpcdDriver: "vsmartcard-vpcd"} {
		if _, err := os.Stat(file); err != nil {
			t.Skipf("%s is missing (package %s)", file, pkg)
		}
	}
	programs := filepath.Dir(built(t, "lab"))
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestVirtualReader$", "-test.v")
	cmd.Env = append(os.Environ(), insideEnv+"="+programs)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 { // what root may do anyway, others may in a user namespace
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		t.Skipf("no network of its own for the virtual reader: %v", err)
	}
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestVirtualReader")) {
		t.Fatalf("%v\n%s", err, out)
	}
}

// isolate brings the loopback of the new network up and puts an empty /run over the machine's.
func isolate(t *testing.T) {
	t.Helper()
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", "/run", "tmpfs", 0, "mode=0755"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir("/run/pcscd", 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo); err != nil {
		t.Fatal(err)
	}
}

// begin starts a program that is killed at the end of the test.
func begin(t *testing.T, file string, args ...string) (*exec.Cmd, *output) {
	t.Helper()
	var said output
	cmd := exec.Command(file, args...)
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s\n%s", filepath.Base(file), tail(said.String(), 30))
		}
	})
	return cmd, &said
}

// poll asks until yes; it gives up after a generous time.
func poll(t *testing.T, what string, yes func() bool) {
	t.Helper()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatal("waited in vain for ", what)
		}
	}
}

// told is what terminalctl emv run -json says, as far as it matters here.
type told struct {
	Outcome, Reason, PAN, AID, Cause string
	Sequence                         string `json:"pan_sequence"`
	CVM                              struct{ Method, Result string }
	Cryptogram                       *struct{ Type string }
	APDUs                            []struct{ Command string }
	Request                          *struct{ DE55 string }
}

// bench is the inside of the test: programs, settings and the virtual reader.
type bench struct {
	lab, ctl, settings string
}

// sell inserts a card and runs one transaction with it.
func (b bench) sell(t *testing.T, card string, args ...string) told {
	t.Helper()
	cmd := b.insert(t, card)
	args = append([]string{"emv", "run", "-json", "-pcsc", "Virtual PCD 00 00", "-settings", b.settings,
		"-date", "2026-03-14", "-un", "01020304", "-amount", "123.45"}, args...)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, b.ctl, args...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = errors.Join(err, errors.New(string(exit.Stderr)))
		}
		t.Fatalf("terminalctl %v: %v", args, err)
	}
	var r told
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	cmd.Process.Kill()
	cmd.Wait()
	poll(t, "the card to leave", func() bool {
		list, err := exec.CommandContext(ctx, b.ctl, "emv", "run", "-pcsc", "list").Output()
		return err == nil && !strings.Contains(string(list), "card inserted")
	})
	return r
}

// insert puts a card into the virtual reader. The reader's driver now and then
// misses one that comes right after another has left: it is put in again.
func (b bench) insert(t *testing.T, card string) *exec.Cmd {
	t.Helper()
	for range 4 {
		cmd, _ := begin(t, b.lab, "card", "-vpcd", vpcdAddr, "-card", card)
		for until := time.Now().Add(7 * time.Second); time.Now().Before(until); {
			list, err := exec.CommandContext(t.Context(), b.ctl, "emv", "run", "-pcsc", "list").Output()
			if err == nil && strings.Contains(string(list), "card inserted") {
				return cmd
			}
		}
		cmd.Process.Kill()
		cmd.Wait()
	}
	t.Fatalf("the reader never saw card %s", card)
	return nil
}

// answer is the issuer's answer to the request of a run, as flags.
func answer(t *testing.T, card string, r told) []string {
	t.Helper()
	if r.Request == nil {
		t.Fatalf("no online request: %+v", r)
	}
	p, err := cardsim.Load(card)
	if err != nil {
		t.Fatal(err)
	}
	pan, err := payment.NewPAN(p.Applications[0].PAN)
	if err != nil {
		t.Fatal(err)
	}
	de55, err := hex.DecodeString(r.Request.DE55)
	if err != nil {
		t.Fatal(err)
	}
	auth, err := cardsim.TestIssuer().ARPC(pan, r.Sequence, de55, "00")
	if err != nil {
		t.Fatal(err)
	}
	return []string{"-arc", "00", "-iad", hex.EncodeToString(auth)}
}

func virtualReader(t *testing.T, programs string) {
	isolate(t)
	b := bench{filepath.Join(programs, "lab"), filepath.Join(programs, "terminalctl"), filepath.Join(t.TempDir(), "cards.json")}
	if out, err := exec.Command(b.lab, "card", "-write-settings", b.settings).CombinedOutput(); err != nil {
		t.Fatalf("lab card: %v\n%s", err, out)
	}
	begin(t, pcscdFile, "--foreground")
	poll(t, "pcscd and its virtual reader", func() bool {
		conn, err := net.Dial("tcp", vpcdAddr)
		if err != nil {
			return false
		}
		conn.Close()
		_, err = os.Stat("/run/pcscd/pcscd.comm")
		return err == nil
	})
	for _, c := range []struct {
		card    string
		args    []string
		online  bool // the card asks for the host, which approves
		outcome string
		method  string // of the CVM, a part of it
	}{
		{"approves-offline", nil, false, "approve", "no CVM"},
		{"declines-offline", nil, false, "decline", "no CVM"},
		{"no-cvm", nil, true, "approve", "no CVM"},
		{"gac2-decline", nil, true, "decline", "no CVM"},
		{"online-pin", nil, true, "approve", "online"},
		{"online-pin-declines", nil, false, "decline", "online"},
		{"plain-pin", nil, false, "approve", "plaintext PIN"},
		{"plain-pin-declines", nil, false, "decline", "plaintext PIN"},
		{"plain-pin-signature", nil, false, "approve", "plaintext PIN verified by the card, and signature"},
		{"plain-pin-signature-declines", nil, false, "decline", "plaintext PIN verified by the card, and signature"},
		{"enciphered-pin", nil, false, "approve", "enciphered PIN verified by the card"},
		{"enciphered-pin-declines", nil, false, "decline", "enciphered PIN verified by the card"},
		{"enciphered-pin-signature", nil, false, "approve", "enciphered PIN verified by the card, and signature"},
		{"enciphered-pin-signature-declines", nil, false, "decline", "enciphered PIN verified by the card, and signature"},
		{"signature", nil, false, "approve", "signature"},
		{"signature-declines", nil, false, "decline", "signature"},
		{"torn", nil, false, "try_again", ""},
		{"contactless/k2-cda", []string{"-interface", "contactless"}, false, "approve", ""},
		{"contactless/k3-fdda", []string{"-interface", "contactless"}, false, "approve", ""},
		{"contactless/k7-bad-fdda", []string{"-interface", "contactless"}, false, "decline", ""},
	} {
		t.Run(c.card, func(t *testing.T) {
			r := b.sell(t, c.card, c.args...)
			if c.online {
				r = b.sell(t, c.card, append(c.args, answer(t, c.card, r)...)...)
			}
			if r.Outcome != c.outcome || !strings.Contains(r.CVM.Method, c.method) || len(r.APDUs) == 0 {
				t.Errorf("outcome %q (%s, %s) with CVM %q after %d commands; want %q with %q", r.Outcome, r.Reason, r.Cause, r.CVM.Method, len(r.APDUs), c.outcome, c.method)
			}
			if c.outcome == "approve" && (r.Cryptogram == nil || r.Cryptogram.Type != "TC") {
				t.Errorf("approved with cryptogram %+v; want a TC", r.Cryptogram)
			}
			if strings.Count(r.PAN, "*") < 4 && r.PAN != "" {
				t.Errorf("card number %q is not masked", r.PAN)
			}
		})
	}
}
