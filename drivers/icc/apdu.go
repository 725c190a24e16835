package icc

import "fmt"

const (
	// MaxCommand is the longest short command APDU: header, Lc, 255 data, Le.
	MaxCommand = 4 + 1 + 255 + 1
	// MaxResponse bounds a response APDU. EMV needs 258; the rest is room for
	// cards that chain with 61xx. A card that sends more is lying.
	MaxResponse = 4096 + 2
)

// CommandError says what is wrong with a command APDU. Nothing was sent.
type CommandError struct {
	// Field is the wrong part: "header", "INS", "Lc" or "Le".
	Field  string
	Reason string
}

func (e *CommandError) Error() string { return "command APDU " + e.Field + ": " + e.Reason }

// command is a short command APDU taken apart (ISO/IEC 7816-3:2006, 12.1).
type command struct {
	head [4]byte
	data []byte // Nc bytes, empty in cases 1 and 2
	le   byte   // 00 stands for 256
	hasL bool   // Le is there: cases 2 and 4
}

// parseCommand takes a short command APDU apart. Extended lengths are refused:
// EMV Book 1, 9.1.1 knows only short ones.
func parseCommand(b []byte) (command, error) {
	var c command
	if len(b) < 4 {
		return c, &CommandError{"header", fmt.Sprintf("%d bytes, want 4", len(b))}
	}
	copy(c.head[:], b)
	// 6X and 9X are no INS: T=0 could not tell them from SW1 (7816-3, 10.3.2).
	if hi := c.head[1] & 0xF0; hi == 0x60 || hi == 0x90 {
		return c, &CommandError{"INS", fmt.Sprintf("%02X is reserved", c.head[1])}
	}
	switch {
	case len(b) == 4: // case 1
		return c, nil
	case len(b) == 5: // case 2
		c.le, c.hasL = b[4], true
		return c, nil
	}
	lc := uint32(b[4])
	switch {
	case lc == 0:
		return c, &CommandError{"Lc", "00 before data (extended length is not supported)"}
	case uint32(len(b)) == 5+lc: // case 3
		c.data = b[5:]
	case uint32(len(b)) == 6+lc: // case 4
		c.data, c.le, c.hasL = b[5:5+lc], b[5+lc], true
	default:
		return c, &CommandError{"Lc", fmt.Sprintf("%d, but %d bytes follow", lc, len(b)-5)}
	}
	return c, nil
}

// count is the number of bytes a length byte P3, Le stands for.
func count(le byte) uint32 {
	if le == 0 {
		return 256
	}
	return uint32(le)
}
