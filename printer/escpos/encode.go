package escpos

import (
	"bytes"
	"crypto/sha256"

	"posagent/printer"
	"posagent/printer/raster"
)

// Bounds of a band.
const (
	// MaxBandLines is the largest raster that cheap printers take in one piece.
	MaxBandLines = 24
	// MinBandBytes holds one line of the widest paper with all its commands.
	MinBandBytes = 128
	// DefaultBandBytes suits a printer with a buffer of 1024 bytes.
	DefaultBandBytes = 256
	// maxBandFeed is the most blank lines in one band, so that its answer comes
	// within a second even from a slow printer.
	maxBandFeed = 255
	// minBlank is the least number of blank lines worth a command of their own.
	minBlank = 2
)

// Opts describe the printer that will get the bytes.
type Opts struct {
	// BandBytes is the most bytes in one band, at least MinBandBytes. Zero means
	// DefaultBandBytes.
	BandBytes uint16
	// TearFeed is the distance in dot lines from the print head to the tear bar,
	// fed at every Cut.
	TearFeed uint16
	// Cutter says that a cut is made by the printer itself, with GS V.
	Cutter bool
}

// Job is a document as bands of bytes. It belongs to its Encoder and is valid
// until the next Encode.
type Job struct {
	// Kind is the document's.
	Kind printer.Kind
	// ID is the SHA-256 of all bytes: two jobs with the same ID print the same.
	ID [sha256.Size]byte
	// Missing are the code points that were replaced by a box.
	Missing []rune
	// Lines is the height on paper in dot lines.
	Lines uint32

	data []byte
	ends []int
}

// Len is the number of bands.
func (j *Job) Len() int { return len(j.ends) }

// Band returns the bytes of band i, counted from zero. They end with GS r 1.
func (j *Job) Band(i int) []byte {
	start := 0
	if i > 0 {
		start = j.ends[i-1]
	}
	return j.data[start:j.ends[i]]
}

// Bytes returns all bands in order.
func (j *Job) Bytes() []byte { return j.data }

// Encoder turns documents into jobs and uses its memory again each time. The zero
// value is ready. It must not be used by two goroutines at once.
type Encoder struct {
	dots printer.Bitmap
	job  Job
	feed uint32 // blank lines not yet sent
	max  int    // bytes in a band
}

// Encode lays out, draws and encodes a document. Errors are those of
// raster.Layout.
func (e *Encoder) Encode(doc *printer.Document, o *Opts) (*Job, error) {
	page, err := raster.Layout(doc)
	if err != nil {
		return nil, err
	}
	page.Draw(&e.dots)
	e.start(o)
	e.job.Kind, e.job.Missing = doc.Kind, page.Missing
	e.job.Lines = uint32(page.Height)
	y := 0
	for _, cut := range page.Cuts {
		e.lines(y, cut)
		e.cut(o)
		y = cut
	}
	e.lines(y, page.Height)
	e.feedRest()
	e.job.ID = sha256.Sum256(e.job.data)
	return &e.job, nil
}

func (e *Encoder) start(o *Opts) {
	e.max = DefaultBandBytes
	if o != nil && o.BandBytes != 0 {
		e.max = max(int(o.BandBytes), MinBandBytes)
	}
	e.feed = 0
	e.job = Job{data: AppendInit(e.job.data[:0]), ends: e.job.ends[:0]}
}

// lines encodes dot lines from y up to end.
func (e *Encoder) lines(y, end int) {
	for y < end {
		if n := e.blank(y, end); n > 0 {
			e.feed += uint32(n)
			y += n
			continue
		}
		for e.feed > maxBandFeed {
			e.feedBand(maxBandFeed)
		}
		rows, width := e.fit(y, end)
		d := AppendFeed(e.job.data, e.feed)
		e.feed = 0
		d = AppendRasterHead(d, uint16(width), uint16(rows))
		for i := range rows {
			d = append(d, e.dots.Line(y + i)[:width]...)
		}
		e.job.data = d
		e.ack()
		y += rows
	}
}

// fit finds how many lines from y make the next band, and their width in bytes.
func (e *Encoder) fit(y, end int) (rows, width int) {
	const frame = 3 + 8 + 3 // ESC J, GS v 0, GS r 1
	room := e.max - frame
	if len(e.job.ends) == 0 {
		room -= 2 // ESC @
	}
	for y+rows < end && rows < MaxBandLines {
		w := max(width, inked(e.dots.Line(y+rows)))
		if rows > 0 && ((rows+1)*w > room || e.blank(y+rows, end) >= minBlank) {
			break
		}
		width = w
		rows++
	}
	return rows, width
}

// blank counts the white lines from y on.
func (e *Encoder) blank(y, end int) int {
	n := 0
	for y+n < end && inked(e.dots.Line(y+n)) == 0 {
		n++
	}
	return n
}

// inked is the length of a line without the white bytes at its end.
func inked(line []byte) int { return len(bytes.TrimRight(line, "\x00")) }

// cut feeds what is blank and ends the piece of paper.
func (e *Encoder) cut(o *Opts) {
	switch {
	case o != nil && o.Cutter:
		e.feedRest()
		e.job.data = AppendCut(e.job.data, 0)
		e.ack()
	case o != nil:
		e.feed += uint32(o.TearFeed)
		e.job.Lines += uint32(o.TearFeed)
		e.feedRest()
	}
}

// feedRest sends the blank lines that no raster follows.
func (e *Encoder) feedRest() {
	for e.feed > 0 {
		e.feedBand(min(e.feed, maxBandFeed))
	}
}

func (e *Encoder) feedBand(n uint32) {
	e.job.data = AppendFeed(e.job.data, n)
	e.feed -= n
	e.ack()
}

// ack ends a band.
func (e *Encoder) ack() {
	e.job.data = AppendAckRequest(e.job.data)
	e.job.ends = append(e.job.ends, len(e.job.data))
}
