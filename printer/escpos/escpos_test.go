package escpos_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"posagent/printer"
	"posagent/printer/escpos"
	"posagent/printer/raster"
)

func receipt() *printer.Document {
	d := printer.NewDocument(printer.Payment).Title("测试商户").Dashes()
	for range 5 {
		d.Pair("商户编号", "898310054110001").Pair("交易类型 TYPE", "消费 SALE").Line("金额 AMOUNT")
	}
	return d.PairStyled("金额", "￥12.50", printer.Big).QR("https://example.test/r/1").Blank(12).Line("谢谢").Feed(30).Cut()
}

// redraw executes the commands on an endless roll of the given width.
func redraw(t testing.TB, data []byte, width int) *printer.Bitmap {
	t.Helper()
	bm := &printer.Bitmap{Width: width}
	blank := func(n int) {
		bm.Pix = append(bm.Pix, make([]byte, n*bm.Stride())...)
		bm.Height += n
	}
	var p escpos.Parser
	for len(data) > 0 {
		cmd, n := p.Next(data)
		if n == 0 {
			t.Fatalf("command is cut off: % x", data[:min(len(data), 16)])
		}
		data = data[n:]
		switch cmd.Op {
		case escpos.OpRow:
			blank(1)
			copy(bm.Line(bm.Height-1), cmd.Data)
		case escpos.OpFeed:
			blank(int(cmd.N))
		case escpos.OpInit, escpos.OpRaster, escpos.OpAck, escpos.OpCut:
		default:
			t.Fatalf("unexpected command %+v", cmd)
		}
	}
	if p.Busy() {
		t.Fatal("the bytes end inside a command")
	}
	return bm
}

func TestBytesDrawTheSameDots(t *testing.T) {
	t.Parallel()
	want, _, err := raster.Draw(receipt())
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []uint16{0, 1, 128, 200, 512, 1200, 65535} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			var enc escpos.Encoder
			job, err := enc.Encode(receipt(), &escpos.Opts{BandBytes: size})
			if err != nil {
				t.Fatal(err)
			}
			if got := redraw(t, job.Bytes(), want.Width); got.Height != want.Height || !bytes.Equal(got.Pix, want.Pix) {
				t.Errorf("got %d lines, want %d: dots differ", got.Height, want.Height)
			}
			if job.Lines != uint32(want.Height) {
				t.Errorf("job says %d lines, want %d", job.Lines, want.Height)
			}
			checkBands(t, job, max(int(size), 256*b2i(size == 0), escpos.MinBandBytes))
		})
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func checkBands(t *testing.T, job *escpos.Job, limit int) {
	t.Helper()
	var all []byte
	for i := range job.Len() {
		band := job.Band(i)
		all = append(all, band...)
		if len(band) > limit {
			t.Errorf("band %d has %d bytes, want at most %d", i, len(band), limit)
		}
		if !bytes.HasSuffix(band, []byte{0x1D, 'r', 1}) {
			t.Errorf("band %d does not end with GS r 1: % x", i, band[max(0, len(band)-4):])
		}
		var p escpos.Parser
		for rest := band; len(rest) > 0; {
			cmd, n := p.Next(rest)
			if n == 0 {
				t.Fatalf("band %d ends inside a command", i)
			}
			if cmd.Op == escpos.OpRaster && cmd.Rows > escpos.MaxBandLines {
				t.Errorf("band %d has %d lines", i, cmd.Rows)
			}
			rest = rest[n:]
		}
	}
	if !bytes.Equal(all, job.Bytes()) {
		t.Error("the bands are not the bytes")
	}
}

