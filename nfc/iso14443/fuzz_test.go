package iso14443_test

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"posagent/nfc"
	"posagent/nfc/iso14443"
)

func FuzzATS(f *testing.F) {
	for _, s := range []string{"", "01", "0678777102 80", "05 78 80 B0 02", "02F0", "14788091E165D0004605017D0001020304050607"} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := iso14443.ParseATS(data)
		if err != nil {
			return
		}
		if int(data[0]) != len(data) || iso14443.FrameSize(a.FSCI) < 16 || iso14443.FWT(a.FWI) > 5*time.Second {
			t.Errorf("% X gives %+v", data, a)
		}
		if len(a.Historical) > 250 {
			return
		}
		b, err := iso14443.ParseATS(a.AppendTo(nil))
		if err != nil || b.FSCI != a.FSCI || b.Rates != a.Rates || b.FWI != a.FWI || b.SFGI != a.SFGI || b.TC1 != a.TC1 || !bytes.Equal(a.Historical, b.Historical) {
			t.Errorf("%+v, written and read: %+v, %v", a, b, err)
		}
	})
}

func FuzzATQB(f *testing.F) {
	f.Add(unhex(f, "50 01020304 05060708 33 81 75"))
	f.Add(unhex(f, "50 01020304 05060708 33 81 75 30"))
	f.Fuzz(func(t *testing.T, data []byte) {
		q, err := iso14443.ParseATQB(data)
		if err != nil {
			return
		}
		back := q.AppendTo(nil)
		if q.Extended { // the low half of the last byte is reserved
			back[12] |= data[12] & 0x0F
		}
		if !bytes.Equal(back, data) {
			t.Errorf("% X, read and written: % X", data, back)
		}
	})
}

func FuzzBlock(f *testing.F) {
	for _, s := range []string{"02", "1300", "A2", "B3", "C2", "F201", "0A00", ""} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := iso14443.ParseBlock(data)
		if err != nil {
			return
		}
		if back := b.AppendTo(nil); !bytes.Equal(back, data) {
			t.Errorf("% X, read and written: % X", data, back)
		}
	})
}

// hostile is a Transceiver whose answers come from a byte string: a length and
// that many bytes. Lengths from 0xF0 on are silence, noise, collisions.
type hostile struct {
	data []byte
	typ  nfc.Type
}

func (h *hostile) String() string   { return "hostile" }
func (h *hostile) Field(bool) error { return nil }
func (h *hostile) Halt() error      { return nil }
func (h *hostile) Limits() iso14443.Limits {
	return iso14443.Limits{MaxRate: iso14443.Rate424, MaxFrame: 256}
}
func (h *hostile) Tune(m iso14443.Mode) error { h.typ = m.Type; return nil }

func (h *hostile) Exchange(ctx context.Context, f iso14443.Frame, wait time.Duration) (iso14443.Reply, error) {
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return iso14443.Reply{}, ctx.Err()
	}
	if len(h.data) == 0 {
		return iso14443.Reply{}, iso14443.ErrTimeout
	}
	n := h.data[0]
	h.data = h.data[1:]
	take := func(n int) []byte {
		n = min(n, len(h.data))
		b := bytes.Clone(h.data[:n])
		h.data = h.data[n:]
		return b
	}
	switch {
	case n < 0xC0: // a frame with a right check
		return iso14443.Reply{Data: iso14443.AppendCRC(take(int(n)), h.typ)}, nil
	case n < 0xD0: // as it is
		return iso14443.Reply{Data: take(int(n - 0xC0)), LastBits: n & 1 * 3}, nil
	case n < 0xF0:
		return iso14443.Reply{Data: take(5), Collided: true, CollisionBit: uint16(n-0xD0) * 2}, nil
	case n < 0xF8:
		return iso14443.Reply{}, iso14443.ErrTimeout
	}
	return iso14443.Reply{}, iso14443.ErrGarbled
}

// FuzzCard: whatever a card sends, every call ends in bounded time with an
// answer of legal length or a typed error.
func FuzzCard(f *testing.F) {
	activation := "C20400 F0 F0 C20400 C508010203 08 01 20 05 7877710280 01 D0"
	f.Add(unhex(f, activation+"03 029000 03 039000"), false)
	f.Add(unhex(f, activation+"02 F23B 02 F201 02 1261 03 039000"), false)
	f.Add(unhex(f, activation+"F8 F0 01 A3 03 029000"), true)
	f.Add(unhex(f, "C20400 F0 F0 C20400 D0 0102030405 D5 0102030405 C50102030404"), true)
	f.Add(unhex(f, "F0 0C 500102030405060708338175 F0 0C 500102030405060708338175 01 00 03 029000"), false)
	f.Add(unhex(f, "F0 0C 500102030405060708338175 01 00 03 029000"), true)
	f.Fuzz(func(t *testing.T, data []byte, resolve bool) {
		synctest.Test(t, func(t *testing.T) {
			r, err := iso14443.New(&hostile{data: data}, &iso14443.Opts{MaxRate: iso14443.Rate424, Resolve: resolve})
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			card, err := r.Poll(t.Context(), &nfc.PollOpts{Cycles: 2})
			if err != nil {
				if !typed(err) {
					t.Errorf("Poll: untyped error %v", err)
				}
				return
			}
			for range 3 {
				got, err := card.Transmit(t.Context(), short)
				if err == nil && (len(got) < 2 || len(got) > iso14443.MaxResponse) {
					t.Errorf("response of %d bytes", len(got))
				}
				if err != nil && !typed(err) {
					t.Errorf("Transmit: untyped error %v", err)
				}
			}
			if d := time.Since(start); d > 4*longest {
				t.Errorf("took %v", d)
			}
		})
	})
}
