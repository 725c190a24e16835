package pcsc

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"posagent/drivers/icc"
)

// Socket is where pcscd listens unless it was told otherwise.
const Socket = "/run/pcscd/pcscd.comm"

// order is the machine's: the daemon writes its structures as they lie in memory.
var order = binary.NativeEndian

// Commands of the socket (pcsc-lite, enum pcsc_msg_commands).
const (
	cmdEstablish  uint32 = 0x01
	cmdRelease    uint32 = 0x02
	cmdConnect    uint32 = 0x04
	cmdReconnect  uint32 = 0x05
	cmdDisconnect uint32 = 0x06
	cmdTransmit   uint32 = 0x09
	cmdVersion    uint32 = 0x11
	cmdReaders    uint32 = 0x12
)

// Protocol versions of the socket that have the same structures for these commands.
const (
	major    = 4
	minMinor = 2
	maxMinor = 4
)

// Sizes in bytes.
const (
	headerSize  = 8
	nameSize    = 128 // MAX_READERNAME
	atrSize     = 33  // MAX_ATR_SIZE
	stateSize   = nameSize + 12 + 36 + 8
	maxReaders  = 16 // PCSCLITE_MAX_READERS_CONTEXTS
	connectSize = 4 + nameSize + 20
	receiveSize = icc.MaxResponse
)

// Values of PC/SC part 5 and pcsclite.h.
const (
	scopeSystem    uint32 = 2
	shareExclusive uint32 = 1
	protocolT0     uint32 = 1
	protocolT1     uint32 = 2
	unpowerCard    uint32 = 2
	statePresent   uint32 = 0x04
	pciSize        uint32 = 16 // of SCARD_IO_REQUEST; the daemon does not look at it
)

// words packs 32-bit fields into a structure.
func words(fields ...uint32) []byte {
	b := make([]byte, 0, 4*len(fields))
	for _, f := range fields {
		b = order.AppendUint32(b, f)
	}
	return b
}

// word is the field number i, from 0, of a structure of 32-bit fields.
func word(b []byte, i int) uint32 { return order.Uint32(b[4*i:]) }

// ReaderState is one reader as the daemon sees it.
type ReaderState struct {
	Name    string
	Present bool   // a card is in it
	ATR     []byte // of that card, as far as the daemon has powered it
}

// parseReaders takes the table of all readers apart: maxReaders structures of stateSize bytes, unused ones without a
// name.
func parseReaders(b []byte) ([]ReaderState, error) {
	if len(b) != maxReaders*stateSize {
		return nil, fmt.Errorf("reader states: %d bytes, want %d", len(b), maxReaders*stateSize)
	}
	var out []ReaderState
	for ; len(b) > 0; b = b[stateSize:] {
		name, _, _ := bytes.Cut(b[:nameSize], []byte{0})
		if len(name) == 0 {
			continue
		}
		n := order.Uint32(b[nameSize+48:])
		if n > atrSize {
			return nil, fmt.Errorf("reader %q: ATR of %d bytes", name, n)
		}
		at := nameSize + 12
		out = append(out, ReaderState{
			Name:    strings.ToValidUTF8(string(name), "?"),
			Present: order.Uint32(b[nameSize+4:])&statePresent != 0,
			ATR:     bytes.Clone(b[at : at+int(n)]),
		})
	}
	return out, nil
}

// connectRequest is struct connect_struct.
func connectRequest(context uint32, reader string) []byte {
	b := words(context)
	name := make([]byte, nameSize)
	copy(name[:nameSize-1], reader)
	b = append(b, name...)
	return append(b, words(shareExclusive, protocolT0|protocolT1, 0, 0, 0)...)
}

// Code is a result of the daemon.
type Code uint32

// Results that the reader tells apart (PC/SC part 5; pcsclite.h).
const (
	codeOK            Code = 0
	codeTimeout       Code = 0x8010000A
	codeSharing       Code = 0x8010000B
	codeNoCard        Code = 0x8010000C
	codeUnknownReader Code = 0x80100009
	codeMismatch      Code = 0x8010000F
	codeComm          Code = 0x80100013
	codeNotTransacted Code = 0x80100016
	codeUnavailable   Code = 0x80100017
	codeStopped       Code = 0x8010001E
	codeNoService     Code = 0x8010001D
	codeMute          Code = 0x80100066
	codeUnpowered     Code = 0x80100067
	codeReset         Code = 0x80100068
	codeRemoved       Code = 0x80100069
	codeForbidden     Code = 0x8010006A
)

var codeWords = map[Code]string{
	codeTimeout: "time-out", codeSharing: "another program uses the card", codeNoCard: "no card",
	codeUnknownReader: "unknown reader", codeMismatch: "no protocol in common with the card", codeComm: "communication failed",
	codeNotTransacted: "the exchange failed", codeUnavailable: "reader unavailable", codeStopped: "service stopped",
	codeNoService: "no service", codeMute: "card is mute", codeUnpowered: "card without power", codeReset: "card was reset",
	codeRemoved: "card removed", codeForbidden: "access denied",
}

func (c Code) String() string {
	if w, ok := codeWords[c]; ok {
		return fmt.Sprintf("%08X (%s)", uint32(c), w)
	}
	return fmt.Sprintf("%08X", uint32(c))
}

// Error is a result of the daemon that no sentinel of package icc stands for.
type Error struct {
	Doing string
	Code  Code
}

func (e *Error) Error() string { return "pcscd: " + e.Doing + ": " + e.Code.String() }
