package icc_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"

	"posagent/drivers/bussim"
	"posagent/drivers/icc"
	"posagent/drivers/icc/iccsim"
)

// step is one turn of a card that only knows its lines: it hears want, and says
// reply.
type step struct{ want, reply string }

// scripted plays a script against a bare UART reader, starting with the answer
// to reset, and returns what Transmit gave. Bytes are written out by hand: this
// is the one test that the simulator has no part in.
func scripted(t *testing.T, answer string, steps []step, capdu []byte) (rapdu []byte, err error) {
	t.Helper()
	line := bussim.NewUART("ICC0", &bussim.UARTOpts{Paced: true, Echo: true})
	wire, rst := line.Wire(), bussim.NewPin("RST")
	up := make(chan struct{}, 4)
	rst.Watch(func(l gpio.Level) {
		if l {
			up <- struct{}{}
		}
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-up
		_, _ = wire.Write(atr(answer))
		for i, s := range steps {
			want := atr(s.want)
			got := make([]byte, 0, len(want))
			var b [1]byte
			for len(got) < len(want) {
				if _, err := wire.Read(b[:]); err != nil {
					return // the reader had enough
				}
				got = append(got, b[0])
			}
			if string(got) != string(want) {
				t.Errorf("step %d: got % X, want % X", i, got, want)
			}
			_, _ = wire.Write(atr(s.reply))
		}
	}()
	defer func() { wire.Close(); <-done }()
	r, err := icc.NewUART(line.Port(), icc.Pins{Reset: rst}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Activate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r.Transmit(t.Context(), capdu)
}

func TestT1Script(t *testing.T) {
	t.Parallel()
	const ifs, ifsOK = "00 C1 01 FE 3E", "00 E1 01 FE 1E"
	const cmd = "00 00 04 80 10 00 00 94"
	for _, c := range []struct {
		name  string
		steps []step
		want  string // empty: ErrTransmission
	}{
		{"plain", []step{{ifs, ifsOK}, {cmd, "00 00 02 90 00 92"}}, "90 00"},
		{"IFS asked twice", []step{{ifs, "00 E1 01 FE 1F"}, {ifs, ifsOK}, {cmd, "00 00 02 90 00 92"}}, "90 00"},
		{"I-block with the wrong number", []step{{ifs, ifsOK}, {cmd, "00 40 02 6F 00 2D"}, {"00 82 00 82", "00 00 02 90 00 92"}}, "90 00"},
		{"response block repeated", []step{{ifs, ifsOK}, {cmd, "00 20 01 11 30"}, {"00 90 00 90", "00 20 01 11 30"}, {"00 92 00 92", "00 40 02 90 00 D2"}}, "11 90 00"},
		{"check wrong once", []step{{ifs, ifsOK}, {cmd, "00 00 02 90 00 93"}, {"00 81 00 81", "00 00 02 90 00 92"}}, "90 00"},
		{"node address wrong once", []step{{ifs, ifsOK}, {cmd, "10 00 02 90 00 82"}, {"00 82 00 82", "00 00 02 90 00 92"}}, "90 00"},
		{"card asks for the command again", []step{{ifs, ifsOK}, {cmd, "00 81 00 81"}, {cmd, "00 00 02 90 00 92"}}, "90 00"},
		{"card says that it has the command", []step{{ifs, ifsOK}, {cmd, "00 90 00 90"}, {"00 82 00 82", "00 00 02 90 00 92"}}, "90 00"},
		{"card did not understand our R-block", []step{{ifs, ifsOK}, {cmd, "00 00 02 90 00 93"}, {"00 81 00 81", "00 92 00 92"}, {"00 81 00 81", "00 00 02 90 00 92"}}, "90 00"},
		{"card changes its field size", []step{{ifs, ifsOK}, {cmd, "00 C1 01 20 E0"}, {"00 E1 01 20 C0", "00 00 02 90 00 92"}}, "90 00"},
		{"waiting time extension", []step{{ifs, ifsOK}, {cmd, "00 C3 01 03 C1"}, {"00 E3 01 03 E1", "00 00 02 90 00 92"}}, "90 00"},
		{"response not asked for", []step{{ifs, ifsOK}, {cmd, "00 E3 01 03 E1"}, {"00 82 00 82", "00 00 02 90 00 92"}}, "90 00"},
		{"LEN FF", []step{{ifs, ifsOK}, {cmd, "00 00 FF 90 00"}, {"00 82 00 82", "00 00 02 90 00 92"}}, "90 00"},
		{"card aborts", []step{{ifs, ifsOK}, {cmd, "00 C2 00 C2"}}, ""},
		{"card resynchronises", []step{{ifs, ifsOK}, {cmd, "00 C0 00 C0"}}, ""},
		{"one byte of response", []step{{ifs, ifsOK}, {cmd, "00 00 01 90 91"}}, ""},
		{"R-blocks without end", []step{{ifs, ifsOK}, {cmd, "00 80 00 80"}, {cmd, "00 80 00 80"}, {cmd, "00 80 00 80"}, {cmd, "00 80 00 80"}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got, err := scripted(t, "3B E0 00 00 81 31 FE 45 EB", c.steps, nop())
				if c.want == "" {
					if !errors.Is(err, icc.ErrTransmission) {
						t.Errorf("Transmit = % X, %v, want ErrTransmission", got, err)
					}
				} else if err != nil || string(got) != string(atr(c.want)) {
					t.Errorf("Transmit = % X, %v, want %s", got, err, c.want)
				}
			})
		})
	}
}

