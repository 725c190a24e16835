package board_test

import (
	"context"
	"fmt"

	"posagent/drivers/board"
	"posagent/drivers/board/boardsim"
)

// A model without a display, on simulated buses.
func Example() {
	sim := boardsim.New(nil)
	profile := sim.Profile()
	profile.Parts.Display = nil

	parts, err := board.Open(context.Background(), profile, sim.Buses())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer parts.Halt()
	fmt.Println(parts.Model, parts.Printer, parts.ICC)
	fmt.Println("display:", parts.Missing[board.Display])
	// Output:
	// posagent-sim thermal printer on PRINTER0 ICC on ICC0
	// display: not fitted in this model
}

// A wrong profile names its field.
func ExampleDecode() {
	_, err := board.Decode([]byte(`{"model": "mine", "parts": {"printer": {"port": "PRINTER0", "width": 384}}}`))
	fmt.Println(err)
	// Output: parts.printer.width: unknown field; known here: port, baud, width_dots, rx_buffer, tear_feed_dots, cutter
}
