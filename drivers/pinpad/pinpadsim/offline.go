package pinpadsim

import (
	"fmt"
	"io"
	"math/big"
	"time"

	"posagent/drivers/pinpad/internal/wire"
)

// Parts of a PIN for a card: header, PIN block, the card's challenge, random
// padding. EMV 4.4 Book 2, 7.2, table 25. The block is control and length, the
// digits two to a byte, filler F: Book 3, 6.5.12, table 24.
const (
	cardHeader  = 0x7F
	cardControl = 0x20
	cardBlock   = 8
)

// cardKey is what a PIN for a card is enciphered with.
type cardKey struct {
	modulus   big.Int
	exponent  big.Int
	size      uint8 // bytes of the modulus
	challenge [8]byte
}

// newCardKey judges the key: 512 to 1984 bits, odd, exponent 3 or 65537.
func newCardKey(r wire.OfflinePIN) (*cardKey, bool) {
	k := &cardKey{size: uint8(len(r.Modulus)), challenge: r.Challenge}
	k.modulus.SetBytes(r.Modulus)
	k.exponent.SetBytes(r.Exponent)
	if len(r.Modulus) < 64 || len(r.Modulus) > 248 || r.Modulus[0]&0x80 == 0 || k.modulus.Bit(0) == 0 {
		return nil, false
	}
	if !k.exponent.IsUint64() || k.exponent.Uint64() != 3 && k.exponent.Uint64() != 65537 {
		return nil, false
	}
	return k, true
}

func (d *Device) offlinePIN(p []byte, now time.Time) wire.Status {
	r, ok := wire.ParseOfflinePIN(p)
	if !ok {
		return wire.Malformed
	}
	req := wire.PINRequest{Entry: r.Entry, Min: r.Min, Max: r.Max, Bypass: r.Bypass, Timeout: r.Timeout}
	key, ok := newCardKey(r)
	switch {
	case !ok, !sane(req):
		return wire.Malformed
	case d.entry != nil:
		return wire.Busy
	}
	d.entry = &entry{req: req, card: key, until: now.Add(req.Timeout)}
	return wire.OK
}

func (d *Device) encipherForCard(now time.Time) {
	block, err := d.entry.card.encipher(d.entry.digits[:d.entry.n], d.opts.Rand)
	if err != nil {
		d.endEntry(now, wire.Aborted, byte(wire.Failed))
		return
	}
	d.endEntry(now, wire.Entered, block...)
}

// encipher gives the data of VERIFY. pin is 4 to 12 ASCII digits.
func (k *cardKey) encipher(pin []byte, rand io.Reader) ([]byte, error) {
	data := make([]byte, k.size)
	defer clear(data)
	data[0] = cardHeader
	block := data[1 : 1+cardBlock]
	for i := range block {
		block[i] = 0xFF
	}
	block[0] = cardControl | byte(len(pin))
	for i, c := range pin {
		b := &block[1+i/2]
		if i%2 == 0 {
			*b = (c-'0')<<4 | 0x0F
		} else {
			*b = *b&0xF0 | (c - '0')
		}
	}
	copy(data[1+cardBlock:], k.challenge[:])
	if _, err := io.ReadFull(rand, data[1+cardBlock+len(k.challenge):]); err != nil {
		return nil, fmt.Errorf("draw padding: %w", err)
	}
	var x big.Int
	x.SetBytes(data)
	return x.Exp(&x, &k.exponent, &k.modulus).FillBytes(make([]byte, k.size)), nil
}