// EMV 4.4 Book 1, annex A: examples of T=0 exchanges, written out.
func TestT0Script(t *testing.T) {
	t.Parallel()
	sel := []byte{0x00, 0xA4, 0x04, 0x00, 0x02, 0xAA, 0xBB, 0x00}
	const head = "00 A4 04 00 02"
	for _, c := range []struct {
		name  string
		capdu []byte
		steps []step
		want  string // empty: ErrTransmission
	}{
		{"case 1", nop(), []step{{"80 10 00 00 00", "90 00"}}, "90 00"},
		{"case 2, wrong length", read(0, 0), []step{{"00 B0 00 00 00", "6C 02"}, {"00 B0 00 00 02", "B0 01 02 90 00"}}, "01 02 90 00"},
		{"case 2, 61 and GET RESPONSE", read(0, 0), []step{{"00 B0 00 00 00", "61 02"}, {"00 C0 00 00 02", "C0 01 02 90 00"}}, "01 02 90 00"},
		{"case 2, byte by byte", read(0, 2), []step{{"00 B0 00 00 02", "4F 01 60 4F 02 90 00"}}, "01 02 90 00"},
		{"case 3, byte by byte, then all", []byte{0, 0xD6, 0, 0, 3, 1, 2, 3}, []step{{"00 D6 00 00 03", "29"}, {"01", "60 D6"}, {"02 03", "90 00"}}, "90 00"},
		{"case 4", sel, []step{{head, "A4"}, {"AA BB", "61 03"}, {"00 C0 00 00 03", "C0 6F 01 00 90 00"}}, "6F 01 00 90 00"},
		{"case 4, 61 twice", sel, []step{{head, "A4"}, {"AA BB", "61 02"}, {"00 C0 00 00 02", "C0 11 22 61 01"}, {"00 C0 00 00 01", "C0 33 90 00"}}, "11 22 33 90 00"},
		{"case 4, warning", sel, []step{{head, "A4"}, {"AA BB", "62 83"}, {"00 C0 00 00 00", "6C 01"}, {"00 C0 00 00 01", "C0 44 90 00"}}, "44 62 83"},
		{"case 4, warning without data", sel, []step{{head, "A4"}, {"AA BB", "63 C2"}, {"00 C0 00 00 00", "69 85"}}, "63 C2"},
		{"error before the data", sel, []step{{head, "6A 82"}}, "6A 82"},
		{"INS in answer to case 1", nop(), []step{{"80 10 00 00 00", "10"}}, ""},
		{"no procedure byte", nop(), []step{{"80 10 00 00 00", "33 90 00"}}, ""},
		{"character after SW2", nop(), []step{{"80 10 00 00 00", "90 00 00"}}, ""},
		{"more data than asked", read(0, 1), []step{{"00 B0 00 00 01", "B0 01 B0"}}, ""},
		{"silence after SW1", nop(), []step{{"80 10 00 00 00", "90"}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got, err := scripted(t, "3B 60 00 00", c.steps, c.capdu)
				if c.want == "" {
					if !errors.Is(err, icc.ErrTransmission) {
						t.Errorf("Transmit = % X, %v, want ErrTransmission", got, err)
					}
				} else if err != nil || string(got) != string(atr(c.want)) {
					t.Errorf("Transmit = % X, %v, want %s", got, err, c.want)
				}
			})
		})
	}
}