func TestEncodeSmallDocument(t *testing.T) {
	t.Parallel()
	bm := printer.NewBitmap(16, 3)
	bm.SetBlack(0, 0)
	bm.SetBlack(9, 2)
	d := printer.NewDocument(printer.Report).Image(bm).Feed(600).Cut()
	d.Elements[0] = printer.Image{Bitmap: bm}
	tests := []struct {
		name string
		opts *escpos.Opts
		want string
	}{
		// 3 lines, 3 of rounding and 600 of feed: 603 = 255 + 255 + 93.
		{"tear bar", &escpos.Opts{TearFeed: 7}, "1b40 1d763000 0200 0300 8000 0000 0040 1d7201  1b4aff 1d7201  1b4aff 1d7201  1b4a64 1d7201"},
		{"cutter", &escpos.Opts{Cutter: true, TearFeed: 7}, "1b40 1d763000 0200 0300 8000 0000 0040 1d7201  1b4aff 1d7201  1b4aff 1d7201  1b4a5d 1d7201  1d564200 1d7201"},
		{"no options", nil, "1b40 1d763000 0200 0300 8000 0000 0040 1d7201  1b4aff 1d7201  1b4aff 1d7201  1b4a5d 1d7201"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var enc escpos.Encoder
			job, err := enc.Encode(d, tt.opts)
			if err != nil {
				t.Fatal(err)
			}
			want, _ := hex.DecodeString(strings.ReplaceAll(tt.want, " ", ""))
			if !bytes.Equal(job.Bytes(), want) {
				t.Errorf("got % x\nwant % x", job.Bytes(), want)
			}
		})
	}
}

func TestJobIdentity(t *testing.T) {
	t.Parallel()
	var enc escpos.Encoder
	job, err := enc.Encode(receipt(), nil)
	if err != nil {
		t.Fatal(err)
	}
	first := job.ID
	if job, _ = enc.Encode(receipt(), nil); job.ID != first {
		t.Error("the same document has another identity")
	}
	if job, _ = enc.Encode(printer.NewDocument(printer.Report).Line("x"), nil); job.ID == first {
		t.Error("another document has the same identity")
	}
	if _, err := enc.Encode(printer.NewDocument(printer.Payment), nil); err == nil {
		t.Error("an empty document was encoded")
	}
	job, err = enc.Encode(printer.NewDocument(printer.Report).Line("a😀"), nil)
	if err != nil || string(job.Missing) != "😀" || job.Kind != printer.Report {
		t.Errorf("got missing %q kind %v err %v", string(job.Missing), job.Kind, err)
	}
}

