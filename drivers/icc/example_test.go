package icc_test

import (
	"context"
	"fmt"

	"posagent/drivers/bussim"
	"posagent/drivers/icc"
	"posagent/drivers/icc/iccsim"
)

func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	line := bussim.NewUART("ICC0", &bussim.UARTOpts{Echo: true})
	slot := iccsim.NewSlot(nil)
	go slot.Serve(ctx, line.Wire())
	slot.Insert(&testCard{atrs: [][]byte{atr("3B E0 00 00 81 31 FE 45+")}})

	r, err := icc.NewUART(line.Port(), icc.Pins{Reset: slot.Reset, Power: slot.Power, Present: slot.Present}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Halt()
	a, err := r.Activate(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("% X %v\n", a.Raw, a.Protocol())
	rapdu, err := r.Transmit(ctx, []byte{0x00, insRead, 0x00, 0x03, 0x03})
	fmt.Printf("% X %v\n", rapdu, err)
	// Output:
	// 3B E0 00 00 81 31 FE 45 EB T=1
	// 03 0A 11 90 00 <nil>
}

func ExampleParseATR() {
	a, err := icc.ParseATR([]byte{0x3B, 0x65, 0x00, 0x00, 0x20, 0x63, 0xCB, 0xA0, 0x00})
	fmt.Println(a.Protocol(), a.Historical, err)
	_, err = icc.ParseATR([]byte{0x3B, 0xE0, 0x00, 0x00, 0x81, 0x31, 0x20, 0x45, 0x00})
	fmt.Println(err)
	// Output:
	// T=0 [32 99 203 160 0] <nil>
	// answer to reset: TCK 00: exclusive-or of T0 to TCK is 35, not 00
}
