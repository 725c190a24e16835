package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"posagent/agent/emv/cardsim"
	"posagent/agent/keys"
	"posagent/cmd/internal/options"
	"posagent/cmd/lab/house"
	"posagent/drivers/board/boardsim"
	"posagent/drivers/pinpad"
	"posagent/printer"
	"posagent/printer/thermal/thermalsim"
)

const boardUsage = `lab board simulates a terminal's hardware until SIGTERM or SIGINT: a card reader, a
PIN pad with keyboard, and a printer, each at the other end of a pseudo-terminal, for
a terminald in another process.

  lab board -dir /tmp/board -control 127.0.0.1:8590
  terminald -board /tmp/board/board.json ...

Then be the person in front of it:

  curl -X PUT 127.0.0.1:8590/card/online-pin     put a card in
  curl -d 1234 127.0.0.1:8590/pin                type a PIN once the pad asks for it
  curl -X DELETE 127.0.0.1:8590/card             take the card out
  curl -X POST 127.0.0.1:8590/tear               tear off the receipts, as text
  curl 127.0.0.1:8590/                           what else there is

The parts keep their state when the terminal dies and another one opens them. Keys
and cards were made for tests. Every flag is also an environment variable (-dir:
LAB_BOARD_DIR) and a key of the JSON file named by -config.

Flags:
`

const boardHelp = `GET    /state         card in the slot, PIN entry, paper, as JSON
GET    /cards         the wallet, as JSON
PUT    /card/{name}   put that card into the slot
DELETE /card          take the card out
POST   /keys          press keys, named in the body: 1 2 3 clear enter cancel up down f1
POST   /pin           wait until the pad asks for a PIN, then type the body and enter
GET    /paper         the text of the paper that hangs out
GET    /paper.png     the same as a picture
POST   /tear          tear it off: JSON with the text of each receipt
`

// boardReady is what -ready says.
type boardReady struct {
	Profile string `json:"profile"` // file for terminald -board
	Control string `json:"control"` // URL, or path of the socket
}

// runBoard is "lab board". It returns nil when ctx has ended.
func runBoard(ctx context.Context, args []string, log *slog.Logger) error {
	fs := flag.NewFlagSet("lab board", flag.ContinueOnError)
	dir := fs.String("dir", "", "`folder` for the ports icc, pinpad and printer and for board.json; made when missing")
	control := fs.String("control", "127.0.0.1:0", "loopback `address` for the person's hands, or the path of a unix socket")
	ready := fs.String("ready", "", "JSON `file` to write profile and control to once they can be used")
	tmk := house.TMK
	fs.Func("tmk", "master `key` of the PIN pad, 16 or 24 bytes as hex (default: the laboratory's)", func(s string) (err error) {
		tmk, err = hex.DecodeString(s)
		return err
	})
	logger := options.Logging(fs)
	if err := parse(fs, boardUsage, "LAB_BOARD", args); err != nil {
		return err
	}
	if logFlags(fs) {
		log = logger()
	}
	if *dir == "" {
		return useError{errors.New("lab board: -dir is needed")}
	}
	secure, err := keys.NewSoftware(tmk)
	if err != nil {
		return useError{fmt.Errorf("lab board: -tmk: %w", err)}
	}
	if err := os.MkdirAll(*dir, 0o700); err != nil {
		return fmt.Errorf("make -dir: %w", err)
	}
	listener, err := listenLocal(*control)
	if err != nil {
		return fmt.Errorf("open -control: %w", err)
	}
	b, err := boardsim.NewPTY(*dir, &boardsim.Opts{Secure: secure.Module()})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	at := boardReady{filepath.Join(*dir, "board.json"), *control}
	if listener.Addr().Network() == "tcp" {
		at.Control = "http://" + listener.Addr().String()
	}
	if err := writeReady(*ready, at); err != nil {
		return errors.Join(err, listener.Close(), b.Close())
	}
	err = serveBoard(ctx, b, listener, log.With("subsystem", "board"), at)
	return errors.Join(err, b.Close())
}

func serveBoard(ctx context.Context, b *boardsim.Board, l net.Listener, log *slog.Logger, at boardReady) error {
	log.Info("board is open", "profile", at.Profile, "control", at.Control)
	hands := &hands{board: b, log: log, wallet: map[string]*cardsim.Card{}}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return b.Run(ctx) })
	group.Go(func() error { return serveHTTP(ctx, l, hands.handler(), log) })
	err := group.Wait()
	log.Info("board is closed")
	return err
}

// hands are those of the person in front of a board.
type hands struct {
	board *boardsim.Board
	log   *slog.Logger

	mu     sync.Mutex               // guards all below
	wallet map[string]*cardsim.Card // a card taken out is the same one when it comes back
	card   string                   // in the slot
}

// maxHands bounds the body of a request.
const maxHands = 1 << 10

