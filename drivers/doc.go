// Package drivers is the guide to the parts of a terminal: one folder per part
// below it, each talking to its part over a periph bus and knowing nothing of
// payments, networks or storage.
//
// It holds no code. A folder here answers "which wire, which part?"; what a
// part is used for is decided in agent, and which part sits on which bus of
// which terminal model is data in drivers/board.
//
// # Dev conventions
//
// Every driver has the same five things, so that the second one is read in a
// minute:
//
//	type Opts struct{ ... }            // knobs of the part; the zero value is not required to work
//	var DefaultOpts = Opts{...}        // what the datasheet recommends
//	func New(port, *Opts) (*Dev, error) // takes periph interfaces, never a path; nil Opts are DefaultOpts
//	func (*Dev) String() string        // part and port, such as "ili9341(SPI0.0)"
//	func (*Dev) Halt() error           // motor, heater, backlight, antenna off; safe to call twice
//
// New configures the port and may exchange a few bytes with the part; it
// starts no goroutine. Work that goes on by itself is Run(ctx) error, which
// blocks until ctx ends; the caller owns the goroutine. Methods that wait take
// a context first. Drivers return errors and do not log.
//
// # Files of a folder
//
// doc.go (what part, # Datasheet, # Wiring, # Limits), <part>.go, frame.go
// (pure encoding and decoding, fuzzed), registers.go if there are registers, and
// <part>sim for the simulated part, which takes bytes on a bus and never method
// calls of the driver.
//
// # Buses
//
// Serial parts take a uart.PortCloser whose Connect gives a uart.Stream
// (drivers/uart): bytes with deadlines and EOF. SPI, I²C and GPIO are periph's
// interfaces as they stand, with two rules learnt from periph's Linux GPIO:
// WaitForEdge gets a finite, positive time-out in a loop, and nothing asks an
// output for its level or function. drivers/board wraps real pins so that
// breaking either rule does no harm.
//
// # Decisions
//
//   - Simulated parts are at the other end of the same wires (drivers/bussim),
//     so the driver under test is the driver in the field.
//   - No driver opens anything by name: a test gives it a wire, board gives it a
//     port.
package drivers
