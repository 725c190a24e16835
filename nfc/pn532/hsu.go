package pn532

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"periph.io/x/conn/v3/physic"
	periph "periph.io/x/conn/v3/uart"

	"posagent/drivers/uart"
)

// bus carries frames between driver and chip. HSU, I2C and SPI differ in it and
// in nothing above.
type bus interface {
	String() string
	// wake brings the chip out of its rest and back to the speed after reset.
	wake(ctx context.Context) error
	// send sends one frame. spoiled says that the chip may hold half a frame.
	send(f Frame, spoiled bool) error
	// receive gives the next frame; its Body holds until the next call. A frame
	// begun by then is read to its end. The error is errSilent, that of ctx or
	// of the line, or wraps errNotFrame; then input is in pieces.
	receive(ctx context.Context, by time.Time) (Frame, error)
	// discard forgets input that is there. settle does so until there was silence.
	discard()
	settle(ctx context.Context, silence time.Duration) error
	// speed changes the speed of this end, when all has left.
	speed(baud uint32) error
}

// errSilent: no frame began in time.
var errSilent = errors.New("chip is silent")

const (
	// gap is the longest silence within a frame; the scheduler of a busy
	// terminal is part of it.
	gap = 30 * time.Millisecond
	// slice is how long a read waits before the context is looked at.
	slice = 20 * time.Millisecond
	// maxSettle bounds how long input may be thrown away.
	maxSettle = time.Second
	// writeWait bounds a write: the longest frame takes 24 ms at 115200.
	writeWait = 500 * time.Millisecond
	// wakeTime is from the wake-up bytes to the first frame: UM0701-02, 7.2.11.
	wakeTime = 2 * time.Millisecond
	// doubled is the pause, in characters, after a frame that could hide a
	// doubled byte.
	doubled = 3
)

// wakeBytes are what a sleeping chip wants to hear first: UM0701-02, 7.2.11.
var wakeBytes = []byte{0x55, 0x55, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

// poison ends half a frame in the chip: no frame has it as postamble.
const poison = 0x55

// hsu is the high speed UART of the chip.
type hsu struct {
	port periph.Port
	s    uart.Stream
	baud uint32
	out  []byte
	// in holds buf[from:to], bytes that were received and not used.
	buf      [512]byte
	from, to int
}

func newHSU(port periph.Port) (*hsu, error) {
	h := &hsu{port: port}
	return h, h.speed(ResetBaud)
}

func (h *hsu) String() string { return fmt.Sprint(h.port) }

// speed implements bus.
func (h *hsu) speed(baud uint32) error {
	if d, ok := h.s.(uart.Drainer); ok {
		if err := h.s.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
			return fmt.Errorf("set write deadline: %w", err)
		}
		if err := d.Drain(); err != nil {
			return fmt.Errorf("drain port: %w", err)
		}
	}
	s, err := uart.Connect(h.port, physic.Frequency(baud)*physic.Hertz, periph.One, periph.NoParity, periph.NoFlow, 8)
	if err != nil {
		return err
	}
	h.s, h.baud = s, baud
	return nil
}

// wake implements bus.
func (h *hsu) wake(ctx context.Context) error {
	if h.baud != ResetBaud {
		if err := h.speed(ResetBaud); err != nil {
			return err
		}
	}
	if err := h.write(wakeBytes); err != nil {
		return err
	}
	return pause(ctx, wakeTime)
}

// send implements bus.
func (h *hsu) send(f Frame, spoiled bool) error {
	h.out = h.out[:0]
	if spoiled {
		h.out = append(h.out, poison)
	}
	h.out = f.AppendTo(h.out)
	return h.write(h.out)
}

func (h *hsu) write(p []byte) error {
	if err := h.s.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
		return fmt.Errorf("set write deadline: %w", err)
	}
	if _, err := h.s.Write(p); err != nil {
		return fmt.Errorf("write port: %w", err)
	}
	return nil
}

// fill reads what there is, until by.
func (h *hsu) fill(ctx context.Context, by time.Time) error {
	if h.from > 0 {
		h.to = copy(h.buf[:], h.buf[h.from:h.to])
		h.from = 0
	}
	if h.to == len(h.buf) {
		return &FrameError{"length", "is beyond the buffer"}
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		now := time.Now()
		if !now.Before(by) {
			return errSilent
		}
		until := now.Add(slice)
		if by.Before(until) {
			until = by
		}
		if err := h.s.SetReadDeadline(until); err != nil {
			return fmt.Errorf("set read deadline: %w", err)
		}
		n, err := h.s.Read(h.buf[h.to:])
		h.to += n
		if n > 0 {
			return nil
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("read port: %w", err)
		}
	}
}

// receive implements bus.
func (h *hsu) receive(ctx context.Context, by time.Time) (Frame, error) {
	for {
		f, n, err := Split(h.buf[h.from:h.to])
		if err == nil {
			if err := h.alone(ctx, f, n); err != nil {
				return Frame{}, err
			}
			f, n, _ = Split(h.buf[h.from:h.to])
			h.from += n
			return f, nil
		}
		if !errors.Is(err, ErrShort) {
			return Frame{}, err
		}
		for h.to-h.from > 1 && h.buf[h.from] == 0 && h.buf[h.from+1] == 0 {
			h.from++ // one zero is enough of a preamble
		}
		begun, until := h.to-h.from > 1, by
		if begun {
			until = time.Now().Add(gap)
		}
		if err := h.fill(ctx, until); err != nil {
			if errors.Is(err, errSilent) && begun {
				err = &FrameError{"length", "is more than was received"}
			}
			return Frame{}, err
		}
	}
}

// alone waits for another byte after the frame of n bytes that was received. A
// byte 0 that was received twice pushes the last byte into the place of the
// check; when the check was 0, it pushes that into the place of the postamble,
// and nothing but a byte too many gives it away.
func (h *hsu) alone(ctx context.Context, f Frame, n int) error {
	if f.Kind != Data || !bytes.Contains(f.Body, []byte{0, 0}) {
		return nil
	}
	if h.to-h.from == n {
		wait := uart.Settings{Baud: h.baud, Bits: 8, Stop: periph.One}.CharTime(doubled)
		if err := h.fill(ctx, time.Now().Add(wait)); errors.Is(err, errSilent) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return &FrameError{"postamble", "is followed by another byte"}
}

// discard implements bus.
func (h *hsu) discard() {
	h.from, h.to = 0, 0
	if d, ok := h.s.(uart.Discarder); ok {
		_ = d.Discard(true, false)
	}
}

// settle implements bus.
func (h *hsu) settle(ctx context.Context, silence time.Duration) error {
	by := time.Now().Add(maxSettle)
	for time.Now().Before(by) {
		h.discard()
		if err := h.fill(ctx, time.Now().Add(silence)); errors.Is(err, errSilent) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

// pause waits for d, or less when ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
