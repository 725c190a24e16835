package magstripe_test

import (
	"context"
	"fmt"
	"time"

	"posagent/drivers/bussim"
	"posagent/drivers/magstripe"
	"posagent/drivers/magstripe/magstripesim"
)

// A card through a sampled head.
func Example() {
	present := bussim.NewPin("PRESENT")
	part := magstripesim.NewSampler(present)
	head, err := magstripe.NewSampler(bussim.NewSPI("MSR", part), present, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer head.Halt()
	part.Pull(magstripesim.Card{Track2: "4761739001010010=31122010000000"}, magstripesim.Stroke{Speed: 60, Jitter: 0.1})

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	swipe, err := head.Swipe(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	t2 := swipe.Track(magstripe.Track2)
	code, _ := t2.ServiceCode()
	uses, _ := code.Uses()
	fmt.Println(t2)
	fmt.Println(uses)
	fmt.Println(swipe[0].Err)
	// Output:
	// 476173******0010[track 2]
	// international, chip, goods and services, cash
	// track 1: no recording
}
