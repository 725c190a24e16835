package acquirer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"posagent/agent/acquirer"
	"posagent/agent/keys"
	"posagent/agent/payment"
)

// forge is a world whose host the test plays itself, with the right keys.
type forge struct {
	*world
	host *keys.Host
}

func newForge(t *testing.T, p *acquirer.Profile) *forge {
	t.Helper()
	w := start(t, p, nil)
	h, err := keys.NewHost(tmk, rand.NewChaCha8([32]byte{2}))
	if err != nil {
		t.Fatal(err)
	}
	for use, size := range map[keys.Use]int{keys.UsePIN: 16, keys.UseMAC: 8} {
		k, err := h.Fresh(use, size)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.pad.InstallWorking(t.Context(), use, k.Cryptogram, k.KCV[:]); err != nil {
			t.Fatal(err)
		}
	}
	return &forge{w, h}
}

// good is the true answer's fields to a request.
func (f *forge) good(req *acquirer.Message) map[uint8]string {
	values := map[uint8]string{12: "140309", 13: "0520", 37: "140309000001", 38: "000001", 39: "00", 63: "CUP"}
	for _, id := range []uint8{2, 3, 4, 11, 25, 41, 42, 49, 60} {
		values[id] = req.Text(id)
	}
	return values
}

// frame packs an answer with a right MAC, unless values has a field 64 already.
func (f *forge) frame(req acquirer.Frame, mti string, values map[uint8]string) []byte {
	m := f.cfg.Profile.New(mti)
	_, spoilt := values[64]
	if !spoilt {
		values[64] = strings.Repeat("\x00", 8)
	}
	if values[64] == "" {
		delete(values, 64)
	}
	for id, v := range values {
		if err := m.Set(id, v); err != nil {
			f.t.Error(err)
		}
	}
	body, err := m.Pack()
	if err != nil {
		f.t.Error(err)
		return nil
	}
	if !spoilt {
		end := len(body) - 8
		mac, err := f.host.MAC(f.cfg.Profile.MACAlgorithm(), body[:end])
		if err != nil {
			f.t.Error(err)
		}
		copy(body[end:], mac[:])
	}
	wire, err := req.Answer(body).AppendTo(nil, f.cfg.Profile.MaxFrame())
	if err != nil {
		f.t.Error(err)
	}
	return wire
}

// answering gives a link whose host answers with what spoil makes of the good
// answer.
func (f *forge) answering(mti string, spoil func(map[uint8]string)) *acquirer.Link {
	return f.peer(func(req acquirer.Frame) [][]byte {
		m, err := f.cfg.Profile.Unpack(req.Body)
		if err != nil {
			f.t.Error(err)
			return nil
		}
		values := f.good(m)
		spoil(values)
		return [][]byte{f.frame(req, mti, values)}
	})
}

