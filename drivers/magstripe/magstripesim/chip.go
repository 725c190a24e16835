package magstripesim

import (
	"slices"
	"sync"

	"periph.io/x/conn/v3/gpio"

	"posagent/drivers/bussim"
	"posagent/drivers/magstripe/internal/wire"
)

// Chip is the buffered swipe chip, at the level of its pins. It decodes F2F
// well: what it holds is what the stripe holds, as the hand and the wiring have
// it (Reverse, Truncate, Inverted of a Stroke).
type Chip struct {
	strobe, data, ready *bussim.Pin

	mu     sync.Mutex // guards what follows
	buffer []byte     // bits in the order of shifting, nil without a swipe
	at     int
	skip   int // strobes still to be missed: a fault
}

// NewChip puts a chip on three pins.
func NewChip(strobe, data, ready *bussim.Pin) *Chip {
	c := &Chip{strobe: strobe, data: data, ready: ready}
	data.Drive(gpio.High)
	ready.Drive(gpio.High)
	strobe.Watch(c.edge)
	return c
}

// Miss makes the chip overlook the next n strobes.
func (c *Chip) Miss(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skip = n
}

// Pull is a pass of a card; it replaces what is held.
func (c *Chip) Pull(card Card, k Stroke) {
	var b []byte
	for i := wire.PreambleBits - 1; i >= 0; i-- {
		b = append(b, byte(uint32(wire.Preamble)>>i&1))
	}
	for track := 1; track <= 3; track++ {
		bits := card.Bits(track)
		if k.Reverse {
			slices.Reverse(bits)
		}
		bits = bits[min(k.Truncate, len(bits)):]
		bits = bits[:min(len(bits), wire.TrackBits)]
		blank := len(bits) == 0
		bits = append(bits, make([]byte, wire.TrackBits-len(bits))...)
		if k.Inverted && !blank {
			for i := range bits {
				bits[i] ^= 1
			}
		}
		b = append(b, bits...)
	}
	c.mu.Lock()
	c.buffer, c.at = b, 0
	c.mu.Unlock()
	c.ready.Drive(gpio.Low)
}

// edge is the strobe changing.
func (c *Chip) edge(l gpio.Level) {
	if l == gpio.Low {
		return
	}
	level, driven := c.data.Driven()
	forget := driven && level == gpio.Low
	c.mu.Lock()
	if c.skip > 0 && !forget {
		c.skip--
		c.mu.Unlock()
		return
	}
	bit := byte(0)
	if !forget && c.at < len(c.buffer) {
		bit = c.buffer[c.at]
		c.at++
	}
	done := forget || c.at >= len(c.buffer)
	if done {
		c.buffer, c.at = nil, 0
	}
	c.mu.Unlock()
	c.data.Drive(bit == 0)
	if done {
		c.ready.Drive(gpio.High)
	}
}
