package options

import (
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestStrength(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(file, []byte(`{"one": "file", "two": "file", "three": "file", "count": 7, "yes": true}`), 0o600); err != nil {
		t.Fatal(err)
	}
	fs := flag.NewFlagSet("x", flag.ContinueOnError)
	one, two, three := fs.String("one", "d", ""), fs.String("two", "d", ""), fs.String("three", "d", "")
	count, yes := fs.Int("count", 1, ""), fs.Bool("yes", false, "")
	env := map[string]string{"X_ONE": "env", "X_TWO": "env"}
	err := Parse(fs, "X", []string{"-config", file, "-one", "flag"}, func(k string) (string, bool) { v, ok := env[k]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	if *one != "flag" || *two != "env" || *three != "file" || *count != 7 || !*yes {
		t.Errorf("one %q two %q three %q count %d yes %v", *one, *two, *three, *count, *yes)
	}
}

func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, row := range []struct {
		name, want string
		args       []string
		env        map[string]string
	}{
		{"unknown key", `"speed"`, []string{"-config", write("a", `{"speed": 1}`)}, nil},
		{"bad value in the file", "count", []string{"-config", write("b", `{"count": "many"}`)}, nil},
		{"torn file", "configuration file", []string{"-config", write("c", `{"count"`)}, nil},
		{"no such file", "configuration file", []string{"-config", filepath.Join(dir, "none")}, nil},
		{"bad value in the environment", "X_COUNT", nil, map[string]string{"X_COUNT": "many"}},
		{"argument", `"more"`, []string{"more"}, nil},
		{"unknown flag", "-speed", []string{"-speed", "1"}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			fs := flag.NewFlagSet("x", flag.ContinueOnError)
			fs.SetOutput(io.Discard)
			fs.Int("count", 1, "")
			err := Parse(fs, "X", row.args, func(k string) (string, bool) { v, ok := row.env[k]; return v, ok })
			if err == nil || errors.Is(err, flag.ErrHelp) || !strings.Contains(err.Error(), row.want) {
				t.Errorf("Parse = %v, want something about %s", err, row.want)
			}
		})
	}
}
