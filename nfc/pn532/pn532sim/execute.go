package pn532sim

import (
	"bytes"
	"context"

	"posagent/nfc"
	"posagent/nfc/pn532"
)

// maxCommand is the longest command that parts may add up to.
const maxCommand = 8 << 10

// execute carries out one command and returns the parameters of its response;
// nil is the error frame. It runs beside the line, one at a time.
func (s *served) execute(ctx context.Context, code byte, p []byte) []byte {
	ok := []byte{}
	switch code {
	case pn532.CmdDiagnose:
		switch {
		case len(p) > 0 && p[0] == pn532.DiagnoseLine:
			return bytes.Clone(p)
		case len(p) == 1 && p[0] == pn532.DiagnosePresent && s.normal:
			return []byte{byte(s.radio.present(ctx))}
		}
		return nil
	case pn532.CmdGetFirmwareVersion:
		f := s.opts.Firmware
		return []byte{f.IC, f.Version, f.Revision, f.Support}
	case pn532.CmdSetSerialBaudRate:
		if len(p) != 1 || int(p[0]) >= len(pn532.BaudRates) {
			return nil
		}
		s.next = pn532.BaudRates[p[0]]
		return ok
	case pn532.CmdSAMConfiguration:
		if len(p) == 0 || p[0] == 0 || p[0] > 4 {
			return nil
		}
		s.normal = true
		return ok
	case pn532.CmdPowerDown:
		if len(p) == 0 || p[0]&pn532.WakeHSU == 0 {
			return []byte{byte(pn532.StatusParameter)}
		}
		return []byte{0}
	}
	if !s.normal || len(p) == 0 {
		return nil
	}
	return s.onRadio(ctx, code, p)
}

func (s *served) onRadio(ctx context.Context, code byte, p []byte) []byte {
	r := s.radio
	switch code {
	case pn532.CmdRFConfiguration:
		return r.configure(p[0], p[1:])
	case pn532.CmdInListPassiveTarget:
		if len(p) < 2 || p[0] == 0 || p[0] > 2 {
			return nil
		}
		switch p[1] {
		case pn532.Target106A:
			return r.list(ctx, nfc.TypeA, p[0])
		case pn532.Target106B:
			if len(p) < 3 {
				return nil
			}
			return r.list(ctx, nfc.TypeB, 1)
		}
		return nil
	case pn532.CmdInDataExchange:
		return r.exchange(ctx, p[0], p[1:])
	case pn532.CmdInPSL:
		if len(p) != 3 {
			return nil
		}
		return []byte{byte(r.rates(ctx, p[0], p[1], p[2]))}
	case pn532.CmdInDeselect, pn532.CmdInRelease:
		return []byte{byte(r.release(ctx, p[0], code == pn532.CmdInDeselect))}
	}
	return nil
}
