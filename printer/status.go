package printer

import (
	"errors"
	"fmt"
)

// Status is the one thing most worth knowing about a printer. The names are
// stored and sent by others and never change.
type Status uint8

const (
	// Unknown means that the printer has not been asked yet.
	Unknown Status = iota
	// Ready prints.
	Ready
	// PaperLow prints, but the roll ends soon.
	PaperLow
	// PaperOut waits for a new roll.
	PaperOut
	// CoverOpen waits for its cover to be closed.
	CoverOpen
	// HeadHot waits until the print head has cooled down.
	HeadHot
	// Offline answers but does not print and names no cause.
	Offline
	// NoAnswer means silence: no power, no cable, no printer.
	NoAnswer
	// Babbling sends bytes that nobody asked for, so nothing it says counts.
	Babbling
	// Fault needs a technician, or contradicts itself.
	Fault
)

var statusNames = [...]string{
	"unknown", "ready", "paper-low", "paper-out", "cover-open", "head-hot", "offline", "no-answer", "babbling", "fault",
}

// String returns the stored name, for example "paper-out".
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return fmt.Sprintf("status(%d)", uint8(s))
}

// CanPrint reports whether a document sent now would come out.
func (s Status) CanPrint() bool { return s == Ready || s == PaperLow }

// MarshalText writes the stored name.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a stored name.
func (s *Status) UnmarshalText(text []byte) error {
	for i, name := range statusNames {
		if name == string(text) {
			*s = Status(i)
			return nil
		}
	}
	return fmt.Errorf("printer status %q is not known", text)
}

// ErrHalted is returned by a printer that has been halted.
var ErrHalted = errors.New("printer halted")

// Interrupted tells that a document is not, or not completely, on paper. The
// caller shows Status to the operator and prints the same document again when
// the cause is gone; the printer device then does what the document's Kind
// demands with the incomplete copy.
type Interrupted struct {
	// Status is the cause.
	Status Status
	// Band is the number of bands on paper as far as this attempt knows, and Bands
	// how many the document has. Band zero may still have ink on paper.
	Band, Bands uint32
	// Err says more and may be nil; it is the context's error when the caller
	// gave up.
	Err error
}

// Error names the cause and the place.
func (e *Interrupted) Error() string {
	s := fmt.Sprintf("print interrupted at band %d of %d: %s", e.Band, e.Bands, e.Status)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns Err.
func (e *Interrupted) Unwrap() error { return e.Err }
