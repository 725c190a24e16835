package thermal_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/physic"

	"posagent/drivers/bussim"
	"posagent/printer"
	"posagent/printer/raster"
	"posagent/printer/thermal"
	"posagent/printer/thermal/thermalsim"
)

const voidLine = "*** VOID - INCOMPLETE ***"

// tear is the feed to the tear bar in these tests, in dot lines.
const tear = 40

// bench is a printer device, its wire and the simulated part.
type bench struct {
	dev  *thermal.Dev
	line *bussim.UART
	part *thermalsim.Printer
}

// on runs f in virtual time with a printer on a simulated wire.
func on(t *testing.T, sim thermalsim.Opts, opts thermal.Opts, wire bussim.UARTOpts, f func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{line: bussim.NewUART("PRINTER0", &wire), part: thermalsim.New(&sim)}
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() {
			if err := b.part.Serve(ctx, b.line.Wire()); err != nil {
				t.Errorf("serve: %v", err)
			}
		})
		opts.TearFeed = tear
		var err error
		if b.dev, err = thermal.New(b.line.Port(), &opts); err != nil {
			t.Fatal(err)
		}
		f(t, b)
		cancel()
		group.Wait()
	})
}

func payment() *printer.Document { return slip(printer.Payment) }

func slip(kind printer.Kind) *printer.Document {
	return printer.NewDocument(kind).Title("测试商户").Dashes().
		Pair("卡号", "622848******0017 /C").Pair("交易类型 TYPE", "消费 SALE").
		PairStyled("金额", "￥12.50", printer.Big).Blank(1).Line("持卡人签名 SIGNATURE").Rule().Cut()
}

// wanted is the document as it must be on paper, with the feed to the tear bar.
func wanted(t *testing.T, doc *printer.Document) (*printer.Bitmap, string) {
	t.Helper()
	bm, page, err := raster.Draw(doc)
	if err != nil {
		t.Fatal(err)
	}
	bm.Pix = append(bm.Pix, make([]byte, tear*bm.Stride())...)
	bm.Height += tear
	return bm, page.Text()
}

func sameDots(a, b *printer.Bitmap) bool { return a.Height == b.Height && bytes.Equal(a.Pix, b.Pix) }

// endsWith reports whether the last lines of the paper are exactly the document, and
// returns the text above them.
func endsWith(paper, doc *printer.Bitmap) (above string, ok bool) {
	n := paper.Height - doc.Height
	if n < 0 || !bytes.Equal(paper.Pix[n*paper.Stride():], doc.Pix) {
		return "", false
	}
	top := &printer.Bitmap{Width: paper.Width, Height: n, Pix: paper.Pix[:n*paper.Stride()]}
	return thermalsim.ReadText(top), true
}

func TestPrintPutsTheDocumentOnPaper(t *testing.T) {
	english := printer.NewDocument(printer.Report).Title("TEST SHOP").Line("The quick brown fox jumps over the lazy dog.").Pair("TOTAL", "CNY 12.50").Cut()
	tests := []struct {
		name string
		doc  *printer.Document
		sim  thermalsim.Opts
		opts thermal.Opts
		wire bussim.UARTOpts
	}{
		{"chinese", payment(), thermalsim.Opts{}, thermal.Opts{}, bussim.UARTOpts{}},
		{"english", english, thermalsim.Opts{}, thermal.Opts{}, bussim.UARTOpts{}},
		{"slow mechanism, slow line", payment(), thermalsim.Opts{Speed: 20}, thermal.Opts{Baud: 9600 * physic.Hertz}, bussim.UARTOpts{Paced: true}},
		{"smallest buffer", payment(), thermalsim.Opts{Speed: 30, RXBuffer: 256}, thermal.Opts{RXBuffer: 256}, bussim.UARTOpts{Paced: true, Overrun: true}},
		{"large buffer", payment(), thermalsim.Opts{Speed: 80, RXBuffer: 8192}, thermal.Opts{RXBuffer: 8192, Baud: 460800 * physic.Hertz}, bussim.UARTOpts{Paced: true}},
		{"wide paper", &printer.Document{Elements: payment().Elements}, thermalsim.Opts{WidthDots: printer.Width80mm}, thermal.Opts{WidthDots: printer.Width80mm}, bussim.UARTOpts{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			on(t, tt.sim, tt.opts, tt.wire, func(t *testing.T, b *bench) {
				for range 2 {
					if err := b.dev.Print(t.Context(), tt.doc); err != nil {
						t.Fatal(err)
					}
					sized := *tt.doc
					if sized.Width == 0 {
						sized.Width = int(tt.opts.WidthDots)
					}
					dots, text := wanted(t, &sized)
					sheet := b.part.Tear()
					if !sameDots(sheet.Image, dots) {
						t.Error("the paper has other dots than the document")
					}
					if got := sheet.Text(); got != text {
						t.Errorf("paper reads\n%s\nwant\n%s", got, text)
					}
				}
				if c := b.part.Counts(); c.Overruns != 0 || c.Unknown != 0 {
					t.Errorf("printer counts %+v", c)
				}
			})
		})
	}
}

func TestPrinterCuts(t *testing.T) {
	on(t, thermalsim.Opts{}, thermal.Opts{Cutter: true}, bussim.UARTOpts{}, func(t *testing.T, b *bench) {
		if err := b.dev.Print(t.Context(), payment()); err != nil {
			t.Fatal(err)
		}
		sheet := b.part.Tear()
		if len(sheet.Cuts) != 1 || sheet.Cuts[0] != sheet.Image.Height {
			t.Errorf("cuts %v, paper of %d lines", sheet.Cuts, sheet.Image.Height)
		}
	})
}

