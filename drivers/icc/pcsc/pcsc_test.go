package pcsc

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"posagent/drivers/icc"
)

// daemon speaks the socket's protocol as pcscd does, with one reader and one card.
type daemon struct {
	mu sync.Mutex // guards polls and present

	minor    uint32 // it speaks 4:minor
	present  bool
	atr      []byte
	protocol uint32
	connect  Code // result of connecting
	transmit func(capdu []byte) ([]byte, Code)
	wild     bool // claims an answer of 4 GiB
	silent   bool // never answers a command

	asked []string // commands APDUs, in hexadecimal
	power []uint32 // dispositions of reconnect and disconnect
	polls int
}

const testReader = "Test Reader 00 00"

var testATR = []byte{0x3B, 0xE0, 0x00, 0x00, 0x81, 0x31, 0x20, 0x45, 0x35}

func (d *daemon) table() []byte {
	b := make([]byte, maxReaders*stateSize)
	for i, name := range []string{"Another Reader", testReader, "Test Reader 00 01"} {
		s := b[i*stateSize:]
		copy(s, name)
		if name != testReader || !d.present {
			order.PutUint32(s[nameSize+4:], 0x02)
			continue
		}
		order.PutUint32(s[nameSize+4:], 0x34)
		copy(s[nameSize+12:], d.atr)
		order.PutUint32(s[nameSize+48:], uint32(len(d.atr)))
	}
	return b
}

