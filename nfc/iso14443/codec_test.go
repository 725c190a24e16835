package iso14443_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"posagent/nfc"
	"posagent/nfc/iso14443"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Published values: ISO/IEC 14443-3, annex B (frames), and the check values of
// ISO/IEC 13239 (CRC_B is its FCS) and of CRC_A over the digits 1 to 9.
func TestCRC(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, data, want string
		typ              nfc.Type
	}{
		{"annex B, A, zeros", "00 00", "A0 1E", nfc.TypeA},
		{"annex B, A, 12 34", "12 34", "26 CF", nfc.TypeA},
		{"annex B, B, zeros", "00 00 00", "CC C6", nfc.TypeB},
		{"annex B, B, 0F AA FF", "0F AA FF", "FC D1", nfc.TypeB},
		{"annex B, B, 0A 12 34 56", "0A 12 34 56", "2C F6", nfc.TypeB},
		{"HLTA", "50 00", "57 CD", nfc.TypeA},
		{"RATS", "E0 80", "31 73", nfc.TypeA},
		{"WUPB", "05 00 08", "39 73", nfc.TypeB},
		{"digits, A", "31 32 33 34 35 36 37 38 39", "05 BF", nfc.TypeA},
		{"digits, B (ISO/IEC 13239)", "31 32 33 34 35 36 37 38 39", "6E 90", nfc.TypeB},
	} {
		t.Run(row.name, func(t *testing.T) {
			data := unhex(t, row.data)
			frame := iso14443.AppendCRC(bytes.Clone(data), row.typ)
			if want := append(bytes.Clone(data), unhex(t, row.want)...); !bytes.Equal(frame, want) {
				t.Fatalf("frame % X, want % X", frame, want)
			}
			if got, ok := iso14443.TrimCRC(frame, row.typ); !ok || !bytes.Equal(got, data) {
				t.Errorf("TrimCRC = % X, %v", got, ok)
			}
			for i := range frame {
				frame[i] ^= 1
				if _, ok := iso14443.TrimCRC(frame, row.typ); ok {
					t.Errorf("byte %d changed and not noticed", i)
				}
				frame[i] ^= 1
			}
		})
	}
	for n := range 3 {
		if _, ok := iso14443.TrimCRC(make([]byte, n), nfc.TypeA); ok {
			t.Errorf("a frame of %d bytes has content", n)
		}
	}
}

// ISO/IEC 14443-4, 5.2; the defaults stand where the card is silent.
func TestParseATS(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, data string
		want       iso14443.ATS
	}{
		{"TL alone", "01", iso14443.ATS{FSCI: 2, FWI: 4, TC1: 2}},
		{"T0 alone", "02 08", iso14443.ATS{FSCI: 8, FWI: 4, TC1: 2}},
		{"TA1", "03 15 80", iso14443.ATS{FSCI: 5, FWI: 4, TC1: 2, Rates: 0x80}},
		{"TB1", "03 28 71", iso14443.ATS{FSCI: 8, FWI: 7, SFGI: 1, TC1: 2}},
		{"TC1", "03 48 00", iso14443.ATS{FSCI: 8, FWI: 4}},
		{"all", "06 78 77 E3 02 80", iso14443.ATS{FSCI: 8, FWI: 14, SFGI: 3, TC1: 2, Rates: 0x77, Historical: []byte{0x80}}},
		{"historical bytes alone", "05 05 01 02 03", iso14443.ATS{FSCI: 5, FWI: 4, TC1: 2, Historical: []byte{1, 2, 3}}},
		{"reserved bit of T0", "02 88", iso14443.ATS{FSCI: 8, FWI: 4, TC1: 2}},
	} {
		got, err := iso14443.ParseATS(unhex(t, row.data))
		if err != nil || len(got.Historical) != len(row.want.Historical) || !bytes.Equal(got.Historical, row.want.Historical) {
			t.Errorf("%s: %+v, %v", row.name, got, err)
		}
		if got.Historical = row.want.Historical; !reflect.DeepEqual(got, row.want) {
			t.Errorf("%s: %+v, want %+v", row.name, got, row.want)
		}
	}
	for _, row := range []struct{ name, data, field string }{
		{"empty", "", "TL"}, {"TL 0", "00", "TL"}, {"TL too long", "05 78 77 71", "TL"}, {"TL too short", "02 78 77 71", "TL"},
		{"TA1 missing", "02 10", "TA1"}, {"TB1 missing", "03 30 77", "TB1"}, {"TC1 missing", "02 40", "TC1"},
	} {
		_, err := iso14443.ParseATS(unhex(t, row.data))
		var fe *iso14443.FormatError
		if !errors.As(err, &fe) || fe.What != "ATS" || fe.Field != row.field {
			t.Errorf("%s: %v, want a FormatError of %s", row.name, err, row.field)
		}
	}
}

// ISO/IEC 14443-3, 7.9.
func TestParseATQB(t *testing.T) {
	t.Parallel()
	want := iso14443.ATQB{PUPI: [4]byte{1, 2, 3, 4}, Application: [4]byte{5, 6, 7, 8}, Rates: 0x33, FSCI: 8, Protocol: 1, FWI: 7, Options: 5}
	if got, err := iso14443.ParseATQB(unhex(t, "50 01020304 05060708 33 81 75")); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	want.Extended, want.SFGI = true, 3
	if got, err := iso14443.ParseATQB(unhex(t, "50 01020304 05060708 33 81 75 30")); err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	for _, row := range []struct{ name, data, field string }{
		{"empty", "", "length"}, {"short", "50 01020304 05060708 33 81", "length"},
		{"long", "50 01020304 05060708 33 81 75 30 00", "length"},
		{"not 50", "51 01020304 05060708 33 81 75", "first byte"},
		{"reserved protocol", "50 01020304 05060708 33 89 75", "protocol type"},
	} {
		_, err := iso14443.ParseATQB(unhex(t, row.data))
		var fe *iso14443.FormatError
		if !errors.As(err, &fe) || fe.What != "ATQB" || fe.Field != row.field {
			t.Errorf("%s: %v, want a FormatError of %s", row.name, err, row.field)
		}
	}
}

