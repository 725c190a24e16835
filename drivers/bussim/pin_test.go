package bussim_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"

	"posagent/drivers/bussim"
)

func TestPinLevel(t *testing.T) {
	p := bussim.NewPin("P")
	check := func(what string, want gpio.Level) {
		t.Helper()
		if got := p.Level(); got != want {
			t.Errorf("%s: %v; want %v", what, got, want)
		}
	}
	check("floating", gpio.Low)
	p.In(gpio.PullUp, gpio.NoEdge)
	check("pulled up", gpio.High)
	p.Drive(gpio.Low)
	check("part drives low", gpio.Low)
	p.Out(gpio.High)
	check("terminal drives high against it", gpio.High)
	if l, ok := p.Driven(); !ok || l != gpio.High {
		t.Errorf("Driven() = %v, %v; want High, true", l, ok)
	}
	p.In(gpio.PullNoChange, gpio.NoEdge)
	check("terminal lets go", gpio.Low)
	p.Release()
	check("part lets go, pull-up again", gpio.High)
	if f := p.Function(); f != "In/High" {
		t.Errorf("Function() = %q", f)
	}
}

func TestPinWatch(t *testing.T) {
	p, led := bussim.NewPin("P"), bussim.NewPin("LED")
	var got []gpio.Level
	stop := p.Watch(func(l gpio.Level) {
		got = append(got, l)
		led.Drive(!l)
		if l == gpio.High && len(got) == 1 {
			p.Drive(gpio.High) // a watcher may touch its own pin
		}
	})
	p.Out(gpio.High)
	p.Out(gpio.High) // no change
	p.Out(gpio.Low)
	stop()
	p.Out(gpio.High)
	if want := []gpio.Level{gpio.High, gpio.Low}; !slices.Equal(got, want) {
		t.Errorf("watched %v; want %v", got, want)
	}
	if led.Level() != gpio.High {
		t.Error("watcher did not drive the other pin")
	}
}

func TestPinEdges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := bussim.NewPin("P")
		p.In(gpio.Float, gpio.RisingEdge)
		start := time.Now()
		if p.WaitForEdge(time.Second) {
			t.Error("an edge came from nowhere")
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("time-out after %v; want 1s", d)
		}
		go func() {
			time.Sleep(300 * time.Millisecond) // virtual
			p.Drive(gpio.High)
		}()
		if !p.WaitForEdge(time.Second) {
			t.Error("the edge was missed")
		}
		if d := time.Since(start); d != 1300*time.Millisecond {
			t.Errorf("edge after %v; want 1.3s", d)
		}
		p.Drive(gpio.Low)
		if p.WaitForEdge(time.Millisecond) {
			t.Error("a falling edge counted as rising")
		}
		for range 40 { // nobody waits: the kernel keeps 16
			p.Drive(gpio.High)
			p.Drive(gpio.Low)
		}
		n := 0
		for p.WaitForEdge(time.Millisecond) {
			n++
		}
		if n != 16 {
			t.Errorf("%d edges were queued; want 16", n)
		}
		if p.WaitForEdge(-1) {
			t.Error("WaitForEdge(-1) found an edge")
		}
	})
}

func TestPinSetupEndsTheWait(t *testing.T) {
	for name, end := range map[string]func(*bussim.Pin){
		"In":   func(p *bussim.Pin) { p.In(gpio.Float, gpio.BothEdges) },
		"Out":  func(p *bussim.Pin) { p.Out(gpio.Low) },
		"Halt": func(p *bussim.Pin) { p.Halt() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := bussim.NewPin("P")
				p.In(gpio.Float, gpio.BothEdges)
				done := make(chan bool)
				go func() { done <- p.WaitForEdge(time.Hour) }()
				synctest.Wait()
				start := time.Now()
				end(p)
				if <-done || time.Since(start) != 0 {
					t.Errorf("WaitForEdge did not end at once with false")
				}
			})
		})
	}
}
