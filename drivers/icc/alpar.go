package icc

import "fmt"

// MaxFrameData is the longest data field of an ALPAR frame that the chip
// handles, in bytes.
const MaxFrameData = 506

// First bytes of an ALPAR frame.
const (
	alparACK = 0x60 // commands, answers and events
	alparNAK = 0xE0 // answer that carries an error code
)

// Commands of the chip and its one unsolicited message.
const (
	CmdCard      byte = 0x00 // exchange an APDU, T=0 or T=1
	CmdPresence  byte = 0x09 // answer 01: card in, 00: no card
	CmdMask      byte = 0x0A // answer: firmware name in ASCII
	CmdPowerOff  byte = 0x4D
	CmdPowerUp18 byte = 0x68 // power up at 1.8 V; data 00 ISO, 01 EMV
	CmdPowerUp3  byte = 0x6D // the same at 3 V
	CmdPowerUp5  byte = 0x6E // the same at 5 V; answer: ATR
	EventCard    byte = 0xA0 // data 01: inserted, 00: taken off
)

// Error codes of a negative answer that the driver tells apart.
const (
	ChipMuteNow     byte = 0x22 // card fell silent in a T=1 exchange
	ChipDeactivated byte = 0x40 // the chip took the power away
	ChipUnknown     byte = 0x55 // unknown command
	ChipMute        byte = 0x80 // no answer to reset
	ChipTimeout     byte = 0x81 // card answered too late
	ChipParity      byte = 0x83 // four parity errors in one character
	ChipProcedure   byte = 0xA0 // wrong procedure byte
	ChipNoCard      byte = 0xC0 // card absent
	ChipBadTS       byte = 0xC4 // TS is neither 3B nor 3F
	ChipSerialLRC   byte = 0xF0 // the command frame was damaged, nothing done
	ChipSerialTime  byte = 0xFF // the command frame stopped halfway, nothing done
)

// ChipError is the error code of a negative answer.
type ChipError byte

var chipText = map[ChipError]string{
	ChipError(ChipMuteNow):     "card fell silent",
	ChipError(ChipDeactivated): "card deactivated",
	ChipError(ChipUnknown):     "unknown command",
	ChipError(ChipMute):        "card mute",
	ChipError(ChipTimeout):     "card waiting time exceeded",
	ChipError(ChipParity):      "parity errors from the card",
	ChipError(ChipProcedure):   "wrong procedure byte",
	ChipError(ChipNoCard):      "card absent",
	ChipError(ChipBadTS):       "TS is neither 3B nor 3F",
	ChipError(ChipSerialLRC):   "command frame damaged",
	ChipError(ChipSerialTime):  "command frame incomplete",
}

func (e ChipError) Error() string {
	if t, ok := chipText[e]; ok {
		return fmt.Sprintf("interface chip error %02X: %s", byte(e), t)
	}
	return fmt.Sprintf("interface chip error %02X", byte(e))
}

// Frame is an ALPAR frame without its framing: 60 or E0, length (2 bytes, high
// first), command, data, LRC over everything before it.
type Frame struct {
	// NAK marks a negative answer; its last data byte is the error code.
	NAK  bool
	Cmd  byte
	Data []byte
}

// AppendTo appends the frame to dst. Data has at most MaxFrameData bytes.
func (f Frame) AppendTo(dst []byte) []byte {
	start := len(dst)
	first := byte(alparACK)
	if f.NAK {
		first = alparNAK
	}
	dst = append(dst, first, byte(len(f.Data)>>8), byte(len(f.Data)), f.Cmd)
	dst = append(dst, f.Data...)
	return append(dst, LRC(dst[start:]))
}

// FrameError says which field of an ALPAR frame is wrong.
type FrameError struct {
	// Field is "first byte", "length" or "LRC".
	Field  string
	Reason string
}

func (e *FrameError) Error() string { return "ALPAR frame " + e.Field + ": " + e.Reason }

// FrameNeed returns how many bytes the frame that begins with b has, as far as
// b can tell; when that is not more than len(b), the frame is complete.
func FrameNeed(b []byte) (int, error) {
	if len(b) > 0 && b[0] != alparACK && b[0] != alparNAK {
		return 0, &FrameError{"first byte", fmt.Sprintf("%02X is neither 60 nor E0", b[0])}
	}
	if len(b) < 3 {
		return 5, nil
	}
	n := int(b[1])<<8 | int(b[2])
	if n > MaxFrameData {
		return 0, &FrameError{"length", fmt.Sprintf("%d, at most %d", n, MaxFrameData)}
	}
	return n + 5, nil
}

// ParseFrame checks a complete frame. Data is a part of b. The error is a
// *FrameError.
func ParseFrame(b []byte) (Frame, error) {
	need, err := FrameNeed(b)
	if err != nil {
		return Frame{}, err
	}
	if need != len(b) {
		return Frame{}, &FrameError{"length", fmt.Sprintf("%d bytes, want %d", len(b), need)}
	}
	if x := LRC(b); x != 0 {
		return Frame{}, &FrameError{"LRC", fmt.Sprintf("%02X leaves %02X", b[need-1], x)}
	}
	return Frame{NAK: b[0] == alparNAK, Cmd: b[3], Data: b[4 : need-1 : need-1]}, nil
}
