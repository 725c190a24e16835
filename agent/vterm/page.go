package vterm

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"posagent/agent/control"
	"posagent/agent/emv/cardsim"
	"posagent/agent/journal"
	"posagent/agent/operator"
	"posagent/drivers/board/boardsim"
)

// ErrNotLoopback says that the listener can be reached from other machines.
var ErrNotLoopback = errors.New("listener is not on loopback")

// Terminal is what the page asks the terminal itself; *agent.Agent is one.
type Terminal interface {
	Status() control.Status
	Screen() operator.Screen
	Journal() journal.Reader
}

// House is what stands behind a page. Terminal and Board are needed.
type House struct {
	Terminal Terminal
	Board    *boardsim.Board

	// Ledger and Events are the newest lines of the host's books and of the fleet's
	// store, newest first; nil when there are none to show.
	Ledger func() ([]Line, error)
	Events func() ([]Line, error)
	// Switches are shown beside those that the page has for the board's own parts.
	Switches []Switch
}

// Switch is something that can be made to go wrong.
type Switch struct {
	// Name and Choices are stable words; the page's scripts hold their texts. The
	// first choice is the ordinary state.
	Name    string
	Choices []string
	// Choose is called with one of Choices, Chosen gives the present one.
	Choose func(choice string) error
	Chosen func() string
}

// Options of a page.
type Options struct {
	Log *slog.Logger // nil discards
}

// Page is one web page, for one terminal and many browsers.
type Page struct {
	log    *slog.Logger
	token  string // 32 hexadecimal digits
	cookie string // name of the cookie
	house  House
	dirty  chan struct{} // holds one: something to be seen may have changed

	mu      sync.Mutex // guards what follows
	topics  [topicCount]topic
	readers map[*reader]struct{}
	trace   trace
	paper   paper
	frame   bool // the panel has changed
	cards   map[string]*cardsim.Card
	inSlot  string // name of the card in the slot
}

// New makes a page that nobody sees yet.
func New(o Options) *Page {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	var random [16]byte
	_, _ = rand.Read(random[:]) // crypto/rand never fails
	p := &Page{log: o.Log, token: hex.EncodeToString(random[:]), dirty: make(chan struct{}, 1),
		readers: map[*reader]struct{}{}, cards: map[string]*cardsim.Card{}, frame: true, paper: paper{moved: true}}
	sum := sha256.Sum256([]byte(p.token))
	p.cookie = "vterm-" + hex.EncodeToString(sum[:4])
	return p
}

// URL is the address that opens the page, with its token: whoever has it can
// press keys.
func (p *Page) URL(addr net.Addr) string { return "http://" + addr.String() + "/?token=" + p.token }

// endWait bounds how long requests may take to end when the page does.
const endWait = 2 * time.Second

// Serve shows the house on the listener, which must be on loopback, until ctx
// ends; it closes the listener and returns nil. One Serve at a time. It takes the
// hooks OnFrame and OnPaper of the board.
func (p *Page) Serve(ctx context.Context, ln net.Listener, house House) error {
	if tcp, ok := ln.Addr().(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
		return errors.Join(fmt.Errorf("serve page on %s: %w", ln.Addr(), ErrNotLoopback), ln.Close())
	}
	p.attach(house)
	group, ctx := errgroup.WithContext(ctx)
	server := &http.Server{Handler: p.handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10, BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelDebug)}
	group.Go(func() error { return p.watch(ctx) })
	group.Go(func() error {
		if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve page: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWait)
		defer cancel()
		if server.Shutdown(end) != nil {
			_ = server.Close() // what is still open is a request without an end
		}
		return nil
	})
	return group.Wait()
}

// attach puts the page in front of a house.
func (p *Page) attach(house House) {
	p.house = house
	p.house.Switches = append(slices.Clone(house.Switches), paperSwitch(house.Board))
	if house.Board.Panel != nil {
		house.Board.Panel.OnFrame(func() { p.changed(func() { p.frame = true }) })
	}
	house.Board.Paper.OnPaper(func() { p.changed(func() { p.paper.moved = true }) })
}

// changed notes that something may look different now.
func (p *Page) changed(note func()) {
	p.mu.Lock()
	note()
	p.mu.Unlock()
	p.touch()
}

// touch makes the watcher look.
func (p *Page) touch() { signal(p.dirty) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
