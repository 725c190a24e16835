package boardsim_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"posagent/drivers/board"
	"posagent/drivers/board/boardsim"
	"posagent/drivers/icc"
	"posagent/drivers/pinpad"
	"posagent/drivers/uart"
	"posagent/printer"
)

// echoCard answers every command with its own header and 9000.
type echoCard struct{ resets int }

// A T=1 card of EMV: TA1 absent, T=1 with IFSC 32, BWI 4, CWI 5, LRC.
func (c *echoCard) ATR() []byte {
	return []byte{0x3B, 0xE0, 0x00, 0x00, 0x81, 0x31, 0x20, 0x45, 0x35}
}
func (c *echoCard) Reset() { c.resets++ }
func (c *echoCard) Transmit(capdu []byte) []byte {
	return append(append([]byte(nil), capdu[:4]...), 0x90, 0x00)
}

// start serves sim until the test ends.
func start(t *testing.T, sim *boardsim.Board) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- sim.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return ctx
}

// open opens the board and runs its PIN pad until halt.
func open(t *testing.T, ctx context.Context, sim *boardsim.Board) (parts *board.Parts, halt func()) {
	t.Helper()
	parts, err := board.Open(ctx, sim.Profile(), sim.Buses())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	if parts.PINPad != nil {
		wg.Go(func() { _ = parts.PINPad.Run(ctx) })
	}
	return parts, func() {
		t.Helper()
		cancel()
		wg.Wait()
		if err := parts.Halt(); err != nil {
			t.Errorf("Halt: %v", err)
		}
	}
}

// exercise uses every part once; the board must behave the same whoever opened
// it before.
func exercise(t *testing.T, ctx context.Context, sim *boardsim.Board, parts *board.Parts) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()

	info, err := parts.PINPad.Info(ctx)
	if err != nil || info.Serial != "PP000042" {
		t.Fatalf("PIN pad: %+v, %v", info, err)
	}
	if err := parts.PINPad.SetKeyboard(ctx, true); err != nil {
		t.Fatal(err)
	}
	sim.PINPad.Press(pinpad.Enter)
	select {
	case k := <-parts.PINPad.Keys():
		if k != pinpad.Enter {
			t.Errorf("key %v; want enter", k)
		}
	case <-ctx.Done():
		t.Fatal("no key arrived")
	}
	if _, err := parts.PINPad.MAC(ctx, "cup-ecb", []byte("data")); !errors.Is(err, pinpad.ErrNoKey) {
		t.Errorf("MAC of a pad without keys: %v; want pinpad.ErrNoKey", err)
	}

	card := &echoCard{}
	sim.Slot.Insert(card)
	if err := parts.ICC.Wait(ctx, true); err != nil {
		t.Fatal(err)
	}
	atr, err := parts.ICC.Activate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if atr.Params().Protocol != icc.T1 || card.resets == 0 {
		t.Errorf("card speaks %v after %d resets", atr.Params().Protocol, card.resets)
	}
	r, err := parts.ICC.Transmit(ctx, []byte{0x00, 0xB2, 0x01, 0x0C, 0x00})
	if want := []byte{0x00, 0xB2, 0x01, 0x0C, 0x90, 0x00}; err != nil || !bytes.Equal(r, want) {
		t.Errorf("card answered %x, %v; want %x", r, err, want)
	}
	sim.Slot.Remove()
	if err := parts.ICC.Wait(ctx, false); err != nil {
		t.Error(err)
	}

	tapped := &echoCard{}
	sim.Tap(tapped)
	near, err := parts.NFC.Poll(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err = near.Transmit(ctx, []byte{0x00, 0xA4, 0x04, 0x00, 0x00})
	if want := []byte{0x00, 0xA4, 0x04, 0x00, 0x90, 0x00}; err != nil || !bytes.Equal(r, want) || tapped.resets == 0 {
		t.Errorf("tapped card answered %x, %v after %d resets; want %x", r, err, tapped.resets, want)
	}
	sim.Untap()
	if err := near.Removed(ctx); err != nil {
		t.Error(err)
	}

	sim.Paper.Tear()
	if err := parts.Printer.Print(ctx, printer.NewDocument(printer.Payment).Line("TOTAL 12.34")); err != nil {
		t.Fatal(err)
	}
	if sheet := sim.Paper.Tear(); !strings.Contains(sheet.Text(), "TOTAL 12.34") {
		t.Errorf("paper says %q", sheet.Text())
	}
}

