package icc_test

import (
	"bytes"
	"errors"
	"testing"

	"posagent/drivers/icc"
)

// Bytes of ISO/IEC 7816-3:2006, 11.3.2 and of the first blocks that any T=1
// trace shows.
func TestBlockBytes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		block icc.Block
		crc   bool
		want  string
	}{
		{"S(IFS request) 254", icc.SBlock(icc.PCBIFS, 254), false, "00 C1 01 FE 3E"},
		{"S(IFS response) 254", icc.SBlock(icc.PCBIFS|icc.PCBResponse, 254), false, "00 E1 01 FE 1E"},
		{"S(RESYNCH request)", icc.SBlock(icc.PCBResynch), false, "00 C0 00 C0"},
		{"S(WTX request) 1", icc.SBlock(icc.PCBWTX, 1), false, "00 C3 01 01 C3"},
		{"R(0)", icc.RBlock(0, icc.RNone), false, "00 80 00 80"},
		{"R(1), EDC error", icc.RBlock(1, icc.RCheck), false, "00 91 00 91"},
		{"R(0), other error", icc.RBlock(0, icc.ROther), false, "00 82 00 82"},
		{"I(0)", icc.IBlock(0, false, []byte{0x90, 0x00}), false, "00 00 02 90 00 92"},
		{"I(1), more", icc.IBlock(1, true, []byte{0xA5}), false, "00 60 01 A5 C4"},
		{"R(0) with CRC", icc.RBlock(0, icc.RNone), true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.block.AppendTo(nil, c.crc)
			if c.want != "" && !bytes.Equal(got, atr(c.want)) {
				t.Errorf("got % X, want %s", got, c.want)
			}
			b, err := icc.ParseBlock(got, c.crc)
			if err != nil || b.PCB != c.block.PCB || !bytes.Equal(b.INF, c.block.INF) {
				t.Errorf("ParseBlock(% X) = %+v, %v", got, b, err)
			}
		})
	}
}

// The check value of CRC-16/ISO-IEC-14443-3-B (also called X-25, ISO/IEC 13239)
// over "123456789" is 906E.
func TestCRC(t *testing.T) {
	t.Parallel()
	if got := icc.CRC([]byte("123456789")); got != 0x906E {
		t.Errorf("CRC = %04X, want 906E", got)
	}
}

func TestParseBlockRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, hex, field string }{
		{"too short", "00 80 00", "length"},
		{"LRC", "00 80 00 81", "EDC"},
		{"NAD", "12 80 00+", "NAD"},
		{"LEN too large", "00 00 03 90 00 93", "LEN"},
		{"LEN too small", "00 00 01 90 00 91", "LEN"},
		{"reserved bit of an I-block", "00 01 01 00 00", "PCB"},
		{"reserved bit of an R-block", "00 A0 00 A0", "PCB"},
		{"R-block code 3", "00 83 00 83", "PCB"},
		{"R-block with information", "00 80 01 55 D4", "INF"},
		{"unknown S-block", "00 C4 00 C4", "PCB"},
		{"S(WTX) without a multiplier", "00 C3 00 C3", "INF"},
		{"S(IFS) 0F", "00 C1 01 0F CF", "INF"},
		{"S(RESYNCH) with information", "00 C0 01 00 C1", "INF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := atr(c.hex)
			if c.hex[len(c.hex)-1] == '+' { // the helper leaves the first byte out
				b[len(b)-1] = icc.LRC(b[:len(b)-1])
			}
			_, err := icc.ParseBlock(b, false)
			var be *icc.BlockError
			if !errors.As(err, &be) || be.Field != c.field {
				t.Errorf("ParseBlock(% X): %v, want an error of %s", b, err, c.field)
			}
		})
	}
}

// Frames printed in the application note and in public drivers of the chip.
func TestFrameBytes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		frame icc.Frame
		want  string
	}{
		{"power up, 5 V, EMV", icc.Frame{Cmd: icc.CmdPowerUp5, Data: []byte{1}}, "60 00 01 6E 01 0E"},
		{"power up, 3 V, ISO", icc.Frame{Cmd: icc.CmdPowerUp3, Data: []byte{0}}, "60 00 01 6D 00 0C"},
		{"power up, 1.8 V, EMV", icc.Frame{Cmd: icc.CmdPowerUp18, Data: []byte{1}}, "60 00 01 68 01 08"},
		{"power off", icc.Frame{Cmd: icc.CmdPowerOff}, "60 00 00 4D 2D"},
		{"card absent", icc.Frame{NAK: true, Cmd: icc.CmdPowerUp5, Data: []byte{icc.ChipNoCard}}, "E0 00 01 6E C0 4F"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := c.frame.AppendTo(nil)
			if !bytes.Equal(got, atr(c.want)) {
				t.Errorf("got % X, want %s", got, c.want)
			}
			f, err := icc.ParseFrame(got)
			if err != nil || f.NAK != c.frame.NAK || f.Cmd != c.frame.Cmd || !bytes.Equal(f.Data, c.frame.Data) {
				t.Errorf("ParseFrame(% X) = %+v, %v", got, f, err)
			}
		})
	}
}

func TestParseFrameRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, hex, field string }{
		{"empty", "", "length"},
		{"first byte", "61 00 00 4D 2C", "first byte"},
		{"length over the chip's", "60 01 FB 00 9A", "length"},
		{"cut", "60 00 01 6E 01", "length"},
		{"too long", "60 00 00 4D 2D 00", "length"},
		{"LRC", "60 00 00 4D 2C", "LRC"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := icc.ParseFrame(atr(c.hex))
			var fe *icc.FrameError
			if !errors.As(err, &fe) || fe.Field != c.field {
				t.Errorf("ParseFrame(%s): %v, want an error of %s", c.hex, err, c.field)
			}
		})
	}
}

func FuzzParseBlock(f *testing.F) {
	for _, s := range []string{"00 C1 01 FE 3E", "00 80 00 80", "00 00 02 90 00 92", "00 C3 01 01 C3", "00 00 FF"} {
		f.Add(atr(s), false)
	}
	f.Add(icc.IBlock(1, true, pattern(20)).AppendTo(nil, true), true)
	f.Fuzz(func(t *testing.T, b []byte, crc bool) {
		k, err := icc.ParseBlock(b, crc)
		if err != nil {
			var be *icc.BlockError
			if !errors.As(err, &be) {
				t.Fatalf("ParseBlock(% X): %v is not typed", b, err)
			}
			return
		}
		if got := k.AppendTo(nil, crc); !bytes.Equal(got, b) {
			t.Fatalf("ParseBlock(% X) appends as % X", b, got)
		}
	})
}

func FuzzParseFrame(f *testing.F) {
	for _, s := range []string{"60 00 01 6E 01 0E", "E0 00 01 6E C0 4F", "60 00 00 4D 2D", "60 FF FF"} {
		f.Add(atr(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := icc.ParseFrame(b)
		if err != nil {
			var fe *icc.FrameError
			if !errors.As(err, &fe) {
				t.Fatalf("ParseFrame(% X): %v is not typed", b, err)
			}
			return
		}
		if got := k.AppendTo(nil); !bytes.Equal(got, b) {
			t.Fatalf("ParseFrame(% X) appends as % X", b, got)
		}
	})
}

func BenchmarkBlock(b *testing.B) {
	inf, buf := pattern(254), make([]byte, 0, 260)
	b.ReportAllocs()
	for b.Loop() {
		buf = icc.IBlock(0, false, inf).AppendTo(buf[:0], false)
		if _, err := icc.ParseBlock(buf, false); err != nil {
			b.Fatal(err)
		}
	}
}
