package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Unit is what an amount counts.
type Unit string

// Units.
const (
	Nanoseconds Unit = "ns"
	Bytes       Unit = "bytes"
	Allocs      Unit = "allocs"
)

// Value is an amount of something.
type Value struct {
	Amount float64 `json:"amount"`
	Unit   Unit    `json:"unit"`
}

func (v Value) String() string {
	switch {
	case v.Unit == Nanoseconds:
		return duration(time.Duration(v.Amount))
	case v.Unit == Bytes && v.Amount >= 1e5:
		return fmt.Sprintf("%.2f MB", v.Amount/1e6)
	case v.Amount == float64(int64(v.Amount)):
		return fmt.Sprintf("%d %s", int64(v.Amount), v.Unit)
	}
	return fmt.Sprintf("%.1f %s", v.Amount, v.Unit)
}

// duration writes three digits, which is more than a measured time is good for.
func duration(d time.Duration) string {
	for _, u := range []struct {
		size time.Duration
		name string
	}{{time.Second, "s"}, {time.Millisecond, "ms"}, {time.Microsecond, "us"}} {
		if d >= u.size {
			return strconv.FormatFloat(float64(d)/float64(u.size), 'g', 3, 64) + " " + u.name
		}
	}
	return fmt.Sprintf("%d ns", d)
}

// Bar is the most that a number may be: ours, or its ratio to the floor.
type Bar struct {
	Ratio bool    `json:"ratio,omitempty"` // Most is of the ratio, else of ours
	Most  float64 `json:"most"`
}

// Line is one measured number beside what it is judged by.
type Line struct {
	Measure string  `json:"measure"`
	Name    string  `json:"name"`
	Ours    Value   `json:"ours"`
	Floor   *Value  `json:"floor,omitempty"`
	Beside  string  `json:"beside,omitempty"` // what the floor or peer is
	Ratio   float64 `json:"ratio,omitempty"`  // ours to the floor: less is better
	Bar     *Bar    `json:"bar,omitempty"`
	Met     *bool   `json:"met,omitempty"` // absent without a bar
}

// beside puts a floor to a line; ratio 0 stands for the plain one.
func (l Line) beside(what string, floor, ratio float64) Line {
	l.Beside, l.Floor, l.Ratio = what, &Value{floor, l.Ours.Unit}, ratio
	if ratio == 0 && floor > 0 {
		l.Ratio = l.Ours.Amount / floor
	}
	return l
}

func (l Line) atMost(amount float64) Line { return l.judge(Bar{Most: amount}, l.Ours.Amount) }

func (l Line) ratioAtMost(ratio float64) Line { return l.judge(Bar{true, ratio}, l.Ratio) }

func (l Line) judge(bar Bar, have float64) Line {
	met := have <= bar.Most
	l.Bar, l.Met = &bar, &met
	return l
}

// cells are the columns of a line.
func (l Line) cells() [6]string {
	c := [6]string{l.Name, l.Ours.String(), "-", "-", "-", "-"}
	if l.Floor != nil {
		c[2] = l.Floor.String() + "  " + l.Beside
		c[3] = strconv.FormatFloat(l.Ratio, 'f', 3, 64)
		if l.Ratio >= 0.1 {
			c[3] = strconv.FormatFloat(l.Ratio, 'f', 2, 64)
		}
	}
	if l.Bar != nil {
		c[4], c[5] = "<= "+Value{l.Bar.Most, l.Ours.Unit}.String(), "no"
		if l.Bar.Ratio {
			c[4] = fmt.Sprintf("ratio <= %.2f", l.Bar.Most)
		}
		if *l.Met {
			c[5] = "yes"
		}
	}
	return c
}

// Table is a whole run.
type Table struct {
	Machine Machine `json:"machine"`
	Lines   []Line  `json:"lines"`
}

// Machine is where the run took place.
type Machine struct {
	Time       time.Time `json:"time"`
	Go         string    `json:"go"`
	System     string    `json:"system"`
	Kernel     string    `json:"kernel"`
	CPU        string    `json:"cpu"`
	CPUs       int       `json:"cpus"`
	FileSystem string    `json:"file_system"` // of the work folder, as the kernel numbers it
}

func machine(dir string) Machine {
	m := Machine{Time: time.Now().UTC().Truncate(time.Second), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU()}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = string(u.Release[:max(0, bytes.IndexByte(u.Release[:], 0))])
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := strings.Cut(string(text), "model name"); ok {
			line, _, _ := strings.Cut(rest, "\n")
			m.CPU = strings.Trim(line, " \t:")
		}
	}
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) == nil {
		m.FileSystem = fileSystem(int64(st.Type))
	}
	return m
}

func fileSystem(magic int64) string {
	switch magic {
	case unix.EXT4_SUPER_MAGIC:
		return "ext4"
	case unix.TMPFS_MAGIC:
		return "tmpfs (no disk: syncs cost nothing)"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlayfs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	}
	return fmt.Sprintf("%#x", magic)
}

// widths of the columns; a longer text pushes the rest of its line.
var widths = [6]int{46, 10, 58, 6, 14, 3}

func (t *Table) head(w io.Writer) {
	m := t.Machine
	fmt.Fprintf(w, "%s %s, %d x %s, Linux %s, %s\n\n", m.Go, m.System, m.CPUs, m.CPU, m.Kernel, m.FileSystem)
	row(w, [6]string{"name", "ours", "floor or peer", "ratio", "bar", "met"})
}

func (t *Table) add(w io.Writer, l Line) {
	t.Lines = append(t.Lines, l)
	row(w, l.cells())
}

func row(w io.Writer, cells [6]string) {
	var b strings.Builder
	for i, c := range cells {
		if i > 0 {
			b.WriteString(" | ")
		}
		fmt.Fprintf(&b, "%-*s", widths[i], c)
	}
	fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
}

func (t *Table) write(path string) error {
	text, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
