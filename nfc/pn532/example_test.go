package pn532_test

import (
	"context"
	"errors"
	"fmt"

	"posagent/drivers/bussim"
	"posagent/nfc"
	"posagent/nfc/iso14443/iso14443sim"
	"posagent/nfc/pn532"
	"posagent/nfc/pn532/pn532sim"
)

// One tap. The port of a real terminal is opened by name in drivers/board.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	line, air := bussim.NewUART("NFC0", nil), iso14443sim.NewAir(nil)
	done := make(chan error, 1)
	go func() { done <- pn532sim.New(air, nil).Serve(ctx, line.Wire()) }()
	defer func() { cancel(); <-done }()
	air.Place(iso14443sim.NewPICC(&echo{}, nil))

	r, err := pn532.New(line.Port(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	card, err := r.Poll(ctx, nil)
	if errors.Is(err, nfc.ErrCollision) {
		fmt.Println("one card only, please")
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	rapdu, err := card.Transmit(ctx, ask(1, 0, 4))
	fmt.Printf("type %v, UID % X: % X, %v\n", card.Type(), card.UID(), rapdu, err)
	fmt.Println(r, r.Halt())
	// Output:
	// type A, UID 04 25 63 9A 31 52 80: 90 00, <nil>
	// PN532 on NFC0 <nil>
}
