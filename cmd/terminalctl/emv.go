package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"posagent/agent/emv"
	"posagent/agent/emv/judge"
)

const emvUsage = `terminalctl emv run|decode: explain a chip card, without terminald

  terminalctl emv run -script FILE | -pcsc READER  perform one transaction and tell everything
  terminalctl emv decode HEX                       read EMV data in words

Each explains itself with -h.
`

const emvRunUsage = `terminalctl emv run performs one transaction with a recorded card or a card in a
PC/SC reader and tells it: candidate list, every command and response, TVR and TSI
after each step, cardholder verification, cryptogram, outcome.

  terminalctl emv run -script card.txt -capks keys.json
  terminalctl emv run -script card.txt -amount 12.34 -currency 978 -country 250 -arc 00
  terminalctl emv run -pcsc "Virtual PCD 00 00" -capks keys.json -json
  terminalctl emv run -pcsc list

A script is text, one APDU a line; spaces are free, GET RESPONSE of T=0 is understood:

  # comment
  > 00A404000E315041592E5359532E444446303100
  < 6A82

-match says how a command must resemble the recorded one; Le never counts:
  exact   the next one, byte for byte
  header  the next one, by CLA INS P1 P2; a SELECT must name the same file
  ins     the next one, by INS
  any     whichever fits best, in any order; what was not recorded is "not found":
          for recordings of a terminal that asked in another order (default)
When nothing fits, the report ends with the script's line, what it wanted and what
it got. A signature or cryptogram of a recording holds only with its own amount,
date, unpredictable number and so on: what a script's commands tell of them, of the
applications and of the host's answer is used unless a setting says otherwise.
-as-recorded=false leaves that out.

Every setting below is also a name in the JSON file of -settings, which can hold
"applications" (entries with aid, version, tac_*, floor_limit ...) and "capks"
(rid, index, modulus, exponent) too; flags win over the file. Nothing is asked of a
host: its answer to an online request is -arc, -iad, -issuer-script or -unable.

Card number, track data, name and PIN data are masked. -reveal shows them and
-record writes them: for test cards only.

Exit status: 0 ran, whatever the outcome; 1 could not run; 2 wrong use.

Flags:
`

// emvFlags are what emv run takes beside the judge's settings.
type emvFlags struct {
	script, match, pcsc, socket, settings, capks, record string
	json, reveal, explain, recorded                      bool
	given                                                [][2]string // settings, in order
}

func (f *emvFlags) register(fs *flag.FlagSet) {
	fs.StringVar(&f.script, "script", "", "recorded card: a script `file`, - for standard input")
	fs.StringVar(&f.match, "match", string(judge.MatchAny), "how commands match the script: exact, header, ins or any")
	fs.StringVar(&f.pcsc, "pcsc", "", "PC/SC `reader`, or the beginning of its name; list shows all")
	fs.StringVar(&f.socket, "pcscd", socketPath(), "`socket` of pcscd (environment PCSCLITE_CSOCK_NAME)")
	fs.StringVar(&f.settings, "settings", "", "JSON `file` of settings")
	fs.StringVar(&f.capks, "capks", "", "JSON `file` of CA public keys: a list, or an object with the list under capks")
	fs.StringVar(&f.record, "record", "", "write a script of the run to this `file`, in clear: for test cards only")
	fs.BoolVar(&f.recorded, "as-recorded", true, "take settings that are not given from the script's commands")
	fs.BoolVar(&f.json, "json", false, "print the report as JSON")
	fs.BoolVar(&f.reveal, "reveal", false, "do not mask: for test cards only")
	fs.BoolVar(&f.explain, "explain", false, "take every response apart")
	for _, k := range judge.Keys {
		take := func(value string) error {
			f.given = append(f.given, [2]string{k.Name, value})
			return nil
		}
		if k.Arg == "" {
			fs.BoolFunc(k.Name, k.Help, take)
		} else {
			fs.Func(k.Name, "`"+k.Arg+"`: "+k.Help, take)
		}
	}
}

// emv is "terminalctl emv".
func (c *cli) emv(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return useError{"emv takes run or decode"}
	}
	switch args[0] {
	case "run":
		return c.emvRun(ctx, args[1:])
	case "decode":
		return c.emvDecode(args[1:])
	case "-h", "-help", "--help":
		fmt.Fprint(c.out, emvUsage)
		return nil
	}
	return useError{fmt.Sprintf("emv takes run or decode, not %q", args[0])}
}

// teach prints a command's manual when -h is among the arguments.
func (c *cli) teach(fs *flag.FlagSet, usage string, args []string) bool {
	if !slices.ContainsFunc(args, func(a string) bool { return a == "-h" || a == "-help" || a == "--help" }) {
		return false
	}
	fmt.Fprint(c.out, usage)
	fs.SetOutput(c.out)
	fs.PrintDefaults()
	return true
}

func (c *cli) emvRun(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("emv run", flag.ContinueOnError)
	var f emvFlags
	f.register(fs)
	if c.teach(fs, emvRunUsage, args) {
		return nil
	}
	if _, err := flags(fs, args, 0); err != nil {
		return err
	}
	f.json = f.json || c.json
	switch {
	case (f.script == "") == (f.pcsc == ""):
		return useError{"emv run takes either -script or -pcsc"}
	case !slices.Contains(judge.Matches, judge.Match(f.match)):
		return useError{fmt.Sprintf("-match: %q is not exact, header, ins or any", f.match)}
	case f.pcsc == "list":
		return c.listReaders(ctx, f.socket)
	}
	settings, err := f.load()
	if err != nil {
		return err
	}
	report, err := f.perform(ctx, settings)
	if err != nil {
		return err
	}
	if f.json {
		return c.print(report)
	}
	return report.WriteText(c.out)
}

