// Package bussim is the simulated wiring of a terminal: UART, SPI, I²C and GPIO
// as periph types at the terminal's end, and as bytes, transfers and levels at
// the end of the part.
//
// It is not a simulator of any part. Parts live in the ...sim packages and hang
// on a wire from here; the drivers at the other end cannot tell the difference,
// because everything passes as bytes, with a speed, a direction and faults.
//
//	line := bussim.NewUART("PRINTER0", &bussim.UARTOpts{Paced: true})
//	go part.Serve(ctx, line.Wire())           // io.ReadWriter
//	dev, err := thermal.New(line.Port(), nil) // periph uart.PortCloser
//
// # Time
//
// Everything waits by package time. In a testing/synctest bubble the same code
// runs in virtual time: a receipt of 20 000 bytes at 9600 baud costs no wall
// time. Create a bus inside the bubble that uses it.
//
// # Faults
//
// A Plan says how often bytes are dropped, flipped, doubled or late, or which
// byte exactly. The random numbers come from the Plan's seed, one stream per
// direction, so a run is repeated by its seed whatever the scheduler does. Each
// bus counts what was really injected.
//
// # Limits
//
// UART: two talkers on a half-duplex line queue behind each other instead of
// colliding, and parity errors are not modelled apart from bit flips. A wrong
// speed garbles byte for byte; a real one also changes the number of bytes.
// SPI and I²C transfers take no time. GPIO queues 16 edges per pin, as Linux
// does.
//
// # Goroutines
//
// None of its own. All methods may be called from any goroutine.
//
// # Decisions
//
//   - Behaviour instead of a recorded script: status polling differs from run to
//     run, so playback fakes break at the first retry.
//   - Pin.WaitForEdge with a negative time-out fails at once, as periph's Linux
//     GPIO does against its own documentation: code that trusts -1 must fail here
//     and not in the field.
//   - A UART can outlive its terminal process (Detachable), because parts keep
//     their state when the daemon is killed.
package bussim