// A GET RESPONSE that never ends, in 256-byte pieces and in empty ones.
func TestT0EndlessResponse(t *testing.T) {
	t.Parallel()
	for _, reply := range []string{"61 01", "6C 05"} {
		synctest.Test(t, func(t *testing.T) {
			steps := []step{{"00 B0 00 00 00", reply}}
			for range 30 {
				if reply == "61 01" {
					steps = append(steps, step{"00 C0 00 00 01", "C0 55 61 01"})
				} else {
					steps = append(steps, step{"00 B0 00 00 05", reply})
				}
			}
			_, err := scripted(t, "3B 60 00 00", steps, read(0, 0))
			if !errors.Is(err, icc.ErrTransmission) || !strings.Contains(err.Error(), "bound") {
				t.Errorf("%s: %v, want a bound", reply, err)
			}
		})
	}
}

// Extensions are granted, and in time.
func TestExtensionTimes(t *testing.T) {
	t.Parallel()
	// BWI 0: 2^0 × 960 etu are 100 ms, and EMV lets the terminal wait 960 etu more.
	k := kind{name: "BWI 0", atrs: []string{"3B E0 00 00 81 31 FE 05+"}, proto: icc.T1}
	synctest.Test(t, func(t *testing.T) {
		r, stop := newRig(t, k)
		defer stop()
		r.activate()
		r.slot.SetFaults(iccsim.Faults{Extend: 3, Slow: 300 * time.Millisecond})
		r.check("three extensions of two waiting times", read(5, 5))
		r.slot.SetFaults(iccsim.Faults{Extend: 1, Slow: 600 * time.Millisecond})
		r.try("a block later than granted", read(5, 5))
		r.slot.SetFaults(iccsim.Faults{})
		r.try("right after it", read(6, 6))
	})
	for _, k := range []kind{kinds[0], kinds[4]} {
		synctest.Test(t, func(t *testing.T) {
			r, stop := newRig(t, k)
			defer stop()
			r.activate()
			r.slot.SetFaults(iccsim.Faults{Extend: 1000})
			if _, err := r.Transmit(r.ctx, nop()); !errors.Is(err, icc.ErrTransmission) || !strings.Contains(err.Error(), "65 ") {
				t.Errorf("%s, endless extensions: %v, want the 65th refused", k.name, err)
			}
		})
	}
}

// A parity error in the answer to reset gives the card a warm reset.
func TestParityInATR(t *testing.T) {
	t.Parallel()
	each(t, func(k kind) bool { return k.counted }, func(t *testing.T, r *rig, k kind) {
		n := uint32(len(r.card.atrs[0]))
		r.slot.SetFaults(iccsim.Faults{Corrupt: []uint32{n - 1}})
		if a := r.activate(); !a.Warm {
			t.Error("the damaged answer was believed")
		}
		r.slot.SetFaults(iccsim.Faults{Corrupt: []uint32{n - 1, 2*n - 1}})
		if _, err := r.Activate(r.ctx); !errors.Is(err, icc.ErrTransmission) {
			t.Errorf("damaged twice: %v, want ErrTransmission", err)
		}
	})
}
