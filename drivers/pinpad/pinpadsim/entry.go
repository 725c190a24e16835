package pinpadsim

import (
	"context"
	"time"

	"posagent/drivers/pinpad"
	"posagent/drivers/pinpad/internal/wire"
)

// pinSlot is the use whose key enciphers PIN blocks.
const pinSlot = "pin"

// maxPIN is the longest PIN (ISO 9564-1, 8.1), and the size of the buffer that
// digits never leave.
const maxPIN = 12

// entry is a PIN entry under way.
type entry struct {
	req    wire.PINRequest
	card   *cardKey // nil: the PIN is for the host
	until  time.Time
	digits [maxPIN]byte // ASCII
	n      uint8
}

func (d *Device) enterPIN(p []byte, now time.Time) wire.Status {
	req, ok := wire.ParsePINRequest(p)
	switch {
	case !ok, req.Format != 0, !sane(req), len(req.PAN) < 12 || len(req.PAN) > 19:
		return wire.Malformed
	case d.entry != nil:
		return wire.Busy
	}
	for _, c := range req.PAN {
		if c < '0' || c > '9' {
			return wire.Malformed
		}
	}
	if _, held := d.opts.Secure.Slots()[pinSlot]; !held {
		return wire.NoKey
	}
	d.entry = &entry{req: req, until: now.Add(req.Timeout)}
	return wire.OK
}

// sane checks what every PIN entry has.
func sane(r wire.PINRequest) bool {
	return r.Min >= 4 && r.Max <= maxPIN && r.Min <= r.Max && r.Timeout > 0
}

// pressInEntry is a key pressed while the pad waits for a PIN. Keys that mean
// nothing there sound the beeper.
func (d *Device) pressInEntry(k pinpad.Key, now time.Time) {
	e := d.entry
	_, digit := k.Digit()
	switch {
	case digit && e.n < e.req.Max:
		e.digits[e.n] = byte(k)
		e.n++
		d.dots(now)
	case k == pinpad.Clear:
		clear(e.digits[:])
		e.n = 0
		d.dots(now)
	case k == pinpad.Cancel:
		d.endEntry(now, wire.Cancelled)
	case k == pinpad.Enter && e.n == 0 && e.req.Bypass:
		d.endEntry(now, wire.Bypassed)
	case k == pinpad.Enter && e.n >= e.req.Min:
		d.encipher(now)
	default:
		d.beeps++
	}
}

func (d *Device) dots(now time.Time) {
	d.event(wire.CmdDots, []byte{d.entry.req.Entry, d.entry.n}, now)
}

func (d *Device) encipher(now time.Time) {
	e := d.entry
	if e.card != nil {
		d.encipherForCard(now)
		return
	}
	block, err := d.opts.Secure.PINBlock(context.Background(), e.digits[:e.n], string(e.req.PAN))
	if err != nil {
		d.endEntry(now, wire.Aborted, byte(status(err)))
		return
	}
	d.endEntry(now, wire.Entered, block[:]...)
}

// endEntry forgets the digits and says how the entry ended.
func (d *Device) endEntry(now time.Time, o wire.Outcome, rest ...byte) {
	if d.entry == nil {
		return
	}
	id := d.entry.req.Entry
	d.wipeEntry()
	d.link.Post(wire.CmdPINResult, append([]byte{id, byte(o)}, rest...), now)
}

func (d *Device) wipeEntry() {
	if d.entry != nil {
		clear(d.entry.digits[:])
		d.entry = nil
	}
}

func (d *Device) expireEntry(now time.Time) {
	if d.entry != nil && !now.Before(d.entry.until) {
		d.endEntry(now, wire.TimedOut)
	}
}
