package iso14443_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"posagent/nfc"
	"posagent/nfc/iso14443"
)

// player is a Transceiver that gives answers in order, whatever is asked:
// hexadecimal with a check added, "=" before one as it is, "!" before one with a
// collision at bit 36, "/" before one of which four bits are missing, "-" for
// silence, "~" for a garbled frame.
type player struct {
	t       *testing.T
	answers []string
	typ     nfc.Type
	sent    []time.Time
}

func (p *player) String() string             { return "player" }
func (p *player) Field(bool) error           { return nil }
func (p *player) Halt() error                { return nil }
func (p *player) Tune(m iso14443.Mode) error { p.typ = m.Type; return nil }
func (p *player) Limits() iso14443.Limits {
	return iso14443.Limits{MaxRate: iso14443.Rate424, MaxFrame: 256}
}

func (p *player) Exchange(ctx context.Context, f iso14443.Frame, wait time.Duration) (iso14443.Reply, error) {
	p.sent = append(p.sent, time.Now())
	if len(p.answers) == 0 {
		return iso14443.Reply{}, iso14443.ErrTimeout
	}
	a := strings.TrimSpace(p.answers[0])
	p.answers = p.answers[1:]
	switch a[0] {
	case '-':
		return iso14443.Reply{}, iso14443.ErrTimeout
	case '~':
		return iso14443.Reply{}, iso14443.ErrGarbled
	case '=':
		return iso14443.Reply{Data: unhex(p.t, a[1:])}, nil
	case '!':
		return iso14443.Reply{Data: unhex(p.t, a[1:]), Collided: true, CollisionBit: 36}, nil
	case '/':
		return iso14443.Reply{Data: iso14443.AppendCRC(unhex(p.t, a[1:]), p.typ), LastBits: 4}, nil
	}
	return iso14443.Reply{Data: iso14443.AppendCRC(unhex(p.t, a), p.typ)}, nil
}

// ISO/IEC 14443-3 and -4, activation: what a card may not answer, and what is
// asked again.
func TestActivation(t *testing.T) {
	t.Parallel()
	const (
		a   = "=0400,-,-,=0400,"        // WUPA, HLTA, WUPB, WUPA
		u   = a + "=08010203 08,"       // anticollision
		b   = "-,50 01020304 05060708 " // WUPA, WUPB
		bb  = b + "00 81 70,-,50 01020304 05060708 "
		ats = "05 78 00 70 00"
	)
	for _, row := range []struct {
		name, answers string
		resolve       bool
		field         string // of the FormatError, or
		err           error  // wrapped, or neither for success
	}{
		{"A", u + "20," + ats, false, "", nil},
		{"ATQA with a collision", "!0400,-,-,!0400,=08010203 08,20," + ats, false, "", nil},
		{"anticollision asked three times", a + "-,-,=08010203 08,20," + ats, false, "", nil},
		{"SELECT asked three times", u + "-,-,20," + ats, false, "", nil},
		{"RATS asked three times", u + "20,-,-," + ats, false, "", nil},
		{"asked four times", u + "20,-,-,-," + ats, false, "", iso14443.ErrTimeout},
		{"BCC", a + "=08010203 09,20," + ats, false, "BCC", nil},
		{"short UID", a + "=08010203,20," + ats, false, "", iso14443.ErrGarbled},
		{"collision in BCC", "=0400,!08010203 08,20," + ats, true, "", iso14443.ErrGarbled},
		{"collision", a + "!08010203 08,20," + ats, false, "", nfc.ErrCollision},
		{"cascade tag alone", a + "=88010203 88,20," + ats, false, "cascade tag", nil},
		{"cascade bit alone", u + "24," + ats, false, "cascade tag", nil},
		{"fourth level", a + "=88010203 88,04,=88010203 88,04,=88010203 88,04", false, "cascade tag", nil},
		{"SAK of two bytes", u + "2000," + ats, false, "length", nil},
		{"SAK without check", u + "=20," + ats, false, "", iso14443.ErrGarbled},
		{"SAK not of whole bytes", u + "/20," + ats, false, "", iso14443.ErrGarbled},
		{"SAK without ISO/IEC 14443-4", u + "08," + ats, false, "", nfc.ErrUnsupported},
		{"ATS", u + "20,06 78 00 70 00", false, "TL", nil},
		{"PPS", u + "20,05 78 33 70 00,D0", false, "", nil},
		{"PPS with another answer", u + "20,05 78 33 70 00,D1", false, "answer", nil},
		{"PPS without answer", u + "20,05 78 33 70 00,-", false, "", iso14443.ErrTimeout},
		{"B", bb + "00 81 70,00", false, "", nil},
		{"ATTRIB asked three times", bb + "00 81 70,-,-,10", false, "", nil},
		{"ATTRIB with CID", bb + "00 81 70,01", false, "CID", nil},
		{"ATQB reserved", bb + "00 89 70,00", false, "protocol type", nil},
		{"ATQB garbled once", b + "00 81 70,-,~", false, "", iso14443.ErrGarbled},
		{"ATQB garbled first", "-,~,-,50 01020304 05060708 00 81 70,00", false, "", nil},
		{"ATQB garbled twice", "-,~,-,~", false, "", nfc.ErrCollision},
		{"B without ISO/IEC 14443-4", bb + "00 80 70,00", false, "", nfc.ErrUnsupported},
		{"A, then garbled B", "=0400,-,~", false, "", nfc.ErrCollision},
		{"B, then garbled A", b + "00 81 70,~", false, "", nfc.ErrCollision},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &player{t: t, answers: strings.Split(row.answers, ",")}
				r, err := iso14443.New(p, &iso14443.Opts{MaxRate: iso14443.Rate424, Resolve: row.resolve})
				if err != nil {
					t.Fatal(err)
				}
				_, err = r.Poll(t.Context(), &nfc.PollOpts{Cycles: 1})
				var fe *iso14443.FormatError
				switch {
				case row.field != "":
					if !errors.As(err, &fe) || fe.Field != row.field || !errors.Is(err, nfc.ErrTransmission) {
						t.Errorf("%v, want a FormatError of %s", err, row.field)
					}
				case !errors.Is(err, row.err) || row.err == nil && len(p.answers) != 0 || err != nil && !typed(err):
					t.Errorf("%v with %d answers left, want %v", err, len(p.answers), row.err)
				}
			})
		})
	}
}

// A command of the activation is not repeated at once: Book D, 9.6.1.3.
func TestRetransmissionWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &player{t: t, answers: strings.Split("=0400,-,-,=0400,-,-,=0801020308,20,0578007000", ",")}
		r, err := iso14443.New(p, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Poll(t.Context(), &nfc.PollOpts{Cycles: 1}); err != nil {
			t.Fatal(err)
		}
		for i := 5; i < 7; i++ {
			if d := p.sent[i].Sub(p.sent[i-1]); d < 3*time.Millisecond || d > 33*time.Millisecond {
				t.Errorf("repeat after %v, want 3 ms to 33 ms", d)
			}
		}
	})
}
