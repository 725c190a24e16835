package scanner_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"posagent/drivers/bussim"
	"posagent/drivers/scanner"
	"posagent/drivers/scanner/scannersim"
)

// pass lets virtual time go by.
func pass(d time.Duration) { <-time.After(d) }

func TestScanDelivers(t *testing.T) {
	long := strings.Repeat("hQVDUFYwMWE7", 43)[:scanner.MaxPayer]
	pin := func(o *scanner.Opts, _ *scannersim.Opts) {
		o.Trigger, o.Commands = bussim.NewPin("TRIG"), scanner.Commands{}
	}
	suffix := func(s scanner.Suffix) func(*scanner.Opts, *scannersim.Opts) {
		return func(o *scanner.Opts, _ *scannersim.Opts) { o.Framing.Suffix = s }
	}
	for _, c := range []struct {
		name string
		text string
		edit func(*scanner.Opts, *scannersim.Opts)
	}{
		{"by command", codeA, nil},
		{"by pin", codeA, pin},
		{"line feed", codeA, suffix(scanner.LF)},
		{"carriage return and line feed", codeA, suffix(scanner.CRLF)},
		{"no suffix", codeA, suffix(scanner.NoSuffix)},
		{"longest payer code", long, nil},
		{"prefix and check", codeA, func(o *scanner.Opts, _ *scannersim.Opts) {
			o.Framing.Prefix, o.Framing.Check = []byte{2}, scanner.CRC32
		}},
		{"longest QR code", strings.Repeat("A1", int(scanner.MaxQRAlphanumeric)/2), func(o *scanner.Opts, _ *scannersim.Opts) {
			o.Framing.MaxLen = scanner.MaxQRAlphanumeric
		}},
		{"light goes off by itself", codeA, func(o *scanner.Opts, e *scannersim.Opts) {
			e.LightTime, o.Retrigger = 300*time.Millisecond, 400*time.Millisecond
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, c.edit, func(t *testing.T, r *rig) {
				r.engine.Present(time.Second, time.Minute, scannersim.Symbol{Text: c.text})
				r.want(t, c.text)
			})
		})
	}
}

func TestScanOutcomes(t *testing.T) {
	for _, c := range []struct {
		name   string
		edit   func(*scanner.Opts, *scannersim.Opts)
		before func(*rig)
		want   error
	}{
		{"nothing shown", nil, func(*rig) {}, scanner.ErrTimeout},
		{"two codes at once", nil, func(r *rig) {
			r.engine.Present(0, time.Hour, scannersim.Symbol{Text: codeA}, scannersim.Symbol{Text: codeB})
		}, scanner.ErrTwoCodes},
		{"too long", func(o *scanner.Opts, _ *scannersim.Opts) { o.Framing.MaxLen = 17 },
			func(r *rig) { r.engine.Show(codeA) }, scanner.ErrTooLong},
		{"far too long", func(o *scanner.Opts, _ *scannersim.Opts) { o.Framing.MaxLen = 3 },
			func(r *rig) { r.engine.Show(codeA) }, scanner.ErrTooLong},
		{"character outside the set", func(o *scanner.Opts, _ *scannersim.Opts) { o.Framing.Charset = scanner.Digits },
			func(r *rig) { r.engine.Show("12A4") }, scanner.ErrFraming},
		{"always cut", nil, func(r *rig) {
			r.engine.SetFaults(scannersim.Faults{Cut: 100})
			r.engine.Show(codeA)
		}, scanner.ErrFraming},
		{"mute", nil, func(r *rig) { r.engine.SetFaults(scannersim.Faults{Mute: true}) }, scanner.ErrNoAnswer},
		{"refused", nil, func(r *rig) { r.engine.SetFaults(scannersim.Faults{Refuse: 1}) }, scanner.ErrRefused},
		{"wrong speed", nil, func(r *rig) { r.line.Wire().SetBaud(115200) }, scanner.ErrNoAnswer},
		{"gone", nil, func(r *rig) { _ = r.line.Wire().Close() }, scanner.ErrGone},
		{"halted", nil, func(r *rig) { _ = r.dev.Halt() }, scanner.ErrHalted},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, c.edit, func(t *testing.T, r *rig) {
				c.before(r)
				code, err := r.dev.Scan(t.Context())
				if !errors.Is(err, c.want) || !code.IsZero() {
					t.Errorf("Scan: %v, %v; want %v", code, err, c.want)
				}
				if err != nil && strings.Contains(err.Error(), codeA[:6]) {
					t.Errorf("the error tells the code: %v", err)
				}
				synctest.Wait()
				if r.engine.Light() {
					t.Error("the light is on")
				}
			})
		})
	}
}

