package tlv

import (
	"errors"
	"fmt"
)

// Bounds on what a card may send. The deepest template EMV defines is 6F/A5/BF0C/61, four levels; 64 KiB is far above
// the largest record of 255 bytes and bounds what a caller may concatenate.
const (
	MaxDepth    = 8
	MaxTotal    = 64 << 10
	maxTagBytes = 4
	maxLenBytes = 3
)

// Errors of the walker.
var (
	ErrTruncated = errors.New("data object runs past the end")
	ErrTag       = errors.New("tag field is not valid")
	ErrLength    = errors.New("length field is not valid")
	ErrDepth     = errors.New("templates nest too deep")
	ErrTooLarge  = errors.New("input is over 64 KiB")
)

// A Tag is a data object's tag as the number its bytes spell, most significant byte first: '9F26' is 0x9F26.
type Tag uint32

// Constructed reports whether the value is itself a sequence of data objects (bit 6 of the first byte).
func (t Tag) Constructed() bool { return t.first()&0x20 != 0 }

// Size is the number of bytes of the tag field, 1 to 4.
func (t Tag) Size() uint8 {
	switch {
	case t > 0xFFFFFF:
		return 4
	case t > 0xFFFF:
		return 3
	case t > 0xFF:
		return 2
	}
	return 1
}

func (t Tag) first() byte { return byte(t >> (8 * (uint32(t.Size()) - 1))) }

// AppendTo appends the bytes of the tag field.
func (t Tag) AppendTo(dst []byte) []byte {
	for i := int(t.Size()) - 1; i >= 0; i-- {
		dst = append(dst, byte(t>>(8*uint(i))))
	}
	return dst
}

// String is the tag in hexadecimal.
func (t Tag) String() string { return fmt.Sprintf("%02X", uint32(t)) }

// An Object is one data object. Value aliases the parsed input.
type Object struct {
	Tag   Tag
	Value []byte
}

// cutTag splits the tag field off b. EMV 4.4 Book 3, Annex B1.
func cutTag(b []byte) (Tag, []byte, error) {
	if len(b) == 0 {
		return 0, nil, ErrTruncated
	}
	t := Tag(b[0])
	if b[0] == 0 {
		return 0, nil, ErrTag
	}
	if b[0]&0x1F != 0x1F {
		return t, b[1:], nil
	}
	for i := 1; i < maxTagBytes; i++ {
		if i >= len(b) {
			return 0, nil, ErrTruncated
		}
		if i == 1 && b[i]&0x7F == 0 && b[i] != 0 {
			return 0, nil, ErrTag // a tag number with a leading zero septet has no meaning
		}
		t = t<<8 | Tag(b[i])
		if b[i]&0x80 == 0 {
			return t, b[i+1:], nil
		}
	}
	return 0, nil, ErrTag
}

// cutLength splits the length field off b. EMV 4.4 Book 3, Annex B2.
func cutLength(b []byte) (uint32, []byte, error) {
	if len(b) == 0 {
		return 0, nil, ErrTruncated
	}
	n := b[0] & 0x7F
	if b[0] < 0x80 {
		return uint32(n), b[1:], nil
	}
	if n == 0 || n > maxLenBytes {
		return 0, nil, ErrLength
	}
	if int(n) >= len(b) {
		return 0, nil, ErrTruncated
	}
	var l uint32
	for _, c := range b[1 : 1+n] {
		l = l<<8 | uint32(c)
	}
	return l, b[1+n:], nil
}

// Next returns the first data object of b and what follows it. '00' padding before it is skipped; when only padding is
// left the object has Tag 0 and rest is empty.
func Next(b []byte) (o Object, rest []byte, err error) {
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	if len(b) == 0 {
		return Object{}, nil, nil
	}
	tag, b, err := cutTag(b)
	if err != nil {
		return Object{}, nil, err
	}
	n, b, err := cutLength(b)
	if err != nil {
		return Object{}, nil, err
	}
	if uint64(n) > uint64(len(b)) {
		return Object{}, nil, ErrTruncated
	}
	return Object{Tag: tag, Value: b[:n:n]}, b[n:], nil
}

