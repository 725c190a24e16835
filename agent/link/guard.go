package link

import (
	"errors"
	"fmt"
	"net"

	"posagent/ota/wire"
)

// maxPacket bounds one MQTT packet in bytes after its fixed header: the longest
// message of the protocol with its topic and packet id. The library reserves
// whatever length a packet claims, up to 256 MiB.
const maxPacket = wire.MaxMessage + wire.MaxTopic + 2 + 2

// errPacket reports a packet that no broker of ours sends.
var errPacket = errors.New("link: packet refused")

const (
	typeSuback = 9
	subackLen  = 3 // packet id and one return code: we subscribe to one filter
	maxLength  = 4 // bytes of a remaining length (MQTT 3.1.1, 2.2.3)
)

// guard watches the packets that come in and refuses one before the library
// believes its length. It is read by one goroutine.
type guard struct {
	net.Conn
	frames frames
}

func (g *guard) Read(b []byte) (int, error) {
	n, err := g.Conn.Read(b)
	if refused := g.frames.take(b[:n]); refused != nil {
		return 0, refused
	}
	return n, err
}

// frames follows the fixed headers of a stream (MQTT 3.1.1, 2.2).
type frames struct {
	kind   byte   // packet type, 0 before a header
	digits uint8  // bytes of the length seen
	length uint32 // as far as it is known
	body   uint32 // bytes of the packet still to come
}

func (f *frames) take(b []byte) error {
	for len(b) > 0 {
		if f.body > 0 {
			n := min(f.body, uint32(len(b)))
			f.body -= n
			b = b[n:]
			continue
		}
		c := b[0]
		b = b[1:]
		if f.kind == 0 {
			if f.kind = c >> 4; f.kind == 0 {
				return fmt.Errorf("%w: type 0", errPacket)
			}
			continue
		}
		f.length |= uint32(c&0x7F) << (7 * f.digits)
		f.digits++
		switch {
		case f.length > maxPacket:
			return fmt.Errorf("%w: more than %d bytes", errPacket, maxPacket)
		case c&0x80 == 0:
			if f.kind == typeSuback && f.length != subackLen {
				return fmt.Errorf("%w: SUBACK of %d bytes", errPacket, f.length)
			}
			*f = frames{body: f.length}
		case f.digits == maxLength:
			return fmt.Errorf("%w: length of more than %d bytes", errPacket, maxLength)
		}
	}
	return nil
}
