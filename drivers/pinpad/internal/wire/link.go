package wire

import "time"

// Bounds of the link. A frame of MaxFrame bytes takes 46 ms at 115,200 baud.
const (
	AckWait  = 250 * time.Millisecond // from writing a data frame to repeating it
	MaxTries = 6                      // how often a data frame is written before it is lost
	GapWait  = 50 * time.Millisecond  // silence inside a frame that ends it
	NakGap   = 50 * time.Millisecond  // at most one Nak in this time: noise is not answered byte by byte
	maxQueue = 32                     // messages waiting for the one before to be acknowledged
)

// Link is one end of the line: it delivers each message once and in order, or
// says that it was lost. One data frame at a time is under way in each
// direction; each has its sequence number, 1 to 255 and round again, 0 for the
// frame that opens a session.
type Link struct {
	pad     bool
	session uint32 // 0: none

	dec   Decoder
	gapBy time.Time // when a partial frame is given up; zero: none
	nakAt time.Time // when the last Nak was written

	txSeq uint8
	queue []Frame   // queue[0] is under way when tries > 0
	tries uint8     // how often queue[0] was written
	dueAt time.Time // when queue[0] is written again

	rxSeq  uint8
	rxOpen bool // rxSeq holds a number

	inbox  []Frame // delivered, not yet taken
	lost   []Frame // given up, not yet taken
	resets int     // Reset frames for this session
	out    [][]byte
}

// NewTerminal is the terminal's end. It has no session until Open.
func NewTerminal() *Link { return &Link{} }

// NewPad is the pad's end: a terminal's Open frame gives it its session.
func NewPad() *Link { return &Link{pad: true} }

// Session is the number of the session, 0 for none.
func (l *Link) Session() uint32 { return l.session }

// Open forgets everything under way, starts the session (not 0) and posts the
// frame that opens it at the pad.
func (l *Link) Open(session uint32, now time.Time) {
	l.restart(session)
	l.queue = append(l.queue, Frame{Kind: Data, Session: session, Cmd: CmdOpen, Data: []byte{Version}})
	l.pump(now)
}

func (l *Link) restart(session uint32) {
	l.session, l.txSeq, l.rxSeq, l.rxOpen = session, 0, 0, false
	l.queue, l.inbox, l.lost, l.tries, l.resets = nil, nil, nil, 0, 0
	l.dueAt = time.Time{}
}

// Close forgets the session. The pad then answers data with Reset.
func (l *Link) Close() { l.restart(0) }

// Announce writes a Reset for no session: a pad says so when it has started.
func (l *Link) Announce() { l.write(Frame{Kind: Reset}) }

// Post queues a message and gives its sequence number; ok is false without a
// session or with a full queue.
func (l *Link) Post(cmd Cmd, data []byte, now time.Time) (seq uint8, ok bool) {
	if l.session == 0 || len(l.queue) >= maxQueue || len(data) > MaxData {
		return 0, false
	}
	if l.txSeq++; l.txSeq == 0 {
		l.txSeq = 1
	}
	l.queue = append(l.queue, Frame{Kind: Data, Session: l.session, Seq: l.txSeq, Cmd: cmd, Data: data})
	l.pump(now)
	return l.txSeq, true
}

// Backlog is how many messages are not acknowledged yet, of at most 32.
func (l *Link) Backlog() int { return len(l.queue) }

// Forget takes everything out of the queue: nobody waits for it any more.
func (l *Link) Forget() { l.queue, l.tries, l.dueAt = nil, 0, time.Time{} }

// pump writes queue[0] if it was not written yet.
func (l *Link) pump(now time.Time) {
	if len(l.queue) > 0 && l.tries == 0 {
		l.writeFirst(now)
	}
}

func (l *Link) writeFirst(now time.Time) {
	l.tries++
	l.dueAt = now.Add(AckWait)
	l.write(l.queue[0])
}

func (l *Link) write(f Frame) { l.out = append(l.out, f.AppendTo(nil)) }

