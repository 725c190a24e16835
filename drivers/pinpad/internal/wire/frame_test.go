package wire

import (
	"bytes"
	"testing"
	"time"
)

func sample() Frame {
	return Frame{Kind: Data, Session: 0xCAFE0201, Seq: 7, Cmd: CmdMAC, Data: []byte{2, 3, 'D', 0xFF}}
}

func same(a, b Frame) bool {
	return a.Kind == b.Kind && a.Session == b.Session && a.Seq == b.Seq && a.Cmd == b.Cmd && bytes.Equal(a.Data, b.Data)
}

// all feeds p and gives the whole frames and how many times something was broken.
func all(d *Decoder, p []byte) (frames []Frame, broken int) {
	d.Feed(p)
	for {
		f, found := d.Next()
		switch found {
		case More:
			return frames, broken
		case Broken:
			broken++
		case Whole:
			f.Data = append([]byte(nil), f.Data...)
			frames = append(frames, f)
		}
	}
}

func TestFrameLayout(t *testing.T) {
	t.Parallel()
	got := Frame{Kind: Ack, Session: 0x01020304, Seq: 9, Cmd: 0}.AppendTo([]byte("x"))
	// The CRC was computed apart with zlib.crc32 over the nine bytes before it.
	want := []byte{'x', 0x02, 'A', 1, 2, 3, 4, 9, 0, 0, 0, 0x7A, 0xC9, 0x89, 0xB9, 0x03}
	if !bytes.Equal(got, want) {
		t.Errorf("frame % X, want % X", got, want)
	}
}

func TestDecoder(t *testing.T) {
	t.Parallel()
	good := sample().AppendTo(nil)
	other := Frame{Kind: Ack, Session: 1, Seq: 1}
	lying := append([]byte{stx, 'D', 0, 0, 0, 1, 1, 1, 0x01, 0x00}, good...) // claims 256 bytes
	long := append([]byte{stx, 'D', 0, 0, 0, 1, 1, 1, 0x02, 0x01}, good...)  // claims 513
	for _, c := range []struct {
		name   string
		in     []byte
		want   []Frame
		broken bool
		more   bool
	}{
		{"one", good, []Frame{sample()}, false, false},
		{"two", other.AppendTo(bytes.Clone(good)), []Frame{sample(), other}, false, false},
		{"noise before", append([]byte("noise"), good...), []Frame{sample()}, true, false},
		{"STX before", append([]byte{stx}, good...), []Frame{sample()}, true, false},
		{"cut short, then whole", append(bytes.Clone(good[:9]), good...), nil, false, true},
		{"half", good[:len(good)-1], nil, false, true},
		{"length 513", long, []Frame{sample()}, true, false},
		{"length beyond the input", lying, nil, false, true},
		{"wrong ETX", append(bytes.Clone(good[:len(good)-1]), 4), nil, true, false},
	} {
		var d Decoder
		frames, broken := all(&d, c.in)
		if c.name == "cut short, then whole" { // the length read is part of the second frame
			for d.Partial() {
				d.GiveUp()
				more, _ := all(&d, nil)
				frames = append(frames, more...)
			}
			c.want, c.more, broken = []Frame{sample()}, false, 0
		}
		if len(frames) != len(c.want) || (broken > 0) != c.broken || d.Partial() != c.more {
			t.Errorf("%s: %d frames, broken %d, partial %v", c.name, len(frames), broken, d.Partial())
			continue
		}
		for i := range frames {
			if !same(frames[i], c.want[i]) {
				t.Errorf("%s: frame %+v, want %+v", c.name, frames[i], c.want[i])
			}
		}
	}
}

func TestDecoderByteByByteAndGiveUp(t *testing.T) {
	t.Parallel()
	var d Decoder
	var frames []Frame
	for _, b := range sample().AppendTo(nil) {
		f, _ := all(&d, []byte{b})
		frames = append(frames, f...)
	}
	if len(frames) != 1 || !same(frames[0], sample()) {
		t.Fatalf("frames %+v", frames)
	}
	lying := append([]byte{stx, 'D', 0, 0, 0, 1, 1, 1, 0x01, 0x00}, sample().AppendTo(nil)...)
	if f, _ := all(&d, lying); len(f) != 0 {
		t.Fatalf("a frame inside another was taken: %+v", f)
	}
	d.GiveUp()
	if f, _ := all(&d, nil); len(f) != 1 || !same(f[0], sample()) {
		t.Fatalf("after giving up: %+v", f)
	}
}

