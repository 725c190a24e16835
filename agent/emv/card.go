package emv

import (
	"context"
	"errors"
	"fmt"
)

// A Card answers commands. An ICC reader, a card in the field and the virtual card satisfy it without knowing it.
//
// Transmit sends one whole command APDU and returns the whole response APDU with its status word; chaining below that
// (T=0 procedure bytes, 61xx, 6Cxx, ISO-DEP blocks) is the reader's. An error means that the card did not answer. The
// card keeps capdu no longer than the call; the kernel reads rapdu until its next call.
type Card interface {
	Transmit(ctx context.Context, capdu []byte) (rapdu []byte, err error)
}

// Sizes of short APDUs, EMV 4.4 Book 1, 9.4: at most 255 bytes of command data and 256 of response data.
const (
	MaxCommandData  = 255
	MaxResponseData = 256
)

// ErrAPDU is the error of a command that cannot be built or a response that cannot be one.
var ErrAPDU = errors.New("APDU is not valid")

// SW is the status word of a response, SW1 in the high byte.
type SW uint16

// Status words with a meaning of their own in EMV 4.4 Book 3, 6.3.5.
const (
	SWOK            SW = 0x9000
	SWInvalidated   SW = 0x6283 // selected file or application is blocked
	SWNotSupported  SW = 0x6A81
	SWNotFound      SW = 0x6A82
	SWNoRecord      SW = 0x6A83
	SWConditions    SW = 0x6985
	SWNoData        SW = 0x6A88
	SWAuthFailed    SW = 0x6300
	SWAuthBlocked   SW = 0x6983
	SWWrongP1P2     SW = 0x6A86
	SWWrongLength   SW = 0x6700
	SWWrongINS      SW = 0x6D00
	SWWrongCLA      SW = 0x6E00
	SWSecurityState SW = 0x6982
)

// Warning reports SW1 62 or 63: the command was processed, with a remark.
func (sw SW) Warning() bool { return sw>>8 == 0x62 || sw>>8 == 0x63 }

func (sw SW) String() string { return fmt.Sprintf("%04X", uint16(sw)) }

// A Command is a short command APDU. Le asks for up to 256 bytes in return.
type Command struct {
	CLA, INS, P1, P2 byte
	Data             []byte
	Le               bool
}

// Commands of EMV 4.4 Book 1, 11 and Book 3, 6.5.
const (
	InsExternalAuthenticate byte = 0x82
	InsInternalAuthenticate byte = 0x88
	InsGenerateAC           byte = 0xAE
	InsGetChallenge         byte = 0x84
	InsGetData              byte = 0xCA
	InsGPO                  byte = 0xA8
	InsReadRecord           byte = 0xB2
	InsSelect               byte = 0xA4
	InsVerify               byte = 0x20
	InsPINChange            byte = 0x24
)

// AppendTo appends the command's bytes. Data over MaxCommandData is an error wrapping ErrAPDU.
func (c Command) AppendTo(dst []byte) ([]byte, error) {
	if len(c.Data) > MaxCommandData {
		return dst, fmt.Errorf("build command %02X%02X: %d bytes of data: %w", c.CLA, c.INS, len(c.Data), ErrAPDU)
	}
	dst = append(dst, c.CLA, c.INS, c.P1, c.P2)
	if len(c.Data) > 0 {
		dst = append(dst, byte(len(c.Data)))
		dst = append(dst, c.Data...)
	}
	if c.Le {
		dst = append(dst, 0)
	}
	return dst, nil
}

// ParseCommand reads a short command APDU of ISO/IEC 7816-4, cases 1 to 4. Data aliases b.
func ParseCommand(b []byte) (Command, error) {
	if len(b) < 4 {
		return Command{}, fmt.Errorf("parse command: %d bytes: %w", len(b), ErrAPDU)
	}
	c := Command{CLA: b[0], INS: b[1], P1: b[2], P2: b[3]}
	body := b[4:]
	if len(body) <= 1 {
		c.Le = len(body) == 1
		return c, nil
	}
	lc := int(body[0])
	body = body[1:]
	if lc == 0 || lc > len(body) || len(body) > lc+1 {
		return Command{}, fmt.Errorf("parse command: Lc %d before %d bytes: %w", lc, len(body), ErrAPDU)
	}
	c.Data, c.Le = body[:lc:lc], len(body) == lc+1
	return c, nil
}

// ParseResponse splits a response APDU into data, which aliases b, and status word.
func ParseResponse(b []byte) (data []byte, sw SW, err error) {
	n := len(b) - 2
	if n < 0 || n > MaxResponseData {
		return nil, 0, fmt.Errorf("parse response: %d bytes: %w", len(b), ErrAPDU)
	}
	return b[:n:n], SW(b[n])<<8 | SW(b[n+1]), nil
}
