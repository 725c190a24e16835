package bussim_test

import (
	"fmt"
	"io"

	"periph.io/x/conn/v3/physic"
	periph "periph.io/x/conn/v3/uart"

	"posagent/drivers/bussim"
	"posagent/drivers/uart"
)

// A part that answers at the far end of a line.
func Example() {
	line := bussim.NewUART("PRINTER0", nil)
	go func() { // the part: answers the status request of a printer
		req := make([]byte, 3)
		io.ReadFull(line.Wire(), req)
		line.Wire().Write([]byte{0x16})
	}()

	s, err := uart.Connect(line.Port(), 115200*physic.Hertz, periph.One, periph.NoParity, periph.NoFlow, 8)
	if err != nil {
		fmt.Println(err)
		return
	}
	status := make([]byte, 1)
	err = s.Tx([]byte{0x10, 0x04, 0x01}, status)
	fmt.Printf("%08b %v\n", status[0], err)
	// Output: 00010110 <nil>
}
