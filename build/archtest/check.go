package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path"
	"strings"
)

// Package is what the Go tool says of one package of the module.
type Package struct {
	ImportPath string
	Deps       []string // everything it reaches, without tests
}

// Load asks the Go tool for all packages of the module in dir. overlay is the
// name of an overlay file or "".
func Load(dir, overlay string) ([]Package, error) {
	args := []string{"list", "-json=ImportPath,Deps"}
	if overlay != "" {
		args = append(args, "-overlay="+overlay)
	}
	cmd := exec.Command("go", append(args, "./...")...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list packages: %w: %s", err, stderr.String())
	}
	var all []Package
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p Package
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read package list: %w", err)
		}
		all = append(all, p)
	}
}

// Check holds packages against rules and returns one line for each offence,
// and one for each pattern that matches nothing.
func Check(rules []Rule, packages []Package) []string {
	known := make(map[string]bool)
	for _, p := range packages {
		known[p.ImportPath] = true
		for _, d := range p.Deps {
			known[d] = true
		}
	}
	var found []string
	for _, r := range rules {
		for _, pattern := range append(append([]string{}, r.From...), r.Never...) {
			if !matchesAny(pattern, known) {
				found = append(found, fmt.Sprintf("pattern %q matches no package (rule: %s)", pattern, r.Because))
			}
		}
		for _, p := range packages {
			if !matchOne(r.From, p.ImportPath) || matchOne(r.Except, p.ImportPath) {
				continue
			}
			for _, d := range p.Deps {
				if matchOne(r.Never, d) {
					found = append(found, fmt.Sprintf("%s reaches %s, but %s", p.ImportPath, d, r.Because))
				}
			}
		}
	}
	return found
}

func matchesAny(pattern string, known map[string]bool) bool {
	for p := range known {
		if match(pattern, p) {
			return true
		}
	}
	return false
}

func matchOne(patterns []string, importPath string) bool {
	for _, pattern := range patterns {
		if match(pattern, importPath) {
			return true
		}
	}
	return false
}

func match(pattern, importPath string) bool {
	if suffix, ok := strings.CutPrefix(pattern, "*"); ok {
		return strings.HasPrefix(importPath, Module+"/") && strings.HasSuffix(path.Base(importPath), suffix)
	}
	if first, _, _ := strings.Cut(pattern, "/"); !strings.Contains(first, ".") {
		pattern = Module + "/" + pattern
	}
	if root, ok := strings.CutSuffix(pattern, "/..."); ok {
		return importPath == root || strings.HasPrefix(importPath, root+"/")
	}
	return importPath == pattern
}
