package uart_test

import (
	"fmt"
	"log"
	"time"

	"periph.io/x/conn/v3/physic"
	periph "periph.io/x/conn/v3/uart"

	"posagent/drivers/uart"
)

// A request to a part and its answer, with a bound on the waiting.
func Example() {
	port, err := uart.Open("PRINTER0", "/dev/ttymxc3")
	if err != nil {
		log.Print(err)
		return
	}
	defer port.Close()
	s, err := uart.Connect(port, 115200*physic.Hertz, periph.One, periph.NoParity, periph.NoFlow, 8)
	if err != nil {
		log.Print(err)
		return
	}
	s.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
	status := make([]byte, 1)
	if err := s.Tx([]byte{0x10, 0x04, 0x01}, status); err != nil {
		log.Print(err)
		return
	}
	fmt.Printf("status %08b\n", status[0])
}
