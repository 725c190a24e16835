// Package displaysim is a simulated ILI9341 panel: it listens to the bytes of
// an SPI port and to the D/C and reset lines, and shows what a person in front
// of the glass would see.
//
// It is not a picture viewer for the driver: there is no way to hand it an
// image. A driver that forgets a step of the start-up sees here what it would
// see on the bench: a dark panel, noise, swapped colours or a sheared picture.
//
//	dc, rst := bussim.NewPin("DC"), bussim.NewPin("RST")
//	panel := displaysim.New(dc, rst, nil)
//	port := bussim.NewSPI("SPI0.0", panel)
//	dev, err := display.New(port, dc, rst, nil)
//	...
//	png.Encode(w, panel.Image())
//
// # Behaviour
//
// Memory holds noise at power-up and survives reset and sleep. Reset leaves the
// panel asleep, off, with 18-bit pixels and the whole glass as window. Commands
// within 5 ms of reset or sleep-out are lost, as is a sleep-out within 120 ms of
// a reset from the awake state or of a sleep-in. Addresses outside the glass
// leave the old window. Memory writes go on over chip-select pauses until the
// next command. Reading is not simulated: MISO stays idle.
//
// # Decisions
//
//   - The datasheet's waiting times are enforced, with package time, so that a
//     missing wait fails in the simulator and not on one panel in a hundred.
package displaysim
