package icc_test

import (
	"encoding/hex"
	"strings"
	"sync"

	"posagent/drivers/icc"
)

// atr makes an answer to reset from hex; "+" at the end appends TCK.
func atr(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSuffix(s, "+"), " ", ""))
	if err != nil {
		panic(err)
	}
	if strings.HasSuffix(s, "+") {
		b = append(b, icc.LRC(b[1:]))
	}
	return b
}

// Commands of the test card. The response is a function of the command alone.
const (
	insNop   = 0x10 // case 1
	insRead  = 0xB0 // case 2: P1 P2 bytes
	insWrite = 0xD6 // case 3
	insAsk   = 0xA4 // case 4: P1 P2 bytes that depend on the data
	insWarn  = 0x88 // the same with status 6283
)

// testCard answers the commands above and remembers what it was asked.
type testCard struct {
	atrs [][]byte // answers to the first reset, the second and so on

	silent bool // no answer any more

	mu     sync.Mutex
	resets int
	got    []string
}

func (c *testCard) ATR() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.atrs[min(c.resets, len(c.atrs))-1]
}

func (c *testCard) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resets++
}

func (c *testCard) Transmit(capdu []byte) []byte {
	c.mu.Lock()
	c.got = append(c.got, hex.EncodeToString(capdu))
	c.mu.Unlock()
	if c.silent {
		return nil
	}
	return respond(capdu)
}

// commands returns the distinct commands that reached the card.
func (c *testCard) commands() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.got...)
}

// respond is what the test card answers to capdu, with or without Le.
func respond(capdu []byte) []byte {
	if len(capdu) < 4 {
		return []byte{0x67, 0x00}
	}
	n := int(capdu[2])<<8 | int(capdu[3])
	seed := byte(n)
	if len(capdu) > 5 {
		for i, v := range capdu[5:min(len(capdu), 5+int(capdu[4]))] {
			seed = seed*31 + v + byte(i)
		}
	}
	data := make([]byte, n)
	for i := range data {
		data[i] = seed + byte(i*7) ^ byte(i>>8)
	}
	switch capdu[1] {
	case insNop:
		return []byte{0x90, 0x00}
	case insRead, insAsk:
		return append(data, 0x90, 0x00)
	case insWarn:
		return append(data, 0x62, 0x83)
	case insWrite:
		return []byte{0x90, seed}
	}
	return []byte{0x6D, 0x00}
}

// Command builders.
func nop() []byte { return []byte{0x80, insNop, 0, 0} }
func read(n int, le byte) []byte {
	return []byte{0x00, insRead, byte(n >> 8), byte(n), le}
}
func write(data []byte) []byte {
	return append([]byte{0x00, insWrite, 0, 0, byte(len(data))}, data...)
}
func ask(ins byte, n int, data []byte) []byte {
	b := append([]byte{0x00, ins, byte(n >> 8), byte(n), byte(len(data))}, data...)
	return append(b, 0)
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*5 + 3)
	}
	return b
}
