package main

import (
	"cmp"
	"context"
	"debug/elf"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// sizeBar is the promise for the stripped program, in bytes.
const sizeBar = 14e6

// largest is how many packages and tables -v names.
const largest = 8

// measureSize builds terminald for 32-bit ARM as a release is built.
func measureSize(ctx context.Context, b *bench) ([]Line, error) {
	arm := []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm", "GOARM=7"}
	path := b.path("terminald-arm")
	if err := b.build(ctx, path, arm, "-ldflags=-s -w -buildid="); err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if b.verbose {
		if err := b.sayPackages(ctx, arm); err != nil {
			return nil, err
		}
	}
	return []Line{Line{Name: "terminald for ARMv7, stripped", Ours: Value{float64(info.Size()), Bytes}}.atMost(sizeBar)}, nil
}

// buildTerminal builds terminald for this machine, once.
func (b *bench) buildTerminal(ctx context.Context) error {
	if b.terminald != "" {
		return nil
	}
	path := b.path("terminald")
	if err := b.build(ctx, path, []string{"CGO_ENABLED=0"}, "-ldflags=-s -w -buildid="); err != nil {
		return err
	}
	b.terminald = path
	return nil
}

func (b *bench) build(ctx context.Context, path string, env []string, flags ...string) error {
	args := append([]string{"build", "-trimpath", "-buildvcs=false", "-o", path}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "./cmd/terminald")...)
	cmd.Dir, cmd.Env = b.root, append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build terminald: %w\n%s", err, out)
	}
	return nil
}

// sayPackages tells what the program is made of. The symbols of an unstripped
// build are added up; what belongs to no package is told under the linker's name
// for it.
func (b *bench) sayPackages(ctx context.Context, env []string) error {
	path := b.path("terminald-arm-symbols")
	if err := b.build(ctx, path, env); err != nil {
		return err
	}
	sizes, err := packageSizes(path)
	if err != nil {
		return fmt.Errorf("add up symbols: %w", err)
	}
	names := slices.SortedFunc(maps.Keys(sizes), func(x, y string) int { return cmp.Compare(sizes[y], sizes[x]) })
	b.say("largest parts of terminald for ARMv7:")
	for _, name := range names[:min(largest, len(names))] {
		b.say("  %9d bytes  %s", sizes[name], name)
	}
	return nil
}

// packageSizes adds up the symbols of a program by package, without those that have
// no room in the file (bss). What is left of a section (line tables, merged strings
// and type descriptions) stands under the section's name.
func packageSizes(path string) (map[string]uint64, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		return nil, err
	}
	sizes, covered := map[string]uint64{}, make([]uint64, len(f.Sections))
	for _, s := range symbols {
		if n := int(s.Section); n < len(f.Sections) && f.Sections[n].Type != elf.SHT_NOBITS {
			sizes[packageOf(s.Name)] += s.Size
			covered[n] += s.Size
		}
	}
	for i, s := range f.Sections {
		if s.Flags&elf.SHF_ALLOC != 0 && s.Type != elf.SHT_NOBITS && s.Size > covered[i] {
			sizes[s.Name+" (no package's)"] = s.Size - covered[i]
		}
	}
	return sizes, nil
}

// packageOf gives the package of a symbol: the path up to the first dot behind its
// last slash. Type arguments of a generic name are not looked at.
func packageOf(symbol string) string {
	name := symbol
	if i := strings.IndexByte(name, '['); i >= 0 {
		name = name[:i]
	}
	for _, made := range []string{"type:", "go:"} {
		if strings.HasPrefix(name, made) {
			return made + "*"
		}
	}
	slash := strings.LastIndexByte(name, '/') + 1
	if i := strings.IndexByte(name[slash:], '.'); i >= 0 {
		return strings.ReplaceAll(name[:slash+i], "%2e", ".")
	}
	return "(no package)"
}
