package cardsim

import (
	"bytes"
	"math/big"

	"posagent/agent/emv"
	"posagent/agent/emv/tlv"
)

// usualTries is how many wrong PINs a card takes when the personality does not say.
const usualTries = 3

// PIN blocks: EMV 4.4 Book 3, 6.5.12, table 24, and Book 2, 7.2, table 25.
const (
	pinHeader    = 0x7F
	blockControl = 0x20
	wrongPIN     = emv.SW(0x63C0)
)

// pinBlock is the plaintext PIN block of digits.
func pinBlock(digits string) (block [emv.PlainPINBlock]byte) {
	for i := range block {
		block[i] = 0xFF
	}
	block[0] = blockControl | byte(len(digits))
	copy(block[1:], bcdLeft(digits, emv.PlainPINBlock-1))
	return block
}

// pinPair is the key pair PINs are enciphered under; its modulus is empty when the application takes none.
func (a *app) pinPair(ring map[string]rsaKey) rsaKey {
	switch a.PINKey {
	case "icc":
		return a.icc
	case "own":
		return ring["pin-a"]
	}
	return rsaKey{}
}

// certifyPIN adds the record with the PIN encipherment certificate. Book 2, 7.1.
func (p *app) certifyPIN(issuer rsaKey) {
	cert, remainder := iccCertificate(issuer, p.pinPairKey, p.PAN, nil)
	body := tlv.Append(nil, 0x9F2D, cert)
	body = tlv.Append(body, 0x9F2E, p.pinPairKey.E)
	if len(remainder) > 0 {
		body = tlv.Append(body, 0x9F2F, remainder)
	}
	p.put(sfiPIN, 1, body)
	p.afl = append(p.afl, sfiPIN<<3, 1, 1, 0)
}

// getChallenge is GET CHALLENGE: eight bytes that hold for the next command. EMV 4.4 Book 3, 6.5.6.
func (c *Card) getChallenge(a *app) ([]byte, emv.SW) {
	if !c.run.started || len(a.pinPairKey.N) == 0 {
		return nil, emv.SWConditions
	}
	c.run.challenges++
	c.run.challenge = des3(a.key.session(a.atc), [8]byte{0xC4, c.run.challenges})
	c.run.challenged = true
	return bytes.Clone(c.run.challenge[:]), emv.SWOK
}

// verify is VERIFY of a plaintext or an enciphered PIN. EMV 4.4 Book 3, 6.5.12.
func (c *Card) verify(a *app, cmd emv.Command) ([]byte, emv.SW) {
	challenged := c.run.challenged
	c.run.challenged = false
	switch {
	case a.PIN == "":
		return nil, emv.SWWrongINS
	case !c.run.started:
		return nil, emv.SWConditions
	case cmd.P1 != 0 || cmd.P2 != emv.VerifyPlain && cmd.P2 != emv.VerifyEnciphered:
		return nil, emv.SWWrongP1P2
	case a.tries == 0:
		return nil, emv.SWAuthBlocked
	}
	want := pinBlock(a.PIN)
	if cmd.P2 == emv.VerifyPlain {
		if len(cmd.Data) != emv.PlainPINBlock {
			return nil, emv.SWWrongLength
		}
		return nil, a.judgePIN(bytes.Equal(cmd.Data, want[:]))
	}
	n := len(a.pinPairKey.N)
	if !challenged {
		return nil, emv.SWConditions
	}
	if n == 0 || len(cmd.Data) != n || new(big.Int).SetBytes(cmd.Data).Cmp(new(big.Int).SetBytes(a.pinPairKey.N)) >= 0 {
		return nil, emv.SWWrongLength
	}
	block := a.pinPairKey.sign(cmd.Data)
	good := block[0] == pinHeader && bytes.Equal(block[1:9], want[:]) && bytes.Equal(block[9:17], c.run.challenge[:])
	return nil, a.judgePIN(good)
}

// judgePIN counts a try.
func (a *app) judgePIN(good bool) emv.SW {
	if good {
		a.tries = a.maxTries()
		return emv.SWOK
	}
	a.tries--
	return wrongPIN | emv.SW(a.tries)
}

// maxTries is what the counter goes back to.
func (a *app) maxTries() uint8 {
	if a.PINTries == nil || *a.PINTries == 0 {
		return usualTries
	}
	return *a.PINTries
}

// PINTries is how many wrong PINs the first application still takes.
func (c *Card) PINTries() uint8 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.apps[0].tries
}

// script carries out an issuer's command. EMV 4.4 Book 3, 6.5.1 to 6.5.3 and 6.5.10.
func (c *Card) script(a *app, cmd emv.Command) ([]byte, emv.SW) {
	if c.faults[FaultRefuseScript] > 0 {
		return nil, emv.SWSecurityState
	}
	c.scripts++
	c.run.scriptsBegan = true
	switch cmd.INS {
	case 0x16:
		c.blocked = true
	case 0x18:
		a.blocked = false
	case 0x1E:
		a.blocked = true
	case emv.InsPINChange:
		a.tries = a.maxTries()
	}
	return nil, emv.SWOK
}
