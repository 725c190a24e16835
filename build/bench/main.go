// Command bench measures posagent beside what each number is to be judged by: a
// floor that nothing could be below, or a peer that does the same work. Both run
// in the same process at the same time of day, in turn, and the line shows medians:
//
//	name | ours | floor or peer | ratio | bar | met
//
// It asserts nothing and fails only if a measure could not be taken. A bar is what
// the project wants; "met" says whether this run came to it. A line without a bar
// is there to be read.
//
//	build/bench/run                            build it and run everything
//	build/bench/run -only 'codec|receipt' -v
//	build/bench/run -json build/out/bench.json
//
// Each measure is a file of its own:
//
//	journal.go   durable enqueue and ack of a sale: two bare fdatasyncs, a raw
//	             log with group commit (rawlog.go)
//	codec.go     packing and unpacking ISO 8583: the library's own encoders
//	receipt.go   from record to printer bytes: the same page as one raster
//	kernel.go    a contact transaction with DDA: the bare RSA in it
//	ready.go     terminald from exec to "a sale may begin"
//	memory.go    terminald's resident memory after many sales
//	size.go      terminald's program for 32-bit ARM
//
// # Decisions
//
// Times on a shared machine are noise with a number in it. So nothing is compared
// with a number from another run: ours and the floor take turns within
// milliseconds, and the ratio is the median of the ratios of the rounds.
//
// terminald is a real process here and all else (fleet, host, simulated board)
// lives in this one, so that its memory and its start are its own.
//
// All files lie in one folder below -dir, because the disk is part of what is
// measured: build/out is on the disk of the source tree, a temporary folder often
// is memory.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
)

// bench is one run of the program.
type bench struct {
	root    string // of the source tree
	dir     string // work folder, on the disk to be measured
	rounds  int
	starts  int
	sales   int
	verbose bool
	out     io.Writer // what -v says

	terminald string // path of the native program, built when first needed
}

// measure takes the numbers of one file of this program.
type measure struct {
	name string
	take func(ctx context.Context, b *bench) ([]Line, error)
}

var measures = []measure{
	{"journal", measureJournal},
	{"codec", measureCodec},
	{"receipt", measureReceipt},
	{"kernel", measureKernel},
	{"tap", measureTap},
	{"terminald", measureTerminal},
	{"size", measureSize},
}

func main() {
	b := &bench{out: os.Stderr}
	jsonFile := flag.String("json", "", "`file` to write all lines to as JSON")
	only := flag.String("only", "", "`regexp` of the measures to take: journal, codec, receipt, kernel, tap, terminald, size")
	dir := flag.String("dir", "build/out", "existing `folder` on the disk to be measured")
	flag.IntVar(&b.rounds, "rounds", 9, "turns of each measure of processor time, at least 3")
	flag.IntVar(&b.starts, "starts", 20, "starts of terminald, at least 1")
	flag.IntVar(&b.sales, "sales", 100, "sales before terminald's memory is read, at least 1")
	flag.BoolVar(&b.verbose, "v", false, "say on standard error where time, bytes and memory go")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), "bench measures posagent beside floors and peers; start it in the source tree (build/bench/run)\n\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	pattern, err := regexp.Compile(*only)
	if err != nil || flag.NArg() > 0 || b.rounds < 3 || b.starts < 1 || b.sales < 1 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := b.run(ctx, pattern, *dir, *jsonFile); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (b *bench) run(ctx context.Context, only *regexp.Regexp, dir, jsonFile string) (err error) {
	if b.root, err = os.Getwd(); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp(dir, "bench-*"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if b.dir, err = filepath.Abs(b.dir); err != nil {
		return err
	}
	table := Table{Machine: machine(b.dir)}
	table.head(os.Stdout)
	for _, m := range measures {
		if !only.MatchString(m.name) {
			continue
		}
		lines, err := m.take(ctx, b)
		if err != nil {
			return fmt.Errorf("measure %s: %w", m.name, err)
		}
		for _, l := range lines {
			l.Measure = m.name
			table.add(os.Stdout, l)
		}
	}
	if jsonFile == "" {
		return nil
	}
	return table.write(jsonFile)
}

// say tells something behind the numbers, with -v.
func (b *bench) say(format string, args ...any) {
	if b.verbose {
		fmt.Fprintf(b.out, "# "+format+"\n", args...)
	}
}

// path is a path in the work folder.
func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }
