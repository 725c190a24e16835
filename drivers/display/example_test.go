package display_test

import (
	"fmt"
	"image"
	"image/color"

	"posagent/drivers/bussim"
	"posagent/drivers/display"
	"posagent/drivers/display/displaysim"
)

// A panel on simulated wires shows one red picture.
func Example() {
	dc, reset := bussim.NewPin("LCD_DC"), bussim.NewPin("LCD_RST")
	panel := displaysim.New(dc, reset, nil)

	dev, err := display.New(bussim.NewSPI("SPI0.0", panel), dc, reset, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer dev.Halt()
	red := image.NewUniform(color.RGBA{R: 0xFF, A: 0xFF})
	if err := dev.Draw(dev.Bounds(), red, image.Point{}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(dev, panel.Image().Bounds().Size(), panel.Image().At(0, 0))
	// Output: ili9341(SPI0.0) (320,240) {255 0 0 255}
}
