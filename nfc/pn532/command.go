package pn532

import "fmt"

// Commands of the chip: UM0701-02, 7. The code of a response is one more.
const (
	CmdDiagnose            = 0x00
	CmdGetFirmwareVersion  = 0x02
	CmdSetSerialBaudRate   = 0x10
	CmdSAMConfiguration    = 0x14
	CmdPowerDown           = 0x16
	CmdRFConfiguration     = 0x32
	CmdInDataExchange      = 0x40
	CmdInDeselect          = 0x44
	CmdInListPassiveTarget = 0x4A
	CmdInPSL               = 0x4E
	CmdInRelease           = 0x52
)

// Parameters of commands.
const (
	// DiagnoseLine returns its parameters, DiagnosePresent asks an active card
	// for a sign of life (UM0701-02, 7.2.1).
	DiagnoseLine    = 0x00
	DiagnosePresent = 0x06
	// RFField, RFTimings, RFRetries are items of RFConfiguration (7.3.1).
	RFField   = 0x01
	RFTimings = 0x02
	RFRetries = 0x05
	// Target106A and Target106B are BrTy of InListPassiveTarget (7.3.5).
	Target106A = 0x00
	Target106B = 0x03
	// MoreInformation marks a part of a longer APDU in Tg and in the status of
	// InDataExchange (7.3.8).
	MoreInformation = 0x40
	// SAMNormal switches the secure module off (7.2.10).
	SAMNormal = 0x01
	// WakeHSU lets a serial line wake the chip (7.2.11).
	WakeHSU = 0x10
)

// MaxData is the most that one InDataExchange carries, either way.
const MaxData = 262

// BaudRates are the speeds of SetSerialBaudRate by their code (7.2.8).
var BaudRates = [...]uint32{9_600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 921_600, 1_288_000}

// ResetBaud is the speed of the line after a reset of the chip.
const ResetBaud = 115_200

// Status is an error code of the chip: UM0701-02, 7.1, table 14.
type Status uint8

// Status codes that the driver or the simulator names.
const (
	StatusTimeout    Status = 0x01
	StatusCRC        Status = 0x02
	StatusParity     Status = 0x03
	StatusFraming    Status = 0x05
	StatusBuffer     Status = 0x07
	StatusFieldOff   Status = 0x0A
	StatusProtocol   Status = 0x0B
	StatusParameter  Status = 0x10
	StatusDataFormat Status = 0x13
	StatusContext    Status = 0x25
	StatusReleased   Status = 0x29
	StatusNoTarget   Status = 0x27
)

// statusMask: the upper bits of a status byte say NAD and MI.
const statusMask = 0x3F

var statusText = map[Status]string{
	StatusTimeout: "card did not answer in time", StatusCRC: "wrong CRC", StatusParity: "wrong parity",
	0x04: "wrong bit count in anticollision", StatusFraming: "framing error", 0x06: "bit collision",
	StatusBuffer: "buffer too small", 0x09: "RF buffer overflow", StatusFieldOff: "field is off",
	StatusProtocol: "RF protocol error", 0x0D: "chip is too hot", 0x0E: "internal buffer overflow",
	StatusParameter: "invalid parameter", StatusDataFormat: "data format does not match", 0x14: "authentication error",
	0x23: "wrong UID check byte", StatusContext: "command not allowed now", 0x26: "command not allowed in this context",
	StatusNoTarget: "no such target", StatusReleased: "target was released", 0x2A: "card has changed",
	0x2B: "card has gone", 0x2D: "over-current",
}

// Error says what the chip meant.
func (s Status) Error() string {
	if t, ok := statusText[s]; ok {
		return fmt.Sprintf("PN532 status %02X: %s", uint8(s), t)
	}
	return fmt.Sprintf("PN532 status %02X", uint8(s))
}

// silent says that nothing was heard of the card, which may have left.
func (s Status) silent() bool {
	switch s {
	case StatusTimeout, StatusNoTarget, StatusReleased, 0x2A, 0x2B:
		return true
	}
	return false
}
