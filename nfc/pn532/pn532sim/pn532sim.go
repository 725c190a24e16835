package pn532sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"posagent/nfc/iso14443/iso14443sim"
	"posagent/nfc/pn532"
)

// Times of the chip.
const (
	// wakeTime is from a wake-up byte to the first command that is heard.
	wakeTime = time.Millisecond
	// ackTime is from a command to its ACK, thinkTime from there to a response
	// that needs no card.
	ackTime   = 150 * time.Microsecond
	thinkTime = 100 * time.Microsecond
)

// wakeByte brings the chip out of its sleep.
const wakeByte = 0x55

// maxInput bounds bytes that make no frame.
const maxInput = 1024

// Faults are what goes wrong in the chip, by the number of the command, counted
// from 0 since SetFaults.
type Faults struct {
	// LoseACK does not send the ACK. LoseResponse holds back the response until
	// a NACK asks for it.
	LoseACK, LoseResponse []uint32
	// ResetBefore resets the chip in place of an ACK, ResetAfter in place of a
	// response, when the command has been carried out.
	ResetBefore, ResetAfter []uint32
	// Reject answers with the error frame.
	Reject []uint32
}

func hit(list []uint32, n uint32) bool {
	for _, v := range list {
		if v == n {
			return true
		}
	}
	return false
}

// Opts configures a Chip.
type Opts struct {
	// Firmware is the answer to GetFirmwareVersion.
	Firmware pn532.Firmware
}

// DefaultOpts is a PN532 with firmware 1.6.
var DefaultOpts = Opts{Firmware: pn532.Firmware{IC: 0x32, Version: 1, Revision: 6, Support: 7}}

// Chip is one PN532.
type Chip struct {
	opts  Opts
	radio *radio

	mu       sync.Mutex // guards what follows
	faults   Faults
	commands uint32
	total    uint32
	resets   uint32 // asked for with Reset
	asleep   bool
	baud     uint32

	// What follows belongs to Serve.
	seen   uint32 // resets that were carried out
	awake  time.Time
	normal bool // SAMConfiguration was given
	in     []byte
	last   []byte // the last response, as it was sent
	next   uint32 // speed that comes with the host's ACK
}

// New returns a chip with its antenna on air. nil o means DefaultOpts.
func New(air *iso14443sim.Air, o *Opts) *Chip {
	if o == nil {
		o = &DefaultOpts
	}
	return &Chip{opts: *o, radio: newRadio(air), asleep: true, baud: pn532.ResetBaud}
}

// SetFaults sets the faults that follow and counts commands anew.
func (c *Chip) SetFaults(f Faults) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults, c.commands = f, 0
}

// Commands is how many commands the chip has taken.
func (c *Chip) Commands() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

// Baud is the speed at which the chip listens; Asleep says that it sleeps.
func (c *Chip) Baud() uint32 { c.mu.Lock(); defer c.mu.Unlock(); return c.baud }

// Asleep says that the chip waits for a wake-up byte.
func (c *Chip) Asleep() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.asleep }

// Reset is a glitch on the chip's supply: it takes effect before the next byte
// that the chip hears or sends.
func (c *Chip) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resets++
}

// begin counts a command and returns its number and the faults.
func (c *Chip) begin() (uint32, Faults) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.commands
	c.commands++
	c.total++
	return n, c.faults
}

func (c *Chip) set(asleep bool, baud uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asleep, c.baud = asleep, baud
}

// job is a running command.
type job struct {
	cancel context.CancelFunc
	done   chan []byte // one response body, nil for none
	code   byte
	n      uint32
}

// end stops a running command.
func (j *job) end() {
	if j != nil {
		j.cancel()
		<-j.done
	}
}

// served is one Serve.
type served struct {
	*Chip
	wire io.ReadWriter
	run  *job
}

// Serve plays the chip on wire until it ends or ctx does; both return nil.
func (c *Chip) Serve(ctx context.Context, wire io.ReadWriter) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &served{Chip: c, wire: wire}
	s.speed()
	deadliner, _ := wire.(interface{ SetReadDeadline(time.Time) error })
	if deadliner != nil {
		if err := deadliner.SetReadDeadline(time.Time{}); err != nil && !ended(err) {
			return fmt.Errorf("serve PN532: %w", err)
		}
	}
	input, failed := make(chan []byte), make(chan error, 1)
	go func() { failed <- read(ctx, wire, input) }()
	err, readDone := s.loop(ctx, input, failed)
	cancel()
	s.run.end()
	if !readDone {
		if deadliner != nil {
			_ = deadliner.SetReadDeadline(time.Unix(1, 0)) // releases the reader
		}
		<-failed
	}
	if err == nil || ended(err) {
		return nil
	}
	return fmt.Errorf("serve PN532: %w", err)
}

func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, os.ErrClosed)
}