func TestScanRecovers(t *testing.T) {
	for _, c := range []struct {
		name   string
		faults scannersim.Faults
	}{
		{"one frame cut", scannersim.Faults{Cut: 1}},
		{"two frames cut", scannersim.Faults{Cut: 2}},
		{"sent twice", scannersim.Faults{Twice: 1}},
		{"noise before", scannersim.Faults{Noise: []byte{0xFF, 0x00, 0x80}}},
		{"two acknowledgements lost", scannersim.Faults{NoAck: 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, r *rig) {
				r.engine.SetFaults(c.faults)
				r.engine.Show(codeA)
				r.want(t, codeA)
			})
		})
	}
}

func TestRepetition(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.engine.Show(codeA)
		r.want(t, codeA)
		began := time.Now()
		r.want(t, codeA) // only when the window is over
		if d := time.Since(began); d < 2500*time.Millisecond {
			t.Errorf("delivered again after %s", d)
		}
		r.engine.Show(codeB)
		r.want(t, codeB)
	})
}

func TestStaleCodeIsNotDelivered(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		r.wantErr(t, scanner.ErrTimeout)
		f := scanner.Framing{AIM: true}
		_, _ = r.line.Wire().Write(f.AppendFrame(nil, "]Q1", codeA))
		pass(time.Second)
		r.engine.Show(codeB)
		r.want(t, codeB)
	})
}

func (r *rig) wantErr(t *testing.T, want error) {
	t.Helper()
	if code, err := r.dev.Scan(t.Context()); !errors.Is(err, want) {
		t.Errorf("Scan: %v, %v; want %v", code, err, want)
	}
}

func TestCancel(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := r.dev.Scan(ctx)
		if !errors.Is(err, scanner.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("deadline: %v", err)
		}
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := r.dev.Scan(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("cancel: %v", err)
		}
		if r.engine.Light() {
			t.Error("the light is on")
		}
		r.engine.Show(codeA)
		r.want(t, codeA)
	})
}

func TestHalt(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		done := make(chan error)
		go func() { _, err := r.dev.Scan(t.Context()); done <- err }()
		pass(time.Second)
		if !r.engine.Light() {
			t.Error("no light in a Scan")
		}
		first := r.dev.Halt()
		if err := <-done; !errors.Is(err, scanner.ErrHalted) {
			t.Errorf("Scan: %v", err)
		}
		if second := r.dev.Halt(); first != nil || second != nil {
			t.Errorf("Halt: %v, then %v", first, second)
		}
		if r.engine.Light() {
			t.Error("the light is on")
		}
	})
}

func TestContinuous(t *testing.T) {
	edit := func(o *scanner.Opts, _ *scannersim.Opts) { o.Continuous = true }
	bubble(t, edit, func(t *testing.T, r *rig) {
		r.engine.Show(codeA)
		for _, text := range []string{codeA, codeB} {
			r.engine.Show(text)
			if code, err := r.dev.Scan(t.Context()); err != nil || code.Reveal() != text {
				t.Errorf("Scan: %v, %v", code, err)
			}
		}
		if n := r.engine.Counts().Triggers; n != 0 {
			t.Errorf("%d triggers", n)
		}
		if err := r.dev.Halt(); err != nil || r.engine.Light() {
			t.Errorf("Halt: %v, light %v", err, r.engine.Light())
		}
	})
}

func TestCommands(t *testing.T) {
	bubble(t, nil, func(t *testing.T, r *rig) {
		ctx := t.Context()
		if err := errors.Join(r.dev.Beep(ctx), r.dev.LED(ctx, true), r.dev.Enable(ctx, scanner.QR, false)); err != nil {
			t.Fatal(err)
		}
		if !r.engine.Lamp() || r.engine.Counts().Beeps != 1 {
			t.Errorf("lamp %v, counts %+v", r.engine.Lamp(), r.engine.Counts())
		}
		if err := r.dev.Enable(ctx, scanner.Aztec, true); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("unknown symbology: %v", err)
		}
		r.engine.Present(0, time.Hour, scannersim.Symbol{Text: codeA}, scannersim.Symbol{Text: codeB, Kind: scanner.Code128})
		code, err := r.dev.Scan(ctx)
		if err != nil || code.Reveal() != codeB || code.Symbology() != scanner.Code128 {
			t.Errorf("Scan: %v, %v", code, err)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	for name, o := range map[string]scanner.Opts{
		"no trigger":   {},
		"length":       {Continuous: true, Framing: scanner.Framing{MaxLen: 8000}},
		"gap":          {Continuous: true, Framing: scanner.Framing{Gap: time.Minute}},
		"suffix":       {Continuous: true, Framing: scanner.Framing{Suffix: 9}},
		"long prefix":  {Continuous: true, Framing: scanner.Framing{Prefix: make([]byte, 33)}},
		"speed":        {Continuous: true, Speed: 1},
		"negative":     {Continuous: true, Timeout: -1},
		"long answers": {Continuous: true, Commands: scanner.Commands{Beep: scanner.Command{Ack: make([]byte, 65)}}},
	} {
		if _, err := scanner.New(bussim.NewUART("S", nil).Port(), &o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