// TestEveryReplyField changes, empties or removes each field of an answer, with a
// MAC that is right for what is sent.
func TestEveryReplyField(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newForge(t, profile(t))
		for _, row := range []struct {
			name    string
			mti     string
			spoil   func(map[uint8]string)
			want    error // nil: accepted
			foreign string
		}{
			{"nothing", "0210", func(map[uint8]string) {}, nil, ""},
			{"type of a reversal's answer", "0410", func(map[uint8]string) {}, acquirer.ErrNoResponse, "message type 0410"},
			{"type of a request", "0200", func(map[uint8]string) {}, acquirer.ErrNoResponse, "message type 0200"},
			{"field 3", "0210", func(v map[uint8]string) { v[3] = "200000" }, acquirer.ErrNoResponse, "field 3 differs"},
			{"field 3 away", "0210", func(v map[uint8]string) { delete(v, 3) }, acquirer.ErrNoResponse, "field 3 absent"},
			{"field 4", "0210", func(v map[uint8]string) { v[4] = "000000001235" }, acquirer.ErrNoResponse, "field 4 differs"},
			{"field 4 away", "0210", func(v map[uint8]string) { delete(v, 4) }, acquirer.ErrNoResponse, "field 4 absent"},
			{"field 11", "0210", func(v map[uint8]string) { v[11] = "000999" }, acquirer.ErrNoResponse, "field 11 differs"},
			{"field 11 away", "0210", func(v map[uint8]string) { delete(v, 11) }, acquirer.ErrNoResponse, "field 11 absent"},
			{"field 39 away", "0210", func(v map[uint8]string) { delete(v, 39) }, acquirer.ErrNoResponse, "field 39 absent"},
			{"field 41", "0210", func(v map[uint8]string) { v[41] = "10000002" }, acquirer.ErrNoResponse, "field 41 differs"},
			{"field 41 away", "0210", func(v map[uint8]string) { delete(v, 41) }, acquirer.ErrNoResponse, "field 41 absent"},
			{"field 42", "0210", func(v map[uint8]string) { v[42] = "898100000000002" }, acquirer.ErrNoResponse, "field 42 differs"},
			{"field 42 away", "0210", func(v map[uint8]string) { delete(v, 42) }, acquirer.ErrNoResponse, "field 42 absent"},
			{"batch", "0210", func(v map[uint8]string) { v[60] = "2200000800060" }, acquirer.ErrNoResponse, "batch differs"},
			{"field 60 too short", "0210", func(v map[uint8]string) { v[60] = "22" }, acquirer.ErrNoResponse, "batch differs"},
			{"field 60 away", "0210", func(v map[uint8]string) { delete(v, 60) }, nil, ""},
			{"field 64 away, approved", "0210", func(v map[uint8]string) { v[64] = "" }, acquirer.ErrBadMAC, "MAC"},
			{"field 64 wrong, approved", "0210", func(v map[uint8]string) { v[64] = "00000000" }, acquirer.ErrBadMAC, "MAC"},
			{"field 64 wrong, declined", "0210", func(v map[uint8]string) { v[39], v[64] = "51", "00000000" }, acquirer.ErrBadMAC, "MAC"},
			{"field 64 away, declined", "0210", func(v map[uint8]string) { v[39], v[64] = "51", "" }, nil, ""},
			{"unknown code is a decline", "0210", func(v map[uint8]string) { v[39] = "zz" }, nil, ""},
			{"partial approval", "0210", func(v map[uint8]string) { v[39], v[4] = "10", "000000001000" }, acquirer.ErrPartial, ""},
			{"time that is none", "0210", func(v map[uint8]string) { v[12] = "256199" }, nil, ""},
			{"text that is no GBK", "0210", func(v map[uint8]string) { v[63] = "CUP\xFF\xFF\x1b[2J" }, nil, ""},
		} {
			f.foreign = nil
			resp, err := f.answering(row.mti, row.spoil).Authorize(t.Context(), f.sale(false))
			if !errors.Is(err, row.want) || (err != nil) != (row.want != nil) {
				t.Errorf("%s: %v; want %v", row.name, err, row.want)
			}
			if got := strings.Join(f.foreign, ";"); got != row.foreign {
				t.Errorf("%s: foreign %q, want %q", row.name, got, row.foreign)
			}
			if strings.ContainsAny(resp.Text, "\x1b\n") {
				t.Errorf("%s: text %q carries control characters", row.name, resp.Text)
			}
		}
	})
}

// TestReversalNeedsMAC: what ends a reversal counts only with a MAC.
func TestReversalNeedsMAC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newForge(t, profile(t))
		for _, code := range []string{"00", "25", "12"} {
			link := f.answering("0410", func(v map[uint8]string) { v[39], v[64] = code, "" })
			_, err := link.Reverse(t.Context(), payment.Reversal{Request: f.sale(false), Reason: payment.ReasonNoReply})
			if !errors.Is(err, acquirer.ErrBadMAC) {
				t.Errorf("0410 with %s and no MAC: %v; want ErrBadMAC", code, err)
			}
		}
	})
}

// TestEveryReplyBit flips each bit of a true answer: none of it is ever taken
// for an answer, except in the header, which no MAC covers and which decides
// nothing about money.
func TestEveryReplyBit(t *testing.T) {
	const head, body = 2 + 5, 2 + 5 + 6
	synctest.Test(t, func(t *testing.T) {
		f := newForge(t, profile(t))
		size := 0
		for bit := 0; bit == 0 || bit < 8*size; bit++ {
			link := f.peer(func(req acquirer.Frame) [][]byte {
				m, err := f.cfg.Profile.Unpack(req.Body)
				if err != nil {
					t.Error(err)
					return nil
				}
				wire := f.frame(req, "0210", f.good(m))
				size = len(wire)
				wire[bit/8] ^= 0x80 >> (bit % 8)
				return [][]byte{wire}
			})
			_, err := link.Authorize(t.Context(), f.sale(false))
			if at := bit / 8; at >= head && at < body {
				if err != nil {
					t.Errorf("bit %d of the header: %v", bit-8*head, err)
				}
			} else if !errors.Is(err, acquirer.ErrInDoubt) {
				t.Errorf("bit %d flipped: %v; want a doubt", bit, err)
			}
		}
	})
}

