package vterm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image/png"
	"net/http"
	"strings"
	"time"

	"posagent/printer"
)

const (
	// maxReaders bounds the browsers of one page.
	maxReaders = 64
	// heartbeat shows an idle browser, and whatever lies between, that we live.
	heartbeat = 15 * time.Second
	// writeWait is how long a browser may take to accept what it is sent.
	writeWait = 10 * time.Second
	// maxTrace and maxMessage bound the host messages kept for browsers to come.
	maxTrace   = 40
	maxMessage = 16 << 10
)

// HostMessage shows a message to ("out") or from ("in") the host. It must be
// masked already. It does not block, and may be called before Serve.
func (p *Page) HostMessage(direction, description string) {
	description = strings.ToValidUTF8(description[:min(len(description), maxMessage)], "")
	m := message{At: time.Now(), Direction: direction, Title: title(description), Text: description}
	p.changed(func() { p.trace.add(m) })
}

// title is the last of the lines that head a description: "# profile 0200, 17
// fields, 214 bytes".
func title(description string) string {
	last := ""
	for line := range strings.Lines(description) {
		head, ok := strings.CutPrefix(line, "# ")
		if !ok {
			break
		}
		last = strings.TrimSpace(head)
	}
	return last
}

// message is one message of the host link.
type message struct {
	Number    uint64    `json:"number"` // from 1
	At        time.Time `json:"at"`
	Direction string    `json:"direction"`
	Title     string    `json:"title"`
	Text      string    `json:"text"`
}

// trace keeps the last messages.
type trace struct {
	last     uint64
	messages []message // oldest first, at most maxTrace
}

func (t *trace) add(m message) {
	t.last++
	m.Number = t.last
	if len(t.messages) == maxTrace {
		t.messages = append(t.messages[:0:0], t.messages[1:]...)
	}
	t.messages = append(t.messages, m)
}

// after gives the messages behind a number.
func (t *trace) after(n uint64) []message {
	for i, m := range t.messages {
		if m.Number > n {
			return t.messages[i:len(t.messages):len(t.messages)]
		}
	}
	return nil
}

// reader is one browser, and what it has seen.
type reader struct {
	wake    chan struct{} // holds one
	seen    [topicCount]uint64
	sheet   uint64
	lines   int    // of the sheet; -1: nothing yet
	message uint64 // number of the last
}

func (p *Page) watched() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.readers) > 0
}

func (p *Page) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for r := range p.readers {
		signal(r.wake)
	}
}

// join adds a browser; false if there are too many.
func (p *Page) join(r *reader) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.readers) == maxReaders {
		return false
	}
	p.readers[r] = struct{}{}
	p.touch()
	return true
}

func (p *Page) leave(r *reader) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.readers, r)
}

// hello is the first event: what never changes.
type hello struct {
	Cards    []walletCard `json:"cards"`
	Switches []switchView `json:"switches"`
}

type switchView struct {
	Name    string   `json:"name"`
	Choices []string `json:"choices"`
}

// events sends what is seen until the browser leaves or the page ends.
func (p *Page) events(w http.ResponseWriter, r *http.Request) {
	me := &reader{wake: make(chan struct{}, 1), lines: -1}
	if !p.join(me) {
		refuse(w, http.StatusServiceUnavailable, fmt.Sprintf("more than %d pages are open", maxReaders))
		return
	}
	defer p.leave(me)
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	out := &stream{w: w, control: http.NewResponseController(w)}
	_ = out.control.SetReadDeadline(time.Time{}) // the request is read, the stream goes on
	first := hello{Cards: wallet(), Switches: []switchView{}}
	for _, s := range p.house.Switches {
		first.Switches = append(first.Switches, switchView{s.Name, s.Choices})
	}
	out.raw("retry: 1000\n\n")
	out.value("hello", first)
	p.follow(r.Context(), me, out)
	if out.err != nil {
		p.log.Debug("browser has gone", "err", out.err)
	}
}

// follow sends news, at most one batch in eventGap, and proof of life.
func (p *Page) follow(ctx context.Context, me *reader, out *stream) {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		p.send(me, out)
		out.flush()
		if out.err != nil || !pause(ctx, eventGap) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-me.wake:
		case <-beat.C:
			out.raw(": alive\n\n")
		}
	}
}

// send writes what the browser has not seen yet.
func (p *Page) send(me *reader, out *stream) {
	p.mu.Lock()
	topics, sheet, strip, messages := p.topics, p.paper.sheet, p.paper.strip, p.trace.after(me.message)
	p.mu.Unlock()
	for i, t := range topics {
		if t.version != me.seen[i] {
			me.seen[i] = t.version
			out.event(topicNames[i], t.data)
		}
	}
	if strip != nil && (sheet != me.sheet || strip.Height != me.lines) {
		out.paper(me, sheet, strip)
	}
	for _, m := range messages {
		me.message = m.Number
		out.value("message", m)
	}
}

// stream writes server-sent events and remembers the first error.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	err     error
}

func (s *stream) raw(text string) {
	if s.err != nil {
		return
	}
	// A writer without deadlines is a test's.
	_ = s.control.SetWriteDeadline(time.Now().Add(writeWait))
	_, s.err = s.w.Write([]byte(text))
}

func (s *stream) event(name string, data []byte) {
	s.raw("event: " + name + "\ndata: " + string(data) + "\n\n") // JSON of package json has no line breaks
}

func (s *stream) value(name string, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		s.err = fmt.Errorf("encode event %s: %w", name, err)
		return
	}
	s.event(name, data)
}

func (s *stream) flush() {
	if s.err == nil {
		s.err = s.control.Flush()
	}
}

// paperView is paper that has come out: dot lines from From to To of a sheet.
type paperView struct {
	Sheet uint64 `json:"sheet"`
	Width int    `json:"width"`
	From  int    `json:"from"`
	To    int    `json:"to"`
	PNG   []byte `json:"png,omitempty"`
}

func (s *stream) paper(me *reader, sheet uint64, strip *printer.Bitmap) {
	if sheet != me.sheet || me.lines < 0 {
		me.sheet, me.lines = sheet, 0
	}
	added := tail(strip, me.lines)
	v := paperView{Sheet: sheet, Width: added.Width, From: strip.Height - added.Height, To: strip.Height}
	me.lines = strip.Height
	if added.Height > 0 {
		var dots bytes.Buffer
		if err := png.Encode(&dots, added); err != nil {
			s.err = fmt.Errorf("encode paper: %w", err)
			return
		}
		v.PNG = dots.Bytes()
	}
	s.value("paper", v)
}
