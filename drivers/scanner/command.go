package scanner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// Errors of commands.
var (
	// ErrNoAnswer is an engine that does not acknowledge.
	ErrNoAnswer = errors.New("scanner: no answer")
	// ErrRefused is an engine that says no.
	ErrRefused = errors.New("scanner: command refused")
)

// Command is one host command of an engine. A zero Command is one that the engine
// does not have.
type Command struct {
	// Send is what the terminal sends.
	Send []byte
	// Ack and Nack are what the engine answers, up to 64 bytes; a nil Ack is an
	// engine that answers nothing.
	Ack, Nack []byte
}

func (c *Command) absent() bool { return len(c.Send) == 0 }

// Switch is a pair of commands.
type Switch struct{ On, Off Command }

// Commands are the host commands of an engine, from its manual.
type Commands struct {
	// Setup is sent in order before the first Scan.
	Setup []Command
	// Trigger lights and reads, and ends that. Left out if there is a trigger pin.
	Trigger Switch
	// Continuous reads all the time.
	Continuous Switch
	// Symbology enables and disables a kind of code.
	Symbology map[Symbology]Switch
	// Beep sounds once.
	Beep Command
	// LED is the engine's lamp for the customer, not its reading light.
	LED Switch
}

const (
	maxTries  = 3                      // of a command: two lost bytes in a row are rare, three are a broken line
	ackTime   = 200 * time.Millisecond // for an answer to begin and end; engines answer within 100 ms
	maxAnswer = 64                     // bytes of an acknowledgement
	writeTime = 2 * time.Second        // for a command to leave
)

// command sends c until it is acknowledged. It takes bounded time and heeds no
// context, because the light must also go off when a Scan was cancelled.
func (d *Dev) command(what string, c *Command) error {
	var err error
	for range maxTries {
		if err = d.send(what, c.Send); err != nil {
			return err
		}
		if len(c.Ack) == 0 {
			return nil
		}
		if err = d.answer(c); err == nil || errors.Is(err, ErrGone) || errors.Is(err, ErrRefused) {
			break
		}
		if err := d.quiet(); err != nil {
			return err
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (d *Dev) send(what string, b []byte) error {
	_ = d.stream.SetWriteDeadline(time.Now().Add(writeTime))
	_, err := d.stream.Write(b)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%s: send: %w", what, ErrNoAnswer)
	}
	return fmt.Errorf("%s: send: %w: %w", what, ErrGone, err)
}

// answer takes the acknowledgement, which must be the first thing heard.
func (d *Dev) answer(c *Command) error {
	var heard []byte
	by := time.Now().Add(ackTime)
	for {
		b, ok, err := d.readByte(by)
		if err != nil {
			return err
		}
		if !ok {
			return ErrNoAnswer
		}
		heard = append(heard, b)
		switch {
		case bytes.Equal(heard, c.Ack):
			return nil
		case len(c.Nack) > 0 && bytes.Equal(heard, c.Nack):
			return ErrRefused
		case !bytes.HasPrefix(c.Ack, heard) && !bytes.HasPrefix(c.Nack, heard):
			return fmt.Errorf("%w: something else was heard", ErrNoAnswer)
		}
	}
}

// maxQuiet bounds how long a line may go on talking before it counts as broken:
// the longest code at 9600 baud takes 7.4 s.
const maxQuiet = 10 * time.Second

// quiet throws away what is heard until the line was silent for Gap.
func (d *Dev) quiet() error {
	d.frames.reset()
	clear(d.unread)
	d.unread = d.unread[:0]
	for end := time.Now().Add(maxQuiet); time.Now().Before(end); {
		_, heard, err := d.readByte(time.Now().Add(d.opts.Framing.Gap))
		if err != nil || !heard {
			return err
		}
	}
	return fmt.Errorf("%w: the line is never quiet", ErrFraming)
}

// Enable switches a kind of code on or off. The error wraps
// errors.ErrUnsupported if the engine has no command for it.
func (d *Dev) Enable(ctx context.Context, kind Symbology, on bool) error {
	return d.run(ctx, "enable "+string(kind), d.opts.Commands.Symbology[kind].pick(on))
}

// Beep sounds once. Errors are as for Enable.
func (d *Dev) Beep(ctx context.Context) error { return d.run(ctx, "beep", d.opts.Commands.Beep) }

// LED switches the engine's lamp. Errors are as for Enable.
func (d *Dev) LED(ctx context.Context, on bool) error {
	return d.run(ctx, "lamp", d.opts.Commands.LED.pick(on))
}

func (s Switch) pick(on bool) Command {
	if on {
		return s.On
	}
	return s.Off
}

func (d *Dev) run(ctx context.Context, what string, c Command) error {
	if c.absent() {
		return fmt.Errorf("scanner: %s: %w", what, errors.ErrUnsupported)
	}
	if err := d.lock(ctx); err != nil {
		return err
	}
	defer d.unlock()
	if err := d.quiet(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return d.command(what, &c)
}
