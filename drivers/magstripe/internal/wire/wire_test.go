package wire_test

import (
	"bytes"
	"testing"

	"posagent/drivers/magstripe/internal/wire"
)

func TestFrame(t *testing.T) {
	body := []byte{7, 2, 0, 3, 0, ';', '?', '4'}
	f := wire.AppendFrame(nil, body)
	got, n, err := wire.ParseFrame(f)
	if err != nil || n != len(f) || !bytes.Equal(got, body) {
		t.Fatalf("got % x, %d, %v", got, n, err)
	}
	for i := range f {
		if _, _, err := wire.ParseFrame(f[:i]); err != wire.ErrShort {
			t.Errorf("%d bytes: got %v, want ErrShort", i, err)
		}
		for bit := range 8 {
			bad := bytes.Clone(f)
			bad[i] ^= 1 << bit
			if _, _, err := wire.ParseFrame(bad); err == nil {
				t.Errorf("byte %d bit %d flipped: accepted", i, bit)
			}
		}
	}
}

// Check value of the published CRC-16 with polynomial 0x1021 and start 0xFFFF.
func TestCRC(t *testing.T) {
	if got := wire.CRC([]byte("1234"), []byte("56789")); got != 0x29B1 {
		t.Errorf("got %04x, want 29b1", got)
	}
}

func FuzzParseFrame(f *testing.F) {
	f.Add(wire.AppendFrame(nil, []byte{1, 0, 0, 0, 0}))
	f.Add([]byte{wire.STX, 0xFF, 0xFF})
	f.Fuzz(func(t *testing.T, b []byte) {
		body, n, err := wire.ParseFrame(b)
		if err == nil && !bytes.Equal(wire.AppendFrame(nil, body), b[:n]) {
			t.Errorf("% x does not encode to itself", b[:n])
		}
	})
}
