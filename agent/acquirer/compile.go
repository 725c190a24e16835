package acquirer

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"sync"

	"github.com/moov-io/iso8583"
	"github.com/moov-io/iso8583/encoding"
	"github.com/moov-io/iso8583/field"
	"github.com/moov-io/iso8583/prefix"
)

// Sizes of a message: type in BCD, one bitmap of 64 bits.
const (
	mtiSize    = 2
	bitmapSize = 8
	maxField   = 64
	macField   = 64
	macSize    = 8
)

func (f *profileFile) rules(p *Profile) error {
	for key, r := range f.Fields {
		id, err := strconv.ParseUint(key, 10, 8)
		if err != nil || id < 2 || id > maxField || r == nil || strconv.FormatUint(id, 10) != key {
			return fmt.Errorf("fields: %q is not 2 to %d", key, maxField)
		}
		if err := r.check(); err != nil {
			return fmt.Errorf("fields.%s: %w", key, err)
		}
		p.fields[id] = r
	}
	if m := p.fields[macField]; m == nil || m.Format != "b" || m.Prefix != "" || m.Length != macSize {
		return fmt.Errorf("fields.64: must be 8 fixed bytes")
	}
	return nil
}

func (r *fieldRule) check() error {
	largest := map[string]uint16{"": 999, "LL": 99, "LLL": 999}
	limit, ok := largest[r.Prefix]
	if r.Counts == "bytes" {
		limit *= 2
	}
	switch {
	case !ok:
		return fmt.Errorf("prefix: %q is not LL or LLL", r.Prefix)
	case r.Length == 0 || r.Length > limit:
		return fmt.Errorf("length: %d is not 1 to %d", r.Length, limit)
	case !oneOf(r.Format, "n", "z", "an", "gbk", "b"):
		return fmt.Errorf("format: %q is not n, z, an, gbk or b", r.Format)
	case !oneOf(r.Align, "", "left", "right"):
		return fmt.Errorf("align: %q is not left or right", r.Align)
	case r.Align == "" && r.packedDigits() && (r.Prefix != "" || r.Length%2 == 1):
		return fmt.Errorf("align: missing where the count of digits can be odd")
	case r.Align != "" && !r.packedDigits():
		return fmt.Errorf("align: only digits are aligned")
	case !oneOf(r.Show, "", "plain", "pan") || r.Show == "pan" && r.Format != "n":
		return fmt.Errorf("show: %q is not plain or pan", r.Show)
	case !oneOf(r.Counts, "", "bytes") || r.Counts != "" && (r.Prefix == "" || !r.packedDigits()):
		return fmt.Errorf("counts: only a prefix before digits may count bytes")
	case r.Prefix == "" && r.Min != 0 || r.Min > r.Length:
		return fmt.Errorf("min: %d", r.Min)
	case r.Name == "":
		return fmt.Errorf("name: missing")
	}
	if r.Prefix != "" && r.Min == 0 && r.packedDigits() {
		r.Min = 1
	}
	return nil
}

func oneOf(s string, all ...string) bool {
	for _, a := range all {
		if s == a {
			return true
		}
	}
	return false
}

func (f *profileFile) messages(p *Profile) error {
	lists := map[string][]uint8{"match": p.match, "reversal_fields": p.reversal}
	for _, name := range []string{txSignIn, txSignOff, txEcho} {
		if p.tx[name] == nil {
			return fmt.Errorf("transactions: %s is missing", name)
		}
	}
	for name, tx := range p.tx {
		if err := tx.check(); err != nil {
			return fmt.Errorf("transactions.%s: %w", name, err)
		}
		lists["transactions."+name+".fields"] = tx.Fields
	}
	for name, list := range lists {
		if len(list) == 0 {
			return fmt.Errorf("%s: empty", name)
		}
		last := uint8(0)
		for _, id := range list {
			if id <= last || id > maxField || p.fields[id] == nil {
				return fmt.Errorf("%s: field %d is unknown or out of order", name, id)
			}
			last = id
		}
	}
	return nil
}

