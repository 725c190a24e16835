package agent

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A counter never stands still and never goes back, also when its file is damaged.
func TestCount(t *testing.T) {
	const clock = 1_800_000_000
	for _, row := range []struct {
		name, content string
		want          uint64
	}{
		{"as written", "41\n", 42},
		{"empty", "", clock + 1},
		{"not a number", "forty\n", clock + 1},
		{"negative", "-1\n", clock + 1},
		{"rubbish", strings.Repeat("\xff", 300), clock + 1},
		{"its end", "18446744073709551615\n", clock + 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := &Agent{o: Options{Dir: t.TempDir(), Now: func() time.Time { return time.Unix(clock, 0) }}, log: slog.New(slog.DiscardHandler)}
			if err := os.WriteFile(filepath.Join(a.o.Dir, "x.count"), []byte(row.content), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, want := range []uint64{row.want, row.want + 1} {
				if n, err := a.count("x"); err != nil || n != want {
					t.Errorf("count after %.20q: %d, %v; want %d", row.content, n, err, want)
				}
			}
		})
	}
	a := &Agent{o: Options{Dir: t.TempDir()}}
	if n, err := a.count("x"); err != nil || n != 1 {
		t.Errorf("first count: %d, %v", n, err)
	}
}
