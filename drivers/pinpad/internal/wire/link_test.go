package wire

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// start is any time; the link owns no clock.
var start = time.Unix(1_000_000, 0)

// open gives both ends of a line in one session.
func open(t *testing.T) (term, pad *Link) {
	t.Helper()
	term, pad = NewTerminal(), NewPad()
	term.Open(0xABCD, start)
	carry(term, pad, start)
	carry(pad, term, start)
	f, ok := pad.Next()
	if !ok || f.Cmd != CmdOpen || pad.Session() != 0xABCD {
		t.Fatalf("open arrived as %+v, %v; session %X", f, ok, pad.Session())
	}
	return term, pad
}

func carry(from, to *Link, now time.Time) {
	for _, frame := range from.Output() {
		to.Feed(frame, now)
	}
}

func TestLinkDeliversOnceAndInOrder(t *testing.T) {
	t.Parallel()
	term, pad := open(t)
	for i := range 300 { // the sequence number goes round
		if _, ok := term.Post(CmdBeep, []byte{byte(i)}, start); !ok {
			t.Fatalf("message %d refused", i)
		}
		for _, frame := range term.Output() {
			pad.Feed(frame, start)
			pad.Feed(frame, start) // every frame arrives twice
		}
		carry(pad, term, start)
		f, ok := pad.Next()
		if !ok || f.Data[0] != byte(i) {
			t.Fatalf("message %d arrived as %+v, %v", i, f, ok)
		}
		if f, ok := pad.Next(); ok {
			t.Fatalf("message %d arrived twice: %+v", i, f)
		}
	}
}

func TestLinkRepeatsAndGivesUp(t *testing.T) {
	t.Parallel()
	term, _ := open(t)
	term.Post(CmdBeep, nil, start)
	now, written := start, len(term.Output())
	for range 100 {
		due := term.Deadline()
		if due.IsZero() {
			break
		}
		now = due
		term.Tick(now)
		written += len(term.Output())
	}
	if f, ok := term.Lost(); !ok || f.Cmd != CmdBeep || written != MaxTries || now != start.Add(MaxTries*AckWait) {
		t.Errorf("written %d times, lost %v after %s", written, ok, now.Sub(start))
	}
}

func TestLinkNak(t *testing.T) {
	t.Parallel()
	term, pad := open(t)
	term.Post(CmdBeep, nil, start)
	frame := term.Output()[0]
	bad := append([]byte(nil), frame...)
	bad[7] ^= 1
	pad.Feed(bad, start)
	out := pad.Output()
	if len(out) != 1 || out[0][1] != byte(Nak) {
		t.Fatalf("a broken frame was answered with % X", out)
	}
	pad.Feed([]byte("more noise"), start)
	if out := pad.Output(); len(out) != 0 {
		t.Errorf("noise at once was answered with % X", out)
	}
	term.Feed(out[0], start)
	carry(term, pad, start)
	if f, ok := pad.Next(); !ok || f.Cmd != CmdBeep {
		t.Errorf("not repeated after Nak: %+v, %v", f, ok)
	}
}

func TestLinkGap(t *testing.T) {
	t.Parallel()
	term, pad := open(t)
	term.Post(CmdBeep, nil, start)
	frame := term.Output()[0]
	lying := append([]byte{stx, 'D', 0, 0, 0, 1, 1, 1, 0x01, 0x00}, frame...)
	pad.Feed(lying, start)
	if _, ok := pad.Next(); ok {
		t.Fatal("delivered too early")
	}
	now := pad.Deadline()
	if now != start.Add(GapWait) {
		t.Fatalf("gap ends %s after the last byte", now.Sub(start))
	}
	pad.Tick(now)
	if f, ok := pad.Next(); !ok || f.Cmd != CmdBeep || !pad.Deadline().IsZero() {
		t.Errorf("frame behind a lying length: %+v, %v, next %v", f, ok, pad.Deadline())
	}
}

func TestLinkSessions(t *testing.T) {
	t.Parallel()
	term, pad := open(t)
	pad.Post(CmdKey, []byte{'1'}, start)
	stale := pad.Output()
	term.Open(0xBEEF, start)
	for _, frame := range stale {
		term.Feed(frame, start)
	}
	if f, ok := term.Next(); ok {
		t.Errorf("a message of the old session was heard: %+v", f)
	}
	carry(term, pad, start)
	carry(pad, term, start)
	if pad.Session() != 0xBEEF || pad.Backlog() != 0 {
		t.Errorf("pad has session %X and %d messages", pad.Session(), pad.Backlog())
	}
	pad.Close()
	term.Post(CmdBeep, nil, start)
	carry(term, pad, start)
	if _, ok := pad.Next(); ok {
		t.Error("a pad without session heard a command")
	}
	carry(pad, term, start)
	if !term.WasReset() || term.WasReset() {
		t.Error("the terminal was not told once that the session is gone")
	}
	if _, ok := NewTerminal().Post(CmdBeep, nil, start); ok {
		t.Error("a message was posted without session")
	}
	if _, ok := term.Post(CmdBeep, make([]byte, MaxData+1), start); ok {
		t.Error("a message too long was posted")
	}
}

// Over a line that loses, breaks and doubles frames, messages arrive once, in
// order and unchanged, unless the sender is told that one was lost.
func TestLinkOnABadLine(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		term, pad := open(t)
		now := start
		line := func(from, to *Link) {
			for _, frame := range from.Output() {
				switch x := r.IntN(100); {
				case x < 10:
					continue
				case x < 20:
					frame[r.IntN(len(frame))] ^= byte(1 + r.IntN(255))
				case x < 25:
					to.Feed(frame, now)
				case x < 30:
					frame = frame[:r.IntN(len(frame))]
				}
				to.Feed(frame, now)
			}
		}
		var got, want []string
		lost := 0
		for i := range 20 {
			text := fmt.Sprint("message ", i)
			want = append(want, text)
			term.Post(CmdBeep, []byte(text), now)
			for range 1000 {
				line(term, pad)
				line(pad, term)
				for f, ok := pad.Next(); ok; f, ok = pad.Next() {
					got = append(got, string(f.Data))
				}
				if _, ok := term.Lost(); ok {
					lost++
				}
				if term.Backlog() == 0 {
					break
				}
				now = Earlier(term.Deadline(), pad.Deadline())
				term.Tick(now)
				pad.Tick(now)
			}
			if term.Backlog() != 0 {
				t.Fatalf("seed %d: message %d is still under way", seed, i)
			}
		}
		if len(got) < len(want)-lost {
			t.Fatalf("seed %d: %d of %d messages, %d lost", seed, len(got), len(want), lost)
		}
		next := 0
		for _, text := range got {
			for next < len(want) && want[next] != text {
				next++
			}
			if next++; next > len(want) {
				t.Fatalf("seed %d: %q is wrong, twice or out of order in %q", seed, text, got)
			}
		}
	}
}
