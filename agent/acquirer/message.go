package acquirer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strings"
)

// Message is one ISO 8583 message of a profile. Field values are the characters
// themselves: digits for n, digits and 'D' for z, bytes for all others; leading
// zeros stay. It is never to be printed: Describe is for that.
type Message struct {
	p      *Profile
	mti    string
	set    uint64 // bit id-1: field id is present
	values [maxField + 1][]byte
}

// String names the message without its content.
func (m *Message) String() string { return "message " + m.mti }

// GoString keeps the content out of %#v too.
func (m *Message) GoString() string { return m.String() }

// Format keeps it out of every other verb.
func (m *Message) Format(s fmt.State, _ rune) { fmt.Fprint(s, m.String()) }

// New gives an empty message of this type: four digits.
func (p *Profile) New(mti string) *Message { return &Message{p: p, mti: mti} }

// MTI is the message type, four digits.
func (m *Message) MTI() string { return m.mti }

// Set gives field id (2 to 64) a value; what it may hold is judged by Pack. A
// field that the profile does not know is a *FieldError.
func (m *Message) Set(id uint8, value string) error { return m.SetBytes(id, []byte(value)) }

// SetBytes is Set for bytes, which it keeps.
func (m *Message) SetBytes(id uint8, value []byte) error {
	if id < 2 || id > maxField || m.p.fields[id] == nil {
		return &FieldError{int(id), -1, "is not in the profile"}
	}
	m.values[id] = value
	m.set |= 1 << (id - 1)
	return nil
}

// Has reports whether field id is present.
func (m *Message) Has(id uint8) bool { return id >= 2 && id <= maxField && m.set&(1<<(id-1)) != 0 }

// Text is the value of field id; empty if it is absent.
func (m *Message) Text(id uint8) string {
	if !m.Has(id) {
		return ""
	}
	return string(m.values[id])
}

// Bytes is the value of field id as a copy; nil if it is absent.
func (m *Message) Bytes(id uint8) []byte {
	if !m.Has(id) {
		return nil
	}
	return append([]byte{}, m.values[id]...)
}

// Fields lists the fields that are present, in order.
func (m *Message) Fields() []uint8 {
	ids := make([]uint8, 0, bits.OnesCount64(m.set))
	for rest := m.set; rest != 0; rest &= rest - 1 {
		ids = append(ids, uint8(bits.TrailingZeros64(rest))+1)
	}
	return ids
}

// Pack gives the message's bytes, from message type to last field. Whatever does
// not fit its field is a *FieldError.
func (m *Message) Pack() ([]byte, error) {
	c := m.p.codec(m.set)
	w := c.take()
	w.MTI(m.mti)
	for rest := m.set; rest != 0; rest &= rest - 1 {
		id := bits.TrailingZeros64(rest) + 1
		if err := w.GetField(id).SetBytes(m.values[id]); err != nil {
			return nil, &FieldError{id, -1, "cannot be set"}
		}
	}
	b, err := w.Pack()
	if err != nil {
		return nil, typed(err, -1) // and w is not used again: a failure leaves it half filled
	}
	c.give(w)
	return b, nil
}

// Unpack reads exactly one message, and keeps none of b. Every error is a
// *FieldError: a field cut short, a length over the limit, a nibble that is not
// decimal, a fill that is not zero, a field that the profile does not have, a
// second bitmap, bytes after the last field. What it accepts packs to b again.
func (p *Profile) Unpack(b []byte) (*Message, error) {
	if len(b) < mtiSize+bitmapSize {
		return nil, &FieldError{-1, len(b), "is too short for message type and bitmap"}
	}
	own := append([]byte(nil), b...)
	m := &Message{p: p, set: bits.Reverse64(binary.BigEndian.Uint64(own[mtiSize:]))}
	if m.set&1 != 0 {
		return nil, &FieldError{1, mtiSize, "announces a second bitmap"}
	}
	ids := m.Fields()
	for _, id := range ids {
		if p.fields[id] == nil {
			return nil, &FieldError{int(id), mtiSize, "is not in the profile"}
		}
	}
	c := p.codec(m.set)
	r := c.take()
	if err := r.Unpack(own); err != nil {
		return nil, typed(err, len(own)) // and r is not used again
	}
	end := mtiSize + bitmapSize
	for _, id := range ids {
		value, err := r.GetBytes(int(id))
		if err != nil {
			return nil, &FieldError{int(id), -1, "cannot be read"}
		}
		m.values[id] = value
		end += p.fields[id].wireSize(len(value))
	}
	if end != len(own) {
		return nil, &FieldError{-1, end, fmt.Sprintf("has %d bytes after its last field", len(own)-end)}
	}
	mti, err := r.GetMTI()
	if err != nil {
		return nil, &FieldError{0, 0, "cannot be read"}
	}
	m.mti = mti
	c.give(r)
	return m, nil
}

// Meaning is which row of the profile's table a request is.
type Meaning struct {
	Transaction string // "sign_in", "sign_off", "echo" or the name of a payment.Type
	Reversal    bool
	MAC         bool
}

// Meaning finds the row by message type, field 3 and the first two digits and the
// network code of field 60: what a host does with a request. False: no row.
func (p *Profile) Meaning(m *Message) (Meaning, bool) {
	f60 := m.Text(60)
	if len(f60) < 8 {
		return Meaning{}, false
	}
	for name, tx := range p.tx {
		before, after, _ := strings.Cut(tx.F60, batchMark)
		if m.Text(3) != tx.Processing || f60[:2] != before || f60[8:] != after {
			continue
		}
		switch mti := m.MTI(); {
		case mti == tx.MTI:
			return Meaning{name, false, tx.MAC}, true
		case mti == tx.Reversal:
			return Meaning{name, true, tx.MAC}, true
		}
	}
	return Meaning{}, false
}

// typed makes a FieldError of what the library returns, and drops the library's
// own error, which carries the message. total is -1 when packing.
func typed(err error, total int) error {
	var w *wireError
	if !errors.As(err, &w) {
		return &FieldError{-1, -1, "cannot be coded"}
	}
	at := -1
	if total >= 0 {
		at = total - w.rest
	}
	return &FieldError{w.field, at, w.reason}
}