func TestParserCommands(t *testing.T) {
	t.Parallel()
	row := strings.Repeat("ff", 200)
	tests := []struct {
		name, hex string
		want      []string
	}{
		{"init", "1b40", []string{"init"}},
		{"text and line", "bdf0b6ee0a41", []string{"text bdf0b6ee", "line", "text 41"}},
		{"feed", "1b4a18", []string{"feed 24"}},
		{"spacing", "1b32 1b3318", []string{"spacing 30", "spacing 24"}},
		{"raster", "1d763000 0100 0200 aa 55 0a", []string{"raster 1x2", "row aa", "row 55", "line"}},
		{"raster without width", "1d763000 0000 0200 0a", []string{"raster 0x2", "line"}},
		{"raster too wide", "1d763000 c800 0100" + row + "0a", []string{"raster 200x1", "row " + row[:256], "skip 72", "line"}},
		{"another GS v", "1d7631", []string{"unknown 1d76", "text 31"}},
		{"ack", "1d7201", []string{"ack 1"}},
		{"real time", "100404 1000", []string{"realtime 4"}},
		{"not real time", "100102", []string{"unknown 10", "none", "none"}},
		{"cuts", "1d5600 1d5641ff 1d56420a", []string{"cut 0", "cut 255", "cut 10"}},
		{"GS ( skips its data", "1d286b0300 313233 0a", []string{"unknown 1d286b0300", "skip 3", "line"}},
		{"bit image skips", "1b2a210200 010203040506 0a", []string{"unknown 1b2a210200", "skip 6", "line"}},
		{"style", "1b2130 1b4501 1b2d02 1b6101 1d2111 1d4201", []string{"mode 48", "bold 1", "underline 2", "align 1", "size 17", "invert 1"}},
		{"unknown", "1bfe 1d00", []string{"unknown 1bfe", "unknown 1d00"}},
		{"nothing", "00 0d 1c26 1b37030405", []string{"none", "none", "none", "none"}},
		{"cut off", "1d7630", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			data, err := hex.DecodeString(strings.ReplaceAll(tt.hex, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			var p escpos.Parser
			var got []string
			for {
				cmd, n := p.Next(data)
				if n == 0 {
					break
				}
				got = append(got, show(cmd))
				data = data[n:]
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q want %q", got, tt.want)
			}
		})
	}
}

var names = map[escpos.Op]string{
	escpos.OpFeed: "feed", escpos.OpSpacing: "spacing", escpos.OpAck: "ack", escpos.OpRealTime: "realtime",
	escpos.OpCut: "cut", escpos.OpMode: "mode", escpos.OpBold: "bold", escpos.OpUnderline: "underline",
	escpos.OpAlign: "align", escpos.OpSize: "size", escpos.OpInvert: "invert", escpos.OpFeedLines: "feedlines",
}

func show(c escpos.Command) string {
	switch c.Op {
	case escpos.OpNone:
		return "none"
	case escpos.OpInit:
		return "init"
	case escpos.OpLine:
		return "line"
	case escpos.OpText:
		return fmt.Sprintf("text %x", c.Data)
	case escpos.OpRow:
		return fmt.Sprintf("row %x", c.Data)
	case escpos.OpUnknown:
		return fmt.Sprintf("unknown %x", c.Data)
	case escpos.OpSkip:
		return fmt.Sprintf("skip %d", len(c.Data))
	case escpos.OpRaster:
		return fmt.Sprintf("raster %dx%d", c.N, c.Rows)
	}
	return fmt.Sprintf("%s %d", names[c.Op], c.N)
}

func TestStateSurvivesItsStatusBytes(t *testing.T) {
	t.Parallel()
	for bits := range 256 {
		on := func(i int) bool { return bits>>i&1 == 1 }
		s := escpos.State{Offline: on(0), Cover: on(1), PaperEnd: on(2), NearEnd: on(3), Error: on(4), Cutter: on(5), Fatal: on(6), Hot: on(7)}
		var got escpos.State
		for n := escpos.AskPrinter; n <= escpos.AskPaper; n++ {
			b := s.Reply(n)
			if escpos.Classify(b) != escpos.ReplyRealTime {
				t.Fatalf("%+v: reply %d to request %d is no real-time reply", s, b, n)
			}
			got.Learn(n, b)
		}
		s.Error = s.Error || s.Cutter || s.Fatal || s.Hot
		if got != s {
			t.Fatalf("got %+v want %+v", got, s)
		}
		if escpos.Classify(s.Sensor()) != escpos.ReplyAck {
			t.Fatalf("%+v: sensor reply %d is no acknowledgement", s, s.Sensor())
		}
	}
}

func TestStatusIsTheMostImportantFact(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		state escpos.State
		want  printer.Status
	}{
		{"ready", escpos.State{}, printer.Ready},
		{"low", escpos.State{NearEnd: true}, printer.PaperLow},
		{"out", escpos.State{NearEnd: true, PaperEnd: true, Offline: true}, printer.PaperOut},
		{"cover and paper", escpos.State{Cover: true, PaperEnd: true, Offline: true}, printer.CoverOpen},
		{"hot", escpos.State{Hot: true, Error: true, Offline: true}, printer.HeadHot},
		{"nameless error", escpos.State{Error: true}, printer.Fault},
		{"cutter", escpos.State{Cutter: true, Cover: true}, printer.Fault},
		{"fatal", escpos.State{Fatal: true}, printer.Fault},
		{"offline", escpos.State{Offline: true}, printer.Offline},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.state.Status(); got != tt.want {
				t.Errorf("got %v want %v", got, tt.want)
			}
		})
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	tests := map[byte]escpos.Reply{
		0x00: escpos.ReplyAck, 0x0F: escpos.ReplyAck, 0x12: escpos.ReplyRealTime, 0x72: escpos.ReplyRealTime,
		0x10: escpos.ReplyAuto, 0x14: escpos.ReplyAuto, 0x11: escpos.ReplyFlow, 0x13: escpos.ReplyFlow,
		0xFF: escpos.ReplyUnknown, 0x92: escpos.ReplyUnknown,
	}
	for b, want := range tests {
		if got := escpos.Classify(b); got != want {
			t.Errorf("%#x: got %v want %v", b, got, want)
		}
	}
}

