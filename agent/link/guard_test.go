package link

import (
	"errors"
	"net"
	"testing"
)

func TestGuard(t *testing.T) {
	for _, row := range []struct {
		name string
		in   []byte
		bad  bool
	}{
		{"CONNACK", []byte{0x20, 2, 0, 0}, false},
		{"SUBACK", []byte{0x90, 3, 0, 1, 1}, false},
		{"PINGRESP twice", []byte{0xD0, 0, 0xD0, 0}, false},
		{"PUBLISH as long as allowed", append([]byte{0x30, 0x84 | 0x80, 0x81, 0x04}, 0), false},
		{"PUBLISH of 256 MiB", []byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F}, true},
		{"length of five bytes", []byte{0x30, 0x80, 0x80, 0x80, 0x80, 0x01}, true},
		{"length of five empty bytes", []byte{0x30, 0x80, 0x80, 0x80, 0x80, 0x00}, true},
		{"SUBACK for two filters", []byte{0x90, 4, 0, 1, 1, 1}, true},
		{"type 0", []byte{0x00, 0}, true},
		{"second packet too long", []byte{0xD0, 0, 0x30, 0xFF, 0xFF, 0xFF, 0x7F}, true},
	} {
		var f frames
		if err := f.take(row.in); (err != nil) != row.bad || err != nil && !errors.Is(err, errPacket) {
			t.Errorf("%s: %v, want refused %v", row.name, err, row.bad)
		}
	}
	near, far := net.Pipe()
	defer near.Close()
	go func() { far.Write([]byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F}); far.Close() }()
	if n, err := (&guard{Conn: near}).Read(make([]byte, 16)); n != 0 || !errors.Is(err, errPacket) {
		t.Errorf("Read = %d, %v: the library would have seen the length", n, err)
	}
}

// FuzzFrames: how the bytes are cut into reads changes nothing, and nothing that
// is let through is longer than a packet may be.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{0x20, 2, 0, 0, 0x30, 5, 1, 2, 3, 4, 5})
	f.Add([]byte{0x90, 3, 0, 1, 1, 0xD0, 0})
	f.Add([]byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F})
	f.Fuzz(func(t *testing.T, b []byte) {
		var whole, single frames
		err := whole.take(b)
		var bytewise error
		for _, c := range b {
			if bytewise = single.take([]byte{c}); bytewise != nil {
				break
			}
			if single.body > maxPacket || single.digits > maxLength {
				t.Fatalf("%d bytes to come, %d digits", single.body, single.digits)
			}
		}
		if (err == nil) != (bytewise == nil) || err == nil && whole != single {
			t.Fatalf("at once %v %+v, byte by byte %v %+v", err, whole, bytewise, single)
		}
	})
}
