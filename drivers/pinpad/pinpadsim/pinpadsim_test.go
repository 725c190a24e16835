package pinpadsim

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"posagent/drivers/pinpad"
	"posagent/drivers/pinpad/internal/wire"
)

// answers feeds commands to a pad and gives its answers.
func answers(t *testing.T, d *Device, term *wire.Link, cmd wire.Cmd, data []byte) wire.Answer {
	t.Helper()
	now := time.Now()
	seq, ok := term.Post(cmd, data, now)
	if !ok {
		t.Fatal("command refused by the link")
	}
	for _, frame := range term.Output() {
		d.feed(frame)
	}
	frames, _ := d.due(t.Context())
	for _, frame := range frames {
		term.Feed(frame, now)
	}
	for f, ok := term.Next(); ok; f, ok = term.Next() {
		if a, ok := wire.ParseAnswer(f.Data); ok && f.Cmd == wire.CmdAnswer && a.Re == seq {
			d.feed(wire.Frame{Kind: wire.Ack, Session: f.Session, Seq: f.Seq}.AppendTo(nil))
			return a
		}
	}
	t.Fatalf("no answer to command %#x", cmd)
	return wire.Answer{}
}

func opened(t *testing.T, d *Device) *wire.Link {
	t.Helper()
	term := wire.NewTerminal()
	term.Open(7, time.Now())
	for range 4 {
		for _, frame := range term.Output() {
			d.feed(frame)
		}
		frames, _ := d.due(t.Context())
		for _, frame := range frames {
			term.Feed(frame, time.Now())
		}
	}
	if _, ok := term.Next(); !ok {
		t.Fatal("the pad did not open a session")
	}
	return term
}

func TestCommandsAreJudged(t *testing.T) {
	t.Parallel()
	d := New(&Opts{})
	term := opened(t, d)
	pin := func(change func(*wire.PINRequest)) []byte {
		r := wire.PINRequest{Entry: 1, Min: 4, Max: 12, Timeout: time.Minute, PAN: []byte("6228480000000000000")}
		change(&r)
		out, _ := r.AppendTo(nil)
		return out
	}
	for _, c := range []struct {
		name string
		cmd  wire.Cmd
		data []byte
		want wire.Status
	}{
		{"unknown", 0x7F, nil, wire.Unknown},
		{"keyboard without state", wire.CmdKeyboard, nil, wire.Malformed},
		{"keyboard state 2", wire.CmdKeyboard, []byte{2}, wire.Malformed},
		{"key load cut short", wire.CmdLoadKey, []byte{3, 'p', 'i'}, wire.Malformed},
		{"key load with a tail", wire.CmdLoadKey, []byte{0, 0, 0, 9}, wire.Malformed},
		{"key load without master key", wire.CmdLoadKey, []byte{0, 0, 0}, wire.NoKey},
		{"MAC chunk that begins nothing", wire.CmdMAC, []byte{0, 0, 0, 0}, wire.Malformed},
		{"MAC chunk at a wrong place", wire.CmdMAC, []byte{1, 0, 0, 1}, wire.Malformed},
		{"MAC flags", wire.CmdMAC, []byte{4, 0, 0, 0}, wire.Malformed},
		{"MAC chunk too long", wire.CmdMAC, append([]byte{1, 0, 0, 0}, make([]byte, 257)...), wire.Malformed},
		{"MAC without key", wire.CmdMAC, []byte{3, 0, 0, 0}, wire.NoKey},
		{"PIN request cut short", wire.CmdEnterPIN, []byte{1, 2, 3}, wire.Malformed},
		{"PIN of three", wire.CmdEnterPIN, pin(func(r *wire.PINRequest) { r.Min = 3 }), wire.Malformed},
		{"PIN of thirteen", wire.CmdEnterPIN, pin(func(r *wire.PINRequest) { r.Max = 13 }), wire.Malformed},
		{"PIN without time", wire.CmdEnterPIN, pin(func(r *wire.PINRequest) { r.Timeout = 0 }), wire.Malformed},
		{"PIN format 3", wire.CmdEnterPIN, pin(func(r *wire.PINRequest) { r.Format = 3 }), wire.Malformed},
		{"PIN for letters", wire.CmdEnterPIN, pin(func(r *wire.PINRequest) { r.PAN = []byte("622848000000A") }), wire.Malformed},
		{"PIN without key", wire.CmdEnterPIN, pin(func(*wire.PINRequest) {}), wire.NoKey},
		{"cancel of nothing", wire.CmdCancel, []byte{1}, wire.NoEntry},
		{"cancel without entry", wire.CmdCancel, nil, wire.Malformed},
		{"beep without length", wire.CmdBeep, nil, wire.Malformed},
	} {
		if a := answers(t, d, term, c.cmd, c.data); a.Status != c.want || a.Cmd != c.cmd {
			t.Errorf("%s: %s to command %#x, want %s", c.name, a.Status, uint8(a.Cmd), c.want)
		}
	}
}

