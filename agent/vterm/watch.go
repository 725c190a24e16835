package vterm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"time"

	"posagent/agent/operator"
	"posagent/printer"
	"posagent/printer/thermal/thermalsim"
)

// topicCount is how many topics there are.
const topicCount = 7

// The topics, in the order in which a new browser gets them.
const (
	topicScreen = iota
	topicSlot
	topicStatus
	topicJournal
	topicLedger
	topicEvents
	topicText
)

// topicNames are the names of the events.
var topicNames = [topicCount]string{"screen", "slot", "status", "journal", "ledger", "fleet", "text"}

// topic is the newest JSON of one thing seen.
type topic struct {
	version uint64 // 0: nothing to be seen yet
	data    []byte
}

const (
	// eventGap is the least time between two looks, and between two sendings to one
	// browser: ten a second.
	eventGap = 100 * time.Millisecond
	// settle lets a picture that is drawn in several windows become whole.
	settle = 5 * time.Millisecond
	// lookEvery is how often things that do not announce themselves are looked at.
	lookEvery = 500 * time.Millisecond
	// textAfter is how long the paper must rest before its text is read: reading
	// compares every letter.
	textAfter = 400 * time.Millisecond
)

// watch looks at the house whenever something may have changed and somebody is
// there to see it, until ctx ends.
func (p *Page) watch(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-p.dirty:
		}
		if !p.watched() {
			continue
		}
		if !pause(ctx, settle) {
			return nil
		}
		p.look(time.Now())
		if !pause(ctx, eventGap-settle) {
			return nil
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// look takes everything that can be seen.
func (p *Page) look(now time.Time) {
	p.lookAtPanel()
	p.lookAtPaper(now)
	p.put(topicSlot, p.slotView(), nil)
	p.put(topicStatus, p.house.Terminal.Status(), nil)
	lines, err := p.journalLines()
	p.put(topicJournal, lines, err)
	for t, from := range map[int]func() ([]Line, error){topicLedger: p.house.Ledger, topicEvents: p.house.Events} {
		if from != nil {
			lines, err := from()
			p.put(t, lines[:min(len(lines), maxLines)], err)
		}
	}
	p.wake()
}

// put gives a topic a new version if its value has changed. What cannot be read
// now stays as it was.
func (p *Page) put(t int, v any, err error) {
	var data []byte
	if err == nil {
		data, err = json.Marshal(v)
	}
	if err != nil {
		p.log.Warn("not to be seen", "topic", topicNames[t], "err", err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := &p.topics[t]; !bytes.Equal(now.data, data) {
		now.version++
		now.data = data
	}
}

// slotView is what is in the slot and how the switches stand.
type slotView struct {
	Card     string            `json:"card"`
	Switches map[string]string `json:"switches"`
}

func (p *Page) slotView() slotView {
	v := slotView{Switches: map[string]string{}}
	for _, s := range p.house.Switches {
		v.Switches[s.Name] = s.Chosen()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	v.Card = p.inSlot
	return v
}

// screenView is the panel: its dots as a PNG, and its words for those who cannot
// see it. The words hold no more than the dots do.
type screenView struct {
	Width  int    `json:"width"`
	Height int    `json:"height"`
	PNG    []byte `json:"png"`

	Name    string            `json:"name"`
	Lang    operator.Lang     `json:"lang"`
	Title   string            `json:"title"`
	Amount  string            `json:"amount"`
	Lines   []string          `json:"lines"`
	Choices []operator.Choice `json:"choices"`
	Dots    int               `json:"dots"`
	Hint    string            `json:"hint"`
}

func (p *Page) lookAtPanel() {
	p.mu.Lock()
	drawn := p.frame
	p.frame = false
	p.mu.Unlock()
	if !drawn || p.house.Board.Panel == nil {
		return
	}
	img := p.house.Board.Panel.Image()
	dots, err := encode(img)
	s, size := p.house.Terminal.Screen(), img.Bounds().Size()
	p.put(topicScreen, screenView{Width: size.X, Height: size.Y, PNG: dots, Name: s.Name, Lang: s.Lang, Title: s.Title, Amount: s.Amount,
		Lines: s.Lines, Choices: s.Choices, Dots: s.Dots, Hint: s.Hint}, err)
}

// maxColours is what a palette can hold.
const maxColours = 256

// encode writes a picture with few colours as a small PNG.
func encode(img image.Image) ([]byte, error) {
	b := img.Bounds()
	index := map[color.Color]uint8{}
	small := image.NewPaletted(b, nil)
	for y := b.Min.Y; y < b.Max.Y && small != nil; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := img.At(x, y)
			i, ok := index[c]
			if !ok {
				if len(small.Palette) == maxColours {
					small = nil
					break
				}
				i = uint8(len(small.Palette))
				index[c], small.Palette = i, append(small.Palette, c)
			}
			small.Pix[small.PixOffset(x, y)] = i
		}
	}
	var out bytes.Buffer
	var err error
	if small != nil {
		err = png.Encode(&out, small)
	} else {
		err = png.Encode(&out, img)
	}
	if err != nil {
		return nil, fmt.Errorf("encode panel: %w", err)
	}
	return out.Bytes(), nil
}

// maxShown bounds the paper that a browser gets: half a metre, in dot lines. The
// printer keeps it all.
const maxShown = 4000

// paper is what hangs out of the printer.
type paper struct {
	strip *printer.Bitmap // never changed, only replaced; nil before the first look
	sheet uint64          // counts torn sheets
	moved bool
	since time.Time // of the last move
	read  bool      // the text is of this strip
}

func (p *Page) lookAtPaper(now time.Time) {
	if rested := p.takePaper(now); rested != nil {
		p.put(topicText, thermalsim.ReadText(tail(rested, 0)), nil)
	}
}

// takePaper takes the paper if it has moved, and gives it once when it has come
// to rest.
func (p *Page) takePaper(now time.Time) (rested *printer.Bitmap) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := &p.paper
	switch {
	case at.moved:
		strip := p.house.Board.Paper.Paper()
		if at.strip != nil && strip.Height < at.strip.Height {
			at.sheet++ // somebody else has torn it off
		}
		at.strip, at.moved, at.since, at.read = strip, false, now, false
	case !at.read && now.Sub(at.since) >= textAfter:
		at.read = true
		return at.strip
	}
	return nil
}

// tail is the paper from a dot line on, at most maxShown lines of it.
func tail(b *printer.Bitmap, from int) *printer.Bitmap {
	from = max(from, b.Height-maxShown, 0)
	return &printer.Bitmap{Width: b.Width, Height: b.Height - from, Pix: b.Pix[from*b.Stride():]}
}
