package iso14443_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"posagent/nfc"
	"posagent/nfc/iso14443"
)

// script is a Transceiver with one card of type A that answers its activation
// by rule and its blocks by the lines of a script.
type script struct {
	t *testing.T
	// ats without its check.
	ats []byte
	// lines are "sent > answer": hexadecimal without check, "-" for silence, "~"
	// for a garbled frame.
	lines []string
	// gone: after the script nobody answers WUPA.
	gone  bool
	next  int
	on    bool
	waits []time.Duration
}

func (s *script) String() string           { return "script" }
func (s *script) Field(on bool) error      { s.on = on; return nil }
func (s *script) Tune(iso14443.Mode) error { return nil }
func (s *script) Halt() error              { return s.Field(false) }
func (s *script) Limits() iso14443.Limits  { return iso14443.Limits{MaxFrame: 256} }
func (s *script) ended() bool              { return s.next == len(s.lines) }
func (s *script) reply(b []byte) iso14443.Reply {
	return iso14443.Reply{Data: iso14443.AppendCRC(b, nfc.TypeA)}
}

func (s *script) Exchange(ctx context.Context, f iso14443.Frame, wait time.Duration) (iso14443.Reply, error) {
	silence := func() (iso14443.Reply, error) {
		select {
		case <-time.After(wait):
			return iso14443.Reply{}, iso14443.ErrTimeout
		case <-ctx.Done():
			return iso14443.Reply{}, ctx.Err()
		}
	}
	switch {
	case f.LastBits == 7:
		if s.ended() && s.gone {
			return silence()
		}
		return iso14443.Reply{Data: []byte{4, 0}}, nil
	case bytes.Equal(f.Data, []byte{0x93, 0x20}):
		return iso14443.Reply{Data: []byte{8, 1, 2, 3, 8 ^ 1 ^ 2 ^ 3}}, nil
	}
	data, ok := iso14443.TrimCRC(f.Data, nfc.TypeA)
	switch {
	case !ok: // WUPB
		return silence()
	case data[0] == 0x93:
		return s.reply([]byte{0x20}), nil
	case data[0] == 0xE0:
		return s.reply(bytes.Clone(s.ats)), nil
	case data[0] == 0x50 || s.ended():
		return silence()
	}
	want, answer, _ := strings.Cut(s.lines[s.next], ">")
	s.next++
	s.waits = append(s.waits, wait)
	if !bytes.Equal(data, unhex(s.t, strings.TrimSpace(want))) {
		s.t.Errorf("line %d: sent % X, want %s", s.next, data, want)
	}
	switch answer = strings.TrimSpace(answer); answer {
	case "-":
		return silence()
	case "~":
		return iso14443.Reply{}, iso14443.ErrGarbled
	}
	return s.reply(unhex(s.t, answer)), nil
}

// The command of the scripts is 00 A4 04 00, or with 13 bytes a block
// (FSCI 0) the same and 26 more.
var (
	short = []byte{0x00, 0xA4, 0x04, 0x00}
	long  = append(bytes.Clone(short), "abcdefghijklmnopqrstuvwxyz"...)
)

const (
	c  = "00A40400"
	p1 = "00A40400 616263646566676869"
	p2 = "6A6B6C6D6E6F70717273747576"
	p3 = "7778797A"
)