// ErrStop, returned by a walk function, ends the walk without an error.
var ErrStop = errors.New("stop the walk")

// Walk calls fn for every data object of b, templates before their content, depth 0 being the outermost. It ends at the
// first error of the encoding or of fn; ErrStop ends it cleanly. Objects before an encoding error have been visited: a
// caller that must not act on a broken input calls Check first.
func Walk(b []byte, fn func(depth int, o Object) error) error {
	if len(b) > MaxTotal {
		return ErrTooLarge
	}
	err := walk(b, 0, fn)
	if err == ErrStop {
		return nil
	}
	return err
}

func walk(b []byte, depth int, fn func(depth int, o Object) error) error {
	if depth >= MaxDepth && len(b) > 0 {
		return ErrDepth
	}
	for len(b) > 0 { // ends: Next consumes at least one byte of a finite slice
		o, rest, err := Next(b)
		if err != nil {
			return err
		}
		b = rest
		if o.Tag == 0 {
			return nil
		}
		if err := fn(depth, o); err != nil {
			return err
		}
		if o.Tag.Constructed() {
			if err := walk(o.Value, depth+1, fn); err != nil {
				return err
			}
		}
	}
	return nil
}

// Check reports whether the whole of b is well-formed, templates included.
func Check(b []byte) error {
	return Walk(b, func(int, Object) error { return nil })
}

// Find returns the value of the first data object with the tag at any depth.
func Find(b []byte, tag Tag) (value []byte, ok bool) {
	_ = Walk(b, func(_ int, o Object) error {
		if o.Tag == tag {
			value, ok = o.Value, true
			return ErrStop
		}
		return nil
	})
	return value, ok
}

// Template returns the content of b when b is exactly one data object with that tag, padding aside, and its content is
// well-formed.
func Template(b []byte, tag Tag) ([]byte, error) {
	if len(b) > MaxTotal {
		return nil, ErrTooLarge
	}
	o, rest, err := Next(b)
	if err != nil {
		return nil, err
	}
	if o.Tag != tag {
		return nil, fmt.Errorf("template %v expected, %v found: %w", tag, o.Tag, ErrTag)
	}
	for _, c := range rest {
		if c != 0 {
			return nil, fmt.Errorf("bytes after template %v: %w", tag, ErrLength)
		}
	}
	if tag.Constructed() {
		if err := Check(o.Value); err != nil {
			return nil, err
		}
	}
	return o.Value, nil
}

// Duplicate returns the first tag of a primitive data object that occurs twice in b at any depth. Its cost is the square
// of the number of objects, so at most maxDuplicateScan of them are compared; an input with more is reported as
// holding its last tag twice, because no EMV record has that many objects.
func Duplicate(b []byte) (dup Tag, found bool) {
	var seen [maxDuplicateScan]Tag
	n := 0
	_ = Walk(b, func(_ int, o Object) error {
		if o.Tag.Constructed() {
			return nil
		}
		for _, t := range seen[:n] {
			if t == o.Tag {
				dup, found = o.Tag, true
				return ErrStop
			}
		}
		if n == len(seen) {
			dup, found = o.Tag, true
			return ErrStop
		}
		seen[n] = o.Tag
		n++
		return nil
	})
	return dup, found
}

const maxDuplicateScan = 128

// Append appends a primitive or constructed data object with the shortest length field. Values over MaxTotal bytes do
// not occur in EMV; they are encoded all the same.
func Append(dst []byte, tag Tag, value []byte) []byte {
	dst = tag.AppendTo(dst)
	dst = appendLength(dst, uint32(len(value)))
	return append(dst, value...)
}

func appendLength(dst []byte, n uint32) []byte {
	switch {
	case n < 0x80:
		return append(dst, byte(n))
	case n <= 0xFF:
		return append(dst, 0x81, byte(n))
	case n <= 0xFFFF:
		return append(dst, 0x82, byte(n>>8), byte(n))
	default:
		return append(dst, 0x83, byte(n>>16), byte(n>>8), byte(n))
	}
}
