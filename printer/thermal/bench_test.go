package thermal_test

import (
	"context"
	"sync"
	"testing"

	"posagent/drivers/bussim"
	"posagent/printer/thermal"
	"posagent/printer/thermal/thermalsim"
)

// BenchmarkPrint is a whole print through wire and simulated printer, without the time
// of either.
func BenchmarkPrint(b *testing.B) {
	line := bussim.NewUART("PRINTER0", nil)
	part := thermalsim.New(nil)
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { part.Serve(ctx, line.Wire()) })
	dev, err := thermal.New(line.Port(), nil)
	if err != nil {
		b.Fatal(err)
	}
	doc := payment()
	b.ReportAllocs()
	for b.Loop() {
		if err := dev.Print(ctx, doc); err != nil {
			b.Fatal(err)
		}
		part.Tear()
		part.Load(thermalsim.MaxRoll)
	}
	cancel()
	group.Wait()
}
