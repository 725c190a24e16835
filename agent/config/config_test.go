package config

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"posagent/ota/wire"
)

const (
	tenant = "shop"
	serial = "PA000001"
)

// signer is a fleet's signing key, made for this test from a fixed seed.
var signer = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

func verifier(body []byte, after uint64) (*wire.Envelope, error) {
	public := signer.Public().(ed25519.PublicKey)
	return wire.Open(body, wire.Expect{Type: wire.TypeConfig, Tenant: tenant, Serial: serial, After: after,
		Signers: []wire.Signer{{KeyID: wire.KeyID(public), Key: public}}})
}

// able stands for a terminal whose PIN pad has one key slot.
func able(c *wire.Config) error {
	if c.Acquirer.TMKSlot != 1 {
		return &wire.FieldError{Path: "acquirer.tmk_slot", Kind: wire.ErrInvalid, Detail: "the PIN pad has one slot"}
	}
	return nil
}

func sample(t *testing.T, revision uint64) wire.Config {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "ota", "wire", "testdata", "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var c wire.Config
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	c.Revision = revision
	return c
}

func signed(t *testing.T, c wire.Config, change func(*wire.Envelope)) []byte {
	t.Helper()
	payload, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	env := wire.Envelope{Type: wire.TypeConfig, Tenant: tenant, Serial: serial, Revision: c.Revision, ID: strings.Repeat("0a", 16),
		NotBefore: time.Unix(1_700_000_000, 0), Payload: payload}
	if change != nil {
		change(&env)
	}
	e, err := wire.Sign(env, signer)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, verifier, able)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStageApplyRestart(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if s.Current() != nil {
		t.Fatal("a new terminal has a configuration")
	}
	r := s.Stage(signed(t, sample(t, 1), nil))
	if r.State != wire.ReportedAccepted || r.CurrentRevision != 0 || s.Current() != nil {
		t.Fatalf("Stage = %+v; current %v", r, s.Current())
	}
	if again := open(t, dir); !again.Staged() {
		t.Error("staged configuration is lost over a restart")
	}
	r, err := s.Apply()
	if err != nil || r.State != wire.ReportedApplied || r.CurrentRevision != 1 || s.Current().Revision != 1 {
		t.Fatalf("Apply = %+v, %v", r, err)
	}
	if _, err := s.Apply(); !errors.Is(err, ErrNothingStaged) {
		t.Errorf("second Apply = %v", err)
	}
	again := open(t, dir)
	if again.Current() == nil || again.Current().Hash != s.Current().Hash || again.Staged() {
		t.Error("configuration in force is lost over a restart")
	}
	// The broker sends the retained document again at every connection.
	if r := again.Stage(signed(t, sample(t, 1), nil)); r.State != wire.ReportedApplied {
		t.Errorf("the same again = %+v", r)
	}
}

func TestRejectedLeavesOld(t *testing.T) {
	s := open(t, t.TempDir())
	s.Stage(signed(t, sample(t, 5), nil))
	if _, err := s.Apply(); err != nil {
		t.Fatal(err)
	}
	old := s.Current()
	bad := sample(t, 6)
	bad.TerminalID = "short"
	unable := sample(t, 6)
	unable.Acquirer.TMKSlot = 3
	forged := signed(t, sample(t, 6), nil)
	forged[len(forged)/2] ^= 1
	other := sample(t, 5)
	other.TerminalID = "87654321"
	mismatch := signed(t, sample(t, 7), func(e *wire.Envelope) { e.Revision = 8 })
	for _, row := range []struct {
		name, path string
		body       []byte
	}{
		{"one bad field", "terminal_id", signed(t, bad, nil)},
		{"not for this terminal", "acquirer.tmk_slot", signed(t, unable, nil)},
		{"older", "", signed(t, sample(t, 4), nil)},
		{"other terminal", "", signed(t, sample(t, 6), func(e *wire.Envelope) { e.Serial = "PA000002" })},
		{"other fleet", "", signed(t, sample(t, 6), func(e *wire.Envelope) { e.Tenant = "rival" })},
		{"one bit changed", "", forged},
		{"same revision, other content", "revision", signed(t, other, nil)},
		{"envelope says another revision", "revision", mismatch},
		{"rubbish", "", []byte("rubbish")},
		{"nothing", "", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := s.Stage(row.body)
			if r.State != wire.ReportedRejected || r.Reason == "" || (row.path != "" && r.Path != row.path) || r.CurrentRevision != 5 {
				t.Errorf("Stage = %+v, want rejected at %q", r, row.path)
			}
			if err := r.Validate(); err != nil {
				t.Errorf("report is no message: %v", err)
			}
			if s.Current() != old || s.Staged() {
				t.Error("a refused configuration changed something")
			}
		})
	}
}

func TestEditedFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.Stage(signed(t, sample(t, 1), nil))
	if _, err := s.Apply(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, currentFile)
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, torn := range [][]byte{body[:len(body)/2], {}, []byte(strings.Replace(string(body), `"serial":"PA000001"`, `"serial":"PA000009"`, 1))} {
		if err := os.WriteFile(path, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		again, err := Open(dir, verifier, able)
		if !errors.Is(err, ErrDamaged) || again.Current() != nil {
			t.Errorf("Open of an edited file = %v, want ErrDamaged", err)
		}
		// The fleet sends it again: the terminal heals.
		if r := again.Stage(body); r.State != wire.ReportedAccepted {
			t.Errorf("Stage after damage = %+v", r)
		}
	}
}

// TestStagedIsNotRolledBack: an older document that comes after a newer one was
// stored does not take its place, in force or not.
func TestStagedIsNotRolledBack(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.Stage(signed(t, sample(t, 5), nil))
	if _, err := s.Apply(); err != nil {
		t.Fatal(err)
	}
	newest := signed(t, sample(t, 8), nil)
	if r := s.Stage(newest); r.State != wire.ReportedAccepted {
		t.Fatalf("Stage = %+v", r)
	}
	for _, again := range []*Store{s, open(t, dir)} {
		if r := again.Stage(signed(t, sample(t, 6), nil)); r.State != wire.ReportedRejected || r.CurrentRevision != 5 {
			t.Errorf("older than the staged one = %+v", r)
		}
		if r := again.Stage(newest); r.State != wire.ReportedAccepted || r.Revision != 8 || !again.Staged() {
			t.Errorf("the staged one again = %+v", r)
		}
		if r := again.Stage(signed(t, sample(t, 5), nil)); r.State != wire.ReportedRejected {
			t.Errorf("the one in force, while a newer one waits = %+v", r)
		}
	}
	if r, err := s.Apply(); err != nil || r.Revision != 8 || r.State != wire.ReportedApplied || r.Reason != "" {
		t.Errorf("Apply = %+v, %v", r, err)
	}
}

// TestBindingIsNotConfiguration: one machine, one code. A reversal of the old
// terminal id could never be sent under a new one.
func TestBindingIsNotConfiguration(t *testing.T) {
	s := open(t, t.TempDir())
	first := sample(t, 1)
	s.Stage(signed(t, first, nil))
	if _, err := s.Apply(); err != nil {
		t.Fatal(err)
	}
	terminal, merchant := sample(t, 2), sample(t, 2)
	terminal.TerminalID = "87654321"
	merchant.Merchant.ID = "999999999999999"
	for path, c := range map[string]wire.Config{"terminal_id": terminal, "merchant.id": merchant} {
		if r := s.Stage(signed(t, c, nil)); r.State != wire.ReportedRejected || r.Path != path || s.Staged() {
			t.Errorf("another %s = %+v", path, r)
		}
	}
	renamed := sample(t, 2)
	renamed.Merchant.NameEN = "Another Name"
	if r := s.Stage(signed(t, renamed, nil)); r.State != wire.ReportedAccepted {
		t.Errorf("another name = %+v", r)
	}
}

// TestDamageOfOneFileLeavesTheOther: what is whole is used.
func TestDamageOfOneFileLeavesTheOther(t *testing.T) {
	for _, name := range []string{currentFile, stagedFile} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			s.Stage(signed(t, sample(t, 1), nil))
			if _, err := s.Apply(); err != nil {
				t.Fatal(err)
			}
			s.Stage(signed(t, sample(t, 2), nil))
			if err := os.WriteFile(filepath.Join(dir, name), []byte("torn"), 0o600); err != nil {
				t.Fatal(err)
			}
			again, err := Open(dir, verifier, able)
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), name) {
				t.Errorf("Open = %v, want ErrDamaged that names %s", err, name)
			}
			if (again.Current() != nil) != (name == stagedFile) || again.Staged() != (name == currentFile) {
				t.Errorf("in force %v, staged %v", again.Current() != nil, again.Staged())
			}
		})
	}
}

func TestCut(t *testing.T) {
	if got := cut("a\nb\tc\x00\u0085汉汉", 9); got != "a b c  " {
		t.Errorf("cut = %q", got)
	}
}

// FuzzStage: whatever comes in is reported in a valid message and changes nothing
// unless it is accepted.
func FuzzStage(f *testing.F) {
	f.Add([]byte("rubbish"))
	f.Add([]byte(`{"v":1,"type":"config","tenant":"shop","serial":"PA000001","revision":1,"payload":"e30="}`))
	f.Add([]byte(`{"v":1,"v":1}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		s := open(t, t.TempDir())
		r := s.Stage(body)
		if err := r.Validate(); err != nil {
			t.Fatalf("report %+v is no message: %v", r, err)
		}
		if s.Staged() != (r.State == wire.ReportedAccepted) || s.Current() != nil {
			t.Fatalf("reported %s, staged %v", r.State, s.Staged())
		}
	})
}
