package cardsim

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
)

// A Card is a virtual card in some state of power. Make one with New or Open.
type Card struct {
	personality Personality
	apps        []*app
	directory   []byte // the record of the PSE directory file

	mu       sync.Mutex // guards everything below
	faults   map[Fault]uint32
	commands uint32 // since the last reset
	scripts  uint32
	blocked  bool
	reads    byte // counts the answers that FaultChangingRecords spoils
	selected int  // index of the application, none or pse
	run      run
}

// Values of Card.selected that are not an application.
const (
	none = -1
	pse  = -2
)

// run is the state of one transaction.
type run struct {
	started      bool // GET PROCESSING OPTIONS succeeded
	pdolData     []byte
	cdol1Data    []byte
	arqc         [8]byte
	cryptograms  uint8
	authTried    bool
	authOK       bool
	scriptsBegan bool
	challenge    [8]byte
	challenged   bool // the challenge holds: it was the last command
	challenges   uint8
}

// New personalises a card: a few milliseconds, for the certificates.
func New(p Personality) (*Card, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	ring, err := keyRing()
	if err != nil {
		return nil, err
	}
	c := &Card{personality: p, faults: map[Fault]uint32{}, selected: none, blocked: p.Blocked == "card"}
	for f, n := range p.Faults {
		c.faults[f] = n
	}
	for _, a := range p.Applications {
		one, err := personalise(a, ring, p.Faults[FaultChangedPAN] > 0)
		if err != nil {
			return nil, err
		}
		c.apps = append(c.apps, one)
		entry := tlv.Append(nil, 0x4F, a.AID)
		entry = tlv.Append(entry, 0x50, []byte(a.Label))
		entry = tlv.Append(entry, 0x87, []byte{a.Priority})
		c.directory = tlv.Append(c.directory, 0x61, entry)
	}
	c.directory = tlv.Append(nil, 0x70, c.directory)
	return c, nil
}

// Personality is what the card was made of.
func (c *Card) Personality() Personality { return c.personality }

// ATR is the answer to reset: EMV 4.4 Book 1, 8.3, basic answers of T=0 and T=1.
func (c *Card) ATR() []byte {
	atr := c.personality.ATR
	if len(atr) == 0 {
		if atr = atrT0; c.personality.Protocol == "T=1" {
			atr = atrT1
		}
	}
	return bytes.Clone(atr)
}

// Reset is a reset or a new activation: nothing is selected, counters stay.
func (c *Card) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.selected, c.run, c.commands = none, run{}, 0
}

// SetFault switches a fault on, or off with 0. FaultChangedPAN is personalised and cannot be switched.
func (c *Card) SetFault(f Fault, n uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults[f] = n
}

// Scripts is how many issuer script commands the card has carried out in its life.
func (c *Card) Scripts() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.scripts
}

// Transmit answers one command APDU. An empty answer means that the card is mute.
func (c *Card) Transmit(capdu []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.commands++
	if n := c.faults[FaultSilentAfter]; n > 0 && c.commands >= n {
		return nil
	}
	cmd, err := emv.ParseCommand(capdu)
	if err != nil {
		return answer(nil, emv.SWWrongLength)
	}
	return answer(c.command(cmd))
}

func answer(data []byte, sw emv.SW) []byte {
	return append(data[:len(data):len(data)], byte(sw>>8), byte(sw))
}

// command dispatches on class and instruction.
func (c *Card) command(cmd emv.Command) ([]byte, emv.SW) {
	switch {
	case cmd.CLA == 0x00 && cmd.INS == emv.InsSelect:
		return c.selectName(cmd)
	case cmd.CLA == 0x00 && cmd.INS == emv.InsReadRecord:
		return c.readRecord(cmd)
	case c.selected < 0:
		return nil, emv.SWConditions
	}
	a := c.apps[c.selected]
	switch uint16(cmd.CLA)<<8 | uint16(cmd.INS) {
	case 0x8000 | uint16(emv.InsGPO):
		return c.processingOptions(a, cmd)
	case 0x8000 | uint16(emv.InsGetData):
		return a.data(tlv.Tag(cmd.P1)<<8 | tlv.Tag(cmd.P2))
	case uint16(emv.InsInternalAuthenticate):
		return c.internalAuthenticate(a, cmd)
	case uint16(emv.InsExternalAuthenticate):
		return c.externalAuthenticate(a, cmd)
	case 0x8000 | uint16(emv.InsGenerateAC):
		return c.generateAC(a, cmd)
	case uint16(emv.InsVerify):
		return c.verify(a, cmd)
	case uint16(emv.InsGetChallenge):
		return c.getChallenge(a)
	}
	if cmd.CLA&0xF0 == 0x80 && isScript(cmd.INS) && c.run.cryptograms > 0 {
		return c.script(a, cmd)
	}
	if cmd.CLA&0x70 != 0 {
		return nil, emv.SWWrongCLA
	}
	return nil, emv.SWWrongINS
}

