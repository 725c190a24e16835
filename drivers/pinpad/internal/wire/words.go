package wire

// Version is the protocol's version, exchanged when a session opens. 2 brought
// CmdOfflinePIN.
const Version = 2

// Cmd is a word of the protocol: commands below 0x80 go to the pad, the others
// come from it.
type Cmd uint8

const (
	CmdOpen     Cmd = 0x01 // version(1) -> version(1)
	CmdIdentify Cmd = 0x02 // - -> Identity
	CmdKeyboard Cmd = 0x03 // on(1)
	CmdLoadKey  Cmd = 0x04 // use(text) cryptogram(text) kcv(text)
	CmdMAC      Cmd = 0x05 // flags(1) algorithm(text) offset(2) chunk -> last: MAC(8)
	CmdEnterPIN Cmd = 0x06 // PINRequest
	CmdCancel   Cmd = 0x07 // entry(1)
	CmdBeep     Cmd = 0x08 // milliseconds(2)
	// CmdOfflinePIN is OfflinePIN.
	CmdOfflinePIN Cmd = 0x09

	CmdAnswer    Cmd = 0x80 // seq of the command(1) command(1) status(1) body
	CmdKey       Cmd = 0x90 // key(1)
	CmdDots      Cmd = 0x91 // entry(1) count(1)
	CmdPINResult Cmd = 0x92 // entry(1) outcome(1) block | status(1)
	CmdTamper    Cmd = 0x93 // -
)

// Status is how a command went.
type Status uint8

const (
	OK        Status = 0
	Unknown   Status = 1 // no such command
	Malformed Status = 2 // the body is not what the command wants
	NoKey     Status = 3 // no key for this use
	BadKCV    Status = 4 // key check value differs
	BadUse    Status = 5 // no such use, or the key serves another one
	Tampered  Status = 6 // the pad was opened; keys are gone
	Busy      Status = 7 // a PIN entry is under way
	NoEntry   Status = 8 // no PIN entry to cancel
	Failed    Status = 9 // the secure module could not
)

func (s Status) String() string {
	names := [...]string{"ok", "unknown command", "malformed command", "no key", "key check value differs",
		"key use refused", "tampered", "busy", "no PIN entry", "failed inside"}
	if int(s) < len(names) {
		return names[s]
	}
	return "unknown status"
}

// Outcome is how a PIN entry ended.
type Outcome uint8

const (
	Entered   Outcome = 0 // with the enciphered block
	Bypassed  Outcome = 1
	Cancelled Outcome = 2
	TimedOut  Outcome = 3
	Aborted   Outcome = 4 // with the Status
)

// Flags of CmdMAC.
const (
	MACFirst uint8 = 1 << 0
	MACLast  uint8 = 1 << 1
)

// Bounds of a MAC: chunk of one command, and all of them together (an ISO 8583
// message of the profile stays below 2 kB).
const (
	MACChunk = 256
	MaxMAC   = 4096
)