// serve answers one connection until it ends.
func (d *daemon) serve(conn net.Conn) {
	defer conn.Close()
	for {
		head := make([]byte, headerSize)
		if _, err := io.ReadFull(conn, head); err != nil {
			return
		}
		body := make([]byte, word(head, 0))
		if _, err := io.ReadFull(conn, body); err != nil {
			return
		}
		answer := d.answer(conn, word(head, 1), body)
		if answer == nil {
			continue
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

func (d *daemon) answer(conn net.Conn, command uint32, body []byte) []byte {
	set := func(i int, v uint32) { order.PutUint32(body[4*i:], v) }
	switch command {
	case cmdVersion:
		if word(body, 1) != d.minor {
			set(2, uint32(codeStopped))
		}
		set(1, d.minor)
	case cmdEstablish:
		set(1, 7)
	case cmdReaders:
		d.mu.Lock() // a connection given up may still be answered beside the next
		defer d.mu.Unlock()
		d.polls++
		if d.polls > 3 {
			d.present = true
		}
		return d.table()
	case cmdConnect:
		name, _, _ := bytes.Cut(body[4:4+nameSize], []byte{0})
		code := d.connect
		if string(name) != testReader || word(body, 0) != 7 {
			code = codeUnknownReader
		}
		order.PutUint32(body[4+nameSize+8:], 9)
		order.PutUint32(body[4+nameSize+12:], d.protocol)
		order.PutUint32(body[4+nameSize+16:], uint32(code))
	case cmdReconnect:
		d.power = append(d.power, word(body, 3))
		set(4, d.protocol)
	case cmdDisconnect:
		d.power = append(d.power, word(body, 1))
	case cmdTransmit:
		capdu := make([]byte, word(body, 3))
		if _, err := io.ReadFull(conn, capdu); err != nil {
			return nil
		}
		if d.silent {
			return nil
		}
		d.asked = append(d.asked, strings.ToUpper(hex.EncodeToString(capdu)))
		rapdu, code := d.transmit(capdu)
		set(6, uint32(len(rapdu)))
		set(7, uint32(code))
		if d.wild {
			set(6, 0xFFFFFFFF)
		}
		if code != codeOK {
			return body
		}
		return append(body, rapdu...)
	}
	return body
}

// pipe is a daemon in the same process.
func (d *daemon) pipe() (net.Conn, error) {
	ours, theirs := net.Pipe()
	go d.serve(theirs)
	return ours, nil
}

func open(t *testing.T, d *daemon, opts *Opts) (*Client, *Reader) {
	t.Helper()
	if d.minor == 0 {
		d.minor = maxMinor
	}
	if d.atr == nil {
		d.atr = testATR
	}
	if d.protocol == 0 {
		d.protocol = protocolT1
	}
	c, err := dial(t.Context(), d.pipe)
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Open(t.Context(), testReader, opts)
	if err != nil {
		t.Fatal(err)
	}
	return c, r
}

// TestTransaction is what a terminal does: wait, activate, transmit, take the power away.
func TestTransaction(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &daemon{transmit: func(capdu []byte) ([]byte, Code) { return []byte{0x6F, 0x00, 0x90, 0x00}, codeOK }}
		c, r := open(t, d, nil)
		if _, err := r.Transmit(t.Context(), []byte{0, 0xA4, 4, 0}); !errors.Is(err, icc.ErrInactive) {
			t.Errorf("transmit before activation: %v; want ErrInactive", err)
		}
		if err := r.Wait(t.Context(), true); err != nil { // the card comes with the fourth question
			t.Fatal(err)
		}
		atr, err := r.Activate(t.Context())
		if err != nil || !bytes.Equal(atr.Raw, testATR) {
			t.Fatalf("ATR %v, error %v", atr, err)
		}
		capdu := []byte{0, 0xA4, 4, 0, 1, 0xAA, 0}
		rapdu, err := r.Transmit(t.Context(), capdu)
		if err != nil || hex.EncodeToString(rapdu) != "6f009000" {
			t.Fatalf("answer %X, error %v", rapdu, err)
		}
		if err := errors.Join(r.Halt(), r.Halt(), c.Close(), c.Close()); err != nil {
			t.Fatal(err)
		}
		if len(d.asked) != 1 || d.asked[0] != "00A4040001AA00" {
			t.Errorf("card heard %q", d.asked)
		}
		if len(d.power) != 2 || d.power[0] != unpowerCard || d.power[1] != unpowerCard {
			t.Errorf("dispositions %v; want the power taken away before and after", d.power)
		}
		if _, err := c.Readers(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v; want ErrClosed", err)
		}
		synctest.Wait()
	})
}

// TestT0: 61xx, 6Cxx and the missing Le are the reader's business, and a card cannot keep it for ever.
func TestT0(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, capdu string
		card        map[string]string
		want        string
		asked       int
	}{
		{"GET RESPONSE", "00A4040001AA00", map[string]string{"00A4040001AA": "6103", "00C0000003": "0102039000"}, "0102039000", 2},
		{"two parts", "00A4040001AA00", map[string]string{"00A4040001AA": "6102", "00C0000002": "01026101", "00C0000001": "039000"}, "0102039000", 3},
		{"wrong Le", "00B2010C00", map[string]string{"00B2010C00": "6C02", "00B2010C02": "70009000"}, "70009000", 2},
		{"case 1", "00A40400", map[string]string{"00A4040000": "9000"}, "9000", 1},
		{"no end", "00A4040001AA00", map[string]string{"00A4040001AA": "6101", "00C0000001": "006101"}, "", maxRounds},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := &daemon{present: true, protocol: protocolT0, transmit: func(capdu []byte) ([]byte, Code) {
				b, err := hex.DecodeString(c.card[strings.ToUpper(hex.EncodeToString(capdu))])
				if err != nil || len(b) == 0 {
					return []byte{0x6F, 0x00}, codeOK
				}
				return b, codeOK
			}}
			_, r := open(t, d, nil)
			if _, err := r.Activate(t.Context()); err != nil {
				t.Fatal(err)
			}
			capdu, err := hex.DecodeString(c.capdu)
			if err != nil {
				t.Fatal(err)
			}
			rapdu, err := r.Transmit(t.Context(), capdu)
			if c.want == "" && !errors.Is(err, icc.ErrTransmission) || c.want != "" && err != nil {
				t.Fatalf("error %v", err)
			}
			if got := strings.ToUpper(hex.EncodeToString(rapdu)); got != c.want || len(d.asked) != c.asked {
				t.Errorf("answer %s after %q; want %s after %d", got, d.asked, c.want, c.asked)
			}
		})
	}
}

// TestErrors: what goes wrong has the errors of icc.Reader.
func TestErrors(t *testing.T) {
	t.Parallel()
	code := func(c Code) func([]byte) ([]byte, Code) {
		return func([]byte) ([]byte, Code) { return nil, c }
	}
	for _, c := range []struct {
		name           string
		d              *daemon
		opts           *Opts
		activate, send error
	}{
		{"no card", &daemon{connect: codeNoCard}, nil, icc.ErrNoCard, nil},
		{"mute card", &daemon{connect: codeMute}, nil, icc.ErrMute, nil},
		{"another program has it", &daemon{connect: codeSharing}, nil, icc.ErrTransmission, nil},
		{"ATR against EMV", &daemon{present: true, atr: []byte{0x3B, 0x80, 0x80, 0x01, 0x01}}, nil, icc.ErrTransmission, nil},
		{"ATR against EMV, ISO", &daemon{present: true, atr: []byte{0x3B, 0x80, 0x80, 0x01, 0x01}, transmit: code(codeRemoved)}, &Opts{ISO: true}, nil, icc.ErrRemoved},
		{"no ATR at all", &daemon{present: true, atr: []byte{}}, nil, icc.ErrTransmission, nil},
		{"removed", &daemon{present: true, transmit: code(codeRemoved)}, nil, nil, icc.ErrRemoved},
		{"failed", &daemon{present: true, transmit: code(codeNotTransacted)}, nil, nil, icc.ErrTransmission},
		{"empty answer", &daemon{present: true, transmit: code(codeOK)}, nil, nil, icc.ErrTransmission},
		{"endless answer", &daemon{present: true, wild: true, transmit: code(codeOK)}, nil, nil, icc.ErrTransmission},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, r := open(t, c.d, c.opts)
			_, err := r.Activate(t.Context())
			if !errors.Is(err, c.activate) || c.activate == nil && err != nil {
				t.Fatalf("activate: %v; want %v", err, c.activate)
			}
			if c.activate != nil {
				return
			}
			if _, err := r.Transmit(t.Context(), []byte{0, 0xB2, 1, 0x0C, 0}); !errors.Is(err, c.send) {
				t.Fatalf("transmit: %v; want %v", err, c.send)
			}
			if _, err := r.Transmit(t.Context(), []byte{0, 0xB2, 1, 0x0C, 0}); !errors.Is(err, icc.ErrInactive) {
				t.Errorf("after an error: %v; want ErrInactive", err)
			}
		})
	}
}