// Output gives the frames to be written now, each once.
func (l *Link) Output() [][]byte {
	out := l.out
	l.out = nil
	return out
}

// Next gives the next message that arrived.
func (l *Link) Next() (Frame, bool) { return take(&l.inbox) }

// Lost gives the next message that was never acknowledged.
func (l *Link) Lost() (Frame, bool) { return take(&l.lost) }

// WasReset reports, once for any number, that the pad does not know the session.
func (l *Link) WasReset() bool {
	was := l.resets > 0
	l.resets = 0
	return was
}

func take(q *[]Frame) (Frame, bool) {
	if len(*q) == 0 {
		return Frame{}, false
	}
	f := (*q)[0]
	*q = (*q)[1:]
	return f, true
}

// Feed takes what arrived on the line.
func (l *Link) Feed(p []byte, now time.Time) {
	l.dec.Feed(p)
	l.decode(now)
	l.gapBy = time.Time{}
	if l.dec.Partial() {
		l.gapBy = now.Add(GapWait)
	}
}

// decode ends: each turn takes at least one byte or ends.
func (l *Link) decode(now time.Time) {
	for {
		f, found := l.dec.Next()
		switch found {
		case More:
			return
		case Broken:
			l.nak(now)
		case Whole:
			l.receive(f, now)
		}
	}
}

func (l *Link) nak(now time.Time) {
	if l.nakAt.IsZero() || now.Sub(l.nakAt) >= NakGap {
		l.nakAt = now
		l.write(Frame{Kind: Nak, Session: l.session})
	}
}

func (l *Link) receive(f Frame, now time.Time) {
	switch {
	case f.Kind == Reset:
		if !l.pad && (f.Session == l.session || f.Session == 0) {
			l.resets++
		}
	case f.Kind == Nak:
		// Without comparing sessions: whoever heard it broken could not know.
		if len(l.queue) > 0 {
			l.again(now)
		}
	case f.Kind == Ack:
		if f.Session == l.session && len(l.queue) > 0 && l.tries > 0 && l.queue[0].Seq == f.Seq {
			l.queue, l.tries, l.dueAt = l.queue[1:], 0, time.Time{}
			l.pump(now)
		}
	case l.pad && f.Cmd == CmdOpen && f.Seq == 0 && f.Session != 0 && f.Session != l.session:
		l.restart(f.Session)
		l.accept(f)
	case f.Session != l.session || l.session == 0:
		if l.pad {
			l.write(Frame{Kind: Reset, Session: f.Session})
		}
	default:
		l.accept(f)
	}
}

// accept acknowledges a data frame of this session and delivers it unless it is
// the last one again.
func (l *Link) accept(f Frame) {
	l.write(Frame{Kind: Ack, Session: f.Session, Seq: f.Seq})
	if l.rxOpen && f.Seq == l.rxSeq {
		return
	}
	l.rxSeq, l.rxOpen = f.Seq, true
	f.Data = append([]byte(nil), f.Data...)
	l.inbox = append(l.inbox, f)
}

// again repeats queue[0] or gives it up.
func (l *Link) again(now time.Time) {
	if l.tries < MaxTries {
		l.writeFirst(now)
		return
	}
	l.lost = append(l.lost, l.queue[0])
	l.queue, l.tries, l.dueAt = l.queue[1:], 0, time.Time{}
	l.pump(now)
}

// Deadline is when Tick has something to do; zero for never.
func (l *Link) Deadline() time.Time { return Earlier(l.dueAt, l.gapBy) }

// Earlier is the earlier of two times of which the zero time is never.
func Earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// Tick does what is due: repeats, and gives up frames that broke off.
func (l *Link) Tick(now time.Time) {
	if !l.gapBy.IsZero() && !now.Before(l.gapBy) {
		l.gapBy = time.Time{}
		l.nak(now)
		for l.dec.Partial() { // after a silence nothing in the buffer can become whole
			l.dec.GiveUp()
			l.decode(now)
		}
	}
	if !l.dueAt.IsZero() && !now.Before(l.dueAt) && len(l.queue) > 0 {
		l.again(now)
	}
}
