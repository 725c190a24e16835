package thermalsim_test

import (
	"bytes"
	"context"
	"errors"
	"image/png"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"

	"posagent/printer"
	"posagent/printer/escpos"
	"posagent/printer/raster"
	"posagent/printer/thermal/thermalsim"
)

// terminal is the other end of the wire: what it is sent piles up in heard.
type terminal struct {
	net.Conn
	mu    sync.Mutex
	heard []byte
}

func (c *terminal) listen() {
	var b [16]byte
	for {
		n, err := c.Read(b[:])
		c.mu.Lock()
		c.heard = append(c.heard, b[:n]...)
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// tell sends bytes and returns what was answered when all is quiet.
func (c *terminal) tell(t *testing.T, data ...byte) []byte {
	t.Helper()
	if _, err := c.Write(data); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.heard
	c.heard = nil
	return out
}

// serve runs f with a printer in virtual time.
func serve(t *testing.T, o *thermalsim.Opts, f func(t *testing.T, p *thermalsim.Printer, c *terminal)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := thermalsim.New(o)
		near, far := net.Pipe()
		c := &terminal{Conn: near}
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() {
			if err := p.Serve(ctx, far); err != nil {
				t.Errorf("serve: %v", err)
			}
		})
		group.Go(c.listen)
		synctest.Wait()
		f(t, p, c)
		cancel()
		near.Close()
		group.Wait()
	})
}

var ack = []byte{0x1D, 'r', 1}

