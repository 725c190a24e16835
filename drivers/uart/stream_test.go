package uart

import (
	"testing"
	"time"

	"periph.io/x/conn/v3/conntest"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/uart"
)

func TestAsStream(t *testing.T) {
	if _, err := AsStream(&conntest.Discard{}); err == nil {
		t.Error("a conn without Read was taken for a stream")
	}
	if _, err := AsStream(nil); err == nil {
		t.Error("nil was taken for a stream")
	}
}

func TestCharTime(t *testing.T) {
	for _, c := range []struct {
		name string
		s    Settings
		n    int64
		want time.Duration
	}{
		{"8N1 is 10 bits", Settings{Baud: 10_000, Bits: 8, Parity: uart.NoParity, Stop: uart.One}, 1, time.Millisecond},
		{"8E1 is 11 bits", Settings{Baud: 11_000, Bits: 8, Parity: uart.Even, Stop: uart.One}, 1, time.Millisecond},
		{"8E2 is 12 bits", Settings{Baud: 9600, Bits: 8, Parity: uart.Even, Stop: uart.Two}, 800, time.Second},
		{"7N1 is 9 bits", Settings{Baud: 9000, Bits: 7, Parity: uart.NoParity, Stop: uart.One}, 5, 5 * time.Millisecond},
		{"large count on 32 bits", Settings{Baud: 9600, Bits: 8, Parity: uart.NoParity, Stop: uart.One}, 1 << 20, 1092266666666},
		{"not connected", Settings{}, 5, 0},
	} {
		if got := c.s.CharTime(c.n); got != c.want {
			t.Errorf("%s: %v; want %v", c.name, got, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(int64(9600_000_000), int64(0), int8(1), byte('E'), uint32(uart.NoFlow), 8)
	f.Fuzz(func(t *testing.T, hz, limit int64, stop int8, parity byte, flow uint32, bits int) {
		s, err := Parse(physic.Frequency(hz), physic.Frequency(limit), uart.Stop(stop), uart.Parity(parity), uart.Flow(flow), bits)
		if err == nil && (s.Baud < minBaud || s.Baud > maxBaud || s.CharTime(1) <= 0) {
			t.Errorf("accepted %+v", s)
		}
	})
}