func read(ctx context.Context, r io.Reader, to chan<- []byte) error {
	for {
		buf := make([]byte, 64)
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

func (s *served) loop(ctx context.Context, input <-chan []byte, failed <-chan error) (err error, readDone bool) {
	for {
		var done chan []byte
		if s.run != nil {
			done = s.run.done
		}
		select {
		case <-ctx.Done():
			return nil, false
		case err := <-failed:
			return err, true
		case b := <-input:
			s.glitch()
			if err := s.hear(ctx, b); err != nil {
				return err, false
			}
		case body := <-done:
			run := s.run
			s.run = nil
			s.glitch()
			if err := s.finish(run, body); err != nil {
				return err, false
			}
		}
	}
}

// glitch carries out a Reset.
func (s *served) glitch() {
	s.mu.Lock()
	due := s.resets != s.seen
	s.seen = s.resets
	s.mu.Unlock()
	if due {
		s.reset()
	}
}

func (s *served) reset() {
	s.run.end()
	s.run = nil
	s.radio.off()
	s.normal, s.in, s.last, s.next = false, nil, nil, 0
	s.set(true, pn532.ResetBaud)
	s.speed()
}

// speed tells the wire at which speed the chip listens.
func (s *served) speed() {
	if w, ok := s.wire.(interface{ SetBaud(uint32) }); ok {
		w.SetBaud(s.Baud())
	}
}

// hear takes bytes and acts on each frame that is complete.
func (s *served) hear(ctx context.Context, b []byte) error {
	for _, v := range b {
		if s.Asleep() {
			if v == wakeByte {
				s.set(false, s.Baud())
				s.awake = time.Now().Add(wakeTime)
			}
			continue
		}
		if time.Now().Before(s.awake) {
			continue
		}
		s.in = append(s.in, v)
	}
	for len(s.in) > 0 {
		f, n, err := pn532.Split(s.in)
		if errors.Is(err, pn532.ErrShort) && len(s.in) < maxInput {
			return nil
		}
		if err != nil {
			s.in = s.in[1:] // look for a start code further on
			continue
		}
		f.Body = append([]byte(nil), f.Body...)
		s.in = s.in[n:]
		if err := s.frame(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

func (s *served) frame(ctx context.Context, f pn532.Frame) error {
	switch f.Kind {
	case pn532.ACK:
		s.run.end()
		s.run = nil
		if s.next != 0 {
			s.set(false, s.next)
			s.next = 0
			s.speed()
		}
		return nil
	case pn532.NACK:
		if s.run != nil || s.last == nil {
			return nil
		}
		return s.send(s.last)
	case pn532.Data:
		if f.Body[0] == pn532.ToChip {
			return s.command(ctx, f.Body[1:])
		}
	}
	return nil
}

// command acknowledges a command and begins it; a running one ends.
func (s *served) command(ctx context.Context, body []byte) error {
	s.run.end()
	s.run, s.next = nil, 0
	n, faults := s.begin()
	if hit(faults.ResetBefore, n) {
		s.reset()
		return nil
	}
	time.Sleep(ackTime)
	if !hit(faults.LoseACK, n) {
		if err := s.send(pn532.Frame{Kind: pn532.ACK}.AppendTo(nil)); err != nil {
			return err
		}
	}
	if hit(faults.Reject, n) {
		return s.send(pn532.Frame{Kind: pn532.Error}.AppendTo(nil))
	}
	ctx, cancel := context.WithCancel(ctx)
	run := &job{cancel: cancel, done: make(chan []byte, 1), code: body[0], n: n}
	s.run = run
	go func() {
		defer close(run.done)
		defer cancel()
		time.Sleep(thinkTime)
		out := s.execute(ctx, body[0], body[1:])
		if ctx.Err() == nil {
			run.done <- out
		}
	}()
	return nil
}

// finish sends the response of a command that has ended.
func (s *served) finish(run *job, body []byte) error {
	s.mu.Lock()
	faults := s.faults
	s.mu.Unlock()
	if hit(faults.ResetAfter, run.n) {
		s.reset()
		return nil
	}
	if body == nil {
		return s.send(pn532.Frame{Kind: pn532.Error}.AppendTo(nil))
	}
	body = append([]byte{pn532.FromChip, run.code + 1}, body...)
	s.last = pn532.Frame{Kind: pn532.Data, Body: body}.AppendTo(nil)
	if !hit(faults.LoseResponse, run.n) {
		if err := s.send(s.last); err != nil {
			return err
		}
	}
	if run.code == pn532.CmdPowerDown {
		if d, ok := s.wire.(interface{ Drain() error }); ok {
			_ = d.Drain()
		}
		s.radio.off()
		s.normal = false
		s.set(true, s.Baud())
	}
	return nil
}

func (s *served) send(b []byte) error {
	_, err := s.wire.Write(b)
	return err
}
