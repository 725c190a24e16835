package pinpad_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"

	"posagent/drivers/bussim"
	"posagent/drivers/pinpad"
	"posagent/drivers/pinpad/pinpadsim"
)

const testPAN = "6228480000000000000"

// tap hears every byte of a line, both ways, before any fault of the line.
type tap struct {
	io.ReadWriter
	mu   sync.Mutex // guards heard
	sent []byte     // by the pad
	got  []byte     // by the pad
}

func (w *tap) Read(p []byte) (int, error) {
	n, err := w.ReadWriter.Read(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.got = append(w.got, p[:n]...)
	return n, err
}

func (w *tap) Write(p []byte) (int, error) {
	w.mu.Lock()
	w.sent = append(w.sent, p...)
	w.mu.Unlock()
	return w.ReadWriter.Write(p)
}

// rig is a terminal's driver and a pad on a line, at work in a bubble of virtual
// time.
type rig struct {
	t    *testing.T
	line *bussim.UART
	tap  *tap
	pad  *pinpadsim.Device
	dev  *pinpad.Dev
	ctx  context.Context

	stopRun, stopServe context.CancelFunc
	ran, served        chan error
}

// counting is a repeatable source of session numbers.
type counting byte

func (c *counting) Read(p []byte) (int, error) {
	for i := range p {
		*c++
		p[i] = byte(*c)
	}
	return len(p), nil
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return newRigOn(t, &bussim.UARTOpts{Paced: true})
}

func newRigOn(t *testing.T, opts *bussim.UARTOpts) *rig {
	t.Helper()
	r := &rig{t: t, ctx: t.Context()}
	r.line = bussim.NewUART("PINPAD0", opts)
	r.pad = pinpadsim.New(&pinpadsim.Opts{Secure: newModule(), Serial: "PP000042", Model: "M", Firmware: "2.1"})
	r.tap = &tap{ReadWriter: r.line.Wire()}
	var err error
	if r.dev, err = pinpad.New(r.line.Port(), &pinpad.Opts{Rand: new(counting)}); err != nil {
		t.Fatal(err)
	}
	r.serve()
	r.run()
	t.Cleanup(func() {
		r.stopRun()
		if err := <-r.ran; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := r.dev.Halt(); err != nil {
			t.Errorf("Halt: %v", err)
		}
		r.stopServe()
		if err := <-r.served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return r
}

func (r *rig) run() {
	ctx, stop := context.WithCancel(r.ctx)
	r.stopRun, r.ran = stop, make(chan error, 1)
	go func() { r.ran <- r.dev.Run(ctx) }()
}

func (r *rig) serve() {
	ctx, stop := context.WithCancel(r.ctx)
	r.stopServe, r.served = stop, make(chan error, 1)
	go func() { r.served <- r.pad.Serve(ctx, wireWithDeadline{r.tap, r.line.Wire()}) }()
}

// wireWithDeadline gives a tapped line the deadline of the wire below.
type wireWithDeadline struct {
	*tap
	*bussim.Wire
}

func (w wireWithDeadline) Read(p []byte) (int, error)  { return w.tap.Read(p) }
func (w wireWithDeadline) Write(p []byte) (int, error) { return w.tap.Write(p) }

func (r *rig) press(keys ...pinpad.Key) {
	for _, k := range keys {
		r.pad.Press(k)
	}
}

func (r *rig) load(use string, key []byte) {
	r.t.Helper()
	cryptogram, kcv := wrap(key)
	if err := r.dev.LoadWorkingKey(r.ctx, use, cryptogram, kcv); err != nil {
		r.t.Fatalf("load %s key: %v", use, err)
	}
}

// outcome is what EnterPIN returned.
type outcome struct {
	result pinpad.PINResult
	err    error
}

// enter begins a PIN entry and waits until the pad listens, or the entry has
// ended already.
func (r *rig) enter(ctx context.Context, req pinpad.PINRequest, dots func(int)) <-chan outcome {
	r.t.Helper()
	return r.begin(func() (pinpad.PINResult, error) { return r.dev.EnterPIN(ctx, req, dots) })
}

// offline is enter for a PIN that the card verifies.
func (r *rig) offline(req pinpad.OfflineRequest, dots func(int)) <-chan outcome {
	r.t.Helper()
	return r.begin(func() (pinpad.PINResult, error) { return r.dev.OfflinePIN(r.ctx, req, dots) })
}

func (r *rig) begin(entry func() (pinpad.PINResult, error)) <-chan outcome {
	r.t.Helper()
	done := make(chan outcome, 1)
	go func() {
		res, err := entry()
		done <- outcome{res, err}
	}()
	for range 1000 {
		if synctest.Wait(); r.pad.InPINEntry() || len(done) > 0 {
			return done
		}
		pause(1)
	}
	r.t.Fatal("the pad never asked for a PIN")
	return nil
}

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}
