package magstripesim

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"posagent/drivers/magstripe/internal/wire"
)

// repeatAfter is how long the serial head waits for an answer, repeatMost how
// often it says a frame again.
const (
	repeatAfter = 400 * time.Millisecond
	repeatMost  = 6
)

// Head is the serial head that decodes by itself, at the level of its bytes.
type Head struct {
	swipes chan []byte

	mu       sync.Mutex // guards sequence
	sequence byte
}

// NewHead makes a head that holds up to four swipes unsent.
func NewHead() *Head { return &Head{swipes: make(chan []byte, 4)} }

// Pull is a pass of a card; direction and speed are the head's own affair, and
// what it cannot decode (jitter beyond 0.3, a start lost into the data) it
// reports as a recording without characters. It blocks while four are unsent.
func (h *Head) Pull(c Card, k Stroke) {
	h.mu.Lock()
	h.sequence++
	body := []byte{h.sequence, 0, 0, 0, 0}
	h.mu.Unlock()
	for track := 1; track <= 3; track++ {
		chars := c.Characters(track)
		if chars == nil {
			continue
		}
		body[1] |= 1 << (track - 1)
		lost := int(leadInches * layouts[track-1].density)
		if k.Jitter > 0.3 || k.DropOuts > 0 || k.Truncate > lost {
			continue
		}
		body[1+track] = byte(len(chars))
		body = append(body, chars...)
	}
	h.swipes <- body
}

// Serve sends swipes over the wire until it ends (nil) or ctx does (nil). A wire
// with read deadlines, such as bussim's, is needed for repetition.
func (h *Head) Serve(ctx context.Context, line io.ReadWriter) error {
	d, _ := line.(interface{ SetReadDeadline(time.Time) error })
	for {
		select {
		case <-ctx.Done():
			return nil
		case body := <-h.swipes:
			if err := h.send(line, d, wire.AppendFrame(nil, body)); err != nil {
				if ctx.Err() != nil || errors.Is(err, io.EOF) || errors.Is(err, os.ErrClosed) || errors.Is(err, io.ErrClosedPipe) {
					return nil
				}
				return err
			}
		}
	}
}

// send says a frame until it is acknowledged or was said often enough.
func (h *Head) send(line io.ReadWriter, d interface{ SetReadDeadline(time.Time) error }, frame []byte) error {
	for range repeatMost {
		if _, err := line.Write(frame); err != nil {
			return err
		}
		if d != nil {
			if err := d.SetReadDeadline(time.Now().Add(repeatAfter)); err != nil {
				return err
			}
		}
		var b [1]byte
		n, err := line.Read(b[:])
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if n == 1 && b[0] == wire.ACK {
			return nil
		}
	}
	return nil // given up, as the part does
}
