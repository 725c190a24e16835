package scanner_test

import (
	"context"
	"fmt"

	"posagent/drivers/bussim"
	"posagent/drivers/scanner"
	"posagent/drivers/scanner/scannersim"
)

// An engine on a simulated line; on a terminal the port comes from drivers/uart.
func Example() {
	line, pin := bussim.NewUART("SCAN0", nil), bussim.NewPin("SCAN_TRIG")
	framing := scanner.Framing{AIM: true, Suffix: scanner.CRLF}
	engine := scannersim.New(&scannersim.Opts{Framing: framing, Trigger: pin})
	dev, err := scanner.New(line.Port(), &scanner.Opts{Framing: framing, Trigger: pin})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- engine.Serve(ctx, line.Wire()) }()

	engine.Show("281000000000000017")
	code, err := dev.Scan(ctx)
	fmt.Println(code, err)
	fmt.Println(dev.Halt())
	stop()
	fmt.Println(<-served)
	// Output:
	// [qr, 18 characters] <nil>
	// <nil>
	// <nil>
}
