//go:build linux

package e2e

import (
	"encoding/json"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"posagent/cmd/lab/demo"
	"posagent/cmd/lab/house"
)

// TestDemo runs the demonstration as a newcomer does and reads what it leaves:
// the report is held against the four accounts once more, by this test.
func TestDemo(t *testing.T) {
	lab := built(t, "lab")
	dir := t.TempDir()
	file := filepath.Join(dir, "out.json")
	out, err := exec.CommandContext(t.Context(), lab, "demo", "-json", file, "-out", dir, "-lang", "en").CombinedOutput()
	if err != nil {
		t.Fatalf("lab demo: %v\n%s", err, out)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r demo.Report
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	if !r.OK || len(r.Steps) < 10 || len(r.Journal) < 6 || len(r.Receipts) < 3 || len(r.Events) < len(r.Journal) {
		t.Errorf("report has %d steps, %d records, %d receipts, %d events, ok %v", len(r.Steps), len(r.Journal), len(r.Receipts), len(r.Events), r.OK)
	}
	for _, s := range r.Steps {
		if !s.OK || s.Name == "" || s.Result == "" {
			t.Errorf("step %+v", s)
		}
	}
	for _, d := range house.Agree(r.Journal, r.HostLedger, r.Events, r.Receipts) {
		t.Error(d)
	}
	f, err := os.Open(filepath.Join(dir, "receipt.png"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if img, err := png.Decode(f); err != nil || img.Bounds().Dx() != 384 || img.Bounds().Dy() < 500 {
		t.Errorf("receipt.png: %v, %v", img.Bounds(), err)
	}
}
