// Package options fills a flag set from the command line, the environment and a
// configuration file, in this order of strength.
//
// A flag "-boot-addr" of a program with prefix "TERMINALD" is also the variable
// TERMINALD_BOOT_ADDR and the key "boot-addr" of the JSON object in the file
// named by -config. Unknown keys in the file are errors that name the key.
//
//	fs := flag.NewFlagSet("terminald", flag.ContinueOnError)
//	dir := fs.String("state", "/var/lib/terminald", "directory of key, configuration and journal")
//	err := options.Parse(fs, "TERMINALD", os.Args[1:], os.LookupEnv)
package options

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
)

// configFlag names the file. It is added to every set that Parse is given.
const configFlag = "config"

// Parse fills fs. flag.ErrHelp means that the help text was printed.
func Parse(fs *flag.FlagSet, prefix string, args []string, env func(string) (string, bool)) error {
	file := fs.String(configFlag, "", "JSON `file` with any of these settings; flags and environment win over it")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	var errs []error
	fs.VisitAll(func(f *flag.Flag) {
		if given[f.Name] {
			return
		}
		name := Variable(prefix, f.Name)
		value, ok := env(name)
		if !ok {
			return
		}
		if err := fs.Set(f.Name, value); err != nil {
			errs = append(errs, fmt.Errorf("environment %s: %w", name, err))
		}
		given[f.Name] = true
	})
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return fromFile(fs, *file, given)
}

// Variable is the environment variable of a flag.
func Variable(prefix, name string) string {
	return prefix + "_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

func fromFile(fs *flag.FlagSet, path string, given map[string]bool) error {
	if path == "" {
		return nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read configuration file: %w", err)
	}
	var values map[string]any
	if err := json.Unmarshal(data, &values); err != nil {
		return fmt.Errorf("read configuration file %s: %w", path, err)
	}
	for key, value := range values {
		if fs.Lookup(key) == nil || key == configFlag {
			return fmt.Errorf("configuration file %s: unknown key %q", path, key)
		}
		if given[key] {
			continue
		}
		if err := fs.Set(key, fmt.Sprint(value)); err != nil {
			return fmt.Errorf("configuration file %s: %s: %w", path, key, err)
		}
	}
	return nil
}

// Logging adds the flags of structured logs to fs; the function gives the logger
// once the flags are parsed.
func Logging(fs *flag.FlagSet) func() *slog.Logger {
	level := slog.LevelInfo
	fs.TextVar(&level, "log-level", level, "least `level` to log: debug, info, warn, error")
	asJSON := fs.Bool("log-json", false, "write logs as JSON lines")
	return func() *slog.Logger {
		o := &slog.HandlerOptions{Level: level}
		if *asJSON {
			return slog.New(slog.NewJSONHandler(os.Stderr, o))
		}
		return slog.New(slog.NewTextHandler(os.Stderr, o))
	}
}
