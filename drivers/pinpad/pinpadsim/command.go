package pinpadsim

import (
	"context"
	"maps"
	"slices"
	"time"

	"posagent/drivers/pinpad/internal/wire"
)

// hear carries out one command of the terminal and answers it.
func (d *Device) hear(ctx context.Context, f wire.Frame, now time.Time) {
	st, body := d.command(ctx, f, now)
	d.answer(wire.Answer{Re: f.Seq, Cmd: f.Cmd, Status: st, Body: body}.AppendTo(nil), now)
	if f.Cmd == wire.CmdOpen && d.tampered {
		d.link.Post(wire.CmdTamper, nil, now)
	}
}

// maxLate bounds the answers held back; a terminal has one command under way.
const maxLate = 16

func (d *Device) answer(data []byte, now time.Time) {
	if d.faults.Late == 0 || len(d.late) >= maxLate {
		d.link.Post(wire.CmdAnswer, data, now)
		return
	}
	d.late = append(d.late, lateAnswer{now.Add(d.faults.Late), data})
}

func (d *Device) command(ctx context.Context, f wire.Frame, now time.Time) (wire.Status, []byte) {
	switch f.Cmd {
	case wire.CmdOpen:
		// A new terminal, or the old one after a restart: nothing begun goes on.
		d.wipeEntry()
		d.mac, d.late, d.keyboard = nil, nil, true
		return wire.OK, []byte{wire.Version}
	case wire.CmdIdentify:
		return d.identify()
	}
	if d.tampered {
		return wire.Tampered, nil
	}
	switch f.Cmd {
	case wire.CmdKeyboard:
		if len(f.Data) != 1 || f.Data[0] > 1 {
			return wire.Malformed, nil
		}
		d.keyboard = f.Data[0] == 1
		return wire.OK, nil
	case wire.CmdLoadKey:
		return d.loadKey(ctx, f.Data), nil
	case wire.CmdMAC:
		return d.macChunk(ctx, f.Data)
	case wire.CmdEnterPIN:
		return d.enterPIN(f.Data, now), nil
	case wire.CmdOfflinePIN:
		return d.offlinePIN(f.Data, now), nil
	case wire.CmdCancel:
		if len(f.Data) != 1 {
			return wire.Malformed, nil
		}
		if d.entry == nil || d.entry.req.Entry != f.Data[0] {
			return wire.NoEntry, nil
		}
		d.endEntry(now, wire.Cancelled)
		return wire.OK, nil
	case wire.CmdBeep:
		if len(f.Data) != 2 {
			return wire.Malformed, nil
		}
		d.beeps++
		return wire.OK, nil
	}
	return wire.Unknown, nil
}

func (d *Device) identify() (wire.Status, []byte) {
	id := wire.Identity{Tampered: d.tampered, Serial: []byte(d.opts.Serial), Model: []byte(d.opts.Model), Firmware: []byte(d.opts.Firmware)}
	slots := d.opts.Secure.Slots()
	for _, use := range slices.Sorted(maps.Keys(slots)) {
		id.Slots = append(id.Slots, wire.Slot{Use: []byte(use), KCV: slots[use]})
	}
	body, ok := id.AppendTo(nil)
	if !ok {
		return wire.Failed, nil
	}
	return wire.OK, body
}

func (d *Device) loadKey(ctx context.Context, p []byte) wire.Status {
	b := wire.Body(p)
	use, ok1 := b.Text()
	cryptogram, ok2 := b.Text()
	kcv, ok3 := b.Text()
	if !ok1 || !ok2 || !ok3 || len(b) != 0 {
		return wire.Malformed
	}
	return status(d.opts.Secure.InstallWorking(ctx, string(use), cryptogram, kcv))
}

// macChunk gathers the data of a MAC. A chunk that does not follow the one before
// ends the gathering.
func (d *Device) macChunk(ctx context.Context, p []byte) (wire.Status, []byte) {
	b := wire.Body(p)
	flags, ok1 := b.Byte()
	alg, ok2 := b.Text()
	offset, ok3 := b.Uint16()
	if !ok1 || !ok2 || !ok3 || flags > wire.MACFirst|wire.MACLast || len(b) > wire.MACChunk {
		return wire.Malformed, nil
	}
	if flags&wire.MACFirst != 0 {
		d.mac = make([]byte, 0, wire.MACChunk)
	}
	if d.mac == nil || int(offset) != len(d.mac) || len(d.mac)+len(b) > wire.MaxMAC {
		d.mac = nil
		return wire.Malformed, nil
	}
	d.mac = append(d.mac, b...)
	if flags&wire.MACLast == 0 {
		return wire.OK, nil
	}
	mac, err := d.opts.Secure.MAC(ctx, string(alg), d.mac)
	d.mac = nil
	if err != nil {
		return status(err), nil
	}
	return wire.OK, mac[:]
}
