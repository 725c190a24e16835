// Command report reads what "go test -json" printed and says it in the form a
// person wants: one line for each package, the whole output of what failed, and
// a closing count. With -no-skip a skipped test is a failure: on a machine where
// the tools were installed, nothing has a reason to be skipped.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
)

type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64
	// Build failures name the package here.
	ImportPath string
}

type tally struct {
	passed, failed, skipped int
	output                  map[string][]string // by package and test
	trouble                 []string            // keys of output to print
	lines                   []string
}

func main() {
	noSkip := flag.Bool("no-skip", false, "count a skipped test as a failure")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "report [-no-skip] FILE: sums up the output of go test -json\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	t, err := read(flag.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
	for _, l := range t.lines {
		fmt.Println(l)
	}
	for _, key := range t.trouble {
		fmt.Printf("\n--- %s\n%s", key, strings.Join(t.output[key], ""))
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", t.passed, t.failed, t.skipped)
	if t.failed > 0 || t.passed == 0 || (*noSkip && t.skipped > 0) {
		os.Exit(1)
	}
}

func read(name string) (*tally, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open test output: %w", err)
	}
	defer f.Close()
	t := &tally{output: map[string][]string{}}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("read test output: %w", err)
		}
		t.add(e)
	}
	return t, lines.Err()
}

func (t *tally) add(e event) {
	name := e.Package
	if name == "" {
		name = e.ImportPath
	}
	key := strings.TrimSpace(name + " " + e.Test)
	switch e.Action {
	case "output", "build-output":
		t.output[key] = append(t.output[key], e.Output)
		return
	case "build-fail":
		t.failed++
		t.trouble = append(t.trouble, key)
		return
	}
	if e.Test == "" { // a whole package
		switch e.Action {
		case "pass":
			t.lines = append(t.lines, fmt.Sprintf("ok    %-40s %6.1fs", name, e.Elapsed))
		case "fail":
			t.lines = append(t.lines, fmt.Sprintf("FAIL  %-40s %6.1fs", name, e.Elapsed))
			if !slices.ContainsFunc(t.trouble, func(k string) bool { return strings.HasPrefix(k, name+" ") }) {
				t.failed++
				t.trouble = append(t.trouble, key)
			}
		}
		return
	}
	switch e.Action {
	case "pass":
		t.passed++
	case "fail":
		t.failed++
		t.trouble = append(t.trouble, key)
	case "skip":
		t.skipped++
		t.trouble = append(t.trouble, key)
	}
}
