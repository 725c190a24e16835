package board

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// Profile is one terminal model.
type Profile struct {
	// Model is the name of the model: lower-case letters, digits and hyphens.
	Model string `json:"model"`
	Parts Fitted `json:"parts"`
}

// Fitted lists what is built in; nil is not fitted.
type Fitted struct {
	ICC     *ICCPart     `json:"icc,omitempty"`
	PINPad  *PINPadPart  `json:"pinpad,omitempty"`
	Printer *PrinterPart `json:"printer,omitempty"`
	Display *DisplayPart `json:"display,omitempty"`
	NFC     *NFCPart     `json:"nfc,omitempty"`
}

// ICCPart is the contact card reader.
type ICCPart struct {
	// Driver is "uart", a slot on a bare half-duplex UART with GPIO lines, or
	// "tda8029", a slot behind that interface chip.
	Driver string `json:"driver"`
	// Port is a uartreg name or an absolute path.
	Port string `json:"port"`
	// Baud is the speed of a tda8029's line, 0 for the chip's 38400. A bare slot
	// takes its speed from the clock.
	Baud uint32 `json:"baud,omitempty"`
	// ClockHz is the card clock of a bare slot, 0 for 3579545.
	ClockHz uint32 `json:"clock_hz,omitempty"`
	// Pins of a bare slot.
	Pins *ICCPins `json:"pins,omitempty"`
	// PresentLow and PowerLow turn the sense of those two pins.
	PresentLow bool `json:"present_low,omitempty"`
	PowerLow   bool `json:"power_low,omitempty"`
}

// ICCPins are the lines of a bare slot; reset is required.
type ICCPins struct {
	Reset   string `json:"reset"`
	Power   string `json:"power,omitempty"`
	Clock   string `json:"clock,omitempty"`
	Present string `json:"present,omitempty"`
}

// PINPadPart is the secure PIN pad.
type PINPadPart struct {
	Port string `json:"port"`
	// Baud is the line's speed, 0 for 115200.
	Baud uint32 `json:"baud,omitempty"`
}

// PrinterPart is the thermal printer.
type PrinterPart struct {
	Port string `json:"port"`
	// Baud is the line's speed, 0 for 115200.
	Baud uint32 `json:"baud,omitempty"`
	// WidthDots is the number of dots of the print head, a multiple of 8; 0 for
	// 384 (58 mm paper at 8 dots/mm).
	WidthDots uint16 `json:"width_dots,omitempty"`
	// RXBuffer is the printer's receive buffer in bytes, 0 for 1024. TearFeedDots
	// is the distance from the print head to the tear bar, 0 for 80. Cutter says
	// that the printer cuts by itself.
	RXBuffer     uint32 `json:"rx_buffer,omitempty"`
	TearFeedDots uint16 `json:"tear_feed_dots,omitempty"`
	Cutter       bool   `json:"cutter,omitempty"`
}

// DisplayPart is the panel.
type DisplayPart struct {
	// Driver is "ili9341".
	Driver string `json:"driver"`
	// SPI is a spireg name, DC and Reset are pins. Reset may be absent.
	SPI   string `json:"spi"`
	DC    string `json:"dc"`
	Reset string `json:"reset,omitempty"`
	// SpeedHz is the SPI clock, 0 for 10 MHz.
	SpeedHz uint32 `json:"speed_hz,omitempty"`
	// Rotation is "landscape" (also when absent), "portrait",
	// "landscape-flipped" or "portrait-flipped".
	Rotation string `json:"rotation,omitempty"`
}

// NFCPart is the contactless card reader.
type NFCPart struct {
	// Driver is "pn532".
	Driver string `json:"driver"`
	Port   string `json:"port"`
	// Baud is the highest speed of the line, to which the chip is raised from
	// 115200; 0 for 921600.
	Baud uint32 `json:"baud,omitempty"`
}

//go:embed profiles/*.json
var embedded embed.FS

// maxProfile bounds a profile in bytes: a hundred times the largest we have.
const maxProfile = 64 << 10

// Models lists the built-in profiles.
func Models() []string {
	entries, err := fs.ReadDir(embedded, "profiles")
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".json"))
	}
	return names
}

// Load reads a profile: a built-in model by its name, or a file when the
// argument holds a slash. The error wraps a FieldError when a field is wrong.
func Load(nameOrPath string) (*Profile, error) {
	doing := fmt.Sprintf("load board profile %q", nameOrPath)
	if !strings.Contains(nameOrPath, "/") {
		data, err := embedded.ReadFile(path.Join("profiles", nameOrPath+".json"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
			return nil, fmt.Errorf("%s: no such model; built in are %s; a file needs a slash in its name", doing, strings.Join(Models(), ", "))
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", doing, err)
		}
		return decoded(doing, data)
	}
	f, err := os.Open(nameOrPath)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxProfile+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	return decoded(doing, data)
}

func decoded(doing string, data []byte) (*Profile, error) {
	p, err := Decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	return p, nil
}
