package wire

import (
	"encoding/binary"
	"time"
)

// Text and byte strings in bodies are a length byte and at most this many bytes.
const maxText = 255

// AppendText appends a byte string with its length; ok is false if it is too long.
func AppendText(dst []byte, text []byte) (out []byte, ok bool) {
	if len(text) > maxText {
		return dst, false
	}
	return append(append(dst, byte(len(text))), text...), true
}

// Body reads a body from its front. Each method reports false when the bytes do
// not suffice, and leaves the rest as it is.
type Body []byte

// Byte takes one byte.
func (b *Body) Byte() (uint8, bool) {
	if len(*b) < 1 {
		return 0, false
	}
	v := (*b)[0]
	*b = (*b)[1:]
	return v, true
}

// Uint16 takes two bytes, big endian.
func (b *Body) Uint16() (uint16, bool) {
	if len(*b) < 2 {
		return 0, false
	}
	v := binary.BigEndian.Uint16(*b)
	*b = (*b)[2:]
	return v, true
}

// Uint32 takes four bytes, big endian.
func (b *Body) Uint32() (uint32, bool) {
	if len(*b) < 4 {
		return 0, false
	}
	v := binary.BigEndian.Uint32(*b)
	*b = (*b)[4:]
	return v, true
}

// Text takes a byte string with its length; the result is part of the body.
func (b *Body) Text() ([]byte, bool) {
	if len(*b) < 1 || len(*b)-1 < int((*b)[0]) {
		return nil, false
	}
	n := 1 + int((*b)[0])
	v := (*b)[1:n:n]
	*b = (*b)[n:]
	return v, true
}

// Answer is the pad's word on a command.
type Answer struct {
	Re     uint8 // sequence number of the command
	Cmd    Cmd
	Status Status
	Body   []byte
}

// AppendTo appends the body of a CmdAnswer.
func (a Answer) AppendTo(dst []byte) []byte {
	return append(append(dst, a.Re, byte(a.Cmd), byte(a.Status)), a.Body...)
}

// ParseAnswer takes the body of a CmdAnswer apart.
func ParseAnswer(p []byte) (Answer, bool) {
	if len(p) < 3 {
		return Answer{}, false
	}
	return Answer{Re: p[0], Cmd: Cmd(p[1]), Status: Status(p[2]), Body: p[3:]}, true
}

// PINRequest is the body of CmdEnterPIN.
type PINRequest struct {
	Entry    uint8
	Format   uint8
	Min, Max uint8
	Bypass   bool
	Timeout  time.Duration // whole milliseconds on the wire
	PAN      []byte        // digits
}

// AppendTo appends the body; ok is false when the card number is too long.
func (r PINRequest) AppendTo(dst []byte) (out []byte, ok bool) {
	bypass := byte(0)
	if r.Bypass {
		bypass = 1
	}
	dst = append(dst, r.Entry, r.Format, r.Min, r.Max, bypass)
	dst = binary.BigEndian.AppendUint32(dst, uint32(r.Timeout/time.Millisecond))
	return AppendText(dst, r.PAN)
}

// ParsePINRequest takes the body apart; PAN is part of it.
func ParsePINRequest(p []byte) (r PINRequest, ok bool) {
	if len(p) < 10 || p[4] > 1 {
		return r, false
	}
	r = PINRequest{Entry: p[0], Format: p[1], Min: p[2], Max: p[3], Bypass: p[4] == 1}
	b := Body(p[5:])
	ms, _ := b.Uint32()
	r.Timeout = time.Duration(ms) * time.Millisecond
	r.PAN, ok = b.Text()
	return r, ok && len(b) == 0
}

// OfflinePIN is the body of CmdOfflinePIN: a PIN that the pad enciphers for the
// card and not for the host. EMV 4.4 Book 2, 7.2.
type OfflinePIN struct {
	Entry     uint8
	Min, Max  uint8
	Bypass    bool
	Timeout   time.Duration // whole milliseconds on the wire
	Challenge [8]byte       // the card's unpredictable number
	Exponent  []byte        // of the card's key, big endian
	Modulus   []byte        // up to 255 bytes
}

// AppendTo appends the body; ok is false when the key is too long.
func (r OfflinePIN) AppendTo(dst []byte) (out []byte, ok bool) {
	bypass := byte(0)
	if r.Bypass {
		bypass = 1
	}
	dst = append(dst, r.Entry, r.Min, r.Max, bypass)
	dst = binary.BigEndian.AppendUint32(dst, uint32(r.Timeout/time.Millisecond))
	dst = append(dst, r.Challenge[:]...)
	if dst, ok = AppendText(dst, r.Exponent); !ok {
		return dst, false
	}
	return AppendText(dst, r.Modulus)
}

// ParseOfflinePIN takes the body apart; the key is part of it.
func ParseOfflinePIN(p []byte) (r OfflinePIN, ok bool) {
	if len(p) < 16 || p[3] > 1 {
		return r, false
	}
	r = OfflinePIN{Entry: p[0], Min: p[1], Max: p[2], Bypass: p[3] == 1, Challenge: [8]byte(p[8:16])}
	r.Timeout = time.Duration(binary.BigEndian.Uint32(p[4:])) * time.Millisecond
	b := Body(p[16:])
	var okExponent, okModulus bool
	r.Exponent, okExponent = b.Text()
	r.Modulus, okModulus = b.Text()
	return r, okExponent && okModulus && len(b) == 0
}

// MaxSlots bounds the key slots a pad may name.
const MaxSlots = 16

// Slot is a key that the pad holds.
type Slot struct {
	Use []byte
	KCV [4]byte
}

// Identity is the body of the answer to CmdIdentify.
type Identity struct {
	Tampered                bool
	Serial, Model, Firmware []byte
	Slots                   []Slot
}

// AppendTo appends the body; ok is false when a text or the number of slots is
// too large.
func (i Identity) AppendTo(dst []byte) (out []byte, ok bool) {
	flags := byte(0)
	if i.Tampered {
		flags = 1
	}
	dst = append(dst, flags)
	for _, text := range [][]byte{i.Serial, i.Model, i.Firmware} {
		if dst, ok = AppendText(dst, text); !ok {
			return dst, false
		}
	}
	if len(i.Slots) > MaxSlots {
		return dst, false
	}
	dst = append(dst, byte(len(i.Slots)))
	for _, s := range i.Slots {
		if dst, ok = AppendText(dst, s.Use); !ok {
			return dst, false
		}
		dst = append(dst, s.KCV[:]...)
	}
	return dst, true
}

// ParseIdentity takes the body apart; texts are part of it.
func ParseIdentity(p []byte) (i Identity, ok bool) {
	b := Body(p)
	flags, ok := b.Byte()
	if !ok || flags > 1 {
		return i, false
	}
	i.Tampered = flags == 1
	for _, text := range []*[]byte{&i.Serial, &i.Model, &i.Firmware} {
		if *text, ok = b.Text(); !ok {
			return Identity{}, false
		}
	}
	n, ok := b.Byte()
	if !ok || n > MaxSlots {
		return Identity{}, false
	}
	for range n {
		use, okUse := b.Text()
		kcv, okKCV := b.Uint32()
		if !okUse || !okKCV {
			return Identity{}, false
		}
		s := Slot{Use: use}
		binary.BigEndian.PutUint32(s.KCV[:], kcv)
		i.Slots = append(i.Slots, s)
	}
	return i, len(b) == 0
}