// TestAnswerAmongForeign: foreign messages before the answer are passed over, but
// not without end.
func TestAnswerAmongForeign(t *testing.T) {
	for _, row := range []struct {
		noise int
		want  error
	}{{0, nil}, {63, nil}, {64, acquirer.ErrNoResponse}} {
		t.Run(fmt.Sprint(row.noise), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newForge(t, profile(t))
				link := f.peer(func(req acquirer.Frame) (out [][]byte) {
					m, err := f.cfg.Profile.Unpack(req.Body)
					if err != nil {
						t.Error(err)
						return nil
					}
					foreign := f.good(m)
					foreign[11] = "000999"
					noise := f.frame(req, "0210", foreign)
					for range row.noise {
						out = append(out, noise)
					}
					return append(out, f.frame(req, "0210", f.good(m)))
				})
				if _, err := link.Authorize(t.Context(), f.sale(false)); !errors.Is(err, row.want) || (err == nil) != (row.want == nil) {
					t.Errorf("after %d foreign messages: %v; want %v", row.noise, err, row.want)
				}
				if len(f.foreign) != row.noise {
					t.Errorf("%d foreign messages told, want %d", len(f.foreign), row.noise)
				}
			})
		})
	}
}

// TestProcessingRequirement: the low nibble of the header's third byte.
func TestProcessingRequirement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newForge(t, profile(t))
		for head, want := range map[[6]byte]bool{
			{0x60, 0x31, 0x10, 0x31}: false,
			{0x60, 0x31, 0x13, 0x31}: true,
			{0x60, 0x31, 0x31, 0x33}: false,
		} {
			link := f.peer(func(req acquirer.Frame) [][]byte {
				m, err := f.cfg.Profile.Unpack(req.Body)
				if err != nil {
					t.Error(err)
					return nil
				}
				req.Head = head
				return [][]byte{f.frame(req, "0210", f.good(m))}
			})
			if resp, err := link.Authorize(t.Context(), f.sale(false)); err != nil || resp.SignAgain != want {
				t.Errorf("header % X: SignAgain %v, %v; want %v", head, resp.SignAgain, err, want)
			}
		}
	})
}

// TestHostTimeYear: fields 12 and 13 name no year.
func TestHostTimeYear(t *testing.T) {
	for _, row := range []struct {
		name, date, clock string
		now, want         time.Time
	}{
		{"the same day", "0520", "140309", when, when},
		{"New Year's Eve answered after it", "1231", "235959", time.Date(2027, 1, 1, 0, 0, 2, 0, time.UTC), time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC)},
		{"the host is already in the new year", "0101", "000001", time.Date(2026, 12, 31, 23, 59, 58, 0, time.UTC), time.Date(2027, 1, 1, 0, 0, 1, 0, time.UTC)},
		{"29 February", "0229", "120000", time.Date(2028, 2, 29, 12, 0, 0, 0, time.UTC), time.Date(2028, 2, 29, 12, 0, 0, 0, time.UTC)},
		{"no such day", "0231", "120000", when, time.Time{}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newForge(t, profile(t))
				f.cfg.Now = func() time.Time { return row.now }
				link := f.answering("0210", func(v map[uint8]string) { v[12], v[13] = row.clock, row.date })
				if resp, err := link.Authorize(t.Context(), f.sale(false)); err != nil || !resp.HostTime.Equal(row.want) {
					t.Errorf("HostTime = %v, %v; want %v", resp.HostTime, err, row.want)
				}
			})
		})
	}
}

// TestSignInAnswers: keys that are wrong are not installed, and every layout is
// known by its length.
func TestSignInAnswers(t *testing.T) {
	for n, want := range map[int]int{24: 2, 40: 2, 60: 3, 56: 0, 84: 0, 0: 0, 23: 0, 61: 0, 128: 0} {
		got, err := acquirer.CutKeys(make([]byte, n))
		var fe *acquirer.FieldError
		if got != want || (want == 0) != (errors.As(err, &fe) && fe.Field == 62) {
			t.Errorf("field 62 of %d bytes: %d keys, %v; want %d", n, got, err, want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		w := start(t, profile(t), nil)
		w.cfg.Keys = wrongKCV{w.pad}
		link, err := acquirer.New(w.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := link.SignIn(t.Context(), 1); !errors.Is(err, keys.ErrKCV) {
			t.Errorf("SignIn with a wrong check value = %v; want ErrKCV", err)
		}
	})
}

// wrongKCV is a line on which the check values are spoilt.
type wrongKCV struct{ keys.Store }

func (s wrongKCV) InstallWorking(ctx context.Context, use keys.Use, cryptogram, kcv []byte) error {
	kcv = bytes.Clone(kcv)
	kcv[0] ^= 1
	return s.Store.InstallWorking(ctx, use, cryptogram, kcv)
}
