package scannersim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"periph.io/x/conn/v3/gpio"

	"posagent/drivers/scanner"
)

// hear takes bytes of the terminal, obeys commands and returns the answers. Bytes
// that begin no command are passed over.
func (d *Device) hear(input []byte, now time.Time) (out []byte) {
	d.heard = append(d.heard, input...)
	for len(d.heard) > 0 {
		n, partial := 0, false
		d.each(func(c scanner.Command, do func(now time.Time)) {
			switch {
			case n > 0 || len(c.Send) == 0:
			case bytes.HasPrefix(d.heard, c.Send):
				n = len(c.Send)
				out = append(out, d.obey(c, do, now)...)
			case bytes.HasPrefix(c.Send, d.heard):
				partial = true
			}
		})
		if n == 0 && partial {
			return out
		}
		d.heard = d.heard[max(n, 1):]
	}
	return out
}

func (d *Device) obey(c scanner.Command, do func(now time.Time), now time.Time) []byte {
	answer := c.Ack
	if used(&d.faults.Refuse) {
		answer = c.Nack
	} else {
		do(now)
	}
	if used(&d.faults.NoAck) {
		return nil
	}
	return answer
}

// each calls f with every command and what it does.
func (d *Device) each(f func(scanner.Command, func(now time.Time))) {
	c := &d.opts.Commands
	set := func(s scanner.Switch, to func(on bool, now time.Time)) {
		f(s.On, func(now time.Time) { to(true, now) })
		f(s.Off, func(now time.Time) { to(false, now) })
	}
	set(c.Trigger, d.trigger)
	set(c.Continuous, func(on bool, now time.Time) { d.continuous, d.litAt = on, now })
	set(c.LED, func(on bool, _ time.Time) { d.lamp = on })
	f(c.Beep, func(time.Time) { d.counts.Beeps++ })
	for kind, s := range c.Symbology {
		set(s, func(on bool, _ time.Time) { d.disabled[kind] = !on })
	}
	for _, s := range c.Setup {
		f(s, func(time.Time) {})
	}
}

// Serve is the engine at work on a line. It returns nil when the line or ctx ends.
func (d *Device) Serve(ctx context.Context, line io.ReadWriter) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	deadliner, _ := line.(interface{ SetReadDeadline(time.Time) error })
	if deadliner != nil {
		if err := deadliner.SetReadDeadline(time.Time{}); err != nil {
			return failure(err)
		}
	}
	if p := d.opts.Trigger; p != nil {
		defer p.Watch(func(gpio.Level) { d.kick() })()
	}
	input, failed := make(chan []byte), make(chan error, 1)
	go func() { failed <- read(ctx, line, input) }()
	err, done := d.loop(ctx, line, input, failed)
	cancel()
	if !done {
		if deadliner != nil {
			_ = deadliner.SetReadDeadline(time.Unix(1, 0)) // releases the reader
		}
		<-failed
	}
	return failure(err)
}

// failure tells the ways in which a line ends from failures.
func failure(err error) error {
	for _, end := range []error{nil, io.EOF, io.ErrClosedPipe, os.ErrClosed} {
		if errors.Is(err, end) {
			return nil
		}
	}
	return fmt.Errorf("serve scan engine: %w", err)
}

func read(ctx context.Context, r io.Reader, to chan<- []byte) error {
	for {
		buf := make([]byte, 256)
		n, err := r.Read(buf)
		if n > 0 {
			select {
			case to <- buf[:n]:
			case <-ctx.Done():
				return nil
			}
		}
		if err != nil {
			return err
		}
	}
}

func (d *Device) loop(ctx context.Context, line io.Writer, input <-chan []byte, failed <-chan error) (err error, readDone bool) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var in []byte
	for {
		now := time.Now()
		out, next := d.step(now, in)
		in = nil
		if len(out) > 0 {
			if _, err := line.Write(out); err != nil {
				return err, false
			}
		}
		timer.Reset(time.Until(next))
		select {
		case <-ctx.Done():
			return nil, false
		case err := <-failed:
			return err, true
		case in = <-input:
		case <-d.wake:
		case <-timer.C:
		}
	}
}