// The scenarios of ISO/IEC 14443-4, annex B, and what Book D, 10.3 adds.
func TestBlockRules(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		capdu []byte
		lines string
		want  string // response, or
		err   error  // wrapped with nfc.ErrTransmission, or nfc.ErrRemoved itself
	}{
		{"I-block", short, "02" + c + " > 029000", "9000", nil},
		{"WTX", short, "02" + c + " > F201; F201 > 029000", "9000", nil},
		{"WTX, power bits are not repeated", short, "02" + c + " > F2C5; F205 > 029000", "9000", nil},
		{"WTX twice", short, "02" + c + " > F201; F201 > F23B; F23B > 029000", "9000", nil},
		{"chaining of the reader", long, "12" + p1 + " > A2; 13" + p2 + " > A3; 02" + p3 + " > 029000", "9000", nil},
		{"chaining of the card", short, "02" + c + " > 1201; A3 > 1302; A2 > 029000", "01029000", nil},
		{"I-block lost", short, "02" + c + " > -; B2 > A3; 02" + c + " > 029000", "9000", nil},
		{"I-block lost twice", short, "02" + c + " > -; B2 > A3; 02" + c + " > -; B2 > A3; 02" + c + " > 029000", "9000", nil},
		{"answer garbled", short, "02" + c + " > ~; B2 > 029000", "9000", nil},
		{"R(NAK) lost", short, "02" + c + " > ~; B2 > -; B2 > 029000", "9000", nil},
		{"WTX request garbled", short, "02" + c + " > ~; B2 > F202; F202 > 029000", "9000", nil},
		{"WTX response lost", short, "02" + c + " > F202; F202 > -; B2 > F202; F202 > 029000", "9000", nil},
		{"answer after WTX garbled", short, "02" + c + " > F202; F202 > ~; B2 > 029000", "9000", nil},
		{"chained block lost", long, "12" + p1 + " > -; B2 > A3; 12" + p1 + " > A2; 13" + p2 + " > A3; 02" + p3 + " > 029000", "9000", nil},
		{"R(ACK) of the card garbled", long, "12" + p1 + " > ~; B2 > A2; 13" + p2 + " > ~; B3 > A3; 02" + p3 + " > 029000", "9000", nil},
		{"WTX in place of R(ACK)", long, "12" + p1 + " > F201; F201 > A2; 13" + p2 + " > A3; 02" + p3 + " > 029000", "9000", nil},
		{"R(ACK) of the reader lost", short, "02" + c + " > 1201; A3 > -; A3 > 039000", "019000", nil},
		{"chained answer garbled", short, "02" + c + " > 1201; A3 > ~; A3 > 039000", "019000", nil},
		{"WTX in a chain of the card", short, "02" + c + " > 1201; A3 > F203; F203 > 039000", "019000", nil},
		{"WTX in a chain, its answer garbled", short, "02" + c + " > 1201; A3 > F203; F203 > ~; A3 > 039000", "019000", nil},

		{"silence", short, "02" + c + " > -; B2 > -; B2 > -", "", iso14443.ErrTimeout},
		{"noise", short, "02" + c + " > ~; B2 > ~; B2 > ~", "", iso14443.ErrGarbled},
		{"silence in a chain", short, "02" + c + " > 1201; A3 > -; A3 > -; A3 > -", "", iso14443.ErrTimeout},
		{"never takes the block", short, "02" + c + " > A3; 02" + c + " > A3; 02" + c + " > A3", "", iso14443.ErrGarbled},
		{"wrong block number", short, "02" + c + " > 039000", "", nil},
		{"wrong number in a chain", short, "02" + c + " > 1201; A3 > 1201", "", nil},
		{"R(ACK) of a whole block", short, "02" + c + " > A2", "", nil},
		{"I-block for a chained one", long, "12" + p1 + " > 029000", "", nil},
		{"R(NAK) of a card", short, "02" + c + " > B2", "", nil},
		{"R(ACK) in a chain of the card", short, "02" + c + " > 1201; A3 > A2", "", nil},
		{"DESELECT of a card", short, "02" + c + " > C2", "", nil},
		{"CID", short, "02" + c + " > 0A009000", "", nil},
		{"NAD", short, "02" + c + " > 06009000", "", nil},
		{"S(PARAMETERS)", short, "02" + c + " > F0A000", "", nil},
		{"WTXM 0", short, "02" + c + " > F200", "", nil},
		{"WTXM 60", short, "02" + c + " > F23C", "", nil},
		{"not taken after WTX", short, "02" + c + " > F201; F201 > A3", "", nil},
		{"empty chained block", short, "02" + c + " > 12", "", nil},
		{"response of one byte", short, "02" + c + " > 0290", "", nil},
		{"response of no byte", short, "02" + c + " > 02", "", nil},
		{"longer than agreed", short, "02" + c + " > 02" + strings.Repeat("00", 254), "", nil},
		{"more time 257 times", short, "02" + c + strings.Repeat(" > F201; F201", 256) + " > F201", "", iso14443.ErrBound},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, gone := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					s := &script{t: t, ats: []byte{2, 0}, lines: strings.Split(row.lines, ";"), gone: gone}
					card := s.card()
					got, err := card.Transmit(t.Context(), row.capdu)
					if !s.ended() {
						t.Errorf("ended after line %d", s.next)
					}
					if row.want != "" {
						if err != nil || !bytes.Equal(got, unhex(t, row.want)) {
							t.Errorf("% X, %v, want %s", got, err, row.want)
						}
						return
					}
					want, fe := nfc.ErrTransmission, (*iso14443.FormatError)(nil)
					if row.err != nil && row.err != iso14443.ErrBound && gone {
						want = nfc.ErrRemoved
					}
					if !errors.Is(err, want) || row.err != nil && !errors.Is(err, row.err) || row.err == nil && !errors.As(err, &fe) {
						t.Errorf("%v, want %v", err, want)
					}
					if s.on {
						t.Error("the field is on")
					}
					if _, err := card.Transmit(t.Context(), short); !errors.Is(err, nfc.ErrRemoved) {
						t.Errorf("on the lost card: %v", err)
					}
				})
			}
		})
	}
}