// ISO/IEC 14443-4, 7.1.1: every PCB there is.
func TestParseBlock(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		data string
		want iso14443.Block
	}{
		{"02", iso14443.Block{Kind: iso14443.Information}},
		{"03 00A4", iso14443.Block{Kind: iso14443.Information, Number: 1, INF: []byte{0, 0xA4}}},
		{"12 01", iso14443.Block{Kind: iso14443.Information, More: true, INF: []byte{1}}},
		{"13 01", iso14443.Block{Kind: iso14443.Information, Number: 1, More: true, INF: []byte{1}}},
		{"A2", iso14443.Block{Kind: iso14443.ACK}},
		{"A3", iso14443.Block{Kind: iso14443.ACK, Number: 1}},
		{"B2", iso14443.Block{Kind: iso14443.NAK}},
		{"B3", iso14443.Block{Kind: iso14443.NAK, Number: 1}},
		{"C2", iso14443.Block{Kind: iso14443.Deselect}},
		{"F2 3B", iso14443.Block{Kind: iso14443.WTX, INF: []byte{0x3B}}},
	} {
		data := unhex(t, row.data)
		got, err := iso14443.ParseBlock(data)
		if err != nil || got.Kind != row.want.Kind || got.Number != row.want.Number || got.More != row.want.More || !bytes.Equal(got.INF, row.want.INF) {
			t.Errorf("%s: %+v, %v", row.data, got, err)
		}
		if back := got.AppendTo(nil); !bytes.Equal(back, data) {
			t.Errorf("%s: written back as % X", row.data, back)
		}
	}
	good := map[byte]bool{2: true, 3: true, 0x12: true, 0x13: true, 0xA2: true, 0xA3: true, 0xB2: true, 0xB3: true, 0xC2: true}
	for pcb := range 256 {
		_, err := iso14443.ParseBlock([]byte{byte(pcb)})
		var fe *iso14443.FormatError
		if good[byte(pcb)] != (err == nil) || err != nil && !errors.As(err, &fe) {
			t.Errorf("PCB %02X alone: %v", pcb, err)
		}
	}
	for _, s := range []string{"", "A2 00", "B3 01", "C2 00", "F2", "F2 01 02"} {
		if b, err := iso14443.ParseBlock(unhex(t, s)); err == nil {
			t.Errorf("%q is %+v", s, b)
		}
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	const all = iso14443.Send212 | iso14443.Send424 | iso14443.Receive212 | iso14443.Receive424
	for _, row := range []struct {
		name          string
		card          iso14443.Divisors
		limit         iso14443.Rate
		send, receive iso14443.Rate
	}{
		{"nothing", 0, iso14443.Rate424, 0, 0},
		{"all", all, iso14443.Rate424, 2, 2},
		{"all, limited", all, iso14443.Rate212, 1, 1},
		{"all, 106", all, iso14443.Rate106, 0, 0},
		{"848 only", 0x44, iso14443.Rate424, 0, 0},
		{"one way", iso14443.Receive424, iso14443.Rate424, 0, 2},
		{"one way, but the same", iso14443.Receive424 | iso14443.SameRate, iso14443.Rate424, 0, 0},
		{"the same of both", iso14443.Receive424 | iso14443.Receive212 | iso14443.Send212 | iso14443.SameRate, iso14443.Rate424, 1, 1},
		{"reserved bit", all | 0x08, iso14443.Rate424, 0, 0},
	} {
		if s, r := row.card.Choose(row.limit); s != row.send || r != row.receive {
			t.Errorf("%s: %v/%v, want %v/%v", row.name, s, r, row.send, row.receive)
		}
	}
}

// The figures of ISO/IEC 14443-4, 7.2 and 5.2.5.
func TestTimes(t *testing.T) {
	t.Parallel()
	near := func(name string, got, want time.Duration) {
		if d := got - want; d < -want/500 || d > want/500 {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	near("FWI 0", iso14443.FWT(0), 302*time.Microsecond)
	near("FWI 4", iso14443.FWT(4), 4833*time.Microsecond)
	near("FWI 14", iso14443.FWT(14), 4949*time.Millisecond)
	near("FWI 15", iso14443.FWT(15), iso14443.FWT(4))
	near("SFGI 1", iso14443.SFGT(1), 661*time.Microsecond)
	near("SFGI 14", iso14443.SFGT(14), 5413*time.Millisecond)
	if iso14443.SFGT(0) != 0 || iso14443.SFGT(15) != 0 {
		t.Error("SFGI 0 and 15 have a guard time")
	}
	for i, want := range []uint16{16, 24, 32, 40, 48, 64, 96, 128, 256, 256, 256, 256, 256, 256, 256, 256} {
		if got := iso14443.FrameSize(uint8(i)); got != want {
			t.Errorf("FrameSize(%d) = %d, want %d", i, got, want)
		}
	}
}

func BenchmarkBlockAndCRC(b *testing.B) {
	inf := make([]byte, 253)
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	b.SetBytes(256)
	for b.Loop() {
		buf = iso14443.AppendCRC(iso14443.Block{Kind: iso14443.Information, INF: inf}.AppendTo(buf[:0]), nfc.TypeA)
		content, ok := iso14443.TrimCRC(buf, nfc.TypeA)
		if _, err := iso14443.ParseBlock(content); err != nil || !ok {
			b.Fatal(err)
		}
	}
}