// load gathers settings from files and flags. Wrong ones are wrong use.
func (f *emvFlags) load() (judge.Settings, error) {
	var s judge.Settings
	for _, from := range []struct {
		file string
		read func(io.Reader) error
	}{{f.settings, s.ReadJSON}, {f.capks, s.ReadCAPKs}} {
		if from.file == "" {
			continue
		}
		if err := readFile(from.file, from.read); err != nil {
			return s, settingError(fmt.Errorf("%s: %w", from.file, err))
		}
	}
	for _, kv := range f.given {
		if err := s.Set(kv[0], kv[1]); err != nil {
			return s, settingError(err)
		}
	}
	return s, settingError(s.Check())
}

func settingError(err error) error {
	if errors.Is(err, judge.ErrSetting) {
		return useError{err.Error()}
	}
	return err
}

func readFile(name string, read func(io.Reader) error) error {
	if name == "-" {
		return read(os.Stdin)
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	return read(file)
}

// perform runs the transaction with the script or the reader.
func (f *emvFlags) perform(ctx context.Context, s judge.Settings) (report *judge.Report, err error) {
	var card emv.Card
	var replay *judge.Replay
	var recorded judge.Settings
	if f.script != "" {
		err := readFile(f.script, func(in io.Reader) error {
			script, err := judge.ParseScript(in)
			replay, recorded = script.Card(judge.Match(f.match)), script.Settings()
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.script, err)
		}
		card = replay
		if f.recorded {
			s.Fill(recorded)
		}
	} else {
		reader, close, err := openReader(ctx, f.socket, f.pcsc, s.Interface() == "contactless")
		if err != nil {
			return nil, err
		}
		defer close()
		card = reader
	}
	if f.record != "" {
		file, ferr := os.OpenFile(f.record, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if ferr != nil {
			return nil, fmt.Errorf("record: %w", ferr)
		}
		fmt.Fprintf(os.Stderr, "terminalctl: %s will hold card number and track data in clear: for test cards only\n", f.record)
		recorder := judge.Record(card, file)
		card = recorder
		defer func() { err = errors.Join(err, recorder.Close(), file.Close()) }()
	}
	report, err = judge.Run(ctx, card, s, judge.Options{Reveal: f.reveal, Explain: f.explain})
	if err != nil {
		return nil, settingError(err)
	}
	if replay != nil {
		report.AddScript(replay)
	}
	return report, nil
}

const emvDecodeUsage = `terminalctl emv decode [FLAGS] HEX reads EMV data in words.

  terminalctl emv decode 9505008000E000
  terminalctl emv decode -as tvr 08 80 04 80 00
  terminalctl emv decode -as cvmlist 000000000000000042031E031F00
  terminalctl emv decode 3B E0 00 00 81 31 20 45 35

HEX may have spaces; - reads it from standard input. Without -as every form that
fits is shown, the likeliest first. Data objects are named, with format and source,
and the fields EMV makes of bits are put in words. Card number, track data, name
and PIN data are masked unless -reveal is given.

Exit status: 0 read, 1 cannot be read so, 2 wrong use.

Flags:
`

// formATR is the one form that is the reader's and not the kernel's.
const formATR judge.Form = "atr"

func (c *cli) emvDecode(args []string) error {
	fs := flag.NewFlagSet("emv decode", flag.ContinueOnError)
	names := []string{string(formATR)}
	for _, f := range judge.Forms {
		names = append(names, string(f))
	}
	as := fs.String("as", "", "`form` of the data: "+strings.Join(names, ", "))
	reveal := fs.Bool("reveal", false, "do not mask: for test cards only")
	asJSON := fs.Bool("json", false, "print JSON")
	if c.teach(fs, emvDecodeUsage, args) {
		return nil
	}
	rest, err := flags(fs, args, judge.MaxScript)
	if err != nil {
		return err
	}
	text := strings.Join(rest, " ")
	if text == "-" {
		b, err := io.ReadAll(io.LimitReader(os.Stdin, judge.MaxScript))
		if err != nil {
			return fmt.Errorf("read standard input: %w", err)
		}
		text = string(b)
	}
	b, err := judge.Hex(text)
	switch {
	case err != nil:
		return useError{"emv decode: " + err.Error()}
	case len(b) == 0:
		return useError{"emv decode takes hexadecimal"}
	case *as != "" && !slices.Contains(names, *as):
		return useError{fmt.Sprintf("-as: %q is none of %s", *as, strings.Join(names, ", "))}
	}
	found, err := decode(b, judge.Form(*as), *reveal)
	if err != nil {
		return err
	}
	if *asJSON || c.json {
		return c.print(found)
	}
	for i, x := range found {
		if i > 0 {
			fmt.Fprintln(c.out, "\nor:")
		}
		if err := x.WriteText(c.out); err != nil {
			return err
		}
	}
	return nil
}

// decode reads b in one form, or in all that fit.
func decode(b []byte, form judge.Form, reveal bool) ([]judge.Explanation, error) {
	switch form {
	case formATR:
		x, err := explainATR(b)
		return []judge.Explanation{x}, err
	case "":
		if b[0] == 0x3B || b[0] == 0x3F {
			if x, err := explainATR(b); err == nil {
				return []judge.Explanation{x}, nil
			}
		}
		found := judge.Guess(b, reveal)
		if len(found) == 0 {
			return nil, errors.New("no form fits: -as tells what is wrong with one")
		}
		return found, nil
	}
	x, err := judge.Decode(b, form, reveal)
	return []judge.Explanation{x}, err
}