func TestRealTimeIsSeenAnywhere(t *testing.T) {
	t.Parallel()
	var r escpos.RealTime
	var got []byte
	for _, b := range []byte{0x1D, 'v', 0x10, 0x10, 4, 1, 0x10, 4, 5, 0x10, 4, 0x10, 4, 4, 4, 4} {
		if n, ok := r.Scan(b); ok {
			got = append(got, n)
		}
	}
	if !bytes.Equal(got, []byte{1, 4}) {
		t.Errorf("got %v want [1 4]", got)
	}
}

func TestEncoderKeepsItsMemory(t *testing.T) {
	var enc escpos.Encoder
	d := printer.NewDocument(printer.Report).QR("x")
	enc.Encode(receipt(), nil)
	first, _ := enc.Encode(receipt(), nil)
	p := &first.Bytes()[0]
	enc.Encode(d, nil)
	second, _ := enc.Encode(receipt(), nil)
	if &second.Bytes()[0] != p {
		t.Error("the bytes moved")
	}
}

// FuzzParser feeds the parser any bytes, whole and in pieces: it must make
// progress, stay within its bounds and decode the same.
func FuzzParser(f *testing.F) {
	var enc escpos.Encoder
	job, err := enc.Encode(receipt(), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(job.Bytes()[:600], uint64(1))
	f.Add([]byte("\x1b@\xbd\xf0\n\x1dV\x42\x00\x10\x04\x01\x1d(k\x03\x00123"), uint64(2))
	f.Add([]byte("\x1dv0\x00\xff\xff\xff\xff\x00"), uint64(3))
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		whole := decode(t, data, func() int { return len(data) })
		r := rand.New(rand.NewPCG(seed, 0))
		pieces := decode(t, data, func() int { return 1 + r.IntN(9) })
		if whole != pieces {
			t.Errorf("in one piece: %s\nin pieces: %s", whole, pieces)
		}
	})
}

// decode feeds data in pieces and returns the commands; data of texts and skips
// may be split anywhere and is joined.
func decode(t *testing.T, data []byte, piece func() int) string {
	var p escpos.Parser
	var b strings.Builder
	var buf []byte
	last := escpos.OpNone
	for len(data) > 0 {
		k := min(piece(), len(data))
		buf = append(buf, data[:k]...)
		data = data[k:]
		for {
			cmd, n := p.Next(buf)
			if n == 0 {
				if len(buf) >= escpos.MaxNeed {
					t.Fatalf("no progress with %d bytes: % x", len(buf), buf[:16])
				}
				break
			}
			if n > len(buf) || len(cmd.Data) > n {
				t.Fatalf("took %d of %d bytes, data %d", n, len(buf), len(cmd.Data))
			}
			switch joined := cmd.Op == escpos.OpText || cmd.Op == escpos.OpSkip; {
			case joined && last == cmd.Op:
				fmt.Fprintf(&b, "%x", cmd.Data)
			default:
				fmt.Fprintf(&b, " %d/%d/%d/%d:%x", cmd.Op, cmd.Mode, cmd.N, cmd.Rows, cmd.Data)
			}
			last = cmd.Op
			buf = buf[n:]
		}
	}
	return b.String()
}

func BenchmarkEncode(b *testing.B) {
	var enc escpos.Encoder
	d := receipt()
	b.ReportAllocs()
	for b.Loop() {
		job, err := enc.Encode(d, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(job.Bytes())))
	}
}

func BenchmarkParse(b *testing.B) {
	var enc escpos.Encoder
	job, err := enc.Encode(receipt(), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(job.Bytes())))
	b.ReportAllocs()
	for b.Loop() {
		var p escpos.Parser
		for data := job.Bytes(); len(data) > 0; {
			_, n := p.Next(data)
			data = data[n:]
		}
	}
}
