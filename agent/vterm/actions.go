package vterm

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"image/png"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"slices"

	"posagent/agent/emv/cardsim"
	"posagent/drivers/pinpad"
	"posagent/printer/thermal/thermalsim"
)

const (
	// maxBody bounds a request's body: names and key names only.
	maxBody = 4 << 10
	// maxKeys bounds the keys of one request: more than fingers press in the time
	// that one request takes.
	maxKeys = 32
)

//go:embed static
var static embed.FS

// problem is a refusal with its status.
type problem struct {
	status int
	text   string
}

func (p *problem) Error() string { return p.text }

func (p *Page) handler() http.Handler {
	mux := http.NewServeMux()
	files, err := fs.Sub(static, "static")
	if err != nil {
		panic(err) // the folder is embedded
	}
	mux.Handle("GET /", http.FileServerFS(files))
	mux.HandleFunc("GET /events", p.events)
	mux.HandleFunc("GET /paper.png", p.paperPNG)
	mux.HandleFunc("GET /paper.txt", p.paperText)
	mux.Handle("POST /keys", action(p.press))
	mux.Handle("POST /card", action(p.card))
	mux.Handle("POST /switch", action(p.turn))
	mux.Handle("POST /tear", action(p.tear))
	return p.guard(mux)
}

// action reads a request's JSON and answers 204, or the problem. What was read is
// never repeated in an answer: it may be a PIN.
func action[T any](do func(T) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body T
		err := decode(r, &body)
		if err == nil {
			err = do(body)
		}
		var is *problem
		switch {
		case err == nil:
			w.WriteHeader(http.StatusNoContent)
		case errors.As(err, &is):
			refuse(w, is.status, is.text)
		default:
			refuse(w, http.StatusInternalServerError, err.Error())
		}
	})
}

func decode(r *http.Request, into any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &problem{http.StatusUnsupportedMediaType, "the body must be application/json"}
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.Join(errors.New("more than one value"), more)
		}
	}
	var size *http.MaxBytesError
	switch {
	case errors.As(err, &size):
		return &problem{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", maxBody)}
	case err != nil:
		return &problem{http.StatusBadRequest, "the body is not the JSON of this request"}
	}
	return nil
}

func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": text}) // a browser that has gone needs no answer
}

// keyNames are the keys of the drawn keyboard.
var keyNames = map[string]pinpad.Key{
	"0": pinpad.Key0, "1": pinpad.Key1, "2": pinpad.Key2, "3": pinpad.Key3, "4": pinpad.Key4,
	"5": pinpad.Key5, "6": pinpad.Key6, "7": pinpad.Key7, "8": pinpad.Key8, "9": pinpad.Key9,
	"enter": pinpad.Enter, "cancel": pinpad.Cancel, "clear": pinpad.Clear, "func": pinpad.F1,
	"up": pinpad.Up, "down": pinpad.Down,
}

type keysBody struct {
	Keys []string `json:"keys"`
}

// press presses all keys or none.
func (p *Page) press(b keysBody) error {
	if len(b.Keys) == 0 || len(b.Keys) > maxKeys {
		return &problem{http.StatusBadRequest, fmt.Sprintf("keys wants 1 to %d names", maxKeys)}
	}
	for _, name := range b.Keys {
		if _, ok := keyNames[name]; !ok {
			return &problem{http.StatusBadRequest, "keys names a key that is not on the keyboard"}
		}
	}
	for _, name := range b.Keys {
		p.house.Board.PINPad.Press(keyNames[name])
	}
	return nil
}

type cardBody struct {
	Name string `json:"name"`
}

// card puts a card of the wallet into the slot, or takes out the one that is in
// it. A card is personalised once, so that its counters go on.
func (p *Page) card(b cardBody) error {
	if b.Name != "" && !slices.Contains(cardsim.Names(), b.Name) {
		return &problem{http.StatusNotFound, "no such card in the wallet"}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case b.Name == "":
		p.house.Board.Slot.Remove()
	case p.inSlot == b.Name:
		return nil
	case p.inSlot != "":
		return &problem{http.StatusConflict, "another card is in the slot"}
	default:
		c := p.cards[b.Name]
		if c == nil {
			var err error
			if c, err = cardsim.Open(b.Name); err != nil {
				return err
			}
			p.cards[b.Name] = c
		}
		p.house.Board.Slot.Insert(c)
	}
	p.inSlot = b.Name
	p.touch()
	return nil
}

type switchBody struct {
	Name   string `json:"name"`
	Choice string `json:"choice"`
}

func (p *Page) turn(b switchBody) error {
	for _, s := range p.house.Switches {
		if s.Name != b.Name {
			continue
		}
		if !slices.Contains(s.Choices, b.Choice) {
			return &problem{http.StatusBadRequest, "the switch has no such choice"}
		}
		defer p.touch()
		return s.Choose(b.Choice)
	}
	return &problem{http.StatusNotFound, "no such switch"}
}

func (p *Page) tear(struct{}) error {
	p.changed(func() {
		p.house.Board.Paper.Tear()
		p.paper.sheet++
		p.paper.moved = true
	})
	return nil
}

func (p *Page) paperPNG(w http.ResponseWriter, _ *http.Request) {
	strip := p.house.Board.Paper.Paper()
	if strip.Height == 0 {
		refuse(w, http.StatusNotFound, "there is no paper")
		return
	}
	w.Header().Set("Content-Type", "image/png")
	w.Header().Set("Content-Disposition", `attachment; filename="receipt.png"`)
	if err := png.Encode(w, strip); err != nil {
		p.log.Debug("paper not sent", "err", err)
	}
}

func (p *Page) paperText(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if _, err := io.WriteString(w, thermalsim.ReadText(p.house.Board.Paper.Paper())); err != nil {
		p.log.Debug("text of paper not sent", "err", err)
	}
}
