package pn532sim_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"posagent/drivers/bussim"
	"posagent/drivers/uart"
	"posagent/nfc/iso14443/iso14443sim"
	"posagent/nfc/pn532"
	"posagent/nfc/pn532/pn532sim"

	"periph.io/x/conn/v3/physic"
	periph "periph.io/x/conn/v3/uart"
)

// Steps of bytes to the chip and the bytes that come back within 10 ms.
func TestBytes(t *testing.T) {
	ack := []byte{0, 0, 0xFF, 0, 0xFF, 0}
	nack := []byte{0, 0, 0xFF, 0xFF, 0, 0}
	fail := []byte{0, 0, 0xFF, 1, 0xFF, 0x7F, 0x81, 0}
	cmd := func(b ...byte) []byte {
		return pn532.Frame{Kind: pn532.Data, Body: append([]byte{pn532.ToChip}, b...)}.AppendTo(nil)
	}
	rsp := func(b ...byte) []byte {
		return pn532.Frame{Kind: pn532.Data, Body: append([]byte{pn532.FromChip}, b...)}.AppendTo(nil)
	}
	join := func(b ...[]byte) []byte { return bytes.Join(b, nil) }
	wake := []byte{0x55, 0x55, 0, 0, 0}
	firmware := rsp(3, 0x32, 1, 6, 7)
	type step struct{ in, out []byte }
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"asleep", []step{{cmd(2), nil}, {wake, nil}, {cmd(2), join(ack, firmware)}}},
		{"NACK", []step{{wake, nil}, {nack, nil}, {cmd(2), join(ack, firmware)}, {nack, firmware}, {nack, firmware}}},
		{"radio before SAMConfiguration", []step{{wake, nil}, {cmd(0x4A, 1, 0), join(ack, fail)}}},
		{"unknown command", []step{{wake, nil}, {cmd(0x14, 1), join(ack, rsp(0x15))}, {cmd(0x77, 1), join(ack, fail)}}},
		{"wrong check, then right", []step{{wake, nil}, {[]byte{0, 0, 0xFF, 2, 0xFE, 0xD4, 2, 0x2B, 0}, nil}, {cmd(2), join(ack, firmware)}}},
		{"half a frame, then a whole one", []step{{wake, nil}, {cmd(2)[:5], nil}, {join([]byte{0x55}, cmd(2)), join(ack, firmware)}}},
		{"a new command ends the old one", []step{{wake, nil}, {cmd(0x14, 1), join(ack, rsp(0x15))}, {join(cmd(0x4A, 1, 0), cmd(0, 0, 9)), join(ack, ack, rsp(1, 0, 9))}}},
		{"an ACK ends a command", []step{{wake, nil}, {cmd(0x14, 1), join(ack, rsp(0x15))}, {join(cmd(0x4A, 1, 0), ack), ack}}},
		{"no card", []step{{wake, nil}, {cmd(0x14, 1), join(ack, rsp(0x15))}, {cmd(0x4A, 2, 0), join(ack, rsp(0x4B, 0))},
			{cmd(0x40, 1, 0, 0, 0, 0), join(ack, rsp(0x41, 0x27))}, {cmd(0x44, 1), join(ack, rsp(0x45, 0x27))}}},
		{"sleep", []step{{wake, nil}, {cmd(0x16, 0x10), join(ack, rsp(0x17, 0))}, {cmd(2), nil}, {wake, nil}, {cmd(2), join(ack, firmware)}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				line := bussim.NewUART("NFC0", &bussim.UARTOpts{Paced: true})
				s, err := uart.Connect(line.Port(), 115_200*physic.Hertz, periph.One, periph.NoParity, periph.NoFlow, 8)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- pn532sim.New(iso14443sim.NewAir(nil), nil).Serve(ctx, line.Wire()) }()
				for i, st := range c.steps {
					if _, err := s.Write(st.in); err != nil {
						t.Fatal(err)
					}
					s.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
					if got, _ := io.ReadAll(s); !bytes.Equal(got, st.out) {
						t.Errorf("step %d: % X gave % X, want % X", i, st.in, got, st.out)
					}
				}
				cancel()
				if err := <-done; err != nil {
					t.Errorf("Serve: %v", err)
				}
			})
		})
	}
}

// dead is a wire that fails.
type dead struct{ err error }

func (d dead) Read([]byte) (int, error)    { return 0, d.err }
func (d dead) Write(p []byte) (int, error) { return len(p), nil }

func TestServeEnds(t *testing.T) {
	broken := errors.New("broken line")
	for _, c := range []struct{ err, want error }{{io.EOF, nil}, {io.ErrClosedPipe, nil}, {broken, broken}} {
		if err := pn532sim.New(iso14443sim.NewAir(nil), nil).Serve(t.Context(), dead{c.err}); !errors.Is(err, c.want) {
			t.Errorf("%v: %v, want %v", c.err, err, c.want)
		}
	}
}
