package contact

import (
	"context"
	"fmt"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
)

// pseName is the Payment System Environment's directory, EMV 4.4 Book 1, 12.2.2.
var pseName = []byte("1PAY.SYS.DDF01")

const (
	maxPSERecords = 255 // record numbers are one byte
	maxPSESFI     = 10  // Book 1, 12.2.3: the directory file has SFI 1 to 10
)

// readPSE builds the candidate list from the card's directory. An empty list without an error sends the terminal to its
// own list: there is no directory, it is blocked, or it is malformed. EMV 4.4 Book 1, 12.3.2.
func (s *Session) readPSE(ctx context.Context) ([]candidate, error) {
	data, sw, err := s.card.send(ctx, selectCommand(pseName, false), nil)
	if err != nil {
		return nil, err
	}
	if sw == emv.SWNotSupported { // step 1
		return nil, s.blockedCard()
	}
	if sw != emv.SWOK {
		s.note("no directory: %v", sw)
		return nil, nil
	}
	sfi, err := directorySFI(data)
	if err != nil {
		s.note("directory is not usable: %v", err)
		return nil, nil
	}
	var list []candidate
	for record := 1; record <= maxPSERecords; record++ {
		data, sw, err := s.card.send(ctx, readCommand(sfi, uint8(record)), nil)
		if err != nil {
			return nil, err
		}
		if sw == emv.SWNoRecord {
			return list, nil
		}
		if sw != emv.SWOK {
			s.note("directory record %d: %v", record, sw)
			return nil, nil
		}
		if list, err = s.directoryRecord(list, data); err != nil {
			s.note("directory record %d: %v", record, err)
			return nil, nil
		}
	}
	return list, nil
}

// directorySFI reads the FCI of the PSE: Book 1, 11.3.4, table 43.
func directorySFI(b []byte) (uint8, error) {
	body, err := tlv.Template(b, 0x6F)
	if err != nil {
		return 0, err
	}
	if name, ok := tlv.Find(body, 0x84); !ok || string(name) != string(pseName) {
		return 0, fmt.Errorf("DF name is not the directory's")
	}
	v, ok := tlv.Find(body, 0x88)
	if !ok || len(v) != 1 || v[0] < 1 || v[0] > maxPSESFI {
		return 0, fmt.Errorf("SFI % X", v)
	}
	return v[0], nil
}

// directoryRecord adds the applications of one record that the terminal has too. EMV 4.4 Book 1, 12.2.3 and 12.3.2.
func (s *Session) directoryRecord(list []candidate, b []byte) ([]candidate, error) {
	body, err := tlv.Template(b, 0x70)
	if err != nil {
		return nil, err
	}
	err = tlv.Walk(body, func(depth int, o tlv.Object) error {
		if depth != 0 || o.Tag != 0x61 {
			return nil
		}
		var name, label, preferred []byte
		var priority byte
		if err := tlv.Walk(o.Value, func(depth int, e tlv.Object) error {
			switch {
			case depth != 0:
			case e.Tag == 0x4F:
				name = e.Value
			case e.Tag == 0x50:
				label = e.Value
			case e.Tag == 0x9F12:
				preferred = e.Value
			case e.Tag == 0x87 && len(e.Value) == 1:
				priority = e.Value[0]
			}
			return nil
		}); err != nil {
			return err
		}
		app, ok := s.matches(name)
		if !ok || !emv.AID(name).Valid() || seen(list, name) || len(list) >= maxCandidates {
			return nil
		}
		list = append(list, candidate{named(name, label, preferred, 0, priority), app})
		return nil
	})
	return list, err
}
