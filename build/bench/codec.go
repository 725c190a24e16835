package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/moov-io/iso8583"
	"github.com/moov-io/iso8583/encoding"
	"github.com/moov-io/iso8583/field"
	"github.com/moov-io/iso8583/prefix"

	"posagent/agent/acquirer"
)

// samplePAN is a synthetic number of a test range.
const samplePAN = "6226097318460046"

// stockField is a field of the 0200 as the library's own encoders write it.
type stockField struct {
	id     uint8
	value  string
	length int
	enc    encoding.Encoder
	prefix prefix.Prefixer
}

// sale22 is a 0200 of 22 fields. Its track has no separator, which the library's
// own encoders could not write.
func sale22() []stockField {
	fixed, ll, lll := prefix.BCD.Fixed, prefix.BCD.LL, prefix.BCD.LLL
	right, left, text, raw := encoding.BCD, encoding.LBCD, encoding.ASCII, encoding.Binary
	return []stockField{
		{2, samplePAN, 19, left, ll}, {3, "000000", 6, right, fixed}, {4, "000000001234", 12, right, fixed},
		{11, "000079", 6, right, fixed}, {12, "140309", 6, right, fixed}, {13, "0520", 4, right, fixed},
		{14, "2512", 4, right, fixed}, {22, "051", 3, left, fixed}, {23, "001", 3, right, fixed},
		{25, "00", 2, right, fixed}, {26, "12", 2, right, fixed}, {32, "48020000", 11, left, ll},
		{35, samplePAN + "25122010000012345678", 37, left, ll}, {41, "10000001", 8, text, fixed},
		{42, "898100000000001", 15, text, fixed}, {49, "156", 3, text, fixed},
		{52, "\x5D\xEF\xCC\xDE\xA3\xE8\xCE\x0C", 8, raw, fixed}, {53, "2600000000000000", 16, right, fixed},
		{55, string(make([]byte, 153)), 255, raw, lll}, {60, "2200000700060", 19, left, lll},
		{63, "CUP", 163, raw, lll}, {64, "4A1FFF6F", 8, raw, fixed},
	}
}

// measureCodec takes a message to bytes and back, with the library's message
// engine both times: once under our encoders, once under its own.
func measureCodec(ctx context.Context, b *bench) ([]Line, error) {
	profile, err := acquirer.Builtin("unionpay-pos")
	if err != nil {
		return nil, err
	}
	fields := sale22()
	spec := &iso8583.MessageSpec{Name: "stock", Fields: map[int]field.Field{
		0: field.NewString(field.NewSpec(4, "message type", encoding.BCD, prefix.BCD.Fixed)),
		1: field.NewBitmap(field.NewSpec(8, "bitmap", encoding.Binary, prefix.Binary.Fixed)),
	}}
	for _, f := range fields {
		s := field.NewSpec(f.length, fmt.Sprint("field ", f.id), f.enc, f.prefix)
		if f.enc == encoding.Binary {
			spec.Fields[int(f.id)] = field.NewBinary(s)
		} else {
			spec.Fields[int(f.id)] = field.NewString(s)
		}
	}
	packOurs := func() ([]byte, error) {
		m := profile.New("0200")
		for _, f := range fields {
			if err := m.Set(f.id, f.value); err != nil {
				return nil, err
			}
		}
		return m.Pack()
	}
	packStock := func() ([]byte, error) {
		m := iso8583.NewMessage(spec)
		m.MTI("0200")
		for _, f := range fields {
			if err := m.BinaryField(int(f.id), []byte(f.value)); err != nil {
				return nil, err
			}
		}
		return m.Pack()
	}
	mine, err := packOurs()
	if err != nil {
		return nil, err
	}
	theirs, err := packStock()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(mine, theirs) {
		return nil, errors.New("the two codecs write different bytes; there is nothing to compare")
	}
	b.say("0200 of %d fields, %d bytes", len(fields), len(mine))
	pack, err := codecLines(ctx, b, "pack 0200 of 22 fields",
		func() error { _, err := packOurs(); return err }, func() error { _, err := packStock(); return err })
	if err != nil {
		return nil, err
	}
	unpack, err := codecLines(ctx, b, "unpack 0200 of 22 fields",
		func() error { _, err := profile.Unpack(mine); return err }, func() error { return iso8583.NewMessage(spec).Unpack(mine) })
	return append(pack, unpack...), err
}

func codecLines(ctx context.Context, b *bench, name string, mine, stock runner) ([]Line, error) {
	ns, ratio, err := b.race(ctx, [2]runner{mine, stock})
	if err != nil {
		return nil, err
	}
	a, err := allocs(mine)
	if err != nil {
		return nil, err
	}
	c, err := allocs(stock)
	const peer = "moov-io/iso8583 with its own BCD encoders"
	return []Line{
		Line{Name: name, Ours: Value{ns[ours], Nanoseconds}}.beside(peer, ns[floor], ratio).ratioAtMost(0.1),
		Line{Name: "  allocations of it", Ours: Value{a, Allocs}}.beside(peer, c, 0),
	}, err
}
