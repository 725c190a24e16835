package escpos

import "posagent/printer"

// The four real-time requests, DLE EOT n.
const (
	AskPrinter byte = 1
	AskOffline byte = 2
	AskError   byte = 3
	AskPaper   byte = 4
)

// Reply is the class of a byte that comes from a printer.
type Reply uint8

const (
	// ReplyUnknown belongs to no class: noise, or another wire speed.
	ReplyUnknown Reply = iota
	// ReplyAck answers GS r.
	ReplyAck
	// ReplyRealTime answers DLE EOT.
	ReplyRealTime
	// ReplyAuto is the first of the four bytes of an automatic status.
	ReplyAuto
	// ReplyFlow is XON or XOFF.
	ReplyFlow
)

// Classify tells the class of a byte by its fixed bits. The three bytes that
// follow a ReplyAuto look like acknowledgements and must be skipped by the caller.
func Classify(b byte) Reply {
	switch {
	case b == 0x11 || b == 0x13:
		return ReplyFlow
	case b&0x90 == 0:
		return ReplyAck
	case b&0x93 == 0x12:
		return ReplyRealTime
	case b&0x93 == 0x10:
		return ReplyAuto
	}
	return ReplyUnknown
}

// State is what a printer says about itself in its status bytes.
type State struct {
	Offline  bool // DLE EOT 1, bit 3
	Cover    bool // DLE EOT 2, bit 2
	PaperEnd bool // DLE EOT 4, bits 5 and 6, and DLE EOT 2, bit 5
	NearEnd  bool // DLE EOT 4, bits 2 and 3
	Error    bool // DLE EOT 2, bit 6: some error, named by DLE EOT 3
	Cutter   bool // DLE EOT 3, bit 3
	Fatal    bool // DLE EOT 3, bit 5: needs power off
	Hot      bool // DLE EOT 3, bit 6: recovers by itself, print head temperature
}

// fixed are the bits that are set in every DLE EOT reply.
const fixed = 0x12

// Reply is the answer to DLE EOT n.
func (s State) Reply(n byte) byte {
	b := byte(fixed)
	switch n {
	case AskPrinter:
		b |= bit(s.Offline, 3)
	case AskOffline:
		b |= bit(s.Cover, 2) | bit(s.PaperEnd, 5) | bit(s.Error || s.Cutter || s.Fatal || s.Hot, 6)
	case AskError:
		b |= bit(s.Cutter, 3) | bit(s.Fatal, 5) | bit(s.Hot, 6)
	case AskPaper:
		b |= bit(s.NearEnd, 2) | bit(s.NearEnd, 3) | bit(s.PaperEnd, 5) | bit(s.PaperEnd, 6)
	}
	return b
}

// Learn takes the answer b to DLE EOT n.
func (s *State) Learn(n, b byte) {
	switch n {
	case AskPrinter:
		s.Offline = b&0x08 != 0
	case AskOffline:
		s.Cover = b&0x04 != 0
		s.PaperEnd = s.PaperEnd || b&0x20 != 0
		s.Error = b&0x40 != 0
	case AskError:
		s.Cutter, s.Fatal, s.Hot = b&0x08 != 0, b&0x20 != 0, b&0x40 != 0
	case AskPaper:
		s.NearEnd = b&0x0C != 0
		s.PaperEnd = s.PaperEnd || b&0x60 != 0
	}
}

// Sensor is the answer to GS r 1: bits 0 and 1 near end, bits 2 and 3 paper end.
func (s State) Sensor() byte {
	return bit(s.NearEnd, 0) | bit(s.NearEnd, 1) | bit(s.PaperEnd, 2) | bit(s.PaperEnd, 3)
}

// Status is the most important fact, what the operator must see to first.
func (s State) Status() printer.Status {
	switch {
	case s.Fatal || s.Cutter:
		return printer.Fault
	case s.Cover:
		return printer.CoverOpen
	case s.PaperEnd:
		return printer.PaperOut
	case s.Hot:
		return printer.HeadHot
	case s.Error:
		return printer.Fault
	case s.Offline:
		return printer.Offline
	case s.NearEnd:
		return printer.PaperLow
	}
	return printer.Ready
}

func bit(on bool, n uint) byte {
	if on {
		return 1 << n
	}
	return 0
}