func TestEveryPartThroughItsWires(t *testing.T) {
	for _, paced := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			sim := boardsim.New(&boardsim.Opts{Serial: "PP000042", Paced: paced})
			ctx := start(t, sim)
			for range 2 { // a second terminal process finds the same board
				parts, halt := open(t, ctx, sim)
				if len(parts.Missing) != 0 || parts.Model != "posagent-sim" {
					t.Fatalf("model %q, missing %v", parts.Model, parts.Missing)
				}
				exercise(t, ctx, sim, parts)
				if err := parts.Display.Draw(parts.Display.Bounds(), image.White, image.Point{}); err != nil {
					t.Fatal(err)
				}
				if c := sim.Panel.Image().At(160, 120); c != (color.RGBA{0xFF, 0xFF, 0xFF, 0xFF}) {
					t.Errorf("panel shows %v; want white", c)
				}
				halt()
				if sim.Air.On() {
					t.Error("the field is on after Halt")
				}
				if sim.Panel.Lit() {
					t.Error("the panel is lit after Halt")
				}
				if l, on := sim.Contacts.Power.Driven(); !on || bool(l) {
					t.Errorf("card power driven %v to %v after Halt; want Low", on, l)
				}
			}
		})
	}
}

func TestMissingPartsAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := boardsim.New(nil)
		ctx := start(t, sim)
		held, err := sim.Buses().UART("PRINTER0") // another program has the printer
		if err != nil {
			t.Fatal(err)
		}
		p := sim.Profile()
		p.Parts.Display = nil
		icc := *p.Parts.ICC
		pins := *icc.Pins
		pins.Reset = "NOT_THERE"
		icc.Pins = &pins
		p.Parts.ICC = &icc
		parts, err := board.Open(ctx, p, sim.Buses())
		if err != nil {
			t.Fatal(err)
		}
		if parts.PINPad == nil || parts.Printer != nil || parts.ICC != nil || parts.Display != nil {
			t.Errorf("parts %+v; want the PIN pad alone", parts)
		}
		if err := parts.Missing[board.Display]; err != board.ErrNotFitted {
			t.Errorf("display: %v", err)
		}
		if err := parts.Missing[board.Printer]; !errors.Is(err, uart.ErrBusy) {
			t.Errorf("printer: %v; want uart.ErrBusy", err)
		}
		if err := parts.Missing[board.ICC]; err == nil || err.Error() != `open icc: pin reset: no pin "NOT_THERE" on this board` {
			t.Errorf("icc: %v", err)
		}
		for range 2 {
			if err := parts.Halt(); err != nil {
				t.Error(err)
			}
		}
		held.Close()
		again, err := board.Open(ctx, sim.Profile(), sim.Buses()) // all ports were given back
		if err != nil || len(again.Missing) != 0 {
			t.Fatalf("open again: %v, missing %v", err, again.Missing)
		}
		again.Halt()
	})
}

func TestOpenRefuses(t *testing.T) {
	sim := boardsim.New(nil)
	p := sim.Profile()
	p.Model = ""
	var fe *board.FieldError
	if _, err := board.Open(t.Context(), p, sim.Buses()); !errors.As(err, &fe) || fe.Path != "model" {
		t.Errorf("invalid profile: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := board.Open(ctx, sim.Profile(), sim.Buses()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := sim.Close(); err != nil {
		t.Error(err)
	}
}
