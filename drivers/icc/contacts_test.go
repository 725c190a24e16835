package icc_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"

	"posagent/drivers/bussim"
	"posagent/drivers/icc"
	"posagent/drivers/icc/iccsim"
	"posagent/drivers/uart"
)

// EMV Book 1, 6.1.2, 6.1.3 and 6.1.5: the order of the contacts, and how long
// RST stays low.
func TestContactSequence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, stop := newRig(t, kinds[0])
		defer stop()
		clk := bussim.NewPin("CLK")
		dev, err := icc.NewUART(r.line.Port(), icc.Pins{Reset: r.slot.Reset, Power: r.slot.Power, Clock: clk, Present: r.slot.Present}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var seq []string
		var up, released time.Time
		note := func(name string) func(gpio.Level) {
			return func(l gpio.Level) {
				seq = append(seq, fmt.Sprintf("%s %s", name, l))
				switch seq[len(seq)-1] {
				case "VCC High":
					up = time.Now()
				case "RST High":
					released = time.Now()
				}
			}
		}
		r.slot.Reset.Watch(note("RST"))
		r.slot.Power.Watch(note("VCC"))
		clk.Watch(note("CLK"))
		r.insert()
		if _, err := dev.Activate(r.ctx); err != nil {
			t.Fatal(err)
		}
		s, ok := r.line.Wire().Settings()
		if want := (uart.Settings{Baud: 9622, Bits: 8, Parity: 'E', Stop: 2, Flow: s.Flow}); !ok || s != want {
			t.Errorf("line is %v, want %v", s, want)
		}
		if err := dev.Deactivate(); err != nil {
			t.Fatal(err)
		}
		if got, want := strings.Join(seq, ", "), "VCC High, CLK High, RST High, RST Low, CLK Low, VCC Low"; got != want {
			t.Errorf("contacts:\n got %s\nwant %s", got, want)
		}
		n := released.Sub(up).Nanoseconds() * 3_579_545 / int64(time.Second)
		if low := released.Sub(up); n < 40_000 || n > 45_000 {
			t.Errorf("RST low for %v, want 40,000 to 45,000 cycles", low)
		}
	})
}

// The extra guard time of TC1 lies between any two characters to the card.
func TestGuardTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		line := bussim.NewUART("ICC0", &bussim.UARTOpts{Paced: true, Echo: true})
		wire, rst := line.Wire(), bussim.NewPin("RST")
		var at []time.Time
		done := make(chan struct{})
		go func() {
			defer close(done)
			started := make(chan struct{}, 1)
			rst.Watch(func(l gpio.Level) {
				if l {
					started <- struct{}{}
				}
			})
			<-started
			_, _ = wire.Write(atr("3B 60 00 05"))
			var b [1]byte
			for range 5 {
				if _, err := wire.Read(b[:]); err != nil {
					return
				}
				at = append(at, time.Now())
			}
			_, _ = wire.Write([]byte{0x90, 0x00})
		}()
		synctest.Wait()
		r, err := icc.NewUART(line.Port(), icc.Pins{Reset: rst}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Activate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Transmit(t.Context(), nop()); err != nil {
			t.Fatal(err)
		}
		<-done
		for i := 1; i < len(at); i++ {
			// 12 + N etu of 372 cycles; the line rounds its rate to whole hertz.
			if d, least := at[i].Sub(at[i-1]), 17*103_900*time.Nanosecond; d < least {
				t.Errorf("characters %d and %d are %v apart, want at least %v", i-1, i, d, least)
			}
		}
	})
}

// Card in to first APDU. The least at 3.58 MHz is 12 ms of reset, 11 ms for nine
// characters of answer, and in T=1 15 ms more for the IFS exchange.
func TestDetectToFirstAPDU(t *testing.T) {
	t.Parallel()
	each(t, func(k kind) bool { return !k.chip && !strings.Contains(k.name, "IFSC") }, func(t *testing.T, r *rig, _ kind) {
		var in time.Time
		time.AfterFunc(time.Second, func() { in = time.Now(); r.insert() })
		if err := r.Wait(r.ctx, true); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Activate(r.ctx); err != nil {
			t.Fatal(err)
		}
		d := time.Since(in)
		t.Logf("card in to first APDU: %v", d)
		if d > 45*time.Millisecond {
			t.Errorf("%v from insertion to first APDU", d)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	port := bussim.NewUART("ICC0", nil).Port()
	pin := bussim.NewPin("RST")
	for _, c := range []struct {
		name, want string
		make       func() error
	}{
		{"clock too fast", "clock", func() error {
			_, err := icc.NewUART(port, icc.Pins{Reset: pin}, &icc.Opts{Clock: 6 * physic.MegaHertz})
			return err
		}},
		{"no reset pin", "Reset", func() error { _, err := icc.NewUART(port, icc.Pins{}, nil); return err }},
		{"no such voltage", "power-up", func() error {
			_, err := icc.NewTDA8029(port, &icc.ChipOpts{PowerUp: 0x6F})
			return err
		}},
		{"no such speed", "speed", func() error {
			_, err := icc.NewTDA8029(port, &icc.ChipOpts{Baud: physic.Hertz})
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.make(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error that names %q", err, c.want)
			}
		})
	}
}

// The port goes away under an active card.
func TestPortGone(t *testing.T) {
	t.Parallel()
	each(t, func(kind) bool { return true }, func(t *testing.T, r *rig, _ kind) {
		r.activate()
		r.line.Wire().Close()
		if _, err := r.Transmit(r.ctx, nop()); !errors.Is(err, icc.ErrTransmission) {
			t.Errorf("Transmit: %v, want ErrTransmission", err)
		}
	})
}

// The simulators keep their state over a new Serve.
func TestServeAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		chip := iccsim.NewTDA8029()
		line := bussim.NewUART("ICC0", &bussim.UARTOpts{Paced: true})
		card := &testCard{atrs: [][]byte{atr("3B 60 00 00")}}
		r, err := icc.NewTDA8029(line.Port(), nil)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		ctx, stop := context.WithCancel(t.Context())
		go func() { done <- chip.Serve(ctx, line.Wire()) }()
		chip.Insert(card)
		if _, err := r.Activate(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		ctx, stop = context.WithCancel(t.Context())
		go func() { done <- chip.Serve(ctx, line.Wire()) }()
		if got, err := r.Transmit(t.Context(), nop()); err != nil {
			t.Errorf("the card lost its power over a new Serve: % X, %v", got, err)
		}
		stop()
		<-done
	})
}