func (s *script) card() nfc.Card {
	s.t.Helper()
	r, err := iso14443.New(s, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	card, err := r.Poll(s.t.Context(), &nfc.PollOpts{Cycles: 1})
	if err != nil {
		s.t.Fatal(err)
	}
	return card
}

// A card that keeps the protocol and never answers is given up after 30 s and
// the waiting time that runs then.
func TestEndlessAPDU(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lines := "02" + c + " > F23B" + strings.Repeat("; F23B > -; B2 > F23B", 6) + "; F23B > -"
		s := &script{t: t, ats: []byte{3, 0x28, 0xE0}, lines: strings.Split(lines, ";")}
		card := s.card()
		start := time.Now()
		_, err := card.Transmit(t.Context(), short)
		if d := time.Since(start); !errors.Is(err, nfc.ErrTransmission) || !errors.Is(err, iso14443.ErrBound) || d < 30*time.Second || d > longest || !s.ended() {
			t.Errorf("%v after %v and %d lines", err, d, s.next)
		}
	})
}

// The second APDU begins with the block number that the first one left.
func TestBlockNumbersGoOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lines := "02" + c + " > 029000; 03" + c + " > 1361; A2 > 029000; B3 > A2; 03" + c + " > 039000; C2 > -; C2 > C2"
		s := &script{t: t, ats: []byte{2, 0}, lines: strings.Split(lines, ";")}
		card := s.card()
		for i, want := range []string{"9000", "619000"} {
			if got, err := card.Transmit(t.Context(), short); err != nil || !bytes.Equal(got, unhex(t, want)) {
				t.Errorf("APDU %d: % X, %v", i, got, err)
			}
		}
		if in, err := card.Present(t.Context()); !in || err != nil {
			t.Errorf("Present = %v, %v", in, err)
		}
		if got, err := card.Transmit(t.Context(), short); err != nil || !bytes.Equal(got, []byte{0x90, 0}) {
			t.Errorf("after Present: % X, %v", got, err)
		}
		if err := card.(*iso14443.Card).Deselect(t.Context()); err != nil {
			t.Errorf("Deselect: %v", err)
		}
		if in, err := card.Present(t.Context()); in || err != nil {
			t.Errorf("Present after Deselect = %v, %v", in, err)
		}
		if !s.ended() {
			t.Errorf("ended after line %d", s.next)
		}
	})
}

// The waiting time is that of the ATS, and a granted one until the next block.
func TestWaitingTimes(t *testing.T) {
	t.Parallel()
	const delta = 3624 * time.Microsecond
	for _, row := range []struct {
		fwi   byte
		lines string
		want  []time.Duration
	}{
		{4, "02" + c + " > 029000", []time.Duration{4833 * time.Microsecond}},
		{0, "02" + c + " > 029000", []time.Duration{302 * time.Microsecond}},
		{15, "02" + c + " > 029000", []time.Duration{4833 * time.Microsecond}},
		{7, "02" + c + " > F20A; F20A > ~; B2 > 029000", []time.Duration{38664 * time.Microsecond, 386640 * time.Microsecond, 386640 * time.Microsecond}},
		{7, "02" + c + " > F20A; F20A > 1261; A3 > 039000", []time.Duration{38664 * time.Microsecond, 386640 * time.Microsecond, 38664 * time.Microsecond}},
		{14, "02" + c + " > F23B; F23B > 029000", []time.Duration{4949 * time.Millisecond, 4949 * time.Millisecond}},
	} {
		t.Run(fmt.Sprintf("FWI %d", row.fwi), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{t: t, ats: []byte{3, 0x28, row.fwi << 4}, lines: strings.Split(row.lines, ";")}
				if _, err := s.card().Transmit(t.Context(), short); err != nil {
					t.Fatal(err)
				}
				for i, want := range row.want {
					if d := s.waits[i] - want - delta; d < -want/1000-time.Microsecond || d > want/1000+time.Microsecond {
						t.Errorf("frame %d waits %v, want %v and %v", i, s.waits[i], want, delta)
					}
				}
			})
		})
	}
}