// pinOnly is a module with a PIN key that cannot encipher.
type pinOnly struct{ blank }

func (pinOnly) Slots() map[string][4]byte { return map[string][4]byte{"pin": {1}} }
func (pinOnly) PINBlock(context.Context, []byte, string) (b [8]byte, err error) {
	return b, errors.New("broken inside")
}

func TestDigitsAreWiped(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		end  func(d *Device)
	}{
		{"cancel", func(d *Device) { d.Press(pinpad.Cancel) }},
		{"enter", func(d *Device) { d.Press(pinpad.Enter) }},
		{"clear", func(d *Device) { d.Press(pinpad.Clear) }},
		{"tamper", func(d *Device) { d.Tamper() }},
		{"power", func(d *Device) { d.PowerCycle() }},
		{"new session", func(d *Device) {
			d.feed(wire.Frame{Kind: wire.Data, Session: 99, Cmd: wire.CmdOpen, Data: []byte{1}}.AppendTo(nil))
			d.due(context.Background())
		}},
	} {
		d := New(&Opts{Secure: pinOnly{}})
		term := opened(t, d)
		req, _ := wire.PINRequest{Entry: 1, Min: 4, Max: 12, Timeout: time.Minute, PAN: []byte("6228480000000000000")}.AppendTo(nil)
		if a := answers(t, d, term, wire.CmdEnterPIN, req); a.Status != wire.OK {
			t.Fatalf("%s: %s", c.name, a.Status)
		}
		for _, k := range "7391" {
			d.Press(pinpad.Key(k))
		}
		e := d.entry
		if string(e.digits[:4]) != "7391" {
			t.Fatalf("%s: the pad holds % X", c.name, e.digits)
		}
		c.end(d)
		if e.digits != [maxPIN]byte{} {
			t.Errorf("%s: digits are left in memory", c.name)
		}
	}
}

// dead is a line that ends at once or fails.
type dead struct{ err error }

func (l dead) Read([]byte) (int, error)    { return 0, l.err }
func (l dead) Write(p []byte) (int, error) { return len(p), nil }

// undue is a line that takes no deadline.
type undue struct {
	dead
	err error
}

func (l undue) SetReadDeadline(time.Time) error { return l.err }

func TestServeEnds(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken line")
	for _, c := range []struct {
		name      string
		err, want error
	}{
		{"end of line", io.EOF, nil},
		{"closed", io.ErrClosedPipe, nil},
		{"broken", broken, broken},
	} {
		if err := New(&Opts{}).Serve(t.Context(), dead{c.err}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	refused := undue{dead{io.EOF}, os.ErrNoDeadline}
	if err := New(&Opts{}).Serve(t.Context(), refused); !errors.Is(err, os.ErrNoDeadline) {
		t.Errorf("line that takes no deadline: %v", err)
	}
	long := string(bytes.Repeat([]byte("x"), 100))
	if d := New(&Opts{Serial: long}); len(d.opts.Serial) != maxIdentity {
		t.Errorf("serial of %d bytes", len(d.opts.Serial))
	}
}
