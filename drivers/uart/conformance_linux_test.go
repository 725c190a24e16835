package uart_test

import (
	"testing"

	"github.com/creack/pty"

	"posagent/drivers/uart"
	"posagent/drivers/uart/uarttest"
)

func TestConformance(t *testing.T) {
	uarttest.Run(t, func(t *testing.T) uarttest.Pair {
		master, slave, err := pty.Open()
		if err != nil {
			t.Skipf("no pseudo-terminals here (devpts not mounted): %v", err)
		}
		t.Cleanup(func() { master.Close() })
		p, err := uart.Open("TEST", slave.Name())
		if err != nil {
			t.Fatal(err)
		}
		slave.Close()
		t.Cleanup(func() { p.Close() })
		return uarttest.Pair{Port: p, Far: master}
	})
}
