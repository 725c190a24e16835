package board

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"periph.io/x/conn/v3/display"

	"posagent/drivers/icc"
	"posagent/drivers/pinpad"
	"posagent/nfc"
	"posagent/printer/thermal"
)

// Part names a part of a terminal; the names are those of the profile.
type Part string

// The parts.
const (
	ICC     Part = "icc"
	PINPad  Part = "pinpad"
	Printer Part = "printer"
	Display Part = "display"
	NFC     Part = "nfc"
)

// ErrNotFitted is the reason of a part that the model does not have.
var ErrNotFitted = errors.New("not fitted in this model")

// Parts are the opened parts of a terminal. A part that is nil has its reason
// in Missing.
type Parts struct {
	Model   string
	ICC     icc.Reader
	PINPad  *pinpad.Dev
	Printer *thermal.Dev
	Display display.Drawer
	NFC     nfc.Reader
	// Missing holds why a part is nil: ErrNotFitted or what failed.
	Missing map[Part]error

	halt    []func() error // in the order of opening
	once    sync.Once
	haltErr error
}

// Halt puts every part at rest and closes its port, the last opened first: a
// card loses its power, the panel goes dark. Errors are joined. A second Halt
// does nothing and returns the same.
func (p *Parts) Halt() error {
	p.once.Do(func() {
		var errs []error
		for i := len(p.halt) - 1; i >= 0; i-- {
			errs = append(errs, p.halt[i]())
		}
		p.haltErr = errors.Join(errs...)
	})
	return p.haltErr
}

// miss notes why a part is not there.
func (p *Parts) miss(part Part, err error) {
	if err != ErrNotFitted {
		err = fmt.Errorf("open %s: %w", part, err)
	}
	p.Missing[part] = err
}

// atHalt has part.Halt and then close called by Parts.Halt.
func (p *Parts) atHalt(part Part, halt, close func() error) {
	p.halt = append(p.halt, func() error {
		err := halt()
		if cerr := close(); !errors.Is(cerr, os.ErrClosed) { // some drivers close their port
			err = errors.Join(err, cerr)
		}
		if err != nil {
			return fmt.Errorf("halt %s: %w", part, err)
		}
		return nil
	})
}
