package uart

import (
	"fmt"

	"periph.io/x/conn/v3/uart"
	"periph.io/x/conn/v3/uart/uartreg"
)

// Register adds the device file path to periph's uartreg under name. The port
// is opened by uartreg.Open(name), not here, so a file that appears later (a
// USB adapter) may be registered at start-up.
func Register(name, path string) error {
	if path == "" {
		return fmt.Errorf("register uart %q: no path", name)
	}
	return uartreg.Register(name, nil, -1, func() (uart.PortCloser, error) {
		return Open(name, path)
	})
}
