package archtest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestHouse(t *testing.T) {
	packages, err := Load(root(t), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, offence := range Check(Rules, packages) {
		t.Error(offence)
	}
}

// TestPlantedImport is the test of the test: a forbidden import, planted into
// the real tree as the Go tool sees it, must be found.
func TestPlantedImport(t *testing.T) {
	for _, row := range []struct{ name, folder, imports, want string }{
		{"device reaches payments", "printer/escpos", "posagent/agent/payment", "posagent/printer/escpos reaches posagent/agent/payment"},
		{"kernel reaches a bus", "agent/emv", "periph.io/x/conn/v3/gpio", "posagent/agent/emv reaches periph.io/x/conn/v3/gpio"},
		{"kernel reached through another", "agent/emv/tlv", "posagent/printer", "posagent/agent/emv/contact reaches posagent/printer"},
		{"simulator in the daemon", "cmd/terminald", "posagent/drivers/bussim", "posagent/cmd/terminald reaches posagent/drivers/bussim"},
		{"server in the terminal", "agent/journal", "posagent/ota/fleet/store", "posagent/agent/journal reaches posagent/ota/fleet/store"},
		{"fleet knows the agent", "ota/fleet/enroll", "posagent/agent/payment", "posagent/ota/fleet reaches posagent/agent/payment"},
	} {
		t.Run(row.name, func(t *testing.T) {
			planted := filepath.Join(t.TempDir(), "planted.go")
			source, err := os.ReadFile(firstGoFile(t, filepath.Join(root(t), row.folder)))
			if err != nil {
				t.Fatal(err)
			}
			text := packageClause(t, string(source)) + "\nimport _ \"" + row.imports + "\"\n"
			if err := os.WriteFile(planted, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			overlay := filepath.Join(t.TempDir(), "overlay.json")
			j, err := json.Marshal(map[string]map[string]string{"Replace": {
				filepath.Join(root(t), row.folder, "planted_import.go"): planted,
			}})
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(overlay, j, 0o600); err != nil {
				t.Fatal(err)
			}
			packages, err := Load(root(t), overlay)
			if err != nil {
				t.Fatal(err)
			}
			for _, offence := range Check(Rules, packages) {
				if strings.HasPrefix(offence, row.want) {
					return
				}
			}
			t.Errorf("planted import of %s in %s was not found", row.imports, row.folder)
		})
	}
}

func TestRowMatchingNothingFails(t *testing.T) {
	packages := []Package{{ImportPath: "posagent/agent/emv", Deps: []string{"fmt"}}}
	found := Check([]Rule{{From: []string{"agent/emv"}, Never: []string{"renamed/..."}, Because: "x"}}, packages)
	if len(found) != 1 || !strings.Contains(found[0], "renamed/...") {
		t.Errorf("Check = %q, want one line about the pattern that matches nothing", found)
	}
	found = Check([]Rule{{From: []string{"gone"}, Never: []string{"agent/..."}, Because: "x"}}, packages)
	if len(found) != 1 || !strings.Contains(found[0], `"gone"`) {
		t.Errorf("Check = %q, want one line about the pattern that matches nothing", found)
	}
}

func TestMatch(t *testing.T) {
	for _, row := range []struct {
		pattern, path string
		want          bool
	}{
		{"agent/...", "posagent/agent", true},
		{"agent/...", "posagent/agent/emv/tlv", true},
		{"agent/...", "posagent/agents", false},
		{"agent/...", "example.org/agent", false},
		{"*sim", "posagent/drivers/icc/iccsim", true},
		{"*sim", "posagent/drivers/icc", false},
		{"*sim", "example.org/sim", false},
		{"go.etcd.io/bbolt", "go.etcd.io/bbolt", true},
		{"go.etcd.io/bbolt", "go.etcd.io/bbolt/errors", false},
		{"github.com/moov-io/iso8583/...", "github.com/moov-io/iso8583/field", true},
	} {
		if got := match(row.pattern, row.path); got != row.want {
			t.Errorf("match(%q, %q) = %v", row.pattern, row.path, got)
		}
	}
}

func firstGoFile(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if !strings.HasSuffix(n, "_test.go") {
			return n
		}
	}
	t.Fatalf("no Go file in %s", dir)
	return ""
}

func packageClause(t *testing.T, source string) string {
	t.Helper()
	for line := range strings.Lines(source) {
		if strings.HasPrefix(line, "package ") {
			return line
		}
	}
	t.Fatal("no package clause")
	return ""
}