// TestCommandError: a wrong command is not sent.
func TestCommandError(t *testing.T) {
	t.Parallel()
	d := &daemon{present: true, transmit: func([]byte) ([]byte, Code) { return []byte{0x90, 0x00}, codeOK }}
	_, r := open(t, d, nil)
	if _, err := r.Activate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, capdu := range [][]byte{nil, {0, 0xA4, 4}, {0, 0xA4, 4, 0, 0, 0}, {0, 0xA4, 4, 0, 3, 1}, {0, 0xA4, 4, 0, 1, 1, 0, 0}} {
		var e *icc.CommandError
		if _, err := r.Transmit(t.Context(), capdu); !errors.As(err, &e) {
			t.Errorf("%X: error %v; want a CommandError", capdu, err)
		}
	}
	if len(d.asked) != 0 {
		t.Errorf("card heard %q", d.asked)
	}
}

// TestCancel: a context ends a wait and an exchange; the stream is not used again.
func TestCancel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &daemon{present: true, silent: true}
		c, r := open(t, d, nil)
		if _, err := r.Activate(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*PollInterval)
		defer cancel()
		if err := r.Wait(ctx, false); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("wait: %v; want the context's error", err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		c, r = open(t, d, nil)
		if _, err := r.Activate(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), PollInterval)
		defer cancel()
		if _, err := r.Transmit(ctx, []byte{0, 0xB2, 1, 0x0C, 0}); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, icc.ErrTransmission) {
			t.Errorf("transmit: %v; want the context's error and ErrTransmission", err)
		}
		if _, err := c.Readers(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("after it: %v; want ErrClosed", err)
		}
		synctest.Wait()
	})
}

// TestVersions: older daemons are asked again in their own version, others refused.
func TestVersions(t *testing.T) {
	t.Parallel()
	for minor, ok := range map[uint32]bool{4: true, 3: true, 2: true, 1: false, 9: false} {
		d := &daemon{minor: minor, present: true}
		c, err := dial(t.Context(), d.pipe)
		if ok != (err == nil) || !ok && !errors.Is(err, ErrVersion) {
			t.Errorf("4:%d: error %v", minor, err)
		}
		if err == nil {
			c.Close()
		}
	}
}

// TestOpen finds readers by name or by its beginning.
func TestOpen(t *testing.T) {
	t.Parallel()
	d := &daemon{minor: maxMinor}
	c, err := dial(t.Context(), d.pipe)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{testReader: testReader, "Ano": "Another Reader", "Test": "", "Nobody": ""} {
		r, err := c.Open(t.Context(), name, nil)
		if want == "" {
			if !errors.Is(err, ErrReader) {
				t.Errorf("%q: error %v; want ErrReader", name, err)
			}
			continue
		}
		if err != nil || r.String() != want {
			t.Errorf("%q: %v, %v; want %q", name, r, err, want)
		}
	}
	if _, err := Dial(t.Context(), "/nonexistent/pcscd.comm"); err == nil {
		t.Error("a daemon that is not there was reached")
	}
}

func FuzzParseReaders(f *testing.F) {
	f.Add((&daemon{present: true, atr: testATR}).table())
	f.Add(bytes.Repeat([]byte{0xFF}, maxReaders*stateSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := parseReaders(b)
		if err == nil && len(list) > maxReaders {
			t.Fatalf("%d readers", len(list))
		}
		for _, r := range list {
			if len(r.ATR) > atrSize {
				t.Fatalf("ATR of %d bytes", len(r.ATR))
			}
		}
	})
}
