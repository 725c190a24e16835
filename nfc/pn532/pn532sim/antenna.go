package pn532sim

import (
	"bytes"
	"context"
	"time"

	"posagent/nfc"
	"posagent/nfc/iso14443"
	"posagent/nfc/iso14443/iso14443sim"
	"posagent/nfc/pn532"
)

// antenna is the field as the protocol machine of one target sees it: one type,
// short frames, a carrier that the host alone turns off. It notes what the card
// tells of itself.
type antenna struct {
	air   *iso14443sim.Air
	only  nfc.Type
	mode  iso14443.Mode
	heard pn532.Target
}

var _ iso14443.Transceiver = (*antenna)(nil)

func (a *antenna) String() string { return "pn532sim" }

// Limits keep the activation at 106 kbit/s; InPSL changes that.
func (a *antenna) Limits() iso14443.Limits {
	return iso14443.Limits{MaxRate: iso14443.Rate106, MaxFrame: fifo}
}

func (a *antenna) Field(on bool) error {
	if !on {
		return nil
	}
	return a.air.Field(true)
}

func (a *antenna) Halt() error { return nil }

func (a *antenna) Tune(m iso14443.Mode) error { a.mode = m; return nil }

func (a *antenna) Exchange(ctx context.Context, f iso14443.Frame, wait time.Duration) (iso14443.Reply, error) {
	if a.mode.Type != a.only {
		return iso14443.Reply{}, iso14443.ErrTimeout
	}
	if err := a.air.Tune(a.mode); err != nil {
		return iso14443.Reply{}, err
	}
	r, err := a.air.Exchange(ctx, f, wait)
	if err == nil && len(r.Data) > fifo {
		return iso14443.Reply{}, iso14443.ErrGarbled
	}
	if err == nil && a.mode.Send == iso14443.Rate106 {
		a.note(f, r)
	}
	return r, err
}

// note reads what passes: ISO/IEC 14443-3, 6 and 7; ISO/IEC 14443-4, 5.
func (a *antenna) note(f iso14443.Frame, r iso14443.Reply) {
	if a.only == nfc.TypeA && f.LastBits == 7 && len(r.Data) == 2 {
		a.heard = pn532.Target{SENS: uint16(r.Data[1])<<8 | uint16(r.Data[0])}
		return
	}
	in, ok := iso14443.TrimCRC(r.Data, a.only)
	if !ok || len(f.Data) < 2 {
		return
	}
	switch sel := f.Data[0]; {
	case a.only == nfc.TypeB && sel == 0x05 && len(in) >= 12:
		a.heard = pn532.Target{ATQB: bytes.Clone(in[:12])}
	case a.only == nfc.TypeB && sel == 0x1D && a.heard.Attrib == nil:
		a.heard.Attrib = bytes.Clone(in)
	case a.only == nfc.TypeA && (sel == 0x93 || sel == 0x95 || sel == 0x97) && f.Data[1] == 0x70 && len(f.Data) >= 6 && len(in) == 1:
		part := f.Data[2:6]
		if a.heard.SAK = in[0]; in[0]&0x04 != 0 {
			part = part[1:] // cascade tag
		}
		a.heard.UID = append(a.heard.UID, part...)
	case a.only == nfc.TypeA && sel == 0xE0 && a.heard.ATS == nil:
		a.heard.ATS = bytes.Clone(in)
	}
}
