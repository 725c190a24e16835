package thermal_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"periph.io/x/conn/v3/physic"
	periph "periph.io/x/conn/v3/uart"

	"posagent/drivers/bussim"
	"posagent/drivers/uart"
	"posagent/printer"
	"posagent/printer/escpos"
	"posagent/printer/thermal"
	"posagent/printer/thermal/thermalsim"
)

func TestStatus(t *testing.T) {
	tests := []struct {
		name string
		set  func(p *thermalsim.Printer)
		want printer.Status
	}{
		{"ready", func(p *thermalsim.Printer) {}, printer.Ready},
		{"low", func(p *thermalsim.Printer) { p.Load(99) }, printer.PaperLow},
		{"out", func(p *thermalsim.Printer) { p.Load(0) }, printer.PaperOut},
		{"cover", func(p *thermalsim.Printer) { p.SetCover(true) }, printer.CoverOpen},
		{"hot", func(p *thermalsim.Printer) { p.SetHot(true) }, printer.HeadHot},
		{"fault", func(p *thermalsim.Printer) { p.SetFault(true) }, printer.Fault},
		{"silent", func(p *thermalsim.Printer) { p.SetSilent(true) }, printer.NoAnswer},
		{"off", func(p *thermalsim.Printer) { p.SetPower(false) }, printer.NoAnswer},
		{"babbling", func(p *thermalsim.Printer) { p.SetBabble(true) }, printer.Babbling},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			on(t, thermalsim.Opts{NearEnd: 100}, thermal.Opts{}, bussim.UARTOpts{Paced: true}, func(t *testing.T, b *bench) {
				tt.set(b.part)
				time.Sleep(time.Second) // virtual: noise piles up
				begin := time.Now()
				got, err := b.dev.Status(t.Context())
				if err != nil || got != tt.want {
					t.Errorf("got %v %v want %v", got, err, tt.want)
				}
				if took := time.Since(begin); took > 6*time.Second {
					t.Errorf("took %v of virtual time", took)
				}
				if tt.want.CanPrint() {
					return
				}
				stopped(t, b.dev.Print(t.Context(), payment()), tt.want)
				if n := b.part.Paper().Height; n != 0 {
					t.Errorf("%d lines on paper", n)
				}
			})
		})
	}
}

func TestHeadCoolsDown(t *testing.T) {
	tests := []struct {
		name string
		cool time.Duration
		want printer.Status
	}{
		{"in time", 10 * time.Second, printer.Ready},
		{"too late", time.Hour, printer.HeadHot},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			on(t, thermalsim.Opts{Speed: 50}, thermal.Opts{}, bussim.UARTOpts{Paced: true}, func(t *testing.T, b *bench) {
				var once sync.Once
				b.part.OnPaper(func() { once.Do(func() { b.part.SetHot(true) }) })
				timer := time.AfterFunc(tt.cool, func() { b.part.SetHot(false) })
				defer timer.Stop()
				err := b.dev.Print(t.Context(), payment())
				if tt.want != printer.Ready {
					stopped(t, err, tt.want)
					return
				}
				dots, _ := wanted(t, payment())
				if err != nil || !sameDots(b.part.Paper(), dots) {
					t.Errorf("err %v, paper reads\n%s", err, b.part.Tear().Text())
				}
			})
		})
	}
}

// healed asserts that the paper ends with the whole document, and that everything above
// is voided.
func healed(t *testing.T, b *bench, doc *printer.Document) {
	t.Helper()
	dots, _ := wanted(t, doc)
	above, ok := endsWith(b.part.Paper(), dots)
	if !ok || above != "" && !strings.HasSuffix(above, voidLine+"\n") {
		t.Errorf("no whole copy below a void line; the paper reads\n%s", b.part.Tear().Text())
	}
}

func TestLostAcknowledgement(t *testing.T) {
	for lose := range uint64(35) {
		on(t, thermalsim.Opts{}, thermal.Opts{}, bussim.UARTOpts{}, func(t *testing.T, b *bench) {
			b.part.MangleOut(func(n uint64, c byte) (byte, bool) { return c, n != lose })
			var err error
			for range 3 {
				if err = b.dev.Print(t.Context(), payment()); err == nil {
					break
				}
				stopped(t, err, printer.Fault)
			}
			if err != nil {
				t.Fatalf("reply %d lost: %v", lose, err)
			}
			healed(t, b, payment())
		})
	}
}