func (h *hands) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, boardHelp) }) //nolint:errcheck // the reader may have gone
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, _ *http.Request) { tell(w, h.state(), nil) })
	mux.HandleFunc("GET /cards", func(w http.ResponseWriter, _ *http.Request) {
		cards, err := wallet()
		tell(w, cards, err)
	})
	mux.HandleFunc("PUT /card/{name}", func(w http.ResponseWriter, r *http.Request) { tell(w, nil, h.insert(r.PathValue("name"))) })
	mux.HandleFunc("DELETE /card", func(w http.ResponseWriter, _ *http.Request) { h.remove(); tell(w, nil, nil) })
	mux.HandleFunc("POST /keys", func(w http.ResponseWriter, r *http.Request) {
		text, err := body(w, r)
		if err == nil {
			err = h.press(strings.Fields(text)...)
		}
		tell(w, nil, err)
	})
	mux.HandleFunc("POST /pin", func(w http.ResponseWriter, r *http.Request) {
		pin, err := body(w, r)
		if err == nil {
			err = h.pin(r.Context(), pin)
		}
		tell(w, nil, err)
	})
	mux.HandleFunc("GET /paper", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, thermalsim.ReadText(h.board.Paper.Paper())) //nolint:errcheck // the reader may have gone
	})
	mux.HandleFunc("GET /paper.png", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		w.Write(thermalsim.Sheet{Image: h.board.Paper.Paper()}.PNG()) //nolint:errcheck // the reader may have gone
	})
	mux.HandleFunc("POST /tear", func(w http.ResponseWriter, _ *http.Request) {
		tell(w, map[string][]string{"receipts": pieces(h.board.Paper.Tear())}, nil)
	})
	return mux
}

func body(w http.ResponseWriter, r *http.Request) (string, error) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxHands))
	return strings.TrimSpace(string(text)), err
}

// tell answers with v as JSON, with nothing, or with what was wrong.
func tell(w http.ResponseWriter, v any, err error) {
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case v == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(v) //nolint:errcheck // the reader may have gone
	}
}

// boardState is GET /state.
type boardState struct {
	Card      string `json:"card"`       // in the slot; empty: none
	PINEntry  bool   `json:"pin_entry"`  // the pad waits for a PIN
	PaperDots int    `json:"paper_dots"` // length of the paper that hangs out; 8 are 1 mm
	PaperLeft uint32 `json:"paper_left"` // dots left on the roll
}

func (h *hands) state() boardState {
	h.mu.Lock()
	defer h.mu.Unlock()
	return boardState{h.card, h.board.PINPad.InPINEntry(), h.board.Paper.Paper().Height, h.board.Paper.PaperLeft()}
}

type walletCard struct {
	Name  string `json:"name"`
	About string `json:"about"`
}

func wallet() ([]walletCard, error) {
	var all []walletCard
	for _, name := range cardsim.Names() {
		p, err := cardsim.Load(name)
		if err != nil {
			return nil, err
		}
		all = append(all, walletCard{name, p.About})
	}
	return all, nil
}

func (h *hands) insert(name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Contains(cardsim.Names(), name) {
		return fmt.Errorf("no card %q; there are %s", name, strings.Join(cardsim.Names(), ", "))
	}
	if h.wallet[name] == nil {
		card, err := cardsim.Open(name)
		if err != nil {
			return err
		}
		h.wallet[name] = card
	}
	if h.card != "" {
		h.board.Slot.Remove()
	}
	h.board.Slot.Insert(h.wallet[name])
	h.card = name
	h.log.Debug("card inserted", "card", name)
	return nil
}

func (h *hands) remove() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.board.Slot.Remove()
	h.card = ""
	h.log.Debug("card removed")
}

func (h *hands) press(names ...string) error {
	list := make([]pinpad.Key, len(names))
	for i, name := range names {
		var ok bool
		if list[i], ok = pinpad.ParseKey(name); !ok {
			return fmt.Errorf("no key %q", name)
		}
	}
	for _, k := range list {
		h.board.PINPad.Press(k)
	}
	return nil
}

// pinPoll is how often a hand over the keys looks whether the pad asks for a PIN.
const pinPoll = 2 * time.Millisecond

// pin waits for the pad: a digit pressed before it asks would be an ordinary key
// that everybody hears.
func (h *hands) pin(ctx context.Context, pin string) error {
	if len(pin) > 12 || strings.Trim(pin, "0123456789") != "" {
		return errors.New("a PIN has at most 12 digits")
	}
	tick := time.NewTicker(pinPoll)
	defer tick.Stop()
	for !h.board.PINPad.InPINEntry() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return h.press(append(strings.Split(pin, ""), "enter")...)
}

// pieces gives the text of each receipt on a sheet: what lies between the cuts.
func pieces(s thermalsim.Sheet) []string {
	all := []string{}
	from := 0
	for _, to := range append(s.Cuts, s.Image.Height) {
		to = min(max(to, from), s.Image.Height)
		piece := &printer.Bitmap{Width: s.Image.Width, Height: to - from, Pix: s.Image.Pix[from*s.Image.Stride() : to*s.Image.Stride()]}
		if text := thermalsim.ReadText(piece); strings.TrimSpace(text) != "" {
			all = append(all, text)
		}
		from = to
	}
	return all
}
