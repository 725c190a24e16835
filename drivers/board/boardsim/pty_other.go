//go:build !linux

package boardsim

import (
	"errors"
	"fmt"
)

// NewPTY fails with errors.ErrUnsupported: drivers/uart is for Linux.
func NewPTY(string, *Opts) (*Board, error) {
	return nil, fmt.Errorf("simulated board on pseudo-terminals: Linux only: %w", errors.ErrUnsupported)
}
