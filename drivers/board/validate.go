package board

import (
	"strings"

	"posagent/drivers/display"
	"posagent/nfc/pn532"
	"posagent/printer"
	"posagent/printer/thermal"
)

// Bounds of what a profile may say.
const (
	maxName     = 64  // of a model, port or pin name
	maxPath     = 255 // of a device file
	minBaud     = 300
	maxBaud     = 12_000_000 // the fastest UART bridge
	minClock    = 1_000_000  // EMV 4.4 Book 1, 5.3.5
	maxClock    = 5_000_000
	maxRXBuffer = 1 << 20 // no receipt printer has more
	maxTearFeed = 800     // 100 mm
	minSPISpeed = 100_000
	maxSPISpeed = 100_000_000
)

var rotations = map[string]display.Rotation{
	"":                  display.Landscape,
	"landscape":         display.Landscape,
	"portrait":          display.Portrait,
	"landscape-flipped": display.LandscapeFlipped,
	"portrait-flipped":  display.PortraitFlipped,
}

// checker collects uses of ports and pins; the first error stays.
type checker struct {
	err  error
	used map[string]string // port or pin -> path that uses it
}

func (c *checker) fail(path, format string, a ...any) {
	if c.err == nil {
		c.err = wrong(path, format, a...)
	}
}

// Validate checks a profile and returns the first *FieldError, or nil.
func (p *Profile) Validate() error {
	c := &checker{used: map[string]string{}}
	c.model(p.Model)
	if d := p.Parts.ICC; d != nil {
		c.icc("parts.icc", d)
	}
	if d := p.Parts.PINPad; d != nil {
		c.port("parts.pinpad.port", d.Port)
		c.number("parts.pinpad.baud", d.Baud, minBaud, maxBaud)
	}
	if d := p.Parts.Printer; d != nil {
		c.port("parts.printer.port", d.Port)
		c.number("parts.printer.baud", d.Baud, minBaud, maxBaud)
		c.number("parts.printer.width_dots", uint32(d.WidthDots), printer.MinWidth, printer.MaxWidth)
		if d.WidthDots%8 != 0 {
			c.fail("parts.printer.width_dots", "%d is not a multiple of 8", d.WidthDots)
		}
		c.number("parts.printer.rx_buffer", d.RXBuffer, thermal.MinRXBuffer, maxRXBuffer)
		c.number("parts.printer.tear_feed_dots", uint32(d.TearFeedDots), 1, maxTearFeed)
	}
	if d := p.Parts.NFC; d != nil {
		if d.Driver != "pn532" {
			c.fail("parts.nfc.driver", "%q: want pn532", d.Driver)
		}
		c.port("parts.nfc.port", d.Port)
		c.number("parts.nfc.baud", d.Baud, pn532.ResetBaud, maxBaud)
	}
	if d := p.Parts.Display; d != nil {
		c.display("parts.display", d)
	}
	return c.err
}

func (c *checker) model(name string) {
	if name == "" || len(name) > maxName {
		c.fail("model", "want a name of 1 to %d characters", maxName)
	}
	for _, r := range name {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-", r) {
			c.fail("model", "%q: want lower-case letters, digits and hyphens", name)
		}
	}
}

func (c *checker) icc(path string, d *ICCPart) {
	c.port(path+".port", d.Port)
	switch d.Driver {
	case "uart":
		if d.Baud != 0 {
			c.fail(path+".baud", "a bare slot takes its speed from clock_hz")
		}
		c.number(path+".clock_hz", d.ClockHz, minClock, maxClock)
		if d.Pins == nil {
			c.fail(path+".pins", "missing; driver uart wants at least reset")
			return
		}
		c.pin(path+".pins.reset", d.Pins.Reset, true)
		c.pin(path+".pins.power", d.Pins.Power, false)
		c.pin(path+".pins.clock", d.Pins.Clock, false)
		c.pin(path+".pins.present", d.Pins.Present, false)
	case "tda8029":
		c.number(path+".baud", d.Baud, minBaud, maxBaud)
		switch {
		case d.Pins != nil:
			c.fail(path+".pins", "driver tda8029 has no pins")
		case d.ClockHz != 0:
			c.fail(path+".clock_hz", "driver tda8029 makes its own clock")
		case d.PresentLow:
			c.fail(path+".present_low", "driver tda8029 has no pins")
		case d.PowerLow:
			c.fail(path+".power_low", "driver tda8029 has no pins")
		}
	default:
		c.fail(path+".driver", "%q: want uart or tda8029", d.Driver)
	}
}

func (c *checker) display(path string, d *DisplayPart) {
	if d.Driver != "ili9341" {
		c.fail(path+".driver", "%q: want ili9341", d.Driver)
	}
	c.name(path+".spi", d.SPI)
	c.pin(path+".dc", d.DC, true)
	c.pin(path+".reset", d.Reset, false)
	c.number(path+".speed_hz", d.SpeedHz, minSPISpeed, maxSPISpeed)
	if _, ok := rotations[d.Rotation]; !ok {
		c.fail(path+".rotation", "%q: want landscape, portrait, landscape-flipped or portrait-flipped", d.Rotation)
	}
}

// port is a name, or an absolute path.
func (c *checker) port(path, s string) {
	if strings.HasPrefix(s, "/") {
		if len(s) > maxPath {
			c.fail(path, "longer than %d characters", maxPath)
		}
		if strings.ContainsRune(s, 0) {
			c.fail(path, "holds a zero byte")
		}
		c.once(path, s)
		return
	}
	c.name(path, s)
}

func (c *checker) pin(path, s string, required bool) {
	if s != "" || required {
		c.name(path, s)
	}
}

// name is a word that periph's registries could hold.
func (c *checker) name(path, s string) {
	switch {
	case s == "":
		c.fail(path, "missing")
	case len(s) > maxName:
		c.fail(path, "longer than %d characters", maxName)
	}
	for _, r := range s {
		if r <= ' ' || r == 0x7F || r == '/' {
			c.fail(path, "%q: spaces, control characters and slashes are not part of a name", s)
		}
	}
	c.once(path, s)
}

func (c *checker) once(path, s string) {
	if first, ok := c.used[s]; ok && s != "" {
		c.fail(path, "%q is already used by %s", s, first)
	}
	c.used[s] = path
}

// number takes 0 for "the default".
func (c *checker) number(path string, n, lo, hi uint32) {
	if n != 0 && (n < lo || n > hi) {
		c.fail(path, "%d is not within %d to %d", n, lo, hi)
	}
}