// stopped asserts that err is an interruption of the given status.
func stopped(t *testing.T, err error, want printer.Status) *printer.Interrupted {
	t.Helper()
	var s *printer.Interrupted
	if !errors.As(err, &s) {
		t.Fatalf("got %v, want an interruption by %v", err, want)
	}
	if s.Status != want {
		t.Fatalf("got %v, want an interruption by %v", err, want)
	}
	return s
}

// TestPaperOutAnywhere lets the paper end all over a document, in every band.
func TestPaperOutAnywhere(t *testing.T) {
	for _, kind := range []printer.Kind{printer.Payment, printer.Report} {
		t.Run(kind.String(), func(t *testing.T) {
			doc := slip(kind)
			dots, _ := wanted(t, doc)
			whole, voided, bands := 0, 0, map[uint32]bool{}
			for end := 1; end < dots.Height; end += 5 {
				on(t, thermalsim.Opts{PaperDots: uint32(end)}, thermal.Opts{}, bussim.UARTOpts{}, func(t *testing.T, b *bench) {
					s := stopped(t, b.dev.Print(t.Context(), doc), printer.PaperOut)
					bands[s.Band] = true
					again := stopped(t, b.dev.Print(t.Context(), doc), printer.PaperOut)
					if again.Band != 0 {
						t.Errorf("end %d: a print without paper came to band %d", end, again.Band)
					}
					if left := b.part.Paper().Height; left != end {
						t.Errorf("end %d: %d lines on paper", end, left)
					}
					b.part.Load(thermalsim.MaxRoll)
					if err := b.dev.Print(t.Context(), doc); err != nil {
						t.Fatalf("end %d: print after reload: %v", end, err)
					}
					paper := b.part.Paper()
					if sameDots(paper, dots) {
						whole++
						return
					}
					above, ok := endsWith(paper, dots)
					if !ok || strings.Count(above, voidLine) != 1 || !strings.HasSuffix(above, voidLine+"\n") {
						t.Fatalf("end %d: no whole copy below one void line; above it:\n%s", end, above)
					}
					voided++
				})
			}
			if len(bands) < 25 {
				t.Errorf("stopped at %d bands only", len(bands))
			}
			t.Logf("%d whole, %d voided, stopped at %d bands", whole, voided, len(bands))
			if kind == printer.Report && voided > 0 {
				t.Errorf("%d reports did not continue where they stopped", voided)
			}
			if kind == printer.Payment && (voided == 0 || whole > voided) {
				t.Errorf("payment: %d whole, %d voided", whole, voided)
			}
		})
	}
}

func TestInterruptionsThatLoseTheBuffer(t *testing.T) {
	tests := []struct {
		name string
		sim  thermalsim.Opts
		fail func(p *thermalsim.Printer)
		mend func(p *thermalsim.Printer)
		want printer.Status
	}{
		{"cover", thermalsim.Opts{Speed: 20, LosesBuffer: true},
			func(p *thermalsim.Printer) { p.SetCover(true) }, func(p *thermalsim.Printer) { p.SetCover(false) }, printer.CoverOpen},
		{"power", thermalsim.Opts{Speed: 20},
			func(p *thermalsim.Printer) { p.SetPower(false) }, func(p *thermalsim.Printer) { p.SetPower(true) }, printer.NoAnswer},
		{"technician", thermalsim.Opts{Speed: 20, LosesBuffer: true},
			func(p *thermalsim.Printer) { p.SetFault(true) }, func(p *thermalsim.Printer) { p.SetFault(false) }, printer.Fault},
		{"wire back cut", thermalsim.Opts{Speed: 20},
			func(p *thermalsim.Printer) { p.SetSilent(true) }, func(p *thermalsim.Printer) { p.SetSilent(false) }, printer.NoAnswer},
		{"noise", thermalsim.Opts{Speed: 20},
			func(p *thermalsim.Printer) { p.SetBabble(true) }, func(p *thermalsim.Printer) { p.SetBabble(false) }, printer.Babbling},
	}
	for _, tt := range tests {
		for _, kind := range []printer.Kind{printer.Payment, printer.Report} {
			t.Run(tt.name+" "+kind.String(), func(t *testing.T) {
				on(t, tt.sim, thermal.Opts{}, bussim.UARTOpts{Paced: true}, func(t *testing.T, b *bench) {
					var once sync.Once
					b.part.OnPaper(func() {
						if b.part.Counts().Lines > 100 {
							once.Do(func() { tt.fail(b.part) })
						}
					})
					doc := slip(kind)
					begin := time.Now()
					stopped(t, b.dev.Print(t.Context(), doc), tt.want)
					if took := time.Since(begin); took > 10*time.Second {
						t.Errorf("took %v of virtual time to find out", took)
					}
					tt.mend(b.part)
					time.Sleep(time.Second) // virtual
					if err := b.dev.Print(t.Context(), doc); err != nil {
						t.Fatal(err)
					}
					dots, _ := wanted(t, doc)
					above, ok := endsWith(b.part.Paper(), dots)
					if !ok || strings.Count(above, voidLine) != 1 || !strings.HasSuffix(above, voidLine+"\n") {
						t.Errorf("no whole copy below one void line; above it:\n%s", above)
					}
				})
			})
		}
	}
}
