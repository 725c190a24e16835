package cardsim

import (
	"bytes"
	"context"
	"sync"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
)

const ppseName = "2PAY.SYS.DDF01"

// A Contactless is a virtual card or telephone in the field: a PPSE and applications of kernels 2, 3 and 7. Make one with
// NewContactless or OpenContactless. It may be used from several goroutines.
type Contactless struct {
	personality ContactlessPersonality
	apps        []*tapApp
	directory   []byte // the answer to SELECT PPSE

	mu       sync.Mutex // guards everything below
	faults   map[Fault]uint32
	commands uint32 // since the field came on
	lifetime uint32 // commands since the card was made
	selected int    // index of the application, or none
	options  []byte // PDOL data of this transaction; nil before GET PROCESSING OPTIONS
	relay    []byte // entropies and timings of this transaction's relay resistance exchange
	relays   uint32
	done     bool // the cryptogram was given
}

// NewContactless personalises a card.
func NewContactless(p ContactlessPersonality) (*Contactless, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	ring, err := keyRing()
	if err != nil {
		return nil, err
	}
	c := &Contactless{personality: p, faults: map[Fault]uint32{}, selected: none}
	for f, n := range p.Faults {
		c.faults[f] = n
	}
	var list []byte
	for _, a := range p.Applications {
		one, err := personaliseTap(a, ring, p.Faults[FaultChangedPAN] > 0)
		if err != nil {
			return nil, err
		}
		c.apps = append(c.apps, one)
		list = tlv.Append(list, 0x61, a.entry())
	}
	body := tlv.Append(nil, 0x84, []byte(ppseName))
	body = tlv.Append(body, 0xA5, tlv.Append(nil, 0xBF0C, list))
	c.directory = tlv.Append(nil, 0x6F, body)
	return c, nil
}

// OpenContactless makes a card of an embedded contactless personality.
func OpenContactless(name string) (*Contactless, error) {
	p, err := LoadContactless(name)
	if err != nil {
		return nil, err
	}
	return NewContactless(p)
}

// Personality is what the card was made of.
func (c *Contactless) Personality() ContactlessPersonality { return c.personality }

// Reset is the field going off and on again: nothing is selected; counters and a torn cryptogram stay.
func (c *Contactless) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.selected, c.options, c.relay, c.relays, c.commands, c.done = none, nil, nil, 0, 0, false
}

// SetFault switches a fault on, or off with 0. FaultChangedPAN is personalised and cannot be switched.
func (c *Contactless) SetFault(f Fault, n uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults[f] = n
}

// Transmit answers one command APDU. An empty answer means that the card is mute or out of the field.
func (c *Contactless) Transmit(capdu []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.commands++
	c.lifetime++
	if n := c.faults[FaultSilentAfter]; n > 0 && c.commands >= n {
		return nil
	}
	cmd, err := emv.ParseCommand(capdu)
	if err != nil {
		return answer(nil, emv.SWWrongLength)
	}
	out := answer(c.command(cmd))
	if n := c.faults[FaultTornAt]; n > 0 && c.lifetime == n {
		return nil // the card worked, the answer is lost with the field
	}
	if c.faults[FaultHuge] > 0 {
		return make([]byte, tlv.MaxTotal)
	}
	return out
}

func (c *Contactless) command(cmd emv.Command) ([]byte, emv.SW) {
	switch {
	case cmd.CLA == 0x00 && cmd.INS == emv.InsSelect:
		return c.selectName(cmd)
	case c.selected < 0:
		return nil, emv.SWConditions
	}
	a := c.apps[c.selected]
	switch uint16(cmd.CLA)<<8 | uint16(cmd.INS) {
	case uint16(emv.InsReadRecord):
		return c.readRecord(a, cmd)
	case 0x8000 | uint16(emv.InsGPO):
		return c.processingOptions(a, cmd)
	case 0x80EA:
		return c.relayResistance(a, cmd)
	case 0x8000 | uint16(emv.InsGenerateAC):
		return c.generateAC(a, cmd)
	case 0x80D0:
		return a.recoverAC(cmd)
	}
	return nil, emv.SWWrongINS
}

// selectName is SELECT by name. EMV Contactless Book B, 3.3 and 3.4.
func (c *Contactless) selectName(cmd emv.Command) ([]byte, emv.SW) {
	if cmd.P1 != 0x04 || cmd.P2 != 0x00 {
		return nil, emv.SWWrongP1P2
	}
	c.selected, c.options, c.relay, c.done = none, nil, nil, false
	if string(cmd.Data) == ppseName {
		if c.faults[FaultEndlessPPSE] > 0 {
			return c.crowd(), emv.SWOK
		}
		return c.directory, emv.SWOK
	}
	if c.faults[FaultEndlessPPSE] > 0 {
		return nil, emv.SWNotFound
	}
	for i, a := range c.apps {
		if bytes.Equal(append(a.AID[:len(a.AID):len(a.AID)], a.Extended...), cmd.Data) || bytes.HasPrefix(a.AID, cmd.Data) {
			c.selected = i
			return a.fci, emv.SWOK
		}
	}
	return nil, emv.SWNotFound
}

// crowd is a directory with as many entries as fit into one answer: none of them can be selected.
func (c *Contactless) crowd() []byte {
	var list []byte
	for i := byte(0); ; i++ {
		e := tlv.Append(list, 0x61, tlv.Append(nil, 0x4F, append(c.apps[0].AID[:len(c.apps[0].AID):len(c.apps[0].AID)], i)))
		body := tlv.Append(nil, 0x84, []byte(ppseName))
		whole := tlv.Append(nil, 0x6F, tlv.Append(body, 0xA5, tlv.Append(nil, 0xBF0C, e)))
		if len(whole) > emv.MaxResponseData {
			return tlv.Append(nil, 0x6F, tlv.Append(body, 0xA5, tlv.Append(nil, 0xBF0C, list)))
		}
		list = e
	}
}

func (c *Contactless) readRecord(a *tapApp, cmd emv.Command) ([]byte, emv.SW) {
	body, ok := a.records[recordKey(cmd.P2>>3, cmd.P1)]
	if cmd.P2&0x07 != 0x04 || !ok || c.options == nil {
		return nil, emv.SWNoRecord
	}
	if c.faults[FaultLyingLength] > 0 {
		return append([]byte{0x70, 0x83, 0x00, 0xFF, 0xFF}, body[2:]...), emv.SWOK
	}
	return body, emv.SWOK
}

type inField struct{ card *Contactless }

// InField puts a contactless card straight before a kernel, with no reader between.
func InField(c *Contactless) emv.Card { return inField{c} }

// Transmit implements emv.Card.
func (f inField) Transmit(ctx context.Context, capdu []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r := f.card.Transmit(capdu); len(r) > 0 {
		return r, nil
	}
	return nil, ErrMute
}
