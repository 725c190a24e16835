//go:build !linux

package uart

import (
	"errors"
	"fmt"

	"periph.io/x/conn/v3/uart"
)

// Open fails with errors.ErrUnsupported: this package drives Linux ports only.
func Open(name, path string) (uart.PortCloser, error) {
	return nil, fmt.Errorf("open uart %s at %s: Linux only: %w", name, path, errors.ErrUnsupported)
}