func TestPrintsNativeText(t *testing.T) {
	chinese, err := simplifiedchinese.GB18030.NewEncoder().String("金额 AMOUNT ￥12.50")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, nil, func(t *testing.T, p *thermalsim.Printer, c *terminal) {
		c.tell(t, []byte("\x1b@"+chinese+"\n\x1ba\x01\x1bE\x01middle\n\x1d!\x11\x1bE\x00big\n\x1b@\x1bd\x02end\x1bJ\x30")...)
		want := "金额 AMOUNT ￥12.50\n             middle\n             big\n\n\nend\n"
		if got := p.Tear().Text(); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

func TestDoublesRaster(t *testing.T) {
	serve(t, nil, func(t *testing.T, p *thermalsim.Printer, c *terminal) {
		c.tell(t, 0x1D, 'v', '0', 3, 1, 0, 1, 0, 0xA1)
		got := p.Paper()
		want := printer.NewBitmap(384, 2)
		copy(want.Line(0), []byte{0xCC, 0x03})
		copy(want.Line(1), []byte{0xCC, 0x03})
		if got.Height != 2 || !bytes.Equal(got.Pix, want.Pix) {
			t.Errorf("got %d lines, % x", got.Height, got.Pix[:4])
		}
	})
}

func TestAnswersAtOnceAndInOrder(t *testing.T) {
	serve(t, &thermalsim.Opts{PaperDots: 10, NearEnd: 4}, func(t *testing.T, p *thermalsim.Printer, c *terminal) {
		steps := []struct {
			name string
			send []byte
			want []byte
		}{
			{"acknowledged after 5 lines", append([]byte{0x1B, 'J', 5}, ack...), []byte{0}},
			{"low after 7", append([]byte{0x1B, 'J', 2}, ack...), []byte{3}},
			{"ready", []byte{0x10, 4, 1}, []byte{0x12}},
			{"nothing past the end", append([]byte{0x1B, 'J', 5}, ack...), nil},
			{"offline", []byte{0x10, 4, 1}, []byte{0x1A}},
			{"stopped by paper", []byte{0x10, 4, 2}, []byte{0x32}},
			{"no error", []byte{0x10, 4, 3}, []byte{0x12}},
			{"paper end", []byte{0x10, 4, 4}, []byte{0x7E}},
		}
		for _, s := range steps {
			if got := c.tell(t, s.send...); !bytes.Equal(got, s.want) {
				t.Errorf("%s: got % x want % x", s.name, got, s.want)
			}
		}
		p.Load(100)
		if got := c.tell(t, 0); !bytes.Equal(got, []byte{0}) {
			t.Errorf("after reload: got % x, want the answer it owes", got)
		}
		if got := p.Tear().Image.Height; got != 12 {
			t.Errorf("%d lines on paper, want 12", got)
		}
		if got := p.PaperLeft(); got != 98 {
			t.Errorf("%d lines left, want 98", got)
		}
	})
}

func TestStatusInsideAPicture(t *testing.T) {
	serve(t, nil, func(t *testing.T, p *thermalsim.Printer, c *terminal) {
		got := c.tell(t, append([]byte{0x1D, 'v', '0', 0, 3, 0, 1, 0, 0x10, 4, 1}, ack...)...)
		if !bytes.Equal(got, []byte{0x12, 0}) {
			t.Errorf("answers % x, want 12 00", got)
		}
		if b := p.Paper(); b.Height != 1 || !bytes.Equal(b.Pix[:4], []byte{0x10, 4, 1, 0}) {
			t.Errorf("the three bytes are not in the picture: % x", b.Pix)
		}
	})
}

func TestBufferOverruns(t *testing.T) {
	serve(t, &thermalsim.Opts{RXBuffer: 256}, func(t *testing.T, p *thermalsim.Printer, c *terminal) {
		p.SetCover(true)
		for range 100 { // questions never fill the buffer
			c.tell(t, 0x10, 4, 1)
		}
		c.tell(t, bytes.Repeat([]byte{'x'}, 300)...)
		if got := p.Counts(); got.Overruns != 44 || got.Received != 600 {
			t.Errorf("got %+v, want 44 overruns", got)
		}
	})
}

func TestKeepsPaperAndBufferBetweenWires(t *testing.T) {
	p := thermalsim.New(nil)
	for _, part := range []string{"\x1dv0\x00\x01\x00\x02\x00\xAA", "\x55\x1dV\x42\x08"} {
		near, far := net.Pipe()
		done := make(chan error)
		go func() { done <- p.Serve(context.Background(), far) }()
		if _, err := io.WriteString(near, part); err != nil {
			t.Fatal(err)
		}
		near.Close()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	// The mechanism may have stopped with bytes in the buffer: they wait for a wire.
	near, far := net.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	printed := make(chan struct{}, 100)
	p.OnPaper(func() { printed <- struct{}{} })
	done := make(chan error)
	go func() { done <- p.Serve(ctx, far) }()
	io.WriteString(near, "\x1bJ\x01")
	<-printed
	for p.Paper().Height < 11 {
		<-printed
	}
	cancel() // with the wire open
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	sheet := p.Tear()
	if b := sheet.Image; b.Height != 11 || b.Pix[0] != 0xAA || b.Pix[48] != 0x55 {
		t.Errorf("%d lines, % x % x", b.Height, b.Pix[0], b.Pix[48])
	}
	if len(sheet.Cuts) != 1 || sheet.Cuts[0] != 10 {
		t.Errorf("cuts %v, want 10", sheet.Cuts)
	}
	if p.Paper().Height != 0 || p.Tear().PNG() != nil {
		t.Error("paper is left after Tear")
	}
}

func TestOneWireAtATime(t *testing.T) {
	serve(t, nil, func(t *testing.T, p *thermalsim.Printer, c *terminal) {
		if err := p.Serve(t.Context(), c); !errors.Is(err, thermalsim.ErrServing) {
			t.Errorf("got %v", err)
		}
	})
}

func TestSheetIsAPicture(t *testing.T) {
	var enc escpos.Encoder
	d := doc().Title("测试商户").Pair("金额", "￥12.50")
	job, err := enc.Encode(d, nil)
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := raster.Draw(d)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, &thermalsim.Opts{Speed: 50}, func(t *testing.T, p *thermalsim.Printer, c *terminal) {
		for i := range job.Len() {
			c.tell(t, job.Band(i)...)
			time.Sleep(time.Second) // virtual: the mechanism
		}
		img, err := png.Decode(bytes.NewReader(p.Tear().PNG()))
		if err != nil {
			t.Fatal(err)
		}
		if img.Bounds() != want.Bounds() {
			t.Fatalf("got %v want %v", img.Bounds(), want.Bounds())
		}
		for y := range want.Height {
			for x := range want.Width {
				if r, _, _, _ := img.At(x, y).RGBA(); (r == 0) != want.Black(x, y) {
					t.Fatalf("dot %d,%d differs", x, y)
				}
			}
		}
	})
}

// FuzzPrinter lets any bytes in: the printer must survive, stay on its roll and still
// answer.
func FuzzPrinter(f *testing.F) {
	f.Add([]byte("\x1b@\xbd\xf0\n\x1dv0\x03\x02\x00\x02\x00abcd\x1dV\x42\x09"))
	f.Add([]byte("\x1bd\xff\x1b3\xff\x1bd\xff\x1d!\x11" + strings.Repeat("字", 50) + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		serve(t, &thermalsim.Opts{PaperDots: 5000}, func(t *testing.T, p *thermalsim.Printer, c *terminal) {
			c.tell(t, data...)
			p.SetPower(false)
			p.SetPower(true)
			if got := c.tell(t, 0x10, 4, 4); len(got) != 1 {
				t.Errorf("answers % x to a status request", got)
			}
			if n := p.Tear().Image.Height; n > 5000 {
				t.Errorf("%d lines on a roll of 5000", n)
			}
		})
	})
}
