package scanner_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"posagent/drivers/bussim"
	"posagent/drivers/scanner"
	"posagent/drivers/scanner/scannersim"
)

// Codes in the shape of payers' codes; none was ever given to anybody.
const (
	codeA = "281000000000000017"
	codeB = "134000000000000029"
)

var (
	ack, nack = []byte{0x06}, []byte{0x15}

	// generic is a command set in the manner of many engines.
	generic = scanner.Commands{
		Setup:      []scanner.Command{cmd("~FACTORY;")},
		Trigger:    scanner.Switch{On: cmd("~TRG1;"), Off: cmd("~TRG0;")},
		Continuous: scanner.Switch{On: cmd("~SEN1;"), Off: cmd("~SEN0;")},
		Symbology: map[scanner.Symbology]scanner.Switch{
			scanner.QR:      {On: cmd("~QRC1;"), Off: cmd("~QRC0;")},
			scanner.Code128: {On: cmd("~128E;"), Off: cmd("~128D;")},
		},
		Beep: cmd("~BEEP;"),
		LED:  scanner.Switch{On: cmd("~LED1;"), Off: cmd("~LED0;")},
	}
)

func cmd(send string) scanner.Command {
	return scanner.Command{Send: []byte(send), Ack: ack, Nack: nack}
}

// rig is a driver and an engine on a line, in a bubble of virtual time.
type rig struct {
	line   *bussim.UART
	engine *scannersim.Device
	dev    *scanner.Dev
	pin    *bussim.Pin
	stop   context.CancelFunc
	served chan error
}

// bubble runs f with an engine that has the options of the driver; edit may change
// both.
func bubble(t *testing.T, edit func(*scanner.Opts, *scannersim.Opts), f func(*testing.T, *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o := scanner.Opts{Commands: generic, Framing: scanner.Framing{AIM: true}, Timeout: 5 * time.Second}
		var e scannersim.Opts
		if edit != nil {
			edit(&o, &e)
		}
		r := &rig{line: bussim.NewUART("SCAN0", &bussim.UARTOpts{Paced: true}), served: make(chan error, 1)}
		e.Framing, e.Commands = o.Framing, o.Commands
		if o.Trigger != nil {
			r.pin = o.Trigger.(*bussim.Pin)
			e.Trigger, e.TriggerActive = r.pin, o.TriggerActive
		}
		r.engine = scannersim.New(&e)
		var err error
		if r.dev, err = scanner.New(r.line.Port(), &o); err != nil {
			t.Fatal(err)
		}
		var ctx context.Context
		ctx, r.stop = context.WithCancel(context.Background())
		go func() { r.served <- r.engine.Serve(ctx, r.line.Wire()) }()
		f(t, r)
		_ = r.dev.Halt()
		synctest.Wait()
		if r.pin != nil && r.engine.Light() {
			t.Error("the light is on after Halt")
		}
		r.stop()
		if err := <-r.served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

func (r *rig) want(t *testing.T, text string) {
	t.Helper()
	code, err := r.dev.Scan(t.Context())
	if err != nil || code.Reveal() != text {
		t.Errorf("Scan: %q, %v; want %q", code.Reveal(), err, text)
	}
	synctest.Wait()
	if r.engine.Light() {
		t.Error("the light is on after Scan")
	}
}
