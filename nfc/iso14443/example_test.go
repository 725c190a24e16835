package iso14443_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"posagent/nfc"
	"posagent/nfc/iso14443"
	"posagent/nfc/iso14443/iso14443sim"
)

// One tap: any chip that exchanges frames stands in the place of the simulated
// field.
func Example() {
	air := iso14443sim.NewAir(nil)
	air.Place(iso14443sim.NewPICC(&echo{}, nil))

	r, err := iso14443.New(air, nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	card, err := r.Poll(ctx, nil)
	if errors.Is(err, nfc.ErrCollision) {
		fmt.Println("one card only, please")
	}
	if err != nil {
		log.Fatal(err)
	}
	rapdu, err := card.Transmit(ctx, ask(1, 0, 4))
	fmt.Printf("type %v, UID % X: % X, %v\n", card.Type(), card.UID(), rapdu, err)
	if err := r.Halt(); err != nil {
		log.Fatal(err)
	}
	// Output: type A, UID 04 25 63 9A 31 52 80: 90 00, <nil>
}
