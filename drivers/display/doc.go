// Package display drives the terminal's colour panel, an ILI9341-class TFT of
// 320×240 pixels, as a periph display.Drawer.
//
// It is not a drawing library: it takes finished images and moves what changed
// to the glass. What a screen looks like is decided in agent/screen.
//
//	dev, err := display.New(spiPort, dc, reset, nil)
//	err = dev.Draw(dev.Bounds(), img, image.Point{})
//	dev.Halt() // dark and asleep; the next Draw wakes it
//
// # Datasheet
//
// ILI9341 a-Si TFT LCD Single Chip Driver, Ilitek, V1.11. Command numbers and
// waiting times in registers.go carry the section.
//
// # Wiring
//
// SPI mode 0, 4-wire with a D/C line (interface II of section 7.1.9: low means
// command), optional reset line, active low. MISO need not be connected.
//
// # Limits
//
// 16-bit colour. Partial updates are one rectangle, the bounding box of the
// pixels that really changed: two changed corners send the whole panel, 38
// transfers, about 125 ms at 10 MHz. The panel never answers, so a panel that
// is not there is not noticed. Backlight is another line and another driver.
//
// # Goroutines
//
// None of its own. Methods may be called from any goroutine; Draw holds the
// panel until its pixels are out.
//
// # Decisions
//
//   - The panel is switched on with its first picture, after that picture is in
//     its memory: nobody sees the noise of power-up, and New returns 5 ms after
//     reset instead of 120 so that it does not hold up the terminal's start.
//   - A failed transfer makes the next Draw send everything: what the panel
//     holds is then unknown.
package display
