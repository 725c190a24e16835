package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"posagent/agent/emv/cardsim"
)

// recorded is a script of a virtual card.
func recorded(name string) string {
	return filepath.Join("..", "..", "agent", "emv", "judge", "testdata", name+".script")
}

// keys writes the authorities' keys of the virtual cards as a CAPK file without checksums.
func keys(t *testing.T) string {
	t.Helper()
	list := cardsim.ContactlessCAPKs()
	for i := range list {
		list[i].Checksum = nil
	}
	b, err := json.Marshal(map[string]any{"capks": list})
	if err != nil {
		t.Fatal(err)
	}
	return write(t, "keys.json", string(b))
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func do(t *testing.T, args ...string) (code int, out, complaints string) {
	t.Helper()
	var o, c bytes.Buffer
	code = execute(t.Context(), args, func(string) (string, bool) { return "", false }, &o, &c)
	return code, o.String(), c.String()
}

// TestEMVRun: arguments to exit status and words, over recorded cards.
func TestEMVRun(t *testing.T) {
	t.Parallel()
	capks := keys(t)
	garbage := write(t, "garbage.txt", "> 00A4\nhello\n")
	settings := write(t, "settings.json", `{"amount": 700.5, "currency": "EUR", "country": "250", "aid": ["A000000333"], "force-online": true}`)
	for _, c := range []struct {
		name string
		args []string
		code int
		want []string
	}{
		{"as recorded", []string{"-script", recorded("approves-offline"), "-capks", capks}, 0, []string{"1. A000000333010101", "(Book 3, 10.5)", "outcome       approve", "622609******"}},
		{"no keys", []string{"-script", recorded("approves-offline"), "-match", "any"}, 0, []string{"DDA failed", "remark"}},
		{"exact, other date", []string{"-script", recorded("approves-offline"), "-capks", capks, "-match", "exact", "-date", "2026-03-15"}, 0, []string{"script line", "wanted", "try_again"}},
		{"settings from a file", []string{"-script", recorded("online-pin"), "-settings", settings, "-as-recorded=false"}, 0, []string{"contact transaction of 700.50 (other 0.00) in currency 978, country 250"}},
		{"flags win", []string{"-script", recorded("online-pin"), "-settings", settings, "-amount", "1.23"}, 0, []string{"contact transaction of 1.23"}},
		{"contactless", []string{"-script", recorded("contactless-k3-fdda"), "-capks", capks}, 0, []string{"contactless transaction", "kernel        3", "approve"}},
		{"explained", []string{"-script", recorded("approves-offline"), "-capks", capks, "-explain"}, 0, []string{"Issuer Public Key Certificate"}},
		{"manual", []string{"-h"}, 0, []string{"-terminal-type hex", "Exit status"}},
		{"no script", []string{}, 2, []string{"either -script or -pcsc"}},
		{"both", []string{"-script", "x", "-pcsc", "y"}, 2, []string{"either"}},
		{"unknown match", []string{"-script", "x", "-match", "some"}, 2, []string{"-match"}},
		{"wrong amount", []string{"-script", "x", "-amount", "much"}, 2, []string{"amount"}},
		{"unknown flag", []string{"-colour", "red"}, 2, []string{"colour"}},
		{"wrong settings", []string{"-script", "x", "-settings", garbage}, 2, []string{"not a JSON object"}},
		{"missing script", []string{"-script", "/nonexistent"}, 1, []string{"/nonexistent"}},
		{"garbage", []string{"-script", garbage}, 1, []string{"script line 1: 2 bytes; want at least 4"}},
		{"no daemon", []string{"-pcsc", "Virtual", "-pcscd", "/nonexistent"}, 1, []string{"pcscd"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			code, out, complaints := do(t, append([]string{"emv", "run"}, c.args...)...)
			if code != c.code {
				t.Errorf("status %d; want %d", code, c.code)
			}
			for _, w := range c.want {
				if !strings.Contains(out+complaints, w) {
					t.Errorf("%q is missing in\n%s%s", w, out, complaints)
				}
			}
		})
	}
}

// TestEMVRunJSON: the names of the data are a promise.
func TestEMVRunJSON(t *testing.T) {
	t.Parallel()
	code, out, complaints := do(t, "emv", "run", "-script", recorded("approves-offline"), "-capks", keys(t), "-json")
	if code != 0 {
		t.Fatal(complaints)
	}
	var report map[string]any
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"candidates", "apdus", "steps", "tvr", "tsi", "cvm", "cryptogram", "outcome", "reason"} {
		if report[key] == nil {
			t.Errorf("%q is missing", key)
		}
	}
	if report["outcome"] != "approve" {
		t.Errorf("outcome %v; want approve", report["outcome"])
	}
}

// TestEMVRecord: -record writes a script that runs again, and never over a file.
func TestEMVRecord(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "again.txt")
	args := []string{"emv", "run", "-script", recorded("approves-offline"), "-capks", keys(t), "-record", file}
	if code, _, complaints := do(t, args...); code != 0 {
		t.Fatal(complaints)
	}
	if code, _, _ := do(t, args...); code != 1 {
		t.Error("a recording was overwritten")
	}
	code, out, complaints := do(t, "emv", "run", "-script", file, "-capks", keys(t), "-match", "exact")
	if code != 0 || !strings.Contains(out, "outcome       approve") {
		t.Errorf("status %d\n%s%s", code, out, complaints)
	}
}

// TestEMVDecode: arguments to exit status and words.
func TestEMVDecode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"9505008000E000"}, 0, "upper consecutive offline limit exceeded"},
		{[]string{"-as", "tvr", "08", "80", "04", "80", "00"}, 0, "DDA failed"},
		{[]string{"08800480", "00", "-json"}, 0, `"form": "tvr"`},
		{[]string{"3B", "E0", "00", "00", "81", "31", "20", "45", "35"}, 0, "first protocol T=1"},
		{[]string{"-as", "atr", "3B65000050"}, 1, ""},
		{[]string{"-as", "tvr", "00"}, 1, "want 5"},
		{[]string{"5A084761739001010010"}, 0, "476173******0010"},
		{[]string{"-reveal", "5A084761739001010010"}, 0, "4761739001010010"},
		{[]string{"-h"}, 0, "cvmlist"},
		{[]string{}, 2, "takes hexadecimal"},
		{[]string{"xyz"}, 2, "not hexadecimal"},
		{[]string{"123"}, 2, "odd number"},
		{[]string{"-as", "colour", "00"}, 2, "is none of"},
	} {
		code, out, complaints := do(t, append([]string{"emv", "decode"}, c.args...)...)
		if code != c.code || !strings.Contains(out+complaints, c.want) {
			t.Errorf("%q: status %d; want %d with %q in\n%s%s", c.args, code, c.code, c.want, out, complaints)
		}
	}
	if code, _, _ := do(t, "emv"); code != 2 {
		t.Errorf("emv alone: status %d; want 2", code)
	}
}
