package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"posagent/agent/emv/judge"
	"posagent/drivers/icc"
	"posagent/drivers/icc/pcsc"
)

// cardWait bounds how long emv run waits for a card to be inserted.
const cardWait = 30 * time.Second

// socketPath is where pcscd listens: the variable is the one its own library obeys.
func socketPath() string {
	if path := os.Getenv("PCSCLITE_CSOCK_NAME"); path != "" {
		return path
	}
	return pcsc.Socket
}

// listReaders prints the names of pcscd's readers.
func (c *cli) listReaders(ctx context.Context, socket string) error {
	client, err := pcsc.Dial(ctx, socket)
	if err != nil {
		return err
	}
	defer client.Close()
	readers, err := client.Readers(ctx)
	if err != nil {
		return err
	}
	for _, r := range readers {
		fmt.Fprintf(c.out, "%s\t%s\n", r.Name, yes(r.Present, "card inserted", "empty"))
	}
	return nil
}

// openReader finds the reader whose name is name or begins with it, waits for a card and activates it.
func openReader(ctx context.Context, socket, name string, contactless bool) (*pcsc.Reader, func(), error) {
	client, err := pcsc.Dial(ctx, socket)
	if err != nil {
		return nil, nil, err
	}
	reader, err := client.Open(ctx, name, &pcsc.Opts{ISO: contactless})
	if err != nil {
		client.Close()
		return nil, nil, err
	}
	stop := func() {
		reader.Halt()
		client.Close()
	}
	bounded, cancel := context.WithTimeout(ctx, cardWait)
	defer cancel()
	if err := reader.Wait(bounded, true); err != nil {
		stop()
		return nil, nil, fmt.Errorf("wait for a card in %s: %w", reader, err)
	}
	if _, err := reader.Activate(ctx); err != nil {
		stop()
		return nil, nil, err
	}
	return reader, stop, nil
}

// explainATR takes an answer to reset apart. ISO/IEC 7816-3, 8; EMV 4.4 Book 1, 8.3.
func explainATR(b []byte) (judge.Explanation, error) {
	x := judge.Explanation{Form: formATR, Name: "Answer To Reset", Hex: fmt.Sprintf("%X", b)}
	atr, err := icc.ParseATR(b)
	if err != nil {
		return x, err
	}
	say := func(format string, args ...any) { x.Words = append(x.Words, fmt.Sprintf(format, args...)) }
	if atr.Inverse {
		say("TS 3F: inverse convention")
	} else {
		say("TS 3B: direct convention")
	}
	for i, g := range atr.Groups {
		var list []string
		for _, one := range []struct {
			name string
			char icc.Interface
		}{{"TA", g.TA}, {"TB", g.TB}, {"TC", g.TC}, {"TD", g.TD}} {
			if one.char.Present {
				list = append(list, fmt.Sprintf("%s%d %02X", one.name, i+1, one.char.Value))
			}
		}
		if len(list) > 0 {
			say("%s (for %v)", strings.Join(list, ", "), g.T)
		}
	}
	p := atr.Params()
	say("first protocol %v, %d clocks per bit, extra guard time %d bits", atr.Protocol(), 372/uint32(max(p.D, 1)), p.N)
	if p.Protocol == icc.T1 {
		say("blocks of up to %d bytes, block waiting time %d bits, character waiting time %d bits", p.IFSC, p.BWT, p.CWT)
	} else {
		say("work waiting time %d bits", p.WWT)
	}
	if len(atr.Historical) > 0 {
		say("historical bytes %X %q", atr.Historical, plain(atr.Historical))
	}
	for _, warm := range []bool{false, true} {
		when := yes(warm, "warm", "cold")
		if err := atr.CheckEMV(warm); err != nil {
			say("EMV rejects it after a %s reset: %v", when, err)
		} else {
			say("EMV accepts it after a %s reset", when)
		}
	}
	return x, nil
}

// plain is ASCII text with dots for the rest.
func plain(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7E {
			return '.'
		}
		return r
	}, string(b))
}
