package pinpad_test

import (
	"context"
	"fmt"
	"sync"

	"posagent/drivers/bussim"
	"posagent/drivers/pinpad"
	"posagent/drivers/pinpad/pinpadsim"
)

// A pad on a simulated line; on a terminal the port comes from drivers/uart.
func Example() {
	line := bussim.NewUART("PINPAD0", nil)
	pad := pinpadsim.New(&pinpadsim.Opts{Serial: "PP000001", Secure: newModule()})
	dev, err := pinpad.New(line.Port(), &pinpad.DefaultOpts)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { _ = pad.Serve(ctx, line.Wire()) })
	group.Go(func() { _ = dev.Run(ctx) })

	info, err := dev.Info(ctx)
	fmt.Println(info.Serial, len(info.Slots), err)
	pad.Press(pinpad.Enter)
	fmt.Println(<-dev.Keys())

	stop()
	group.Wait()
	fmt.Println(dev.Halt())
	// Output:
	// PP000001 1 <nil>
	// enter
	// <nil>
}
