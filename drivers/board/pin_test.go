package board

import (
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/pin"

	"posagent/drivers/bussim"
)

// hostLine behaves as a line of periph's Linux GPIO character device: asked for
// an output's level it makes it an input, and a negative time-out is over at
// once while zero never is.
type hostLine struct {
	*bussim.Pin
	turned int // how often an output was turned into an input by a question
}

func (h *hostLine) Read() gpio.Level {
	if _, out := h.Driven(); out {
		h.turned++
		h.Pin.In(gpio.PullUp, gpio.NoEdge)
	}
	return h.Pin.Read()
}

func (h *hostLine) Func() pin.Func   { h.Read(); return h.Pin.Func() }
func (h *hostLine) Function() string { return string(h.Func()) }
func (h *hostLine) String() string   { return `{"Line": 4}` }

func (h *hostLine) WaitForEdge(d time.Duration) bool {
	if d == 0 {
		d = 1000 * time.Hour
	}
	return h.Pin.WaitForEdge(d)
}

func TestOutputsAreNotAsked(t *testing.T) {
	h := &hostLine{Pin: bussim.NewPin("RST")}
	p := repair(h)
	if p.String() != "RST" {
		t.Errorf("String() = %q; want the name", p.String())
	}
	if err := p.Out(gpio.High); err != nil {
		t.Fatal(err)
	}
	f := p.(pin.PinFunc)
	if p.Read() != gpio.High || f.Func() != gpio.OUT_HIGH {
		t.Errorf("Read %v, Func %v; want High", p.Read(), f.Func())
	}
	p.Out(gpio.Low)
	if p.Read() != gpio.Low || f.Func() != gpio.OUT_LOW {
		t.Errorf("Read %v, Func %v; want Low", p.Read(), f.Func())
	}
	if p.Halt(); h.turned != 0 {
		t.Errorf("the output became an input %d times", h.turned)
	}
	if l, out := h.Driven(); !out || l != gpio.Low {
		t.Errorf("line driven %v to %v; want Low", out, l)
	}
	if err := f.SetFunc(gpio.OUT_HIGH); err != nil || h.Level() != gpio.High {
		t.Errorf("SetFunc(OUT_HIGH): %v, level %v", err, h.Level())
	}
}

func TestInputs(t *testing.T) {
	h := &hostLine{Pin: bussim.NewPin("DET")}
	p := repair(h)
	if f := p.(pin.PinFunc).Func(); f != pin.FuncNone {
		t.Errorf("Func before set-up = %q", f)
	}
	h.Drive(gpio.High)
	if p.Read() != gpio.High || p.(pin.PinFunc).Func() != gpio.IN_HIGH {
		t.Error("a driven line does not read High")
	}
	if h.Pull() == gpio.PullUp {
		t.Error("reading set a pull-up that nobody asked for")
	}
	h.Drive(gpio.Low)
	if p.(pin.PinFunc).Func() != gpio.IN_LOW {
		t.Error("Func is not IN_LOW")
	}
}

func TestWaitForEdgeKeepsItsPromises(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hostLine{Pin: bussim.NewPin("DET")}
		p := repair(h)
		if p.WaitForEdge(time.Hour) {
			t.Error("an edge before In")
		}
		p.In(gpio.Float, gpio.BothEdges)

		start := time.Now()
		if p.WaitForEdge(0) || time.Since(start) > edgeLook {
			t.Errorf("zero time-out took %v", time.Since(start))
		}
		h.Drive(gpio.High)
		if !p.WaitForEdge(0) {
			t.Error("zero time-out missed a queued edge")
		}
		start = time.Now()
		if p.WaitForEdge(3*time.Second) || time.Since(start) != 3*time.Second {
			t.Errorf("3 s time-out took %v", time.Since(start))
		}
		go func() {
			time.Sleep(time.Hour) // virtual
			h.Drive(gpio.Low)
		}()
		if start = time.Now(); !p.WaitForEdge(-1) || time.Since(start) != time.Hour {
			t.Errorf("negative time-out ended after %v", time.Since(start))
		}
		for name, end := range map[string]func(){
			"Halt": func() { p.Halt() },
			"In":   func() { p.In(gpio.Float, gpio.BothEdges) },
			"Out":  func() { p.Out(gpio.Low) },
		} {
			p.In(gpio.Float, gpio.BothEdges)
			done := make(chan bool)
			go func() { done <- p.WaitForEdge(-1) }()
			synctest.Wait()
			end()
			if <-done {
				t.Errorf("%s did not end the wait with false", name)
			}
		}
	})
}

func TestChipLine(t *testing.T) {
	for _, c := range []struct {
		in     string
		label  string
		offset uint16
		ok     bool
	}{
		{"gpiochip0+4", "gpiochip0", 4, true},
		{"a+b+65535", "a+b", 65535, true},
		{"GPIO17", "", 0, false},
		{"+4", "", 0, false},
		{"chip+", "", 0, false},
		{"chip+65536", "", 0, false},
		{"chip+-1", "", 0, false},
	} {
		label, offset, ok := chipLine(c.in)
		if ok != c.ok || ok && (label != c.label || offset != c.offset) {
			t.Errorf("chipLine(%q) = %q, %d, %v; want %q, %d, %v", c.in, label, offset, ok, c.label, c.offset, c.ok)
		}
	}
}

func TestMachineNamesWhatIsNotThere(t *testing.T) {
	m := Machine()
	if _, err := m.Pin("NO_SUCH_PIN"); err == nil {
		t.Error("a pin from nowhere")
	}
	if _, err := m.Pin("no-such-chip+3"); err == nil {
		t.Error("a chip from nowhere")
	}
	if _, err := m.SPI("NO_SUCH_SPI"); err == nil {
		t.Error("an SPI port from nowhere")
	}
	if _, err := m.UART("NO_SUCH_UART"); err == nil {
		t.Error("a UART from nowhere")
	}
	if _, err := m.UART("/nonexistent/tty"); err == nil {
		t.Error("a device file from nowhere")
	}
}