func (tx *transaction) check() error {
	switch {
	case tx == nil:
		return fmt.Errorf("empty")
	case !digits(tx.MTI, 4) || tx.MTI[2]%2 == 1: // '0' is even; an odd third digit is an answer
		return fmt.Errorf("mti: %q is not the type of a request", tx.MTI)
	case tx.Processing != "" && !digits(tx.Processing, 6):
		return fmt.Errorf("processing: %q is not 6 digits", tx.Processing)
	case tx.Condition != "" && !digits(tx.Condition, 2):
		return fmt.Errorf("condition: %q is not 2 digits", tx.Condition)
	case tx.Reversal != "" && (!digits(tx.Reversal, 4) || tx.Reversal[2]%2 == 1):
		return fmt.Errorf("reversal: %q is not the type of a request", tx.Reversal)
	}
	before, after, ok := strings.Cut(tx.F60, batchMark)
	if !ok || !digits(before, 2) || strings.Trim(after, "0123456789") != "" {
		return fmt.Errorf("f60: %q is not two digits, {batch} and digits", tx.F60)
	}
	if tx.MAC != (len(tx.Fields) > 0 && tx.Fields[len(tx.Fields)-1] == macField) {
		return fmt.Errorf("mac: field 64 and the switch disagree")
	}
	return nil
}

// batchMark stands for field 60.2 in a transaction's f60.
const batchMark = "{batch}"

// maxCodecs bounds the codecs that are kept: a profile uses a few dozen sets of
// fields, and a host could think of any number.
const maxCodecs = 64

// codecs keeps the library's objects by the set of fields they are for. It makes
// one of every field of a spec for every message, which costs more than the
// coding itself; so a spec here has the fields of its set only, and its messages
// are used again.
type codecs struct {
	mu  sync.Mutex
	set map[uint64]*codec
}

// codec makes and reads messages of one set of fields.
type codec struct {
	set  uint64
	spec *iso8583.MessageSpec
	idle sync.Pool // *iso8583.Message, holding no values
}

func (c *codec) take() *iso8583.Message {
	if m, ok := c.idle.Get().(*iso8583.Message); ok {
		return m
	}
	m := iso8583.NewMessage(c.spec)
	for rest := c.set; rest != 0; rest &= rest - 1 {
		_ = m.BinaryField(bits.TrailingZeros64(rest)+1, nil) // marks it present; the spec has it
	}
	return m
}

// give puts a message back, without what it held. Only after success: a failed
// message knows no longer which fields it has.
func (c *codec) give(m *iso8583.Message) {
	for rest := c.set; rest != 0; rest &= rest - 1 {
		_ = m.GetField(bits.TrailingZeros64(rest) + 1).SetBytes(nil) // a Binary takes anything
	}
	c.idle.Put(m)
}

// compileSpec turns the table into the library's fields, with our encoders and
// prefixers in place of the stock ones and no padder anywhere. All values are
// bytes to the library, so that it neither copies nor converts them.
func (p *Profile) compileSpec() {
	p.base[0] = field.NewString(field.NewSpec(4, "message type", digitEncoder{field: 0}, fixedPrefixer{0}))
	p.base[1] = field.NewBitmap(&field.Spec{
		Length: bitmapSize, Description: "bitmap", Enc: byteEncoder{field: 1}, Pref: fixedPrefixer{1}, DisableAutoExpand: true,
	})
	for id, r := range p.fields {
		if r != nil {
			p.base[id] = field.NewBinary(field.NewSpec(int(r.Length), r.Name, r.encoder(id), r.prefixer(id)))
		}
	}
	p.codecs.set = make(map[uint64]*codec)
}

// codec gives the codec of messages with exactly these fields, all of the
// profile.
func (p *Profile) codec(set uint64) *codec {
	p.codecs.mu.Lock()
	defer p.codecs.mu.Unlock()
	if c := p.codecs.set[set]; c != nil {
		return c
	}
	spec := &iso8583.MessageSpec{Name: p.name, Fields: map[int]field.Field{0: p.base[0], 1: p.base[1]}}
	for rest := set; rest != 0; rest &= rest - 1 {
		id := bits.TrailingZeros64(rest) + 1
		spec.Fields[id] = p.base[id]
	}
	c := &codec{set: set, spec: spec}
	if len(p.codecs.set) < maxCodecs {
		p.codecs.set[set] = c
	}
	return c
}

func (r *fieldRule) encoder(id int) encoding.Encoder {
	if r.packedDigits() {
		return digitEncoder{field: id, left: r.Align == "left", track: r.Format == "z"}
	}
	return byteEncoder{field: id, text: r.Format == "an"}
}

func (r *fieldRule) prefixer(id int) prefix.Prefixer {
	if r.Prefix == "" {
		return fixedPrefixer{id}
	}
	return bcdPrefixer{field: id, digits: len(r.Prefix), min: int(r.Min), halved: r.Counts == "bytes"}
}
