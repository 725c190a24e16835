package emv

import (
	"encoding/hex"
	"fmt"
	"log/slog"

	"posagent/agent/emv/tlv"
)

// A Store holds the data objects of one transaction and who put them there. A value is copied when it is set. The zero
// Store is empty and ready for use.
type Store struct {
	index map[tlv.Tag]entry
	arena []byte // values one after another; old arrays live on while an entry points into them
}

type entry struct {
	value  []byte
	source tlv.Source
}

// arenaSize holds the values of an ordinary contact transaction, certificates included, without growing.
const arenaSize = 2048

// Set puts a value under a tag, replacing an earlier one.
func (s *Store) Set(tag tlv.Tag, value []byte, source tlv.Source) {
	if s.index == nil {
		s.index = make(map[tlv.Tag]entry, 64)
		s.arena = make([]byte, 0, arenaSize)
	}
	if old, ok := s.index[tag]; ok && len(old.value) == len(value) {
		copy(old.value, value)
		s.index[tag] = entry{old.value, source}
		return
	}
	if len(s.arena)+len(value) > cap(s.arena) {
		s.arena = make([]byte, 0, max(arenaSize, len(value)))
	}
	at := len(s.arena)
	s.arena = append(s.arena, value...)
	s.index[tag] = entry{s.arena[at:len(s.arena):len(s.arena)], source}
}

// Value returns the value under a tag. The caller must neither change it nor keep it across a Set of the same tag. It
// fits tlv.FillDOL.
func (s *Store) Value(tag tlv.Tag) ([]byte, bool) {
	e, ok := s.index[tag]
	return e.value, ok
}

// Has reports whether a tag has a value.
func (s *Store) Has(tag tlv.Tag) bool { _, ok := s.index[tag]; return ok }

// Source says who set a tag.
func (s *Store) Source(tag tlv.Tag) tlv.Source { return s.index[tag].source }

// Fixed returns the value under a tag when it has exactly n bytes.
func (s *Store) Fixed(tag tlv.Tag, n int) ([]byte, bool) {
	v, ok := s.Value(tag)
	return v, ok && len(v) == n
}

// Append appends the data object under a tag in TLV form; an absent one appends nothing.
func (s *Store) Append(dst []byte, tag tlv.Tag) []byte {
	if v, ok := s.Value(tag); ok {
		return tlv.Append(dst, tag, v)
	}
	return dst
}

// Wipe overwrites every value with zeros and empties the store.
func (s *Store) Wipe() {
	for _, e := range s.index {
		clear(e.value)
	}
	clear(s.index)
	s.arena = s.arena[:0]
}

// Secret reports whether a data object must not be shown: card number, track data, cardholder name, PIN data and the
// ICC certificate, which anyone who has the scheme's public key can open to the card number.
func Secret(tag tlv.Tag) bool {
	switch tag {
	case 0x5A, 0x57, 0x56, 0x5F20, 0x9F0B, 0x9F1F, 0x9F20, 0x9F6B, 0x99, 0x9F46, 0x9F2D:
		return true
	}
	return false
}

// Show is a value in hexadecimal, or stars for a secret.
func Show(tag tlv.Tag, value []byte) string {
	if Secret(tag) {
		return fmt.Sprintf("[%d bytes hidden]", len(value))
	}
	return hex.EncodeToString(value)
}

// String says how much the store holds and nothing of it.
func (s *Store) String() string { return fmt.Sprintf("emv.Store of %d data objects", len(s.index)) }

// GoString is String.
func (s *Store) GoString() string { return s.String() }

// Format is String for every verb, so that %+v cannot print the values.
func (s *Store) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }

// LogValue is String.
func (s *Store) LogValue() slog.Value { return slog.StringValue(s.String()) }
