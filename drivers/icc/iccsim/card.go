package iccsim

import "time"

// Card answers APDUs. It is used by one goroutine at a time.
type Card interface {
	// ATR is the answer to reset in direct notation, TS first. It is asked for
	// after each Reset, and may differ from one to the next.
	ATR() []byte
	// Reset tells the card, before each answer to reset, that its volatile
	// state is gone.
	Reset()
	// Transmit answers a command APDU with a response APDU. Fewer than 2 bytes
	// mean that the card falls silent until the next reset.
	Transmit(capdu []byte) (rapdu []byte)
}

// Faults is what goes wrong. The zero value is a good card. Characters are
// counted from 0 since SetFaults, apart for each direction, answers to reset
// included.
type Faults struct {
	// Mute: no answer to reset.
	Mute bool
	// Drop: characters of the card that are never sent.
	Drop []uint32
	// Corrupt: characters of the card that arrive with wrong parity.
	Corrupt []uint32
	// Lose: characters of the terminal that the card does not hear.
	Lose []uint32
	// PullAfter takes the card out when so many characters have gone over the
	// wire in both directions; 0 never.
	PullAfter uint32
	// Extend asks for more time that often before each response: NULL
	// procedure bytes in T=0, S(WTX) in T=1.
	Extend uint32
	// Slow is how long the card thinks before each NULL, in each extension that
	// was granted, and before the response.
	Slow time.Duration
	// BadEDC damages the check of so many T=1 blocks, the next ones.
	BadEDC uint32
}

func hit(list []uint32, n uint32) bool {
	for _, v := range list {
		if v == n {
			return true
		}
	}
	return false
}

// incoming is the default of Opts.Incoming: the commands of EMV 4.4 Book 3,
// section 6.5, and ISO/IEC 7816-4 that carry data to the card.
func incoming(_, ins byte) bool {
	switch ins {
	case 0xA4, 0xA8, 0xAE, 0x88, 0x82, // SELECT, GPO, GENERATE AC, INTERNAL, EXTERNAL AUTHENTICATE
		0x20, 0x24, 0x2C, // VERIFY, PIN CHANGE, RESET RETRY COUNTER
		0x16, 0x18, 0x1E, // CARD BLOCK, APPLICATION UNBLOCK, APPLICATION BLOCK
		0xD6, 0xDC, 0xDA, 0xDB, 0xD0, 0xD2, 0xE2, // writing
		0x22, 0x2A: // MANAGE SECURITY ENVIRONMENT, PERFORM SECURITY OPERATION
		return true
	}
	return false
}
