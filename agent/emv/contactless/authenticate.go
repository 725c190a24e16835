package contactless

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"posagent/agent/emv"
	"posagent/agent/emv/oda"
	"posagent/agent/emv/tlv"
	"posagent/agent/payment"
)

const maxKeys = 16 // issuers whose key is kept: a shop sees few issuers often

// A keyCache holds issuer public keys that were recovered and found good. The oldest gives way.
type keyCache struct {
	entries [maxKeys]keyEntry
	next    uint8
}

// A keyEntry is found by everything its certificate was judged by, but for revocation, which is judged again.
type keyEntry struct {
	rid    emv.RID
	index  uint8
	day    [3]byte
	sum    [sha256.Size]byte // certificate, remainder, exponent, first digits of the card number
	serial [3]byte
	key    oda.Key
	valid  bool
}

func (c *keyCache) find(want *keyEntry) *keyEntry {
	for i := range c.entries {
		e := &c.entries[i]
		if e.valid && e.rid == want.rid && e.index == want.index && e.day == want.day && e.sum == want.sum {
			return e
		}
	}
	return nil
}

func (c *keyCache) add(e keyEntry) {
	c.entries[c.next%maxKeys] = e
	c.next = (c.next + 1) % maxKeys
}

// issuerDigits is how many digits of a card number an issuer identifier can have, EMV 4.4 Book 2, 5.1.
const issuerDigits = 8

var errMissing = errors.New("data objects for authentication are missing")

// issuerKey is the issuer's public key, from the cache when it was recovered on the same day for the same issuer.
func (s *session) issuerKey() (oda.Key, error) {
	idx, ok := s.store.Fixed(0x8F, 1)
	cert := s.certificate(0x90, 0x92, 0x9F32)
	if !ok || len(cert.Body) == 0 || len(cert.Exponent) == 0 {
		return oda.Key{}, errMissing
	}
	want := keyEntry{rid: emv.AID(s.value(0x84)).RID(), index: idx[0], valid: true}
	copy(want.day[:], s.value(0x9A))
	var room [3*256 + issuerDigits]byte
	b := tlv.Append(tlv.Append(tlv.Append(room[:0], 0x90, cert.Body), 0x92, cert.Remainder), 0x9F32, cert.Exponent)
	digits := s.pan.Reveal()
	want.sum = sha256.Sum256(append(b, digits[:min(len(digits), issuerDigits)]...))
	revoked := s.r.config.Revoked
	if e := s.r.keys.find(&want); e != nil {
		if revoked != nil && revoked(e.rid, e.index, e.serial) {
			return oda.Key{}, fmt.Errorf("%w: issuer certificate is revoked", oda.ErrFailed)
		}
		return e.key, nil
	}
	ca, ok := s.r.config.CAPKs.Lookup(want.rid, want.index)
	if !ok {
		return oda.Key{}, fmt.Errorf("%w: no CA public key %v %02X", oda.ErrFailed, want.rid, want.index)
	}
	serial := &want.serial
	key, err := oda.IssuerKey(oda.Authority{Key: ca, Now: s.now, Revoked: func(rid emv.RID, i uint8, n [3]byte) bool {
		*serial = n
		return revoked != nil && revoked(rid, i, n)
	}}, cert, s.pan)
	if err != nil {
		return oda.Key{}, err
	}
	want.key = key
	s.r.keys.add(want)
	return key, nil
}

func (s *session) certificate(body, remainder, exponent tlv.Tag) oda.Certificate {
	return oda.Certificate{Body: s.value(body), Remainder: s.value(remainder), Exponent: s.value(exponent)}
}

// cardKey is the card's public key. The static data ends with the AIP when the tag list names it, and the tag list may
// name nothing else. EMV 4.4 Book 2, 6.4; Book 3, 10.3.
func (s *session) cardKey() (oda.Key, error) {
	if s.broken {
		return oda.Key{}, fmt.Errorf("%w: a record to be authenticated is not a template 70", oda.ErrFailed)
	}
	cert := s.certificate(0x9F46, 0x9F48, 0x9F47)
	if len(cert.Body) == 0 || len(cert.Exponent) == 0 {
		return oda.Key{}, errMissing
	}
	issuer, err := s.issuerKey()
	if err != nil {
		return oda.Key{}, err
	}
	static := s.static
	if list, ok := s.store.Value(0x9F4A); ok {
		if !bytes.Equal(list, []byte{0x82}) {
			return oda.Key{}, fmt.Errorf("%w: tag list names more than the AIP", oda.ErrFailed)
		}
		static = append(static, s.aip[:]...)
	}
	return oda.ICCKey(issuer, cert, s.pan, static, s.now)
}

// account reads the card number from 5A and track 2: one of them at least, and the same number in both.
func (s *session) account() error {
	var room [40]byte
	if raw, ok := s.store.Value(0x57); ok {
		text, ok := nibbles(room[:0], raw)
		track, err := payment.NewTrack2(string(text))
		if !ok || err != nil {
			return cardFault("57 is no track 2")
		}
		s.track2, s.pan = track, track.PAN()
	}
	if raw, ok := s.store.Value(0x5A); ok {
		text, ok := nibbles(room[:0], raw)
		pan, err := payment.NewPAN(string(text))
		if !ok || err != nil {
			return cardFault("5A is no card number")
		}
		if !s.pan.IsZero() && s.pan.Reveal() != pan.Reveal() {
			return cardFault("57 and 5A hold different card numbers")
		}
		s.pan = pan
	}
	if s.pan.IsZero() {
		return cardFault("no card number")
	}
	if v, ok := s.store.Fixed(0x5F34, 1); ok {
		s.sequence = string([]byte{'0', '0' + v[0]>>4, '0' + v[0]&15})
		if v[0]>>4 > 9 || v[0]&15 > 9 {
			return cardFault("5F34 is no number")
		}
	}
	return nil
}

// nibbles spells compressed numeric data: digits, 'D' as it is, 'F' only at the end.
func nibbles(out, b []byte) ([]byte, bool) {
	ended := false
	for i := range 2 * min(len(b), 19) {
		switch c := b[i/2] >> (4 * (1 - uint(i)%2)) & 0x0F; {
		case c == 0x0F:
			ended = true
		case ended:
			return out, false
		case c <= 9:
			out = append(out, '0'+c)
		case c == 0x0D:
			out = append(out, 'D')
		default:
			return out, false
		}
	}
	return out, true
}
