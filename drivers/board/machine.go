package board

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"periph.io/x/conn/v3/driver/driverreg"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpioreg"
	"periph.io/x/conn/v3/spi"
	"periph.io/x/conn/v3/spi/spireg"
	periph "periph.io/x/conn/v3/uart"
	"periph.io/x/conn/v3/uart/uartreg"
	"periph.io/x/host/v3/gpioioctl"
	_ "periph.io/x/host/v3/sysfs" // SPI ports and, where there is no character device, GPIO

	"posagent/drivers/uart"
)

// Buses finds ports and pins by the names of a profile.
type Buses interface {
	UART(name string) (periph.PortCloser, error)
	SPI(name string) (spi.PortCloser, error)
	Pin(name string) (gpio.PinIO, error)
}

// Machine returns the buses of the machine we run on: periph's registries, and
// device files for serial ports given as a path.
func Machine() Buses { return machine{} }

type machine struct{}

// hostDrivers initialises periph's drivers, once per process, and returns the
// failures as text; none of them is fatal.
var hostDrivers = sync.OnceValue(func() string {
	state, err := driverreg.Init()
	if err != nil {
		return err.Error()
	}
	var failed []string
	for _, f := range state.Failed {
		failed = append(failed, f.String())
	}
	return strings.Join(failed, "; ")
})

// explain adds the failures of host drivers to an error.
func explain(err error) error {
	if failed := hostDrivers(); failed != "" {
		return fmt.Errorf("%w (host drivers: %s)", err, failed)
	}
	return err
}

func (machine) UART(name string) (periph.PortCloser, error) {
	if strings.HasPrefix(name, "/") {
		return uart.Open(filepath.Base(name), name)
	}
	hostDrivers()
	p, err := uartreg.Open(name)
	if err != nil {
		return nil, explain(err)
	}
	return p, nil
}

func (machine) SPI(name string) (spi.PortCloser, error) {
	hostDrivers()
	p, err := spireg.Open(name)
	if err != nil {
		return nil, explain(err)
	}
	return p, nil
}

func (machine) Pin(name string) (gpio.PinIO, error) {
	hostDrivers()
	if p := gpioreg.ByName(name); p != nil {
		return repair(p), nil
	}
	label, offset, ok := chipLine(name)
	if !ok {
		return nil, explain(fmt.Errorf("no pin named %q", name))
	}
	for _, chip := range gpioioctl.Chips {
		if chip.Label() != label && chip.Name() != label {
			continue
		}
		if int64(offset) >= int64(chip.LineCount()) {
			return nil, fmt.Errorf("pin %q: %w: the chip has %d lines", name, errNoLine, chip.LineCount())
		}
		if l := chip.ByNumber(int(offset)); l != nil {
			return repair(l), nil
		}
		return nil, fmt.Errorf("pin %q: %w", name, errNoLine)
	}
	return nil, explain(fmt.Errorf("pin %q: no GPIO chip has label or name %q", name, label))
}

var errNoLine = errors.New("no such line")

// chipLine splits "label+offset".
func chipLine(name string) (label string, offset uint16, ok bool) {
	i := strings.LastIndexByte(name, '+')
	if i <= 0 {
		return "", 0, false
	}
	n, err := strconv.ParseUint(name[i+1:], 10, 16)
	if err != nil {
		return "", 0, false
	}
	return name[:i], uint16(n), true
}