// TestLostBytes loses one byte on the way to the printer. Where that is noticed the
// paper must be healed; it is noticed nearly always.
func TestLostBytes(t *testing.T) {
	var enc escpos.Encoder
	job, err := enc.Encode(payment(), nil)
	if err != nil {
		t.Fatal(err)
	}
	size := uint64(len(job.Bytes()))
	random := rand.New(rand.NewPCG(7, 7))
	noticed, unnoticed, stuck := 0, 0, 0
	for range 60 {
		lose := 40 + random.Uint64N(size)
		on(t, thermalsim.Opts{}, thermal.Opts{}, bussim.UARTOpts{}, func(t *testing.T, b *bench) {
			b.part.MangleIn(func(n uint64, c byte) (byte, bool) { return c, n != lose })
			first := b.dev.Print(t.Context(), payment())
			if first == nil {
				unnoticed++
				return
			}
			noticed++
			stopped(t, first, printer.Fault)
			err := b.dev.Print(t.Context(), payment())
			if err != nil { // the damaged command waits for a picture of megabytes
				stopped(t, err, printer.Fault)
				stuck++
				b.part.SetPower(false)
				b.part.SetPower(true)
				err = b.dev.Print(t.Context(), payment())
			}
			if err != nil {
				t.Fatalf("byte %d lost: %v", lose, err)
			}
			healed(t, b, payment())
		})
	}
	t.Logf("%d lost bytes noticed, %d not; %d needed the power switch", noticed, unnoticed, stuck)
	if noticed < 9*unnoticed {
		t.Errorf("only %d of %d lost bytes were noticed", noticed, noticed+unnoticed)
	}
}

// TestTakesOverFromADeadProcess starts on a printer that is inside a picture.
func TestTakesOverFromADeadProcess(t *testing.T) {
	heads := map[string][]byte{
		"inside a band":       append(escpos.AppendRasterHead(nil, 48, 24), 1, 2, 3),
		"inside a long image": escpos.AppendRasterHead(nil, 48, 120),
		"inside a command":    {0x1D, 'v', '0'},
		"owing answers":       escpos.AppendAckRequest(escpos.AppendAckRequest(nil)),
	}
	for name, left := range heads {
		t.Run(name, func(t *testing.T) {
			on(t, thermalsim.Opts{}, thermal.Opts{}, bussim.UARTOpts{}, func(t *testing.T, b *bench) {
				s, err := uart.Connect(b.line.Port(), 115200*physic.Hertz, periph.One, periph.NoParity, periph.NoFlow, 8)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := s.Write(left); err != nil {
					t.Fatal(err)
				}
				if err := b.dev.Print(t.Context(), payment()); err != nil {
					t.Fatal(err)
				}
				dots, _ := wanted(t, payment())
				if _, ok := endsWith(b.part.Paper(), dots); !ok {
					t.Errorf("paper reads\n%s", b.part.Tear().Text())
				}
			})
		})
	}
}

func TestAnotherDocumentComesBetween(t *testing.T) {
	other := printer.NewDocument(printer.Report).Line("ANOTHER").Cut()
	dots, _ := wanted(t, payment())
	last, _ := wanted(t, other)
	tests := []struct {
		name   string
		end    int // of the paper
		voided bool
	}{
		{"incomplete copy is voided", dots.Height / 2, true},
		{"copy that came out whole is not", dots.Height - 1, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			on(t, thermalsim.Opts{PaperDots: uint32(tt.end)}, thermal.Opts{}, bussim.UARTOpts{}, func(t *testing.T, b *bench) {
				stopped(t, b.dev.Print(t.Context(), payment()), printer.PaperOut)
				b.part.Load(thermalsim.MaxRoll)
				if err := b.dev.Print(t.Context(), other); err != nil {
					t.Fatal(err)
				}
				above, ok := endsWith(b.part.Paper(), last)
				if !ok || strings.HasSuffix(above, voidLine+"\n") != tt.voided {
					t.Errorf("above the other document:\n%s", above)
				}
				b.part.Tear()
				if err := b.dev.Print(t.Context(), payment()); err != nil {
					t.Fatal(err)
				}
				sheet := b.part.Tear()
				if tt.voided && !sameDots(sheet.Image, dots) {
					t.Errorf("second copy reads\n%s", sheet.Text())
				}
				if !tt.voided && sheet.Image.Height != 0 {
					t.Errorf("a second original was printed:\n%s", sheet.Text())
				}
			})
		})
	}
}

func TestVoidSlipIsInterruptedToo(t *testing.T) {
	on(t, thermalsim.Opts{PaperDots: 120}, thermal.Opts{}, bussim.UARTOpts{}, func(t *testing.T, b *bench) {
		report := slip(printer.Report)
		stopped(t, b.dev.Print(t.Context(), payment()), printer.PaperOut)
		b.part.Load(60) // ends inside the void slip or the rest before it
		stopped(t, b.dev.Print(t.Context(), report), printer.PaperOut)
		b.part.Load(20)
		stopped(t, b.dev.Print(t.Context(), report), printer.PaperOut)
		b.part.Load(thermalsim.MaxRoll)
		if err := b.dev.Print(t.Context(), report); err != nil {
			t.Fatal(err)
		}
		healed(t, b, report)
	})
}