// isScript tells the commands an issuer script may hold. EMV 4.4 Book 3, 6.5 and 10.10.
func isScript(ins byte) bool {
	switch ins {
	case 0x16, 0x18, 0x1E, 0x24, 0xDA, 0xDC: // card block, application unblock, block, PIN change, PUT DATA, UPDATE RECORD
		return true
	}
	return false
}

const pseName = "1PAY.SYS.DDF01"

// selectName is SELECT by name, first or next occurrence. EMV 4.4 Book 1, 11.3.
func (c *Card) selectName(cmd emv.Command) ([]byte, emv.SW) {
	if cmd.P1 != 0x04 || cmd.P2 != 0x00 && cmd.P2 != 0x02 {
		return nil, emv.SWWrongP1P2
	}
	c.run = run{}
	if c.blocked {
		return nil, emv.SWNotSupported // EMV 4.4 Book 1, 11.3.5: card blocked
	}
	if c.personality.PSE && string(cmd.Data) == pseName {
		c.selected = pse
		body := tlv.Append(nil, 0x84, cmd.Data)
		body = tlv.Append(body, 0xA5, []byte{0x88, 0x01, 0x01})
		return tlv.Append(nil, 0x6F, body), emv.SWOK
	}
	from := 0
	if cmd.P2 == 0x02 {
		if from = max(c.selected+1, 0); c.faults[FaultEndlessSelectNext] > 0 {
			from = 0
		}
	}
	for i, a := range c.apps[from:] {
		if bytes.HasPrefix(a.AID, cmd.Data) {
			c.selected = from + i
			if a.blocked {
				return a.fci, emv.SWInvalidated
			}
			return a.fci, emv.SWOK
		}
	}
	return nil, emv.SWNotFound
}

// readRecord is READ RECORD. EMV 4.4 Book 1, 11.2.
func (c *Card) readRecord(cmd emv.Command) ([]byte, emv.SW) {
	sfi, record := cmd.P2>>3, cmd.P1
	if cmd.P2&0x07 != 0x04 {
		return nil, emv.SWWrongP1P2
	}
	if c.selected == pse && sfi == 1 {
		if record != 1 && c.faults[FaultEndlessPSE] == 0 {
			return nil, emv.SWNoRecord
		}
		return c.directory, emv.SWOK
	}
	if c.selected < 0 || !c.run.started {
		return nil, emv.SWConditions
	}
	body, ok := c.apps[c.selected].records[recordKey(sfi, record)]
	if !ok {
		return nil, emv.SWNoRecord
	}
	if c.faults[FaultChangingRecords] > 0 { // every answer differs from the one before
		c.reads++
		body = bytes.Clone(body)
		body[len(body)-1] ^= c.reads
	}
	if c.faults[FaultNestedTemplates] > 0 {
		return bytes.Repeat([]byte{0x70, 0x80 - 2}, 64), emv.SWOK
	}
	if c.faults[FaultLyingLength] > 0 {
		return append([]byte{0x70, 0x83, 0x00, 0xFF, 0xFF}, body[2:]...), emv.SWOK
	}
	return body, emv.SWOK
}

// data answers GET DATA. EMV 4.4 Book 3, 6.5.7.
func (a *app) data(tag tlv.Tag) ([]byte, emv.SW) {
	switch tag {
	case 0x9F36:
		return tlv.Append(nil, tag, []byte{byte(a.atc >> 8), byte(a.atc)}), emv.SWOK
	case 0x9F17:
		if a.PIN != "" && !a.PINHidden {
			return tlv.Append(nil, tag, []byte{a.tries}), emv.SWOK
		}
	case 0x9F13:
		return tlv.Append(nil, tag, []byte{byte(a.last >> 8), byte(a.last)}), emv.SWOK
	}
	return nil, emv.SWNoData
}

// ErrMute is what a Direct card gives for no answer.
var ErrMute = errors.New("card does not answer")

type direct struct{ card *Card }

// Direct puts a card straight before a kernel, with no reader between.
func Direct(c *Card) emv.Card { return direct{c} }

// Transmit implements emv.Card.
func (d direct) Transmit(ctx context.Context, capdu []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r := d.card.Transmit(capdu); len(r) > 0 {
		return r, nil
	}
	return nil, ErrMute
}
