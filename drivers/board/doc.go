// Package board says which part sits on which bus and pin of which terminal
// model, as data, and opens those parts.
//
// It is not a driver: every part has its own package. It is the one place where
// ports and pins are opened by name; drivers get them handed in.
//
//	profile, err := board.Load("posagent-sim")       // or a path: "/etc/posagent/board.json"
//	parts, err := board.Open(ctx, profile, nil)      // nil: the machine's own buses
//	defer parts.Halt()
//	if parts.Printer == nil {
//		log.Warn("no printer", "reason", parts.Missing[board.Printer])
//	}
//
// # Profile
//
//	{
//	  "model": "bench-usb",
//	  "parts": {
//	    "icc":     {"driver": "uart", "port": "ICC0", "pins": {"reset": "ICC_RST", "power": "gpiochip1+4", "present": "ICC_DET"}},
//	    "pinpad":  {"port": "/dev/ttyUSB1", "baud": 115200},
//	    "nfc":     {"driver": "pn532", "port": "/dev/ttyUSB3", "baud": 921600},
//	    "printer": {"port": "/dev/ttyUSB2", "width_dots": 384},
//	    "display": {"driver": "ili9341", "spi": "SPI0.0", "dc": "LCD_DC", "reset": "LCD_RST"}
//	  }
//	}
//
// A serial port is a name in periph's uartreg or an absolute path. A pin is a
// name in gpioreg, or a chip label and an offset joined by "+" for lines without
// names. A field that is unknown, doubled, of the wrong kind or out of range is
// refused by a FieldError with its path, such as "parts.icc.pins.reset"; so is a
// port or pin given to two parts.
//
// A part that is not in the profile, or does not open, is nil in Parts and has
// its reason in Parts.Missing. The others work: a terminal without printer can
// still say so on its display.
//
// # GPIO
//
// Pins of the machine are wrapped: an output is never asked for its level by the
// hardware (periph's Linux driver would turn it into an input), WaitForEdge
// keeps the promises of periph's interface for negative and zero time-outs, and
// Halt ends a wait.
//
// # Limits
//
// Drivers are initialised once per process: a GPIO chip or SPI bus that appears
// later is not seen. Kernels before 5.10 have no GPIO here. Opening a part
// proves that its port exists, not that the part answers; that is a self-test.
//
// # Goroutines
//
// None. What runs by itself (the PIN pad's event loop) is run by the caller.
//
// # Decisions
//
//   - Of periph's host drivers only sysfs and gpioioctl are imported: the board
//     drivers of the others probe memory of machines that are not ours.
//   - A failed host driver is never fatal: periph counts the wrong machine as a
//     failure. Its text is added to the reason of a part that then does not open.
//   - Strict decoding with our own walker: encoding/json finds an unknown field
//     but not where, takes a name in any case, and lets the last double win.
package board