func TestVoid(t *testing.T) {
	on(t, thermalsim.Opts{PaperDots: 120}, thermal.Opts{}, bussim.UARTOpts{}, func(t *testing.T, b *bench) {
		if err := b.dev.Void(t.Context()); err != nil {
			t.Errorf("void of nothing: %v", err)
		}
		stopped(t, b.dev.Print(t.Context(), payment()), printer.PaperOut)
		stopped(t, b.dev.Void(t.Context()), printer.PaperOut)
		b.part.Load(thermalsim.MaxRoll)
		if err := b.dev.Void(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := b.part.Tear().Text(); !strings.HasSuffix(got, voidLine+"\n") {
			t.Errorf("paper reads\n%s", got)
		}
		if err := b.dev.Print(t.Context(), payment()); err != nil {
			t.Fatal(err)
		}
		if dots, _ := wanted(t, payment()); !sameDots(b.part.Paper(), dots) {
			t.Error("the copy after a void is not clean")
		}
	})
}

func TestCallerGivesUp(t *testing.T) {
	on(t, thermalsim.Opts{Speed: 20}, thermal.Opts{}, bussim.UARTOpts{Paced: true}, func(t *testing.T, b *bench) {
		ctx, cancel := context.WithCancel(t.Context())
		b.part.OnPaper(cancel)
		s := stopped(t, b.dev.Print(ctx, payment()), printer.Unknown)
		if !errors.Is(s, context.Canceled) {
			t.Errorf("got %v", s)
		}
		b.part.OnPaper(nil)
		if err := b.dev.Print(t.Context(), payment()); err != nil {
			t.Fatal(err)
		}
		healed(t, b, payment())
		if _, err := b.dev.Status(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("status with an ended context: %v", err)
		}
	})
}

func TestHaltInterruptsAndStays(t *testing.T) {
	on(t, thermalsim.Opts{Speed: 20}, thermal.Opts{}, bussim.UARTOpts{Paced: true}, func(t *testing.T, b *bench) {
		b.part.OnPaper(func() { b.dev.Halt() })
		if err := b.dev.Print(t.Context(), payment()); !errors.Is(err, printer.ErrHalted) {
			t.Errorf("got %v", err)
		}
		if err := b.dev.Halt(); err != nil {
			t.Error(err)
		}
		if err := b.dev.Print(t.Context(), payment()); !errors.Is(err, printer.ErrHalted) {
			t.Errorf("got %v", err)
		}
		if _, err := b.dev.Status(t.Context()); !errors.Is(err, printer.ErrHalted) {
			t.Errorf("got %v", err)
		}
	})
}

func TestPortIsGone(t *testing.T) {
	on(t, thermalsim.Opts{}, thermal.Opts{}, bussim.UARTOpts{}, func(t *testing.T, b *bench) {
		b.line.Port().Close()
		stopped(t, b.dev.Print(t.Context(), payment()), printer.NoAnswer)
		if got, err := b.dev.Status(t.Context()); got != printer.NoAnswer || err != nil {
			t.Errorf("got %v %v", got, err)
		}
	})
}

func TestRefusedBeforeAnythingIsPrinted(t *testing.T) {
	line := bussim.NewUART("PRINTER0", nil)
	for _, o := range []thermal.Opts{{RXBuffer: 100}, {WidthDots: 100}, {WidthDots: 388}, {Baud: 1}} {
		if _, err := thermal.New(line.Port(), &o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
	dev, err := thermal.New(line.Port(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(dev), "thermal printer on PRINTER0"; got != want {
		t.Errorf("got %q want %q", got, want)
	}
	wide := payment()
	wide.Width = printer.Width80mm
	for name, doc := range map[string]*printer.Document{"wide": wide, "empty": {}} {
		var invalid *printer.InvalidError
		if err := dev.Print(t.Context(), doc); !errors.As(err, &invalid) {
			t.Errorf("%s document: got %v", name, err)
		}
	}
}

// TestKeepsTheMechanismBusy compares the time of a long slip with what the mechanism or
// the line alone needs, whichever is slower.
func TestKeepsTheMechanismBusy(t *testing.T) {
	doc := printer.NewDocument(printer.Report)
	for range 25 {
		doc.Pair("商户编号", "898310054110001")
	}
	doc.Cut()
	dots, _ := wanted(t, doc)
	for _, baud := range []int64{115200, 460800} {
		opts := thermal.Opts{RXBuffer: 4096, Baud: physic.Frequency(baud) * physic.Hertz}
		on(t, thermalsim.Opts{Speed: 50, RXBuffer: 4096}, opts, bussim.UARTOpts{Paced: true}, func(t *testing.T, b *bench) {
			begin := time.Now()
			if err := b.dev.Print(t.Context(), doc); err != nil {
				t.Fatal(err)
			}
			took, mechanism := time.Since(begin), time.Duration(dots.Height)*time.Second/400
			line := time.Duration(b.part.Counts().Received) * 10 * time.Second / time.Duration(baud)
			t.Logf("%d baud, %d lines: %v; mechanism alone %v, line alone %v", baud, dots.Height, took, mechanism, line)
			if least := max(mechanism, line); took > least*110/100 {
				t.Errorf("%d baud: took %v of virtual time, want at most 10 %% more than %v", baud, took, least)
			}
		})
	}
}
