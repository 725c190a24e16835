package thermal_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"posagent/drivers/bussim"
	"posagent/printer"
	"posagent/printer/thermal"
	"posagent/printer/thermal/thermalsim"
)

// A receipt whose paper ends half way: the caller prints it again, and the device voids
// the incomplete copy first. The half line where the paper had ended reads as a graphic.
func Example() {
	line := bussim.NewUART("PRINTER0", nil)
	part := thermalsim.New(&thermalsim.Opts{PaperDots: 70})
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { part.Serve(ctx, line.Wire()) })

	dev, err := thermal.New(line.Port(), nil)
	if err != nil {
		fmt.Println(err)
	}
	doc := printer.NewDocument(printer.Payment).Center("测试商户").
		Pair("商户编号", "898310054110001").
		Pair("卡号", "622848******0017 /C").
		Pair("交易类型", "消费 SALE").
		Pair("金额 AMOUNT", "CNY 12.50").Cut()

	err = dev.Print(ctx, doc)
	var stopped *printer.Interrupted
	if errors.As(err, &stopped) {
		fmt.Println("printer says:", stopped.Status)
	}
	part.Load(10000)
	if err := dev.Print(ctx, doc); err != nil {
		fmt.Println(err)
	}
	fmt.Print(strings.ReplaceAll(part.Tear().Text(), "\n\n", "\n"))

	cancel()
	group.Wait()
	// Output:
	// printer says: paper-out
	//             测试商户
	// 商户编号         898310054110001
	// [graphic]
	//       *** 未完成 作废 ***
	//    *** VOID - INCOMPLETE ***
	//
	//             测试商户
	// 商户编号         898310054110001
	// 卡号         622848******0017 /C
	// 交易类型               消费 SALE
	// 金额 AMOUNT            CNY 12.50
}