// Every single bit wrong is noticed.
func TestEveryBitFlipIsNoticed(t *testing.T) {
	t.Parallel()
	good := sample().AppendTo(nil)
	for i := range len(good) * 8 {
		bad := bytes.Clone(good)
		bad[i/8] ^= 1 << (i % 8)
		var d Decoder
		if f, _ := all(&d, bad); len(f) != 0 {
			t.Errorf("bit %d: taken as %+v", i, f)
		}
	}
}

// What is taken for a frame is one: it encodes to bytes of the input, and the
// decoder holds no more than a frame.
func FuzzDecoder(f *testing.F) {
	f.Add(sample().AppendTo(nil), uint8(3))
	f.Add(append([]byte{2, 2, 'D'}, sample().AppendTo(nil)...), uint8(1))
	f.Add([]byte{2, 'D', 0, 0, 0, 0, 0, 0, 0xFF, 0xFF}, uint8(255))
	f.Fuzz(func(t *testing.T, in []byte, chunk uint8) {
		var d Decoder
		step := int(chunk) + 1
		for at := 0; at < len(in); at += step {
			frames, _ := all(&d, in[at:min(at+step, len(in))])
			for _, fr := range frames {
				if !bytes.Contains(in, fr.AppendTo(nil)) {
					t.Fatalf("frame %+v is not in the input", fr)
				}
			}
			if len(d.buf) >= MaxFrame {
				t.Fatalf("%d bytes held", len(d.buf))
			}
		}
	})
}

func FuzzBodies(f *testing.F) {
	pin, _ := PINRequest{Entry: 1, Min: 4, Max: 12, Timeout: time.Minute, PAN: []byte("6228480000000000000")}.AppendTo(nil)
	id, _ := Identity{Serial: []byte("S"), Slots: []Slot{{Use: []byte("pin"), KCV: [4]byte{1}}}}.AppendTo(nil)
	offline, _ := OfflinePIN{Entry: 1, Min: 4, Max: 12, Timeout: time.Minute, Exponent: []byte{3}, Modulus: make([]byte, 128)}.AppendTo(nil)
	f.Add(pin)
	f.Add(offline)
	f.Add(id)
	f.Add(Answer{Re: 1, Cmd: CmdMAC, Status: NoKey, Body: []byte{1}}.AppendTo(nil))
	f.Fuzz(func(t *testing.T, in []byte) {
		if r, ok := ParsePINRequest(in); ok {
			if out, ok := r.AppendTo(nil); !ok || !bytes.Equal(out, in) {
				t.Fatalf("PIN request % X encodes to % X", in, out)
			}
		}
		if r, ok := ParseOfflinePIN(in); ok {
			if out, ok := r.AppendTo(nil); !ok || !bytes.Equal(out, in) {
				t.Fatalf("offline PIN request % X encodes to % X", in, out)
			}
		}
		if i, ok := ParseIdentity(in); ok {
			if out, ok := i.AppendTo(nil); !ok || !bytes.Equal(out, in) {
				t.Fatalf("identity % X encodes to % X", in, out)
			}
		}
		if a, ok := ParseAnswer(in); ok && !bytes.Equal(a.AppendTo(nil), in) {
			t.Fatalf("answer % X", in)
		}
	})
}

func BenchmarkFrame(b *testing.B) {
	f := Frame{Kind: Data, Session: 1, Seq: 1, Cmd: CmdMAC, Data: make([]byte, MACChunk)}
	buf := make([]byte, 0, MaxFrame)
	var d Decoder
	b.ReportAllocs()
	for b.Loop() {
		buf = f.AppendTo(buf[:0])
		d.buf = buf
		if _, found := d.Next(); found != Whole {
			b.Fatal("no frame")
		}
	}
}
